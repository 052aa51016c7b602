//! Records that are not strings, which are read in pages of slots, so that a large one is never held in memory whole.
//!
//! Elements of a list move: a queue is consumed at its head and filled at its tail, so an element may move from a
//! page that was not read yet to one that was. A list is therefore read in rounds, until a round finds nothing that
//! may have moved. Members that are replaced come once more in later pages, and are left out there.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

use waxseal_stores::{Cursor, RecordName, RecordStore, Slot, StoreError};

use super::{BatchContext, BatchOutcome, Replacement, StoredValue, Visit, count, read_failure};
use crate::requests::Answer;
use crate::sweep::SweepError;
use crate::tally::ValueLocation;

/// The number of rounds through a list whose elements move. Each round leaves a fraction of what the round before it
/// left.
const MAX_ROUNDS: usize = 20;
/// The smallest length that the limit of a record is computed from.
const MIN_SLOTS: u64 = 1_000;
/// The length where the store does not tell it.
const UNKNOWN_SLOTS: u64 = 1_000_000;
/// The finding about a record that is written faster than it is read.
const GROWS: &str = "it grows faster than it can be read: some of its values were not checked";

/// The members written to one record that are remembered: of larger records some are counted twice.
const MAX_WRITTEN: usize = 1 << 20;

/// The result of reading a record once.
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

/// Hashes of the members that were written to one record, which are found again in later pages.
#[derive(Default)]
struct WrittenMembers {
    hasher: RandomState,
    hashes: HashSet<u64>,
}

impl WrittenMembers {
    fn add(&mut self, replacements: &[Replacement]) {
        for replacement in replacements {
            if matches!(replacement.old.slot, Slot::Member(_)) && self.hashes.len() < MAX_WRITTEN {
                self.hashes.insert(self.hasher.hash_one(&replacement.new));
            }
        }
    }

    fn contains(&self, slot: &Slot) -> bool {
        let Slot::Member(member) = slot else {
            return false;
        };
        self.hashes.contains(&self.hasher.hash_one(member))
    }
}

/// True for the slots that the length of a record counts: of a stream, its entries.
fn is_counted(slot: &Slot) -> bool {
    match slot {
        Slot::StreamField(at) => at.index == 0,
        _ => true,
    }
}

/// A record that is read in pages.
struct PagedRecord<'a> {
    name: &'a RecordName,
    location: ValueLocation,
    limit: SlotLimit,
    written: WrittenMembers,
}

impl BatchContext {
    /// Reads a record that is not a string in rounds.
    pub(super) async fn slots(
        &self,
        name: &RecordName,
        location: ValueLocation,
        outcome: &mut BatchOutcome,
    ) -> Result<(), SweepError> {
        let mut record = PagedRecord {
            name,
            location,
            limit: SlotLimit::default(),
            written: WrittenMembers::default(),
        };
        for round in 0..MAX_ROUNDS {
            let visit = match round {
                0 => Visit::First,
                _ => Visit::Repeated,
            };
            match self.round(&mut record, visit, outcome).await? {
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
        record: &mut PagedRecord<'_>,
        visit: Visit,
        outcome: &mut BatchOutcome,
    ) -> Result<Round, SweepError> {
        let PagedRecord {
            name,
            location,
            limit,
            written,
        } = record;
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
            limit.read += count(
                page.slots
                    .iter()
                    .filter(|(slot, _)| is_counted(slot))
                    .count(),
            );
            let is_whole_record = cursor.is_start() && page.next.is_none();
            let slots = page.slots.into_iter();
            let slots = slots.filter(|(slot, _)| !written.contains(slot));
            let values = slots.map(|(slot, bytes)| StoredValue {
                name: (*name).clone(),
                slot,
                bytes,
                location: *location,
            });
            let pending = self.judge_page(values.collect(), visit, outcome).await?;
            let first = pending.first().map(|value| &value.old.slot);
            let is_list = matches!(first, Some(Slot::Element(_)));
            written.add(&pending);
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
