//! The cache of scripts by their digests: a client that calls a script by its digest alone has sent its text before, or
//! another client has. The policy decides what a script does.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use waxseal_core::{KeyId, hex, script_digest};
use waxseal_policy::KnownScript;

/// Scripts of each kind that are remembered. The client is asked again for the text of one that is forgotten.
const MAX_SCRIPTS: usize = 4096;

/// The time for which a text is asked for before its script counts as unknown. Several requests for one script may be
/// under way at once, and each client needs a round trip to send the text.
const ASK_TIMEOUT: Duration = Duration::from_secs(5);

type Digest = [u8; 20];

/// A script whose text has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CachedScript {
    Known(KnownScript),
    /// Not one of those that the policy knows.
    Unknown,
}

impl CachedScript {
    /// The script, if the policy knows it.
    pub(crate) fn known(self) -> Option<KnownScript> {
        match self {
            Self::Known(script) => Some(script),
            Self::Unknown => None,
        }
    }
}

/// The scripts whose texts have passed, over all connections.
pub(crate) struct ScriptCache {
    scripts: Mutex<Scripts>,
    unmatchable_bytes: [u8; 24],
}

#[derive(Default)]
struct Scripts {
    /// Apart from the others, whose number must not evict these.
    known: RecentlyUsed<KnownScript>,
    unknown: RecentlyUsed<()>,
    /// Digests whose texts were asked for, with the time of the first time.
    asked: RecentlyUsed<Instant>,
}

impl Default for ScriptCache {
    fn default() -> Self {
        let mut unmatchable_bytes = *b"waxseal:                ";
        for letters in unmatchable_bytes.as_chunks_mut::<4>().0.iter_mut().skip(2) {
            *letters = KeyId::random().to_u32().to_be_bytes();
        }
        Self {
            scripts: Mutex::default(),
            unmatchable_bytes,
        }
    }
}

impl ScriptCache {
    /// Random bytes that match no stored value. A script gets them instead of a value that is not the stored one.
    pub(crate) fn unmatchable_bytes(&self) -> &[u8] {
        &self.unmatchable_bytes
    }

    /// Remembers the script with this text.
    pub(crate) fn insert(&self, text: &[u8]) {
        let digest = script_digest(text);
        if self.lock().find(&digest).is_some() {
            return;
        }
        let script = KnownScript::of_text(text);
        let mut scripts = self.lock();
        scripts.asked.remove(&digest);
        match script {
            Some(script) => scripts.known.insert(digest, script),
            None => scripts.unknown.insert(digest, ()),
        }
    }

    /// The script with this digest, in hexadecimal digits. `None` if its text has not passed.
    pub(crate) fn find(&self, digest: &[u8]) -> Option<CachedScript> {
        self.lock().find(&parse(digest)?)
    }

    /// True if the proxy knows which script has this digest.
    pub(crate) fn is_identifiable(&self, digest: &[u8]) -> bool {
        KnownScript::of_digest(digest).is_some() || self.find(digest).is_some()
    }

    /// True if the client should be asked for the text of this digest's script, which has not passed. After
    /// [`ASK_TIMEOUT`] it is not asked any more.
    pub(crate) fn ask_for_text(&self, digest: &[u8], now: Instant) -> bool {
        let Some(digest) = parse(digest) else {
            return true;
        };
        let mut scripts = self.lock();
        match scripts.asked.get(&digest) {
            Some(asked) => now.saturating_duration_since(asked) < ASK_TIMEOUT,
            None => {
                scripts.asked.insert(digest, now);
                true
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Scripts> {
        self.scripts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Scripts {
    fn find(&mut self, digest: &Digest) -> Option<CachedScript> {
        match self.known.get(digest) {
            Some(script) => Some(CachedScript::Known(script)),
            None => self.unknown.get(digest).map(|()| CachedScript::Unknown),
        }
    }
}

/// A bounded map that evicts the least recently used entry.
struct RecentlyUsed<V> {
    entries: HashMap<Digest, (V, u64)>,
    /// The entries in the order of their last use.
    order: BTreeMap<u64, Digest>,
    uses: u64,
}

impl<V> Default for RecentlyUsed<V> {
    fn default() -> Self {
        Self {
            entries: HashMap::new(),
            order: BTreeMap::new(),
            uses: 0,
        }
    }
}

impl<V: Copy> RecentlyUsed<V> {
    fn get(&mut self, digest: &Digest) -> Option<V> {
        let (value, used) = self.entries.get_mut(digest)?;
        self.uses = self.uses.saturating_add(1);
        self.order.remove(used);
        *used = self.uses;
        self.order.insert(self.uses, *digest);
        Some(*value)
    }

    fn insert(&mut self, digest: Digest, value: V) {
        self.remove(&digest);
        self.uses = self.uses.saturating_add(1);
        self.entries.insert(digest, (value, self.uses));
        self.order.insert(self.uses, digest);
        while self.entries.len() > MAX_SCRIPTS {
            let Some((_, oldest)) = self.order.pop_first() else {
                return;
            };
            self.entries.remove(&oldest);
        }
    }

    fn remove(&mut self, digest: &Digest) {
        if let Some((_, used)) = self.entries.remove(digest) {
            self.order.remove(&used);
        }
    }
}

/// Parses a digest as servers do: 40 hexadecimal digits in any case.
fn parse(text: &[u8]) -> Option<Digest> {
    hex::decode(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SHA-1 of `return 1`.
    const DIGEST: &[u8] = b"E0E1f9fabfc9d4800c877a703b823ac0578ff8db";
    const RELEASE: &[u8] =
        b"-- mine\nif redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end";

    fn hex(text: &[u8]) -> Vec<u8> {
        hex::encode(&script_digest(text)).into_bytes()
    }

    #[test]
    fn recently_used_scripts_are_remembered() {
        let cache = ScriptCache::default();
        assert_eq!(cache.find(DIGEST), None);
        cache.insert(b"return 1");
        cache.insert(b"return 0");
        assert_eq!(cache.find(DIGEST), Some(CachedScript::Unknown));
        for wrong in [&DIGEST[1..], &b"x"[..], b"", &[b'g'; 40], &[b'0'; 41]] {
            assert_eq!(cache.find(wrong), None);
        }
        for number in 1..MAX_SCRIPTS {
            cache.insert(b"return 1");
            cache.insert(format!("return 2, {number}").as_bytes());
        }
        assert_eq!(
            cache.find(DIGEST),
            Some(CachedScript::Unknown),
            "used again and again"
        );
        assert_eq!(cache.find(&hex(b"return 0")), None);
        let scripts = cache.lock();
        assert_eq!(scripts.unknown.entries.len(), MAX_SCRIPTS);
        assert_eq!(scripts.unknown.order.len(), MAX_SCRIPTS);
    }

    #[test]
    fn unknown_scripts_do_not_evict_known_ones() {
        let cache = ScriptCache::default();
        cache.insert(RELEASE);
        for number in 0..=MAX_SCRIPTS {
            cache.insert(format!("return {number}").as_bytes());
            assert!(cache.ask_for_text(&hex(&number.to_be_bytes()), Instant::now()));
        }
        let Some(CachedScript::Known(found)) = cache.find(&hex(RELEASE)) else {
            panic!("the known script was evicted");
        };
        assert_eq!(found.compared(), Some(1));
        assert_eq!(cache.lock().asked.entries.len(), MAX_SCRIPTS);
    }

    #[test]
    fn a_text_is_asked_for_until_the_timeout() {
        let cache = ScriptCache::default();
        let begin = Instant::now();
        let asks = |after: Duration| cache.ask_for_text(DIGEST, begin + after);
        assert!(asks(Duration::ZERO) && asks(Duration::ZERO));
        assert!(asks(ASK_TIMEOUT - Duration::from_millis(1)));
        assert!(!asks(ASK_TIMEOUT) && !asks(ASK_TIMEOUT * 2));
        // Its text passes, and is forgotten: it is asked for again.
        cache.insert(b"return 1");
        cache.lock().unknown = RecentlyUsed::default();
        assert!(asks(ASK_TIMEOUT * 3));
        assert!(cache.ask_for_text(b"no digest", begin + ASK_TIMEOUT));
    }

    #[test]
    fn digests_are_identifiable_if_published_or_if_their_texts_have_passed() {
        let cache = ScriptCache::default();
        let published = b"b70c2384248f88e6b75b9f89241a180f856ad852";
        assert!(cache.is_identifiable(published));
        assert!(!cache.is_identifiable(DIGEST));
        cache.insert(b"return 1");
        assert!(cache.is_identifiable(DIGEST));
    }
}
