//! The state manager: one JSON state for each user, sealed in its record. What the bytes look like
//! and what becomes of damaged ones is decided below, in the sealed records.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use waxseal_core::Sealer;
use waxseal_stores::{Expiry, RecordName, RecordStore};

use crate::error::{GuardError, StateError};
use crate::options::{OnRefused, Options};
use crate::records::{Found, SealedRecords};

/// How often an update is tried before it is given up.
const ATTEMPTS: u32 = 200;
/// After so many attempts each further one waits a little.
const EAGER_ATTEMPTS: u32 = 4;

/// A session store that seals and opens: one state for each user, typed by serde.
///
/// Cheap to clone, and safe to share between tasks.
#[derive(Clone)]
pub struct StateManager {
    records: Arc<SealedRecords>,
}

impl StateManager {
    /// Checks the key against the store, and starts. Logs whether encryption is enabled.
    ///
    /// [`GuardError::WrongKey`] where the store was sealed under another key.
    pub async fn start(
        store: Arc<dyn RecordStore>,
        sealer: Sealer,
        options: Options,
    ) -> Result<Self, GuardError> {
        Ok(Self {
            records: Arc::new(SealedRecords::start(store, sealer, options).await?),
        })
    }

    /// The state of a user, if there is one.
    ///
    /// A state that cannot be opened is answered as [`Options::on_refused`] says: by default it is
    /// moved to quarantine, and the answer is `None`. That of a user who was erased stays where it is
    /// until it expires; the answer is `None`, or under [`OnRefused::Error`] [`StateError::Erased`].
    pub async fn get<T: DeserializeOwned>(&self, user: &str) -> Result<Option<T>, StateError> {
        let name = self.records.name(user);
        match self.records.read(&name).await? {
            Some(Found {
                erased: Some(at), ..
            }) if self.records.options().on_refused == OnRefused::Error => {
                let record = self.records.shown(&name);
                Err(StateError::Erased { record, at })
            }
            Some(found) => self.parse(&name, &found.value),
            None => Ok(None),
        }
    }

    /// Writes the state of a user; it lives as long as [`Options::ttl`] says. A user who was erased
    /// and came back begins under a new key.
    pub async fn set<T: Serialize + ?Sized>(
        &self,
        user: &str,
        state: &T,
    ) -> Result<(), StateError> {
        self.set_for(user, state, self.records.options().ttl).await
    }

    /// Writes the state of a user; it lives for this long (milliseconds count, at least one).
    pub async fn set_for<T: Serialize + ?Sized>(
        &self,
        user: &str,
        state: &T,
        ttl: Duration,
    ) -> Result<(), StateError> {
        self.records
            .write(&self.records.name(user), &write(state)?, Expiry::After(ttl))
            .await
    }

    /// Deletes the state of a user; whether there was one.
    pub async fn clear(&self, user: &str) -> Result<bool, StateError> {
        self.records.delete(&self.records.name(user)).await
    }

    /// Whether a user has a state, be it one that opens or not.
    pub async fn exists(&self, user: &str) -> Result<bool, StateError> {
        self.records.exists(&self.records.name(user)).await
    }

    /// Changes the state of a user: `change` gets the present state and answers the new one (`None`
    /// deletes it). The answer is what was written.
    ///
    /// Where the user was erased, `change` gets none, and what is written begins afresh under a new
    /// key.
    ///
    /// The write happens only if nobody else wrote in between; else `change` is asked again with
    /// what is there then. So concurrent updates never lose one, and `change` can run more than
    /// once.
    pub async fn update<T, F>(&self, user: &str, mut change: F) -> Result<Option<T>, StateError>
    where
        T: Serialize + DeserializeOwned,
        F: FnMut(Option<T>) -> Option<T>,
    {
        let name = self.records.name(user);
        for attempt in 0..ATTEMPTS {
            if attempt >= EAGER_ATTEMPTS {
                tokio::time::sleep(pause()).await;
            }
            let found = self.records.read(&name).await?;
            let expected = found.as_ref().map(|found| found.stored.as_slice());
            let state = match &found {
                Some(found) => self.parse(&name, &found.value)?,
                None => None,
            };
            let had_one = state.is_some();
            let new = change(state);
            let done = match (&new, expected) {
                (Some(new), _) => {
                    let expiry = Expiry::After(self.records.options().ttl);
                    self.records
                        .write_if_unchanged(&name, expected, &write(new)?, expiry)
                        .await?
                }
                (None, Some(expected)) if had_one => {
                    self.records.delete_if_unchanged(&name, expected).await?
                }
                (None, _) => true,
            };
            if done {
                return Ok(new);
            }
        }
        Err(StateError::Contended {
            record: self.records.shown(&name),
            attempts: ATTEMPTS,
        })
    }

    /// The state in an opened value; an empty value is none.
    fn parse<T: DeserializeOwned>(
        &self,
        name: &RecordName,
        value: &[u8],
    ) -> Result<Option<T>, StateError> {
        if value.is_empty() {
            return Ok(None);
        }
        serde_json::from_slice(value)
            .map(Some)
            .map_err(|error| StateError::form(self.records.shown(name), &error))
    }
}

/// A pause of up to about a millisecond, at random: those who met do not meet again.
fn pause() -> Duration {
    let random = RandomState::new().hash_one(());
    Duration::from_micros(random % 1000 + 100)
}

fn write<T: Serialize + ?Sized>(state: &T) -> Result<Vec<u8>, StateError> {
    serde_json::to_vec(state).map_err(|_| StateError::Unwritable)
}
