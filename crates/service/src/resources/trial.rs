//! The check that a trial of the proxy, which opens no value, does not start over sealed values. The
//! configured keys are used to find them, and for nothing else: no client is served with them.

use std::sync::Arc;

use waxseal_core::{Mode, PlainValues, Sealer, SharedKeyring};
use waxseal_sessions::{GuardedRecords, Sample};
use waxseal_stores::{RecordPattern, RecordStore};

use super::{Resources, guard};
use crate::configuration::KeySettings;
use crate::configuration::protected::Protected;
use crate::{Failure, notice};

/// Patterns whose sealed values a trial would pass to applications unopened, as texts name them.
#[derive(Default)]
struct SealedPatterns {
    sealed: Vec<String>,
    /// Values have the shape of the classic format, which names no key, and may be plain Base64.
    may_be_sealed: Vec<String>,
}

/// Checks that a trial, which opens nothing, would not pass sealed values to applications.
pub async fn check_nothing_is_sealed(
    resources: &Resources,
    store: &Arc<dyn RecordStore>,
) -> Result<(), Failure> {
    let keys = keyring(resources).await;
    let mut found = SealedPatterns::default();
    for protected in &resources.configuration.protected {
        let sample = sample(resources, store, protected, keys.as_ref()).await?;
        found.add(protected, &sample);
    }
    found.judge(keys.is_some())
}

/// Samples the values of a pattern, under excepted names as well.
async fn sample(
    resources: &Resources,
    store: &Arc<dyn RecordStore>,
    protected: &Protected,
    keys: Option<&SharedKeyring>,
) -> Result<Sample, Failure> {
    let guarded = GuardedRecords {
        pattern: RecordPattern::parse(protected.pattern.as_str())?,
        // So that what has the shape of the classic format is counted, whatever plain values look like.
        plain: PlainValues::Json,
        group: protected.group.clone(),
        expects_classic: false,
    };
    let sealer = match keys {
        Some(keys) => Sealer::new(keys.clone(), Mode::On, protected.format),
        None => Sealer::without_keys(),
    };
    let canary = guard::canary(resources, store);
    let sample = canary.survey(&sealer, &[guarded]).await;
    sample.map_err(|error| guard::failure(resources, error))
}

/// The configured keys, if there are any and they can be opened: a trial starts without custodians.
async fn keyring(resources: &Resources) -> Option<SharedKeyring> {
    let configuration = &resources.configuration;
    let keyring = match configuration.trial.as_ref()? {
        KeySettings::None => return None,
        KeySettings::Environment(keyring) => return Some(SharedKeyring::from(keyring.clone())),
        KeySettings::Ring(keyring) => keyring,
    };
    match resources.open_keyring(keyring, false).await {
        Ok(ring) => Some(ring.keyring()),
        Err(failure) => {
            let text = failure.text();
            notice::warning(&format!(
                "the trial looks for sealed values without the keyring: {text}"
            ));
            None
        }
    }
}

impl SealedPatterns {
    fn add(&mut self, protected: &Protected, sample: &Sample) {
        let shown = protected.pattern.shown().to_owned();
        let looks_classic = sample.classic + sample.base64;
        let mut others = sample.clone();
        (others.classic, others.base64) = (0, 0);
        if others.is_sealed() || looks_classic > 0 && protected.plain == PlainValues::Json {
            self.sealed.push(shown);
        } else if looks_classic > 0 {
            self.may_be_sealed.push(shown);
        }
    }

    /// Fails where values are sealed. Values that no configured key opens may be plain, and are warned about.
    fn judge(self, has_keys: bool) -> Result<(), Failure> {
        let effect = "a trial does not open values: applications would read ciphertext";
        let otherwise = "start the proxy without --trial: commands that it refuses are in its log, its metrics and on \
                         its status page; or try the application with a store that holds no sealed values";
        if !self.sealed.is_empty() {
            let shown = self.sealed.join(", ");
            return Err(Failure::failed(format!(
                "values under {shown} are sealed already: {effect}"
            ))
            .hint(otherwise));
        }
        if self.may_be_sealed.is_empty() {
            return Ok(());
        }
        let shown = self.may_be_sealed.join(", ");
        if !has_keys {
            return Err(Failure::failed(format!(
                "values under {shown} may be sealed in the classic format: {effect}"
            ))
            .hint(format!(
                "set REDIS_ENCRYPTION_KEY, and the trial tries it on them: it starts where none opens. Or {otherwise}"
            )));
        }
        notice::warning(&format!(
            "values under {shown} have the shape of the classic format and do not open under the configured \
             keys: if they are sealed under another key, applications read ciphertext during this trial"
        ));
        Ok(())
    }
}
