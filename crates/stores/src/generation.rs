//! Names for the generations of a store: unique, and otherwise without meaning.

use std::hash::{BuildHasher, RandomState};
use std::process;
use std::time::{SystemTime, UNIX_EPOCH};

/// A new generation name. Not a secret: nothing may rely on it being hard to guess.
pub(crate) fn fresh() -> String {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_nanos();
    let half = || RandomState::new().hash_one((now, process::id()));
    format!("{:016x}{:016x}", half(), half())
}
