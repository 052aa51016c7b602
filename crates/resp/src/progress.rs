//! The progress of a scanner in one chunk of bytes.

/// The part of a chunk that belongs to the message being scanned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Bytes of the chunk that were consumed. Fewer than the chunk has when a line that announces a number is cut:
    /// the caller passes those bytes again at the start of the next chunk.
    pub used: usize,
    /// True if the message ends with these bytes.
    pub done: bool,
}
