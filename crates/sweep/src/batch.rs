//! One batch of a sweep: read, look up keys, judge, replace if unchanged, and look again at what changed in
//! between. It does not know where the names came from.

use std::sync::Arc;

use waxseal_core::{NameMask, SealError};
use waxseal_stores::{
    Change, Cursor, Expiry, Held, Outcome, RecordName, RecordPattern, RecordStore, Slot, StoreError,
};

use crate::keys::{Keys, PageKeys, Purpose};
use crate::requests::Requests;
use crate::sweep::SweepError;
use crate::tally::{Class, Finding, Tally, ValueLocation};
use crate::task::{Scope, Task, Value, Verdict};

/// How often a value that others keep changing is tried.
const TRIES: usize = 5;
/// How often a list is gone through while its elements move about. Each time leaves a fraction of
/// what the time before left.
const ROUNDS: usize = 20;
/// Shorter records are given as much time as this many slots take.
const SHORT: u64 = 1_000;
/// The same where the store does not tell how long a record is.
const VERY_LONG: u64 = 1_000_000;
/// A record that grows so fast has other problems than its values.
const GROWS: &str =
    "it grows faster than it can be gone through: some of its values were not looked at";

/// What every batch needs.
pub(crate) struct BatchContext {
    pub(crate) store: Arc<dyn RecordStore>,
    pub(crate) requests: Arc<Requests>,
    pub(crate) task: Arc<dyn Task>,
    pub(crate) keys: Keys,
    pub(crate) pattern: RecordPattern,
    pub(crate) mask: NameMask,
    pub(crate) dry_run: bool,
}

/// What came of a batch.
#[derive(Default)]
pub(crate) struct BatchOutcome {
    pub(crate) tally: Tally,
    pub(crate) findings: Vec<Finding>,
    /// Values of which it shall be told until when their records live. Looked up page by page.
    expiring: Vec<(RecordName, Class, ValueLocation)>,
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

impl BatchContext {
    /// Works on these records. After an error the result holds what was done before it.
    pub(crate) async fn batch(
        &self,
        names: Vec<RecordName>,
        result: &mut BatchOutcome,
    ) -> Result<(), SweepError> {
        let names = self.in_scope(names, result);
        let mut rest = names.as_slice();
        while !rest.is_empty() {
            let held = self.requests.read(rest).await?;
            let (page, others) = rest.split_at(held.len().clamp(1, rest.len()));
            rest = others;
            self.page(page.iter().cloned().zip(held), result).await?;
        }
        Ok(())
    }

    /// The records that the task looks at.
    fn in_scope(&self, mut names: Vec<RecordName>, result: &mut BatchOutcome) -> Vec<RecordName> {
        let scope = self.task.scope();
        if scope != Scope::All && (self.pattern.has_excepts() || scope == Scope::Excepted) {
            let all = names.len();
            let is_wanted = scope == Scope::Excepted;
            names.retain(|name| self.is_excepted(name) == is_wanted);
            if scope == Scope::NotExcepted {
                result.tally.excepted.skipped += count(all.saturating_sub(names.len()));
            }
        }
        names
    }

    fn is_excepted(&self, name: &RecordName) -> bool {
        self.pattern.is_excepted(name.as_bytes())
    }

    /// Works on records that were read.
    async fn page(
        &self,
        records: impl Iterator<Item = (RecordName, Result<Option<Held>, StoreError>)>,
        result: &mut BatchOutcome,
    ) -> Result<(), SweepError> {
        let mut whole = Vec::new();
        let mut parted = Vec::new();
        for (name, held) in records {
            match held {
                // Expired or deleted since it was scanned.
                Ok(None) => {}
                Ok(Some(Held::String(bytes))) => whole.push(Stored {
                    name,
                    slot: Slot::Whole,
                    bytes,
                }),
                Ok(Some(Held::Hash | Held::List)) => parted.push(name),
                Ok(Some(Held::Other(_))) if self.is_excepted(&name) => {
                    result.tally.excepted.other_types += 1;
                }
                Ok(Some(other @ Held::Other(_))) => {
                    result.tally.skip(&other);
                    let cause = format!("a {} cannot be sealed: left as it is", other.kind());
                    self.find(&name, &cause, result);
                }
                Err(error) => {
                    result.tally.miss();
                    self.find(&name, &unread(&error), result);
                }
            }
        }
        let pending = self.judge_page(whole, false, result).await?;
        self.replace(pending, result).await?;
        self.fetch_expiries(result).await?;
        for name in parted {
            self.slots(&name, result).await?;
        }
        Ok(())
    }

    /// Goes through a hash or list record, and again while elements of a list may have moved to
    /// where it had been already (a queue is worked off at its head). What is found to do then was
    /// not counted before.
    async fn slots(&self, name: &RecordName, result: &mut BatchOutcome) -> Result<(), SweepError> {
        let mut reach = Reach::default();
        for round in 0..ROUNDS {
            match self.round(name, round > 0, &mut reach, result).await? {
                Round::Enough => return Ok(()),
                Round::Unfinished(cause) => {
                    result.tally.miss();
                    self.find(name, &cause, result);
                    return Ok(());
                }
                Round::Moved => {}
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
        reach: &mut Reach,
        result: &mut BatchOutcome,
    ) -> Result<Round, SweepError> {
        let mut cursor = Cursor::start();
        let mut enough = true;
        loop {
            let page = match self.requests.slots(name, &cursor).await {
                Ok(Ok(page)) => page,
                Ok(Err(error)) => return Ok(Round::Unfinished(unread(&error))),
                // Replaced by a record of another type since it was read.
                Err(StoreError::WrongType) => return Ok(Round::Enough),
                Err(error) => return Err(error.into()),
            };
            reach.seen += count(page.slots.len());
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
            self.fetch_expiries(result).await?;
            enough &= !is_list || (whole && !moved);
            match page.next {
                Some(_) if reach.is_over(&*self.store, name).await? => {
                    return Ok(Round::Unfinished(GROWS.to_owned()));
                }
                Some(next) => cursor = next,
                None if enough || self.dry_run => return Ok(Round::Enough),
                None => return Ok(Round::Moved),
            }
        }
    }

    /// Judges the values of a page. What shall be replaced is returned.
    async fn judge_page(
        &self,
        values: Vec<Stored>,
        again: bool,
        result: &mut BatchOutcome,
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
        result: &mut BatchOutcome,
    ) -> Result<Option<Pending>, SealError> {
        let verdict = self.verdict(&value, keys)?;
        if again && !matches!(verdict, Verdict::Replace(..)) {
            return Ok(None);
        }
        let tally = &mut result.tally;
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
        tally.total += 1;
        tally.group(class, &value.slot, value.bytes.len());
        if self.task.wants_lifetime(class) {
            let expiring = (value.name.clone(), class, ValueLocation::of(&value.slot));
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
            is_excepted: self.is_excepted(name),
        };
        // What is not under a user's key, and stays so, has nothing to do with it.
        let needs_key = !value.is_excepted || value.is_under_user_key();
        match user
            .filter(|_| needs_key)
            .and_then(|user| keys.obstacle(user, bytes))
        {
            Some(error) => Ok(value.fault(error)),
            None => self.task.judge(&value),
        }
    }

    async fn keys_of(&self, values: &[Stored]) -> Result<PageKeys, SweepError> {
        let purpose = match (self.task.seals(), self.dry_run) {
            (false, _) => Purpose::Open,
            (true, false) => Purpose::Seal,
            (true, true) => Purpose::DryRun,
        };
        let values: Vec<_> = values.iter().map(|v| (&v.name, &*v.bytes)).collect();
        self.keys
            .look_up_page(&self.pattern, purpose, &values)
            .await
    }

    /// Replaces slots that are still as they were judged, and looks again at the rest, one by one:
    /// the elements of a list that is pushed to keep moving. Whether there was a rest.
    async fn replace_slots(
        &self,
        pending: Vec<Pending>,
        result: &mut BatchOutcome,
    ) -> Result<bool, SweepError> {
        if self.dry_run {
            self.replace(pending, result).await?;
            return Ok(false);
        }
        let changed = self.attempt(pending, result).await?;
        let moved = !changed.values.is_empty();
        for value in changed.values {
            let one = Changed {
                values: vec![value],
                repeated: changed.repeated,
            };
            let pending = self.look_again(one, result).await?;
            self.replace(pending, result).await?;
        }
        Ok(moved)
    }

    /// Replaces values until none is left, or others keep changing them.
    async fn replace(
        &self,
        mut pending: Vec<Pending>,
        result: &mut BatchOutcome,
    ) -> Result<(), SweepError> {
        if self.dry_run {
            result.tally.done += count(pending.len());
            return Ok(());
        }
        for _ in 0..TRIES {
            let changed = self.attempt(pending, result).await?;
            if changed.values.is_empty() {
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

    /// Replaces each value that is unchanged, and returns the others. One that the store does not take
    /// is left as it is.
    async fn attempt(
        &self,
        pending: Vec<Pending>,
        result: &mut BatchOutcome,
    ) -> Result<Changed, SweepError> {
        let mut changed = Changed::default();
        if pending.is_empty() {
            return Ok(changed);
        }
        let changes: Vec<_> = pending.iter().map(Pending::change).collect();
        let replaced = self.requests.replace(&changes).await?;
        changed.repeated = replaced.repeated;
        for (value, outcome) in pending.into_iter().zip(replaced.outcomes) {
            match outcome {
                Ok(Outcome::Done) => result.tally.done += 1,
                Ok(Outcome::Changed) => changed.values.push(value),
                Err(error) => {
                    result.tally.failed += 1;
                    self.find(&value.old.name, &unwritten(&error, value.new.len()), result);
                }
            }
        }
        Ok(changed)
    }

    /// Judges what other writers changed under our hands. What still needs work is returned.
    async fn look_again(
        &self,
        changed: Changed,
        result: &mut BatchOutcome,
    ) -> Result<Vec<Pending>, SweepError> {
        let mut values = Vec::with_capacity(changed.values.len());
        let read = self.read_again(&changed.values).await?;
        for (Pending { old, new }, bytes) in changed.values.into_iter().zip(read) {
            match bytes {
                // By the request whose answer was lost: no other writer makes these bytes.
                Ok(Some(bytes)) if changed.repeated && bytes == new => result.tally.done += 1,
                Ok(Some(bytes)) => values.push(Stored { bytes, ..old }),
                Ok(None) => result.tally.raced += 1,
                Err(error) => {
                    result.tally.failed += 1;
                    self.find(&old.name, &unread(&error), result);
                }
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
    async fn read_again(
        &self,
        changed: &[Pending],
    ) -> Result<Vec<Result<Option<Vec<u8>>, StoreError>>, StoreError> {
        let places = changed
            .iter()
            .map(|value| (&value.old.name, &value.old.slot));
        let whole = places.clone().filter(|(_, slot)| **slot == Slot::Whole);
        let names: Vec<_> = whole.map(|(name, _)| name.clone()).collect();
        let mut held = Vec::with_capacity(names.len());
        while let Some(rest) = names.get(held.len()..).filter(|rest| !rest.is_empty()) {
            held.extend(self.requests.read(rest).await?);
        }
        let mut held = held.into_iter();
        let mut stored = Vec::with_capacity(changed.len());
        for (name, slot) in places {
            stored.push(match slot {
                Slot::Whole => match held.next() {
                    Some(Ok(Some(Held::String(stored)))) => Ok(Some(stored)),
                    Some(Err(error)) => Err(error),
                    _ => Ok(None),
                },
                _ => self.requests.get(name, slot).await?,
            });
        }
        Ok(stored)
    }

    async fn fetch_expiries(&self, result: &mut BatchOutcome) -> Result<(), SweepError> {
        let expiring = std::mem::take(&mut result.expiring);
        if expiring.is_empty() {
            return Ok(());
        }
        let names: Vec<_> = expiring.iter().map(|(name, ..)| name.clone()).collect();
        let lifetimes = self.store.lifetimes(&names).await?;
        for ((_, class, sight), lifetime) in expiring.into_iter().zip(lifetimes) {
            result.tally.count_expiry(class, sight, lifetime);
        }
        Ok(())
    }

    /// Notes a finding. The same cause in many values of one record is one finding.
    fn find(&self, name: &RecordName, cause: &str, result: &mut BatchOutcome) {
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

/// Values that other writers changed first.
#[derive(Default)]
struct Changed {
    values: Vec<Pending>,
    /// Whether some may have been changed by ourselves, in a request whose answer was lost.
    repeated: bool,
}

/// The result of going through a hash or list record once.
enum Round {
    Enough,
    /// Elements may have moved to where it had been already.
    Moved,
    /// It was given up, for this cause.
    Unfinished(String),
}

/// How far a hash or list record has been gone through, in all rounds.
#[derive(Default)]
struct Reach {
    seen: u64,
    /// At so many slots it is given up.
    bound: Option<u64>,
}

impl Reach {
    /// Whether more was read than all rounds through the record would be, had it not grown since the
    /// first page.
    async fn is_over(
        &mut self,
        store: &dyn RecordStore,
        name: &RecordName,
    ) -> Result<bool, StoreError> {
        let bound = match self.bound {
            Some(bound) => bound,
            None => {
                let slots = store.slot_count(name).await?.unwrap_or(VERY_LONG);
                let bound = slots.max(SHORT).saturating_mul(2 * count(ROUNDS));
                *self.bound.insert(bound)
            }
        };
        Ok(self.seen > bound)
    }
}

/// Why a record could not be read.
fn unread(error: &StoreError) -> String {
    match error {
        StoreError::Unavailable { cause, .. } => format!(
            "reading it ends the connection ({cause}): it may be larger than \
             client-output-buffer-limit of the server allows"
        ),
        other => other.to_string(),
    }
}

/// Why a value could not be written.
fn unwritten(error: &StoreError, bytes: usize) -> String {
    match error {
        StoreError::Unavailable { cause, .. } => format!(
            "writing its {bytes} bytes ends the connection ({cause}): they may be more than \
             proto-max-bulk-len of the server allows"
        ),
        other => other.to_string(),
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
