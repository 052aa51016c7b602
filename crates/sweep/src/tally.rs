//! The counts of a pass. Names are masked.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use waxseal_core::{EnvelopeVersion, Form, Header, KeyId, Kind, Shape};
use waxseal_stores::{Lifetime, Record};

use crate::expiries::Expiries;

/// The class of a stored value.
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
    /// Sealed under the key of a user who was erased: it can no longer be opened.
    Erased,
    /// Sealed under a key that the keyring does not hold.
    UnknownKey(KeyId),
    /// Cannot be opened: damaged, tampered with, moved, or classic under an unknown key.
    Unopenable,
}

impl Class {
    /// The key of the ring that it is sealed under.
    #[must_use]
    pub fn key(self) -> Option<KeyId> {
        match self {
            Self::Classic(id) | Self::Sealed(id) => Some(id),
            _ => None,
        }
    }

    /// Returns the class of a sealed value with this header.
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

/// The version of what is stored, as its bytes tell it. A value that does not open counts by its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StoredVersion {
    /// Plaintext.
    Plain,
    /// The classic format.
    Classic,
    /// Version 2 of the sealed format.
    V2,
    /// Version 3 of the sealed format.
    V3,
}

impl StoredVersion {
    /// All of them, the oldest first.
    pub const ALL: [Self; 4] = [Self::Plain, Self::Classic, Self::V2, Self::V3];

    /// Its name in reports and in the keyring's record of an audit.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Classic => "classic",
            Self::V2 => "2",
            Self::V3 => "3",
        }
    }

    /// The version of a stored value of this class; `None` if it is empty, or damaged so that nothing tells it. A value
    /// of an erased user is in none: it opens in no version, and nothing can reseal it.
    fn of(class: Class, stored: &[u8]) -> Option<Self> {
        match class {
            Class::Empty | Class::Erased => None,
            Class::Plain => Some(Self::Plain),
            Class::Classic(_) => Some(Self::Classic),
            Class::Sealed(_) | Class::OfUser | Class::UnknownKey(_) | Class::Unopenable => {
                Shape::of_header(stored).map(Self::of_header)
            }
        }
    }

    fn of_header(header: Header) -> Self {
        match header.version {
            EnvelopeVersion::V2 => Self::V2,
            EnvelopeVersion::V3 => Self::V3,
        }
    }
}

/// The type of record that holds a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ValueLocation {
    /// The whole of a string record.
    String,
    /// A field of a hash record.
    HashField,
    /// An element of a list record.
    ListElement,
    /// A member of a set record.
    SetMember,
    /// A member of a sorted set or geo record.
    SortedSetMember,
    /// A value in an entry of a stream record.
    StreamField,
}

impl ValueLocation {
    /// The location of the values of this record; `None` if they cannot be sealed.
    pub(crate) fn of(record: &Record) -> Option<Self> {
        match record {
            Record::String(_) => Some(Self::String),
            Record::Hash => Some(Self::HashField),
            Record::List => Some(Self::ListElement),
            Record::Set => Some(Self::SetMember),
            Record::SortedSet => Some(Self::SortedSetMember),
            Record::Stream => Some(Self::StreamField),
            Record::Other(_) => None,
        }
    }

    /// The kind of value.
    pub(crate) fn kind_of_value(self) -> Kind {
        match self {
            Self::String => Kind::String,
            Self::HashField => Kind::HashField,
            Self::ListElement => Kind::ListElement,
            Self::SetMember | Self::SortedSetMember => Kind::Member,
            Self::StreamField => Kind::StreamField,
        }
    }

    /// The kind of value in words, which the value is bound to from version 3 of the sealed format on.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.kind_of_value().as_str()
    }

    /// The type of record as Redis names it.
    #[must_use]
    pub fn kind(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::HashField => "hash",
            Self::ListElement => "list",
            Self::SetMember => "set",
            Self::SortedSetMember => "zset",
            Self::StreamField => "stream",
        }
    }
}

/// Values of one class in one type of record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Group {
    /// The number of values.
    pub values: u64,
    /// Their stored bytes.
    pub bytes: u64,
    /// The first expiry of their records (milliseconds since the Unix epoch), as far as it was read.
    pub first_expiry: Option<u64>,
    /// The last expiry.
    pub last_expiry: Option<u64>,
    /// The number of values in records that do not expire, as far as it was read.
    pub without_expiry: u64,
}

impl Group {
    /// Adds the counts of another group.
    pub fn add(&mut self, other: &Self) {
        self.values += other.values;
        self.bytes += other.bytes;
        self.without_expiry += other.without_expiry;
        if let (Some(first), Some(last)) = (other.first_expiry, other.last_expiry) {
            self.add_expiry(first, last);
        }
    }

    fn add_expiry(&mut self, first: u64, last: u64) {
        let earliest = self.first_expiry.map_or(first, |known| known.min(first));
        self.first_expiry = Some(earliest);
        self.last_expiry = self.last_expiry.max(Some(last));
    }
}

/// Something that is wrong with one value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The record: its prefix and a keyed hash.
    pub record: String,
    /// The cause.
    pub cause: String,
}

/// The counts of records that are excepted from a pattern.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExceptCounts {
    /// Plain and empty values, which are in no other count.
    pub plain: u64,
    /// Values that are sealed, or were until this pass. They are in the other counts as well.
    pub sealed: u64,
    /// Records that were skipped without being read, which are in no other count.
    pub skipped: u64,
    /// Records of types whose values cannot be sealed, which are in no other count.
    pub other_types: u64,
}

impl ExceptCounts {
    /// True if all counts are 0.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Values and records that stay in plaintext.
    #[must_use]
    pub fn unsealed(&self) -> u64 {
        self.plain + self.skipped + self.other_types
    }

    /// Adds the counts of another pass.
    pub fn add(&mut self, other: Self) {
        self.plain += other.plain;
        self.sealed += other.sealed;
        self.skipped += other.skipped;
        self.other_types += other.other_types;
    }
}

/// The members of records, and elements of lists that are sealed deterministically, by whether they were stored in the form
/// that is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemberCounts {
    /// In the form that is written.
    pub written: u64,
    /// In another one. Those that were replaced are counted here as well.
    pub other: u64,
}

/// The names of records under a pattern whose names are sealed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NameCounts {
    /// Plain names, which applications do not find.
    pub plain: u64,
    /// Sealed names by their key.
    pub sealed: BTreeMap<KeyId, u64>,
    /// Of these: names in another form than the one that is written, under a former key or of another length.
    pub former: u64,
    /// Records that are stored under another form of the name of a record that exists as well.
    pub occupied: u64,
    /// Names that have the form of sealed ones and do not open.
    pub junk: u64,
    /// Names that open, but not to one of a pattern whose names are sealed.
    pub foreign: u64,
    /// Names under a key that is not known.
    pub unknown_key: u64,
    /// Foreign names, and those under unknown keys, by the key that they name.
    pub unusable: BTreeMap<KeyId, u64>,
}

impl NameCounts {
    /// All sealed names that open and are used.
    #[must_use]
    pub fn all_sealed(&self) -> u64 {
        self.sealed.values().sum()
    }

    /// All names that were counted.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.plain + self.all_sealed() + self.left_out()
    }

    /// Names that have the form of sealed ones, and that applications cannot use.
    #[must_use]
    pub fn left_out(&self) -> u64 {
        self.junk + self.foreign + self.unknown_key
    }

    /// Records that applications and passes over values do not find by their names, and whose values were therefore not read,
    /// without those whose names were never sealed under any key.
    #[must_use]
    pub fn not_found(&self) -> u64 {
        self.plain + self.former + self.foreign + self.unknown_key
    }

    /// The names under each key, whether applications can use them or not.
    pub fn by_key(&self) -> impl Iterator<Item = (KeyId, u64)> {
        let all = self.sealed.iter().chain(&self.unusable);
        all.map(|(key, names)| (*key, *names))
    }

    /// Adds the counts of another pass.
    pub fn add(&mut self, other: Self) {
        self.plain += other.plain;
        self.former += other.former;
        self.occupied += other.occupied;
        self.junk += other.junk;
        self.foreign += other.foreign;
        self.unknown_key += other.unknown_key;
        for (key, names) in other.sealed {
            *self.sealed.entry(key).or_default() += names;
        }
        for (key, names) in other.unusable {
            *self.unusable.entry(key).or_default() += names;
        }
    }
}

/// The counts of a pass. Each value is counted in `total` once, and in one of the others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Values judged.
    pub total: u64,
    /// Values replaced (in a dry run: that would have been).
    pub done: u64,
    /// Values that needed no change.
    pub already: u64,
    /// Empty values, which stay empty.
    pub empty: u64,
    /// Values of users who were erased, which can no longer be opened.
    #[serde(default)]
    pub erased: u64,
    /// Values that another writer changed first, and that then needed no change.
    pub raced: u64,
    /// Values that were skipped because something is wrong with them.
    pub failed: u64,
    /// Values of streams that were to be replaced: their entries cannot be rewritten.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub streams: u64,
    /// Records among these that could not be read or written, or that grow faster than they can be read. Each stands for
    /// all values of the record.
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
    /// Values by the version of what was stored before this pass.
    #[serde(skip)]
    pub versions: BTreeMap<StoredVersion, u64>,
    /// Values that are found by their bytes, as they were stored before this pass. Not in checkpoints.
    #[serde(skip)]
    pub members: MemberCounts,
    /// Of those that failed: values of an older version than is accepted, by class.
    #[serde(skip)]
    pub outdated: BTreeMap<Class, u64>,
    /// The expiries of the values under each key, as far as they were read.
    #[serde(skip)]
    pub expiries: BTreeMap<KeyId, Expiries>,
    /// The names of records, in a pass over names. Not in checkpoints.
    #[serde(skip)]
    pub names: NameCounts,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl Tally {
    /// Records of types whose values cannot be sealed.
    #[must_use]
    pub fn skipped(&self) -> u64 {
        self.skipped.values().sum()
    }

    /// True if any record was found, even of a type that is skipped.
    #[must_use]
    pub fn has_found_any(&self) -> bool {
        let has_values = self.total > 0 || self.skipped() > 0 || !self.excepted.is_empty();
        has_values || self.names.total() > 0
    }

    /// The number of values in these classes.
    #[must_use]
    pub fn count(&self, includes: impl Fn(Class) -> bool) -> u64 {
        self.groups
            .iter()
            .filter(|((class, _), _)| includes(*class))
            .map(|(_, group)| group.values)
            .sum()
    }

    /// The number of values in these classes that are of an older version than is accepted.
    #[must_use]
    pub fn outdated(&self, includes: impl Fn(Class) -> bool) -> u64 {
        let outdated = self.outdated.iter();
        outdated
            .filter(|(class, _)| includes(**class))
            .map(|(_, values)| values)
            .sum()
    }

    /// The mean size of the stored values, in bytes.
    pub(crate) fn mean_bytes(&self) -> u64 {
        let sum = |of: fn(&Group) -> u64| self.groups.values().map(of).sum::<u64>();
        sum(|group| group.bytes) / sum(|group| group.values).max(1)
    }

    /// Counts a stored value in its group and by its version.
    pub(crate) fn group(&mut self, class: Class, location: ValueLocation, stored: &[u8]) {
        let group = self.groups.entry((class, location)).or_default();
        group.values += 1;
        group.bytes += u64::try_from(stored.len()).unwrap_or(u64::MAX);
        if let Some(version) = StoredVersion::of(class, stored) {
            *self.versions.entry(version).or_default() += 1;
        }
    }

    pub(crate) fn count_expiry(
        &mut self,
        class: Class,
        location: ValueLocation,
        lifetime: Lifetime,
    ) {
        let group = self.groups.entry((class, location)).or_default();
        match lifetime {
            Lifetime::Absent => {}
            Lifetime::Persistent => group.without_expiry += 1,
            Lifetime::Until(time) => {
                group.add_expiry(time, time);
                if let Some(key) = class.key() {
                    self.expiries.entry(key).or_default().count(time, 1);
                }
            }
        }
    }

    /// Counts a record whose values could not be read, or not all of them.
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
        self.streams += other.streams;
        self.unseen += other.unseen;
        self.excepted.add(other.excepted);
        for (kind, records) in other.skipped {
            *self.skipped.entry(kind).or_default() += records;
        }
        for (of, group) in other.groups {
            self.groups.entry(of).or_default().add(&group);
        }
        for (version, values) in other.versions {
            *self.versions.entry(version).or_default() += values;
        }
        self.members.written += other.members.written;
        self.members.other += other.members.other;
        for (class, values) in other.outdated {
            *self.outdated.entry(class).or_default() += values;
        }
        for (key, expiries) in other.expiries {
            self.expiries.entry(key).or_default().add(&expiries);
        }
        self.names.add(other.names);
    }
}
