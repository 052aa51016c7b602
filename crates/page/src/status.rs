//! The status page of one process: problems and their remedies, keys, stored values by form, throughput and latency.

mod clock;
pub(crate) mod coverage;
pub(crate) mod keys;
mod model;
mod refused;
mod sections;
mod verdict;

use maud::{Markup, html};

use crate::chart::Line;
use crate::document::{Frame, document};
use clock::Clock;

pub use model::{
    Activity, Count, Coverage, Doctor, Figure, Finding, Key, KeyEvent, KeyValues, Keys, NextStep,
    OtherKeys, PatternCoverage, Phase, Process, RefusedRequests, Severity, Status, SweepRow,
    Traffic, Trial, Warning, When,
};
pub use verdict::{Level, Verdict};

/// The script that keeps an open page up to date.
const SCRIPT: &str = include_str!("live.js");
/// The style of this page alone: signed pages have the common style only.
const STYLE: &str = include_str!("status.css");

/// The whole page. `nonce` allows its style and script under its content security policy.
#[must_use]
pub fn page(status: &Status, nonce: &str) -> String {
    let process = &status.process;
    let clock = Clock {
        now_ms: status.now_ms,
        is_live: false,
    };
    let verdict = Verdict::of(status);
    let body = html! {
        header {
            h1 { "Waxseal " (process.what) }
            ul class="facts" {
                li { "version " (process.version) }
                li { "store " code { (process.store) } }
                li { "mode " (process.mode) }
                @if let Some(environment) = &process.environment { li { "environment " (environment) } }
                li { "started " (clock.moment(process.started_ms)) }
            }
        }
        main class="status" {
            section class="part-state" aria-labelledby="state-name" {
                div id="state" { (sections::state(status, clock)) }
                p class="soft" {
                    span id="live" role="status" data-now-ms=(status.now_ms) data-process=(process.started_ms) {
                        "As of loading the page"
                    }
                    ". "
                    noscript { a href="./" { "Reload it" } " for newer figures." }
                }
            }
            @for (id, name, part) in parts(status, clock) {
                section class={ "part-" (id) } aria-labelledby={ (id) "-name" } {
                    h2 id={ (id) "-name" } { (name) }
                    div id=(id) { (part) }
                }
            }
        }
        footer {
            p {
                "Figures are of this process since its start, unless they say otherwise; "
                a href="metrics" { "the same for Prometheus" } ". "
                a href=(verdict::documentation("operate/status-page.md", "")) rel="noreferrer" { "About this page" } "."
            }
        }
    };
    let (icon, lost_icon) = (verdict.level.icon(), verdict::lost_icon());
    let title = title(status, &verdict);
    let frame = Frame {
        style: STYLE,
        icon: &icon,
        lost_icon: Some(&lost_icon),
        // With `no-referrer` browsers do not say either that a form was sent by this page.
        referrer: "same-origin",
        nonce: Some(nonce),
        script: Some(SCRIPT),
        ..Frame::new(&title)
    };
    document(&frame, &body).into_string()
}

/// The parts of the page that change, by the ids of their elements. They omit what the script computes itself, such as the
/// time since an event.
#[must_use]
pub fn changing(status: &Status) -> Vec<(&'static str, String)> {
    let clock = Clock {
        now_ms: status.now_ms,
        is_live: true,
    };
    let state = ("state", sections::state(status, clock).into_string());
    let parts = parts(status, clock).into_iter();
    let parts = parts.map(|(id, _, part)| (id, part.into_string()));
    [state].into_iter().chain(parts).collect()
}

/// The title, verdict first, since tabs of a browser show only its beginning.
fn title(status: &Status, verdict: &Verdict) -> String {
    format!("{} – Waxseal {}", verdict.headline, status.process.what)
}

fn parts(status: &Status, clock: Clock) -> Vec<(&'static str, &'static str, Markup)> {
    let mut parts = vec![
        ("attention", "Needs attention", sections::attention(status)),
        ("keys", "Keys", keys::section(status, clock)),
        (
            "figures",
            "Since the start",
            sections::figures(&status.figures),
        ),
        (
            "coverage",
            "Stored values",
            coverage::section(&status.coverage, clock),
        ),
        (
            "traffic",
            "The last hour",
            sections::traffic(&status.traffic),
        ),
    ];
    if let Some(refused) = &status.refused {
        let name = match status.trial {
            Some(_) => "Trial: commands that would be refused",
            None => "Refused commands",
        };
        let part = refused::section(refused, status.trial.as_ref(), clock);
        parts.push(("refused", name, part));
    }
    parts.push((
        "sweeps",
        "Sweeps of this process",
        sections::sweeps(&status.sweeps, clock),
    ));
    parts.push(("doctor", "Doctor", sections::doctor(status, clock)));
    parts
}

fn line<'a>(label: &'a str, class: &'a str, values: &[Option<f64>]) -> Line<'a> {
    Line {
        label,
        class,
        values: values.to_vec(),
    }
}
