//! One entry: a line of JSON that names the code of the entry before and ends in its own. Where lines
//! go is not known here.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use waxseal_core::{KeyedHash, SecretKey, fingerprint};

use super::actor::Actor;
use crate::error::Failure;
use crate::output;
use crate::setup::now_ms;

/// What the key of the codes is derived for.
const PURPOSE: &str = "waxseal audit log v1";
/// What the id of a chain is made with.
const CHAIN: &str = "waxseal audit log chain v1";
/// What stands before the code of a line, and behind it.
const FRONT: &str = ",\"mac\":\"";
const BACK: &str = "\"}";
/// The length of a code in hexadecimal characters.
pub(super) const CODE: usize = 64;
/// What the first entry of a chain names as the code before it.
pub(super) const NOTHING: &str = "0000000000000000000000000000000000000000000000000000000000000000";
/// No text of an entry is longer than this, so that every entry fits into a datagram.
const LONGEST_TEXT: usize = 300;
/// No entry is longer than this.
pub(super) const LONGEST_ENTRY: usize = 16 * 1024;

/// The first entry of a chain.
pub(super) const STARTED: &str = "started";
/// The first entry of a file that carries on another.
pub(super) const CONTINUED: &str = "continued";
/// The entry behind a half line.
pub(super) const REPAIRED: &str = "repaired";
/// The entry that tells that the end of the file was missing.
pub(super) const CUT: &str = "cut_off";

/// What is done, and with what.
pub(crate) struct Act {
    pub(super) action: &'static str,
    pub(super) target: String,
    pub(super) details: BTreeMap<&'static str, Value>,
}

impl Act {
    /// `target` is a masked record, the id of a key, a pattern, or where something lies.
    pub(crate) fn new(action: &'static str, target: &str) -> Self {
        Self {
            action,
            target: short(target),
            details: BTreeMap::new(),
        }
    }

    /// With one more detail.
    pub(crate) fn with(mut self, what: &'static str, value: impl Into<Value>) -> Self {
        let value = match value.into() {
            Value::String(text) => Value::String(short(&text)),
            other => other,
        };
        self.details.insert(what, value);
        self
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Outcome {
    Begun,
    Done,
    Failed,
}

/// An entry that has no place in the chain yet.
pub(super) struct Draft<'a> {
    pub(super) actor: &'a Actor,
    pub(super) act: &'a Act,
    pub(super) outcome: Outcome,
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
    details: &'a BTreeMap<&'static str, Value>,
    prev: &'a str,
}

/// An entry that is as it was written.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Whole {
    pub(super) seq: u64,
    pub(super) action: String,
    pub(super) target: String,
    #[serde(default)]
    pub(super) details: BTreeMap<String, Value>,
    pub(super) prev: String,
    pub(super) mac: String,
}

/// What a line turns out to be.
pub(super) enum Read {
    Whole(Whole),
    /// It has the form of an entry, and not its code.
    Forged,
    /// It has not even the form.
    Unreadable,
}

/// The codes of entries, under one key.
pub(crate) struct Codes(KeyedHash);

impl Codes {
    pub(super) fn of(key: &SecretKey) -> Self {
        Self(KeyedHash::of_key(key, PURPOSE))
    }

    /// The code of some bytes, in hexadecimal characters.
    pub(super) fn code(&self, bytes: &[u8]) -> String {
        hex(&self.0.hash(&[bytes]))
    }

    /// The line of an entry behind this one, without its end.
    pub(super) fn line(&self, draft: &Draft<'_>, after: &Last) -> Result<(String, Last), Failure> {
        let seq = after.seq.saturating_add(1);
        let line = Line {
            seq,
            at: now(),
            actor: draft.actor,
            action: draft.act.action,
            target: &draft.act.target,
            outcome: draft.outcome,
            details: &draft.act.details,
            prev: &after.mac,
        };
        let mut text = serde_json::to_string(&line).map_err(Failure::failed)?;
        text.pop();
        let mac = self.code(text.as_bytes());
        text.push_str(FRONT);
        text.push_str(&mac);
        text.push_str(BACK);
        Ok((text, Last { seq, mac }))
    }

    /// What a line, without its end, is.
    pub(super) fn read(&self, line: &[u8]) -> Read {
        let tail = FRONT.len() + CODE + BACK.len();
        let Some((body, tail)) = line.split_at_checked(line.len().saturating_sub(tail)) else {
            return Read::Unreadable;
        };
        let Ok(whole) = serde_json::from_slice::<Whole>(line) else {
            return Read::Unreadable;
        };
        let expected = self.0.hash(&[body]);
        // The hash is compared as a whole, in one time for every wrong one.
        let code = bytes(&whole.mac);
        let is_code = code.is_some_and(|code| self.0.verify(&[body], &code));
        let is_tail = tail == format!("{FRONT}{}{BACK}", hex(&expected)).as_bytes();
        match is_code && is_tail {
            true => Read::Whole(whole),
            false => Read::Forged,
        }
    }
}

/// The place in the chain that the next entry follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Last {
    pub(super) seq: u64,
    pub(super) mac: String,
}

impl Last {
    /// Before the first entry of a chain.
    pub(super) fn none() -> Self {
        Self {
            seq: 0,
            mac: NOTHING.to_owned(),
        }
    }

    pub(super) fn of(whole: &Whole) -> Self {
        Self {
            seq: whole.seq,
            mac: whole.mac.clone(),
        }
    }
}

/// What begins a chain.
pub(super) fn started() -> Result<Act, Failure> {
    let random = SecretKey::generate().map_err(Failure::failed)?;
    let chain = fingerprint(CHAIN, random.expose_bytes());
    let chain = chain.get(..32).unwrap_or(&chain).to_owned();
    Ok(Act::new(STARTED, "audit log").with("chain", chain))
}

/// A text that moves no cursor, and is not too long.
pub(super) fn short(text: &str) -> String {
    let sanitize_for_terminal = output::sanitize_for_terminal(text);
    if sanitize_for_terminal.len() <= LONGEST_TEXT {
        return sanitize_for_terminal;
    }
    let cut: String = sanitize_for_terminal
        .chars()
        .take(LONGEST_TEXT / 4)
        .collect();
    cut + "…"
}

fn now() -> String {
    let ms = now_ms();
    let seconds = output::point_in_time(ms);
    let seconds = seconds.strip_suffix('Z').unwrap_or(&seconds);
    format!("{seconds}.{:03}Z", ms % 1000)
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn bytes(hex: &str) -> Option<[u8; 32]> {
    let mut bytes = [0u8; 32];
    if hex.len() != CODE {
        return None;
    }
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(hex.get(2 * index..2 * index + 2)?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_whole_until_any_byte_of_it_is_another() {
        let key = SecretKey::generate().ok().unwrap();
        let codes = Codes::of(&key);
        let actor = Actor::of_this_process("tests");
        let act = Act::new("get", "wa:#00000000");
        let draft = Draft {
            actor: &actor,
            act: &act,
            outcome: Outcome::Done,
        };
        let (line, last) = codes.line(&draft, &Last::none()).unwrap();
        assert_eq!(last.seq, 1);
        assert!(matches!(codes.read(line.as_bytes()), Read::Whole(it) if it.mac == last.mac));
        for index in 0..line.len() {
            let mut changed = line.clone().into_bytes();
            changed[index] ^= 1;
            assert!(!matches!(codes.read(&changed), Read::Whole(_)), "{index}");
            assert!(!matches!(
                codes.read(&line.as_bytes()[..index]),
                Read::Whole(_)
            ));
        }
        let other = Codes::of(&SecretKey::generate().ok().unwrap());
        assert!(matches!(other.read(line.as_bytes()), Read::Forged));
    }
}
