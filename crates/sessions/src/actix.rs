//! Sealed sessions for actix-session (actix-web). That crate handles cookies and the lifetime of sessions; the sealed
//! records below seal.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use actix_session::storage::{
    LoadError, SaveError, SessionKey, SessionStore, UpdateError, generate_session_key,
};
use time::Duration;
use waxseal_core::Sealer;
use waxseal_stores::{Expiry, RecordName, RecordStore};

use crate::error::{GuardError, StateError};
use crate::options::Options;
use crate::records::SealedRecords;
use crate::session_name::record_name;

type SessionState = HashMap<String, String>;

/// A `SessionStore` for actix-session that seals every session.
///
/// Record names are the prefix of the [`Options`] (`sess:` suits) and a hash of the session's key,
/// as actix-session calls its id. The middleware sets the lifetime of a session: [`Options::ttl`] is not used. Cheap to
/// clone.
#[derive(Clone)]
pub struct ActixSessionStore {
    records: Arc<SealedRecords>,
}

impl ActixSessionStore {
    /// Checks the key against the store, and starts.
    ///
    /// Returns [`GuardError::WrongKey`] if the store was sealed under another key, and [`GuardError::Userless`] with
    /// [`Options::user_keys`].
    pub async fn start(
        store: Arc<dyn RecordStore>,
        sealer: Sealer,
        options: Options,
    ) -> Result<Self, GuardError> {
        Ok(Self {
            records: Arc::new(SealedRecords::start(store, sealer, options.userless()?).await?),
        })
    }

    fn name(&self, session: &SessionKey) -> RecordName {
        record_name(&self.records, session.as_ref())
    }

    async fn create(&self, value: &[u8], ttl: &Duration) -> Result<SessionKey, StateError> {
        loop {
            let session = generate_session_key();
            let name = self.name(&session);
            if self
                .records
                .write_if_unchanged(&name, None, value, expiry(ttl))
                .await?
            {
                return Ok(session);
            }
        }
    }
}

impl SessionStore for ActixSessionStore {
    /// A value that cannot be opened is not a [`LoadError::Deserialization`]: after that the middleware starts an empty
    /// session in the same record, and a wrong key would overwrite them all.
    async fn load(&self, session: &SessionKey) -> Result<Option<SessionState>, LoadError> {
        let name = self.name(session);
        let found = self
            .records
            .read(&name)
            .await
            .map_err(|error| LoadError::Other(error.into()))?;
        let Some(found) = found.filter(|found| !found.value.is_empty()) else {
            return Ok(None);
        };
        serde_json::from_slice(&found.value)
            .map(Some)
            .map_err(|error| {
                LoadError::Deserialization(
                    StateError::form(self.records.shown(&name), &error).into(),
                )
            })
    }

    async fn save(&self, state: SessionState, ttl: &Duration) -> Result<SessionKey, SaveError> {
        let value = write(&state).map_err(|error| SaveError::Serialization(error.into()))?;
        self.create(&value, ttl)
            .await
            .map_err(|error| SaveError::Other(error.into()))
    }

    /// If the session no longer exists, a new one is created: a cookie that outlived its session must not choose the name
    /// of the next one.
    async fn update(
        &self,
        session: SessionKey,
        state: SessionState,
        ttl: &Duration,
    ) -> Result<SessionKey, UpdateError> {
        let value = write(&state).map_err(|error| UpdateError::Serialization(error.into()))?;
        let updated = self
            .records
            .rewrite(&self.name(&session), Some(&value), expiry(ttl))
            .await;
        let session = match updated {
            Ok(true) => Ok(session),
            Ok(false) => self.create(&value, ttl).await,
            Err(error) => Err(error),
        };
        session.map_err(|error| UpdateError::Other(error.into()))
    }

    async fn update_ttl(&self, session: &SessionKey, ttl: &Duration) -> anyhow::Result<()> {
        self.records
            .rewrite(&self.name(session), None, expiry(ttl))
            .await?;
        Ok(())
    }

    async fn delete(&self, session: &SessionKey) -> anyhow::Result<()> {
        self.records.delete(&self.name(session)).await?;
        Ok(())
    }
}

impl fmt::Debug for ActixSessionStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ActixSessionStore")
            .field("store", &self.records.store().location())
            .finish_non_exhaustive()
    }
}

fn write(state: &SessionState) -> Result<Vec<u8>, StateError> {
    serde_json::to_vec(state).map_err(|_| StateError::Unwritable)
}

/// A lifetime that is over becomes the shortest one that the store supports.
fn expiry(ttl: &Duration) -> Expiry {
    Expiry::After(std::time::Duration::try_from(*ttl).unwrap_or_default())
}
