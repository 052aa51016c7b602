//! What a pass has counted. Names are in it only as they may be shown.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use waxseal_core::{Form, Header, KeyId};
use waxseal_stores::{Lifetime, Record, Slot};

use crate::expiries::Expiries;

/// What kind of stored value it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// No bytes.
    Empty,
    /// Plaintext.
    Plain,
    /// Classic, under this key.
    Classic(KeyId),
    /// Sealed, under this key.
    Sealed(KeyId),
    /// Sealed under the key of its user, of which there are as many as users.
    OfUser,
    /// Sealed under the key of a user who was erased: it opens nowhere any more.
    Erased,
    /// Sealed under a key that the keyring does not hold.
    UnknownKey(KeyId),
    /// Cannot be opened: damaged, tampered with, moved, or classic under an unknown key.
    Unopenable,
}

impl Class {
    /// The key of the ring that it is under.
    #[must_use]
    pub fn key(self) -> Option<KeyId> {
        match self {
            Self::Classic(id) | Self::Sealed(id) => Some(id),
            _ => None,
        }
    }

    /// The class of a sealed value with this header.
    pub(crate) fn of_header(header: Header) -> Self {
        if header.flags.per_user_key() {
            Self::OfUser
        } else {
            Self::Sealed(header.key)
        }
    }
}

impl From<Form> for Class {
    fn from(form: Form) -> Self {
        match form {
            Form::Plain => Self::Plain,
            Form::Classic { key } => Self::Classic(key),
            Form::Sealed { key, .. } => Self::Sealed(key),
        }
    }
}

/// In which type of record a value was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ValueLocation {
    /// The whole of a string record.
    String,
    /// A field of a hash record.
    HashField,
    /// An element of a list record.
    ListElement,
}

impl ValueLocation {
    pub(crate) fn of(slot: &Slot) -> Self {
        match slot {
            Slot::Whole => Self::String,
            Slot::Field(_) => Self::HashField,
            Slot::Element(_) => Self::ListElement,
        }
    }

    /// The type of record as Redis names it.
    #[must_use]
    pub fn kind(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::HashField => "hash",
            Self::ListElement => "list",
        }
    }
}

/// Values of one class in one type of record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Group {
    /// How many.
    pub values: u64,
    /// Their stored bytes.
    pub bytes: u64,
    /// When the first record of them expires (milliseconds since the Unix epoch), as far as asked.
    pub first_expiry: Option<u64>,
    /// When the last one does.
    pub last_expiry: Option<u64>,
    /// How many of them are in records that do not expire, as far as asked.
    pub forever: u64,
}

impl Group {
    /// Adds those of another.
    pub fn add(&mut self, other: &Self) {
        self.values += other.values;
        self.bytes += other.bytes;
        self.forever += other.forever;
        if let (Some(first), Some(last)) = (other.first_expiry, other.last_expiry) {
            self.expires(first, last);
        }
    }

    fn expires(&mut self, first: u64, last: u64) {
        let earliest = self.first_expiry.map_or(first, |known| known.min(first));
        self.first_expiry = Some(earliest);
        self.last_expiry = self.last_expiry.max(Some(last));
    }
}

/// Something wrong with one value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The record: its prefix and a keyed hash.
    pub record: String,
    /// What is wrong.
    pub cause: String,
}

/// Records excepted from a pattern.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExceptCounts {
    /// Plain and empty values. They are in no other count.
    pub plain: u64,
    /// Values that are sealed, or were until this pass. They are counted as all others are, too.
    pub sealed: u64,
    /// Records that were skipped without being read. They are in no other count.
    pub skipped: u64,
    /// Records of types whose values cannot be sealed. They are in no other count.
    pub other_types: u64,
}

impl ExceptCounts {
    /// True if there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Values and records that were left plain.
    #[must_use]
    pub fn left(&self) -> u64 {
        self.plain + self.skipped + self.other_types
    }

    /// Adds those of another pass.
    pub fn add(&mut self, other: Self) {
        self.plain += other.plain;
        self.sealed += other.sealed;
        self.skipped += other.skipped;
        self.other_types += other.other_types;
    }
}

/// The counts of a pass. Each value is counted in `total` once, and in one of the others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Values seen.
    pub total: u64,
    /// Values replaced (in a dry run: that would have been).
    pub done: u64,
    /// Values that were already as they shall be.
    pub already: u64,
    /// Empty values, which nothing is done with.
    pub empty: u64,
    /// Values of users who were erased, which open nowhere any more.
    #[serde(default)]
    pub erased: u64,
    /// Values that another writer changed first and that needed nothing any more.
    pub raced: u64,
    /// Values that are left as they are because something is wrong with them.
    pub failed: u64,
    /// Those among them that were not even seen: the store does not give or take the record, or it grows
    /// faster than it can be read. Each stands for all that the record holds.
    #[serde(skip)]
    pub unseen: u64,
    /// Records of a type whose values cannot be sealed, by type.
    pub skipped: BTreeMap<String, u64>,
    /// Values and records under names that are excepted from the pattern.
    #[serde(default, skip_serializing_if = "ExceptCounts::is_empty")]
    pub excepted: ExceptCounts,
    /// Values by class and type of record.
    #[serde(skip)]
    pub groups: BTreeMap<(Class, ValueLocation), Group>,
    /// When the values under a key expire, as far as asked.
    #[serde(skip)]
    pub expiries: BTreeMap<KeyId, Expiries>,
}

impl Tally {
    /// Records of types whose values cannot be sealed.
    #[must_use]
    pub fn skipped(&self) -> u64 {
        self.skipped.values().sum()
    }

    /// True if any record was seen, be it of a type that is skipped.
    #[must_use]
    pub fn has_seen_any(&self) -> bool {
        self.total > 0 || self.skipped() > 0 || !self.excepted.is_empty()
    }

    /// Values of the classes for which `of` answers true.
    #[must_use]
    pub fn count(&self, of: impl Fn(Class) -> bool) -> u64 {
        self.groups
            .iter()
            .filter(|((class, _), _)| of(*class))
            .map(|(_, group)| group.values)
            .sum()
    }

    /// The mean size of the stored values, in bytes.
    pub(crate) fn mean_bytes(&self) -> u64 {
        let sum = |of: fn(&Group) -> u64| self.groups.values().map(of).sum::<u64>();
        sum(|group| group.bytes) / sum(|group| group.values).max(1)
    }

    pub(crate) fn group(&mut self, class: Class, slot: &Slot, bytes: usize) -> &mut Group {
        let group = self
            .groups
            .entry((class, ValueLocation::of(slot)))
            .or_default();
        group.values += 1;
        group.bytes += u64::try_from(bytes).unwrap_or(u64::MAX);
        group
    }

    pub(crate) fn count_expiry(&mut self, class: Class, sight: ValueLocation, lifetime: Lifetime) {
        let group = self.groups.entry((class, sight)).or_default();
        match lifetime {
            Lifetime::Absent => {}
            Lifetime::Persistent => group.forever += 1,
            Lifetime::Until(time) => {
                group.expires(time, time);
                if let Some(key) = class.key() {
                    self.expiries.entry(key).or_default().count(time, 1);
                }
            }
        }
    }

    /// Counts a record whose values were not seen, or not all of them.
    pub(crate) fn miss(&mut self) {
        self.total += 1;
        self.failed += 1;
        self.unseen += 1;
    }

    pub(crate) fn skip(&mut self, held: &Record) {
        *self.skipped.entry(held.kind().to_owned()).or_default() += 1;
    }

    /// Adds the counts of another pass.
    pub fn add(&mut self, other: Self) {
        self.total += other.total;
        self.done += other.done;
        self.already += other.already;
        self.empty += other.empty;
        self.erased += other.erased;
        self.raced += other.raced;
        self.failed += other.failed;
        self.unseen += other.unseen;
        self.excepted.add(other.excepted);
        for (kind, records) in other.skipped {
            *self.skipped.entry(kind).or_default() += records;
        }
        for (of, group) in other.groups {
            self.groups.entry(of).or_default().add(&group);
        }
        for (key, expiries) in other.expiries {
            self.expiries.entry(key).or_default().add(&expiries);
        }
    }
}
