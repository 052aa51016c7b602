//! The remaining parts of the status page: state and warnings, the last hour, refused commands, sweeps,
//! doctor.

use maud::{Markup, html};

use super::{Doctor, Finding, Refused, Severity, Status, SweepRow, Traffic, headline, line};
use crate::chart::{Plot, plot};
use crate::words::{bytes, percent, point_in_time, rate, short_time, span, thousands};

pub(super) fn state(status: &Status) -> Markup {
    html! {
        p id="headline" {
            strong { (headline(status)) }
            span class="soft" { ", at " time id="now" datetime=(point_in_time(status.now_ms)) {
                (point_in_time(status.now_ms))
            } }
        }
        @if !status.warnings.is_empty() {
            ul class="list" id="warnings" {
                @for warning in &status.warnings {
                    li data-alert=(warning.alert) {
                        span class={ "words " (warning.severity.word()) } { (warning.severity.word()) }
                        " " (warning.text)
                        p class="soft" {
                            (warning.advice)
                            @if warning.severity != Severity::Info { " More: " code { "docs/alerts.md" } ", " (warning.alert) "." }
                        }
                    }
                }
            }
        }
        dl class="tiles" {
            @for figure in &status.figures {
                div {
                    dt { (figure.label) }
                    dd { span data-figure=(figure.id) { (figure.text) } span class="small" { (figure.note) } }
                }
            }
        }
    }
}

pub(super) fn traffic(traffic: &Traffic) -> Markup {
    let times = || [format!("{} ago", span(traffic.since_ms)), "now".to_owned()];
    let two = |name, labels: [&'static str; 2], values: &[Vec<Option<f64>>; 2], write| Plot {
        name,
        times: times(),
        lines: vec![
            line(labels[0], "first", &values[0]),
            line(labels[1], "second", &values[1]),
        ],
        write,
    };
    let latency = ["median", "99th percentile"];
    let mut plots = vec![
        two(
            "Values a second",
            ["sealed", "opened"],
            &traffic.values,
            rate,
        ),
        two(
            "Time to seal a value",
            latency,
            &traffic.sealing,
            short_time,
        ),
        two(
            "Time to open a value",
            latency,
            &traffic.opening,
            short_time,
        ),
    ];
    if !traffic.server.is_empty() {
        plots.push(Plot {
            name: "Time until the server answers",
            times: times(),
            lines: vec![line("connect and PING", "first", &traffic.server)],
            write: short_time,
        });
        let labels = ["from clients", "to clients"];
        plots.push(two("Bytes a second", labels, &traffic.bytes, bytes));
    }
    html! { div class="plots" { @for it in &plots { (plot(it)) } } }
}

pub(super) fn refused(refused: &[Refused]) -> Markup {
    html! {
        @if refused.is_empty() { p class="soft" { "None." } } @else {
            p class="soft" {
                "These were answered with an error that says why, and reached no server. "
                code { "docs/command-policy.md" } " tells of each command what works on protected records."
            }
            div class="scroll" tabindex="0" role="region" aria-label="Table of refused commands" {
                table {
                    caption { "Requests refused, by command" }
                    thead {
                        tr {
                            th scope="col" { "command" } th scope="col" { "why" }
                            th scope="col" class="number" { "requests" }
                        }
                    }
                    tbody {
                        @for it in refused {
                            tr {
                                th scope="row" { code { (it.command) } }
                                td { (it.reason.replace('_', " ")) }
                                td class="number" { (thousands(it.count)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

pub(super) fn sweeps(sweeps: &[SweepRow]) -> Markup {
    html! {
        @if sweeps.is_empty() { p class="soft" { "None." } } @else {
            div class="scroll" tabindex="0" role="region" aria-label="Table of sweeps" {
                table {
                    caption { "Passes over the records by this process; those of the command line tell of themselves" }
                    thead {
                        tr {
                            th scope="col" { "task" } th scope="col" class="number" { "progress" }
                            th scope="col" { "last end" } th scope="col" { "values" }
                        }
                    }
                    tbody {
                        @for sweep in sweeps {
                            tr data-task=(sweep.task) {
                                th scope="row" { (sweep.task) }
                                td class="number" { (percent((sweep.progress * 1e4) as u64, 10_000)) }
                                td { @match sweep.ended_ms { Some(at) => (point_in_time(at)), None => "–" } }
                                td { (verdicts(sweep)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn verdicts(sweep: &SweepRow) -> String {
    let known = sweep.verdicts.iter().filter(|(_, count)| *count > 0);
    let words: Vec<String> = known
        .map(|(verdict, count)| format!("{} {verdict}", thousands(*count)))
        .collect();
    match words.is_empty() {
        true => "none".to_owned(),
        false => words.join(", "),
    }
}

pub(super) fn doctor(doctor: Option<&Doctor>) -> Markup {
    let Some(doctor) = doctor else {
        return html! { p class="soft" { "It has not looked yet." } };
    };
    html! {
        p class="soft" {
            "As found at " (point_in_time(doctor.looked_ms)) ". " code { "waxseal doctor" }
            " looks at once, and asks the custodians too."
        }
        @let (fine, wrong): (Vec<_>, Vec<_>) = doctor.findings.iter().partition(|it| it.grade == "ok");
        ul class="list" { @for finding in wrong { (finding_entry(finding)) } }
        details {
            summary { "checks that are ok: " (fine.len()) }
            ul class="list" { @for finding in fine { (finding_entry(finding)) } }
        }
    }
}

fn finding_entry(finding: &Finding) -> Markup {
    html! {
        li data-check=(finding.check) data-grade=(finding.grade) {
            span class={ "words " (finding.grade) } { (finding.grade) } " "
            strong { (finding.check) } " " (finding.found)
            @if let Some(advice) = &finding.advice { p class="soft" { (advice) } }
        }
    }
}
