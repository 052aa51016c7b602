//! The requests that were refused, or would have been in a trial: by command, pattern and reason, with the remedy. Kept
//! for the status page and for reports, and logged: at once the first time, then with their number, at most once a
//! minute. Bounded, whatever clients send. Holds record names only if an operator asked for them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use waxseal_log_limit::LineLimit;
use waxseal_policy::{PatternId, Reason};

use crate::sealed_replies::SealedReplies;

mod entry;
mod own;

use entry::{Entry, Insertion, Kind};
pub(crate) use own::OwnReason;

/// Maximum number of log lines about all refusals together in a period.
const MAX_LINES: u64 = 20;
const LINES_PERIOD: Duration = Duration::from_secs(10);
/// Maximum number of rows of all kinds together, beyond one of each. The tables bound the number of kinds.
const MAX_ROWS: usize = 512;

/// A client, as the log names it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientLabel {
    /// Its address; empty if it is not known any more.
    pub address: String,
    /// The name that it has given to its connection.
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
    /// The `except` globs for each pattern.
    pub(crate) excepts: BTreeMap<PatternId, Vec<String>>,
    /// The patterns for whose records forwarding scripts is a remedy as well.
    pub(crate) scripts: BTreeSet<PatternId>,
    /// In a trial: it was forwarded nevertheless.
    pub(crate) is_forwarded: bool,
    /// The record, as the log may show it.
    pub(crate) record: Option<String>,
    /// The complete names of its records, for a report that shows them.
    pub(crate) names: Vec<Vec<u8>>,
    pub(crate) client: ClientLabel,
}

/// The refused requests of a process.
#[derive(Default)]
pub struct Refusals {
    pub(crate) sealed_replies: SealedReplies,
    state: Mutex<State>,
}

/// Numbers of requests by the index of their pattern and their command.
type CommandCounts = HashMap<(usize, &'static str), u64>;

struct State {
    kinds: HashMap<Kind, Entry>,
    rows: usize,
    /// The limit of log lines about all of them.
    limit: LineLimit,
    /// In a trial: requests that would be accepted, by pattern and command.
    fine: CommandCounts,
    /// In a trial: scripts whose text was never sent through the proxy.
    unseen_scripts: CommandCounts,
    /// In a trial: requests that would be accepted, in transactions that would be aborted.
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

/// A line of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusalLine {
    /// The cause and the remedy.
    pub text: String,
    /// The command as the table has it, or `other`.
    pub command: &'static str,
    /// The pattern, as it is shown.
    pub pattern: Option<String>,
    /// The reason as a label value.
    pub reason: &'static str,
    /// The last record, as the log may show it.
    pub record: Option<String>,
    /// The last client.
    pub client: ClientLabel,
}

impl RefusalLine {
    /// Logs it.
    pub fn log(&self) {
        if self.reason == Reason::UnknownSubcommand.as_str() {
            // Client libraries try such subcommands on every connection, and continue without them.
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

/// Refused requests of one kind with one remedy, for a page or a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedRow {
    /// The command as the table has it, or `other`.
    pub command: &'static str,
    /// The pattern: its index in the configuration, and how it is shown.
    pub pattern: Option<(usize, Arc<str>)>,
    /// The reason as a label value.
    pub reason: &'static str,
    /// The cause, as the continuation of the command's name.
    pub cause: &'static str,
    /// The line to paste into the configuration; empty if no setting is a remedy.
    pub setting: Arc<str>,
    /// The remedy in words.
    pub advice: Arc<str>,
    /// The `except` globs, by the index of their pattern.
    pub excepts: Arc<[(usize, Vec<String>)]>,
    /// The indices of the patterns for whose records forwarding scripts is a remedy as well.
    pub scripts: Arc<[usize]>,
    /// They were forwarded nevertheless.
    pub is_forwarded: bool,
    /// Their number.
    pub count: u64,
    /// The age of the first one.
    pub first_ago: Duration,
    /// The age of the last one.
    pub last_ago: Duration,
    /// The client of the last one.
    pub client: ClientLabel,
    /// Names of records, if they are kept.
    pub names: Vec<Vec<u8>>,
}

/// Everything that was recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RefusalReport {
    /// The refused requests, the most frequent first.
    pub rows: Vec<RefusedRow>,
    /// In a trial: requests on protected records that would be accepted, by the index of their pattern and command.
    pub fine: Vec<(usize, &'static str, u64)>,
    /// In a trial: calls of scripts by digests whose text was never sent through the proxy, in the same form.
    pub unseen_scripts: Vec<(usize, &'static str, u64)>,
    /// In a trial: requests on protected records that would be accepted, in transactions that would be aborted.
    pub aborted: u64,
}

impl Refusals {
    /// Records a refused request. Returns the line to log, if there is one now.
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
        let suppressed = entry.limit.admit(now)?;
        Some(entry.line(kind, suppressed.saturating_add(1), None))
    }

    /// Returns the lines that are due about suppressed refusals, or all of them if the process ends.
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

    /// Counts requests of this command, on records of the pattern with this index, that would be accepted.
    pub(crate) fn fine(&self, pattern: usize, command: &'static str, count: u64) {
        let mut state = self.state();
        let sum = state.fine.entry((pattern, command)).or_default();
        *sum = sum.saturating_add(count);
    }

    /// Counts a script that was called by its digest, on a record of the pattern with this index, and whose text was never
    /// sent through the proxy.
    pub(crate) fn unseen_script(&self, pattern: usize, command: &'static str) {
        let mut state = self.state();
        let sum = state.unseen_scripts.entry((pattern, command)).or_default();
        *sum = sum.saturating_add(1);
    }

    /// Counts requests that would be accepted, in a transaction that would be aborted.
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
        // Requests wait for the lock.
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
