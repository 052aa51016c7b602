//! The delay between attempts of a compare-and-set that others won.

use std::time::Duration;

use waxseal_core::KeyId;

/// Returns a random delay whose upper bound doubles with each attempt, up to 64 ms: processes that
/// collided once do not collide again in step.
pub(crate) fn retry_delay(attempt: u32) -> Duration {
    let max_ms = 1 << attempt.min(6);
    Duration::from_millis(u64::from(KeyId::random().to_u32() % (max_ms + 1)))
}
