//! The process itself: in which mode it runs, when its certificates expire, what its log lost, and bugs of
//! ours that it survived.

use metrics::Counter;

use crate::handles::{counter, gauge};
use crate::names::{CERTIFICATE_EXPIRY, LOG_LINES_LOST, MODE, MODES, PANICS};

/// Handles for what the process counts without a recorder, from its first line on.
pub struct ProcessMetrics {
    queue_full: Counter,
    write_failed: Counter,
    panics: Counter,
}

impl ProcessMetrics {
    /// The handles. Made once.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "it registers with the recorder")]
    pub fn new() -> Self {
        Self {
            queue_full: counter(&LOG_LINES_LOST, &["queue_full"]),
            write_failed: counter(&LOG_LINES_LOST, &["write_failed"]),
            panics: counter(&PANICS, &[]),
        }
    }

    /// So many lines of the log were lost since the process began, because the queue was full or because
    /// writing failed.
    pub fn lost_lines(&self, queue_full: u64, write_failed: u64) {
        self.queue_full.absolute(queue_full);
        self.write_failed.absolute(write_failed);
    }

    /// There were so many panics since the process began.
    pub fn panics(&self, count: u64) {
        self.panics.absolute(count);
    }
}

/// The mode of this process, a word of the table.
pub fn set_mode(mode: &str) {
    for word in MODES {
        gauge(&MODE, &[word]).set(if word == mode { 1.0 } else { 0.0 });
    }
}

/// A certificate, by its word in the table, expires then (seconds since the Unix epoch).
pub fn set_certificate_expiry(certificate: &str, not_after: i64) {
    gauge(&CERTIFICATE_EXPIRY, &[certificate]).set(not_after as f64);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_one_that_the_table_allows() {
        for word in MODES {
            assert!(MODE.allows("mode", word), "{word}");
        }
        for word in ["queue_full", "write_failed"] {
            assert!(LOG_LINES_LOST.allows("cause", word), "{word}");
        }
    }
}
