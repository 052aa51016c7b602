//! The words about records: their names, the slots that hold values, how long they live, and the
//! pages that a scan gives.

use std::fmt;
use std::time::Duration;

/// What a store keeps a record under (Redis says "key").
///
/// A name often holds a phone number or is a bearer secret, so it has no readable `Debug`.
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

/// The place of one value in a record.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Slot {
    /// The whole of a string record.
    Whole,
    /// One field of a hash record.
    Field(Vec<u8>),
    /// One element of a list record, counted from its head.
    Element(u64),
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole => f.write_str("Whole"),
            Self::Field(name) => write!(f, "Field({} bytes)", name.len()),
            Self::Element(index) => write!(f, "Element({index})"),
        }
    }
}

/// What lies under a name.
#[derive(Clone, PartialEq, Eq)]
pub enum Held {
    /// A string record, and its bytes.
    String(Vec<u8>),
    /// A hash record; its fields are read in pages.
    Hash,
    /// A list record; its elements are read in pages.
    List,
    /// A record of a type whose values cannot be sealed, named as Redis names it (`set`, `zset`,
    /// `stream`, …).
    Other(String),
}

impl Held {
    /// The type as Redis names it.
    #[must_use]
    pub fn kind(&self) -> &str {
        match self {
            Self::String(_) => "string",
            Self::Hash => "hash",
            Self::List => "list",
            Self::Other(kind) => kind,
        }
    }
}

/// How long a record that is being written shall live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// As long as the record that was there (for ever if there was none).
    Keep,
    /// For ever.
    Never,
    /// For so long from now. In whole milliseconds, at least one.
    After(Duration),
    /// Until this time, in milliseconds since the Unix epoch.
    At(u64),
}

/// How long a record lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// There is no such record.
    Absent,
    /// It does not expire.
    Forever,
    /// It expires at this time, in milliseconds since the Unix epoch.
    Until(u64),
}

/// Where a scan goes on. Opaque; valid only for the store that gave it, and only as long as
/// [`Status::generation`](crate::Status::generation) stays the same.
///
/// An embedded store's cursor is made of a record name, so it has no readable `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Cursor(String);

impl Cursor {
    /// The cursor with which every scan starts.
    #[must_use]
    pub fn start() -> Self {
        Self(String::new())
    }

    /// Whether nothing has been scanned yet.
    #[must_use]
    pub fn is_start(&self) -> bool {
        self.0.is_empty()
    }

    /// The cursor as text, to be kept in a checkpoint.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The cursor that a checkpoint kept.
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
    /// Names that match. Some may come twice over a whole scan.
    pub names: Vec<RecordName>,
    /// How many records were looked at, about, whether they match or not.
    pub examined: u64,
    /// Where to go on; `None` at the end.
    pub next: Option<Cursor>,
}

/// One page of the slots of a hash or list record.
pub struct SlotPage {
    /// Slots and what they hold. Fields of a hash may come twice over a whole reading.
    pub slots: Vec<(Slot, Vec<u8>)>,
    /// Where to go on; `None` at the end.
    pub next: Option<Cursor>,
}
