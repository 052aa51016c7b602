//! The guard of the store of users' keys. Values under keys of users open with that store alone, so a process that
//! was given another one, or an emptied one, must not make new keys beside them. The store is marked as the ring's
//! (`waxseal_keys::UserStoreMark`); where the mark is missing, the keys that are there and the values decide.

use tracing::{info, warn};
use waxseal_core::Sealer;
use waxseal_keys::{UserKeyError, UserKeys, UserStoreMark};
use waxseal_stores::StoreError;

use super::sample::{GuardedRecords, MAX_SEALED};
use super::{Canary, OF_USERS, Sample};
use crate::error::GuardError;

/// What was found out about a store of users' keys.
enum UserStore {
    Marked,
    /// Not marked, and nothing speaks against it: how many keys of the ring a sample of it holds.
    Unmarked {
        keys: usize,
    },
    /// It cannot be asked at present.
    Unknown,
}

impl Canary {
    /// Refuses a store of users' keys that does not hold what values are under. Writes nothing.
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

    /// The same, and marks the store where it has no mark yet.
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
                "the store of users' keys at {} holds keys of this keyring, and is marked as its own now",
                users.location()
            ),
            Ok(_) => {}
            // A store that takes no writes makes no keys either: that shows when one is needed.
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
            // Judged by this process: what it did since is no evidence.
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
        let sampler = self.sampler(sealer, OF_USERS);
        let has_looked = match sampler.look(records, &mut sample).await {
            Ok(()) => true,
            // Who may not scan relies on what was found so far.
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
        // The ring knows better than a sample, where there is anything that could be of users.
        if keys == 0 && users.is_registered() && (sample.values() > 0 || !has_looked) {
            return Err(GuardError::UsersGone { location });
        }
        Ok(UserStore::Unmarked { keys })
    }

    /// Whether the users' keys of this ring are marked as being in the store of the records itself: then the ring
    /// is the right one, though none of these keys is left.
    pub(super) async fn is_marked_here(&self) -> Result<bool, GuardError> {
        let Some(users) = self.users.as_ref() else {
            return Ok(false);
        };
        let is_here = users.location() == self.store.location();
        Ok(is_here && users.mark().await? == UserStoreMark::Present)
    }
}

/// Values of users fail while the store of their keys is away, and nothing else does.
fn unless_transient(error: UserKeyError) -> Result<UserStore, GuardError> {
    match error.is_transient() {
        true => Ok(UserStore::Unknown),
        false => Err(error.into()),
    }
}
