//! The guard of the store of users' keys. Values under keys of users open with that store only, so a process with another
//! store, or an emptied one, must not create new keys. The keyring marks its store (`waxseal_keys::UserStoreMark`); if
//! the mark is missing, the keys in the store and the values decide.

use tracing::{info, warn};
use waxseal_core::Sealer;
use waxseal_keys::{UserKeyError, UserKeys, UserStoreMark};
use waxseal_stores::StoreError;

use super::sample::GuardedRecords;
use super::sampler::MAX_SEALED;
use super::{Canary, ONLY_USERS, Sample};
use crate::error::GuardError;

/// The state of a store of users' keys.
enum UserStore {
    Marked,
    /// Not marked, and nothing refutes it. A sample of it holds this many keys of the ring.
    Unmarked {
        keys: usize,
    },
    /// It cannot be reached at present.
    Unknown,
}

impl Canary {
    /// Refuses a store of users' keys that does not hold the keys of the values. Writes nothing.
    pub(super) async fn judge_user_store(
        &self,
        sealer: &Sealer,
        records: &[GuardedRecords],
    ) -> Result<(), GuardError> {
        match &self.users {
            Some(users) => self.user_store(users, sealer, records).await.map(drop),
            None => Ok(()),
        }
    }

    /// Refuses a store of users' keys that does not hold the keys of the values, and marks one that has no mark yet.
    pub(super) async fn mark_user_store(
        &self,
        sealer: &Sealer,
        records: &[GuardedRecords],
    ) -> Result<(), GuardError> {
        let Some(users) = &self.users else {
            return Ok(());
        };
        let UserStore::Unmarked { keys } = self.user_store(users, sealer, records).await? else {
            return Ok(());
        };
        users.accept_store();
        match users.adopt_store().await {
            Ok(true) if keys > 0 => info!(
                "the store of users' keys at {} holds keys of this keyring, and is now marked as its own",
                users.location()
            ),
            Ok(_) => {}
            // A store that refuses writes cannot create keys either: that shows when one is needed.
            Err(error) => {
                warn!("the store of users' keys cannot be marked as this keyring's: {error}");
            }
        }
        Ok(())
    }

    async fn user_store(
        &self,
        users: &UserKeys,
        sealer: &Sealer,
        records: &[GuardedRecords],
    ) -> Result<UserStore, GuardError> {
        match users.mark().await {
            Ok(UserStoreMark::Present) => return Ok(UserStore::Marked),
            // Checked by this process before: what it has written since is not evidence.
            Ok(UserStoreMark::Absent) if users.is_accepted() => {
                return Ok(UserStore::Unmarked { keys: 0 });
            }
            Ok(UserStoreMark::Absent) => {}
            Err(error) => return unless_transient(error),
        }
        let keys = match users.sample(MAX_SEALED).await {
            Ok(opened) => opened.iter().filter(|it| it.is_ok()).count(),
            Err(error) => return unless_transient(error),
        };
        if keys > 0 {
            return Ok(UserStore::Unmarked { keys });
        }
        let mut sample = Sample::default();
        let sampler = self.sampler(sealer, ONLY_USERS);
        let is_complete = match sampler.collect(records, &mut sample).await {
            Ok(()) => true,
            // A user without the right to scan relies on what was found so far.
            Err(GuardError::Store(StoreError::Denied { .. })) => false,
            Err(GuardError::Users(error)) => return unless_transient(error),
            Err(error) => return Err(error),
        };
        let keys = sample.opened_of_users;
        let location = users.location();
        if keys == 0 && sample.unknown_users > 0 {
            let count = sample.unknown_users;
            return Err(GuardError::UsersLost { location, count });
        }
        // If there are values that could be of users, the entry in the ring counts more than a sample.
        if keys == 0 && users.is_registered() && (sample.values() > 0 || !is_complete) {
            return Err(GuardError::UsersGone { location });
        }
        Ok(UserStore::Unmarked { keys })
    }

    /// True if this ring has marked the store of the records itself as that of its users' keys: then the ring is the right
    /// one, even if none of these keys is left.
    pub(super) async fn is_marked_here(&self) -> Result<bool, GuardError> {
        let Some(users) = self.users.as_ref() else {
            return Ok(false);
        };
        let is_here = users.location() == self.store.location();
        Ok(is_here && users.mark().await? == UserStoreMark::Present)
    }
}

/// Accepts a transient error: while the store of users' keys cannot be reached, only values of users fail.
fn unless_transient(error: UserKeyError) -> Result<UserStore, GuardError> {
    match error.is_transient() {
        true => Ok(UserStore::Unknown),
        false => Err(error.into()),
    }
}
