//! Sealed sessions for tower-sessions (axum and other tower servers). That crate handles cookies and the lifetime of
//! sessions; the sealed records below seal.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;
use tower_sessions_core::SessionStore;
use tower_sessions_core::session::{Id, Record};
use tower_sessions_core::session_store::{Error, Result};
use waxseal_core::Sealer;
use waxseal_stores::{Expiry, RecordName, RecordStore};

use crate::error::{GuardError, StateError};
use crate::options::Options;
use crate::records::SealedRecords;
use crate::session_name::record_name;

const NANOS_PER_MILLI: i128 = 1_000_000;

/// A `SessionStore` for tower-sessions that seals every session.
///
/// Record names are the prefix of the [`Options`] (`sess:` suits) and a hash of the session's id.
/// A session has its own expiry date: [`Options::ttl`] is not used. Cheap to clone.
#[derive(Clone)]
pub struct TowerSessionStore {
    records: Arc<SealedRecords>,
}

impl TowerSessionStore {
    /// Checks the key against the store, and starts.
    ///
    /// Returns [`GuardError::WrongKey`] if the store was sealed under another key, and [`GuardError::Userless`] with
    /// [`Options::user_keys`].
    pub async fn start(
        store: Arc<dyn RecordStore>,
        sealer: Sealer,
        options: Options,
    ) -> std::result::Result<Self, GuardError> {
        Ok(Self {
            records: Arc::new(SealedRecords::start(store, sealer, options.userless()?).await?),
        })
    }

    fn name(&self, id: &Id) -> RecordName {
        record_name(&self.records, &id.to_string())
    }

    fn parse(&self, id: &Id, name: &RecordName, value: &[u8]) -> Result<Option<Record>> {
        if value.is_empty() {
            return Ok(None);
        }
        let stored: StoredSession = serde_json::from_slice(value).map_err(|error| {
            Error::Decode(StateError::form(self.records.shown(name), &error).to_string())
        })?;
        if stored.expires_at_ns
            <= i128::from(self.records.options().clock.now_ms()) * NANOS_PER_MILLI
        {
            return Ok(None);
        }
        let expiry_date = OffsetDateTime::from_unix_timestamp_nanos(stored.expires_at_ns)
            .map_err(|_| Error::Decode("the expiry of the session is out of range".to_owned()))?;
        Ok(Some(Record {
            id: *id,
            data: stored.data,
            expiry_date,
        }))
    }
}

/// The stored part of a session. The id is a secret and known from the request: it is not stored.
#[derive(Deserialize)]
struct StoredSession {
    data: HashMap<String, Value>,
    expires_at_ns: i128,
}

#[derive(Serialize)]
struct NewSession<'a> {
    data: &'a HashMap<String, Value>,
    expires_at_ns: i128,
}

#[async_trait]
impl SessionStore for TowerSessionStore {
    async fn create(&self, record: &mut Record) -> Result<()> {
        let value = write(record)?;
        loop {
            let name = self.name(&record.id);
            let created = self
                .records
                .write_if_unchanged(&name, None, &value, expiry(record))
                .await;
            if created.map_err(write_error)? {
                return Ok(());
            }
            record.id = Id::default();
        }
    }

    /// A session that no longer exists is not created again: one request may have ended it while another was still
    /// running.
    async fn save(&self, record: &Record) -> Result<()> {
        let value = write(record)?;
        let saved = self
            .records
            .rewrite(&self.name(&record.id), Some(&value), expiry(record))
            .await;
        saved.map(drop).map_err(write_error)
    }

    async fn load(&self, id: &Id) -> Result<Option<Record>> {
        let name = self.name(id);
        match self.records.read(&name).await {
            Ok(Some(found)) => self.parse(id, &name, &found.value),
            Ok(None) => Ok(None),
            Err(error @ StateError::Open { .. }) => Err(Error::Decode(error.to_string())),
            Err(error) => Err(Error::Backend(error.to_string())),
        }
    }

    async fn delete(&self, id: &Id) -> Result<()> {
        let deleted = self.records.delete(&self.name(id)).await;
        deleted
            .map(drop)
            .map_err(|error| Error::Backend(error.to_string()))
    }
}

impl fmt::Debug for TowerSessionStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TowerSessionStore")
            .field("store", &self.records.store().location())
            .finish_non_exhaustive()
    }
}

fn write(record: &Record) -> Result<Vec<u8>> {
    let expires_at_ns = record.expiry_date.unix_timestamp_nanos();
    serde_json::to_vec(&NewSession {
        data: &record.data,
        expires_at_ns,
    })
    .map_err(|_| Error::Encode(StateError::Unwritable.to_string()))
}

/// Rounds up to the milliseconds of the store. Loading checks the expiry to the nanosecond.
fn expiry(record: &Record) -> Expiry {
    let nanos = record.expiry_date.unix_timestamp_nanos();
    let millis = (nanos + NANOS_PER_MILLI - 1).div_euclid(NANOS_PER_MILLI);
    // Not 0, which some servers refuse as a time.
    Expiry::At(u64::try_from(millis).unwrap_or(0).max(1))
}

fn write_error(error: StateError) -> Error {
    match error {
        StateError::Seal(_) => Error::Encode(error.to_string()),
        error => Error::Backend(error.to_string()),
    }
}
