//! The values that a transaction computes on, by the records that they are in.

use std::collections::HashMap;

use waxseal_policy::Moved;

use super::journal::{Journal, MoveEntry};
use crate::connection::moves::values::{Resealed, Source};
use crate::connection::stored::StoredValue;
use crate::location::{Name, OwnedLocation, ValueKind};

/// The values that a transaction computes on.
#[derive(Default)]
pub(super) struct WatchedValues {
    all: Vec<WatchedValue>,
    records: HashMap<Box<[u8]>, WatchedRecord>,
    /// Bytes of what was read.
    read_bytes: usize,
}

/// A value that a transaction computes on.
pub(super) struct WatchedValue {
    pub(super) location: OwnedLocation,
    /// The stored name of its record.
    pub(super) stored: Name,
    /// What was read, then what the commands so far leave.
    current: Current,
    /// The number of changes of its whole record that this is behind.
    changes: u64,
}

/// A record with values that a transaction computes on.
#[derive(Default)]
pub(super) struct WatchedRecord {
    /// The index of the record's value, as a string.
    pub(super) string: Option<usize>,
    /// The indexes of the values of its fields.
    pub(super) fields: HashMap<Box<[u8]>, usize>,
    /// A command may have changed it, so that it is no longer what was read and is watched.
    pub(super) is_touched: bool,
    /// The number of commands that have changed all its values at once, and what the last one left.
    changes: u64,
    whole: Option<Current>,
}

/// A value, or the reason why there is none.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Current {
    Value(Option<StoredValue>),
    /// The record is of another type.
    WrongType,
    /// It does not open: this is the answer.
    Failed(Vec<u8>),
}

impl Current {
    /// No value is there.
    pub(super) const ABSENT: Self = Self::Value(None);

    fn retained_bytes(&self) -> usize {
        match self {
            Self::Value(value) => value.as_ref().map_or(0, StoredValue::retained_bytes),
            Self::Failed(answer) => answer.len(),
            Self::WrongType => 0,
        }
    }
}

impl WatchedValues {
    /// The values that a transaction computes on, each once.
    pub(super) fn of(journal: &Journal) -> Self {
        let mut values = Self::default();
        for computed in journal.entries().iter().filter_map(|it| it.computed()) {
            values.add(computed.location.clone(), &computed.stored);
        }
        // A value may have come from another record, and there from a third one.
        for entry in journal.entries().iter().rev() {
            let Some(entry) = entry.moves() else {
                continue;
            };
            let destination = values.records.get(&entry.destination.name[..]);
            if let Source::Protected(location) = &entry.source
                && destination.is_some_and(|it| it.string.is_some())
            {
                let location = OwnedLocation {
                    kind: ValueKind::String,
                    field: None,
                    ..location.clone()
                };
                let [stored, _] = &entry.stored;
                values.add(location, stored);
            }
        }
        values
    }

    fn add(&mut self, location: OwnedLocation, stored: &Name) {
        let record = self.records.entry(Box::from(&location.name[..]));
        let record = record.or_default();
        let index = self.all.len();
        match location.field.clone() {
            None if record.string.is_some() => return,
            None => record.string = Some(index),
            Some(field) if record.fields.contains_key(&field) => return,
            Some(field) => {
                record.fields.insert(field, index);
            }
        }
        self.all.push(WatchedValue {
            location,
            stored: stored.clone(),
            current: Current::ABSENT,
            changes: 0,
        });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &WatchedValue> {
        self.all.iter()
    }

    pub(super) fn get(&self, index: usize) -> Option<&WatchedValue> {
        self.all.get(index)
    }

    pub(super) fn record(&self, name: &[u8]) -> Option<&WatchedRecord> {
        self.records.get(name)
    }

    /// The index of the value at this location.
    pub(super) fn find(&self, location: &OwnedLocation) -> Option<usize> {
        let record = self.record(&location.name)?;
        match &location.field {
            None => record.string,
            Some(field) => record.fields.get(field).copied(),
        }
    }

    /// Bytes that are held for what was read.
    pub(super) fn retained_bytes(&self) -> usize {
        self.read_bytes
    }

    /// Before they are read.
    pub(super) fn forget(&mut self) {
        self.read_bytes = 0;
        for value in &mut self.all {
            value.current = Current::ABSENT;
            value.changes = 0;
        }
        for record in self.records.values_mut() {
            record.is_touched = false;
            record.changes = 0;
            record.whole = None;
        }
    }

    /// A value was read.
    pub(super) fn put_read(&mut self, index: usize, read: Current) {
        self.read_bytes = self.read_bytes.saturating_add(read.retained_bytes());
        if let Some(value) = self.all.get_mut(index) {
            value.current = read;
        }
    }

    /// What the commands so far leave at a value.
    pub(super) fn current(&self, index: usize) -> Option<&Current> {
        let value = self.all.get(index)?;
        let record = self.record(&value.location.name)?;
        match &record.whole {
            Some(whole) if value.changes < record.changes => Some(whole),
            _ => Some(&value.current),
        }
    }

    /// A command leaves this at a value.
    pub(super) fn set(&mut self, index: usize, current: Current) {
        let Some(value) = self.all.get_mut(index) else {
            return;
        };
        let record = self.records.get(&value.location.name[..]);
        value.changes = record.map_or(0, |it| it.changes);
        value.current = current;
    }

    /// A command leaves this in place of all values of a record.
    pub(super) fn set_all(&mut self, name: &[u8], current: Current) {
        if let Some(record) = self.records.get_mut(name) {
            record.changes = record.changes.saturating_add(1);
            record.whole = Some(current);
        }
    }

    /// A command leaves this string in a record.
    pub(super) fn set_string(&mut self, name: &[u8], current: Current) {
        self.set_all(name, Current::WrongType);
        if let Some(string) = self.record(name).and_then(|it| it.string) {
            self.set(string, current);
        }
    }

    /// A command leaves a record of another type than a string, if it leaves one.
    pub(super) fn set_no_string(&mut self, name: &[u8]) {
        if let Some(string) = self.record(name).and_then(|it| it.string) {
            self.set(string, Current::WrongType);
        }
    }

    /// A command may have changed this record.
    pub(super) fn touch(&mut self, name: &[u8]) {
        if let Some(record) = self.records.get_mut(name) {
            record.is_touched = true;
        }
    }

    /// What the commands so far leave in a record, as a string.
    pub(super) fn string(&self, name: &[u8]) -> Option<&Current> {
        self.current(self.record(name)?.string?)
    }

    /// Follows the values through a move.
    pub(super) fn follow_move(&mut self, entry: &MoveEntry, sealed: &[Resealed<'_>]) {
        let replaces = matches!(entry.moved, Moved::Record | Moved::CopyReplacing);
        let (name, destination) = (entry.source.name(), &entry.destination.name[..]);
        self.touch(name);
        self.touch(destination);
        let arrived = match self.string(name) {
            Some(Current::Value(Some(value))) => {
                let is_moved = |it: &&Resealed<'_>| {
                    it.moved.kind == ValueKind::String && it.moved.value.stored == value.stored
                };
                let moved = sealed.iter().find(is_moved);
                moved.map(|it| Current::Value(Some(it.at_destination().value)))
            }
            Some(Current::WrongType) => Some(Current::WrongType),
            // There is nothing to move, or nothing moves.
            Some(Current::Value(None) | Current::Failed(_)) | None => None,
        };
        if name == destination {
            return;
        }
        if entry.moved == Moved::Record {
            self.set_all(name, Current::ABSENT);
        }
        if replaces && let Some(arrived) = arrived {
            self.set_string(destination, arrived);
        }
    }
}
