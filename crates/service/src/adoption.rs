//! The keys that a new keyring adopts: those of the environment, where the store is sealed under them.

use std::sync::Arc;

use waxseal_core::{Format, Keyring, Mode, Sealer, SecretKey};
use waxseal_sessions::{Canary, CanaryState, GuardError};
use waxseal_stores::{Cursor, LeftOut, NamedStore, RecordName, RecordStore};
use waxseal_sweep::{Audit, Class, Keys, Position, Stop, Sweep, SweepOptions};

use crate::Failure;
use crate::configuration::protected::Protected;
use crate::resources::{Resources, keys, record_names};

/// Names that are read at a time.
const PAGE: usize = 1000;

/// Returns the keys of the environment, if the store holds anything that is sealed under them.
pub async fn adopted(resources: &Resources) -> Result<Vec<SecretKey>, Failure> {
    let stored = resources.stored_store().await.map_err(|failure| {
        let hint = failure.advice().unwrap_or_default();
        let hint = format!("{hint}; --fresh creates a keyring without reading the store");
        failure.hint(hint.trim_start_matches("; ").to_owned())
    })?;
    let Some(hex) = resources.configuration.environment.key() else {
        let canary = Canary::of(stored.clone());
        let under = canary
            .sealed_under(&resources.configuration.guarded()?)
            .await?;
        return under.map_or(Ok(Vec::new()), |under| Err(not_at_hand(&under.to_string())));
    };
    let previous = resources.configuration.environment.previous_keys();
    // Values of version 3 are adopted only if they belong to the domain that the ring will have.
    let domain = resources.configuration.environment_name();
    let keyring = Keyring::from_hex(hex, previous)?.with_domain(domain.as_bytes());
    let keyring = Arc::new(keyring);
    let sealer = Sealer::new(keyring.clone(), Mode::On, Format::Classic);
    let store = record_names::open_with(resources, stored, keyring)?;
    check_names(resources, &store).await?;
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

/// Refuses a store with names that are sealed under the keys of the environment: those of a keyring are under its index key, so
/// their records would not be found.
async fn check_names(resources: &Resources, store: &Arc<dyn RecordStore>) -> Result<(), Failure> {
    let Some(named) = store.named() else {
        return Ok(());
    };
    for protected in resources.configuration.all_protected() {
        let mut cursor = Cursor::start();
        loop {
            let page = named.scan(&protected.pattern, &cursor, PAGE).await?;
            let is_sealed = |it: &RecordName| named.stored(it).is_ok_and(|stored| *stored != *it);
            // Names that do not open may be padded otherwise.
            let left_out = named.left_out().into_iter();
            let mut left_out = left_out.filter(|(reason, _)| *reason != LeftOut::Stray);
            let has_others = named.other_forms() > 0 || left_out.any(|(_, count)| count > 0);
            if has_others || page.names.iter().any(is_sealed) {
                return Err(sealed_names(&protected));
            }
            match page.next {
                Some(next) => cursor = next,
                None => break,
            }
        }
    }
    Ok(())
}

fn sealed_names(protected: &Protected) -> Failure {
    Failure::failed(format!(
        "names of \"{}\" are sealed under keys of the environment, and a keyring seals them under an index key of its own",
        protected.pattern.shown()
    ))
    .hint(
        "nothing was changed; stop all processes that use these records, and without keyring in waxseal.toml: waxseal decrypt \
         --names --offline --yes; then create the keyring, and waxseal migrate --names --offline",
    )
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
    let stored = store.named().map_or(store, NamedStore::inner);
    let under = Canary::of(stored.clone()).sealed_under(&guarded).await?;
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
