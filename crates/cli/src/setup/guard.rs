//! The guard of the key, for what is configured: the key is compared with the store before anything is
//! read or changed, and the canary is kept.

use std::sync::Arc;

use waxseal_core::KeyId;
use waxseal_sessions::{Canary, CanaryState, GuardError, GuardedRecords, Sample};
use waxseal_stores::RecordStore;

use super::{Setup, protected};
use crate::error::Failure;
use crate::output;

impl Setup {
    /// The canary of a store, as these keys see it.
    pub(crate) fn canary(&self, store: &Arc<dyn RecordStore>) -> Canary {
        let canary = Canary::of(store.clone());
        let Some(opened) = &self.opened else {
            return canary;
        };
        let canary = canary.ring(opened.ring.clone());
        match &opened.users {
            Some(users) => canary.user_keys(users.keys.clone()),
            None => canary,
        }
    }

    pub(super) fn guard_failure(&self, error: GuardError) -> Failure {
        match error {
            GuardError::WrongKey(mismatch) if self.opened.is_some() => Failure::failed(format!(
                "the keyring does not match this store: {mismatch}"
            ))
            .hint(
                "nothing was changed; this store was sealed under keys that the keyring does not hold: \
                 check --store and --keyring. A keyring that was made while REDIS_ENCRYPTION_KEY held \
                 the key of this store would have adopted it",
            ),
            error @ (GuardError::UsersLost { .. } | GuardError::UsersGone { .. }) => {
                // Mostly they are elsewhere, and the keyring knows where.
                self.warn_of_other_user_keys();
                error.into()
            }
            other => other.into(),
        }
    }

    /// Makes sure that the key is the one of this store, before anything is read or changed.
    pub(crate) async fn check_key(
        &self,
        store: &Arc<dyn RecordStore>,
    ) -> Result<CanaryState, Failure> {
        let state = self.compare_key(store).await?;
        if let CanaryState::Differs(of) = state {
            warn_of_canary(of);
        }
        Ok(state)
    }

    /// The same without a word about a canary of another key.
    pub(crate) async fn compare_key(
        &self,
        store: &Arc<dyn RecordStore>,
    ) -> Result<CanaryState, Failure> {
        let canary = self.canary(store);
        let state = canary.check(&self.any_sealer(), &self.guarded()?).await;
        state.map_err(|error| self.guard_failure(error))
    }

    /// Makes sure that the key is the one of this store, makes known what is sealed here, and leaves a
    /// canary for next time.
    pub(crate) async fn check_key_and_mark(
        &self,
        store: &Arc<dyn RecordStore>,
    ) -> Result<CanaryState, Failure> {
        self.confirm().await?;
        let state = self.compare_key(store).await?;
        // Before the ring knows that keys of users are kept there: then their absence would speak against the store.
        self.check_users(store).await?;
        self.register(store).await?;
        let state = match state {
            CanaryState::Absent | CanaryState::Differs(_) => {
                let (sealer, guarded) = (self.any_sealer(), self.guarded()?);
                let state = self.canary(store).check_or_create(&sealer, &guarded).await;
                state.map_err(|error| self.guard_failure(error))?
            }
            CanaryState::Opens(_) | CanaryState::Created | CanaryState::Repaired(_) => state,
        };
        if let CanaryState::Differs(of) = state {
            warn_of_canary(of);
        }
        Ok(state)
    }

    /// Makes sure that the store of users' keys is the one of this keyring, and marks it: before a key of a user is
    /// made.
    pub(crate) async fn check_users(&self, store: &Arc<dyn RecordStore>) -> Result<(), Failure> {
        let (canary, sealer, guarded) = (self.canary(store), self.any_sealer(), self.guarded()?);
        let checked = canary.check_users(&sealer, &guarded).await;
        checked.map_err(|error| self.guard_failure(error))
    }

    /// What a sample of the sealed values says about the keys.
    pub(crate) async fn survey(&self, store: &Arc<dyn RecordStore>) -> Result<Sample, Failure> {
        let (canary, sealer, guarded) = (self.canary(store), self.any_sealer(), self.guarded()?);
        let sample = canary.survey(&sealer, &guarded).await;
        sample.map_err(|error| self.guard_failure(error))
    }

    /// The records that the guard of the key looks at: more than those that a flag names.
    pub(crate) fn guarded(&self) -> Result<Vec<GuardedRecords>, Failure> {
        let has_ring = self.ring_setup.is_some();
        protected::guarded(&self.protected, &self.config, has_ring, self.mode)
    }
}

/// The canary is of another key, though values open under this one.
fn warn_of_canary(of: Option<KeyId>) {
    let text = match of {
        Some(id) => format!(
            "the canary of this store is sealed under key {id}, and its values open under the \
             configured keys"
        ),
        None => "the canary of this store does not open, and its values do".to_owned(),
    };
    output::complain("warning", &text);
    output::advise(
        "find out which process has another key; the next start of a proxy, or waxseal rotate, seals \
         the canary again where most values open",
    );
}
