//! The state manager: one JSON state for each user, sealed in its record. Formats and damaged values are the matter of
//! the sealed records below it.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use waxseal_core::Sealer;
use waxseal_stores::{Expiry, RecordName, RecordStore};

use crate::collections::SealedCollections;
use crate::error::{GuardError, StateError};
use crate::options::{OnRefused, Options};
use crate::records::{SealedRecords, StoredState};

/// Attempts of one update.
const MAX_ATTEMPTS: u32 = 200;
/// Attempts without a delay before them.
const IMMEDIATE_ATTEMPTS: u32 = 4;

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
    /// Returns [`GuardError::WrongKey`] if the store was sealed under another key.
    pub async fn start(
        store: Arc<dyn RecordStore>,
        sealer: Sealer,
        options: Options,
    ) -> Result<Self, GuardError> {
        Ok(Self {
            records: Arc::new(SealedRecords::start(store, sealer, options).await?),
        })
    }

    /// The store of the states, with the names that the application knows: for [quarantine](crate::quarantine), where names are
    /// sealed.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn RecordStore> {
        self.records.store()
    }

    /// Returns the state of a user, if there is one.
    ///
    /// [`Options::on_refused`] decides about a state that cannot be opened: by default it is moved to quarantine, and the
    /// result is `None`. The state of a user who was erased stays in the store until it expires; the result is `None`, or
    /// with [`OnRefused::Error`] [`StateError::Erased`].
    pub async fn get<T: DeserializeOwned>(&self, user: &str) -> Result<Option<T>, StateError> {
        let name = self.records.name(user);
        match self.records.read(&name).await? {
            Some(StoredState {
                erased: Some(at), ..
            }) if self.records.options().on_refused == OnRefused::Error => {
                let record = self.records.shown(&name);
                Err(StateError::Erased { record, at })
            }
            Some(state) => self.parse(&name, &state.value),
            None => Ok(None),
        }
    }

    /// Writes the state of a user, with the lifetime of [`Options::ttl`]. A user who was erased and returns gets a new
    /// key.
    pub async fn set<T: Serialize + ?Sized>(
        &self,
        user: &str,
        state: &T,
    ) -> Result<(), StateError> {
        self.set_for(user, state, self.records.options().ttl).await
    }

    /// Writes the state of a user, with this lifetime (in whole milliseconds, at least one).
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

    /// Deletes the state of a user. Returns true if there was one.
    pub async fn clear(&self, user: &str) -> Result<bool, StateError> {
        self.records.delete(&self.records.name(user)).await
    }

    /// Returns the sets, sorted sets and streams beside the states, or an error if the store cannot hold them.
    pub fn collections(&self) -> Result<SealedCollections<'_>, StateError> {
        SealedCollections::of(&self.records)
    }

    /// Returns true if a user has a state, even one that does not open.
    pub async fn exists(&self, user: &str) -> Result<bool, StateError> {
        self.records.exists(&self.records.name(user)).await
    }

    /// Updates the state of a user: `change` gets the current state and returns the new one (`None` deletes it). Returns
    /// what was written.
    ///
    /// If the user was erased, `change` gets no state, and the new one is sealed under a new key.
    ///
    /// The state is written only if no other process wrote it in between; else `change` is called again with the current
    /// state. So no concurrent update is lost, and `change` can run more than once.
    pub async fn update<T, F>(&self, user: &str, mut change: F) -> Result<Option<T>, StateError>
    where
        T: Serialize + DeserializeOwned,
        F: FnMut(Option<T>) -> Option<T>,
    {
        let name = self.records.name(user);
        for attempt in 0..MAX_ATTEMPTS {
            if attempt >= IMMEDIATE_ATTEMPTS {
                tokio::time::sleep(jitter()).await;
            }
            let current = self.records.read(&name).await?;
            let expected = current.as_ref().map(|current| current.stored.as_slice());
            let state = match &current {
                Some(current) => self.parse(&name, &current.value)?,
                None => None,
            };
            let has_state = state.is_some();
            let new = change(state);
            let done = match (&new, expected) {
                (Some(new), _) => {
                    let expiry = Expiry::After(self.records.options().ttl);
                    self.records
                        .write_if_unchanged(&name, expected, &write(new)?, expiry)
                        .await?
                }
                (None, Some(expected)) if has_state => {
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
            attempts: MAX_ATTEMPTS,
        })
    }

    /// Parses the state in an opened value. An empty value is no state.
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

/// A random delay of up to about a millisecond, so that processes in conflict do not retry at the same time.
fn jitter() -> Duration {
    let random = RandomState::new().hash_one(());
    Duration::from_micros(random % 1000 + 100)
}

fn write<T: Serialize + ?Sized>(state: &T) -> Result<Vec<u8>, StateError> {
    serde_json::to_vec(state).map_err(|_| StateError::Unwritable)
}
