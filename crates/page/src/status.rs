//! The status page of one process: what it serves, whether all is sealed, under which keys, how fast,
//! what comes next, and what is to be done.

pub(crate) mod coverage;
pub(crate) mod keys;
mod sections;

use maud::{Markup, html};

use crate::chart::Line;
use crate::document::document;
use crate::words::point_in_time;

/// What keeps an open page up to date.
const SCRIPT: &str = include_str!("live.js");

/// Everything that the page shows.
#[derive(Clone, Debug, Default)]
pub struct Status {
    /// Which process this is.
    pub process: Process,
    /// The moment that it is about (milliseconds since the Unix epoch).
    pub now_ms: u64,
    /// What is wrong, the worst first.
    pub warnings: Vec<Warning>,
    /// Single figures.
    pub figures: Vec<Figure>,
    /// How protected records lie in the store.
    pub coverage: Coverage,
    /// The keys.
    pub keys: Keys,
    /// The last hour.
    pub traffic: Traffic,
    /// Requests that were refused; `None` for a process without clients.
    pub refused: Option<Vec<Refused>>,
    /// Passes over the records by this process.
    pub sweeps: Vec<SweepRow>,
    /// What the doctor found last.
    pub doctor: Option<Doctor>,
}

/// Which process the page is about.
#[derive(Clone, Debug, Default)]
pub struct Process {
    /// `proxy` or `keeper`.
    pub what: String,
    /// The version of Waxseal.
    pub version: String,
    /// The store, without credentials.
    pub store: String,
    /// The mode.
    pub mode: String,
    /// The environment, where one is named.
    pub environment: Option<String>,
    /// When it started (milliseconds since the Unix epoch).
    pub started_ms: u64,
}

/// How bad something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Look now.
    Critical,
    /// Look soon.
    Warning,
    /// Good to know.
    Info,
}

impl Severity {
    /// Its word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Warning => "warning",
            Self::Info => "info",
        }
    }
}

/// Something that is wrong, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// How bad.
    pub severity: Severity,
    /// The name of the alert rule for the same.
    pub alert: &'static str,
    /// What is wrong.
    pub text: String,
    /// What to do about it.
    pub advice: String,
}

/// One figure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Figure {
    /// Names it in the page, for programs: `sealed`, `opened`, ….
    pub id: &'static str,
    /// What it is.
    pub label: &'static str,
    /// The figure itself.
    pub text: String,
    /// What more there is to say.
    pub note: String,
}

/// How protected records lie in the store.
#[derive(Clone, Debug, Default)]
pub struct Coverage {
    /// When they were counted; `None` before the first time.
    pub counted_ms: Option<u64>,
    /// What is being done about it, for example `counting: 40 %`, or why it cannot be.
    pub note: String,
    /// By pattern.
    pub patterns: Vec<PatternCoverage>,
}

/// How the records of one pattern lie.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PatternCoverage {
    /// Its configured name.
    pub name: String,
    /// The pattern.
    pub records: String,
    /// Values in the sealed format.
    pub sealed: u64,
    /// Values in the classic format.
    pub classic: u64,
    /// Values that nobody sealed.
    pub plain: u64,
    /// Values that do not open.
    pub unreadable: u64,
    /// Values that are empty or of users who were erased.
    pub other: u64,
    /// Records of types whose values cannot be sealed.
    pub other_types: u64,
}

/// The keys of a process.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    /// Where they come from, and which version.
    pub source: String,
    /// Each of them.
    pub keys: Vec<Key>,
    /// What became of them and what comes, in order of time.
    pub events: Vec<KeyEvent>,
}

/// One key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Its id.
    pub id: String,
    /// How metrics name it.
    pub metric_name: String,
    /// Its state.
    pub state: String,
    /// How old it is, in milliseconds; `None` for keys of the environment.
    pub age_ms: Option<u64>,
    /// How many values were sealed under it, as far as reported.
    pub seals: Option<u64>,
    /// How many stored values are under it, and of how many.
    pub values: Option<(u64, u64)>,
    /// What happens to it next.
    pub next: String,
}

/// Where on the line of time an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// It happened.
    Past,
    /// It is due, and has not happened.
    Due,
    /// It will happen.
    Future,
}

/// Something that became of a key, or will.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyEvent {
    /// When (milliseconds since the Unix epoch).
    pub at_ms: u64,
    /// Whether it happened.
    pub when: When,
    /// What.
    pub text: String,
}

/// The last hour, from samples at even distances.
#[derive(Clone, Debug, Default)]
pub struct Traffic {
    /// How long ago the oldest sample is, in milliseconds.
    pub since_ms: u64,
    /// Values sealed and opened a second.
    pub values: [Vec<Option<f64>>; 2],
    /// Median and 99th percentile of the time that sealing took, in seconds.
    pub sealing: [Vec<Option<f64>>; 2],
    /// The same of opening.
    pub opening: [Vec<Option<f64>>; 2],
    /// How long the server took to answer, in seconds; empty for a process without clients.
    pub server: Vec<Option<f64>>,
    /// Bytes from and to clients a second; empty for a process without clients.
    pub bytes: [Vec<Option<f64>>; 2],
}

/// Requests that were refused for one reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The command.
    pub command: String,
    /// The word of the reason.
    pub reason: String,
    /// How many.
    pub count: u64,
}

/// The passes of one task.
#[derive(Clone, Debug, PartialEq)]
pub struct SweepRow {
    /// The task.
    pub task: String,
    /// How far the newest is, 0 to 1.
    pub progress: f64,
    /// When one went to its end last; `None` if none did.
    pub ended_ms: Option<u64>,
    /// What became of values, by verdict.
    pub verdicts: Vec<(String, u64)>,
}

/// What the doctor found.
#[derive(Clone, Debug, Default)]
pub struct Doctor {
    /// When it looked.
    pub looked_ms: u64,
    /// Each check.
    pub findings: Vec<Finding>,
}

/// One check of the doctor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// `ok`, `warning` or `problem`.
    pub grade: &'static str,
    /// What was checked.
    pub check: String,
    /// What was found.
    pub found: String,
    /// What to do about it.
    pub advice: Option<String>,
}

/// The whole page. `nonce` is what its policy lets its style and script in by.
#[must_use]
pub fn page(status: &Status, nonce: &str) -> String {
    let process = &status.process;
    let title = format!("Waxseal {} – {}", process.what, headline(status));
    let body = html! {
        header {
            h1 { "Waxseal " (process.what) }
            ul class="facts" {
                li { "version " (process.version) }
                li { "store " code { (process.store) } }
                li { "mode " (process.mode) }
                @if let Some(environment) = &process.environment { li { "environment " (environment) } }
                li { "since " (point_in_time(process.started_ms)) }
            }
        }
        main {
            @for (id, name, part) in parts(status) {
                section aria-labelledby={ (id) "-name" } {
                    h2 id={ (id) "-name" } { (name) }
                    div id=(id) { (part) }
                }
            }
        }
        footer {
            p {
                "Updates: " span id="live" role="status" { "load the page again" } ". "
                "Figures are of this process since its start, unless they say otherwise; "
                a href="metrics" { "the same for Prometheus" } "."
            }
        }
    };
    document(&title, Some(nonce), Some(SCRIPT), &body).into_string()
}

/// The parts of the page that change, by the ids of their places.
#[must_use]
pub fn changing(status: &Status) -> Vec<(&'static str, String)> {
    let parts = parts(status).into_iter();
    parts
        .map(|(id, _, part)| (id, part.into_string()))
        .collect()
}

/// What there is to say in a few words.
fn headline(status: &Status) -> String {
    let of = |severity| {
        let warnings = status.warnings.iter();
        warnings.filter(|it| it.severity == severity).count()
    };
    match (of(Severity::Critical), of(Severity::Warning)) {
        (0, 0) => "all is well".to_owned(),
        (0, 1) => "1 warning".to_owned(),
        (0, count) => format!("{count} warnings"),
        (1, _) => "1 critical warning".to_owned(),
        (count, _) => format!("{count} critical warnings"),
    }
}

fn parts(status: &Status) -> Vec<(&'static str, &'static str, Markup)> {
    let mut parts = vec![
        ("state", "State", sections::state(status)),
        (
            "coverage",
            "How records lie",
            coverage::section(&status.coverage),
        ),
        ("keys", "Keys", keys::section(&status.keys, status.now_ms)),
        (
            "traffic",
            "The last hour",
            sections::traffic(&status.traffic),
        ),
    ];
    if let Some(refused) = &status.refused {
        parts.push(("refused", "Refused commands", sections::refused(refused)));
    }
    parts.push((
        "sweeps",
        "Sweeps of this process",
        sections::sweeps(&status.sweeps),
    ));
    parts.push(("doctor", "Doctor", sections::doctor(status.doctor.as_ref())));
    parts
}

fn line<'a>(label: &'a str, class: &'a str, values: &[Option<f64>]) -> Line<'a> {
    Line {
        label,
        class,
        values: values.to_vec(),
    }
}
