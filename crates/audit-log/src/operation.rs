//! An operation that is recorded: an action, its target and details.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use waxseal_core::{SecretKey, fingerprint, sanitize_for_terminal};

use crate::error::Error;

/// The longest text of an entry in bytes, so that every entry fits into a datagram.
const MAX_TEXT: usize = 300;
/// The domain separation label of chain ids.
const CHAIN_ID_LABEL: &str = "waxseal audit log chain v1";
/// The target of entries that the log writes about itself.
const OWN_TARGET: &str = "audit log";

/// The action of the first entry of a chain.
pub(crate) const STARTED: &str = "started";
/// The action of the first entry of a file that continues the chain of another.
pub(crate) const CONTINUED: &str = "continued";
/// The action of the entry after a partial line.
pub(crate) const REPAIRED: &str = "repaired";
/// The action of the entry which says that the end of the file was missing.
pub(crate) const CUT_OFF: &str = "cut_off";

/// The details of an entry by name.
pub type Details = BTreeMap<&'static str, Value>;

/// An action, its target, and details.
#[derive(Clone, Debug)]
pub struct Operation {
    pub(crate) action: &'static str,
    pub(crate) target: String,
    pub(crate) details: Details,
}

/// The progress of an operation when an entry is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It is about to begin.
    Begun,
    /// It is done.
    Done,
    /// It failed.
    Failed,
}

impl Operation {
    /// An operation on a target: a masked record, a key id, a pattern, or a location.
    #[must_use]
    pub fn new(action: &'static str, target: &str) -> Self {
        Self {
            action,
            target: bounded(target),
            details: Details::new(),
        }
    }

    /// The operation with one more detail.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        let value = match value.into() {
            Value::String(text) => Value::String(bounded(&text)),
            other => other,
        };
        self.details.insert(name, value);
        self
    }

    /// The operation that begins a chain, with a random id.
    pub(crate) fn started() -> Result<Self, Error> {
        let random = SecretKey::generate()?;
        let id = fingerprint(CHAIN_ID_LABEL, random.expose_bytes());
        let id = id.get(..32).unwrap_or(&id).to_owned();
        Ok(Self::of_log(STARTED).with("chain", id))
    }

    /// An entry of the log about itself.
    pub(crate) fn of_log(action: &'static str) -> Self {
        Self::new(action, OWN_TARGET)
    }
}

/// A text without terminal control characters, shortened to fit into an entry.
pub(crate) fn bounded(text: &str) -> String {
    let text = sanitize_for_terminal(text);
    if text.len() <= MAX_TEXT {
        return text;
    }
    // A character has four bytes at most.
    let start: String = text.chars().take(MAX_TEXT / 4).collect();
    start + "…"
}
