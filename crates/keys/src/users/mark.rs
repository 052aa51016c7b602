//! The mark of a store of users' keys: one record that only a process with the ring can write, and that survives
//! every rotation. A store without it may be another one, or may have lost the keys: then a new key for a user
//! would stand beside values that nothing opens any more.
//!
//! The name of the record holds the ring's id, so that several rings can keep their users' keys in one store.
//! Whether values of users exist is not known here: a caller that knows checks the mark before it starts.

use std::sync::atomic::Ordering;

use super::{Inner, UserChange, UserKeyError, UserKeys};
use crate::keyring_document::ProtectedScope;
use crate::ring::Ring;

/// What the records of marks begin with; no pattern of users' keys matches them.
const PREFIX: &str = "waxseal:user-keys:";
/// How often a mark is written that others write at the same moment.
const ATTEMPTS: usize = 3;

/// Whether a store of users' keys is marked as the one of a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserStoreMark {
    /// It is.
    Present,
    /// There is no mark of this ring, or one that the ring did not write.
    Absent,
}

pub(super) fn name(ring: &Ring) -> String {
    format!("{PREFIX}{}", ring.id())
}

impl UserKeys {
    /// Reads the mark of the store.
    pub async fn mark(&self) -> Result<UserStoreMark, UserKeyError> {
        let ring = self.0.ring.ring();
        let read = self.0.store.read(&[name(&ring)]).await?;
        Ok(self.0.judge_mark(&ring, read.into_iter().next().flatten()))
    }

    /// Tells this process that the store was judged, and that no value is known to be under keys which it should
    /// hold: it may be marked with the first key that is made. Writes nothing.
    pub fn accept_store(&self) {
        self.0.is_accepted.store(true, Ordering::Relaxed);
    }

    /// Whether this process was told so, and has seen no mark since.
    #[must_use]
    pub fn is_accepted(&self) -> bool {
        self.0.is_accepted.load(Ordering::Relaxed) && !self.0.has_seen_mark.load(Ordering::Relaxed)
    }

    /// Whether the ring knows that keys of users are kept in this store.
    #[must_use]
    pub fn is_registered(&self) -> bool {
        let location = self.location();
        let is_here =
            |of: &ProtectedScope| of.store == location && of.records.starts_with(super::PREFIX);
        self.0.ring.ring().protected_scopes().iter().any(is_here)
    }

    /// Marks the store as the one of this ring, whatever is in it: for callers that know that no value is under
    /// keys which it should hold, and for operators who accept that there are such values. Whether there was no
    /// mark before.
    pub async fn adopt_store(&self) -> Result<bool, UserKeyError> {
        if !self.0.ring.is_confirmed() {
            self.0.ring.confirm().await?;
        }
        self.0.write_mark(&self.0.ring.ring()).await
    }
}

impl Inner {
    /// A mark as it was read. That it was seen is remembered: a store does not lose it on its own.
    pub(super) fn judge_mark(&self, ring: &Ring, found: Option<Vec<u8>>) -> UserStoreMark {
        if found != Some(ring.user_store_mark()) {
            return UserStoreMark::Absent;
        }
        self.has_seen_mark.store(true, Ordering::Relaxed);
        UserStoreMark::Present
    }

    /// Before a key is made: the store must be the one that it was. The mark for one that was never marked and that
    /// was judged, to be written with the key.
    pub(super) fn missing_mark(
        &self,
        ring: &Ring,
        found: Option<Vec<u8>>,
    ) -> Result<Option<UserChange>, UserKeyError> {
        if self.judge_mark(ring, found.clone()) == UserStoreMark::Present {
            return Ok(None);
        }
        let has_seen_mark = self.has_seen_mark.load(Ordering::Relaxed);
        if has_seen_mark || !self.is_accepted.load(Ordering::Relaxed) {
            let location = self.store.location();
            return Err(UserKeyError::Lost { location });
        }
        Ok(Some(UserChange {
            name: name(ring),
            expected: found,
            new: ring.user_store_mark(),
        }))
    }

    async fn write_mark(&self, ring: &Ring) -> Result<bool, UserKeyError> {
        let (name, mark) = (name(ring), ring.user_store_mark());
        for _ in 0..ATTEMPTS {
            let read = self.store.read(std::slice::from_ref(&name)).await?;
            let expected = read.into_iter().next().flatten();
            if self.judge_mark(ring, expected.clone()) == UserStoreMark::Present {
                return Ok(false);
            }
            let change = UserChange {
                name: name.clone(),
                expected,
                new: mark.clone(),
            };
            if self.store.replace(&[change]).await?.first() == Some(&true) {
                self.has_seen_mark.store(true, Ordering::Relaxed);
                return Ok(true);
            }
        }
        Err(UserKeyError::Contended)
    }
}
