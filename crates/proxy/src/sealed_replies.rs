//! Sealed values in replies of a trial, which opens none: applications would take ciphertext for their values. They are
//! counted, and logged at a bounded rate.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use waxseal_core::Shape;
use waxseal_log_limit::SharedLineLimit;

use crate::refusals::Refusals;

/// The time between two lines of the log.
const INTERVAL: Duration = Duration::from_secs(60);
/// Bytes of a reply that are searched.
const MAX_SEARCHED: usize = 4096;

/// The number of replies with sealed values.
pub(crate) struct SealedReplies {
    count: AtomicU64,
    log_limit: SharedLineLimit,
}

impl Default for SealedReplies {
    fn default() -> Self {
        Self {
            count: AtomicU64::new(0),
            log_limit: SharedLineLimit::new(1, INTERVAL),
        }
    }
}

impl Refusals {
    /// The number of replies in this trial that held a sealed value.
    #[must_use]
    pub fn sealed_replies(&self) -> u64 {
        self.sealed_replies.count.load(Ordering::Relaxed)
    }

    /// Counts a reply that goes to a client of a trial, if its first bytes hold a sealed value.
    pub(crate) fn count_sealed(&self, reply: &[u8]) {
        if has_envelope(reply) {
            self.sealed_replies.add();
        }
    }
}

impl SealedReplies {
    #[cold]
    fn add(&self) {
        let count = self.count.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        if self.log_limit.admit().is_some() {
            tracing::warn!(
                "a sealed value was given to an application, which reads ciphertext: another process seals values \
                 during this trial (so far: {count}); end the trial, or stop that process"
            );
        }
    }
}

/// True if a value near the beginning of a reply is in the sealed format. Values of the classic format cannot be
/// distinguished from Base64.
fn has_envelope(reply: &[u8]) -> bool {
    let is_aggregate = match reply.first() {
        Some(b'$') => false,
        Some(b'*' | b'%' | b'~') => true,
        _ => return false,
    };
    let mut tail = reply.get(..MAX_SEARCHED).unwrap_or(reply);
    while let Some(end) = tail.windows(2).position(|window| window == b"\r\n") {
        tail = tail.get(end.saturating_add(2)..).unwrap_or_default();
        match is_envelope(tail) {
            true => return true,
            false if !is_aggregate => return false,
            false => {}
        }
    }
    false
}

/// True if these bytes begin with an envelope; other bytes may follow.
fn is_envelope(bytes: &[u8]) -> bool {
    let end = bytes.windows(2).position(|window| window == b"\r\n");
    let line = end.and_then(|end| bytes.get(..end)).unwrap_or(bytes);
    // An armored envelope has no line end, and a binary one may have one.
    [bytes, line]
        .iter()
        .any(|bytes| matches!(Shape::of(bytes), Shape::Sealed { .. }))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use waxseal_core::{Binding, Format, Keyring, Mode, Sealer};

    use super::*;

    #[test]
    fn envelopes_near_the_beginning_of_a_reply_are_found() {
        let hex: String = (0..32)
            .map(|byte| format!("{:02x}", byte * 7 + 3))
            .collect();
        let keyring = Keyring::from_hex(&hex, "").unwrap();
        let sealer = Sealer::new(Arc::new(keyring), Mode::On, Format::Sealed);
        let stored = sealer.to_store(b"v", Binding::record(b"wa:1")).unwrap();
        let reply = |value: &[u8]| {
            let head = format!("*2\r\n$1\r\nf\r\n${}\r\n", value.len());
            [head.as_bytes(), value, b"\r\n"].concat()
        };
        assert!(has_envelope(&reply(&stored[..])));
        let bulk = [&b"$99\r\n"[..], &stored[..], b"\r\n"].concat();
        assert!(has_envelope(&bulk));
        // It belongs to the next reply.
        assert!(!has_envelope(&[&b"$1\r\nx\r\n"[..], &bulk[..]].concat()));
        assert!(!has_envelope(&reply(b"plain")));
        assert!(!has_envelope(&reply(b"{\"a\": \"b\"}")));
        assert!(!has_envelope(b"$-1\r\n") && !has_envelope(b""));
    }
}
