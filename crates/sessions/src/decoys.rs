//! Decoys: records that the application never reads, so that whoever has the library read one is somebody
//! else. Tells that one was opened, by the log and a counter. Writes none.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::error;
use waxseal_core::NameMask;
use waxseal_metrics::{Counter, DecoyOpener, decoys_opened_counter};
use waxseal_stores::RecordPattern;

use crate::error::GuardError;
use crate::options::Options;

/// More of them would be no decoys but a second store.
const MOST: usize = 1000;
/// Lines of the log: at most so many in a period.
const LINES: u64 = 20;
const PERIOD: Duration = Duration::from_secs(10);

/// The decoys of one manager. A value that is read costs one branch where there are none, and one hash
/// lookup of its record's name where there are.
pub(crate) struct Decoys {
    names: HashSet<Vec<u8>>,
    opened: Counter,
    said: Mutex<(Instant, u64)>,
}

impl Decoys {
    /// Those of the options, checked: each must be a record that this manager could read, and that is sealed.
    pub(crate) fn of(
        options: &Options,
        pattern: &RecordPattern,
        mask: &NameMask,
    ) -> Result<Self, GuardError> {
        if options.decoys.len() > MOST {
            return Err(GuardError::TooManyDecoys {
                count: options.decoys.len(),
                most: MOST,
            });
        }
        for name in &options.decoys {
            let rest = name.strip_prefix(options.prefix.as_bytes());
            if rest.is_none_or(<[u8]>::is_empty) {
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
            said: Mutex::new((Instant::now(), 0)),
        })
    }

    #[inline]
    pub(crate) fn is_one(&self, name: &[u8]) -> bool {
        !self.names.is_empty() && self.names.contains(name)
    }

    /// The value of one was opened. `shown` makes its name as it may be shown.
    #[cold]
    pub(crate) fn opened(&self, shown: impl FnOnce() -> String) {
        self.opened.increment(1);
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.0.elapsed() > PERIOD {
            let missing = said.1.saturating_sub(LINES);
            *said = (Instant::now(), 0);
            if missing > 0 {
                error!("{missing} more decoys were opened in the last period");
            }
        }
        said.1 += 1;
        if said.1 <= LINES {
            error!(record = %shown(), command = "read", "a decoy was opened");
        }
    }
}
