//! Index keys: keys for values that must be equal when their plaintext is, and the derivation of the keys of AES-SIV
//! from them, from data keys and from the keys of users.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use waxseal_kinds::Kind;
use zeroize::Zeroizing;

use crate::error::SealError;
use crate::key::{KeyId, SecretKey};
use crate::siv::{SIV_KEY_LEN, SivKey};

/// The maximum number of deterministic seals under one key: with so many, two of them have the same synthetic IV by
/// chance about once in 2^33 times.
pub(crate) const MAX_DETERMINISTIC_SEALS: u64 = 1 << 48;
/// The info of the derivation, before the use.
const LABEL: &str = "waxseal index key v1 ";

/// An index key under the id that values name it by. It has no `Debug`, `Clone` or `Serialize`, and is wiped when
/// dropped.
pub struct IndexKey {
    id: KeyId,
    derived: DerivedKeys,
}

/// The role of an index key in a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IndexKeyRole {
    /// Seals new values and opens.
    Writing,
    /// Will seal; already opens values of processes that have a newer ring.
    Pending,
    /// Only opens.
    Reading,
}

impl IndexKey {
    /// The key under an id that the ring assigns.
    #[must_use]
    pub fn with_id(id: KeyId, key: &SecretKey) -> Self {
        Self {
            id,
            derived: DerivedKeys::of(key),
        }
    }

    /// The id.
    #[must_use]
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// The number of values that this process has sealed under the key. All names that a
    /// [`NameSealer`](crate::NameSealer) seals count as one.
    #[must_use]
    pub fn seals(&self) -> u64 {
        self.derived.seals()
    }

    pub(crate) fn derived(&self) -> &DerivedKeys {
        &self.derived
    }
}

impl IndexKeyRole {
    /// The role as reports have it: `writing`, `pending`, `reading`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Writing => "writing",
            Self::Pending => "pending",
            Self::Reading => "reading",
        }
    }
}

/// The use of a key of AES-SIV. Keys of different uses are independent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyUse {
    Member,
    Name,
    ListElement,
    /// All values of one user, under the key of that user.
    User,
}

impl KeyUse {
    /// The use for values of this kind under a key of the ring. The other kinds are never sealed deterministically
    /// there.
    pub(crate) fn of_kind(kind: Kind) -> Option<Self> {
        match kind {
            Kind::Member => Some(Self::Member),
            Kind::RecordName => Some(Self::Name),
            Kind::ListElement => Some(Self::ListElement),
            Kind::String | Kind::HashField | Kind::StreamField | Kind::Message => None,
        }
    }

    fn info(self) -> String {
        let use_label = match self {
            Self::Member => "member",
            Self::Name => "name",
            Self::ListElement => "list element",
            Self::User => "user",
        };
        [LABEL, use_label].concat()
    }
}

/// The keys of AES-SIV that are derived from one key, each prepared when it is first used, and the count of the values
/// sealed under them.
pub(crate) struct DerivedKeys {
    parent: SecretKey,
    member: OnceLock<Box<SivKey>>,
    name: OnceLock<Box<SivKey>>,
    list_element: OnceLock<Box<SivKey>>,
    user: OnceLock<Box<SivKey>>,
    seals: AtomicU64,
    has_sealed_names: AtomicBool,
}

impl DerivedKeys {
    pub(crate) fn of(parent: &SecretKey) -> Self {
        Self {
            parent: parent.copy(),
            member: OnceLock::new(),
            name: OnceLock::new(),
            list_element: OnceLock::new(),
            user: OnceLock::new(),
            seals: AtomicU64::new(0),
            has_sealed_names: AtomicBool::new(false),
        }
    }

    /// The bytes of the key for this use.
    pub(crate) fn pair(&self, of: KeyUse) -> Zeroizing<[u8; SIV_KEY_LEN]> {
        self.parent.derive_pair(&of.info())
    }

    /// The key for this use.
    #[inline]
    pub(crate) fn key(&self, of: KeyUse) -> &SivKey {
        let cell = match of {
            KeyUse::Member => &self.member,
            KeyUse::Name => &self.name,
            KeyUse::ListElement => &self.list_element,
            KeyUse::User => &self.user,
        };
        cell.get_or_init(|| Box::new(SivKey::new(&self.pair(of))))
    }

    /// Counts one more seal of the key of this id.
    #[inline]
    pub(crate) fn count(&self, id: KeyId) -> Result<(), SealError> {
        if self.seals.fetch_add(1, Ordering::Relaxed) >= MAX_DETERMINISTIC_SEALS {
            // Stays at the limit instead of approaching an overflow.
            self.seals.store(MAX_DETERMINISTIC_SEALS, Ordering::Relaxed);
            return Err(SealError::KeyExhausted { id });
        }
        Ok(())
    }

    /// Counts the names that are sealed, as one value for all of them: their number says nothing, since the same few are
    /// sealed again in every request, and anyone who asks wants to know whether there are any.
    pub(crate) fn count_names(&self, id: KeyId) {
        if !self.has_sealed_names.swap(true, Ordering::Relaxed) {
            // At the limit the count stays as it is. It is the limit of other uses, each of which has a key of its own.
            let _ = self.count(id);
        }
    }

    pub(crate) fn seals(&self) -> u64 {
        self.seals.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_names_count_as_one_value() {
        let key = IndexKey::with_id(KeyId::from_u32(1), &SecretKey::generate().ok().unwrap());
        key.derived.count_names(key.id);
        key.derived.count_names(key.id);
        assert_eq!(key.seals(), 1);
        assert_eq!(key.derived.count(key.id), Ok(()));
        assert_eq!(key.seals(), 2);
        key.derived.count_names(key.id);
        assert_eq!(key.seals(), 2);
    }

    #[test]
    fn a_key_that_reached_the_limit_seals_no_more() {
        let key = IndexKey::with_id(KeyId::from_u32(1), &SecretKey::generate().ok().unwrap());
        let limit = MAX_DETERMINISTIC_SEALS;
        key.derived.seals.store(limit - 1, Ordering::Relaxed);
        assert_eq!(key.derived.count(key.id), Ok(()));
        for _ in 0..2 {
            let exhausted = SealError::KeyExhausted { id: key.id() };
            assert_eq!(key.derived.count(key.id), Err(exhausted));
            assert_eq!(key.seals(), limit);
        }
    }
}
