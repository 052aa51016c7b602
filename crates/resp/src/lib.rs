//! The Redis serialization protocol (RESP), versions 2 and 3, for a program between a client and a server: the end and
//! the arguments of a request, the end and the elements of a reply. Sources: the specifications RESP2 and RESP3 of
//! Redis, and for what a server accepts beyond them, the behaviour of Redis 7.
//!
//! Everything is bounded: lengths, counts, depth and lines are checked before anything is allocated, and nesting costs a
//! counter, not a stack frame. Bytes are passed as slices, in chunks of any size; nothing reads a socket, and no command
//! is known here.
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]

mod error;
mod inline;
mod items;
mod number;
mod progress;
mod reply;
mod request;
mod tail;
mod write;

pub use error::{ReplyError, RequestError};
pub use items::{Item, Items, Kind};
pub use progress::Progress;
pub use reply::{FirstWord, ReplyScanner, first_word};
pub use request::{Arguments, RequestLimits, RequestScanner, Scan};
pub use tail::RequestTail;
pub use write::{
    write_array_head, write_bulk, write_bulk_head, write_error, write_error_bytes, write_integer,
    write_map_head, write_null, write_null_bulk, write_request_head, write_simple,
};

/// Maximum length of an argument or a bulk reply in Redis' default configuration, in bytes.
pub const MAX_BULK_LEN: u64 = 512 * 1024 * 1024;
