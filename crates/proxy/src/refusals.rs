//! The requests that were refused, or would have been in a trial: by command, pattern and reason, with what
//! would let them pass. Kept for the status page and for reports, and told in the log: at once the first time,
//! then how often, at most once a minute. Bounded, whatever clients send; holds names of records only where an
//! operator asked for them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use waxseal_log_limit::LineLimit;
use waxseal_page::format::{span, thousands};
use waxseal_policy::{PatternId, Reason};

use crate::sealed_replies::SealedReplies;

mod own;

pub(crate) use own::OwnReason;

/// Between two lines of the log about one command, pattern and reason.
const LINE_INTERVAL: Duration = Duration::from_secs(60);
/// Lines of the log about all refusals together: at most so many in a period.
const MAX_LINES: u64 = 20;
const LINES_PERIOD: Duration = Duration::from_secs(10);
/// Rows of one kind of refusal, and of all kinds together beyond one of each. Further settings of a kind are
/// counted in one more row, without a setting. The number of kinds is bounded by the tables.
const MAX_ROWS_OF_KIND: usize = 16;
const MAX_ROWS: usize = 512;
/// The advice of such a row.
const FURTHER: &str = "apply the settings already suggested for this command first";
/// Settings that one line of the log names.
const MAX_LOGGED_SETTINGS: usize = 4;
/// Names of records that are kept of one row, and the longest.
const MAX_NAMES: usize = 20;
const MAX_NAME: usize = 256;

/// A client, as the log names it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientLabel {
    /// Its address; empty where it is not known any more.
    pub address: String,
    /// Its own name for itself.
    pub name: Option<String>,
}

impl fmt::Display for ClientLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address.is_empty() {
            true => f.write_str("a client that has left")?,
            false => f.write_str(&self.address)?,
        }
        match &self.name {
            Some(name) => write!(f, " ({name})"),
            None => Ok(()),
        }
    }
}

/// One refused request.
pub(crate) struct RefusedRequest<'a> {
    pub(crate) command: Option<&'static str>,
    /// The pattern, and how it is shown.
    pub(crate) pattern: Option<(PatternId, &'a str)>,
    pub(crate) reason: &'static str,
    pub(crate) cause: &'static str,
    /// The remedy in words.
    pub(crate) advice: String,
    /// The line to paste into the configuration.
    pub(crate) setting: String,
    /// The `except` globs of the pattern's block.
    pub(crate) excepts: BTreeMap<PatternId, Vec<String>>,
    /// The patterns for whose records forwarding scripts is a remedy, too.
    pub(crate) scripts: BTreeSet<PatternId>,
    /// In a trial: it was forwarded all the same.
    pub(crate) is_forwarded: bool,
    /// The record, as the log may show it.
    pub(crate) record: Option<String>,
    /// The whole names of its records, for a report that shows them.
    pub(crate) names: Vec<Vec<u8>>,
    pub(crate) client: ClientLabel,
}

/// The refused requests of a process.
#[derive(Default)]
pub struct Refusals {
    pub(crate) sealed_replies: SealedReplies,
    state: Mutex<State>,
}

/// Requests by the place of their pattern and command.
type CommandCounts = HashMap<(usize, &'static str), u64>;

struct State {
    kinds: HashMap<Kind, Entry>,
    rows: usize,
    /// Lines of the log about all of them.
    limit: LineLimit,
    /// In a trial: requests that were fine, by pattern and command.
    fine: CommandCounts,
    /// In a trial: scripts whose text did not pass.
    unseen_scripts: CommandCounts,
    /// In a trial: requests that were fine, in transactions that would be aborted.
    aborted: u64,
}

impl Default for State {
    fn default() -> Self {
        Self {
            kinds: HashMap::new(),
            rows: 0,
            limit: LineLimit::new(MAX_LINES, LINES_PERIOD),
            fine: CommandCounts::new(),
            unseen_scripts: CommandCounts::new(),
            aborted: 0,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Kind {
    command: Option<&'static str>,
    pattern: Option<PatternId>,
    reason: &'static str,
    is_forwarded: bool,
}

/// One kind of refusal.
struct Entry {
    limit: LineLimit,
    shown: Option<Arc<str>>,
    cause: &'static str,
    rows: Vec<Row>,
    /// Of the last request.
    record: Option<String>,
    client: ClientLabel,
}

/// Refusals of one kind with one remedy. What a report takes over is shared, not copied: it is made while
/// requests wait.
struct Row {
    setting: Arc<str>,
    advice: Arc<str>,
    excepts: Arc<[(usize, Vec<String>)]>,
    scripts: Arc<[usize]>,
    /// It stands for all further settings of its kind.
    is_merged: bool,
    count: u64,
    /// Requests since the last line of the log.
    unlogged: u64,
    first: Instant,
    last: Instant,
    client: ClientLabel,
    names: BTreeSet<Vec<u8>>,
}

/// A line of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusalLine {
    /// The cause and the remedy.
    pub text: String,
    /// The command as the table has it, or `other`.
    pub command: &'static str,
    /// The pattern, as it is shown.
    pub pattern: Option<String>,
    /// The word of the reason.
    pub reason: &'static str,
    /// The last record, as the log may show it.
    pub record: Option<String>,
    /// The last client.
    pub client: ClientLabel,
}

impl RefusalLine {
    /// Writes it to the log.
    pub fn log(&self) {
        if self.reason == Reason::UnknownSubcommand.as_str() {
            // Client libraries try such subcommands on every connection, and go on without.
            tracing::debug!(command = self.command, "{}", self.text);
            return;
        }
        let client = &self.client;
        tracing::warn!(
            command = self.command,
            pattern = self.pattern,
            reason = self.reason,
            record = self.record,
            client = (!client.address.is_empty()).then_some(client.address.as_str()),
            client_name = client.name,
            "{}",
            self.text
        );
    }
}

/// Refused requests that are alike, for a page or a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedRow {
    /// The command as the table has it, or `other`.
    pub command: &'static str,
    /// The pattern: its place in the order of the configuration, and how it is shown.
    pub pattern: Option<(usize, Arc<str>)>,
    /// The word of the reason.
    pub reason: &'static str,
    /// The cause, as the continuation of the command's name.
    pub cause: &'static str,
    /// The line to paste into the configuration; empty where nothing can.
    pub setting: Arc<str>,
    /// The remedy in words.
    pub advice: Arc<str>,
    /// The `except` globs, by the place of their pattern.
    pub excepts: Arc<[(usize, Vec<String>)]>,
    /// Forwarding scripts for the records of the patterns in these places would be a remedy, too.
    pub scripts: Arc<[usize]>,
    /// They were forwarded all the same.
    pub is_forwarded: bool,
    /// Their number.
    pub count: u64,
    /// The age of the first one.
    pub first_ago: Duration,
    /// The age of the last one.
    pub last_ago: Duration,
    /// The client of the last one.
    pub client: ClientLabel,
    /// Names of records, where they are kept.
    pub names: Vec<Vec<u8>>,
}

/// Everything that was recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RefusalReport {
    /// The refused requests, the most frequent first.
    pub rows: Vec<RefusedRow>,
    /// In a trial: requests on protected records that were fine, by the place of their pattern and command.
    pub fine: Vec<(usize, &'static str, u64)>,
    /// In a trial: digests of scripts whose text did not pass, in the same way. Nothing is known of these.
    pub unseen_scripts: Vec<(usize, &'static str, u64)>,
    /// In a trial: requests on protected records that were fine, in transactions that would be aborted.
    pub aborted: u64,
}

impl Refusals {
    /// Records a refused request. Gives the line that the log gets for it, if it gets one now.
    pub(crate) fn record(&self, request: RefusedRequest<'_>, now: Instant) -> Option<RefusalLine> {
        let kind = Kind {
            command: request.command,
            pattern: request.pattern.map(|(id, _)| id),
            reason: request.reason,
            is_forwarded: request.is_forwarded,
        };
        let mut state = self.state();
        let state = &mut *state;
        let has_room = state.rows < MAX_ROWS;
        let entry = state
            .kinds
            .entry(kind)
            .or_insert_with(|| Entry::new(&request));
        if entry.add(request, now, has_room) == Insertion::Row {
            state.rows = state.rows.saturating_add(1);
        }
        if entry.limit.suppressed() > 0
            || !entry.limit.has_room(now)
            || state.limit.admit(now).is_none()
        {
            entry.limit.suppress();
            return None;
        }
        let missing = entry.limit.admit(now)?;
        Some(entry.line(kind, missing.saturating_add(1), None))
    }

    /// Lines of the log that are due: about refusals that had none. All of them where the process ends.
    pub fn due_lines(&self, now: Instant, is_end: bool) -> Vec<RefusalLine> {
        let mut state = self.state();
        let State { kinds, limit, .. } = &mut *state;
        let mut lines = Vec::new();
        for (kind, entry) in kinds {
            let is_due = entry.limit.suppressed() > 0 && (is_end || entry.limit.has_room(now));
            if !is_due || (!is_end && limit.admit(now).is_none()) {
                continue;
            }
            let since = entry.limit.age(now);
            let count = entry.limit.report_suppressed(now);
            lines.push(entry.line(*kind, count, since));
        }
        lines
    }

    /// So many requests of this command on records of the pattern in this place were fine.
    pub(crate) fn fine(&self, pattern: usize, command: &'static str, count: u64) {
        let mut state = self.state();
        let sum = state.fine.entry((pattern, command)).or_default();
        *sum = sum.saturating_add(count);
    }

    /// A script was named by its digest, on a record of the pattern in this place, and its text did not pass.
    pub(crate) fn unseen_script(&self, pattern: usize, command: &'static str) {
        let mut state = self.state();
        let sum = state.unseen_scripts.entry((pattern, command)).or_default();
        *sum = sum.saturating_add(1);
    }

    /// So many requests were fine, in a transaction that would be aborted.
    pub(crate) fn aborted(&self, count: u64) {
        let mut state = self.state();
        state.aborted = state.aborted.saturating_add(count);
    }

    /// Everything that was recorded.
    #[must_use]
    pub fn report(&self, now: Instant) -> RefusalReport {
        let state = self.state();
        let rows = state.kinds.iter();
        let rows = rows.flat_map(|(kind, entry)| {
            let rows = entry.rows.iter();
            rows.map(move |row| row.shown(*kind, entry, now))
        });
        let mut report = RefusalReport {
            rows: rows.collect(),
            fine: listed(&state.fine),
            unseen_scripts: listed(&state.unseen_scripts),
            aborted: state.aborted,
        };
        // Requests wait for it.
        drop(state);
        report.rows.sort_by(|a, b| {
            let key = |row: &RefusedRow| (row.command, row.reason, row.setting.clone());
            b.count.cmp(&a.count).then_with(|| key(a).cmp(&key(b)))
        });
        let by_count = |counts: &mut Vec<(usize, &'static str, u64)>| {
            counts.sort_by_key(|(pattern, command, count)| {
                (*pattern, std::cmp::Reverse(*count), *command)
            });
        };
        by_count(&mut report.fine);
        by_count(&mut report.unseen_scripts);
        report
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn listed(counts: &CommandCounts) -> Vec<(usize, &'static str, u64)> {
    let counts = counts.iter();
    counts
        .map(|((pattern, command), count)| (*pattern, *command, *count))
        .collect()
}

/// The row that a request was counted in.
#[derive(PartialEq, Eq)]
enum Insertion {
    /// A new one.
    Row,
    /// One that there was.
    Counted,
}

impl Entry {
    fn new(request: &RefusedRequest<'_>) -> Self {
        Self {
            limit: LineLimit::new(1, LINE_INTERVAL),
            shown: request.pattern.map(|(_, shown)| shown.into()),
            cause: request.cause,
            rows: Vec::new(),
            record: None,
            client: ClientLabel::default(),
        }
    }

    fn add(&mut self, request: RefusedRequest<'_>, now: Instant, has_room: bool) -> Insertion {
        let has_room = self.rows.is_empty() || (has_room && self.rows.len() < MAX_ROWS_OF_KIND);
        let is_same = |row: &&mut Row| !row.is_merged && *row.setting == *request.setting;
        let is_merged = |row: &&mut Row| row.is_merged;
        self.record.clone_from(&request.record);
        self.client.clone_from(&request.client);
        if let Some(row) = self.rows.iter_mut().find(is_same) {
            row.count(request, now);
            return Insertion::Counted;
        }
        if let (false, Some(row)) = (has_room, self.rows.iter_mut().find(is_merged)) {
            row.count(request, now);
            return Insertion::Counted;
        }
        let mut row = match has_room {
            true => Row::of(&request, now),
            false => Row::merged(now),
        };
        row.count(request, now);
        self.rows.push(row);
        Insertion::Row
    }

    /// The remedies of all requests since the last line.
    fn advice(&self) -> String {
        let unlogged: Vec<_> = self.rows.iter().filter(|row| row.unlogged > 0).collect();
        let settings = unlogged.iter().map(|row| &*row.setting);
        let settings: Vec<_> = settings.filter(|setting| !setting.is_empty()).collect();
        if let ([row], _) | ([row, ..], []) = (&*unlogged, &*settings) {
            return row.advice.to_string();
        }
        let some = match settings.len() == unlogged.len() {
            true => "",
            false => "some of ",
        };
        let named = settings.get(..MAX_LOGGED_SETTINGS).unwrap_or(&settings);
        let more = match settings.len().saturating_sub(named.len()) {
            0 => String::new(),
            more => format!("; and {more} more"),
        };
        format!(
            "these settings let {some}them pass and leave excepted records in plaintext: {}{more}",
            named.join("; ")
        )
    }

    /// The line about so many refusals, in the time since the last one.
    fn line(&mut self, kind: Kind, count: u64, since: Option<Duration>) -> RefusalLine {
        let advice = self.advice();
        for row in &mut self.rows {
            row.unlogged = 0;
        }
        let what = match kind.is_forwarded {
            true => "would be refused without --trial",
            false => "refused",
        };
        let often = match (count, since) {
            (1, None) => String::new(),
            (count, None) => format!(" {} times", thousands(count)),
            (count, Some(since)) => {
                let times = if count == 1 { "time" } else { "times" };
                let since = match u64::try_from(since.as_millis()).unwrap_or(u64::MAX) {
                    0..1000 => "second".to_owned(),
                    since => span(since),
                };
                format!(" {} {times} in the last {since}", thousands(count))
            }
        };
        let on = match &self.shown {
            Some(pattern) => format!(" on {pattern}"),
            None => String::new(),
        };
        let command = kind.command.map_or_else(
            || "an unknown command".to_owned(),
            crate::answers::display_name,
        );
        RefusalLine {
            text: format!("{what}{often}{on}: {command} {}; {advice}", self.cause),
            command: kind.command.unwrap_or("other"),
            pattern: self.shown.as_deref().map(str::to_owned),
            reason: kind.reason,
            record: self.record.clone(),
            client: self.client.clone(),
        }
    }
}

impl Row {
    fn of(request: &RefusedRequest<'_>, now: Instant) -> Self {
        let excepts = request.excepts.iter();
        Self {
            setting: request.setting.as_str().into(),
            advice: request.advice.as_str().into(),
            excepts: excepts
                .map(|(id, globs)| (id.index(), globs.clone()))
                .collect(),
            scripts: request.scripts.iter().map(|id| id.index()).collect(),
            is_merged: false,
            ..Self::merged(now)
        }
    }

    fn merged(now: Instant) -> Self {
        Self {
            setting: "".into(),
            advice: FURTHER.into(),
            excepts: Arc::default(),
            scripts: Arc::default(),
            is_merged: true,
            count: 0,
            unlogged: 0,
            first: now,
            last: now,
            client: ClientLabel::default(),
            names: BTreeSet::new(),
        }
    }

    fn count(&mut self, request: RefusedRequest<'_>, now: Instant) {
        self.count = self.count.saturating_add(1);
        self.unlogged = self.unlogged.saturating_add(1);
        self.last = now;
        self.client = request.client;
        for name in request.names {
            if self.names.len() < MAX_NAMES && name.len() <= MAX_NAME {
                self.names.insert(name);
            }
        }
    }

    fn shown(&self, kind: Kind, entry: &Entry, now: Instant) -> RefusedRow {
        let pattern = kind.pattern.zip(entry.shown.clone());
        RefusedRow {
            command: kind.command.unwrap_or("other"),
            pattern: pattern.map(|(id, shown)| (id.index(), shown)),
            reason: kind.reason,
            cause: entry.cause,
            setting: self.setting.clone(),
            advice: self.advice.clone(),
            excepts: self.excepts.clone(),
            scripts: self.scripts.clone(),
            is_forwarded: kind.is_forwarded,
            count: self.count,
            first_ago: now.saturating_duration_since(self.first),
            last_ago: now.saturating_duration_since(self.last),
            client: self.client.clone(),
            names: self.names.iter().cloned().collect(),
        }
    }
}
