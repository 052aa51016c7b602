//! The pages of Waxseal: plain figures in, a whole HTML document out. This crate knows no key, value or record, does no I/O,
//! and takes the time as an argument.
//!
//! Every document is self-contained: no script but the few lines of the status page, and no font, image or style from
//! elsewhere. It is readable on a phone, in a dark theme, with a screen reader and without scripts.

pub mod chart;
pub mod counts;
pub mod document;
pub mod report;
pub mod status;

pub use maud::{Markup, html};
