//! What a batch asks of its store, so that one record that the store cannot serve stops nobody else. A
//! request that ends the connection, or gets no answer though the store answers others, is made again by
//! itself, then in halves, until the record is found that is the cause. What becomes of that record is not
//! known here.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::RwLock;
use tokio::time::sleep;
use waxseal_stores::{
    Change, Cursor, Outcome, Record, RecordName, RecordStore, Slot, SlotPage, StoreError,
};

use crate::options::BATCH_BYTES;

/// Slots of a hash or list record that are read at a time at most.
const MAX_SLOTS: usize = 500;
/// Slots that are read first: how large they are is not known yet.
const FIRST_SLOTS: usize = 32;
/// Requests about a single record that must fail before the record is taken for the cause.
const ATTEMPTS: u32 = 3;
/// The pause before such a request is made again.
const RETRY_DELAY: Duration = Duration::from_millis(100);
/// So many records after each other that end the connection are not the cause of it.
const MAX_LOST_IN_A_ROW: usize = 20;
/// So many records that were given up are remembered.
const MAX_REMEMBERED: usize = 10_000;
/// A record of this size may well be one that the store does not take.
const LARGE: usize = 1 << 20;

/// The requests of all batches of a sweep.
pub(crate) struct Requests {
    store: Arc<dyn RecordStore>,
    /// The store's generation, since the pass began.
    generation: Mutex<String>,
    /// Records that were the cause of a failure. In a pass that starts again, they end no connection a
    /// second time: where a store cannot tell that from a restart, the sweep would restart endlessly.
    given_up: Mutex<HashMap<Cause, StoreError>>,
    /// Requests share it; one that is made again after a failure has it alone, so that no other can be
    /// the cause of its failure.
    turns: RwLock<()>,
    /// Records that are read at once at most.
    records: AtomicUsize,
    /// Slots that are read at once.
    slots: AtomicUsize,
    /// Slots that are read at once at most, since more of them were too much.
    most_slots: AtomicUsize,
    /// Records that were given up since the last one that was served.
    lost: AtomicUsize,
}

/// A record that is not read, or a slot that is not written.
type Cause = (RecordName, Option<Slot>);

/// The answers to several changes.
#[derive(Default)]
pub(crate) struct Replaced {
    /// For each, whether it was made, or why it cannot be.
    pub(crate) outcomes: Vec<Result<Outcome, StoreError>>,
    /// Whether some may have been made by a request whose answer was lost.
    pub(crate) repeated: bool,
}

impl Requests {
    pub(crate) fn new(store: Arc<dyn RecordStore>) -> Self {
        Self {
            store,
            generation: Mutex::default(),
            given_up: Mutex::default(),
            turns: RwLock::default(),
            records: AtomicUsize::new(usize::MAX),
            slots: AtomicUsize::new(FIRST_SLOTS),
            most_slots: AtomicUsize::new(MAX_SLOTS),
            lost: AtomicUsize::new(0),
        }
    }

    /// A pass over the store in this generation begins.
    pub(crate) fn begin(&self, generation: &str) {
        let mut known = self
            .generation
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        generation.clone_into(&mut known);
    }

    /// The contents of the first of these records, as many as are held in memory at once: at least one.
    pub(crate) async fn read(
        &self,
        names: &[RecordName],
    ) -> Result<Vec<Result<Option<Record>, StoreError>>, StoreError> {
        let most = self.records.load(Ordering::Relaxed).max(1);
        let first = names.get(..most).unwrap_or(names);
        let known = first
            .iter()
            .position(|name| self.reason(name, None).is_some());
        let first = match known {
            Some(0) => {
                return Ok(first
                    .first()
                    .and_then(|name| self.reason(name, None))
                    .map(Err)
                    .into_iter()
                    .collect());
            }
            Some(known) => first.get(..known).unwrap_or(first),
            None => first,
        };
        let error = {
            let _shared = self.turns.read().await;
            match self.store.read_within(first, BATCH_BYTES).await {
                Err(error) if error.may_concern_one_record() => error,
                answer => {
                    let held = answer?;
                    if most < names.len() {
                        // Slowly: what was too much once is mostly too much again.
                        self.records.store(most + most / 8 + 1, Ordering::Relaxed);
                    }
                    return Ok(held.into_iter().map(Ok).collect());
                }
            }
        };
        let _alone = self.turns.write().await;
        let mut portions = Portions::of(first.len());
        let mut failure = Some(error);
        while let Some(range) = portions.next() {
            if let Some(error) = failure.take() {
                self.ask_whether_it_is_there(error).await?;
            }
            let part = first.get(range).unwrap_or_default();
            match self.store.read_within(part, BATCH_BYTES).await {
                Ok(held) => {
                    self.lost.store(0, Ordering::Relaxed);
                    if part.len() < first.len() {
                        self.records.store(part.len(), Ordering::Relaxed);
                    }
                    return Ok(held.into_iter().map(Ok).collect());
                }
                Err(error) if error.may_concern_one_record() => {
                    if portions.failed(&error).await == Next::GiveUp {
                        self.give_up(&error, 0, part.first().map(|name| (name, None)))?;
                        // It explains why more of them could not be read.
                        self.records.store(usize::MAX, Ordering::Relaxed);
                        return Ok(vec![Err(error)]);
                    }
                    failure = Some(error);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Vec::new())
    }

    /// Replaces each slot that still holds the expected bytes.
    pub(crate) async fn replace(&self, changes: &[Change<'_>]) -> Result<Replaced, StoreError> {
        let reasons: Vec<_> = changes
            .iter()
            .map(|it| self.reason(it.name, Some(it.slot)))
            .collect();
        if reasons.iter().all(Option::is_none) {
            return self.replace_all(changes).await;
        }
        let others = changes.iter().zip(&reasons);
        let others: Vec<_> = others
            .filter_map(|(it, reason)| reason.is_none().then_some(*it))
            .collect();
        let mut replaced = match others.is_empty() {
            true => Replaced::default(),
            false => self.replace_all(&others).await?,
        };
        let mut outcomes = std::mem::take(&mut replaced.outcomes).into_iter();
        let all = reasons.into_iter().map(|reason| match reason {
            Some(reason) => Some(Err(reason)),
            None => outcomes.next(),
        });
        replaced.outcomes = all.flatten().collect();
        Ok(replaced)
    }

    async fn replace_all(&self, changes: &[Change<'_>]) -> Result<Replaced, StoreError> {
        let error = {
            let _shared = self.turns.read().await;
            match self.store.replace_if_unchanged(changes).await {
                Err(error) if error.may_concern_one_record() => error,
                answer => {
                    return Ok(Replaced {
                        outcomes: answer?.into_iter().map(Ok).collect(),
                        repeated: false,
                    });
                }
            }
        };
        let _alone = self.turns.write().await;
        let mut portions = Portions::of(changes.len());
        let mut outcomes = Vec::with_capacity(changes.len());
        let mut repeated = error.is_interruption();
        let mut failure = Some(error);
        while let Some(range) = portions.next() {
            if let Some(error) = failure.take() {
                self.ask_whether_it_is_there(error).await?;
            }
            let part = changes.get(range).unwrap_or_default();
            match self.store.replace_if_unchanged(part).await {
                Ok(answers) => {
                    self.lost.store(0, Ordering::Relaxed);
                    portions.answered(part.len());
                    outcomes.extend(answers.into_iter().map(Ok));
                }
                Err(error) if error.may_concern_one_record() => {
                    repeated |= error.is_interruption();
                    if portions.failed(&error).await == Next::GiveUp {
                        let size = part.first().map_or(0, |change| change.value.len());
                        self.give_up(
                            &error,
                            size,
                            part.first().map(|it| (it.name, Some(it.slot))),
                        )?;
                        portions.answered(1);
                        outcomes.push(Err(error));
                    } else {
                        failure = Some(error);
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Replaced { outcomes, repeated })
    }

    /// One page of the slots of a hash or list record, or why the record cannot be read any further.
    pub(crate) async fn slots(
        &self,
        name: &RecordName,
        cursor: &Cursor,
    ) -> Result<Result<SlotPage, StoreError>, StoreError> {
        if let Some(reason) = self.reason(name, None) {
            return Ok(Err(reason));
        }
        let count = self.slots.load(Ordering::Relaxed);
        let error = {
            let _shared = self.turns.read().await;
            match self.store.read_slots(name, cursor, count).await {
                Err(error) if error.may_concern_one_record() => error,
                answer => {
                    let page = answer?;
                    self.adjust_slots(&page);
                    return Ok(Ok(page));
                }
            }
        };
        let _alone = self.turns.write().await;
        let mut portions = Portions::of(count);
        let mut failure = Some(error);
        while let Some(range) = portions.next() {
            if let Some(error) = failure.take() {
                self.ask_whether_it_is_there(error).await?;
            }
            match self.store.read_slots(name, cursor, range.len()).await {
                Ok(page) => {
                    self.lost.store(0, Ordering::Relaxed);
                    if range.len() < count {
                        self.most_slots.store(range.len(), Ordering::Relaxed);
                    }
                    self.adjust_slots(&page);
                    return Ok(Ok(page));
                }
                Err(error) if error.may_concern_one_record() => {
                    if portions.failed(&error).await == Next::GiveUp {
                        self.give_up(&error, 0, Some((name, None)))?;
                        return Ok(Err(error));
                    }
                    failure = Some(error);
                }
                Err(error) => return Err(error),
            }
        }
        Err(StoreError::WrongType)
    }

    /// What a place holds now, or why it cannot be read.
    pub(crate) async fn get(
        &self,
        name: &RecordName,
        slot: &Slot,
    ) -> Result<Result<Option<Vec<u8>>, StoreError>, StoreError> {
        let mut tries = 0;
        loop {
            let error = match self.store.get(name, slot).await {
                Err(StoreError::WrongType) => return Ok(Ok(None)),
                Err(error) if error.may_concern_one_record() => error,
                answer => return answer.map(Ok),
            };
            tries += 1;
            if tries == ATTEMPTS || !error.is_interruption() {
                self.give_up(&error, 0, Some((name, None)))?;
                return Ok(Err(error));
            }
            self.ask_whether_it_is_there(error).await?;
            sleep(RETRY_DELAY).await;
        }
    }

    /// Reads as many slots at once as are held in memory.
    fn adjust_slots(&self, page: &SlotPage) {
        let bytes: usize = page.slots.iter().map(|(_, bytes)| bytes.len()).sum();
        let mean = bytes / page.slots.len().max(1);
        let budget = usize::try_from(BATCH_BYTES).unwrap_or(usize::MAX);
        let fitting = budget.checked_div(mean).unwrap_or(MAX_SLOTS);
        let most = page.slots.len().max(1).saturating_mul(8);
        // A short record says little about the next one.
        let most = most.max(FIRST_SLOTS);
        self.slots.store(
            fitting
                .min(most)
                .clamp(1, self.most_slots.load(Ordering::Relaxed)),
            Ordering::Relaxed,
        );
    }

    /// The error, if the store does not answer others either, or was restarted: then no record is the
    /// cause.
    async fn ask_whether_it_is_there(&self, error: StoreError) -> Result<(), StoreError> {
        if !error.is_interruption() {
            return Ok(());
        }
        let generation = self
            .generation
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        match self.store.is_generation(&generation).await {
            Ok(true) => Ok(()),
            Ok(false) | Err(_) => Err(error),
        }
    }

    /// Why a record was given up before.
    fn reason(&self, name: &RecordName, slot: Option<&Slot>) -> Option<StoreError> {
        let given_up = self.given_up.lock().unwrap_or_else(PoisonError::into_inner);
        if given_up.is_empty() {
            return None;
        }
        given_up.get(&(name.clone(), slot.cloned())).cloned()
    }

    /// Gives up a record that is taken for the cause; the error, if that is not to be believed any more.
    fn give_up(
        &self,
        error: &StoreError,
        size: usize,
        cause: Option<(&RecordName, Option<&Slot>)>,
    ) -> Result<(), StoreError> {
        let is_doubtful = error.is_interruption() && size <= LARGE;
        if is_doubtful && self.lost.fetch_add(1, Ordering::Relaxed) >= MAX_LOST_IN_A_ROW {
            return Err(error.clone());
        }
        let mut given_up = self.given_up.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((name, slot)) = cause.filter(|_| given_up.len() < MAX_REMEMBERED) {
            given_up.insert((name.clone(), slot.cloned()), error.clone());
        }
        Ok(())
    }
}

/// What follows from a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// The request is made again, perhaps about less.
    Again,
    /// The one record of the request is the cause.
    GiveUp,
}

/// Which part of a request is made next.
struct Portions {
    len: usize,
    done: usize,
    size: usize,
    /// Failures in a row at this size.
    failures: u32,
}

impl Portions {
    fn of(len: usize) -> Self {
        Self {
            len,
            done: 0,
            size: len,
            failures: 0,
        }
    }

    fn next(&self) -> Option<Range<usize>> {
        let end = self.done.saturating_add(self.size).min(self.len);
        (self.done < end).then_some(self.done..end)
    }

    fn answered(&mut self, count: usize) {
        self.done = self.done.saturating_add(count);
        self.size = self.size.saturating_mul(2).max(1);
        self.failures = 0;
    }

    /// What follows, after a pause where the same is asked again.
    async fn failed(&mut self, error: &StoreError) -> Next {
        let next = self.step(error.is_interruption());
        if next == Next::Again && self.failures > 0 {
            sleep(RETRY_DELAY * self.failures).await;
        }
        next
    }

    fn step(&mut self, is_interruption: bool) -> Next {
        let size = self.next().map_or(1, |range| range.len());
        if size > 1 {
            (self.size, self.failures) = (size / 2, 0);
            return Next::Again;
        }
        self.failures += 1;
        match is_interruption && self.failures < ATTEMPTS {
            true => Next::Again,
            false => Next::GiveUp,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The records that are given up of so many, where these alone end a request.
    fn given_up(len: usize, bad: &[usize], is_interruption: bool) -> (Vec<usize>, usize) {
        let (mut portions, mut found, mut requests) = (Portions::of(len), Vec::new(), 0);
        while let Some(range) = portions.next() {
            requests += 1;
            if !bad.iter().any(|it| range.contains(it)) {
                portions.answered(range.len());
            } else if portions.step(is_interruption) == Next::GiveUp {
                found.push(range.start);
                portions.answered(1);
            }
        }
        (found, requests)
    }

    #[test]
    fn the_records_that_end_a_request_are_found_and_no_others() {
        for bad in [&[][..], &[0], &[499], &[250], &[3, 4, 5], &[0, 77, 499]] {
            for is_interruption in [true, false] {
                let (found, requests) = given_up(500, bad, is_interruption);
                assert_eq!(found, bad);
                assert!(
                    requests <= 1 + bad.len() * 25,
                    "{requests} requests for {bad:?}"
                );
            }
        }
        let all: Vec<_> = (0..20).collect();
        assert_eq!(given_up(20, &all, true).0, all);
        assert_eq!(given_up(1, &[0], false), (vec![0], 1));
        assert_eq!(given_up(1, &[0], true), (vec![0], 3));
    }
}
