//! Patterns over record names are the policy's; this module only gives them their names here. Stores
//! scan by their form and know nothing else of the policy.

pub use waxseal_policy::{PatternError, RecordPattern};

use crate::record::RecordName;

impl RecordName {
    /// Names that begin so are Waxseal's own: the canary, quarantine.
    pub const OWN_PREFIX: &'static [u8] = waxseal_policy::OWN_PREFIX;
}
