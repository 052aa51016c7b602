//! Sealed sessions for tower-sessions (axum and other tower servers). Cookies and the life of a
//! session are that crate's business, sealing is that of the records beneath.

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
/// A session lives until its own expiry date: [`Options::ttl`] is not used. Cheap to clone.
#[derive(Clone)]
pub struct TowerSessionStore {
    records: Arc<SealedRecords>,
}

impl TowerSessionStore {
    /// Checks the key against the store, and starts.
    ///
    /// [`GuardError::WrongKey`] where the store was sealed under another key,
    /// [`GuardError::Userless`] with [`Options::user_keys`].
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
        let stored: Stored = serde_json::from_slice(value).map_err(|error| {
            Error::Decode(StateError::form(self.records.shown(name), &error).to_string())
        })?;
        if stored.expires_at_ns
            <= i128::from(self.records.options().clock.now_ms()) * NANOS_PER_MILLI
        {
            return Ok(None);
        }
        let expiry_date = OffsetDateTime::from_unix_timestamp_nanos(stored.expires_at_ns)
            .map_err(|_| Error::Decode("the session expires at no time that exists".to_owned()))?;
        Ok(Some(Record {
            id: *id,
            data: stored.data,
            expiry_date,
        }))
    }
}

/// The session's id is a secret and follows from the request: it is not stored.
#[derive(Deserialize)]
struct Stored {
    data: HashMap<String, Value>,
    expires_at_ns: i128,
}

#[derive(Serialize)]
struct ToStore<'a> {
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
            if created.map_err(not_written)? {
                return Ok(());
            }
            record.id = Id::default();
        }
    }

    /// A session that is gone stays gone: one request may have ended it while another was still at
    /// work.
    async fn save(&self, record: &Record) -> Result<()> {
        let value = write(record)?;
        let saved = self
            .records
            .rewrite(&self.name(&record.id), Some(&value), expiry(record))
            .await;
        saved.map(drop).map_err(not_written)
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
    serde_json::to_vec(&ToStore {
        data: &record.data,
        expires_at_ns,
    })
    .map_err(|_| Error::Encode(StateError::Unwritable.to_string()))
}

/// The store knows milliseconds. A started one counts as whole: what was loaded is checked to the
/// nanosecond.
fn expiry(record: &Record) -> Expiry {
    let nanos = record.expiry_date.unix_timestamp_nanos();
    let millis = (nanos + NANOS_PER_MILLI - 1).div_euclid(NANOS_PER_MILLI);
    // Not zero, which is no time to some servers.
    Expiry::At(u64::try_from(millis).unwrap_or(0).max(1))
}

fn not_written(error: StateError) -> Error {
    match error {
        StateError::Seal(_) => Error::Encode(error.to_string()),
        error => Error::Backend(error.to_string()),
    }
}
