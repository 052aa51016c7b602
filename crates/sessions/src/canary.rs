//! The guard against a wrong key. At every start a sealed record of Waxseal's own, the canary, shows whether the key is
//! the one of the store; and so does a sample of the sealed values.
//!
//! The values outrank the canary. The canary is a single record: it is lost by eviction and `FLUSHDB`, and a process with
//! another key that starts on an empty store seals its own. So a key that opens values is the right one, whatever the
//! canary says, and the canary is sealed again; a key that opens none of them is refused, even if it opens the canary.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use tracing::warn;
use waxseal_core::{Binding, EnvelopeRules, Form, Format, KeyId, OpenError, Sealer, Shape};
use waxseal_keys::{LiveRing, UserKeys};
use waxseal_stores::{
    Change, Expiry, Outcome, RecordName, RecordPattern, RecordStore, Slot, StoreError,
};

use crate::error::{GuardError, Mismatch};
use crate::names;

mod domain;
mod sample;
mod sampler;
mod stored;
mod user_store;

pub use sample::{GuardedRecords, Sample, SealedUnder};

use domain::CanaryValue;
pub(crate) use sample::named;
use sampler::{Bounds, Sampler};
use stored::StoredCanary;

const NAME: &str = "waxseal:canary";

/// With a canary that opens, the first value that opens confirms it: usually the first value of all.
const CONFIRM: Bounds = Bounds {
    pages: 10,
    values: 100,
    ends_at_first: true,
    only_users: false,
};
/// Without a canary the values alone decide, and are searched for among many other records.
const DECIDE: Bounds = Bounds {
    pages: 100,
    values: 500,
    ends_at_first: true,
    only_users: false,
};
/// The same, if values under other keys are counted as well.
const COUNT: Bounds = Bounds {
    ends_at_first: false,
    ..DECIDE
};
/// Values under keys of users only, which may be few among many others.
const ONLY_USERS: Bounds = Bounds {
    values: 2500,
    only_users: true,
    ..COUNT
};
/// Attempts to write a canary that other processes write at the same time.
const MAX_ATTEMPTS: usize = 3;

/// The canary of one store.
pub struct Canary {
    store: Arc<dyn RecordStore>,
    name: RecordName,
    ring: Option<LiveRing>,
    users: Option<UserKeys>,
}

/// The state of the canary after a check of the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CanaryState {
    /// The canary opens under this key.
    Opens(KeyId),
    /// There was no canary, and one was written.
    Created,
    /// The canary was of another key (`None`: it names no key) or damaged. The values of the store open, so it was sealed
    /// again.
    Repaired(Option<KeyId>),
    /// The canary is of another key (`None`: it names no key) or damaged, although the values of the store open. It was
    /// not sealed again: that was not requested, or the store accepts no writes, or most values are under other keys.
    Differs(Option<KeyId>),
    /// There is no canary, and none was written: that was not requested, or the store accepts no writes.
    Absent,
}

/// The record of the canary, as it is stored.
enum CanaryRecord {
    Absent,
    /// Not a string.
    OtherType,
    Bytes(Vec<u8>),
}

impl Canary {
    /// The canary of this store.
    #[must_use]
    pub fn of(store: Arc<dyn RecordStore>) -> Self {
        Self::named(store, RecordName::from(NAME))
    }

    /// A canary under another name, for several applications with different keys in one store.
    #[must_use]
    pub fn named(store: Arc<dyn RecordStore>, name: RecordName) -> Self {
        Self {
            store,
            name,
            ring: None,
            users: None,
        }
    }

    /// Sets the ring whose keys are used: a value under a key that another process has added since, or that was
    /// destroyed, belongs to this ring.
    #[must_use]
    pub fn ring(mut self, ring: LiveRing) -> Self {
        self.ring = Some(ring);
        self
    }

    /// Sets the keys of users: values of a sample under these are opened with them. Without them such values say nothing
    /// about the key.
    #[must_use]
    pub fn user_keys(mut self, users: UserKeys) -> Self {
        self.users = Some(users);
        self
    }

    /// Checks the key against the canary and a sample of these records. Writes nothing.
    pub async fn check(
        &self,
        sealer: &Sealer,
        records: &[GuardedRecords],
    ) -> Result<CanaryState, GuardError> {
        let (stored, _) = self.judge(sealer, records).await?;
        self.judge_user_store(sealer, records).await?;
        Ok(stored.state())
    }

    /// Checks the key, and if the sealer holds one, seals a canary if there is none or one of another key.
    pub async fn check_or_create(
        &self,
        sealer: &Sealer,
        records: &[GuardedRecords],
    ) -> Result<CanaryState, GuardError> {
        let mut state = CanaryState::Absent;
        let mut is_marked = false;
        for _ in 0..MAX_ATTEMPTS {
            let (stored, sample) = self.judge(sealer, records).await?;
            if !std::mem::replace(&mut is_marked, true) {
                self.mark_user_store(sealer, records).await?;
            }
            state = stored.state();
            if sealer.keyring().is_none() {
                break;
            }
            let (expected, written) = match stored {
                StoredCanary::Opens {
                    key,
                    value,
                    ref bytes,
                } if !value.records_domain() && self.must_record_domain(sealer) => {
                    (Some(bytes.clone()), CanaryState::Opens(key))
                }
                StoredCanary::Opens { .. } => break,
                StoredCanary::Absent => (None, CanaryState::Created),
                // If most values are under other keys, it is not certain that the store belongs to these keys.
                StoredCanary::Differs {
                    bytes: Some(bytes),
                    key,
                } if sample.opened > sample.under_unknown_keys() && self.is_ring_current() => {
                    (Some(bytes), CanaryState::Repaired(key))
                }
                StoredCanary::Differs { .. } => break,
            };
            let value = self.value(sealer);
            match self.write(sealer, &value, expected.as_deref()).await {
                Ok(Outcome::Done) => {
                    warn_of_repair(sealer, written);
                    return Ok(written);
                }
                // Another process was faster: its canary is checked in the next attempt.
                Ok(Outcome::Changed) => {}
                Err(GuardError::Store(error)) if is_write_refused(&error) => break,
                Err(error) => return Err(error),
            }
        }
        Ok(state)
    }

    /// Refuses names in clear where the store has sealed ones: for a process that starts to use these records, and would not
    /// find them.
    pub async fn check_names(&self, records: &[GuardedRecords]) -> Result<(), GuardError> {
        match self.store.named() {
            Some(named) => names::check_sample(named, &patterns(records), true).await,
            None => Ok(()),
        }
    }

    /// Refuses a store of users' keys that does not hold the keys of the values, and marks one that has no mark yet:
    /// before a key of a user is created. [`Self::check_or_create`] does so as well.
    pub async fn check_users(
        &self,
        sealer: &Sealer,
        records: &[GuardedRecords],
    ) -> Result<(), GuardError> {
        self.mark_user_store(sealer, records).await
    }

    /// Takes a sample of the sealed values of these records, without the canary and without a verdict.
    pub async fn survey(
        &self,
        sealer: &Sealer,
        records: &[GuardedRecords],
    ) -> Result<Sample, GuardError> {
        let mut sample = Sample::default();
        let sampler = self.sampler(sealer, COUNT);
        sampler.collect(records, &mut sample).await?;
        Ok(sample)
    }

    /// Returns the keys that the store is sealed under, as far as this shows without any key; `None` if there is neither
    /// a canary nor a sealed value.
    pub async fn sealed_under(
        &self,
        records: &[GuardedRecords],
    ) -> Result<Option<SealedUnder>, GuardError> {
        let sealer = Sealer::without_keys();
        let stored = self.read(&sealer).await?;
        let sample = self.sample(&sealer, records, COUNT, &stored).await?;
        let is_sealed = matches!(stored, StoredCanary::Differs { .. }) || sample.is_of_other_keys();
        Ok(is_sealed.then(|| sample.sealed_under(stored.foreign_key())))
    }

    /// Seals the canary again under the sealing key, after everything else was. A canary of another key is not changed.
    pub async fn renew(&self, sealer: &Sealer) -> Result<CanaryState, GuardError> {
        let bytes = match self.record().await? {
            CanaryRecord::Absent => return Ok(CanaryState::Absent),
            CanaryRecord::OtherType => return Ok(StoredCanary::OTHER_TYPE.state()),
            CanaryRecord::Bytes(bytes) => bytes,
        };
        let stored = self.open(sealer, bytes).await?;
        let sealing = sealer.keyring().map(|ring| ring.sealing_id());
        if let StoredCanary::Opens { key, value, bytes } = &stored
            && sealing.is_some_and(|sealing| sealing != *key)
        {
            self.write(sealer, value, Some(bytes)).await?;
        }
        Ok(stored.state())
    }

    /// Deletes the canary if it opens under these keys: the store stays in plaintext. Returns the state before; a canary
    /// of another key is not deleted.
    pub async fn remove(&self, sealer: &Sealer) -> Result<CanaryState, GuardError> {
        let bytes = match self.record().await? {
            CanaryRecord::Absent => return Ok(CanaryState::Absent),
            CanaryRecord::OtherType => return Ok(StoredCanary::OTHER_TYPE.state()),
            CanaryRecord::Bytes(bytes) => bytes,
        };
        let state = self.open(sealer, bytes.clone()).await?.state();
        if let CanaryState::Opens(_) = state {
            self.store.delete_if_unchanged(&self.name, &bytes).await?;
        }
        Ok(state)
    }

    /// True if the ring was read so recently that a key which it lacks belongs to another ring.
    fn is_ring_current(&self) -> bool {
        self.ring.as_ref().is_none_or(LiveRing::is_confirmed)
    }

    /// Returns the canary and a sample that confirm the key, or the error if they refute it.
    async fn judge(
        &self,
        sealer: &Sealer,
        records: &[GuardedRecords],
    ) -> Result<(StoredCanary, Sample), GuardError> {
        let stored = self.read(sealer).await?;
        if let Some(named) = self.store.named() {
            // Under another key no record is found, and no value is sampled.
            names::check_sample(named, &patterns(records), false).await?;
        }
        let bounds = match stored {
            StoredCanary::Opens { .. } => CONFIRM,
            StoredCanary::Absent if sealer.keyring().is_some() => DECIDE,
            // Without a key, all keys in use are reported.
            StoredCanary::Absent | StoredCanary::Differs { .. } => COUNT,
        };
        let mut sample = self.sample(sealer, records, bounds, &stored).await?;
        if matches!(stored, StoredCanary::Opens { .. }) && stored.refutes_key(&sample) {
            // The first values of a scan may be planted, or plain ones that look like Base64.
            sample = self.sample(sealer, records, DECIDE, &stored).await?;
        }
        if stored.refutes_key(&sample) {
            return Err(self.refusal(sealer, &stored, &sample));
        }
        match stored.users_without_keys(&sample) {
            // The keyring has marked this store.
            Some(_) if self.is_marked_here().await? => Ok((stored, sample)),
            Some(count) => Err(GuardError::UsersUnknown { count }),
            None => Ok((stored, sample)),
        }
    }

    /// Takes a sample of these values. With a canary, a sample that could not be completed is enough.
    async fn sample(
        &self,
        sealer: &Sealer,
        records: &[GuardedRecords],
        bounds: Bounds,
        stored: &StoredCanary,
    ) -> Result<Sample, GuardError> {
        let mut sample = Sample::default();
        let collected = self
            .sampler(sealer, bounds)
            .collect(records, &mut sample)
            .await;
        match (collected, stored) {
            (Ok(()), _)
            // A user without the right to scan relies on the canary, if there is one.
            | (
                Err(GuardError::Store(
                    StoreError::Denied { .. } | StoreError::NoCommand { command: "SCAN" },
                )),
                StoredCanary::Opens { .. } | StoredCanary::Differs { .. },
            )
            // While the store of users' keys cannot be reached, only values of users fail.
            | (Err(GuardError::Users(_)), StoredCanary::Opens { .. }) => Ok(sample),
            (Err(error), _) => Err(error),
        }
    }

    fn sampler<'a>(&'a self, sealer: &'a Sealer, bounds: Bounds) -> Sampler<'a> {
        Sampler {
            store: &self.store,
            sealer,
            ring: self.ring.as_ref(),
            users: self.users.as_ref(),
            bounds,
            refreshed: AtomicBool::new(false),
        }
    }

    fn refusal(&self, sealer: &Sealer, stored: &StoredCanary, sample: &Sample) -> GuardError {
        let sealed_under = sample.sealed_under(stored.foreign_key());
        match sealer.keyring() {
            None => GuardError::NoKey(sealed_under),
            Some(ring) => GuardError::WrongKey(Box::new(Mismatch {
                sealed_under,
                configured: ring.usage().map(|key| key.id).collect(),
            })),
        }
    }

    /// Reads the canary, and opens it with these keys.
    async fn read(&self, sealer: &Sealer) -> Result<StoredCanary, GuardError> {
        match self.record().await? {
            CanaryRecord::Absent => Ok(StoredCanary::Absent),
            CanaryRecord::OtherType => Ok(StoredCanary::OTHER_TYPE),
            CanaryRecord::Bytes(bytes) => self.open(sealer, bytes).await,
        }
    }

    async fn record(&self) -> Result<CanaryRecord, GuardError> {
        match self.store.get(&self.name, &Slot::Whole).await {
            Ok(Some(bytes)) => Ok(CanaryRecord::Bytes(bytes)),
            Ok(None) => Ok(CanaryRecord::Absent),
            Err(StoreError::WrongType) => Ok(CanaryRecord::OtherType),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes a canary, always in the sealed format, which names the key: a process with another key can report which one
    /// is missing.
    async fn write(
        &self,
        sealer: &Sealer,
        value: &CanaryValue,
        expected: Option<&[u8]>,
    ) -> Result<Outcome, GuardError> {
        let sealer = own_sealer(sealer).format(Format::Sealed);
        let value = sealer.seal(&value.to_bytes(), Binding::record(self.name.as_bytes()))?;
        let change = Change {
            name: &self.name,
            slot: &Slot::Whole,
            expected,
            value: &value,
            expiry: Expiry::Persistent,
        };
        let outcomes = self.store.replace_if_unchanged(&[change]).await?;
        Ok(outcomes.first().copied().unwrap_or(Outcome::Changed))
    }

    /// Opens the canary. If the ring lacks its key, the ring is read again: another process may have added it.
    async fn open(&self, sealer: &Sealer, bytes: Vec<u8>) -> Result<StoredCanary, GuardError> {
        let stored = self.try_open(sealer, bytes)?;
        if let StoredCanary::Differs {
            key: Some(id),
            bytes: Some(bytes),
        } = &stored
            && let Some(ring) = &self.ring
            && ring.learn(*id).await
        {
            return self.try_open(sealer, bytes.clone());
        }
        Ok(stored)
    }

    fn try_open(&self, sealer: &Sealer, bytes: Vec<u8>) -> Result<StoredCanary, GuardError> {
        match own_sealer(sealer).open(&bytes, Binding::record(self.name.as_bytes())) {
            Ok(Some(opened)) if opened.form != Form::Plain => {
                if let (Some(key), Some(value)) =
                    (opened.form.key(), CanaryValue::parse(&opened.value))
                {
                    value.check_domain(sealer)?;
                    return Ok(StoredCanary::Opens { key, value, bytes });
                }
            }
            Err(OpenError::Compromised { id }) => return Err(GuardError::Compromised(id)),
            _ => {}
        }
        Ok(StoredCanary::Differs {
            key: Shape::of_header(&bytes).map(|header| header.key),
            bytes: Some(bytes),
        })
    }
}

/// The sealer of Waxseal's own records. They are in version 2 whatever the keyring says, so that processes of former
/// versions read them, and so do those that are configured for another domain.
fn own_sealer(sealer: &Sealer) -> Sealer {
    sealer
        .clone()
        .rules(EnvelopeRules::default())
        .accepting_all()
        .in_group(None)
}

fn warn_of_repair(sealer: &Sealer, written: CanaryState) {
    let (CanaryState::Repaired(of), Some(sealing)) = (written, sealer.sealing_id()) else {
        return;
    };
    let was = match of {
        Some(id) => format!("was sealed under key {id}"),
        None => "did not open".to_owned(),
    };
    warn!(
        "the canary of this store {was}, and its values open under the configured keys: it was sealed \
         again, under key {sealing}; find out which process has another key"
    );
}

/// True if a store that answers reads refuses every write.
pub(crate) fn is_write_refused(error: &StoreError) -> bool {
    matches!(
        error,
        StoreError::ReadOnly { .. } | StoreError::Denied { .. } | StoreError::Full { .. }
    )
}

fn patterns(records: &[GuardedRecords]) -> Vec<RecordPattern> {
    records.iter().map(|it| it.pattern.clone()).collect()
}
