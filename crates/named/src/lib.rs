//! The names of records as they are stored.
//!
//! - **Logical name**: what applications say. Values are bound to it.
//! - **Stored name**: what the server has. Under a pattern whose names are sealed it is the pattern's literal prefix and a
//!   sealed part ([formats.md](../../../docs/reference/formats.md)); everywhere else it is the logical name.
//!
//! [`NameTable`] knows the patterns, [`NameView`] is the table with the keys as they are now: for one request, one reply, one
//! page of names or one transaction, whose bytes must agree.

mod table;
mod view;

pub use table::{NameTable, NamedPattern, TableError};
pub use view::{NameView, Opened};
pub use waxseal_kinds::LeftOut;
