//! The key of one user, under which values of that user alone are sealed.

use crate::error::KeyError;
use crate::index_key::DerivedKeys;
use crate::key::{KeyId, SecretKey};
use crate::xaes::XaesKey;

/// The key of the records of one user, or the fact that it was destroyed.
pub struct UserKey(pub(crate) UserKeyState);

/// The state of the key of a user.
pub(crate) enum UserKeyState {
    Live {
        id: KeyId,
        ciphers: Box<UserCiphers>,
        /// The time at which an earlier key of the user was destroyed, if there was one.
        before: Option<u64>,
    },
    Erased {
        at: u64,
    },
}

/// The ciphers of a user's key. Without the one of the classic format: there is one key for each user.
pub(crate) struct UserCiphers {
    pub(crate) xaes: XaesKey,
    pub(crate) derived: DerivedKeys,
}

impl UserKey {
    /// The key of a user under the id that the ring assigned.
    pub fn live(id: KeyId, key: &SecretKey) -> Result<Self, KeyError> {
        let ciphers = UserCiphers {
            xaes: XaesKey::new(key.expose_bytes()).map_err(|_| KeyError::Library)?,
            derived: DerivedKeys::of(key),
        };
        Ok(Self(UserKeyState::Live {
            id,
            ciphers: Box::new(ciphers),
            before: None,
        }))
    }

    /// The same key, of a user who was erased at this time (milliseconds since the Unix epoch) and returned: values
    /// under another key are erased.
    #[must_use]
    pub fn after_erasure(mut self, at: u64) -> Self {
        if let UserKeyState::Live { before, .. } = &mut self.0 {
            *before = Some(at);
        }
        self
    }

    /// A key that was destroyed at this time (milliseconds since the Unix epoch).
    #[must_use]
    pub fn erased(at: u64) -> Self {
        Self(UserKeyState::Erased { at })
    }

    /// The id of the key, unless it was destroyed.
    #[must_use]
    pub fn id(&self) -> Option<KeyId> {
        match &self.0 {
            UserKeyState::Live { id, .. } => Some(*id),
            UserKeyState::Erased { .. } => None,
        }
    }

    /// The time at which the key was destroyed (milliseconds since the Unix epoch), if it was.
    #[must_use]
    pub fn erased_at(&self) -> Option<u64> {
        match &self.0 {
            UserKeyState::Live { .. } => None,
            UserKeyState::Erased { at } => Some(*at),
        }
    }
}
