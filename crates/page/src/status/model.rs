//! The figures of the status page. They are gathered elsewhere.

/// Everything that the page shows.
#[derive(Clone, Debug, Default)]
pub struct Status {
    /// The process.
    pub process: Process,
    /// The current time (milliseconds since the Unix epoch).
    pub now_ms: u64,
    /// The phase of the process.
    pub phase: Phase,
    /// Problems derived from metrics and counts, the most severe first. The doctor's findings are separate.
    pub warnings: Vec<Warning>,
    /// Single figures.
    pub figures: Vec<Figure>,
    /// The stored values by form, as counted.
    pub coverage: Coverage,
    /// The keys.
    pub keys: Keys,
    /// The last hour.
    pub traffic: Traffic,
    /// Requests that were refused; `None` for a process without clients.
    pub refused: Option<Vec<RefusedRequests>>,
    /// The findings of a trial; `None` if the process is not a trial.
    pub trial: Option<Trial>,
    /// The sweeps of this process.
    pub sweeps: Vec<SweepRow>,
    /// The doctor's last checks.
    pub doctor: Option<Doctor>,
    /// True while the doctor is checking.
    pub is_checking: bool,
}

/// The phase of a process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// Store, keyring or custodian are not open yet.
    #[default]
    Starting,
    /// Everything is open.
    Running {
        /// The reason why clients are not served, if there is one; `None` for a process without clients.
        clients: Option<Result<(), String>>,
    },
    /// It finishes the requests in progress and accepts no new clients.
    Stopping,
}

/// The process that the page is about.
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
    /// The environment, if one is named.
    pub environment: Option<String>,
    /// The start time (milliseconds since the Unix epoch).
    pub started_ms: u64,
}

/// The severity of a warning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Needs attention now.
    Critical,
    /// Needs attention soon.
    Warning,
    /// Good to know.
    Info,
}

impl Severity {
    /// The name of the severity in alert rules.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Warning => "warning",
            Self::Info => "info",
        }
    }
}

/// A problem and its remedy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// The severity.
    pub severity: Severity,
    /// The name of the alert rule for the same, if there is one.
    pub alert: Option<&'static str>,
    /// The fault. Words between backticks are shown as code.
    pub text: String,
    /// The remedy, in the same way.
    pub advice: String,
    /// The part of the page that has the details, by its id.
    pub see: Option<&'static str>,
}

/// One figure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Figure {
    /// Names it in the page, for programs: `sealed`, `opened`, ….
    pub id: &'static str,
    /// Its name for people.
    pub label: &'static str,
    /// The figure itself.
    pub text: String,
    /// More about it.
    pub note: String,
    /// The part of the page that has the details, by its id.
    pub see: Option<&'static str>,
}

/// The stored values under each protected pattern, by form.
#[derive(Clone, Debug, Default)]
pub struct Coverage {
    /// The last count that reached its end.
    pub counted: Option<Count>,
    /// The counting at this moment.
    pub activity: Activity,
    /// By pattern.
    pub patterns: Vec<PatternCoverage>,
}

/// When records were counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// When it began (milliseconds since the Unix epoch).
    pub began_ms: u64,
    /// The duration in milliseconds.
    pub took_ms: u64,
}

/// The current activity of the counting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Activity {
    /// It counts: how far it is.
    Counting(String),
    /// It waits for the next count, at this time (milliseconds since the Unix epoch).
    Waiting(u64),
    /// The last try failed with this text; the next one is at this time.
    Failed(String, u64),
    /// This process counts only when it is asked to.
    OnDemand,
}

impl Default for Activity {
    fn default() -> Self {
        Self::Counting("begins soon".to_owned())
    }
}

/// The stored values under one pattern, by form.
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
    /// Plaintext values.
    pub plain: u64,
    /// Values that do not open.
    pub unreadable: u64,
    /// Values that are empty or of users who were erased.
    pub other: u64,
    /// Records of types whose values cannot be sealed.
    pub other_types: u64,
    /// Values under excepted names that are plain, and records there of types that cannot be sealed. In no
    /// other count.
    pub excepted: u64,
    /// Values under excepted names that are sealed. Counted as all others are, too.
    pub excepted_sealed: u64,
}

/// The keys of a process.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    /// Their source.
    pub source: String,
    /// More about the source, behind a fold.
    pub details: Vec<String>,
    /// Single figures of the keyring.
    pub figures: Vec<Figure>,
    /// Each of them.
    pub keys: Vec<Key>,
    /// Values that are under none of these, so that the shares add up.
    pub others: Vec<OtherKeys>,
    /// Past and future steps, in order of time.
    pub events: Vec<KeyEvent>,
}

/// One key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Its id.
    pub id: String,
    /// Its name in metrics.
    pub metric_name: String,
    /// Its state.
    pub state: String,
    /// When it was made (milliseconds since the Unix epoch); `None` for keys of the environment.
    pub created_ms: Option<u64>,
    /// The number of values sealed under it, as far as reported.
    pub seals: Option<u64>,
    /// The stored values under it.
    pub values: KeyValues,
    /// The next step.
    pub next: NextStep,
}

/// The stored values under one key, as counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyValues {
    /// No count has reached its end yet.
    NotCounted,
    /// The last count began before the key was in the state that it is in now: it says nothing about it.
    Outdated,
    /// So many, of so many sealed values.
    Counted(u64, u64),
}

/// The next step of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NextStep {
    /// Nothing that has a time.
    Text(String),
    /// A step, and its time (milliseconds since the Unix epoch).
    At(&'static str, u64),
}

/// Sealed values that are under no key that is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherKeys {
    /// Names it in the page, for programs: `users`, `older`, `unreadable`.
    pub id: &'static str,
    /// Its name for people.
    pub label: &'static str,
    /// More about it.
    pub note: String,
    /// So many values, of so many sealed values; `None` before they were counted.
    pub values: Option<(u64, u64)>,
}

/// The position of an event on the timeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// It happened.
    Past,
    /// It is due, and has not happened.
    Due,
    /// It will happen.
    Future,
}

/// A past or future step of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyEvent {
    /// The time (milliseconds since the Unix epoch).
    pub at_ms: u64,
    /// The position on the timeline.
    pub when: When,
    /// The text.
    pub text: String,
}

/// The last hour, from samples at even distances.
#[derive(Clone, Debug, Default)]
pub struct Traffic {
    /// The age of the oldest sample in milliseconds.
    pub since_ms: u64,
    /// Values sealed and opened a second.
    pub values: [Vec<Option<f64>>; 2],
    /// Median and 99th percentile of the time to seal a value, in seconds.
    pub seal_durations: [Vec<Option<f64>>; 2],
    /// Median and 99th percentile of the time to open a value, in seconds.
    pub open_durations: [Vec<Option<f64>>; 2],
    /// The time that the server took to answer, in seconds; empty for a process without clients.
    pub server: Vec<Option<f64>>,
    /// Bytes from and to clients a second; empty for a process without clients.
    pub bytes: [Vec<Option<f64>>; 2],
}

/// Requests that were refused for one reason, or in a trial would have been.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RefusedRequests {
    /// The command.
    pub command: String,
    /// The pattern of the record that is the cause, if one is.
    pub pattern: Option<String>,
    /// The reason.
    pub reason: String,
    /// In a trial: they were forwarded.
    pub is_forwarded: bool,
    /// The number of requests.
    pub count: u64,
    /// The time of the last one (milliseconds since the Unix epoch).
    pub last_ms: u64,
    /// The client that sent it.
    pub client: String,
    /// The setting that would let them pass; empty if there is none.
    pub setting: String,
    /// The remedy in words.
    pub advice: String,
}

/// The findings of a trial beside the commands that would be refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trial {
    /// Requests on protected records that were fine: pattern, command, how many.
    pub fine: Vec<(String, String, u64)>,
    /// Scripts named by a digest whose text was not seen: pattern, command, how many.
    pub unseen_scripts: Vec<(String, String, u64)>,
    /// Requests that would work, in transactions that would be aborted.
    pub aborted: u64,
    /// The protected patterns.
    pub patterns: Vec<String>,
    /// The configuration that would let requests pass; empty if no setting would.
    pub configuration: String,
    /// Requests that no setting of a pattern lets pass.
    pub left: Vec<String>,
}

/// The sweeps of one task.
#[derive(Clone, Debug, PartialEq)]
pub struct SweepRow {
    /// The task.
    pub task: String,
    /// The progress of the latest, 0 to 1.
    pub progress: f64,
    /// The time at which one was last completed; `None` if none was.
    pub ended_ms: Option<u64>,
    /// The number of values by verdict.
    pub verdicts: Vec<(String, u64)>,
}

/// The checks of the doctor.
#[derive(Clone, Debug, Default)]
pub struct Doctor {
    /// The start time (milliseconds since the Unix epoch).
    pub checked_ms: u64,
    /// Each check.
    pub findings: Vec<Finding>,
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// `ok`, `warning` or `problem`.
    pub grade: &'static str,
    /// The name of the check.
    pub check: String,
    /// The finding.
    pub found: String,
    /// The remedy.
    pub advice: Option<String>,
}
