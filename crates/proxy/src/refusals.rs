//! The requests that were refused, or would have been in a trial: by command, pattern and reason, with what
//! would let them pass. Kept for the status page and for reports, and told in the log: at once the first time,
//! then how often, at most once a minute. Bounded, whatever clients send; holds names of records only where an
//! operator asked for them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use waxseal_page::words::{span, thousands};
use waxseal_policy::{PatternId, Reason};

use crate::sealed_replies::SealedReplies;
use crate::throttle::LineLimit;

mod own;

pub(crate) use own::OwnReason;

/// Between two lines of the log about one command, pattern and reason.
const LINE_INTERVAL: Duration = Duration::from_secs(60);
/// Lines of the log about all refusals together: at most so many in a period.
const MAX_LINES: u64 = 20;
const LINES_PERIOD: Duration = Duration::from_secs(10);
/// Refusals that are told apart. Others are only counted.
const MAX_ROWS: usize = 512;
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
    pub(crate) scripts: bool,
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

#[derive(Default)]
struct State {
    kinds: HashMap<Kind, Entry>,
    rows: usize,
    others: u64,
    /// Lines of the log about all of them.
    limit: Option<LineLimit>,
    /// In a trial: requests that were fine, by pattern and command.
    fine: HashMap<(usize, &'static str), u64>,
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
    shown: Option<String>,
    cause: &'static str,
    rows: Vec<Row>,
    /// The last one.
    record: Option<String>,
    client: ClientLabel,
    advice: String,
}

/// Refusals of one kind with one remedy.
struct Row {
    setting: String,
    advice: String,
    excepts: BTreeMap<PatternId, Vec<String>>,
    scripts: bool,
    count: u64,
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
    /// The pattern.
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
        if self.reason == Reason::UnknownSubcommand.word() {
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
    pub pattern: Option<(usize, String)>,
    /// The word of the reason.
    pub reason: &'static str,
    /// The cause, as the continuation of the command's name.
    pub cause: &'static str,
    /// The line to paste into the configuration; empty where nothing can.
    pub setting: String,
    /// The remedy in words.
    pub advice: String,
    /// The `except` globs, by the place of their pattern.
    pub excepts: Vec<(usize, Vec<String>)>,
    /// Forwarding scripts would be a remedy, too.
    pub scripts: bool,
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
    /// Requests that were refused beside these, and are not told apart.
    pub others: u64,
    /// In a trial: requests on protected records that were fine, by the place of their pattern and command.
    pub fine: Vec<(usize, &'static str, u64)>,
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
        let is_full = state.rows >= MAX_ROWS;
        if is_full && !state.kinds.contains_key(&kind) {
            state.others = state.others.saturating_add(1);
            return None;
        }
        let entry = state
            .kinds
            .entry(kind)
            .or_insert_with(|| Entry::new(&request));
        match entry.add(request, now, is_full) {
            Added::Row => state.rows = state.rows.saturating_add(1),
            Added::Counted => {}
            Added::LeftOut => state.others = state.others.saturating_add(1),
        }
        let limit = state.limit.get_or_insert_with(line_limit);
        if entry.limit.left_out() > 0 || !entry.limit.is_open(now) || limit.admit(now).is_none() {
            entry.limit.leave_out();
            return None;
        }
        let missing = entry.limit.admit(now)?;
        Some(entry.line(kind, missing.saturating_add(1), None))
    }

    /// Lines of the log that are due: about refusals that had none. All of them where the process ends.
    pub fn due_lines(&self, now: Instant, is_end: bool) -> Vec<RefusalLine> {
        let mut state = self.state();
        let State { kinds, limit, .. } = &mut *state;
        let limit = limit.get_or_insert_with(line_limit);
        let mut lines = Vec::new();
        for (kind, entry) in kinds {
            let is_due = entry.limit.left_out() > 0 && (is_end || entry.limit.is_open(now));
            if !is_due || (!is_end && limit.admit(now).is_none()) {
                continue;
            }
            let since = entry.limit.age(now);
            let count = entry.limit.tell_left_out(now);
            lines.push(entry.line(*kind, count, since));
        }
        lines
    }

    /// A request of this command on a record of the pattern in this place was fine.
    pub(crate) fn fine(&self, pattern: usize, command: &'static str) {
        let mut state = self.state();
        let count = state.fine.entry((pattern, command)).or_default();
        *count = count.saturating_add(1);
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
        let mut rows: Vec<_> = rows.collect();
        rows.sort_by(|a, b| {
            let key = |row: &RefusedRow| (row.command, row.reason, row.setting.clone());
            b.count.cmp(&a.count).then_with(|| key(a).cmp(&key(b)))
        });
        let fine = state.fine.iter();
        let mut fine: Vec<_> = fine
            .map(|((pattern, command), count)| (*pattern, *command, *count))
            .collect();
        fine.sort_by_key(|(pattern, command, count)| {
            (*pattern, std::cmp::Reverse(*count), *command)
        });
        RefusalReport {
            rows,
            others: state.others,
            fine,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn line_limit() -> LineLimit {
    LineLimit::new(MAX_LINES, LINES_PERIOD)
}

/// The outcome for a request that was to be recorded.
enum Added {
    Row,
    Counted,
    /// Among the others: the table is full.
    LeftOut,
}

impl Entry {
    fn new(request: &RefusedRequest<'_>) -> Self {
        Self {
            limit: LineLimit::new(1, LINE_INTERVAL),
            shown: request.pattern.map(|(_, shown)| shown.to_owned()),
            cause: request.cause,
            rows: Vec::new(),
            record: None,
            client: ClientLabel::default(),
            advice: String::new(),
        }
    }

    fn add(&mut self, request: RefusedRequest<'_>, now: Instant, is_full: bool) -> Added {
        self.record = request.record;
        self.client = request.client.clone();
        self.advice.clone_from(&request.advice);
        let is_same = |row: &&mut Row| row.setting == request.setting;
        let (row, added) = match self.rows.iter_mut().find(is_same) {
            Some(row) => (row, Added::Counted),
            None if is_full => return Added::LeftOut,
            None => {
                self.rows.push(Row {
                    setting: request.setting,
                    advice: request.advice,
                    excepts: request.excepts,
                    scripts: request.scripts,
                    count: 0,
                    first: now,
                    last: now,
                    client: ClientLabel::default(),
                    names: BTreeSet::new(),
                });
                match self.rows.last_mut() {
                    Some(row) => (row, Added::Row),
                    None => return Added::LeftOut,
                }
            }
        };
        row.count = row.count.saturating_add(1);
        row.last = now;
        row.client = request.client;
        for name in request.names {
            if row.names.len() < MAX_NAMES && name.len() <= MAX_NAME {
                row.names.insert(name);
            }
        }
        added
    }

    /// The line about so many refusals, in the time since the last one.
    fn line(&self, kind: Kind, count: u64, since: Option<Duration>) -> RefusalLine {
        let what = match kind.is_forwarded {
            true => "would be refused without --trial",
            false => "refused",
        };
        let often = match (count, since) {
            (1, None) => String::new(),
            (count, None) => format!(" {} times", thousands(count)),
            (count, Some(since)) => {
                let times = if count == 1 { "time" } else { "times" };
                let since = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
                format!(" {} {times} in the last {}", thousands(count), span(since))
            }
        };
        let on = match &self.shown {
            Some(pattern) => format!(" on {pattern}"),
            None => String::new(),
        };
        let command = kind.command.map_or_else(
            || "a command that is not known".to_owned(),
            crate::answers::written,
        );
        RefusalLine {
            text: format!(
                "{what}{often}{on}: {command} {}; {}",
                self.cause, self.advice
            ),
            command: kind.command.unwrap_or("other"),
            pattern: self.shown.clone(),
            reason: kind.reason,
            record: self.record.clone(),
            client: self.client.clone(),
        }
    }
}

impl Row {
    fn shown(&self, kind: Kind, entry: &Entry, now: Instant) -> RefusedRow {
        let pattern = kind.pattern.zip(entry.shown.clone());
        let excepts = self.excepts.iter();
        RefusedRow {
            command: kind.command.unwrap_or("other"),
            pattern: pattern.map(|(id, shown)| (id.index(), shown)),
            reason: kind.reason,
            cause: entry.cause,
            setting: self.setting.clone(),
            advice: self.advice.clone(),
            excepts: excepts
                .map(|(id, globs)| (id.index(), globs.clone()))
                .collect(),
            scripts: self.scripts,
            is_forwarded: kind.is_forwarded,
            count: self.count,
            first_ago: now.saturating_duration_since(self.first),
            last_ago: now.saturating_duration_since(self.last),
            client: self.client.clone(),
            names: self.names.iter().cloned().collect(),
        }
    }
}
