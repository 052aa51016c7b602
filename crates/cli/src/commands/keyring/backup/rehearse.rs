//! `keyring rehearse`: opens a backup and shows what it holds, and whether it fits the store. Nothing is
//! written.

use std::sync::Arc;

use serde::Serialize;
use waxseal_core::{Format, Mode, Sealer};
use waxseal_keys::{Backup, Ring};
use waxseal_service::resources::{Resources, record_names};
use waxseal_service::{Ended, Failure};
use waxseal_sessions::{Canary, CanaryState, GuardError};
use waxseal_stores::StoreUrl;

use super::{Opened, open};
use crate::args::{Common, RehearseArgs};
use crate::output;

/// The result, as JSON.
#[derive(Serialize)]
struct Rehearsed<'a> {
    backup: &'a str,
    ring: &'a str,
    environment: &'a str,
    version: u64,
    keys: usize,
    sealing: String,
    check_value: String,
    store: Option<Store>,
}

/// The store's evidence about the keys.
#[derive(Serialize)]
struct Store {
    canary: Fits,
    text: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Fits {
    Opens,
    Absent,
    Differs,
    /// Some values open, and the canary does not.
    #[serde(rename = "differs")]
    Partly,
    Unknown,
}

pub(in super::super) async fn run(
    resources: &Resources,
    common: &Common,
    args: &RehearseArgs,
) -> Result<Ended, Failure> {
    let Opened { backup, id } = open(&args.opening).await?;
    let ring = backup.ring();
    resources.trail.add_detail("ring", ring.id());
    resources.trail.add_detail("backup", id.clone());
    let is_named = common.store.is_some()
        || resources.configuration.environment.url().is_some()
        || resources.configuration.file.store.is_some();
    let store = match is_named {
        true => Some(ask(resources, &backup).await?),
        false => None,
    };
    let fits = store.as_ref().map(|store| store.canary);
    let rehearsed = Rehearsed {
        backup: &id,
        ring: ring.id(),
        environment: ring.environment(),
        version: ring.version(),
        keys: present(ring),
        sealing: ring.sealing().id.to_string(),
        check_value: ring.check_value(),
        store,
    };
    match output::is_json() {
        true => output::json(&rehearsed)?,
        false => print(&rehearsed)?,
    }
    let failure = match fits {
        Some(Fits::Differs) => "the backup opens, and its keys do not open this store",
        Some(Fits::Partly) => "the backup opens, and its keys open only a part of this store",
        Some(Fits::Opens | Fits::Absent | Fits::Unknown) | None => return Ok(Ended::Done),
    };
    Err(Failure::failed(failure).hint(
        "check --store; where it is the right one, its keys were exchanged since: make a new backup with \
         waxseal keyring export",
    ))
}

fn present(ring: &Ring) -> usize {
    let keys = ring.keys().iter().map(|key| &key.wraps);
    let keys = keys.chain(ring.index_keys().iter().map(|key| &key.wraps));
    keys.filter(|wraps| !wraps.is_empty()).count()
}

/// True if the store's canary opens with the keys of the backup.
async fn ask(resources: &Resources, backup: &Backup) -> Result<Store, Failure> {
    let told = |canary, text: String| Ok(Store { canary, text });
    if let StoreUrl::File(_) = &resources.configuration.store {
        let text = "not asked: an embedded store is not opened without writing to it";
        return told(Fits::Unknown, text.to_owned());
    }
    let store = match resources.stored_store().await {
        Ok(store) => store,
        Err(failure) => return told(Fits::Unknown, format!("not asked: {}", failure.text())),
    };
    let (location, keyring) = (store.location(), Arc::new(backup.ring().keyring()?));
    let store = match record_names::open_with(resources, store, keyring.clone()) {
        Ok(store) => store,
        Err(failure) => return told(Fits::Unknown, format!("not asked: {}", failure.text())),
    };
    let sealer = Sealer::new(keyring, Mode::On, Format::Sealed);
    match Canary::of(store)
        .check(&sealer, &resources.configuration.guarded()?)
        .await
    {
        Ok(CanaryState::Opens(key)) => {
            let text = format!("the canary of {location} opens under key {key}");
            told(Fits::Opens, text)
        }
        Ok(CanaryState::Differs(of) | CanaryState::Repaired(of)) => {
            let under = of.map_or_else(String::new, |id| format!(" (it is under key {id})"));
            let text = format!(
                "the canary of {location} does not open with these keys{under}, and some of its values do"
            );
            told(Fits::Partly, text)
        }
        Ok(CanaryState::Created | CanaryState::Absent) => {
            told(Fits::Absent, format!("{location} has no canary yet"))
        }
        // The key exists, and is marked as known to others.
        Err(GuardError::Compromised(key)) => {
            let text = format!("the canary of {location} is under key {key}, which is compromised");
            told(Fits::Opens, text)
        }
        Err(GuardError::WrongKey(mismatch)) => {
            let under = mismatch.sealed_under;
            let text = format!(
                "the canary of {location} does not open with these keys: it is under {under}"
            );
            told(Fits::Differs, text)
        }
        Err(error) => told(Fits::Unknown, format!("not asked: {error}")),
    }
}

fn print(rehearsed: &Rehearsed<'_>) -> Result<(), Failure> {
    let (keys, sealing) = (rehearsed.keys, &rehearsed.sealing);
    let store = rehearsed.store.as_ref().map(|store| store.text.as_str());
    for (word, text) in [
        ("backup", format!("{} opens", rehearsed.backup)),
        ("ring", rehearsed.ring.to_owned()),
        (
            "environment",
            output::sanitize_for_terminal(rehearsed.environment),
        ),
        ("version", rehearsed.version.to_string()),
        ("keys", format!("{keys}; key {sealing} seals")),
        ("check value", rehearsed.check_value.clone()),
        ("store", store.unwrap_or("none is configured").to_owned()),
    ] {
        output::line(format!("{word:<13} {text}"))?;
    }
    Ok(())
}
