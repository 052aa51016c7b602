//! The keys of a process: those of its keyring or of its environment, and the sealers that use them.

use std::sync::Arc;

use waxseal_core::{
    EnvelopeRules, EnvelopeVersion, Format, KeyId, KeyRole, Keyring, Mode, NameMask, Sealer,
    SharedKeyring, UserKey,
};
use waxseal_keys::{KeyState, ProtectedScope, UserKeys};
use waxseal_sweep::Keys;

use super::Resources;
use crate::Failure;
use crate::configuration::KeySettings;
use crate::configuration::protected::{DEFAULT_FORMAT, Protected};
use crate::failure::no_key;

/// Returns the keys of this moment, for a command that needs some.
pub fn current(resources: &Resources) -> Result<Arc<Keyring>, Failure> {
    match shared(resources) {
        Some(keyring) => Ok(keyring.current()),
        None => Err(no_key()),
    }
}

/// The keys, as sealers follow them.
pub(super) fn shared(resources: &Resources) -> Option<SharedKeyring> {
    match (resources.ring(), &resources.configuration.keys) {
        (Some(opened), _) => Some(opened.ring.keyring()),
        (None, KeySettings::Environment(keyring)) => Some(SharedKeyring::from(keyring.clone())),
        (None, KeySettings::None | KeySettings::Ring(_)) => None,
    }
}

/// Returns a sealer for some protected records, in this mode. Where values are under keys of users, it is for
/// values of no user: see [`record_sealer`].
///
/// Plain values are judged in the mode of the applications, whose values they are. An audit without any key
/// cannot try one, so it counts nothing as plain that may be classic.
#[must_use]
pub fn sealer(resources: &Resources, protected: &Protected, mode: Mode) -> Sealer {
    let judging = match resources.configuration.has_keys() {
        true => resources.configuration.mode,
        false => mode,
    };
    let sealer = bare_sealer(resources, mode, protected.format)
        .plain_values(protected.plain)
        .classifying_as(judging, protected.of_applications)
        .in_group(protected.group.clone())
        .deterministic_elements(protected.deterministic_elements);
    match resources.configuration.has_keyring() {
        true => {
            let location = resources.configuration.store.location();
            let scope = ProtectedScope::new(location, protected.pattern.as_str());
            sealer.of_records(scope.sealer_name())
        }
        false => sealer.rules(protected.rules),
    }
}

/// Returns the oldest version of the sealed format that is accepted for a record.
#[must_use]
pub fn accepted_version(resources: &Resources, name: &[u8]) -> EnvelopeVersion {
    let protected = resources.configuration.protected_records(name);
    let rules = protected.map_or_else(|_| EnvelopeRules::default(), |it| it.rules);
    match shared(resources) {
        Some(keyring) if resources.configuration.has_keyring() => keyring.current().rules().accept,
        _ => rules.accept,
    }
}

/// Returns a sealer for one record, with the key of its user where records are under such keys. Creates a
/// missing key if it `seals`.
pub async fn record_sealer(
    resources: &Resources,
    protected: &Protected,
    mode: Mode,
    name: &[u8],
    seals: bool,
) -> Result<Sealer, Failure> {
    let sealer = sealer(resources, protected, mode);
    if protected.pattern.is_excepted(name) {
        // Opened with the user's key, if there is one, and never sealed.
        let sealer = sealer.writing_plain();
        return Ok(match user_key(resources, protected, name, false).await? {
            Some(key) => sealer.for_user(key),
            None => sealer,
        });
    }
    Ok(match user_key(resources, protected, name, seals).await? {
        Some(key) => sealer.for_user(key),
        None => sealer,
    })
}

/// Returns a sealer for records that match no pattern, such as the canary.
#[must_use]
pub fn canary_sealer(resources: &Resources) -> Sealer {
    let protected = &resources.configuration.protected;
    let format = protected.first().map_or(DEFAULT_FORMAT, |it| it.format);
    let sealer = bare_sealer(resources, Mode::On, format);
    if resources.configuration.has_keyring() {
        return sealer;
    }
    // The canary records the domain where any values are bound to one.
    let newest = protected
        .iter()
        .map(|it| it.rules)
        .max_by_key(|it| it.write);
    sealer.rules(newest.unwrap_or_default())
}

fn bare_sealer(resources: &Resources, mode: Mode, format: Format) -> Sealer {
    match shared(resources) {
        Some(keyring) => Sealer::new(keyring, mode, format),
        None => Sealer::without_keys(),
    }
}

/// Returns the key of the user that a record belongs to, where records are under such keys. Creates a missing
/// key if it `seals`.
pub async fn user_key(
    resources: &Resources,
    protected: &Protected,
    name: &[u8],
    seals: bool,
) -> Result<Option<Arc<UserKey>>, Failure> {
    let (Some(keys), Some(user)) = (
        user_keys(resources, protected),
        protected.pattern.user(name),
    ) else {
        return Ok(None);
    };
    Ok(if seals {
        keys.read_or_create(&[user]).await?.pop()
    } else {
        keys.read(&[user]).await?.pop().flatten()
    })
}

/// Returns the keys of users, where these records are under such keys.
#[must_use]
pub fn user_keys<'r>(resources: &'r Resources, protected: &Protected) -> Option<&'r UserKeys> {
    let users = resources.ring()?.users.as_ref()?;
    protected.per_user.then_some(&users.keys)
}

/// Returns the keys that a sweep over these records uses.
#[must_use]
pub fn sweep_keys(resources: &Resources, protected: &Protected) -> Keys {
    Keys {
        ring: resources.ring().map(|opened| opened.ring.clone()),
        users: user_keys(resources, protected).cloned(),
    }
}

/// Checks with the keyring's store that the sealing key is not one that other processes may have given up.
pub async fn confirm(resources: &Resources) -> Result<(), Failure> {
    match resources.ring() {
        Some(opened) if !opened.ring.is_confirmed() => Ok(opened.ring.confirm().await?),
        _ => Ok(()),
    }
}

/// Returns the role of a key, or the state that it ended in.
#[must_use]
pub fn state(resources: &Resources, id: KeyId) -> &'static str {
    let role = match (resources.ring(), &resources.configuration.keys) {
        (Some(opened), _) => match opened.ring.ring().entry(id) {
            Some(entry) if entry.state == KeyState::Destroyed => return "destroyed",
            None if opened.ring.ring().index_entry(id).is_some() => return "index key",
            _ => opened.ring.keyring().current().role(id),
        },
        (None, KeySettings::Environment(keyring)) => keyring.role(id),
        (None, KeySettings::None | KeySettings::Ring(_)) => None,
    };
    role.map_or("unknown", KeyRole::as_str)
}

/// Returns the configured keys: those of the keyring in its order, else those of the environment with the
/// sealing key first.
#[must_use]
pub fn ids(resources: &Resources) -> Vec<KeyId> {
    match (resources.ring(), &resources.configuration.keys) {
        (Some(opened), _) => opened.ring.ring().keys().iter().map(|it| it.id).collect(),
        (None, KeySettings::Environment(keyring)) => keyring.usage().map(|it| it.id).collect(),
        (None, KeySettings::None | KeySettings::Ring(_)) => Vec::new(),
    }
}

/// Returns the mask under which record names are shown.
#[must_use]
pub fn name_mask(resources: &Resources) -> NameMask {
    shared(resources).map_or_else(NameMask::random, |it| it.current().name_mask().clone())
}
