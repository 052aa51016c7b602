//! Values that are not in the expected form. Plain ones that are read under a protected pattern while the mode seals: they
//! were written past the proxy, by a script that computes names, or before the migration. And envelopes that a client
//! writes: its application encrypts, too. Both are logged with the pattern and never the record, at most once an hour for
//! each pattern.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use waxseal_core::{Kind, Shape};
use waxseal_log_limit::Intervals;
use waxseal_policy::{PatternId, ProtectedNames};

/// The time between two warnings about one pattern.
const INTERVAL: Duration = Duration::from_secs(3600);

/// The time after a Base64 value that was not an envelope in which other values of its pattern are not tried: trying the
/// keys costs as much as sealing.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// The warnings about values in an unexpected form that were logged.
pub(crate) struct MisplacedValues {
    plain: Intervals,
    sealed_twice: Intervals,
    /// The time at which a value that may be a classic envelope is tried again.
    classic: Intervals,
    /// The number of scripts that were forwarded.
    scripts: AtomicU64,
}

impl MisplacedValues {
    /// No warnings yet, for so many patterns.
    pub(crate) fn new(patterns: usize) -> Self {
        Self {
            plain: Intervals::new(patterns),
            sealed_twice: Intervals::new(patterns),
            classic: Intervals::new(patterns),
            scripts: AtomicU64::new(0),
        }
    }

    /// Checks a value that a client writes. Returns true if it is an envelope under one of our keys.
    pub(crate) fn detect_envelope(
        &self,
        value: &[u8],
        pattern: PatternId,
        opens: impl FnOnce() -> bool,
    ) -> bool {
        match Shape::of(value) {
            Shape::Sealed { .. } => opens(),
            Shape::MaybeClassic if self.classic.is_due(pattern.index()) => {
                let opens = opens();
                if !opens {
                    self.classic.postpone(pattern.index(), RETRY_INTERVAL);
                }
                opens
            }
            _ => false,
        }
    }

    /// A client wrote an envelope to a record of this pattern.
    pub(crate) fn warn_of_envelope(&self, pattern: PatternId, names: &ProtectedNames, seals: bool) {
        if !self.sealed_twice.claim(pattern.index(), INTERVAL) {
            return;
        }
        let pattern = names.pattern(pattern).shown();
        let effect = match seals {
            true => "and is sealed again: the application gets its own envelope back",
            false => {
                "and is opened when it is read: the application gets the value instead of its envelope"
            }
        };
        tracing::warn!(
            "a value that was written under {pattern} is encrypted already, under one of our keys, {effect}; \
             the application encrypts, too: disable that in the application \
             (ENABLE_REDIS_ENCRYPTION=false there), see docs/proxy/proxy.md"
        );
    }

    /// A script was forwarded.
    pub(crate) fn script(&self) {
        self.scripts.fetch_add(1, Ordering::Relaxed);
    }

    /// A plain value of this kind was read from a record or channel of this pattern.
    pub(crate) fn warn_of_plain(&self, pattern: PatternId, kind: Kind, names: &ProtectedNames) {
        if !self.plain.claim(pattern.index(), INTERVAL) {
            return;
        }
        if kind == Kind::Message {
            let pattern = names.pattern(pattern).shown();
            tracing::warn!(
                "a plain message was delivered in a channel of {pattern}: it was published past the proxy, or by a \
                 script; in mode required such messages are not delivered"
            );
            return;
        }
        let then = match names.forwards_scripts(pattern) {
            false => "`waxseal migrate` seals them",
            true => {
                "`waxseal migrate` would seal them, and the scripts forwarded under this pattern would then read \
                 sealed values: add an except for values that scripts must read"
            }
        };
        let pattern = names.pattern(pattern).shown();
        let scripts = match self.scripts.load(Ordering::Relaxed) {
            0 => "no script was forwarded since the start".to_owned(),
            1 => "1 script was forwarded since the start".to_owned(),
            count => format!("{count} scripts were forwarded since the start"),
        };
        tracing::warn!(
            "a plain value was read under {pattern}: it was written past the proxy, by a script that \
             computes names ({scripts}), or before the migration; `waxseal audit` counts them, {then}"
        );
    }
}
