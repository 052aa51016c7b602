//! What the commands that read a string or a hash field, compute, and write it back do to the bytes of that value, as
//! Redis and Valkey do it: `INCR`, `APPEND`, `SETRANGE`, `BITFIELD`, `LCS`, `HINCRBY`, `SET … IFEQ` and their like.
//!
//! A program that keeps values sealed at the server reads the stored bytes, opens them, applies an [`Operation`], seals
//! the bytes of its [`Outcome`] and replaces what is stored if it has not changed meanwhile. Replies, the texts of
//! errors, and the order in which errors are found are those of the server whose [`Dialect`] is given; the differential
//! tests of this crate hold it against real ones.
//!
//! [`Sort`] is the one command that reads more than the values of the records that it names: it says which records it
//! needs, and sorts what they hold.
//!
//! Bytes in, bytes out: nothing here reads a socket or a clock, knows a key or looks up a record.
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

mod arguments;
mod bitfield;
mod bits;
mod commands;
mod conditions;
mod dialect;
mod error;
mod increments;
mod lcs;
mod long_double;
mod operation;
mod ranges;
mod reply;
mod sort;

pub use conditions::{Expiry, ExpiryOption};
pub use dialect::{Dialect, Product};
pub use error::{ApplyError, Rejected, ServerError};
pub use operation::{Operation, Outcome, Write};
pub use reply::{Protocol, Reply};
pub use sort::{Lookup, Sort, SortedType};
