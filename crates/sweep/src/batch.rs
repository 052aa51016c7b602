//! One batch of a sweep: read, judge, replace if unchanged, and look again at what changed in
//! between. It does not know where the names came from.

use std::sync::Arc;

use waxseal_core::{NameMask, SealError};
use waxseal_stores::{
    Change, Cursor, Expiry, Held, Outcome, RecordName, RecordStore, Slot, StoreError,
};

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
    /// What may be shown of a name.
    pub(crate) prefix: String,
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

/// A value that shall be replaced.
struct Pending {
    name: RecordName,
    slot: Slot,
    stored: Vec<u8>,
    new: Vec<u8>,
}

impl Workbench {
    /// Works on these records. After an error the result holds what was done before it.
    pub(crate) async fn batch(
        &self,
        names: Vec<RecordName>,
        result: &mut Yield,
    ) -> Result<(), SweepError> {
        let mut pending = Vec::with_capacity(names.len());
        let mut parted = Vec::new();
        let held = self.store.read(&names).await?;
        for (name, held) in names.into_iter().zip(held) {
            match held {
                // Expired or deleted since it was scanned.
                None => {}
                Some(Held::String(stored)) => {
                    self.judge(name, Slot::Whole, stored, false, result, &mut pending)?;
                }
                Some(Held::Hash | Held::List) => parted.push(name),
                Some(other @ Held::Other(_)) => {
                    result.tally.skip(&other);
                    let cause = format!("a {} cannot be sealed: left as it is", other.kind());
                    self.find(&name, &cause, result);
                }
            }
        }
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
            let mut pending = Vec::with_capacity(page.slots.len());
            for (slot, stored) in page.slots {
                self.judge(name.clone(), slot, stored, again, result, &mut pending)?;
            }
            let is_list = matches!(
                pending.first(),
                Some(Pending {
                    slot: Slot::Element(_),
                    ..
                })
            );
            let moved = self.replace_slots(pending, result).await?;
            self.lifetimes(result).await?;
            enough &= !is_list || (whole && !moved);
            match page.next {
                Some(next) => cursor = next,
                None => return Ok(enough || self.dry_run),
            }
        }
    }

    /// Judges a value and counts it; in a place that was looked at before only if there is something
    /// to do.
    fn judge(
        &self,
        name: RecordName,
        slot: Slot,
        stored: Vec<u8>,
        again: bool,
        result: &mut Yield,
        pending: &mut Vec<Pending>,
    ) -> Result<(), SealError> {
        let verdict = self.task.judge(&Value {
            name: &name,
            slot: &slot,
            stored: &stored,
        })?;
        if again && !matches!(verdict, Verdict::Replace(..)) {
            return Ok(());
        }
        let tally = &mut result.tally;
        tally.total += 1;
        let (Verdict::Keep(class) | Verdict::Replace(class, _) | Verdict::Fault(class, _)) =
            verdict;
        tally.group(class, &slot, stored.len());
        if self.task.wants_lifetime(class) {
            let expiring = (name.clone(), class, Sight::of(&slot));
            result.expiring.push(expiring);
        }
        match verdict {
            Verdict::Keep(Class::Empty) => tally.empty += 1,
            Verdict::Keep(_) => tally.already += 1,
            Verdict::Replace(_, new) => pending.push(Pending {
                name,
                slot,
                stored,
                new,
            }),
            Verdict::Fault(_, error) => {
                tally.failed += 1;
                self.find(&name, &error.to_string(), result);
            }
        }
        Ok(())
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
            self.find(&value.name, cause, result);
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
        let mut pending = Vec::new();
        let stored = self.read_again(&changed).await?;
        for (Pending { name, slot, .. }, stored) in changed.into_iter().zip(stored) {
            let Some(stored) = stored else {
                result.tally.raced += 1;
                continue;
            };
            match self.task.judge(&Value {
                name: &name,
                slot: &slot,
                stored: &stored,
            })? {
                Verdict::Keep(_) => result.tally.raced += 1,
                Verdict::Replace(_, new) => pending.push(Pending {
                    name,
                    slot,
                    stored,
                    new,
                }),
                Verdict::Fault(_, error) => {
                    result.tally.failed += 1;
                    self.find(&name, &error.to_string(), result);
                }
            }
        }
        Ok(pending)
    }

    /// What these places hold now; nothing where a value or its record is gone. String records are
    /// read at once: the shorter the time until they are replaced, the fewer change again.
    async fn read_again(&self, changed: &[Pending]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        let whole = |value: &&Pending| value.slot == Slot::Whole;
        let names: Vec<_> = changed
            .iter()
            .filter(whole)
            .map(|v| v.name.clone())
            .collect();
        let mut held = self.store.read(&names).await?.into_iter();
        let mut stored = Vec::with_capacity(changed.len());
        for value in changed {
            stored.push(match value.slot {
                Slot::Whole => match held.next().flatten() {
                    Some(Held::String(stored)) => Some(stored),
                    _ => None,
                },
                _ => match self.store.get(&value.name, &value.slot).await {
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
        let record = self.mask.show(&self.prefix, name.as_bytes());
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
            name: &self.name,
            slot: &self.slot,
            expected: Some(&self.stored),
            value: &self.new,
            expiry: Expiry::Keep,
        }
    }
}

pub(crate) fn count(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}
