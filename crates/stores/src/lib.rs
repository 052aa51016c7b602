//! Record stores: the trait [`RecordStore`], an embedded file, Redis, and an in-memory reference.
//!
//! Stores move bytes. They cannot see a key and do not know what an envelope is; sealing happens in
//! the layers above. Every store passes the same suite (feature `conformance`).

mod changes;
mod clock;
mod collections;
mod commands;
#[cfg(feature = "conformance")]
pub mod conformance;
mod contents;
mod embedded;
mod error;
mod generation;
mod memory;
mod named;
mod neighbors;
mod pattern;
mod record;
mod redis;
mod store;
mod url;

pub use clock::Clock;
pub use collections::{Collections, StreamRewrite, StreamRewriter};
pub use commands::{Effect, MissingCommand};
pub use embedded::EmbeddedStore;
pub use error::StoreError;
pub use memory::MemoryStore;
pub use named::NamedStore;
pub use neighbors::{Matches, Neighbor, Neighbors};
pub use pattern::{PatternError, RecordPattern};
pub use record::{
    Cursor, Expiry, Lifetime, Page, Record, RecordName, Slot, SlotPage, StreamEntry, StreamField,
};
pub use redis::{ConnectionFault, RedisOptions, RedisStore};
pub use store::{Change, Move, MoveOutcome, Outcome, RecordStore, RenameOutcome, Status};
pub use url::{RedisUrl, RedisUrlParts, StoreUrl, UrlError};
pub use waxseal_kinds::LeftOut;
