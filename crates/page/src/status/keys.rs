//! The keys, and the line of time of what became of them and what comes.

use maud::{Markup, html};

use super::{Key, KeyEvent, Keys, When};
use crate::chart::{Part, bar};
use crate::words::{percent, point_in_time, span, thousands};

pub(super) fn section(keys: &Keys, now_ms: u64) -> Markup {
    html! {
        p class="soft" { (keys.source) }
        @if !keys.keys.is_empty() {
            div class="scroll" tabindex="0" role="region" aria-label="Keys" {
                table {
                    caption { "Keys; metrics call them by the name in brackets" }
                    thead {
                        tr {
                            th scope="col" { "key" }
                            th scope="col" { "state" }
                            th scope="col" class="number" { "age" }
                            th scope="col" class="number" { "values sealed" }
                            th scope="col" { "share of stored values" }
                            th scope="col" { "next" }
                        }
                    }
                    tbody { @for key in &keys.keys { (row(key)) } }
                }
            }
        }
        @if !keys.events.is_empty() { (time_line(&keys.events, now_ms)) }
    }
}

fn row(key: &Key) -> Markup {
    html! {
        tr data-key=(key.id) {
            th scope="row" { span class="id" { (key.id) } " " span class="soft id" { "(" (key.metric_name) ")" } }
            td data-is="state" { (key.state) }
            td class="number" { @match key.age_ms { Some(age) => (span(age)), None => "–" } }
            td class="number" { @match key.seals { Some(seals) => (thousands(seals)), None => "–" } }
            td class="wide" {
                @match key.values {
                    Some((values, of)) => {
                        (thousands(values)) ", " (percent(values, of))
                        (share(values, of))
                    }
                    None => "not counted yet",
                }
            }
            td { (key.next) }
        }
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
