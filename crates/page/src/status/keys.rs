//! The keys, and the timeline of their past and future steps.

use maud::{Markup, html};

use super::clock::Clock;
use super::{Key, KeyEvent, KeyValues, NextStep, OtherKeys, Status, When};
use crate::chart::{Part, bar};
use waxseal_units::{percent, point_in_time, thousands};

pub(super) fn section(status: &Status, clock: Clock) -> Markup {
    let keys = &status.keys;
    html! {
        p class="soft" {
            (keys.source)
            @for figure in &keys.figures {
                ", " (figure.label) " " span data-figure=(figure.id) { (figure.text) }
            }
            "."
            @if let Some(count) = status.coverage.counted {
                " Stored values as counted " (clock.moment(count.began_ms)) "."
            }
        }
        ul class="list keys" {
            @for key in &keys.keys { (entry_of(key, clock)) }
            @for other in &keys.others { (other_entry(other)) }
        }
        @if !keys.events.is_empty() { (time_line(&keys.events, clock)) }
        @if !keys.details.is_empty() {
            details {
                summary { "about these keys" }
                ul { @for detail in &keys.details { li { (detail) } } }
            }
        }
    }
}

fn entry_of(key: &Key, clock: Clock) -> Markup {
    html! {
        li data-key=(key.id) {
            h3 {
                span class="id" { (key.id) } " "
                span class={ "words " (class_of(&key.state)) } data-is="state" { (key.state) } " "
                span class="soft" { "in metrics " span class="id" { (key.metric_name) } }
            }
            dl class="row" {
                @if let Some(created) = key.created_ms { div { dt { "age" } dd { (clock.age(created)) } } }
                div {
                    dt { "values sealed" }
                    dd { @match key.seals { Some(seals) => span data-is="seals" { (thousands(seals)) }, None => "–" } }
                }
                div { dt { "next" } dd { (next(&key.next, clock)) } }
                div class="wide" {
                    dt { "stored values under it" }
                    dd {
                        @match key.values {
                            KeyValues::Counted(values, of) => (share_of(values, of)),
                            KeyValues::NotCounted => span data-is="values" { "not counted yet" },
                            KeyValues::Outdated => {
                                span data-is="values" { "not counted since it is " (key.state) }
                            },
                        }
                    }
                }
            }
        }
    }
}

fn next(next: &NextStep, clock: Clock) -> Markup {
    html! {
        @match next {
            NextStep::Text(text) => (text),
            NextStep::At(what, at) => { (what) " " (clock.distance(*at)) },
        }
    }
}

fn share_of(values: u64, of: u64) -> Markup {
    html! {
        span data-is="values" { (thousands(values)) } " of " (thousands(of))
        @if of > 0 { ", " (percent(values, of)) (share(values, of)) }
    }
}

fn other_entry(other: &OtherKeys) -> Markup {
    html! {
        li data-keys=(other.id) {
            h3 { (other.label) }
            p class="soft" { (other.note) }
            dl class="row" {
                div class="wide" {
                    dt { "stored values under them" }
                    dd {
                        @match other.values {
                            Some((values, of)) => (share_of(values, of)),
                            None => span data-is="values" { "not counted yet" },
                        }
                    }
                }
            }
        }
    }
}

/// The style class of a state.
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

fn time_line(events: &[KeyEvent], clock: Clock) -> Markup {
    let ahead = events
        .iter()
        .position(|it| it.when != When::Past)
        .unwrap_or(events.len());
    let (past, coming) = events.split_at(ahead);
    html! {
        ol class="timeline" {
            @for event in past { (entry(event, "past", clock)) }
            li class="now" { (clock.now()) "now" }
            @for event in coming {
                (entry(event, if event.when == When::Due { "due" } else { "coming" }, clock))
            }
        }
    }
}

fn entry(event: &KeyEvent, class: &str, clock: Clock) -> Markup {
    html! {
        li class=(class) {
            @if event.when == When::Due { strong { "due now" } " " (event.text) }
            @else {
                @let at = point_in_time(event.at_ms);
                time datetime=(at) { (at) } (event.text) " "
                span class="soft" { "(" (clock.distance(event.at_ms)) ")" }
            }
        }
    }
}
