//! The changes of a keyring by an operator: each prints what was done and what comes
//! next.

use std::sync::Arc;

use waxseal_core::KeyId;
use waxseal_keys::rotation::next_to_seal;
use waxseal_keys::{Change, ChangeError, KeyState, LiveRing, ProtectedScope, Ring};
use waxseal_service::configuration::protected::shown_pattern;
use waxseal_service::resources::Resources;
use waxseal_service::{Ended, Failure, retirement};

use super::{tell, versions};
use crate::args::{Common, ConfigureArgs, SettingsArgs};
use crate::output;
use crate::signals::stop_on_signal;

pub(super) async fn add(resources: &Resources) -> Result<Ended, Failure> {
    let live = live(resources)?;
    let before = live.ring();
    let change = Change::Add {
        instead_of: before.sealing().id,
    };
    let ring = live.change(&change).await?;
    let Some(pending) = next_to_seal(&ring) else {
        let done = format!(
            "key {} seals since a moment ago: none was added",
            ring.sealing().id
        );
        return tell(resources, &ring, &done, "");
    };
    let (id, is_new) = (pending.id, before.entry(pending.id).is_none());
    if is_new && before.sealing().adopted {
        let text = format!(
            "once key {id} seals, applications that have the keys of the environment alone do not \
             open what is sealed under it"
        );
        output::warn(&text);
        output::hint("before, let all of them use the keyring, or connect through waxseal proxy");
    }
    let done = if is_new {
        format!("key {id} is pending (keyring version {})", ring.version())
    } else {
        format!("key {id} is pending already: none was added")
    };
    let next = format!(
        "it may seal from {}: a running waxseal proxy or keeper lets it, or waxseal keyring promote {id}",
        output::point_in_time(pending.activates)
    );
    tell(resources, &ring, &done, &next)
}

pub(super) async fn promote(resources: &Resources, id: KeyId, now: bool) -> Result<Ended, Failure> {
    let live = live(resources)?;
    if live.ring().sealing().id == id {
        return tell(
            resources,
            &live.ring(),
            &format!("key {id} seals already"),
            "",
        );
    }
    if now {
        warn_of_those_behind(live).await?;
    }
    let before = live.ring().sealing().id;
    let ring = live.change(&Change::Promote { id, at_once: now }).await?;
    let done = format!(
        "key {id} seals from now on (keyring version {}); key {before} opens",
        ring.version()
    );
    let next = "waxseal rotate brings older values under it; a running waxseal proxy or keeper does \
                so by itself";
    tell(resources, &ring, &done, next)
}

/// Warns of processes that do not know the present ring, and cannot open what its newest key seals.
async fn warn_of_those_behind(live: &LiveRing) -> Result<(), Failure> {
    let version = live.ring().version();
    let reports = live.reports().await?;
    let behind = reports.processes.values().filter(|it| it.version < version);
    match behind.count() {
        0 => {}
        count => {
            let text = format!(
                "{count} of {} processes that report had not seen this keyring yet",
                reports.processes.len()
            );
            output::warn(&text);
            output::hint("they look at it as soon as they meet a value under the new key");
        }
    }
    Ok(())
}

pub(super) async fn archive(resources: &Resources, id: KeyId) -> Result<Ended, Failure> {
    let live = live(resources)?;
    if is_in(&live.ring(), id, KeyState::Archived)? {
        return tell(
            resources,
            &live.ring(),
            &format!("key {id} is archived already"),
            "",
        );
    }
    retirement::check(resources, id, KeyState::Archived, &stop_on_signal()?).await?;
    let ring = live.change(&Change::Archive(id)).await?;
    let done = format!("key {id} is archived: nothing was found under it, and it still opens");
    let next = format!("waxseal keyring destroy {id} destroys it permanently");
    tell(resources, &ring, &done, &next)
}

pub(super) async fn destroy(
    resources: &Resources,
    id: KeyId,
    force: bool,
) -> Result<Ended, Failure> {
    if let Some(ended) = versions::destroy_index_key(resources, id, force).await? {
        return Ok(ended);
    }
    let live = live(resources)?;
    if is_in(&live.ring(), id, KeyState::Destroyed)? {
        return tell(
            resources,
            &live.ring(),
            &format!("key {id} is destroyed already"),
            "",
        );
    }
    if !force {
        retirement::check(resources, id, KeyState::Destroyed, &stop_on_signal()?).await?;
    }
    let ring = live.change(&Change::Destroy(id)).await?;
    let done = format!("key {id} is destroyed: only its id and its dates are kept");
    let next = "older copies of the keyring (backups of its place, copies of other machines until \
                they look again) may still hold it";
    tell(resources, &ring, &done, next)
}

pub(super) async fn compromise(resources: &Resources, id: KeyId) -> Result<Ended, Failure> {
    let live = live(resources)?;
    let ring = live.change(&Change::Compromise(id)).await?;
    let done = format!("key {id} is compromised: what is under it does not open any more");
    let next = format!(
        "waxseal rotate --open-compromised brings it under key {}; then waxseal keyring destroy {id}",
        ring.sealing().id
    );
    tell(resources, &ring, &done, &next)
}

pub(super) async fn configure(
    resources: &Resources,
    args: &ConfigureArgs,
) -> Result<Ended, Failure> {
    let live = live(resources)?;
    let before = live.ring();
    let changes_times = args.settings != SettingsArgs::default() || args.at_once;
    if changes_times {
        // Refused before anything else is changed.
        let settings = args.settings.over(before.settings().clone());
        settings.checked().map_err(Failure::from)?;
    }
    let with_versions = versions::configure(resources, args).await?;
    if changes_times {
        let settings = args.settings.over(live.ring().settings().clone());
        let at_once = args.at_once;
        live.change(&Change::Settings { settings, at_once }).await?;
    }
    let ring = live.ring();
    let is_unchanged = ring.version() == before.version();
    if with_versions.is_some() {
        let versions_now = versions::describe(&ring);
        let done = match is_unchanged {
            true => format!("nothing to change: {versions_now}"),
            false => format!(
                "changed (keyring version {}): {versions_now}",
                ring.version()
            ),
        };
        versions::warn_of_differences(resources);
        return tell(resources, &ring, &done, versions::next(&ring));
    }
    let done = match is_unchanged {
        true => "nothing to change: the keyring has these settings".to_owned(),
        false => format!("changed (keyring version {})", ring.version()),
    };
    tell(resources, &ring, &done, &times_apply(live, &before))
}

/// The time from which changed times apply.
fn times_apply(live: &LiveRing, before: &Ring) -> String {
    let now = live.now_ms();
    match live.ring().longer_times_until() {
        Some(until) if until > now => format!(
            "keys are rotated and retired by the longer times until {}, when every process has seen \
             the lowered ones; --at-once does not wait",
            output::point_in_time(until)
        ),
        _ => format!(
            "every process applies it within {}",
            output::span(before.effective_settings(now).refresh_ms)
        ),
    }
}

pub(super) async fn release(
    resources: &Resources,
    common: &Common,
    records: &str,
) -> Result<Ended, Failure> {
    if common.store.is_none() {
        return Err(Failure::usage(
            "--store is required: the records are registered for one store",
        )
        .hint("name it with --store, as waxseal keyring status shows it"));
    }
    let live = live(resources)?;
    let location = resources.configuration.store.location();
    let protected_scope = ProtectedScope::new(location, records);
    let shown = shown_pattern(records);
    if live.ring().protected_scope(&protected_scope).is_none() {
        // The operator may have given a name instead of a pattern.
        return Err(Failure::failed(format!(
            "the keyring does not know of records {shown} at {}",
            protected_scope.store
        ))
        .hint("waxseal keyring status lists those that it knows"));
    }
    let ring = live
        .change(&Change::Unregister(protected_scope.clone()))
        .await?;
    let done = format!(
        "the records {shown} at {} are unregistered: no key is kept for them",
        protected_scope.store
    );
    let next = "a process that still protects them registers them again";
    tell(resources, &ring, &done, next)
}

fn live(resources: &Resources) -> Result<&LiveRing, Failure> {
    Ok(&resources.opened_ring()?.ring)
}

fn is_in(ring: &Arc<Ring>, id: KeyId, state: KeyState) -> Result<bool, Failure> {
    let entry = ring.entry(id).ok_or(ChangeError::NoKey(id))?;
    Ok(entry.state == state)
}
