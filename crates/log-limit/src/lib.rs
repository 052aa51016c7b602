//! Limits on how often one thing is logged, so that a flood of events neither fills the disk nor hides other lines.
//!
//! The callers write the lines; this crate decides when. [`LineLimit`] bounds the lines in a period and counts the
//! events without one, [`Reminder`] repeats a line while a state lasts, and [`Intervals`] admits one event of each of
//! several items in an interval.

mod intervals;
mod line_limit;
mod reminder;

pub use intervals::Intervals;
pub use line_limit::{LineLimit, SharedLineLimit};
pub use reminder::Reminder;
