//! One batch of a sweep: read the records, look up keys, judge each value, and replace those that have not changed
//! since. Where the names came from is not known here.

mod replace;
mod slots;
mod streams;

use std::sync::Arc;

use waxseal_core::{NameMask, OpenError, SealError};
use waxseal_stores::{
    Change, Expiry, Record, RecordName, RecordPattern, RecordStore, Slot, StoreError,
};

use crate::keys::{Keys, PageKeys, Purpose, ValueToKey};
use crate::requests::{Answer, Requests};
use crate::sweep::SweepError;
use crate::tally::{Class, Finding, Tally, ValueLocation};
use crate::task::{Scope, Task, Value, Verdict, is_value};

/// The context that all batches of a sweep share.
pub(crate) struct BatchContext {
    pub(crate) store: Arc<dyn RecordStore>,
    pub(crate) requests: Arc<Requests>,
    pub(crate) task: Arc<dyn Task>,
    pub(crate) keys: Keys,
    pub(crate) pattern: RecordPattern,
    pub(crate) mask: NameMask,
    pub(crate) dry_run: bool,
    pub(crate) rewrite_streams: bool,
}

/// The counts and findings of a batch.
#[derive(Default)]
pub(crate) struct BatchOutcome {
    pub(crate) tally: Tally,
    pub(crate) findings: Vec<Finding>,
    /// Values whose expiry the task needs. The expiries are read page by page.
    expiring: Vec<(RecordName, Class, ValueLocation)>,
}

/// A value as it was read.
struct StoredValue {
    name: RecordName,
    slot: Slot,
    bytes: Vec<u8>,
    location: ValueLocation,
}

/// A value to be replaced.
struct Replacement {
    old: StoredValue,
    new: Vec<u8>,
}

/// The first visit of a page of values, or a repeated one in a later round through the same list.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Visit {
    First,
    Repeated,
}

impl BatchContext {
    /// Works on these records. After an error the outcome holds what was done before it.
    pub(crate) async fn batch(
        &self,
        names: Vec<RecordName>,
        outcome: &mut BatchOutcome,
    ) -> Result<(), SweepError> {
        let names = self.in_scope(names, outcome);
        let mut remaining = names.as_slice();
        while !remaining.is_empty() {
            let contents = self.requests.read(remaining).await?;
            let (page, next) = remaining.split_at(contents.len().clamp(1, remaining.len()));
            remaining = next;
            self.page(page.iter().cloned().zip(contents), outcome)
                .await?;
        }
        Ok(())
    }

    /// Returns the records in the scope of the task.
    fn in_scope(&self, mut names: Vec<RecordName>, outcome: &mut BatchOutcome) -> Vec<RecordName> {
        let scope = self.task.scope();
        if scope != Scope::All && (self.pattern.has_excepts() || scope == Scope::Excepted) {
            let all = names.len();
            let wants_excepted = scope == Scope::Excepted;
            names.retain(|name| self.is_excepted(name) == wants_excepted);
            if scope == Scope::NotExcepted {
                outcome.tally.excepted.skipped += count(all.saturating_sub(names.len()));
            }
        }
        names
    }

    fn is_excepted(&self, name: &RecordName) -> bool {
        self.pattern.is_excepted(name.as_bytes())
    }

    /// Works on records that were read: strings first, all at once; then the others, one by one.
    async fn page(
        &self,
        records: impl Iterator<Item = (RecordName, Answer<Option<Record>>)>,
        outcome: &mut BatchOutcome,
    ) -> Result<(), SweepError> {
        let mut strings = Vec::new();
        let mut with_slots = Vec::new();
        for (name, content) in records {
            match content {
                // Expired or deleted since the scan.
                Answer::Served(None) => {}
                Answer::Served(Some(Record::String(bytes))) => strings.push(StoredValue {
                    name,
                    slot: Slot::Whole,
                    bytes,
                    location: ValueLocation::String,
                }),
                Answer::Served(Some(record)) => match ValueLocation::of(&record) {
                    Some(location) if self.can_process(location) => {
                        with_slots.push((name, location));
                    }
                    location => self.skip(&name, &record, location, outcome),
                },
                Answer::Abandoned(error) => {
                    outcome.tally.miss();
                    self.report(&name, &read_failure(&error), outcome);
                }
            }
        }
        let pending = self.judge_page(strings, Visit::First, outcome).await?;
        self.replace(pending, outcome).await?;
        self.fetch_expiries(outcome).await?;
        for (name, location) in with_slots {
            let streams = outcome.tally.streams;
            self.slots(&name, location, outcome).await?;
            let found = outcome.tally.streams.saturating_sub(streams);
            if found > 0 && self.rewrite_streams && !self.dry_run {
                self.rewrite_stream(&name, found, outcome).await?;
            }
        }
        Ok(())
    }

    /// True if the task can process values in records of this type.
    fn can_process(&self, location: ValueLocation) -> bool {
        !self.task.seals() || self.task.can_seal(location.kind_of_value())
    }

    /// Counts a record whose values cannot be sealed, or not yet.
    fn skip(
        &self,
        name: &RecordName,
        record: &Record,
        location: Option<ValueLocation>,
        outcome: &mut BatchOutcome,
    ) {
        if self.is_excepted(name) {
            outcome.tally.excepted.other_types += 1;
            return;
        }
        outcome.tally.skip(record);
        let kind = record.kind();
        let cause = match location {
            Some(_) => format!(
                "a {kind} cannot be sealed before the keyring is of document format 2: skipped"
            ),
            None => format!("a {kind} cannot be sealed: skipped"),
        };
        self.report(name, &cause, outcome);
    }

    /// Judges the values of a page, and returns those to be replaced.
    async fn judge_page(
        &self,
        values: Vec<StoredValue>,
        visit: Visit,
        outcome: &mut BatchOutcome,
    ) -> Result<Vec<Replacement>, SweepError> {
        let keys = self.keys_of(&values).await?;
        let mut pending = Vec::with_capacity(values.len());
        for value in values {
            pending.extend(self.judge(value, &keys, visit, outcome)?);
        }
        Ok(pending)
    }

    /// Judges a value and counts it. On a repeated visit only values to be replaced are counted: the others were
    /// counted before.
    fn judge(
        &self,
        value: StoredValue,
        keys: &PageKeys,
        visit: Visit,
        outcome: &mut BatchOutcome,
    ) -> Result<Option<Replacement>, SealError> {
        let is_written = self.task.is_in_written_form(&self.value(&value, keys));
        let verdict = self.verdict(&value, keys)?;
        if visit == Visit::Repeated && !matches!(verdict, Verdict::Replace(..)) {
            return Ok(None);
        }
        let tally = &mut outcome.tally;
        let (Verdict::Keep(class) | Verdict::Replace(class, _) | Verdict::Fault(class, _)) =
            verdict;
        if self.is_excepted(&value.name) {
            match (&verdict, class) {
                (Verdict::Keep(Class::Plain | Class::Empty), _) => {
                    tally.excepted.plain += 1;
                    return Ok(None);
                }
                (_, Class::Classic(_) | Class::Sealed(_) | Class::OfUser) => {
                    tally.excepted.sealed += 1;
                }
                _ => {}
            }
        }
        match is_written {
            Some(true) => tally.members.written += 1,
            Some(false) => tally.members.other += 1,
            None => {}
        }
        tally.total += 1;
        tally.group(class, value.location, &value.bytes);
        if self.task.needs_expiry(class) {
            let expiring = (value.name.clone(), class, value.location);
            outcome.expiring.push(expiring);
        }
        match verdict {
            Verdict::Keep(Class::Empty) => tally.empty += 1,
            Verdict::Keep(Class::Erased) => tally.erased += 1,
            Verdict::Keep(_) => tally.already += 1,
            Verdict::Replace(..) if matches!(value.slot, Slot::StreamField(_)) => {
                tally.streams += 1;
            }
            Verdict::Replace(_, new) => return Ok(Some(Replacement { old: value, new })),
            Verdict::Fault(class, error) => {
                tally.failed += 1;
                if let OpenError::Version { .. } = error {
                    *tally.outdated.entry(class).or_default() += 1;
                }
                self.report(&value.name, &error.to_string(), outcome);
            }
        }
        Ok(None)
    }

    /// A stored value as tasks see it.
    fn value<'a>(&self, value: &'a StoredValue, keys: &'a PageKeys) -> Value<'a> {
        let user = self.pattern.user(value.name.as_bytes());
        Value {
            name: &value.name,
            slot: &value.slot,
            stored: &value.bytes,
            user: user.and_then(|user| keys.of(user)),
            is_excepted: self.is_excepted(&value.name),
        }
    }

    fn verdict(&self, value: &StoredValue, keys: &PageKeys) -> Result<Verdict, SealError> {
        let user = self.pattern.user(value.name.as_bytes());
        let bytes = &value.bytes;
        let value = self.value(value, keys);
        // A plain value under an excepted name stays plain, whatever is wrong with the user's key.
        let needs_key = !value.is_excepted || value.is_under_user_key();
        match user
            .filter(|_| needs_key)
            .and_then(|user| keys.obstacle(user, bytes))
        {
            Some(error) => Ok(value.fault(error)),
            None => self.task.judge(&value),
        }
    }

    async fn keys_of(&self, values: &[StoredValue]) -> Result<PageKeys, SweepError> {
        let purpose = match (self.task.seals(), self.dry_run) {
            (false, _) => Purpose::Open,
            (true, false) => Purpose::Seal,
            (true, true) => Purpose::DryRun,
        };
        let values = values.iter().map(|value| ValueToKey {
            name: &value.name,
            stored: &value.bytes,
            is_value: is_value(&value.slot, &value.bytes),
        });
        let values: Vec<_> = values.collect();
        self.keys
            .look_up_page(&self.pattern, purpose, &values)
            .await
    }

    /// Reads and counts the expiries that the task asked for.
    async fn fetch_expiries(&self, outcome: &mut BatchOutcome) -> Result<(), SweepError> {
        let expiring = std::mem::take(&mut outcome.expiring);
        if expiring.is_empty() {
            return Ok(());
        }
        let names: Vec<_> = expiring.iter().map(|(name, ..)| name.clone()).collect();
        let lifetimes = self.store.lifetimes(&names).await?;
        for ((_, class, location), lifetime) in expiring.into_iter().zip(lifetimes) {
            outcome.tally.count_expiry(class, location, lifetime);
        }
        Ok(())
    }

    /// Adds a finding. The same cause in many values of one record is one finding.
    fn report(&self, name: &RecordName, cause: &str, outcome: &mut BatchOutcome) {
        let record = self.mask.show(self.pattern.prefix(), name.as_bytes());
        let cause = cause.to_owned();
        let finding = Finding { record, cause };
        let mut of_record = outcome
            .findings
            .iter()
            .rev()
            .take_while(|other| other.record == finding.record);
        if !of_record.any(|other| *other == finding) {
            outcome.findings.push(finding);
        }
    }
}

impl Replacement {
    fn change(&self) -> Change<'_> {
        Change {
            name: &self.old.name,
            slot: &self.old.slot,
            expected: Some(&self.old.bytes),
            value: &self.new,
            expiry: Expiry::Keep,
        }
    }
}

/// Describes why a record could not be read.
fn read_failure(error: &StoreError) -> String {
    match error {
        StoreError::Unavailable { cause, .. } => format!(
            "reading it ends the connection ({cause}): it may be larger than \
             client-output-buffer-limit of the server allows"
        ),
        other => other.to_string(),
    }
}

/// Describes why a value could not be written.
fn write_failure(error: &StoreError, bytes: usize) -> String {
    match error {
        StoreError::Unavailable { cause, .. } => format!(
            "writing its {bytes} bytes ends the connection ({cause}): they may be more than \
             proto-max-bulk-len of the server allows"
        ),
        other => other.to_string(),
    }
}

pub(crate) fn count(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}
