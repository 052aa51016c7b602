//! The other parts of the status page: state, attention, figures, the last hour, sweeps, doctor.

use maud::{Markup, html};

use super::clock::Clock;
use super::model::{Activity, Coverage, Doctor, Figure, Finding, Phase, Status, SweepRow, Traffic};
use super::verdict::{Verdict, issues, prose};
use super::{line, title};
use crate::chart::{Plot, plot};
use waxseal_units::{bytes, percent, rate, short_time, span, thousands};

/// The banner. It repeats the title for the script.
pub(super) fn state(status: &Status, clock: Clock) -> Markup {
    let verdict = Verdict::of(status);
    let level = verdict.level.as_str();
    let is_busy = status.is_checking && matches!(status.coverage.activity, Activity::Counting(_));
    html! {
        div class={ "banner " (level) } id="banner" data-level=(level) data-title=(title(status, &verdict)) {
            img class="sign" src=(verdict.level.icon()) alt="" width="40" height="40";
            div class="said" {
                h2 id="state-name" { (verdict.headline) span class="as-of" { ", as of " (clock.now()) } }
                ul class="facts" {
                    @if let Some(served) = served(&status.phase) {
                        li {
                            "clients are served: "
                            strong data-figure="ready" { @if served.is_ok() { "yes" } @else { "no" } }
                            @if let Err(why) = served { ", " (why) }
                        }
                    }
                    li { (values(&status.coverage, clock)) }
                    li { (checks(status.doctor.as_ref(), status.is_checking, clock)) }
                }
            }
            form method="post" action="check" {
                button type="submit" disabled[is_busy] { @if is_busy { "Checking…" } @else { "Check again now" } }
            }
        }
    }
}

fn served(phase: &Phase) -> Option<Result<(), &str>> {
    match phase {
        Phase::Starting => Some(Err("the process is starting")),
        Phase::Stopping => Some(Err("the process is stopping")),
        Phase::Running { clients } => {
            let clients = clients.as_ref()?;
            Some(clients.as_ref().copied().map_err(String::as_str))
        }
    }
}

/// The stored values in one line.
fn values(coverage: &Coverage, clock: Clock) -> Markup {
    let sum =
        |of: fn(&super::PatternCoverage) -> u64| coverage.patterns.iter().map(of).sum::<u64>();
    let forms = [
        ("sealed", sum(|it| it.counts.sealed)),
        ("plain", sum(|it| it.counts.plain)),
        ("unreadable", sum(|it| it.counts.unopenable)),
    ];
    let forms = forms.map(|(form, count)| format!("{} {form}", thousands(count)));
    html! {
        a href="#coverage-name" { "stored values" } ": "
        @match coverage.counted {
            Some(count) => { (forms.join(", ")) "; counted " (clock.moment(count.began_ms)) },
            None => "not counted yet",
        }
        @if coverage.counted.is_some() && matches!(coverage.activity, Activity::Counting(_)) {
            ", being counted again"
        }
    }
}

/// The doctor's checks in one line.
fn checks(doctor: Option<&Doctor>, is_checking: bool, clock: Clock) -> Markup {
    html! {
        a href="#doctor-name" { "doctor" } ": "
        @match doctor {
            Some(doctor) => {
                (doctor.fine()) " of " (doctor.findings.len()) " checks are ok; checked "
                (clock.moment(doctor.checked_ms))
                @if is_checking { ", checking again" }
            },
            None => @if is_checking { "checking" } @else { "not checked yet" },
        }
    }
}

pub(super) fn attention(status: &Status) -> Markup {
    let issues = issues(status);
    html! {
        @if issues.is_empty() { p class="soft" { "Nothing that this process knows of." } } @else {
            ul class="list" id="warnings" { @for issue in &issues { (issue.entry()) } }
        }
    }
}

pub(super) fn figures(figures: &[Figure]) -> Markup {
    html! {
        dl class="tiles" {
            @for figure in figures {
                div {
                    dt { (figure.label) }
                    dd {
                        span data-figure=(figure.id) { (figure.text) }
                        span class="small" {
                            (figure.note)
                            @if let Some(see) = figure.see { " " a href={ "#" (see) "-name" } { "Details" } }
                        }
                    }
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
            &traffic.seal_durations,
            short_time,
        ),
        two(
            "Time to open a value",
            latency,
            &traffic.open_durations,
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

pub(super) fn sweeps(sweeps: &[SweepRow], clock: Clock) -> Markup {
    html! {
        @if sweeps.is_empty() { p class="soft" { "None since the start." } } @else {
            div class="scroll" tabindex="0" role="region" aria-label="Table of sweeps" {
                table {
                    caption { "Sweeps over the records by this process; commands such as waxseal migrate show their own" }
                    thead {
                        tr {
                            th scope="col" { "task" } th scope="col" class="number" { "progress" }
                            th scope="col" { "last end" } th scope="col" { "values in all sweeps" }
                        }
                    }
                    tbody {
                        @for sweep in sweeps {
                            tr data-task=(sweep.task) {
                                th scope="row" { (sweep.task) }
                                td class="number" { (percent((sweep.progress * 1e4) as u64, 10_000)) }
                                td { @match sweep.ended_ms { Some(at) => (clock.moment(at)), None => "–" } }
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

impl Doctor {
    /// The number of checks that are ok.
    fn fine(&self) -> usize {
        self.findings.iter().filter(|it| it.grade == "ok").count()
    }
}

pub(super) fn doctor(status: &Status, clock: Clock) -> Markup {
    let Some(doctor) = &status.doctor else {
        return html! {
            p class="soft" { "Not checked yet: the checks start once the store and the keys are open." }
        };
    };
    let fine = || doctor.findings.iter().filter(|it| it.grade == "ok");
    let wrong = doctor.findings.len().saturating_sub(doctor.fine());
    html! {
        p class="soft" {
            "Checked " (clock.moment(doctor.checked_ms)) ". The checks run every 10 minutes, and every minute while there is a problem. "
            code { "waxseal doctor" } " on this machine also checks the custodians."
        }
        @if wrong > 0 {
            p { "Checks that are not ok: " (wrong) ", under " a href="#attention-name" { "Needs attention" } "." }
        }
        details {
            summary { "checks that are ok: " (doctor.fine()) }
            ul class="list" { @for finding in fine() { (finding_entry(finding)) } }
        }
    }
}

fn finding_entry(finding: &Finding) -> Markup {
    html! {
        li data-check=(finding.check) data-grade=(finding.grade) {
            span class={ "words " (finding.grade) } { (finding.grade) } " "
            strong { (finding.check) } ": " (prose(&finding.found))
        }
    }
}
