//! The guard of the key: the key is compared with the store before anything is read or changed, and the
//! canary is kept.

use std::sync::Arc;

use waxseal_core::KeyId;
use waxseal_sessions::{Canary, CanaryState, GuardError, Sample};
use waxseal_stores::RecordStore;

use super::{Resources, keys, names_in_clear, scopes};
use crate::{Failure, notice};

/// Returns the canary of a store, as these keys see it.
#[must_use]
pub fn canary(resources: &Resources, store: &Arc<dyn RecordStore>) -> Canary {
    let canary = Canary::of(store.clone());
    let Some(opened) = resources.ring() else {
        return canary;
    };
    let canary = canary.ring(opened.ring.clone());
    match &opened.users {
        Some(users) => canary.user_keys(users.keys.clone()),
        None => canary,
    }
}

pub(super) fn failure(resources: &Resources, error: GuardError) -> Failure {
    match error {
        GuardError::WrongKey(mismatch) if resources.ring().is_some() => Failure::failed(format!(
            "the keyring does not match this store: {mismatch}"
        ))
        .hint(
            "nothing was changed; this store was sealed under keys that the keyring does not hold: \
             check --store and --keyring. A keyring that was created while REDIS_ENCRYPTION_KEY held \
             the key of this store would have adopted it",
        ),
        error @ (GuardError::UsersLost { .. } | GuardError::UsersGone { .. }) => {
            // Mostly they are in another store, which the keyring knows.
            scopes::warn_of_other_user_keys(resources);
            error.into()
        }
        other => other.into(),
    }
}

/// Checks that the key is the one of this store, before anything is read or changed.
pub async fn check_key(
    resources: &Resources,
    store: &Arc<dyn RecordStore>,
) -> Result<CanaryState, Failure> {
    let state = compare_key(resources, store).await?;
    if let CanaryState::Differs(of) = state {
        warn_of_canary(of);
    }
    Ok(state)
}

/// The same without a warning about a canary of another key.
pub async fn compare_key(
    resources: &Resources,
    store: &Arc<dyn RecordStore>,
) -> Result<CanaryState, Failure> {
    let (sealer, guarded) = (
        keys::canary_sealer(resources),
        resources.configuration.guarded()?,
    );
    let state = canary(resources, store).check(&sealer, &guarded).await;
    state.map_err(|error| failure(resources, error))
}

/// Checks that the key is the one of this store, registers what is sealed here with the keyring, and leaves a
/// canary for the next start.
pub async fn check_key_and_mark(
    resources: &Resources,
    store: &Arc<dyn RecordStore>,
) -> Result<CanaryState, Failure> {
    keys::confirm(resources).await?;
    let state = compare_key(resources, store).await?;
    // Comes before the keyring knows that keys of users are kept there: from then on, their absence would
    // mean that this is the wrong store.
    check_users(resources, store).await?;
    scopes::register(resources, store).await?;
    let (sealer, guarded) = (
        keys::canary_sealer(resources),
        resources.configuration.guarded()?,
    );
    let canary = canary(resources, store);
    let is_missing = matches!(state, CanaryState::Absent | CanaryState::Differs(_));
    // One that opens may lack the domain, to which values of this process are bound.
    let state = match is_missing || canary.must_record_domain(&sealer) {
        true => {
            let state = canary.check_or_create(&sealer, &guarded).await;
            state.map_err(|error| failure(resources, error))?
        }
        false => state,
    };
    if let CanaryState::Differs(of) = state {
        warn_of_canary(of);
    }
    Ok(state)
}

/// Checks that no names are in clear where they are sealed, and none sealed where they are in clear: for a process that serves
/// applications, or passes over all records, which would not find these.
pub async fn check_names(
    resources: &Resources,
    store: &Arc<dyn RecordStore>,
) -> Result<(), Failure> {
    let guarded = resources.configuration.guarded()?;
    let checked = canary(resources, store).check_names(&guarded).await;
    checked.map_err(|error| failure(resources, error))?;
    names_in_clear::check(resources, store).await
}

/// Checks that the store of users' keys is the one of this keyring, and marks it. Must come before a key of a
/// user is created.
pub async fn check_users(
    resources: &Resources,
    store: &Arc<dyn RecordStore>,
) -> Result<(), Failure> {
    let (sealer, guarded) = (
        keys::canary_sealer(resources),
        resources.configuration.guarded()?,
    );
    let canary = canary(resources, store);
    let checked = canary.check_users(&sealer, &guarded).await;
    checked.map_err(|error| failure(resources, error))
}

/// Returns what a sample of the sealed values says about the keys.
pub async fn survey(
    resources: &Resources,
    store: &Arc<dyn RecordStore>,
) -> Result<Sample, Failure> {
    let (sealer, guarded) = (
        keys::canary_sealer(resources),
        resources.configuration.guarded()?,
    );
    let sample = canary(resources, store).survey(&sealer, &guarded).await;
    sample.map_err(|error| failure(resources, error))
}

/// Warns that the canary is of another key, though values open under this one.
fn warn_of_canary(of: Option<KeyId>) {
    let text = match of {
        Some(id) => format!(
            "the canary of this store is sealed under key {id}, and its values open under the \
             configured keys"
        ),
        None => "the canary of this store does not open, and its values do".to_owned(),
    };
    notice::warning_with_hint(
        &text,
        "find out which process has another key; the next start of a proxy, or waxseal rotate, seals \
         the canary again where most values open",
    );
}
