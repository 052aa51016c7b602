//! What becomes of the canary at the end of a rotation or a decryption: it follows the records, and
//! goes no further than the last of them.
//!
//! A run over some patterns only says nothing about the others, so these are counted first.

use std::sync::Arc;

use waxseal_core::{KeyId, Mode};
use waxseal_service::resources::{Resources, guard, keys};
use waxseal_sessions::CanaryState;
use waxseal_stores::RecordStore;
use waxseal_sweep::{Audit, Class, Position, Stop, Sweep, SweepOptions};

use crate::output;
use waxseal_service::Failure;

/// Seals the canary anew, unless records that were not rotated still need an older key.
pub(crate) async fn after_rotation(
    resources: &Resources,
    store: &Arc<dyn RecordStore>,
) -> Result<(), Failure> {
    let sealing = keys::current(resources)?.sealing_id();
    if left(resources, store, |key| {
        key.is_some_and(|key| key != sealing)
    })
    .await?
        > 0
    {
        output::warn("other protected records are still under an older key");
        output::hint(if resources.configuration.has_keyring() {
            "rotate those as well: the keyring keeps the key until then"
        } else {
            "keep it in REDIS_ENCRYPTION_PREVIOUS_KEYS, and rotate those as well"
        });
        return Ok(());
    }
    let found = guard::canary(resources, store)
        .renew(&keys::canary_sealer(resources))
        .await?;
    tell_left(found);
    Ok(())
}

/// Takes the canary away, unless records that were not decrypted are still sealed.
pub(crate) async fn after_decryption(
    resources: &Resources,
    store: &Arc<dyn RecordStore>,
) -> Result<(), Failure> {
    if left(resources, store, |_| true).await? > 0 {
        output::warn("other protected records are still sealed");
        return Ok(());
    }
    let found = guard::canary(resources, store)
        .remove(&keys::canary_sealer(resources))
        .await?;
    tell_left(found);
    Ok(())
}

/// Tells of a canary that is not of these keys, and stays.
fn tell_left(found: CanaryState) {
    if let CanaryState::Differs(_) = found {
        output::warn("the canary of another key was left");
        output::hint("where no process has that key any more: redis-cli DEL waxseal:canary");
    }
}

/// How many values are under such a key (`None`: that of a user) among the records that are protected
/// by configuration and that this run did not go through.
async fn left(
    resources: &Resources,
    store: &Arc<dyn RecordStore>,
    under: impl Fn(Option<KeyId>) -> bool,
) -> Result<u64, Failure> {
    let mut values = 0;
    for protected in resources.configuration.protected_by_file()? {
        let swept = |p: &waxseal_service::configuration::protected::Protected| {
            p.pattern == protected.pattern
        };
        if resources.configuration.protected.iter().any(swept) {
            continue;
        }
        let sweep = Sweep {
            store: store.clone(),
            pattern: protected.pattern.clone(),
            task: Arc::new(Audit::new(
                keys::sealer(resources, &protected, Mode::On),
                false,
            )),
            keys: keys::sweep_keys(resources, &protected),
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
        values += report.position.counts().count(|class| match class {
            Class::Classic(key) | Class::Sealed(key) | Class::UnknownKey(key) => under(Some(key)),
            Class::OfUser => under(None),
            Class::Empty | Class::Plain | Class::Erased | Class::Unopenable => false,
        });
    }
    Ok(values)
}
