//! The scripts whose texts have passed, by their digests: a client that calls a script by its digest alone has sent its
//! text before, or somebody else has. What a script does is the policy's to say.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use waxseal_core::{KeyId, script_digest};
use waxseal_policy::KnownScript;

/// Scripts that are remembered. Of one that is forgotten the client is asked for the text again.
const MAX_SEEN: usize = 4096;

type Digest = [u8; 20];

/// The scripts whose texts have passed, over all connections.
pub(crate) struct SeenScripts {
    seen: Mutex<Seen>,
    equal_to_nothing: [u8; 24],
}

#[derive(Default)]
struct Seen {
    scripts: HashMap<Digest, Option<KnownScript>>,
    /// The oldest first.
    order: VecDeque<Digest>,
}

impl Default for SeenScripts {
    fn default() -> Self {
        let mut equal_to_nothing = *b"waxseal:                ";
        for letters in equal_to_nothing.as_chunks_mut::<4>().0.iter_mut().skip(2) {
            *letters = KeyId::random().to_u32().to_be_bytes();
        }
        Self {
            seen: Mutex::default(),
            equal_to_nothing,
        }
    }
}

impl SeenScripts {
    /// What a script gets in the place of a value that is not the one which is stored. Nobody else can know it, so nothing
    /// that is stored is equal to it.
    pub(crate) fn equal_to_nothing(&self) -> &[u8] {
        &self.equal_to_nothing
    }

    /// Remembers which script has this text.
    pub(crate) fn note(&self, text: &[u8]) {
        let digest = script_digest(text);
        if self.lock().scripts.contains_key(&digest) {
            return;
        }
        let script = KnownScript::of_text(text);
        let mut seen = self.lock();
        if seen.scripts.insert(digest, script).is_none() {
            seen.order.push_back(digest);
        }
        while seen.order.len() > MAX_SEEN {
            if let Some(oldest) = seen.order.pop_front() {
                seen.scripts.remove(&oldest);
            }
        }
    }

    /// The script of this digest, in hexadecimal digits: `None` where its text has not passed, `Some(None)` where that is
    /// none that is known.
    pub(crate) fn find(&self, digest: &[u8]) -> Option<Option<KnownScript>> {
        let digest = parse(digest)?;
        self.lock().scripts.get(&digest).copied()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A digest as servers read it: 40 hexadecimal digits in any case.
fn parse(text: &[u8]) -> Option<Digest> {
    let mut digest = Digest::default();
    let (pairs, rest) = text.as_chunks::<2>();
    if pairs.len() != digest.len() || !rest.is_empty() {
        return None;
    }
    for (byte, [high, low]) in digest.iter_mut().zip(pairs) {
        let digit = |letter: &u8| char::from(*letter).to_digit(16);
        let value = digit(high)?.checked_mul(16)?.checked_add(digit(low)?)?;
        *byte = u8::try_from(value).ok()?;
    }
    Some(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SHA-1 of `return 1`.
    const DIGEST: &[u8] = b"E0E1f9fabfc9d4800c877a703b823ac0578ff8db";

    #[test]
    fn remembers_what_has_passed_and_forgets_the_oldest() {
        let seen = SeenScripts::default();
        assert_eq!(seen.find(DIGEST), None);
        seen.note(b"return 1");
        assert_eq!(seen.find(DIGEST), Some(None));
        for wrong in [&DIGEST[1..], &b"x"[..], b"", &[b'g'; 40], &[b'0'; 41]] {
            assert_eq!(seen.find(wrong), None);
        }
        for number in 0..MAX_SEEN {
            seen.note(b"return 1");
            seen.note(format!("return 2, {number}").as_bytes());
        }
        assert_eq!(seen.find(DIGEST), None);
        assert_eq!(seen.lock().scripts.len(), MAX_SEEN);
    }

    #[test]
    fn a_known_script_is_known_by_its_digest_once_its_text_has_passed() {
        let seen = SeenScripts::default();
        let text = b"-- mine\nif redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end";
        let digest: String = script_digest(text)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        seen.note(text);
        let found = seen.find(digest.as_bytes()).unwrap().unwrap();
        assert_eq!(found.compared(), Some(1));
    }
}
