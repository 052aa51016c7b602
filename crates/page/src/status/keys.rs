//! The keys, and the line of time of what became of them and what comes.

use maud::{Markup, html};

use super::{Key, KeyEvent, Keys, When};
use crate::chart::{Part, bar};
use crate::words::{percent, point_in_time, span, thousands};

pub(super) fn section(keys: &Keys, now_ms: u64) -> Markup {
    html! {
        p class="soft" { (keys.source) }
        ul class="list" { @for key in &keys.keys { (entry_of(key)) } }
        @if !keys.events.is_empty() { (time_line(&keys.events, now_ms)) }
    }
}

fn entry_of(key: &Key) -> Markup {
    html! {
        li data-key=(key.id) {
            h3 {
                span class="id" { (key.id) } " "
                span class={ "words " (class_of(&key.state)) } data-is="state" { (key.state) } " "
                span class="soft" { "in metrics " span class="id" { (key.metric_name) } }
            }
            dl class="row" {
                div { dt { "age" } dd { @match key.age_ms { Some(age) => (span(age)), None => "–" } } }
                div { dt { "values sealed" } dd { @match key.seals { Some(seals) => (thousands(seals)), None => "–" } } }
                div class="wide" {
                    dt { "stored values under it" }
                    dd {
                        @match key.values {
                            Some((values, of)) => {
                                span data-is="values" { (thousands(values)) } ", " (percent(values, of))
                                (share(values, of))
                            }
                            None => "not counted yet",
                        }
                    }
                }
                div { dt { "next" } dd { (key.next) } }
            }
        }
    }
}

/// How a state is coloured.
fn class_of(state: &str) -> &'static str {
    match state {
        "sealing" => "ok",
        "compromised" => "problem",
        "pending" => "info",
        _ => "soft",
    }
}

/// A bar of the values under a key among all.
pub(crate) fn share(values: u64, of: u64) -> Markup {
    let parts = [
        ("under this key", "classic", values),
        ("under others", "rest", of.saturating_sub(values)),
    ];
    let parts = parts.map(|(label, class, value)| Part {
        label,
        class,
        value,
    });
    bar(
        &format!("{} of the stored values", percent(values, of)),
        &parts,
    )
}

fn time_line(events: &[KeyEvent], now_ms: u64) -> Markup {
    let ahead = events
        .iter()
        .position(|it| it.when != When::Past)
        .unwrap_or(events.len());
    let (past, coming) = events.split_at(ahead);
    html! {
        ol class="timeline" {
            @for event in past { (entry(event, "past", now_ms)) }
            li class="now" { time datetime=(point_in_time(now_ms)) { (point_in_time(now_ms)) } "now" }
            @for event in coming {
                (entry(event, if event.when == When::Due { "due" } else { "coming" }, now_ms))
            }
        }
    }
}

fn entry(event: &KeyEvent, class: &str, now_ms: u64) -> Markup {
    let at = point_in_time(event.at_ms);
    let distance = span(now_ms.abs_diff(event.at_ms));
    let distance = match event.when {
        When::Past => format!("{distance} ago"),
        When::Due => "due now".to_owned(),
        When::Future => format!("in {distance}"),
    };
    html! {
        li class=(class) { time datetime=(at) { (at) } (event.text) " " span class="soft" { "(" (distance) ")" } }
    }
}
