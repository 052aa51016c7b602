//! The refusals of one kind: their rows, and the lines of the log about them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use waxseal_log_limit::LineLimit;
use waxseal_policy::PatternId;
use waxseal_units::{span, thousands};

use super::{ClientLabel, RefusalLine, RefusedRequest, RefusedRow};

/// Interval between two lines of the log about one command, pattern and reason.
const LINE_INTERVAL: Duration = Duration::from_secs(60);
/// Maximum number of rows of one kind. Further settings of the kind are counted in one more row, without a setting.
const MAX_ROWS_OF_KIND: usize = 16;
/// The advice of such a row.
const FURTHER: &str = "apply the settings already suggested for this command first";
/// Maximum number of settings in one line of the log.
const MAX_LOGGED_SETTINGS: usize = 4;
/// Maximum number of record names kept of one row, and their maximum length.
const MAX_NAMES: usize = 20;
const MAX_NAME: usize = 256;

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Kind {
    pub(super) command: Option<&'static str>,
    pub(super) pattern: Option<PatternId>,
    pub(super) reason: &'static str,
    pub(super) is_forwarded: bool,
}

/// The refusals of one kind.
pub(super) struct Entry {
    pub(super) limit: LineLimit,
    shown: Option<Arc<str>>,
    cause: &'static str,
    pub(super) rows: Vec<Row>,
    /// The record of the last request.
    record: Option<String>,
    client: ClientLabel,
}

/// Refusals of one kind with one remedy. A report shares these fields and does not copy them: requests wait while it is
/// created.
pub(super) struct Row {
    setting: Arc<str>,
    advice: Arc<str>,
    excepts: Arc<[(usize, Vec<String>)]>,
    scripts: Arc<[usize]>,
    /// It counts all further settings of its kind.
    is_merged: bool,
    count: u64,
    /// Requests since the last line of the log.
    unlogged: u64,
    first: Instant,
    last: Instant,
    client: ClientLabel,
    names: BTreeSet<Vec<u8>>,
}

/// The result of counting a request.
#[derive(PartialEq, Eq)]
pub(super) enum Insertion {
    /// It has a new row.
    Row,
    /// It was counted in an existing row.
    Counted,
}

impl Entry {
    pub(super) fn new(request: &RefusedRequest<'_>) -> Self {
        Self {
            limit: LineLimit::new(1, LINE_INTERVAL),
            shown: request.pattern.map(|(_, shown)| shown.into()),
            cause: request.cause,
            rows: Vec::new(),
            record: None,
            client: ClientLabel::default(),
        }
    }

    pub(super) fn add(
        &mut self,
        request: RefusedRequest<'_>,
        now: Instant,
        has_room: bool,
    ) -> Insertion {
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

    /// The line about `count` refusals, in the time since the last line.
    pub(super) fn line(&mut self, kind: Kind, count: u64, since: Option<Duration>) -> RefusalLine {
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

    pub(super) fn shown(&self, kind: Kind, entry: &Entry, now: Instant) -> RefusedRow {
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
