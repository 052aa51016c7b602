//! `keyring init`: creates a keyring. Where the store is sealed under keys of the
//! environment, these are adopted: applications that know only them can still read and write.

use std::sync::Arc;

use waxseal_core::{Keyring, Mode, Sealer, SecretKey};
use waxseal_keys::{Custodians, Document, LiveRing, Ring, RingError, Settings};
use waxseal_service::configuration::keyring::KeyringConfiguration;
use waxseal_service::now_ms;
use waxseal_service::resources::keyring::{document_store, options};
use waxseal_service::resources::{Resources, keys};
use waxseal_service::{Ended, Failure};
use waxseal_sessions::{Canary, CanaryState, GuardError};
use waxseal_stores::RecordStore;
use waxseal_sweep::{Audit, Class, Keys, Position, Stop, Sweep, SweepOptions};

use super::rewrap::create_keys;
use super::tell;
use crate::args::InitArgs;

pub(super) async fn run(resources: &Resources, args: &InitArgs) -> Result<Ended, Failure> {
    let configured = &resources
        .configuration
        .keyring()?
        .with_custodians(&args.custodian);
    let settings = args.settings.over(Settings::default()).checked();
    let settings = settings.map_err(RingError::from)?;
    // In this order: a process that creates a ring at this moment writes it before its copy.
    let copy = has_copy(configured);
    let place = document_store(configured)?;
    if place
        .read(&Document::Ring)
        .await
        .map_err(Failure::from)?
        .is_some()
    {
        let ring = resources.open_keyring(configured, false).await?;
        return exists(resources, &ring, args);
    }
    if let Some(copy) = copy {
        return Err(Failure::failed(format!(
            "there is no keyring at {}, and this machine keeps a copy of a former one: {copy}",
            place.location()
        ))
        .hint(
            "waxseal keyring restore puts it back; where everything sealed under it may be lost, \
             remove the copy and create a new one",
        ));
    }
    let custodians = resources.all_custodians(configured)?;
    if args.create_key {
        create_keys(resources, configured.urls()).await?;
    }
    let adopted = if args.fresh {
        Vec::new()
    } else {
        adopted(resources).await?
    };
    let environment = &configured.environment;
    let ring = Ring::create(environment, settings, &custodians, &adopted, now_ms()).await?;
    let known = custodians
        .into_iter()
        .fold(Custodians::default(), Custodians::with);
    match LiveRing::create(place, &ring, known, options(configured, false)).await {
        Ok(live) => made(resources, &live, adopted.len()),
        // Another process was faster.
        Err(RingError::Exists { .. }) if args.if_missing => {
            let ring = resources.open_keyring(configured, false).await?;
            exists(resources, &ring, args)
        }
        Err(error) => Err(error.into()),
    }
}

/// The location of the last good copy, if there is one.
fn has_copy(configured: &KeyringConfiguration) -> Option<String> {
    let copy = configured.copy.as_ref()?;
    copy.exists().then(|| copy.display().to_string())
}

fn exists(resources: &Resources, live: &LiveRing, args: &InitArgs) -> Result<Ended, Failure> {
    let (location, ring) = (live.location(), live.ring());
    let version = ring.version();
    if !args.if_missing {
        return Err(RingError::Exists { location, version }.into());
    }
    let done = format!(
        "there is a keyring at {location} (version {version}); key {} seals",
        ring.sealing().id
    );
    tell(resources, &ring, &done, "")
}

fn made(resources: &Resources, live: &LiveRing, adopted: usize) -> Result<Ended, Failure> {
    let ring = live.ring();
    let (sealing, location) = (ring.sealing().id, live.location());
    let environment = ring.environment();
    let keys = match adopted {
        0 => format!("a new key, {sealing}, seals"),
        1 => format!("key {sealing} of the environment was adopted, and seals"),
        _ => format!(
            "key {sealing} of the environment was adopted, and seals; {} more open",
            ring.keys().len() - 1
        ),
    };
    let done =
        format!("created a keyring at {location} for the environment \"{environment}\": {keys}");
    let next = if adopted == 0 {
        "name the keyring to every process; waxseal keyring status shows its state"
    } else {
        "name the keyring to every process, and only then let waxseal proxy or waxseal keeper run: \
         the first new key shuts out applications that have the keys of the environment alone"
    };
    tell(resources, &ring, &done, next)
}

/// The keys of the environment, where the store holds anything that is sealed under them.
async fn adopted(resources: &Resources) -> Result<Vec<SecretKey>, Failure> {
    let store = resources.open_store().await.map_err(|failure| {
        let hint = failure.advice().unwrap_or_default();
        let hint = format!("{hint}; --fresh creates a keyring without reading the store");
        failure.hint(hint.trim_start_matches("; ").to_owned())
    })?;
    let Some(hex) = resources.configuration.environment.key() else {
        let canary = Canary::of(store.clone());
        let under = canary
            .sealed_under(&resources.configuration.guarded()?)
            .await?;
        return under.map_or(Ok(Vec::new()), |under| Err(not_at_hand(&under.to_string())));
    };
    let previous = resources.configuration.environment.previous_keys();
    let keyring = Arc::new(Keyring::from_hex(hex, previous)?);
    let sealer = Sealer::new(keyring, Mode::On, waxseal_core::Format::Classic);
    if !sealed_under(resources, &store, &sealer).await? {
        return Ok(Vec::new());
    }
    let listed = previous
        .split(',')
        .map(str::trim)
        .filter(|hex| !hex.is_empty());
    let all = std::iter::once(hex).chain(listed);
    Ok(all.map(SecretKey::from_hex).collect::<Result<_, _>>()?)
}

/// True if the store holds anything that is sealed under these keys. What is sealed under others is
/// an error: a keyring that is created here could not open it.
async fn sealed_under(
    resources: &Resources,
    store: &Arc<dyn RecordStore>,
    sealer: &Sealer,
) -> Result<bool, Failure> {
    let guarded = resources.configuration.guarded()?;
    let state = Canary::of(store.clone()).check(sealer, &guarded).await;
    match state {
        Ok(CanaryState::Opens(_) | CanaryState::Repaired(_) | CanaryState::Differs(_)) => {
            return Ok(true);
        }
        Ok(CanaryState::Created | CanaryState::Absent) => {}
        Err(GuardError::WrongKey(mismatch)) => {
            return Err(not_at_hand(&mismatch.sealed_under.to_string()));
        }
        Err(error) => return Err(error.into()),
    }
    // Without a canary every value must be checked: one that was missed could never be opened again.
    for protected in resources.configuration.all_protected() {
        let sweep = Sweep {
            store: store.clone(),
            pattern: protected.pattern,
            task: Arc::new(Audit::new(sealer.clone(), false)),
            keys: Keys::default(),
            mask: keys::name_mask(resources),
            options: SweepOptions {
                dry_run: true,
                ..SweepOptions::default()
            },
        };
        let report = sweep
            .run(Position::default(), &Stop::default(), &mut |_| {})
            .await
            .map_err(|interrupted| Failure::from(interrupted.error))?;
        let sealed = |class| matches!(class, Class::Classic(_) | Class::Sealed(_));
        if report.position.counts().count(sealed) > 0 {
            return Ok(true);
        }
    }
    // A few classic values among plain ones do not prevent a start. A new ring would never open them.
    let under = Canary::of(store.clone()).sealed_under(&guarded).await?;
    under.map_or(Ok(false), |under| Err(not_at_hand(&under.to_string())))
}

fn not_at_hand(under: &str) -> Failure {
    Failure::failed(format!(
        "this store is sealed under keys that the environment does not hold: {under}"
    ))
    .hint(
        "nothing was changed; set REDIS_ENCRYPTION_KEY (and REDIS_ENCRYPTION_PREVIOUS_KEYS) to its keys, \
         and they are adopted; --fresh begins with a new key, which does not open what is there",
    )
}
