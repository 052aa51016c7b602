//! Messages that were not delivered: one line in the log for each pattern of channels in an interval, with their number.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use waxseal_core::OpenError;
use waxseal_log_limit::Intervals;

use crate::refusals::ClientLabel;

/// The time between two lines about one pattern.
const INTERVAL: Duration = Duration::from_secs(60);

/// The reason why a message was not delivered.
#[derive(Clone, Copy)]
pub(crate) enum DropReason {
    /// It does not open, or is plain where that is not accepted.
    NotOpened(OpenError),
    /// It is too large to be opened.
    TooLarge,
    /// It is not a string.
    Malformed,
}

impl DropReason {
    /// The value of a metric's label.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::NotOpened(OpenError::Plaintext) => "plaintext",
            Self::NotOpened(_) => "not_opened",
            Self::TooLarge => "too_large",
            Self::Malformed => "malformed",
        }
    }

    fn description(self) -> String {
        match self {
            Self::NotOpened(error) => error.to_string(),
            Self::TooLarge => "it is larger than --max-value allows".to_owned(),
            Self::Malformed => "it is not a string".to_owned(),
        }
    }
}

/// The messages that were not delivered, by pattern.
pub(crate) struct DroppedMessages {
    lines: Intervals,
    /// The number since the last line.
    unreported: Vec<AtomicU64>,
}

impl DroppedMessages {
    /// None yet, for so many patterns.
    pub(crate) fn new(patterns: usize) -> Self {
        Self {
            lines: Intervals::new(patterns),
            unreported: (0..patterns).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// A message in a channel of the pattern with this index was not delivered to this client.
    pub(crate) fn record(
        &self,
        (index, pattern): (usize, &str),
        channel: impl FnOnce() -> String,
        reason: DropReason,
        client: &ClientLabel,
    ) {
        let Some(unreported) = self.unreported.get(index) else {
            return;
        };
        unreported.fetch_add(1, Ordering::Relaxed);
        if !self.lines.claim(index, INTERVAL) {
            return;
        }
        let others = unreported.swap(0, Ordering::Relaxed).saturating_sub(1);
        let before = match others {
            0 => String::new(),
            1 => ", and 1 other since the last such line".to_owned(),
            others => format!(", and {others} others since the last such line"),
        };
        tracing::error!(
            channel = channel(),
            client = (!client.address.is_empty()).then_some(client.address.as_str()),
            client_name = client.name,
            "a message in a channel of {pattern} was not delivered: {}{before}",
            reason.description()
        );
    }
}
