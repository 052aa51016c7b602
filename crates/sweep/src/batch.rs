//! One batch of a sweep: read, judge, replace if unchanged, and look again at what changed in
//! between. It does not know where the names came from.

use std::sync::Arc;

use waxseal_core::{NameMask, SealError};
use waxseal_stores::{
    Change, Cursor, Expiry, Held, Outcome, RecordName, RecordStore, Slot, StoreError,
};

use crate::sweep::SweepError;
use crate::tally::{Class, Finding, Tally};
use crate::task::{Task, Value, Verdict};

/// How often a value that others keep changing is tried.
const TRIES: usize = 5;
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
}

/// A value that shall be replaced.
struct Pending {
    name: RecordName,
    slot: Slot,
    stored: Vec<u8>,
    new: Vec<u8>,
}

impl Workbench {
    pub(crate) async fn batch(&self, names: Vec<RecordName>) -> Result<Yield, SweepError> {
        let mut result = Yield::default();
        let mut pending = Vec::with_capacity(names.len());
        let mut expiring = Vec::new();
        let mut parted = Vec::new();
        let held = self.store.read(&names).await?;
        for (name, held) in names.into_iter().zip(held) {
            match held {
                // Expired or deleted since it was scanned.
                None => {}
                Some(Held::String(stored)) => {
                    let slot = Slot::Whole;
                    self.judge(name, slot, stored, &mut result, &mut pending, &mut expiring)?;
                }
                Some(Held::Hash | Held::List) => parted.push(name),
                Some(other @ Held::Other(_)) => {
                    result.tally.skip(&other);
                    result.findings.push(self.finding(
                        &name,
                        &format!("a {} cannot be sealed: left as it is", other.kind()),
                    ));
                }
            }
        }
        self.replace(pending, &mut result).await?;
        for name in parted {
            self.slots(&name, &mut result, &mut expiring).await?;
        }
        self.lifetimes(expiring, &mut result).await?;
        Ok(result)
    }

    /// Goes through a hash or list record in pages, so that a large one is never held whole.
    async fn slots(
        &self,
        name: &RecordName,
        result: &mut Yield,
        expiring: &mut Vec<(RecordName, Class, Slot)>,
    ) -> Result<(), SweepError> {
        let mut cursor = Cursor::start();
        loop {
            let page = match self.store.read_slots(name, &cursor, SLOTS).await {
                Ok(page) => page,
                // Replaced by a record of another type since it was read.
                Err(StoreError::WrongType) => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            let mut pending = Vec::with_capacity(page.slots.len());
            for (slot, stored) in page.slots {
                self.judge(name.clone(), slot, stored, result, &mut pending, expiring)?;
            }
            self.replace(pending, result).await?;
            match page.next {
                Some(next) => cursor = next,
                None => return Ok(()),
            }
        }
    }

    /// Judges a value for the first time, and counts it.
    fn judge(
        &self,
        name: RecordName,
        slot: Slot,
        stored: Vec<u8>,
        result: &mut Yield,
        pending: &mut Vec<Pending>,
        expiring: &mut Vec<(RecordName, Class, Slot)>,
    ) -> Result<(), SealError> {
        let verdict = self.task.judge(&Value {
            name: &name,
            slot: &slot,
            stored: &stored,
        })?;
        let tally = &mut result.tally;
        tally.total += 1;
        let (Verdict::Keep(class) | Verdict::Replace(class, _) | Verdict::Fault(class, _)) =
            verdict;
        tally.group(class, &slot, stored.len());
        if self.task.wants_lifetime(class) {
            expiring.push((name.clone(), class, slot.clone()));
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
                result
                    .findings
                    .push(self.finding(&name, &error.to_string()));
            }
        }
        Ok(())
    }

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
            if pending.is_empty() {
                return Ok(());
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
            pending = self.look_again(changed, result).await?;
        }
        for value in pending {
            result.tally.failed += 1;
            let cause = "changed by other writers again and again: left as it is";
            result.findings.push(self.finding(&value.name, cause));
        }
        Ok(())
    }

    /// Judges what other writers changed under our hands. What still needs work is returned.
    async fn look_again(
        &self,
        changed: Vec<Pending>,
        result: &mut Yield,
    ) -> Result<Vec<Pending>, SweepError> {
        let mut pending = Vec::new();
        for Pending { name, slot, .. } in changed {
            let stored = match self.store.get(&name, &slot).await {
                Ok(Some(stored)) => stored,
                Ok(None) | Err(StoreError::WrongType) => {
                    result.tally.raced += 1;
                    continue;
                }
                Err(error) => return Err(error.into()),
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
                    result
                        .findings
                        .push(self.finding(&name, &error.to_string()));
                }
            }
        }
        Ok(pending)
    }

    async fn lifetimes(
        &self,
        expiring: Vec<(RecordName, Class, Slot)>,
        result: &mut Yield,
    ) -> Result<(), SweepError> {
        if expiring.is_empty() {
            return Ok(());
        }
        let names: Vec<_> = expiring.iter().map(|(name, ..)| name.clone()).collect();
        let lifetimes = self.store.lifetimes(&names).await?;
        for ((_, class, slot), lifetime) in expiring.into_iter().zip(lifetimes) {
            result.tally.lives(class, &slot, lifetime);
        }
        Ok(())
    }

    fn finding(&self, name: &RecordName, cause: &str) -> Finding {
        let record = self.mask.show(&self.prefix, name.as_bytes());
        Finding {
            record,
            cause: cause.to_owned(),
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

fn count(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}
