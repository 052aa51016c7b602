//! What the commands of a transaction may leave in the records that they name, so that it is known at once whether another
//! one can be queued. Each command is looked at once, and only in transactions that have one to ask for.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use waxseal_policy::table::find;
use waxseal_policy::{Moved, ProtectedNames, decide};

use super::journal::{MoveEntry, Replaced};
use super::simulation::{RecordEffect, When, effect_of};
use super::sources::{UnknownValues, changes_unnamed, is_read_for_sort, unknown_values};
use crate::connection::moves::values::Source;

/// The value of the record, as a string, cannot be foreseen.
const STRING: u8 = 1;
/// The values of its fields cannot be foreseen.
const FIELDS: u8 = 1 << 1;
/// Values may be in it that are not known, if it is a protected record.
const IN_PROTECTED: u8 = 1 << 2;
/// The same of a record that is not.
const IN_PLAIN: u8 = 1 << 3;

/// What cannot be foreseen behind the commands of a transaction.
#[derive(Default)]
pub(super) struct QueueIndex {
    hasher: RandomState,
    /// Of each record, by the hash of its name: records that have all in common are left out.
    records: HashMap<u64, u8>,
    /// A command may have changed any record.
    is_unforeseen: bool,
}

impl QueueIndex {
    /// True if what the commands leave at this place cannot be foreseen.
    pub(super) fn is_unforeseen(&self, name: &[u8], is_field: bool) -> bool {
        self.is_unforeseen || self.has(name, if is_field { FIELDS } else { STRING })
    }

    /// True if there may be values in this record that are not known when the transaction is sent again.
    pub(super) fn may_have_unknown(&self, source: &Source) -> bool {
        let flag = match source {
            Source::Protected(location) if !location.pattern.is_excepted() => IN_PROTECTED,
            Source::Protected(_) | Source::Plain(_) => IN_PLAIN,
        };
        self.is_unforeseen || self.has(source.name(), flag)
    }

    fn has(&self, name: &[u8], flag: u8) -> bool {
        let flags = self.records.get(&self.hasher.hash_one(name));
        flags.is_some_and(|flags| flags & flag != 0)
    }

    fn change(&mut self, name: &[u8], set: u8, cleared: u8) {
        if set | cleared == 0 {
            return;
        }
        let key = self.hasher.hash_one(name);
        let before = self.records.get(&key).copied().unwrap_or_default();
        match before & !cleared | set {
            0 => self.records.remove(&key),
            flags => self.records.insert(key, flags),
        };
    }

    /// Bytes that are held for it beyond its own size.
    pub(super) fn retained_bytes(&self) -> usize {
        let entry = size_of::<(u64, u8)>().saturating_add(1);
        self.records.capacity().saturating_mul(entry)
    }

    /// A command was queued that is not known.
    pub(super) fn add_unknown(&mut self) {
        self.is_unforeseen = true;
    }

    /// A command was queued as it is.
    pub(super) fn add(&mut self, names: &ProtectedNames, arguments: &[&[u8]]) {
        if is_read_for_sort(arguments) {
            return;
        }
        let Some(row) = find(arguments) else {
            return self.add_unknown();
        };
        let decision = decide(names, arguments);
        if changes_unnamed(row, decision.effect) {
            return self.add_unknown();
        }
        let places = row.names.places(arguments);
        let UnknownValues {
            in_protected,
            in_plain,
        } = unknown_values(row, (arguments, &places), &decision.action);
        let unknown = (u8::from(in_protected) * IN_PROTECTED) | (u8::from(in_plain) * IN_PLAIN);
        for at in places {
            let name = arguments.get(at).copied().unwrap_or_default();
            let (set, cleared) = match effect_of(row, arguments, at) {
                RecordEffect::None
                | RecordEffect::Kept
                | RecordEffect::Fields(_)
                | RecordEffect::Created
                | RecordEffect::Deleted { reads: true }
                | RecordEffect::Put {
                    when: When::Absent, ..
                }
                | RecordEffect::Put {
                    when: When::Always,
                    reads: true,
                    ..
                } => (0, 0),
                RecordEffect::Put {
                    when: When::Always, ..
                }
                | RecordEffect::Deleted { .. } => (0, STRING | FIELDS),
                RecordEffect::FieldsDeleted => (STRING, 0),
                RecordEffect::Put {
                    when: When::Present,
                    ..
                } => (FIELDS, 0),
                RecordEffect::Unforeseen => (STRING | FIELDS, 0),
            };
            self.change(name, set | unknown, cleared);
        }
    }

    /// A command was queued as a read.
    pub(super) fn add_replaced(&mut self, replaced: &Replaced) {
        match replaced {
            Replaced::Computed(_) => {}
            Replaced::Move(entry) => self.add_move(entry),
        }
    }

    fn add_move(&mut self, entry: &MoveEntry) {
        let destination = &entry.destination.name[..];
        let (of_source, of_destination) = match entry.moved {
            // That there is no such field does not tell that there is no such record.
            Moved::Record | Moved::CopyReplacing => match entry.source {
                Source::Plain(_) => (0, STRING | FIELDS),
                Source::Protected(_) => (0, FIELDS),
            },
            Moved::Copy => (0, STRING | FIELDS),
            Moved::RecordToFreeName | Moved::Element { .. } => (STRING | FIELDS, STRING | FIELDS),
        };
        self.change(entry.source.name(), of_source, 0);
        self.change(destination, of_destination, 0);
    }
}
