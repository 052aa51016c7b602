//! One batch of a sweep: read, look up keys, judge, replace if unchanged, and look again at what changed in
//! between. It does not know where the names came from.

use std::sync::Arc;

use waxseal_core::{NameMask, SealError};
use waxseal_stores::{
    Change, Cursor, Expiry, Held, Outcome, RecordName, RecordPattern, RecordStore, Slot, StoreError,
};

use crate::keys::{Keys, PageKeys, Purpose};
use crate::sweep::SweepError;
use crate::tally::{Class, Finding, Sight, Tally};
use crate::task::{Task, Value, Verdict};

/// How often a value that others keep changing is tried.
const TRIES: usize = 5;
/// How often a list is gone through while its elements move about. Each time leaves a fraction of
/// what the time before left.
const ROUNDS: usize = 20;
/// Slots of a hash or list record that are read at a time.
const SLOTS: usize = 500;

/// What every batch needs.
pub(crate) struct Workbench {
    pub(crate) store: Arc<dyn RecordStore>,
    pub(crate) task: Arc<dyn Task>,
    pub(crate) keys: Keys,
    pub(crate) pattern: RecordPattern,
    pub(crate) mask: NameMask,
    pub(crate) dry_run: bool,
}

/// What came of a batch.
#[derive(Default)]
pub(crate) struct Yield {
    pub(crate) tally: Tally,
    pub(crate) findings: Vec<Finding>,
    /// Values of which it shall be told until when their records live. Looked up page by page.
    expiring: Vec<(RecordName, Class, Sight)>,
}

/// A value as it was read.
struct Stored {
    name: RecordName,
    slot: Slot,
    bytes: Vec<u8>,
}

/// A value that shall be replaced.
struct Pending {
    old: Stored,
    new: Vec<u8>,
}

impl Workbench {
    /// Works on these records. After an error the result holds what was done before it.
    pub(crate) async fn batch(
        &self,
        names: Vec<RecordName>,
        result: &mut Yield,
    ) -> Result<(), SweepError> {
        let mut whole = Vec::with_capacity(names.len());
        let mut parted = Vec::new();
        let held = self.store.read(&names).await?;
        for (name, held) in names.into_iter().zip(held) {
            match held {
                // Expired or deleted since it was scanned.
                None => {}
                Some(Held::String(bytes)) => whole.push(Stored {
                    name,
                    slot: Slot::Whole,
                    bytes,
                }),
                Some(Held::Hash | Held::List) => parted.push(name),
                Some(other @ Held::Other(_)) => {
                    result.tally.skip(&other);
                    let cause = format!("a {} cannot be sealed: left as it is", other.kind());
                    self.find(&name, &cause, result);
                }
            }
        }
        let pending = self.judge_page(whole, false, result).await?;
        self.replace(pending, result).await?;
        self.lifetimes(result).await?;
        for name in parted {
            self.slots(&name, result).await?;
        }
        Ok(())
    }

    /// Goes through a hash or list record, and again while elements of a list may have moved to
    /// where it had been already (a queue is worked off at its head). What is found to do then was
    /// not counted before.
    async fn slots(&self, name: &RecordName, result: &mut Yield) -> Result<(), SweepError> {
        for round in 0..ROUNDS {
            if self.round(name, round > 0, result).await? {
                break;
            }
        }
        Ok(())
    }

    /// Goes through a hash or list record once, in pages, so that a large one is never held whole.
    /// Whether that was enough.
    async fn round(
        &self,
        name: &RecordName,
        again: bool,
        result: &mut Yield,
    ) -> Result<bool, SweepError> {
        let mut cursor = Cursor::start();
        let mut enough = true;
        loop {
            let page = match self.store.read_slots(name, &cursor, SLOTS).await {
                Ok(page) => page,
                // Replaced by a record of another type since it was read.
                Err(StoreError::WrongType) => return Ok(true),
                Err(error) => return Err(error.into()),
            };
            let whole = cursor.is_start() && page.next.is_none();
            let values = page.slots.into_iter().map(|(slot, bytes)| Stored {
                name: name.clone(),
                slot,
                bytes,
            });
            let pending = self.judge_page(values.collect(), again, result).await?;
            let first = pending.first().map(|value| &value.old.slot);
            let is_list = matches!(first, Some(Slot::Element(_)));
            let moved = self.replace_slots(pending, result).await?;
            self.lifetimes(result).await?;
            enough &= !is_list || (whole && !moved);
            match page.next {
                Some(next) => cursor = next,
                None => return Ok(enough || self.dry_run),
            }
        }
    }

    /// Judges the values of a page. What shall be replaced is returned.
    async fn judge_page(
        &self,
        values: Vec<Stored>,
        again: bool,
        result: &mut Yield,
    ) -> Result<Vec<Pending>, SweepError> {
        let keys = self.keys_of(&values).await?;
        let mut pending = Vec::with_capacity(values.len());
        for value in values {
            pending.extend(self.judge(value, &keys, again, result)?);
        }
        Ok(pending)
    }

    /// Judges a value and counts it; in a place that was looked at before only if there is something
    /// to do.
    fn judge(
        &self,
        value: Stored,
        keys: &PageKeys,
        again: bool,
        result: &mut Yield,
    ) -> Result<Option<Pending>, SealError> {
        let verdict = self.verdict(&value, keys)?;
        if again && !matches!(verdict, Verdict::Replace(..)) {
            return Ok(None);
        }
        let tally = &mut result.tally;
        tally.total += 1;
        let (Verdict::Keep(class) | Verdict::Replace(class, _) | Verdict::Fault(class, _)) =
            verdict;
        tally.group(class, &value.slot, value.bytes.len());
        if self.task.wants_lifetime(class) {
            let expiring = (value.name.clone(), class, Sight::of(&value.slot));
            result.expiring.push(expiring);
        }
        match verdict {
            Verdict::Keep(Class::Empty) => tally.empty += 1,
            Verdict::Keep(Class::Erased) => tally.erased += 1,
            Verdict::Keep(_) => tally.already += 1,
            Verdict::Replace(_, new) => return Ok(Some(Pending { old: value, new })),
            Verdict::Fault(_, error) => {
                tally.failed += 1;
                self.find(&value.name, &error.to_string(), result);
            }
        }
        Ok(None)
    }

    fn verdict(&self, value: &Stored, keys: &PageKeys) -> Result<Verdict, SealError> {
        let Stored { name, slot, bytes } = value;
        let user = self.pattern.user(name.as_bytes());
        let value = Value {
            name,
            slot,
            stored: bytes,
            user: user.and_then(|user| keys.of(user)),
        };
        match user.and_then(|user| keys.obstacle(user, bytes)) {
            Some(error) => Ok(value.fault(error)),
            None => self.task.judge(&value),
        }
    }

    async fn keys_of(&self, values: &[Stored]) -> Result<PageKeys, SweepError> {
        let purpose = match (self.task.seals(), self.dry_run) {
            (false, _) => Purpose::Open,
            (true, false) => Purpose::Seal,
            (true, true) => Purpose::SealForShow,
        };
        let values: Vec<_> = values.iter().map(|v| (&v.name, &*v.bytes)).collect();
        self.keys.of_page(&self.pattern, purpose, &values).await
    }

    /// Replaces slots that are still as they were judged, and looks again at the rest, one by one:
    /// the elements of a list that is pushed to keep moving. Whether there was a rest.
    async fn replace_slots(
        &self,
        pending: Vec<Pending>,
        result: &mut Yield,
    ) -> Result<bool, SweepError> {
        if self.dry_run {
            self.replace(pending, result).await?;
            return Ok(false);
        }
        let changed = self.attempt(pending, result).await?;
        let moved = !changed.is_empty();
        for value in changed {
            let pending = self.look_again(vec![value], result).await?;
            self.replace(pending, result).await?;
        }
        Ok(moved)
    }

    /// Replaces values until none is left, or others keep changing them.
    async fn replace(
        &self,
        mut pending: Vec<Pending>,
        result: &mut Yield,
    ) -> Result<(), SweepError> {
        if self.dry_run {
            result.tally.done += count(pending.len());
            return Ok(());
        }
        for _ in 0..TRIES {
            let changed = self.attempt(pending, result).await?;
            if changed.is_empty() {
                return Ok(());
            }
            pending = self.look_again(changed, result).await?;
        }
        for value in pending {
            result.tally.failed += 1;
            let cause = "changed by other writers again and again: left as it is";
            self.find(&value.old.name, cause, result);
        }
        Ok(())
    }

    /// Replaces each value that is unchanged, and returns the others.
    async fn attempt(
        &self,
        pending: Vec<Pending>,
        result: &mut Yield,
    ) -> Result<Vec<Pending>, SweepError> {
        if pending.is_empty() {
            return Ok(pending);
        }
        let changes: Vec<_> = pending.iter().map(Pending::change).collect();
        let outcomes = self.store.replace_if_unchanged(&changes).await?;
        let mut changed = Vec::new();
        for (value, outcome) in pending.into_iter().zip(outcomes) {
            match outcome {
                Outcome::Done => result.tally.done += 1,
                Outcome::Changed => changed.push(value),
            }
        }
        Ok(changed)
    }

    /// Judges what other writers changed under our hands. What still needs work is returned.
    async fn look_again(
        &self,
        changed: Vec<Pending>,
        result: &mut Yield,
    ) -> Result<Vec<Pending>, SweepError> {
        let read = self.read_again(&changed).await?;
        let mut values = Vec::with_capacity(changed.len());
        for (Pending { old, .. }, bytes) in changed.into_iter().zip(read) {
            match bytes {
                Some(bytes) => values.push(Stored { bytes, ..old }),
                None => result.tally.raced += 1,
            }
        }
        let keys = self.keys_of(&values).await?;
        let mut pending = Vec::new();
        for old in values {
            match self.verdict(&old, &keys)? {
                Verdict::Keep(_) => result.tally.raced += 1,
                Verdict::Replace(_, new) => pending.push(Pending { old, new }),
                Verdict::Fault(_, error) => {
                    result.tally.failed += 1;
                    self.find(&old.name, &error.to_string(), result);
                }
            }
        }
        Ok(pending)
    }

    /// What these places hold now; nothing where a value or its record is gone. String records are
    /// read at once: the shorter the time until they are replaced, the fewer change again.
    async fn read_again(&self, changed: &[Pending]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        let places = changed
            .iter()
            .map(|value| (&value.old.name, &value.old.slot));
        let whole = places.clone().filter(|(_, slot)| **slot == Slot::Whole);
        let names: Vec<_> = whole.map(|(name, _)| name.clone()).collect();
        let mut held = self.store.read(&names).await?.into_iter();
        let mut stored = Vec::with_capacity(changed.len());
        for (name, slot) in places {
            stored.push(match slot {
                Slot::Whole => match held.next().flatten() {
                    Some(Held::String(stored)) => Some(stored),
                    _ => None,
                },
                _ => match self.store.get(name, slot).await {
                    Err(StoreError::WrongType) => None,
                    stored => stored?,
                },
            });
        }
        Ok(stored)
    }

    async fn lifetimes(&self, result: &mut Yield) -> Result<(), SweepError> {
        let expiring = std::mem::take(&mut result.expiring);
        if expiring.is_empty() {
            return Ok(());
        }
        let names: Vec<_> = expiring.iter().map(|(name, ..)| name.clone()).collect();
        let lifetimes = self.store.lifetimes(&names).await?;
        for ((_, class, sight), lifetime) in expiring.into_iter().zip(lifetimes) {
            result.tally.lives(class, sight, lifetime);
        }
        Ok(())
    }

    /// Notes a finding. The same cause in many values of one record is one finding.
    fn find(&self, name: &RecordName, cause: &str, result: &mut Yield) {
        let record = self.mask.show(self.pattern.prefix(), name.as_bytes());
        let cause = cause.to_owned();
        let finding = Finding { record, cause };
        let mut of_record = result
            .findings
            .iter()
            .rev()
            .take_while(|other| other.record == finding.record);
        if !of_record.any(|other| *other == finding) {
            result.findings.push(finding);
        }
    }
}

impl Pending {
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

pub(crate) fn count(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}
