//! Vocabulary for records: their names, the slots that hold values, their expiry, and the pages of
//! a scan.

use std::fmt;
use std::time::Duration;

use waxseal_kinds::Kind;

/// The name under which a store keeps a record (Redis calls it "key").
///
/// A name often contains a phone number or is a bearer secret, so it has no readable `Debug`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RecordName(Vec<u8>);

impl RecordName {
    /// The bytes of the name.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl<T: Into<Vec<u8>>> From<T> for RecordName {
    fn from(name: T) -> Self {
        Self(name.into())
    }
}

impl fmt::Debug for RecordName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RecordName({} bytes)", self.0.len())
    }
}

/// The location of one value in a record.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Slot {
    /// The whole of a string record.
    Whole,
    /// One field of a hash record.
    Field(Vec<u8>),
    /// One element of a list record, counted from its head.
    Element(u64),
    /// One member of a set or sorted set record, by its stored bytes. They are its value as well.
    Member(Vec<u8>),
    /// One value in an entry of a stream record.
    StreamField(StreamField),
}

/// The location of one value in a stream record.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct StreamField {
    /// The id of the entry, as the store writes it.
    pub entry: String,
    /// The number of the field in its entry, counted from 0: fields may have the same name.
    pub index: usize,
    /// The name of the field.
    pub field: Vec<u8>,
}

/// An entry of a stream record.
#[derive(Clone, PartialEq, Eq)]
pub struct StreamEntry {
    /// Its id, as the store writes it.
    pub id: String,
    /// Its fields, each with its value.
    pub fields: Vec<(Vec<u8>, Vec<u8>)>,
}

impl fmt::Debug for StreamEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StreamEntry({}, {} fields)", self.id, self.fields.len())
    }
}

impl Slot {
    /// The name of the field, if the slot is one of a hash or of a stream entry.
    #[must_use]
    pub fn field(&self) -> Option<&[u8]> {
        match self {
            Self::Field(field) => Some(field),
            Self::StreamField(at) => Some(&at.field),
            Self::Whole | Self::Element(_) | Self::Member(_) => None,
        }
    }

    /// The kind of the value in the slot.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Whole => Kind::String,
            Self::Field(_) => Kind::HashField,
            Self::Element(_) => Kind::ListElement,
            Self::Member(_) => Kind::Member,
            Self::StreamField(_) => Kind::StreamField,
        }
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole => f.write_str("Whole"),
            Self::Field(name) => write!(f, "Field({} bytes)", name.len()),
            Self::Element(index) => write!(f, "Element({index})"),
            Self::Member(member) => write!(f, "Member({} bytes)", member.len()),
            Self::StreamField(at) => {
                write!(f, "StreamField({}, field {})", at.entry, at.index)
            }
        }
    }
}

/// A record as a store returns it.
#[derive(Clone, PartialEq, Eq)]
pub enum Record {
    /// A string record, and its bytes.
    String(Vec<u8>),
    /// A hash record; its fields are read in pages.
    Hash,
    /// A list record; its elements are read in pages.
    List,
    /// A set record; its members are read in pages.
    Set,
    /// A sorted set or geo record; its members are read in pages.
    SortedSet,
    /// A stream record; its entries are read in pages.
    Stream,
    /// A record of a type whose values cannot be sealed, named as Redis names it (`vectorset`,
    /// `ReJSON-RL`, …).
    Other(String),
}

impl Record {
    /// True if it holds values in slots, which are read in pages.
    #[must_use]
    pub fn has_slots(&self) -> bool {
        match self {
            Self::Hash | Self::List | Self::Set | Self::SortedSet | Self::Stream => true,
            Self::String(_) | Self::Other(_) => false,
        }
    }

    /// The record's type as Redis names it.
    #[must_use]
    pub fn kind(&self) -> &str {
        match self {
            Self::String(_) => "string",
            Self::Hash => "hash",
            Self::List => "list",
            Self::Set => "set",
            Self::SortedSet => "zset",
            Self::Stream => "stream",
            Self::Other(kind) => kind,
        }
    }
}

/// The expiry of a record that is being written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// That of the record being replaced; persistent if there was none.
    Keep,
    /// No expiry.
    Persistent,
    /// This long from now. In whole milliseconds, at least one.
    After(Duration),
    /// Until this time, in milliseconds since the Unix epoch.
    At(u64),
}

/// The lifetime of a stored record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// There is no such record.
    Absent,
    /// It does not expire.
    Persistent,
    /// It expires at this time, in milliseconds since the Unix epoch.
    Until(u64),
}

/// The position at which a scan resumes. Opaque; valid only for the store that returned it, and
/// only while [`Status::generation`](crate::Status::generation) stays the same.
///
/// An embedded store's cursor contains a record name, so it has no readable `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Cursor(String);

impl Cursor {
    /// The cursor with which every scan begins.
    #[must_use]
    pub fn start() -> Self {
        Self(String::new())
    }

    /// True if nothing has been scanned yet.
    #[must_use]
    pub fn is_start(&self) -> bool {
        self.0.is_empty()
    }

    /// The cursor as text, to be saved in a checkpoint.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The cursor that was saved in a checkpoint.
    #[must_use]
    pub fn from_text(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cursor({} bytes)", self.0.len())
    }
}

/// One page of a scan over names.
pub struct Page {
    /// Names that match. Some may be repeated over a whole scan.
    pub names: Vec<RecordName>,
    /// Roughly how many records were examined, whether they match or not.
    pub examined: u64,
    /// The position to resume at; `None` at the end.
    pub next: Option<Cursor>,
}

/// One page of the slots of a record that is not a string.
pub struct SlotPage {
    /// Slots and their values. Fields of a hash and members may be repeated over a whole scan.
    pub slots: Vec<(Slot, Vec<u8>)>,
    /// Where to resume; `None` at the end.
    pub next: Option<Cursor>,
}
