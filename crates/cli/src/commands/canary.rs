//! What becomes of the canary at the end of a rotation or a decryption: it follows the records, and
//! goes no further than the last of them.
//!
//! A run over some patterns only says nothing about the others, so these are counted first.

use std::sync::Arc;

use waxseal_core::{KeyId, Mode};
use waxseal_sessions::CanaryState;
use waxseal_stores::RecordStore;
use waxseal_sweep::{Audit, Class, Position, Stop, Sweep, SweepOptions};

use crate::error::Failure;
use crate::output;
use crate::setup::Setup;

/// Seals the canary anew, unless records that were not rotated still need an older key.
pub(crate) async fn after_rotation(
    setup: &Setup,
    store: &Arc<dyn RecordStore>,
) -> Result<(), Failure> {
    let sealing = setup.keyring()?.sealing_id();
    if left(setup, store, |key| key.is_some_and(|key| key != sealing)).await? > 0 {
        output::complain(
            "warning",
            "other protected records are still under an older key",
        );
        output::advise(if setup.follows_ring() {
            "rotate those as well: the keyring keeps the key until then"
        } else {
            "keep it in REDIS_ENCRYPTION_PREVIOUS_KEYS, and rotate those as well"
        });
        return Ok(());
    }
    let found = setup.canary(store).renew(&setup.any_sealer()).await?;
    tell_left(found);
    Ok(())
}

/// Takes the canary away, unless records that were not decrypted are still sealed.
pub(crate) async fn after_decryption(
    setup: &Setup,
    store: &Arc<dyn RecordStore>,
) -> Result<(), Failure> {
    if left(setup, store, |_| true).await? > 0 {
        output::complain("warning", "other protected records are still sealed");
        return Ok(());
    }
    let found = setup.canary(store).remove(&setup.any_sealer()).await?;
    tell_left(found);
    Ok(())
}

/// Tells of a canary that is not of these keys, and stays.
fn tell_left(found: CanaryState) {
    if let CanaryState::Differs(_) = found {
        output::complain("warning", "the canary of another key was left");
        output::advise("where no process has that key any more: redis-cli DEL waxseal:canary");
    }
}

/// How many values are under such a key (`None`: that of a user) among the records that are protected
/// by configuration and that this run did not go through.
async fn left(
    setup: &Setup,
    store: &Arc<dyn RecordStore>,
    under: impl Fn(Option<KeyId>) -> bool,
) -> Result<u64, Failure> {
    let mut values = 0;
    for protected in setup.configured()? {
        let swept = |p: &crate::setup::Protected| p.pattern == protected.pattern;
        if setup.protected.iter().any(swept) {
            continue;
        }
        let sweep = Sweep {
            store: store.clone(),
            pattern: protected.pattern.clone(),
            task: Arc::new(Audit::new(setup.sealer(&protected, Mode::On), false)),
            keys: setup.keys(&protected),
            mask: setup.mask(),
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
