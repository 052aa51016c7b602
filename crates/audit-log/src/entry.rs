//! One entry: a line of JSON that holds the MAC of the entry before it and ends in its own.
//!
//! ```text
//! {"seq":7,"at":…,<actor>,"action":…,"target":…,"outcome":…,"details":{…},"prev":"<mac of 6>","mac":"<mac>"}
//! └──────────────────────────── covered by the mac ─────────────────────────────────────────┘
//! ```

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use waxseal_core::{KeyedHash, SecretKey, hex};

use crate::actor::Actor;
use crate::error::Error;
use crate::operation::{Details, Operation, Outcome};

/// The purpose that the key of the MACs is derived for.
const PURPOSE: &str = "waxseal audit log v1";
/// The text before the MAC of a line, and after it.
const MAC_PREFIX: &str = ",\"mac\":\"";
const MAC_SUFFIX: &str = "\"}";
/// The length of an entry's MAC with its prefix and suffix.
const TAIL_LEN: usize = MAC_PREFIX.len() + 2 * MAC_LEN + MAC_SUFFIX.len();
/// The length of a MAC in bytes.
const MAC_LEN: usize = 32;
/// The MAC that the first entry of a chain names as the one before it.
const GENESIS_MAC: &str = "0000000000000000000000000000000000000000000000000000000000000000";
/// The length that no entry exceeds, in bytes.
pub(crate) const MAX_ENTRY: usize = 16 * 1024;

/// The key that authenticates the entries of one chain.
pub struct ChainKey(KeyedHash);

/// An entry that has no position in the chain yet.
#[derive(Clone, Copy)]
pub(crate) struct Draft<'a> {
    pub(crate) actor: &'a Actor,
    pub(crate) operation: &'a Operation,
    pub(crate) outcome: Outcome,
}

#[derive(Serialize)]
struct Line<'a> {
    seq: u64,
    at: String,
    #[serde(flatten)]
    actor: &'a Actor,
    action: &'a str,
    target: &'a str,
    outcome: Outcome,
    details: &'a Details,
    prev: &'a str,
}

/// An entry whose MAC was verified.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Entry {
    pub(crate) seq: u64,
    pub(crate) action: String,
    pub(crate) target: String,
    #[serde(default)]
    pub(crate) details: BTreeMap<String, Value>,
    pub(crate) prev: String,
    pub(crate) mac: String,
}

/// A line that was read from a log.
pub(crate) enum ParsedLine {
    /// An entry whose MAC verifies.
    Verified(Entry),
    /// An entry whose MAC does not verify under this key.
    Unverified,
    /// Not an entry at all.
    Malformed,
}

/// A position in the chain: the entry that the next one follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) seq: u64,
    pub(crate) mac: String,
}

impl ChainKey {
    /// The key of the chain, derived from the key of the audit log.
    #[must_use]
    pub fn derive(key: &SecretKey) -> Self {
        Self(KeyedHash::derived_from(key, PURPOSE))
    }

    /// The MAC of some bytes, in hexadecimal.
    pub(crate) fn mac(&self, bytes: &[u8]) -> String {
        hex::encode(&self.0.hash(&[bytes]))
    }

    /// The line of an entry that follows a position, without its line end; and its own position.
    pub(crate) fn line(
        &self,
        draft: &Draft<'_>,
        after: &Position,
    ) -> Result<(String, Position), Error> {
        let seq = after.seq.saturating_add(1);
        let line = Line {
            seq,
            at: now(),
            actor: draft.actor,
            action: draft.operation.action,
            target: &draft.operation.target,
            outcome: draft.outcome,
            details: &draft.operation.details,
            prev: &after.mac,
        };
        let mut text = serde_json::to_string(&line)?;
        text.pop();
        let mac = self.mac(text.as_bytes());
        text.push_str(MAC_PREFIX);
        text.push_str(&mac);
        text.push_str(MAC_SUFFIX);
        Ok((text, Position { seq, mac }))
    }

    /// Parses a line without its line end, and verifies it.
    pub(crate) fn parse(&self, line: &[u8]) -> ParsedLine {
        let Some((body, tail)) = line.split_at_checked(line.len().saturating_sub(TAIL_LEN)) else {
            return ParsedLine::Malformed;
        };
        let Ok(entry) = serde_json::from_slice::<Entry>(line) else {
            return ParsedLine::Malformed;
        };
        let expected = self.mac(body);
        // Compared in constant time.
        let mac = hex::decode::<MAC_LEN>(&entry.mac);
        let is_mac = mac.is_some_and(|mac| self.0.verify(&[body], &mac));
        // The MAC may not stand anywhere but at the end.
        let is_at_end = tail == format!("{MAC_PREFIX}{expected}{MAC_SUFFIX}").as_bytes();
        match is_mac && is_at_end {
            true => ParsedLine::Verified(entry),
            false => ParsedLine::Unverified,
        }
    }
}

impl Position {
    /// The position before the first entry of a chain.
    pub(crate) fn genesis() -> Self {
        Self {
            seq: 0,
            mac: GENESIS_MAC.to_owned(),
        }
    }
}

impl From<&Entry> for Position {
    fn from(entry: &Entry) -> Self {
        Self {
            seq: entry.seq,
            mac: entry.mac.clone(),
        }
    }
}

/// The present time in RFC 3339 with milliseconds, such as `2026-11-28T05:15:24.123Z`.
fn now() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let since = since.unwrap_or_default();
    let text = i64::try_from(since.as_secs())
        .ok()
        .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok())
        .and_then(|time| time.format(&Rfc3339).ok())
        .unwrap_or_else(|| format!("{} ms", since.as_millis()));
    let seconds = text.strip_suffix('Z').unwrap_or(&text);
    format!("{seconds}.{:03}Z", since.subsec_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_verifies_until_any_byte_of_it_is_changed() {
        let key = SecretKey::generate().ok().unwrap();
        let chain = ChainKey::derive(&key);
        let actor = Actor::of_this_process("tests", None);
        let operation = Operation::new("get", "wa:#00000000");
        let draft = Draft {
            actor: &actor,
            operation: &operation,
            outcome: Outcome::Done,
        };
        let (line, last) = chain.line(&draft, &Position::genesis()).unwrap();
        assert_eq!(last.seq, 1);
        assert!(
            matches!(chain.parse(line.as_bytes()), ParsedLine::Verified(it) if it.mac == last.mac)
        );
        for index in 0..line.len() {
            let mut changed = line.clone().into_bytes();
            changed[index] ^= 1;
            assert!(
                !matches!(chain.parse(&changed), ParsedLine::Verified(_)),
                "{index}"
            );
            assert!(!matches!(
                chain.parse(&line.as_bytes()[..index]),
                ParsedLine::Verified(_)
            ));
        }
        let other = ChainKey::derive(&SecretKey::generate().ok().unwrap());
        assert!(matches!(
            other.parse(line.as_bytes()),
            ParsedLine::Unverified
        ));
    }
}
