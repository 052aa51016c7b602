//! A proxy beside its sockets: the checks before it starts, its protection of records, and the tasks that run next to it.

pub mod excepts;
pub mod mode;
pub mod reports;
mod upkeep;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use waxseal_core::Mode;
use waxseal_proxy::{Meters, Protection};
use waxseal_stores::{RecordStore, StoreError};

pub use upkeep::UpkeepTask;

use crate::Failure;
use crate::audit_log::ServiceStart;
use crate::configuration::protected::Protected;
use crate::failure::{neither_key_nor_mode, no_key};
use crate::members;
use crate::resources::{Resources, guard, keys, record_names, trial};

/// The interval between two attempts to reach the store at start.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// Fails if no record is protected, or there are neither keys nor a mode that needs none. A default pattern does not
/// count: `names_patterns` says whether flags name some.
pub fn check(resources: &Resources, names_patterns: bool) -> Result<(), Failure> {
    let configuration = &resources.configuration;
    if !names_patterns && configuration.file.protect.is_empty() {
        return Err(Failure::usage("no record is protected")
            .hint("say which with --protect, for example --protect 'wa:*', or in waxseal.toml"));
    }
    let others = configuration.overlapping_others();
    let mut served = configuration.protected.iter().chain(others);
    if configuration.is_trial()
        && let Some(sealed) = served.find(|it| it.names.is_some())
    {
        return Err(Failure::usage(format!(
            "names of \"{}\": they are sealed, and a trial seals nothing: applications would find none of their records",
            sealed.pattern.shown()
        ))
        .hint("try records whose names are in clear: remove names"));
    }
    if !configuration.has_keys() {
        if configuration.mode != Mode::Off {
            return Err(no_key());
        }
        if !configuration.is_mode_set() {
            let is_blank = configuration.environment.is_key_blank();
            return Err(neither_key_nor_mode(is_blank));
        }
    }
    configuration.check_decoys()
}

/// Records in the audit log the mode that a proxy starts in, unless it is that of its last start.
pub fn record_start(resources: &Resources) -> Result<(), Failure> {
    resources.trail.record_mode(&ServiceStart {
        service: "proxy",
        store: &resources.configuration.store.location(),
        mode: &resources.configuration.mode.to_string(),
    })
}

/// Waits until the store and the keyring can be reached, and checks that the key is the store's. A trial has no key:
/// there nothing may be sealed. `waiting` gets the failure of each attempt that may succeed later.
pub async fn wait_for_store(
    resources: &mut Resources,
    is_trial: bool,
    mut waiting: impl FnMut(&Failure),
) -> Result<(), Failure> {
    loop {
        match reach(resources, is_trial).await {
            Err(failure) if failure.is_transient() => waiting(&failure),
            ended => return ended,
        }
        sleep(RETRY_INTERVAL).await;
    }
}

async fn reach(resources: &mut Resources, is_trial: bool) -> Result<(), Failure> {
    resources.open_ring(false).await?;
    let store = resources.open_store().await?;
    if is_trial {
        return trial::check_nothing_is_sealed(resources, &store).await;
    }
    guard::check_key_and_mark(resources, &store).await?;
    check_is_alone(resources, &store).await?;
    guard::check_names(resources, &store).await?;
    if !resources.configuration.mode.seals() {
        members::allow_several_forms(resources).await?;
    }
    Ok(())
}

/// Refuses sealed names on a node of a cluster: they would be in other slots than those of the names that clients know, and
/// several with one hash tag in several slots.
async fn check_is_alone(
    resources: &Resources,
    store: &Arc<dyn RecordStore>,
) -> Result<(), Failure> {
    let mut protected = resources.configuration.protected.iter();
    if !protected.any(|it| it.names.is_some()) {
        return Ok(());
    }
    match store.status().await {
        Err(StoreError::Cluster { .. }) => Err(Failure::failed(
            "names are sealed, and the store is a node of a cluster: clients would look for these records in other slots",
        )
        .hint("use a server without cluster-enabled, or leave the names in clear: remove names")),
        // What else is wrong is found by those who read.
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Returns counts by pattern, under the patterns' configured names.
#[must_use]
pub fn meters(resources: &Resources) -> Arc<Meters> {
    let configuration = &resources.configuration;
    let all = configuration
        .protected
        .iter()
        .chain(&configuration.channels);
    Arc::new(Meters::new(all.map(|it| it.name.as_str())))
}

/// Returns the protection of the configured records, with the keys that are open.
pub fn protection(
    resources: &Resources,
    allow_own_writes: bool,
    meters: Option<Arc<Meters>>,
) -> Result<Protection, Failure> {
    let configuration = &resources.configuration;
    let with_sealer = |protected: &Protected| {
        let sealer = keys::sealer(resources, protected, configuration.mode);
        (protected.pattern.clone(), sealer)
    };
    let sealers = configuration.protected.iter().map(with_sealer);
    let channels = configuration.channels.iter().map(with_sealer);
    let decoys = configuration.decoys.iter();
    let decoys = decoys.map(|it| it.name.as_bytes().to_vec());
    let protected = |index: usize| configuration.protected.get(index);
    let mut protection = Protection::new(sealers.collect(), keys::name_mask(resources))
        .channels(channels.collect())
        .allow_own_writes(allow_own_writes)
        .forward_scripts(|index| protected(index).is_some_and(|it| it.forwards_scripts))
        .decoys(decoys, reports::alarm());
    if let Some(table) = record_names::table_of(resources, &configuration.protected)? {
        protection = protection.name_table(table);
    }
    if let Some(meters) = meters {
        protection = protection.meters(meters);
    }
    let Ok(opened) = resources.opened_ring() else {
        return Ok(protection);
    };
    let protection = protection.ring(opened.ring.clone());
    let Some(users) = &opened.users else {
        return Ok(protection);
    };
    let per_user = |index: usize| protected(index).is_some_and(|it| it.per_user);
    let protection = protection.user_keys(users.keys.clone(), per_user);
    protection.map_err(Failure::usage)
}
