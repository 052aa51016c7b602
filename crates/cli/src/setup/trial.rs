//! A trial of the proxy opens no value, so it must not start over sealed ones. Keys of this environment are used to
//! find these, and for nothing else: no client is served with them.

use std::sync::Arc;

use waxseal_core::{Keyring, Mode, PlainValues, Sealer, SharedKeyring};
use waxseal_sessions::{GuardedRecords, Sample};
use waxseal_stores::{RecordPattern, RecordStore};

use super::{Protected, RingSetup, Setup};
use crate::error::Failure;
use crate::output;

/// The keys that a trial looks for sealed values with.
#[derive(Default)]
pub(super) struct TrialKeys {
    keyring: Option<Arc<Keyring>>,
    ring_setup: Option<RingSetup>,
}

/// Patterns with values that a trial would give to applications as they are stored, as texts name them.
#[derive(Default)]
struct SealedPatterns {
    sealed: Vec<String>,
    /// Values have the shape of the classic format, which names no key, and may be plain Base64.
    may_be_sealed: Vec<String>,
}

impl Setup {
    /// Makes the setup that of a trial: nothing is sealed, and no key is needed.
    pub(crate) fn begin_trial(&mut self) {
        self.mode = Mode::Off;
        self.is_mode_chosen = true;
        self.is_trial = true;
        self.trial_keys = TrialKeys {
            keyring: self.keyring.take(),
            ring_setup: self.ring_setup.take(),
        };
        self.decoys.clear();
    }

    /// Makes sure that a trial, which opens nothing, would not give sealed values to applications.
    pub(crate) async fn check_nothing_is_sealed(
        &self,
        store: &Arc<dyn RecordStore>,
    ) -> Result<(), Failure> {
        let keys = self.trial_keyring().await;
        let mut found = SealedPatterns::default();
        for protected in &self.protected {
            let sample = self.trial_sample(store, protected, keys.as_ref()).await?;
            found.add(protected, &sample);
        }
        found.judge(keys.is_some())
    }

    /// Samples the values of a pattern, under excepted names as well.
    async fn trial_sample(
        &self,
        store: &Arc<dyn RecordStore>,
        protected: &Protected,
        keys: Option<&SharedKeyring>,
    ) -> Result<Sample, Failure> {
        let guarded = GuardedRecords {
            pattern: RecordPattern::parse(protected.pattern.as_str())?,
            // So that what has the shape of the classic format is counted, whatever plain values look like.
            plain: PlainValues::Json,
            expects_classic: false,
        };
        let sealer = match keys {
            Some(keys) => Sealer::new(keys.clone(), Mode::On, protected.format),
            None => Sealer::without_keys(),
        };
        let sample = self.canary(store).survey(&sealer, &[guarded]).await;
        sample.map_err(|error| self.guard_failure(error))
    }

    /// The keys of this environment, if there are any and they can be had: a trial starts without custodians.
    async fn trial_keyring(&self) -> Option<SharedKeyring> {
        if let Some(keyring) = &self.trial_keys.keyring {
            return Some(SharedKeyring::from(keyring.clone()));
        }
        let ring_setup = self.trial_keys.ring_setup.as_ref()?;
        match ring_setup.open(&self.environment, false).await {
            Ok(ring) => Some(ring.keyring()),
            Err(failure) => {
                let text = failure.text();
                output::complain(
                    "warning",
                    &format!("the trial looks for sealed values without the keyring: {text}"),
                );
                None
            }
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
        output::complain(
            "warning",
            &format!(
                "values under {shown} have the shape of the classic format and do not open under the configured \
                 keys: if they are sealed under another key, applications read ciphertext during this trial"
            ),
        );
        Ok(())
    }
}
