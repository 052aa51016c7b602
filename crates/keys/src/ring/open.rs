//! Opening a document: its keys are unwrapped, and its authentication code is checked.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt, stream};
use waxseal_core::{KeyId, KeyedHash, SecretKey};

use super::{DerivedSecrets, MAX_CONCURRENT_UNWRAPS, Ring, UnwrappedKey};
use crate::bytes::Bytes;
use crate::custodian::{Custodians, UnwrapSource, Wrap, sanitize_for_terminal};
use crate::error::{DocumentError, RingError};
use crate::keyring_document::{KeyringDocument, NAMES};

impl Ring {
    /// Opens a document. Keys that `known` holds are not unwrapped again: a process that has a ring does not
    /// need its custodians for a document that only wraps the same keys differently.
    pub async fn open(
        bytes: &[u8],
        location: &str,
        environment: &str,
        custodians: &Custodians,
        known: Option<&Self>,
    ) -> Result<Self, RingError> {
        let source = custodians.unwrapping();
        Self::open_from(bytes, location, environment, &source, known).await
    }

    pub(crate) async fn open_from(
        bytes: &[u8],
        location: &str,
        environment: &str,
        source: &dyn UnwrapSource,
        known: Option<&Self>,
    ) -> Result<Self, RingError> {
        let refused = |error| RingError::Document {
            location: location.to_owned(),
            error,
        };
        let document = KeyringDocument::parse(bytes).map_err(refused)?;
        // The same code over another content: changed, whichever part it is.
        let same_code = known.filter(|known| known.document.mac == document.mac);
        if same_code.is_some_and(|known| known.document != document) {
            return Err(refused(DocumentError::Mac));
        }
        if document.environment != environment {
            return Err(RingError::Environment {
                found: sanitize_for_terminal(&document.environment),
                expected: environment.to_owned(),
            });
        }
        // The ring's own secret never changes.
        let known = known.filter(|known| known.document.ring == document.ring);
        let derived = match known {
            Some(known) => known.derived.clone(),
            None => {
                let secret = source
                    .unwrap(&document.names, &document.context(NAMES))
                    .await?;
                Arc::new(DerivedSecrets::new(&secret)?)
            }
        };
        let mut unknown = Vec::new();
        let mut keys = HashMap::with_capacity(document.keys.len());
        for entry in document.keys.iter().filter(|it| !it.wraps.is_empty()) {
            match known.and_then(|known| known.keys.get(&entry.id)) {
                Some(key) => drop(keys.insert(entry.id, key.clone())),
                None => unknown.push(unwrap((entry.id, false), &entry.wraps, &document, source)),
            }
        }
        let mut index_keys = HashMap::new();
        for entry in document.index_keys.iter().filter(|it| !it.wraps.is_empty()) {
            match known.and_then(|known| known.index_keys.get(&entry.id)) {
                Some(key) => drop(index_keys.insert(entry.id, key.clone())),
                None => unknown.push(unwrap((entry.id, true), &entry.wraps, &document, source)),
            }
        }
        // The first answer has shown which custodians can be reached: now several keys at a time.
        let mut unknown = stream::iter(unknown).buffer_unordered(MAX_CONCURRENT_UNWRAPS);
        while let Some(((id, is_index_key), key)) = unknown.try_next().await? {
            match is_index_key {
                true => drop(index_keys.insert(id, Arc::new(UnwrappedKey::of_index(id, &key)))),
                false => drop(keys.insert(id, Arc::new(UnwrappedKey::new(id, &key)?))),
            }
        }
        drop(unknown);
        let ring = Self {
            document,
            derived,
            keys,
            index_keys,
            is_repaired: false,
        };
        if ring.is_authentic() {
            return Ok(ring);
        }
        let repaired = known.and_then(|known| ring.with_wraps_of(known));
        repaired.ok_or_else(|| refused(DocumentError::Mac))
    }

    /// The authentication code is HMAC-SHA-256 under a key derived from the ring's secret, over a proof of
    /// each key and the document: it cannot be computed without all of the keys.
    fn with_authenticated<T>(&self, then: impl FnOnce(&KeyedHash, &[&[u8]]) -> T) -> T {
        let body = self.document.authenticated();
        let proofs = self.document.keys.iter().filter_map(|entry| {
            let key = self.keys.get(&entry.id)?;
            Some(&key.proof[..])
        });
        let index_proofs = self.document.index_keys.iter().filter_map(|entry| {
            let key = self.index_keys.get(&entry.id)?;
            Some(&key.proof[..])
        });
        let proofs = proofs.chain(index_proofs);
        let parts: Vec<&[u8]> = proofs.chain([body.as_slice()]).collect();
        then(&self.derived.mac, &parts)
    }

    pub(super) fn is_authentic(&self) -> bool {
        let Some(found) = &self.document.mac else {
            return false;
        };
        self.with_authenticated(|mac, parts| mac.verify(parts, &found.0))
    }

    pub(super) fn authenticate(&mut self) {
        let mac = self.with_authenticated(KeyedHash::hash);
        self.document.mac = Some(Bytes(mac.to_vec()));
    }
}

/// Unwraps a key, and returns it with what identifies it.
async fn unwrap(
    (id, is_index_key): (KeyId, bool),
    wraps: &[Wrap],
    document: &KeyringDocument,
    source: &dyn UnwrapSource,
) -> Result<((KeyId, bool), SecretKey), RingError> {
    let shown = id.to_string();
    let key = source.unwrap(wraps, &document.context(&shown)).await?;
    Ok(((id, is_index_key), key))
}
