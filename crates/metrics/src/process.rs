//! The process itself: its mode, the expiry of its certificates, lost lines of its log, and panics that it survived.

use metrics::Counter;

use crate::handles::{counter, gauge};
use crate::names::{CERTIFICATE_EXPIRY, LOG_LINES_LOST, MODE, MODES, PANICS};

/// Handles for totals that the process keeps from its start, before a recorder is installed.
pub struct ProcessMetrics {
    queue_full: Counter,
    write_failed: Counter,
    panics: Counter,
}

impl ProcessMetrics {
    /// Creates the handles.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "it registers with the recorder")]
    pub fn new() -> Self {
        Self {
            queue_full: counter(&LOG_LINES_LOST, &["queue_full"]),
            write_failed: counter(&LOG_LINES_LOST, &["write_failed"]),
            panics: counter(&PANICS, &[]),
        }
    }

    /// Sets the number of log lines lost since the start: because the queue was full, and because writing failed.
    pub fn set_lost_lines(&self, queue_full: u64, write_failed: u64) {
        self.queue_full.absolute(queue_full);
        self.write_failed.absolute(write_failed);
    }

    /// Sets the number of panics since the start.
    pub fn set_panics(&self, count: u64) {
        self.panics.absolute(count);
    }
}

/// Sets the mode of this process, a value of the label `mode`.
pub fn set_mode(mode: &str) {
    for known in MODES {
        gauge(&MODE, &[known]).set(if known == mode { 1.0 } else { 0.0 });
    }
}

/// Sets the expiry of a certificate, in seconds since the Unix epoch.
pub fn set_certificate_expiry(certificate: &str, not_after: i64) {
    gauge(&CERTIFICATE_EXPIRY, &[certificate]).set(not_after as f64);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mode_and_cause_is_a_label_value_of_the_table() {
        for mode in MODES {
            assert!(MODE.allows("mode", mode), "{mode}");
        }
        for cause in ["queue_full", "write_failed"] {
            assert!(LOG_LINES_LOST.allows("cause", cause), "{cause}");
        }
    }
}
