//! The requests of a batch to its store, such that one record which the store cannot serve does not stop the
//! others.
//!
//! A request that ends the connection, or gets no answer although the store answers others, is repeated: alone, so
//! that no other request can be the cause, then in halves, until the record is found that is the cause. That record
//! is abandoned; what happens to it is decided in `batch`.

mod parts;

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::RwLock;
use tokio::time::sleep;
use waxseal_stores::{
    Change, Cursor, Outcome, Record, RecordName, RecordStore, Slot, SlotPage, StoreError,
};

use crate::options::BATCH_BYTES;
use parts::{MAX_ATTEMPTS, Parts, RETRY_DELAY, Step};

/// Slots of a record that are read at a time at most.
const MAX_SLOTS: usize = 500;
/// Slots that are read first, before anything is known about their size.
const FIRST_SLOTS: usize = 32;
/// After this many consecutive records that end the connection, the cause is not the records.
const MAX_LOST_IN_A_ROW: usize = 20;
/// Abandoned records that are remembered at most.
const MAX_REMEMBERED: usize = 10_000;
/// A value larger than this may well be refused by the store.
const LARGE: usize = 1 << 20;

/// The requests of all batches of a sweep.
pub(crate) struct Requests {
    store: Arc<dyn RecordStore>,
    /// The generation of the store when the pass began.
    generation: Mutex<String>,
    /// Records that caused a failure. A pass that starts again skips them, so that they do not end the connection a
    /// second time: if the store cannot tell that from a restart, the sweep would start again endlessly.
    abandoned: Mutex<HashMap<Cause, StoreError>>,
    /// First attempts share this lock; repeated requests take it exclusively, so that no other request can be the
    /// cause of their failure.
    isolation: RwLock<()>,
    /// The largest number of records read at once.
    max_records: AtomicUsize,
    /// The number of slots read at once.
    slots: AtomicUsize,
    /// The largest number of slots read at once, lowered when more were too many.
    max_slots: AtomicUsize,
    /// Records abandoned since the last one that was served.
    lost: AtomicUsize,
}

/// A record that cannot be read, or a slot that cannot be written.
type Cause = (RecordName, Option<Slot>);

/// The answer about one record. A failure of the whole store is an error instead.
#[derive(Debug)]
pub(crate) enum Answer<T> {
    /// The store served the request.
    Served(T),
    /// The record was abandoned for this cause, and the store serves other requests.
    Abandoned(StoreError),
}

/// The answers to several changes.
#[derive(Default)]
pub(crate) struct Replaced {
    /// The outcome of each change.
    pub(crate) outcomes: Vec<Answer<Outcome>>,
    /// True if some may have been carried out by a request whose answer was lost.
    pub(crate) is_repeated: bool,
}

impl Requests {
    pub(crate) fn new(store: Arc<dyn RecordStore>) -> Self {
        Self {
            store,
            generation: Mutex::default(),
            abandoned: Mutex::default(),
            isolation: RwLock::default(),
            max_records: AtomicUsize::new(usize::MAX),
            slots: AtomicUsize::new(FIRST_SLOTS),
            max_slots: AtomicUsize::new(MAX_SLOTS),
            lost: AtomicUsize::new(0),
        }
    }

    /// Begins a pass over the store in this generation.
    pub(crate) fn begin(&self, generation: &str) {
        let mut known = self
            .generation
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        generation.clone_into(&mut known);
    }

    /// Reads the first of these records, as many as are held in memory at once: at least one.
    pub(crate) async fn read(
        &self,
        names: &[RecordName],
    ) -> Result<Vec<Answer<Option<Record>>>, StoreError> {
        let max = self.max_records.load(Ordering::Relaxed).max(1);
        let mut first = names.get(..max).unwrap_or(names);
        let is_abandoned = |name: &RecordName| self.abandoned_for(name, None);
        match first.iter().position(|name| is_abandoned(name).is_some()) {
            Some(0) => {
                let cause = first.first().and_then(is_abandoned);
                return Ok(cause.map(Answer::Abandoned).into_iter().collect());
            }
            Some(end) => first = first.get(..end).unwrap_or(first),
            None => {}
        }
        let error = {
            let _shared = self.isolation.read().await;
            match self.store.read_within(first, BATCH_BYTES).await {
                Err(error) if error.may_concern_one_record() => error,
                answer => {
                    let contents = answer?;
                    if max < names.len() {
                        // Grows slowly: a number that was too large once is likely to be too large again.
                        self.max_records.store(max + max / 8 + 1, Ordering::Relaxed);
                    }
                    return Ok(contents.into_iter().map(Answer::Served).collect());
                }
            }
        };
        self.read_in_parts(first, error).await
    }

    /// Reads the first part that the store serves, after the request for all failed.
    async fn read_in_parts(
        &self,
        names: &[RecordName],
        error: StoreError,
    ) -> Result<Vec<Answer<Option<Record>>>, StoreError> {
        let _alone = self.isolation.write().await;
        let mut parts = Parts::of(names.len());
        let mut failure = Some(error);
        while let Some(range) = parts.next() {
            if let Some(error) = failure.take() {
                self.check_store(error).await?;
            }
            let part = names.get(range).unwrap_or_default();
            match self.store.read_within(part, BATCH_BYTES).await {
                Ok(contents) => {
                    self.lost.store(0, Ordering::Relaxed);
                    if part.len() < names.len() {
                        self.max_records.store(part.len(), Ordering::Relaxed);
                    }
                    return Ok(contents.into_iter().map(Answer::Served).collect());
                }
                Err(error) if error.may_concern_one_record() => {
                    if parts.failed(&error).await == Step::Abandon {
                        self.abandon(&error, 0, part.first().map(|name| (name, None)))?;
                        // This record explains why more of them could not be read.
                        self.max_records.store(usize::MAX, Ordering::Relaxed);
                        return Ok(vec![Answer::Abandoned(error)]);
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
        let causes: Vec<_> = changes
            .iter()
            .map(|it| self.abandoned_for(it.name, Some(it.slot)))
            .collect();
        if causes.iter().all(Option::is_none) {
            return self.replace_all(changes).await;
        }
        let others = changes.iter().zip(&causes);
        let others: Vec<_> = others
            .filter_map(|(it, cause)| cause.is_none().then_some(*it))
            .collect();
        let mut replaced = match others.is_empty() {
            true => Replaced::default(),
            false => self.replace_all(&others).await?,
        };
        let mut outcomes = std::mem::take(&mut replaced.outcomes).into_iter();
        let all = causes.into_iter().map(|cause| match cause {
            Some(cause) => Some(Answer::Abandoned(cause)),
            None => outcomes.next(),
        });
        replaced.outcomes = all.flatten().collect();
        Ok(replaced)
    }

    async fn replace_all(&self, changes: &[Change<'_>]) -> Result<Replaced, StoreError> {
        let error = {
            let _shared = self.isolation.read().await;
            match self.store.replace_if_unchanged(changes).await {
                Err(error) if error.may_concern_one_record() => error,
                answer => {
                    return Ok(Replaced {
                        outcomes: answer?.into_iter().map(Answer::Served).collect(),
                        is_repeated: false,
                    });
                }
            }
        };
        self.replace_in_parts(changes, error).await
    }

    async fn replace_in_parts(
        &self,
        changes: &[Change<'_>],
        error: StoreError,
    ) -> Result<Replaced, StoreError> {
        let _alone = self.isolation.write().await;
        let mut parts = Parts::of(changes.len());
        let mut outcomes = Vec::with_capacity(changes.len());
        let mut is_repeated = error.is_interruption();
        let mut failure = Some(error);
        while let Some(range) = parts.next() {
            if let Some(error) = failure.take() {
                self.check_store(error).await?;
            }
            let part = changes.get(range).unwrap_or_default();
            match self.store.replace_if_unchanged(part).await {
                Ok(answers) => {
                    self.lost.store(0, Ordering::Relaxed);
                    parts.answered(part.len());
                    outcomes.extend(answers.into_iter().map(Answer::Served));
                }
                Err(error) if error.may_concern_one_record() => {
                    is_repeated |= error.is_interruption();
                    if parts.failed(&error).await == Step::Abandon {
                        let size = part.first().map_or(0, |change| change.value.len());
                        let cause = part.first().map(|it| (it.name, Some(it.slot)));
                        self.abandon(&error, size, cause)?;
                        parts.answered(1);
                        outcomes.push(Answer::Abandoned(error));
                    } else {
                        failure = Some(error);
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Replaced {
            outcomes,
            is_repeated,
        })
    }

    /// Reads one page of the slots of a record that is not a string.
    pub(crate) async fn slots(
        &self,
        name: &RecordName,
        cursor: &Cursor,
    ) -> Result<Answer<SlotPage>, StoreError> {
        if let Some(cause) = self.abandoned_for(name, None) {
            return Ok(Answer::Abandoned(cause));
        }
        let count = self.slots.load(Ordering::Relaxed);
        let error = {
            let _shared = self.isolation.read().await;
            match self.store.read_slots(name, cursor, count).await {
                Err(error) if error.may_concern_one_record() => error,
                answer => {
                    let page = answer?;
                    self.adjust_slots(&page);
                    return Ok(Answer::Served(page));
                }
            }
        };
        let _alone = self.isolation.write().await;
        let mut parts = Parts::of(count);
        let mut failure = Some(error);
        while let Some(range) = parts.next() {
            if let Some(error) = failure.take() {
                self.check_store(error).await?;
            }
            match self.store.read_slots(name, cursor, range.len()).await {
                Ok(page) => {
                    self.lost.store(0, Ordering::Relaxed);
                    if range.len() < count {
                        self.max_slots.store(range.len(), Ordering::Relaxed);
                    }
                    self.adjust_slots(&page);
                    return Ok(Answer::Served(page));
                }
                Err(error) if error.may_concern_one_record() => {
                    if parts.failed(&error).await == Step::Abandon {
                        self.abandon(&error, 0, Some((name, None)))?;
                        return Ok(Answer::Abandoned(error));
                    }
                    failure = Some(error);
                }
                Err(error) => return Err(error),
            }
        }
        Err(StoreError::WrongType)
    }

    /// Reads one slot; `None` if it, or a record of that type, does not exist.
    pub(crate) async fn get(
        &self,
        name: &RecordName,
        slot: &Slot,
    ) -> Result<Answer<Option<Vec<u8>>>, StoreError> {
        let mut attempts = 0;
        loop {
            let error = match self.store.get(name, slot).await {
                Err(StoreError::WrongType) => return Ok(Answer::Served(None)),
                Err(error) if error.may_concern_one_record() => error,
                answer => return answer.map(Answer::Served),
            };
            attempts += 1;
            if attempts == MAX_ATTEMPTS || !error.is_interruption() {
                self.abandon(&error, 0, Some((name, None)))?;
                return Ok(Answer::Abandoned(error));
            }
            self.check_store(error).await?;
            sleep(RETRY_DELAY).await;
        }
    }

    /// Sets the number of slots read at once to what fits in memory.
    fn adjust_slots(&self, page: &SlotPage) {
        let bytes: usize = page.slots.iter().map(|(_, bytes)| bytes.len()).sum();
        let mean = bytes / page.slots.len().max(1);
        let budget = usize::try_from(BATCH_BYTES).unwrap_or(usize::MAX);
        let fitting = budget.checked_div(mean).unwrap_or(MAX_SLOTS);
        let growth = page.slots.len().max(1).saturating_mul(8);
        // A short record says little about the next one.
        let growth = growth.max(FIRST_SLOTS);
        let max = self.max_slots.load(Ordering::Relaxed);
        self.slots
            .store(fitting.min(growth).clamp(1, max), Ordering::Relaxed);
    }

    /// Returns the error if the store does not answer other requests either, or was restarted: then no record is the
    /// cause.
    async fn check_store(&self, error: StoreError) -> Result<(), StoreError> {
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

    /// Returns the cause for which a record was abandoned before.
    fn abandoned_for(&self, name: &RecordName, slot: Option<&Slot>) -> Option<StoreError> {
        let abandoned = self
            .abandoned
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if abandoned.is_empty() {
            return None;
        }
        abandoned.get(&(name.clone(), slot.cloned())).cloned()
    }

    /// Abandons a record. Returns the error instead if so many were abandoned in a row that they cannot be the cause.
    fn abandon(
        &self,
        error: &StoreError,
        size: usize,
        cause: Option<(&RecordName, Option<&Slot>)>,
    ) -> Result<(), StoreError> {
        let is_doubtful = error.is_interruption() && size <= LARGE;
        if is_doubtful && self.lost.fetch_add(1, Ordering::Relaxed) >= MAX_LOST_IN_A_ROW {
            return Err(error.clone());
        }
        let mut abandoned = self
            .abandoned
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some((name, slot)) = cause.filter(|_| abandoned.len() < MAX_REMEMBERED) {
            abandoned.insert((name.clone(), slot.cloned()), error.clone());
        }
        Ok(())
    }
}
