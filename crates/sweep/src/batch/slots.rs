//! Hash and list records, which are read in pages of slots, so that a large one is never held in memory whole.
//!
//! Elements of a list move: a queue is consumed at its head and filled at its tail, so an element may move from a
//! page that was not read yet to one that was. A list is therefore read in rounds, until a round finds nothing that
//! may have moved.

use waxseal_stores::{Cursor, RecordName, RecordStore, Slot, StoreError};

use super::{BatchContext, BatchOutcome, StoredValue, Visit, count, read_failure};
use crate::requests::Answer;
use crate::sweep::SweepError;

/// The number of rounds through a list whose elements move. Each round leaves a fraction of what the round before it
/// left.
const MAX_ROUNDS: usize = 20;
/// The smallest length that the limit of a record is computed from.
const MIN_SLOTS: u64 = 1_000;
/// The length where the store does not tell it.
const UNKNOWN_SLOTS: u64 = 1_000_000;
/// The finding about a record that is written faster than it is read.
const GROWS: &str = "it grows faster than it can be read: some of its values were not checked";

/// The result of reading a hash or list record once.
enum Round {
    /// Every value was judged.
    Complete,
    /// Elements may have moved to pages that were read before.
    Moved,
    /// The record was abandoned, for this cause.
    Abandoned(String),
}

/// A limit on the slots read from one record, in all rounds.
#[derive(Default)]
struct SlotLimit {
    read: u64,
    /// Computed from the length of the record after its first page.
    max: Option<u64>,
}

impl SlotLimit {
    /// Returns true if more slots were read than all rounds would read, had the record not grown since its first
    /// page.
    async fn is_exceeded(
        &mut self,
        store: &dyn RecordStore,
        name: &RecordName,
    ) -> Result<bool, StoreError> {
        let max = match self.max {
            Some(max) => max,
            None => {
                let slots = store.slot_count(name).await?.unwrap_or(UNKNOWN_SLOTS);
                let max = slots.max(MIN_SLOTS).saturating_mul(2 * count(MAX_ROUNDS));
                *self.max.insert(max)
            }
        };
        Ok(self.read > max)
    }
}

impl BatchContext {
    /// Reads a hash or list record in rounds.
    pub(super) async fn slots(
        &self,
        name: &RecordName,
        outcome: &mut BatchOutcome,
    ) -> Result<(), SweepError> {
        let mut limit = SlotLimit::default();
        for round in 0..MAX_ROUNDS {
            let visit = match round {
                0 => Visit::First,
                _ => Visit::Repeated,
            };
            match self.round(name, visit, &mut limit, outcome).await? {
                Round::Complete => return Ok(()),
                Round::Abandoned(cause) => {
                    outcome.tally.miss();
                    self.report(name, &cause, outcome);
                    return Ok(());
                }
                Round::Moved => {}
            }
        }
        Ok(())
    }

    async fn round(
        &self,
        name: &RecordName,
        visit: Visit,
        limit: &mut SlotLimit,
        outcome: &mut BatchOutcome,
    ) -> Result<Round, SweepError> {
        let mut cursor = Cursor::start();
        let mut is_complete = true;
        loop {
            let page = match self.requests.slots(name, &cursor).await {
                Ok(Answer::Served(page)) => page,
                Ok(Answer::Abandoned(error)) => return Ok(Round::Abandoned(read_failure(&error))),
                // Replaced by a record of another type since it was read.
                Err(StoreError::WrongType) => return Ok(Round::Complete),
                Err(error) => return Err(error.into()),
            };
            limit.read += count(page.slots.len());
            let is_whole_record = cursor.is_start() && page.next.is_none();
            let values = page.slots.into_iter().map(|(slot, bytes)| StoredValue {
                name: name.clone(),
                slot,
                bytes,
            });
            let pending = self.judge_page(values.collect(), visit, outcome).await?;
            let first = pending.first().map(|value| &value.old.slot);
            let is_list = matches!(first, Some(Slot::Element(_)));
            let has_moved = self.replace_slots(pending, outcome).await?;
            self.fetch_expiries(outcome).await?;
            is_complete &= !is_list || (is_whole_record && !has_moved);
            match page.next {
                Some(_) if limit.is_exceeded(&*self.store, name).await? => {
                    return Ok(Round::Abandoned(GROWS.to_owned()));
                }
                Some(next) => cursor = next,
                None if is_complete || self.dry_run => return Ok(Round::Complete),
                None => return Ok(Round::Moved),
            }
        }
    }
}
