//! The records of users' keys as they are read from their store: opened, judged by the ledger, and
//! written back where the store has lost one.

use std::sync::Arc;

use waxseal_core::{Binding, Form, OpenError, UserKey};
use zeroize::Zeroizing;

use super::record::UserRecord;
use super::{Inner, PREFIX, UserChange, UserKeyError, mark};
use crate::ring::Ring;

/// The number of characters of a user's keyed hash that an error shows.
const SHOWN_HASH_LEN: usize = 8;

/// A user's record as it was read.
pub(super) struct LoadedRecord {
    pub(super) name: String,
    /// The user's keyed hash.
    pub(super) user: String,
    pub(super) stored: Option<Vec<u8>>,
    record: Option<UserRecord>,
}

/// The names for reading some users' records.
struct Request {
    hashes: Vec<String>,
    names: Vec<String>,
}

impl Request {
    fn new(ring: &Ring, users: &[&[u8]]) -> Self {
        let hashes: Vec<String> = users.iter().map(|user| ring.user(user)).collect();
        let names = hashes.iter().map(|user| record_name(user)).collect();
        Self { hashes, names }
    }
}

impl Inner {
    pub(super) async fn read(
        &self,
        ring: &Ring,
        users: &[&[u8]],
    ) -> Result<Vec<LoadedRecord>, UserKeyError> {
        let request = Request::new(ring, users);
        let stored = self.store.read(&request.names).await?;
        self.load(ring, users, request, stored).await
    }

    /// Reads the records and, in the same round trip, the mark of the store.
    pub(super) async fn read_with_mark(
        &self,
        ring: &Ring,
        users: &[&[u8]],
    ) -> Result<(Vec<LoadedRecord>, Option<Vec<u8>>), UserKeyError> {
        let mut request = Request::new(ring, users);
        request.names.push(mark::name(ring));
        let mut stored = self.store.read(&request.names).await?;
        let mark = stored.pop().flatten();
        request.names.pop();
        let records = self.load(ring, users, request, stored).await?;
        Ok((records, mark))
    }

    async fn load(
        &self,
        ring: &Ring,
        users: &[&[u8]],
        request: Request,
        stored: Vec<Option<Vec<u8>>>,
    ) -> Result<Vec<LoadedRecord>, UserKeyError> {
        let mut records = Vec::with_capacity(users.len());
        let names = request.names.into_iter().zip(request.hashes);
        for ((name, user), stored) in names.zip(stored) {
            let record = match &stored {
                Some(stored) => Some(self.open(&name, &user, stored).await?),
                None => None,
            };
            records.push(LoadedRecord {
                name,
                user,
                stored,
                record,
            });
        }
        self.restore_lost(ring, users, &mut records).await?;
        Ok(records)
    }

    /// Writes records back that the cache still holds and the store has lost, unless the ledger voids
    /// them.
    async fn restore_lost(
        &self,
        ring: &Ring,
        users: &[&[u8]],
        records: &mut [LoadedRecord],
    ) -> Result<(), UserKeyError> {
        let mut changes = Vec::new();
        let mut lost = Vec::new();
        for (index, (user, loaded)) in users.iter().zip(records.iter()).enumerate() {
            let Some(stored) = self.cache.record(user).filter(|_| loaded.stored.is_none()) else {
                continue;
            };
            let Ok(record) = self.open(&loaded.name, &loaded.user, &stored).await else {
                continue;
            };
            let erased = ring
                .erasure(&loaded.user)
                .map_or(0, |erasure| erasure.epoch);
            if record.epoch() >= erased {
                changes.push(UserChange {
                    name: loaded.name.clone(),
                    expected: None,
                    new: stored.to_vec(),
                });
                lost.push((index, stored.to_vec(), record));
            }
        }
        if changes.is_empty() {
            return Ok(());
        }
        let replaced = self.store.replace(&changes).await?;
        tracing::error!(
            "{} keys of users were lost at {} AND PUT BACK; find out who removed them",
            replaced.iter().filter(|replaced| **replaced).count(),
            self.store.location()
        );
        for ((index, stored, record), is_replaced) in lost.into_iter().zip(replaced) {
            if let Some(loaded) = records.get_mut(index).filter(|_| is_replaced) {
                loaded.stored = Some(stored);
                loaded.record = Some(record);
            }
        }
        Ok(())
    }

    pub(super) async fn open(
        &self,
        name: &str,
        user: &str,
        stored: &[u8],
    ) -> Result<UserRecord, UserKeyError> {
        let binding = Binding::record(name.as_bytes());
        let mut opened = self.sealer.open(stored, binding);
        if let Err(OpenError::UnknownKey { id }) = opened
            && self.ring.learn(id).await
        {
            opened = self.sealer.open(stored, binding);
        }
        let shown = || user.chars().take(SHOWN_HASH_LEN).collect::<String>();
        let opened = opened.map_err(|error| UserKeyError::Record {
            user: shown(),
            error,
        })?;
        // Plaintext is refused: only holders of the ring write records.
        let record = opened
            .filter(|opened| opened.form != Form::Plain)
            .and_then(|opened| UserRecord::parse(&Zeroizing::new(opened.value.into_owned())));
        record.ok_or_else(|| UserKeyError::Form { user: shown() })
    }

    pub(super) fn seal(&self, name: &str, record: &UserRecord) -> Result<Vec<u8>, UserKeyError> {
        self.sealer
            .seal(&record.to_bytes(), Binding::record(name.as_bytes()))
            .map_err(|error| UserKeyError::Creation(error.to_string()))
    }
}

impl LoadedRecord {
    /// The key in the record, as the ledger allows it.
    pub(super) fn key(&self, ring: &Ring) -> Result<Option<Arc<UserKey>>, UserKeyError> {
        let erasure = ring.erasure(&self.user);
        match (&self.record, erasure) {
            (Some(record), Some(erasure)) if record.epoch() < erasure.epoch => {
                Ok(Some(Arc::new(UserKey::erased(erasure.at))))
            }
            (None, Some(erasure)) => Ok(Some(Arc::new(UserKey::erased(erasure.at)))),
            (Some(record), erasure) => {
                let at = erasure.map(|erasure| erasure.at);
                user_key(record, at).map(Some)
            }
            (None, None) => Ok(None),
        }
    }

    /// The epoch of a new key: high enough that no erasure so far voids it.
    pub(super) fn next_epoch(&self, ring: &Ring) -> u32 {
        let ledger = ring.erasure(&self.user).map_or(0, |erasure| erasure.epoch);
        let record = self.record.as_ref().map_or(0, UserRecord::epoch);
        ledger.max(record)
    }
}

pub(super) fn user_key(
    record: &UserRecord,
    erased_at: Option<u64>,
) -> Result<Arc<UserKey>, UserKeyError> {
    Ok(Arc::new(match record {
        UserRecord::Live { id, key, .. } => {
            let key = UserKey::live(*id, key).map_err(UserKeyError::from_key_error)?;
            match erased_at {
                Some(at) => key.after_erasure(at),
                None => key,
            }
        }
        UserRecord::Erased { at, .. } => UserKey::erased(*at),
    }))
}

/// The name of the record of a user, by the user's keyed hash.
pub(super) fn record_name(user: &str) -> String {
    format!("{PREFIX}{user}")
}
