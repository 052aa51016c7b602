//! Changes of a keyring that give something up, or replace what other processes rely on: its document's format, the
//! versions of the sealed format, index keys, settings of protected records. What is allowed is decided in
//! `waxseal-keys`; here the audits are made that it asks for.

use std::sync::Arc;

use waxseal_core::{EnvelopeVersion, KeyId};
use waxseal_keys::{
    Change, ChangeError, DocumentFormat, IndexKeyState, LiveRing, ProtectedScope, RecordNames,
    Ring, RingError,
};
use waxseal_sweep::{Stop, SweepOptions};
use waxseal_units::thousands;

use crate::configuration::protected::{Protected, shown_pattern};
use crate::resources::{Resources, scopes};
use crate::{Failure, names};

/// The result of [`rotate_index`].
#[derive(Clone, Debug)]
pub enum IndexRotation {
    /// A new index key was published.
    Added {
        /// The key.
        id: KeyId,
        /// The time from which it may write (milliseconds since the Unix epoch).
        activates: u64,
    },
    /// An index key is pending, and may not write yet.
    Waiting {
        /// The key.
        id: KeyId,
        /// The time from which it may write (milliseconds since the Unix epoch).
        activates: u64,
    },
    /// The pending index key writes from now on.
    Promoted {
        /// The key.
        id: KeyId,
        /// The key that only reads from now on.
        previous: Option<KeyId>,
    },
}

/// Makes a change for which an audit may be needed: one is made if it is, and its result is in the reports.
pub async fn change_proven(
    resources: &Resources,
    change: &Change,
    stop: &Stop,
) -> Result<Arc<Ring>, Failure> {
    let live = &resources.opened_ring()?.ring;
    match live.change(change).await {
        Err(RingError::Change(ChangeError::Unproven { .. })) => {}
        // What it has to wait for comes first: an audit before that proves nothing.
        other => return Ok(other?),
    }
    let upkeep = scopes::upkeep(resources, "operator").await?;
    let audit = upkeep.audit(stop).await?;
    // Other processes may use the result, and status shows it.
    live.report_audit(&audit).await?;
    upkeep.record_members(&audit).await?;
    Ok(live.change_after_audit(change, &audit).await?)
}

/// Changes the versions of the sealed format. Those that are not named stay.
pub async fn change_versions(
    resources: &Resources,
    (write, accept): (Option<EnvelopeVersion>, Option<EnvelopeVersion>),
    force: bool,
    stop: &Stop,
) -> Result<Arc<Ring>, Failure> {
    let present = resources.opened_ring()?.ring.ring().envelopes();
    let change = Change::Envelopes {
        write: write.unwrap_or(present.write),
        accept: accept.unwrap_or(present.accept),
        force,
    };
    change_proven(resources, &change, stop).await
}

/// Changes the format of the document.
pub async fn change_format(
    resources: &Resources,
    to: DocumentFormat,
    force: bool,
    stop: &Stop,
) -> Result<Arc<Ring>, Failure> {
    change_proven(resources, &Change::Format { to, force }, stop).await
}

/// Publishes a new index key, or lets the pending one write.
pub async fn rotate_index(live: &LiveRing, at_once: bool) -> Result<IndexRotation, Failure> {
    let before = live.ring();
    let pending = before.index_keys_in(IndexKeyState::Pending).next();
    let Some(pending) = pending else {
        let ring = live.change(&Change::AddIndexKey).await?;
        let added = ring.index_keys_in(IndexKeyState::Pending).next();
        let added = added
            .ok_or_else(|| Failure::failed("another process uses the new index key already"))?;
        return Ok(IndexRotation::Added {
            id: added.id,
            activates: added.activates,
        });
    };
    let (id, activates) = (pending.id, pending.activates);
    if activates > live.now_ms() && !at_once {
        return Ok(IndexRotation::Waiting { id, activates });
    }
    let previous = before.writing().map(|key| key.id);
    live.change(&Change::PromoteIndexKey { id, at_once })
        .await?;
    Ok(IndexRotation::Promoted { id, previous })
}

/// Records in the keyring what the configuration says about protected records: those of this pattern. Where that is another
/// form of their names, it has to be named, and it has to be confirmed that no process uses these records.
pub async fn protect(
    resources: &Resources,
    records: &str,
    (names, now): (Option<RecordNames>, bool),
) -> Result<Arc<Ring>, Failure> {
    let protected = configured(resources, records)?;
    let location = resources.configuration.store.location();
    let scope = scopes::protected_scope(&location, protected);
    let live = &resources.opened_ring()?.ring;
    let ring = live.ring();
    let Some(recorded) = ring.protected_scope(&scope) else {
        let shown = shown_pattern(records);
        return Err(Failure::failed(format!(
            "the keyring does not know of records {shown} at {location}"
        ))
        .hint(
            "nothing was changed; check --store and waxseal keyring status; a process that protects them registers them \
             as it is configured",
        ));
    };
    let form = |scope: &ProtectedScope| {
        let settings = scope.settings.clone().unwrap_or_default();
        (settings.names, settings.pad_names)
    };
    let (before, after) = (form(recorded), form(&scope));
    if names.is_some_and(|names| names != after.0) {
        return Err(Failure::usage(format!(
            "waxseal.toml says names = \"{}\" for these records",
            after.0.as_str()
        ))
        .hint("the keyring records what waxseal.toml says: change that first, for all processes"));
    }
    if before != after {
        let form = after.0.as_str();
        if names.is_none() || !now {
            return Err(Failure::usage(format!(
                "the names of these records are recorded as {}, and waxseal.toml says otherwise: {form}",
                before.0.as_str()
            ))
            .hint(format!(
                "stop all processes that use them; waxseal migrate --names --offline (or decrypt --names --offline) gives \
                 them their names; then this with --names {form} --now"
            )));
        }
        check_names(resources, protected).await?;
    }
    Ok(live.change(&Change::Protect(scope)).await?)
}

/// Refuses another form of names while some are in the former one.
async fn check_names(resources: &Resources, protected: &Protected) -> Result<(), Failure> {
    let stored = resources.stored_store().await?;
    let (options, stop) = (SweepOptions::default(), Stop::default());
    let counts = names::count(resources, &stored, protected, options, &stop, &mut |_| {}).await?;
    let (left, form, command) = match protected.names {
        Some(_) => (
            counts.plain.saturating_add(counts.former),
            "in a former form",
            "migrate --names --offline",
        ),
        None => (
            counts.all_sealed() + counts.foreign + counts.unknown_key,
            "sealed",
            "decrypt --names --offline --yes, with names = \"sealed\",",
        ),
    };
    if left == 0 {
        return Ok(());
    }
    let names = match left {
        1 => "1 name is".to_owned(),
        left => format!("{} names are", thousands(left)),
    };
    Err(Failure::failed(format!(
        "{names} still {form}: their records would not be found"
    ))
    .hint(format!(
        "nothing was changed; waxseal {command} gives these records their names; then this again"
    )))
}

/// The configured records of this pattern, as it is written in the configuration.
fn configured<'r>(resources: &'r Resources, records: &str) -> Result<&'r Protected, Failure> {
    let mut all = resources.configuration.protected.iter();
    all.find(|it| it.pattern.as_str() == records)
        .ok_or_else(|| {
            Failure::usage("no [[protect]] has this pattern")
                .hint("--records takes a pattern as waxseal.toml has it, in records")
        })
}
