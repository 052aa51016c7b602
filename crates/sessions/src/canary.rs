//! The guard against a wrong key. A sealed record of Waxseal's own, the canary, shows at every start
//! whether the key fits the store; and so do the sealed values themselves, of which a sample is opened.
//!
//! The values have the last word. The canary is one record: it is lost by eviction and `FLUSHDB`, and a
//! process with another key that starts on an empty store seals one of its own. So a key that opens
//! values is the right one, whatever the canary says, and the canary is sealed again; a key that opens
//! none of them is refused, even where the canary is its own.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use tracing::warn;
use waxseal_core::{Binding, Form, Format, KeyId, OpenError, Sealer, Shape};
use waxseal_keys::{LiveRing, UserKeys};
use waxseal_stores::{Change, Expiry, Outcome, RecordName, RecordStore, Slot, StoreError};

use crate::error::{GuardError, Mismatch};

mod sample;
mod stored;
mod user_store;

pub use sample::{GuardedRecords, Sample, SealedUnder};

pub(crate) use sample::named;
use sample::{Bounds, Sampler};
use stored::Stored;

const NAME: &str = "waxseal:canary";
const VALUE: &[u8] = b"waxseal canary v1";

/// With a canary that opens, the first value that opens confirms it: mostly that is the first at all.
const CONFIRM: Bounds = Bounds {
    pages: 10,
    values: 100,
    first: true,
    of_users: false,
};
/// Without one the values alone decide, and are looked for among many other records.
const DECIDE: Bounds = Bounds {
    pages: 100,
    values: 500,
    first: true,
    of_users: false,
};
/// The same, where values under other keys count as well.
const COUNT: Bounds = Bounds {
    first: false,
    ..DECIDE
};
/// Values under keys of users, which may be few among many others.
const OF_USERS: Bounds = Bounds {
    values: 2500,
    of_users: true,
    ..COUNT
};
/// How often a canary is written that others write at the same moment.
const ATTEMPTS: usize = 3;

/// The canary of one store.
pub struct Canary {
    store: Arc<dyn RecordStore>,
    name: RecordName,
    ring: Option<LiveRing>,
    users: Option<UserKeys>,
}

/// What was found out about the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CanaryState {
    /// The canary opens under this key.
    Opens(KeyId),
    /// There was none; now there is one.
    Created,
    /// There was one of another key (`None`: it names none) or a damaged one. The values of the store
    /// open, so it was sealed again.
    Repaired(Option<KeyId>),
    /// There is one of another key (`None`: it names none) or a damaged one, and the values of the store
    /// open all the same. It was not sealed again: not asked for, or the store takes no writes, or most
    /// values are under other keys.
    Differs(Option<KeyId>),
    /// There is none, and none was written (not asked for, or the store takes no writes).
    Absent,
}

impl Canary {
    /// The canary of this store.
    #[must_use]
    pub fn of(store: Arc<dyn RecordStore>) -> Self {
        Self::named(store, RecordName::from(NAME))
    }

    /// A canary under a name of one's own, where several applications with keys of their own share
    /// a store.
    #[must_use]
    pub fn named(store: Arc<dyn RecordStore>, name: RecordName) -> Self {
        Self {
            store,
            name,
            ring: None,
            users: None,
        }
    }

    /// The same canary where the keys are those of a ring: a value under a key that others added since,
    /// or that was destroyed, is of this ring.
    #[must_use]
    pub fn ring(mut self, ring: LiveRing) -> Self {
        self.ring = Some(ring);
        self
    }

    /// The same canary where users have keys of their own: in a sample, what is under these is opened
    /// with them. Without, it says nothing about the key.
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

    /// Checks the key, and seals a canary where there is none or one of another key, and the sealer
    /// holds a key.
    pub async fn check_or_create(
        &self,
        sealer: &Sealer,
        records: &[GuardedRecords],
    ) -> Result<CanaryState, GuardError> {
        let mut state = CanaryState::Absent;
        let mut is_marked = false;
        for _ in 0..ATTEMPTS {
            let (stored, sample) = self.judge(sealer, records).await?;
            if !std::mem::replace(&mut is_marked, true) {
                self.mark_user_store(sealer, records).await?;
            }
            state = stored.state();
            if sealer.keyring().is_none() {
                break;
            }
            let (expected, written) = match stored {
                Stored::Opens(_) => break,
                Stored::Absent => (None, CanaryState::Created),
                // Where most values are under other keys it is not certain whose store this is.
                Stored::Differs {
                    bytes: Some(bytes),
                    key,
                } if sample.opened > sample.under_unknown_keys() && self.knows_the_ring() => {
                    (Some(bytes), CanaryState::Repaired(key))
                }
                Stored::Differs { .. } => break,
            };
            match self.write(sealer, expected.as_deref()).await {
                Ok(Outcome::Done) => {
                    tell_repaired(sealer, written);
                    return Ok(written);
                }
                // Another process was faster: what it wrote is judged as well.
                Ok(Outcome::Changed) => {}
                Err(GuardError::Store(error)) if takes_no_writes(&error) => break,
                Err(error) => return Err(error),
            }
        }
        Ok(state)
    }

    /// Refuses a store of users' keys that does not hold what values are under, and marks one that bears no mark
    /// yet: before a key of a user is made. [`Self::check_or_create`] does so as well.
    pub async fn check_users(
        &self,
        sealer: &Sealer,
        records: &[GuardedRecords],
    ) -> Result<(), GuardError> {
        self.mark_user_store(sealer, records).await
    }

    /// What the sealed values of these records say about the key, whatever the canary says. Judges
    /// nothing.
    pub async fn survey(
        &self,
        sealer: &Sealer,
        records: &[GuardedRecords],
    ) -> Result<Sample, GuardError> {
        let mut sample = Sample::default();
        let sampler = self.sampler(sealer, COUNT);
        sampler.look(records, &mut sample).await?;
        Ok(sample)
    }

    /// The keys that the store is sealed under, told without any key; `None` where neither a canary nor
    /// a sealed value is found.
    pub async fn sealed_under(
        &self,
        records: &[GuardedRecords],
    ) -> Result<Option<SealedUnder>, GuardError> {
        let sealer = Sealer::without_keys();
        let stored = self.read(&sealer).await?;
        let sample = self.sample(&sealer, records, COUNT, &stored).await?;
        let is_sealed = matches!(stored, Stored::Differs { .. }) || sample.is_of_other_keys();
        Ok(is_sealed.then(|| sample.sealed_under(stored.foreign_key())))
    }

    /// Seals the canary again under the sealing key, after everything else has been. One of another key
    /// is left.
    pub async fn renew(&self, sealer: &Sealer) -> Result<CanaryState, GuardError> {
        let Some(bytes) = self.stored().await? else {
            return Ok(CanaryState::Absent);
        };
        let state = self.open(sealer, bytes.clone()).await?.state();
        let sealing = sealer.keyring().map(|ring| ring.sealing_id());
        if let CanaryState::Opens(id) = state
            && sealing.is_some_and(|sealing| sealing != id)
        {
            self.write(sealer, bytes.as_deref()).await?;
        }
        Ok(state)
    }

    /// Deletes the canary, where it opens under these keys: the store is left in plaintext. What was
    /// found: one of another key is left.
    pub async fn remove(&self, sealer: &Sealer) -> Result<CanaryState, GuardError> {
        let Some(bytes) = self.stored().await? else {
            return Ok(CanaryState::Absent);
        };
        let state = self.open(sealer, bytes.clone()).await?.state();
        if let (CanaryState::Opens(_), Some(bytes)) = (state, bytes) {
            self.store.delete_if_unchanged(&self.name, &bytes).await?;
        }
        Ok(state)
    }

    /// Whether the ring was read so recently that a key which it lacks is none of its own.
    fn knows_the_ring(&self) -> bool {
        self.ring.as_ref().is_none_or(LiveRing::is_confirmed)
    }

    /// What is stored, and the sample that speaks for the key; an error where it speaks against it.
    async fn judge(
        &self,
        sealer: &Sealer,
        records: &[GuardedRecords],
    ) -> Result<(Stored, Sample), GuardError> {
        let stored = self.read(sealer).await?;
        let bounds = match stored {
            Stored::Opens(_) => CONFIRM,
            Stored::Absent if sealer.keyring().is_some() => DECIDE,
            // Without a key, all that are in use are told.
            Stored::Absent | Stored::Differs { .. } => COUNT,
        };
        let mut sample = self.sample(sealer, records, bounds, &stored).await?;
        if matches!(stored, Stored::Opens(_)) && stored.speaks_against_the_key(&sample) {
            // The first values of a scan may be planted ones, or plain ones that look like Base64.
            sample = self.sample(sealer, records, DECIDE, &stored).await?;
        }
        if stored.speaks_against_the_key(&sample) {
            return Err(self.refusal(sealer, &stored, &sample));
        }
        match stored.users_without_keys(&sample) {
            // The ring marked this very store.
            Some(_) if self.is_marked_here().await? => Ok((stored, sample)),
            Some(count) => Err(GuardError::UsersUnknown { count }),
            None => Ok((stored, sample)),
        }
    }

    /// A sample of these values, as far as there is one beside this canary.
    async fn sample(
        &self,
        sealer: &Sealer,
        records: &[GuardedRecords],
        bounds: Bounds,
        stored: &Stored,
    ) -> Result<Sample, GuardError> {
        let mut sample = Sample::default();
        let looked = self
            .sampler(sealer, bounds)
            .look(records, &mut sample)
            .await;
        match (looked, stored) {
            (Ok(()), _)
            // A user without the right to scan relies on the canary, if there is one.
            | (
                Err(GuardError::Store(
                    StoreError::Denied { .. } | StoreError::NoCommand { command: "SCAN" },
                )),
                Stored::Opens(_) | Stored::Differs { .. },
            )
            // Values of users fail while the store of their keys is away, and nothing else does.
            | (Err(GuardError::Users(_)), Stored::Opens(_)) => Ok(sample),
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

    fn refusal(&self, sealer: &Sealer, stored: &Stored, sample: &Sample) -> GuardError {
        let sealed_under = sample.sealed_under(stored.foreign_key());
        match sealer.keyring() {
            None => GuardError::NoKey(sealed_under),
            Some(ring) => GuardError::WrongKey(Box::new(Mismatch {
                sealed_under,
                configured: ring.usage().map(|key| key.id).collect(),
            })),
        }
    }

    /// The canary as these keys see it.
    async fn read(&self, sealer: &Sealer) -> Result<Stored, GuardError> {
        match self.stored().await? {
            None => Ok(Stored::Absent),
            Some(bytes) => self.open(sealer, bytes).await,
        }
    }

    /// The stored bytes, `Some(None)` where the record is no string.
    async fn stored(&self) -> Result<Option<Option<Vec<u8>>>, GuardError> {
        match self.store.get(&self.name, &Slot::Whole).await {
            Ok(stored) => Ok(stored.map(Some)),
            Err(StoreError::WrongType) => Ok(Some(None)),
            Err(error) => Err(error.into()),
        }
    }

    /// Always in the sealed format, which names the key: who has another one is told which is missing.
    async fn write(&self, sealer: &Sealer, expected: Option<&[u8]>) -> Result<Outcome, GuardError> {
        let sealer = sealer.clone().format(Format::Sealed);
        let value = sealer.seal(VALUE, Binding::record(self.name.as_bytes()))?;
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

    /// Opens the canary. For a key that the ring lacks the ring is read again: others may have added it.
    async fn open(&self, sealer: &Sealer, bytes: Option<Vec<u8>>) -> Result<Stored, GuardError> {
        let stored = self.try_open(sealer, bytes)?;
        if let Stored::Differs {
            key: Some(id),
            bytes: Some(bytes),
        } = &stored
            && let Some(ring) = &self.ring
            && ring.learn(*id).await
        {
            return self.try_open(sealer, Some(bytes.clone()));
        }
        Ok(stored)
    }

    fn try_open(&self, sealer: &Sealer, bytes: Option<Vec<u8>>) -> Result<Stored, GuardError> {
        let Some(bytes) = bytes else {
            return Ok(Stored::Differs {
                key: None,
                bytes: None,
            });
        };
        match sealer.open(&bytes, Binding::record(self.name.as_bytes())) {
            Ok(Some(opened)) if opened.form != Form::Plain && &*opened.value == VALUE => {
                if let Some(id) = opened.form.key() {
                    return Ok(Stored::Opens(id));
                }
            }
            Err(OpenError::Compromised { id }) => return Err(GuardError::Compromised(id)),
            _ => {}
        }
        Ok(Stored::Differs {
            key: Shape::of_header(&bytes).map(|header| header.key),
            bytes: Some(bytes),
        })
    }
}

fn tell_repaired(sealer: &Sealer, written: CanaryState) {
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

/// Whether a store that answers reads refuses every write.
pub(crate) fn takes_no_writes(error: &StoreError) -> bool {
    matches!(
        error,
        StoreError::ReadOnly { .. } | StoreError::Denied { .. } | StoreError::Full { .. }
    )
}
