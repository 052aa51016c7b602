//! The scopes that a keyring protects: the records of this configuration, as its upkeep goes through them and as other
//! processes with the same keyring know of them.

use std::sync::{Arc, Once};

use waxseal_core::{EnvelopeVersion, Format, Mode};
use waxseal_keys::{Change, ChangeError, ProtectedScope};
use waxseal_stores::{NamedStore, RecordStore};
use waxseal_upkeep::{ScopeHandle, SealedNames, Upkeep, user_key_scope};

use super::{Resources, keys, record_names};
use crate::configuration::protected::Protected;
use crate::{Failure, notice};

/// The records of users' keys, among those that a keyring knows.
const USER_KEYS: &str = "waxseal:user:*";

static WARNED: Once = Once::new();

/// Returns the upkeep of the keyring by this process, a `proxy` or a `keeper`.
pub async fn upkeep(resources: &Resources, process: &'static str) -> Result<Upkeep, Failure> {
    let store = resources.open_store().await?;
    let scopes = scopes(resources, &store).await?;
    // Keys of users that other processes created are under the keyring as well.
    let users = resources.users(&store).await?;
    let ring = resources.opened_ring()?.ring.clone();
    let upkeep = Upkeep::new(ring, process, scopes, Some((users.keys, users.store)))?;
    // Only a proxy writes what applications send.
    let writes_plain = process == "proxy" && !resources.configuration.mode.seals();
    Ok(upkeep.writing_plain(writes_plain))
}

/// Returns all protected records, as the upkeep of a keyring goes through them.
pub async fn scopes(
    resources: &Resources,
    store: &Arc<dyn RecordStore>,
) -> Result<Vec<ScopeHandle>, Failure> {
    let users = resources.users(store).await?;
    let table = record_names::table(resources)?;
    let stored = store.named().map_or(store, NamedStore::inner);
    let scope = |protected: Protected| ScopeHandle {
        names: protected.names.and_then(|names| {
            Some(SealedNames {
                table: table.clone()?,
                stored: stored.clone(),
                pad: names.pad,
            })
        }),
        store: store.clone(),
        sealer: keys::sealer(resources, &protected, Mode::On),
        users: protected.per_user.then(|| users.keys.clone()),
        pattern: protected.pattern,
    };
    let all = resources.configuration.all_protected();
    Ok(all.into_iter().map(scope).collect())
}

/// Warns where users' keys of this keyring are in a store other than the configured one: processes with another
/// store cannot open what is sealed under a key from there.
pub fn warn_of_other_user_keys(resources: &Resources) {
    let configuration = &resources.configuration;
    let (Some(opened), Ok(keyring)) = (resources.ring(), configuration.keyring()) else {
        return;
    };
    let here = keyring.users.as_ref().unwrap_or(&configuration.store);
    let here = here.location();
    let ring = opened.ring.ring();
    let mut scopes = ring.protected_scopes().iter();
    let Some(other) = scopes.find(|it| it.records == USER_KEYS && it.store != here) else {
        return;
    };
    // Some commands register more than once.
    WARNED.call_once(|| {
        let other = &other.store;
        notice::warning_with_hint(
            &format!("users of this keyring have keys at {other}, and not only at {here}"),
            &format!(
                "user_keys in waxseal.toml must be the same for all processes; if {other} is used no \
                 more: waxseal keyring release --store {other} --records '{USER_KEYS}'"
            ),
        );
    });
}

/// The entry in the keyring for these records, with the settings that all processes must have in common.
#[must_use]
pub fn protected_scope(store: &str, protected: &Protected) -> ProtectedScope {
    waxseal_upkeep::protected_scope(
        store,
        &protected.pattern,
        protected.group.as_ref(),
        protected.names.map(|it| it.pad),
    )
}

/// Returns how the configured records differ from what the keyring has recorded of them: with these differences, no
/// process starts.
#[must_use]
pub fn differences(resources: &Resources) -> Vec<ChangeError> {
    let Some(opened) = resources.ring() else {
        return Vec::new();
    };
    let (ring, location) = (opened.ring.ring(), resources.configuration.store.location());
    let all = resources.configuration.all_protected();
    let scopes = all.iter().map(|it| protected_scope(&location, it));
    scopes
        .filter_map(|scope| ring.with_protected_scopes(&[scope]).err())
        .collect()
}

/// Registers these records with the keyring before anything is sealed, so that no process gives up a key before
/// it has checked them. If that fails, even transiently, nothing may be sealed; a process that runs for long
/// tries again.
pub(super) async fn register(
    resources: &Resources,
    store: &Arc<dyn RecordStore>,
) -> Result<(), Failure> {
    let Some(opened) = resources.ring() else {
        return Ok(());
    };
    let location = store.location();
    let protected = &resources.configuration.protected;
    check_formats(resources, opened.ring.ring().envelopes().accept)?;
    let scopes = protected.iter().map(|it| protected_scope(&location, it));
    let mut scopes: Vec<_> = scopes.collect();
    if protected.iter().any(|it| it.per_user) {
        let users = opened.users.as_ref();
        scopes.extend(users.map(|users| user_key_scope(&users.store)));
        warn_of_other_user_keys(resources);
    }
    opened.ring.change(&Change::Register(scopes)).await?;
    Ok(())
}

/// Refuses records that are written in the classic format where the keyring accepts version 3 alone: nothing could be
/// written to them.
fn check_formats(resources: &Resources, accepted: EnvelopeVersion) -> Result<(), Failure> {
    let configuration = &resources.configuration;
    let is_refused = accepted > EnvelopeVersion::V2 && configuration.mode.seals();
    let mut protected = configuration.protected.iter();
    match protected.find(|it| is_refused && it.format == Format::Classic) {
        None => Ok(()),
        Some(classic) => Err(Failure::usage(format!(
            "\"{}\" is written in the classic format, and the keyring accepts version 3 of the sealed format alone",
            classic.pattern.shown()
        ))
        .hint("format = \"sealed\" under its [[protect]], or --format sealed")),
    }
}

/// Registers the keys of users alone, before one is created for a value that is not stored here.
pub async fn register_user_keys(resources: &Resources) -> Result<(), Failure> {
    let Some((opened, users)) = resources
        .ring()
        .and_then(|opened| Some((opened, opened.users.as_ref()?)))
    else {
        return Ok(());
    };
    warn_of_other_user_keys(resources);
    let change = Change::Register(vec![user_key_scope(&users.store)]);
    opened.ring.change(&change).await?;
    Ok(())
}
