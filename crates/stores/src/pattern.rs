//! Patterns over record names belong to `policy`; this module only re-exports them. Stores scan by
//! their shape and know nothing else of the policy.

pub use waxseal_policy::{PatternError, RecordPattern};

use crate::record::RecordName;

impl RecordName {
    /// Names that begin so are Waxseal's own: the canary, quarantine.
    pub const OWN_PREFIX: &'static [u8] = waxseal_policy::OWN_PREFIX;
}
