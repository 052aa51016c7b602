//! The mark of a store of users' keys: one record that only a process with the ring can write, and that survives
//! every rotation. A store without it may be another one, or may have lost the keys: a new key for a user would
//! then coexist with values that nothing opens any more.
//!
//! The name of the record contains the ring's id, so that several rings can keep their users' keys in one store.
//! Whether values of users exist is not known here: a caller that knows checks the mark before it starts.

use std::sync::atomic::Ordering;

use super::{Inner, UserChange, UserKeyError, UserKeys};
use crate::protected_scope::ProtectedScope;
use crate::ring::Ring;

/// The prefix of the records of marks; no pattern of users' keys matches it.
const PREFIX: &str = "waxseal:user-keys:";
/// The number of attempts to write the mark while others write it.
const MAX_ATTEMPTS: usize = 3;

/// The result of checking the mark of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserStoreMark {
    /// The store has the mark of this ring.
    Present,
    /// The store has no mark of this ring, or one that the ring did not write.
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
        Ok(self.0.check_mark(&ring, read.into_iter().next().flatten()))
    }

    /// Accepts a store without a mark: the caller has checked that no value is known to be under keys which
    /// the store should hold. It is marked with the first key that is created. Writes nothing.
    pub fn accept_store(&self) {
        self.0.is_accepted.store(true, Ordering::Relaxed);
    }

    /// True if the caller accepted the store and this process has seen no mark since.
    #[must_use]
    pub fn is_accepted(&self) -> bool {
        self.0.is_accepted.load(Ordering::Relaxed) && !self.0.has_seen_mark.load(Ordering::Relaxed)
    }

    /// True if the ring has this store registered as one of users' keys.
    #[must_use]
    pub fn is_registered(&self) -> bool {
        let location = self.location();
        let is_here = |scope: &ProtectedScope| {
            scope.store == location && scope.records.starts_with(super::PREFIX)
        };
        self.0.ring.ring().protected_scopes().iter().any(is_here)
    }

    /// Marks the store as the one of this ring, whatever is in it: for callers that know that no value is under
    /// keys which it should hold, and for operators who accept that there are such values. Returns true if there
    /// was no mark before.
    pub async fn adopt_store(&self) -> Result<bool, UserKeyError> {
        self.confirm_ring().await?;
        self.0.write_mark(&self.0.ring.ring()).await
    }
}

impl Inner {
    /// Checks a mark as it was read, and remembers that one was seen: a store does not lose it on its own.
    pub(super) fn check_mark(&self, ring: &Ring, found: Option<Vec<u8>>) -> UserStoreMark {
        if found != Some(ring.user_store_mark()) {
            return UserStoreMark::Absent;
        }
        self.has_seen_mark.store(true, Ordering::Relaxed);
        UserStoreMark::Present
    }

    /// Checks, before a key is created, that the store is still the same. Returns the mark to be written with
    /// the key if the store was accepted without one.
    pub(super) fn missing_mark(
        &self,
        ring: &Ring,
        found: Option<Vec<u8>>,
    ) -> Result<Option<UserChange>, UserKeyError> {
        if self.check_mark(ring, found.clone()) == UserStoreMark::Present {
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
        for _ in 0..MAX_ATTEMPTS {
            let read = self.store.read(std::slice::from_ref(&name)).await?;
            let expected = read.into_iter().next().flatten();
            if self.check_mark(ring, expected.clone()) == UserStoreMark::Present {
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
