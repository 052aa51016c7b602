//! What Waxseal shows in a browser: plain figures in, a whole HTML document out. Knows no key, value or
//! record, asks nobody anything, and takes the time as an argument.
//!
//! Every document stands alone: no script but the few lines of the status page, no font, image or style
//! from elsewhere. It can be read on a phone, in the dark, by a screen reader and without scripts.

pub mod chart;
pub mod document;
pub mod format;
pub mod report;
pub mod status;

pub use maud::{Markup, html};
