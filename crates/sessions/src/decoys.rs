//! Decoys: records that the application never reads, so that a read of one shows an intruder. Reports it by the log and a
//! counter.

use std::collections::HashSet;
use std::time::Duration;

use tracing::error;
use waxseal_core::NameMask;
use waxseal_log_limit::SharedLineLimit;
use waxseal_metrics::{Counter, DecoyOpener, decoys_opened_counter};
use waxseal_stores::RecordPattern;

use crate::error::GuardError;
use crate::options::Options;

/// The largest number of decoys.
const MAX_DECOYS: usize = 1000;
/// The largest number of log lines in a period.
const MAX_LINES: u64 = 20;
const PERIOD: Duration = Duration::from_secs(10);

/// The decoys of one manager. Each read costs one branch if there are none, else one hash lookup of the record's name.
pub(crate) struct Decoys {
    names: HashSet<Vec<u8>>,
    opened: Counter,
    log_limit: SharedLineLimit,
}

impl Decoys {
    /// Checks the decoys of the options: each must be a record that this manager can read, and that is sealed.
    pub(crate) fn new(
        options: &Options,
        pattern: &RecordPattern,
        mask: &NameMask,
    ) -> Result<Self, GuardError> {
        if options.decoys.len() > MAX_DECOYS {
            return Err(GuardError::TooManyDecoys {
                count: options.decoys.len(),
                max: MAX_DECOYS,
            });
        }
        for name in &options.decoys {
            let suffix = name.strip_prefix(options.prefix.as_bytes());
            if suffix.is_none_or(<[u8]>::is_empty) {
                let record = mask.show("", name);
                return Err(GuardError::ForeignDecoy { record });
            }
            if pattern.is_excepted(name) {
                let record = mask.show("", name);
                return Err(GuardError::ExceptedDecoy { record });
            }
        }
        Ok(Self {
            names: options.decoys.iter().cloned().collect(),
            opened: decoys_opened_counter(DecoyOpener::Library),
            log_limit: SharedLineLimit::new(MAX_LINES, PERIOD),
        })
    }

    #[inline]
    pub(crate) fn contains(&self, name: &[u8]) -> bool {
        !self.names.is_empty() && self.names.contains(name)
    }

    /// Reports that a decoy was opened. `shown` returns its masked name.
    #[cold]
    pub(crate) fn report(&self, shown: impl FnOnce() -> String) {
        self.opened.increment(1);
        let Some(suppressed) = self.log_limit.admit() else {
            return;
        };
        if suppressed > 0 {
            error!("{suppressed} more decoys were opened in the last period");
        }
        error!(record = %shown(), command = "read", "a decoy was opened");
    }
}
