//! The slots of a Redis cluster: the slot of a record name, and for each slot a hash tag that leads to it.
//!
//! ```
//! use waxseal_topology::{slot, tag_of};
//!
//! let name = b"wa:5215512345678";
//! assert_eq!(slot(name), 8687);
//! assert_eq!(&tag_of(8687), b"0cV");
//! assert_eq!(slot(b"wa:~{0cV}another name"), slot(name));
//! ```
#![cfg_attr(
    not(test),
    warn(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]

mod slot;
mod tag;

pub use slot::{SLOTS, slot};
pub use tag::{TAG_LEN, TagRule, tag_of};
