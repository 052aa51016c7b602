//! Replaces values that have not changed since they were judged. Values that other writers changed first are read and
//! judged again, a few times.

use waxseal_stores::{Outcome, Record, RecordName, Slot, StoreError};

use super::{
    BatchContext, BatchOutcome, Replacement, StoredValue, count, read_failure, write_failure,
};
use crate::requests::Answer;
use crate::sweep::SweepError;
use crate::task::Verdict;

/// Attempts to replace a value that other writers keep changing.
const MAX_ATTEMPTS: usize = 5;

/// Values that other writers changed first.
#[derive(Default)]
struct Contended {
    values: Vec<Replacement>,
    /// True if some may have been written by this sweep, in a request whose answer was lost.
    is_repeated: bool,
}

impl BatchContext {
    /// Replaces slots of one record. The elements of a list that others push to keep moving, so those that changed
    /// are read and replaced one by one. Returns true if there were any.
    pub(super) async fn replace_slots(
        &self,
        pending: Vec<Replacement>,
        outcome: &mut BatchOutcome,
    ) -> Result<bool, SweepError> {
        if self.dry_run {
            self.replace(pending, outcome).await?;
            return Ok(false);
        }
        let contended = self.attempt(pending, outcome).await?;
        let has_moved = !contended.values.is_empty();
        for value in contended.values {
            let one = Contended {
                values: vec![value],
                is_repeated: contended.is_repeated,
            };
            let pending = self.recheck(one, outcome).await?;
            self.replace(pending, outcome).await?;
        }
        Ok(has_moved)
    }

    /// Replaces values until none is left. Those that other writers keep changing are reported.
    pub(super) async fn replace(
        &self,
        mut pending: Vec<Replacement>,
        outcome: &mut BatchOutcome,
    ) -> Result<(), SweepError> {
        if self.dry_run {
            outcome.tally.done += count(pending.len());
            return Ok(());
        }
        for _ in 0..MAX_ATTEMPTS {
            let contended = self.attempt(pending, outcome).await?;
            if contended.values.is_empty() {
                return Ok(());
            }
            pending = self.recheck(contended, outcome).await?;
        }
        for value in pending {
            outcome.tally.failed += 1;
            let cause = "changed by other writers again and again: skipped";
            self.report(&value.old.name, cause, outcome);
        }
        Ok(())
    }

    /// Replaces each value that has not changed, and returns the others. A value that the store refuses is reported.
    async fn attempt(
        &self,
        pending: Vec<Replacement>,
        outcome: &mut BatchOutcome,
    ) -> Result<Contended, SweepError> {
        let mut contended = Contended::default();
        if pending.is_empty() {
            return Ok(contended);
        }
        let changes: Vec<_> = pending.iter().map(Replacement::change).collect();
        let replaced = self.requests.replace(&changes).await?;
        contended.is_repeated = replaced.is_repeated;
        for (value, result) in pending.into_iter().zip(replaced.outcomes) {
            match result {
                Answer::Served(Outcome::Done) => outcome.tally.done += 1,
                Answer::Served(Outcome::Changed) => contended.values.push(value),
                Answer::Abandoned(error) => {
                    outcome.tally.failed += 1;
                    let cause = write_failure(&error, value.new.len());
                    self.report(&value.old.name, &cause, outcome);
                }
            }
        }
        Ok(contended)
    }

    /// Reads and judges values again that other writers changed, and returns those that are still to be replaced.
    async fn recheck(
        &self,
        contended: Contended,
        outcome: &mut BatchOutcome,
    ) -> Result<Vec<Replacement>, SweepError> {
        let mut values = Vec::with_capacity(contended.values.len());
        let current = self.reread(&contended.values).await?;
        for (Replacement { old, new }, bytes) in contended.values.into_iter().zip(current) {
            match bytes {
                // Written by the request whose answer was lost: no other writer produces these bytes.
                Answer::Served(Some(bytes)) if contended.is_repeated && bytes == new => {
                    outcome.tally.done += 1;
                }
                Answer::Served(Some(bytes)) => values.push(StoredValue { bytes, ..old }),
                Answer::Served(None) => outcome.tally.raced += 1,
                Answer::Abandoned(error) => {
                    outcome.tally.failed += 1;
                    self.report(&old.name, &read_failure(&error), outcome);
                }
            }
        }
        let keys = self.keys_of(&values).await?;
        let mut pending = Vec::new();
        for old in values {
            match self.verdict(&old, &keys)? {
                Verdict::Keep(_) => outcome.tally.raced += 1,
                Verdict::Replace(_, new) => pending.push(Replacement { old, new }),
                Verdict::Fault(_, error) => {
                    outcome.tally.failed += 1;
                    self.report(&old.name, &error.to_string(), outcome);
                }
            }
        }
        Ok(pending)
    }

    /// Returns the bytes in these slots now; `None` if a value or its record no longer exists. String records are
    /// read together: the less time until they are replaced, the fewer of them change again.
    async fn reread(
        &self,
        values: &[Replacement],
    ) -> Result<Vec<Answer<Option<Vec<u8>>>>, StoreError> {
        let slots = values
            .iter()
            .map(|value| (&value.old.name, &value.old.slot));
        let strings = slots.clone().filter(|(_, slot)| **slot == Slot::Whole);
        let names: Vec<RecordName> = strings.map(|(name, _)| name.clone()).collect();
        let mut contents = Vec::with_capacity(names.len());
        while let Some(remaining) = names.get(contents.len()..).filter(|it| !it.is_empty()) {
            contents.extend(self.requests.read(remaining).await?);
        }
        let mut contents = contents.into_iter();
        let mut current = Vec::with_capacity(values.len());
        for (name, slot) in slots {
            current.push(match slot {
                Slot::Whole => match contents.next() {
                    Some(Answer::Served(Some(Record::String(bytes)))) => {
                        Answer::Served(Some(bytes))
                    }
                    Some(Answer::Abandoned(error)) => Answer::Abandoned(error),
                    _ => Answer::Served(None),
                },
                _ => self.requests.get(name, slot).await?,
            });
        }
        Ok(current)
    }
}
