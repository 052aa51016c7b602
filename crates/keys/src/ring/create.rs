//! New rings, and new keys of a ring.

use std::collections::HashMap;
use std::sync::Arc;

use waxseal_core::{EnvelopeVersion, KeyId, SecretKey};

use super::wraps::wrap;
use super::{DerivedSecrets, Ring, UnwrappedKey};
use crate::custodian::{Context, Custodian, Wrap};
use crate::document_format::DocumentFormat;
use crate::envelope_settings::EnvelopeSettings;
use crate::error::RingError;
use crate::index_state::IndexKeyState;
use crate::keyring_document::{Entry, IndexEntry, KeyringDocument, NAMES};
use crate::settings::Settings;
use crate::state::KeyState;

impl Ring {
    /// Creates a ring for an environment. Its first key seals at once: no process has another one yet.
    ///
    /// `adopted` are the keys of the environment that values are sealed under already: the first continues
    /// to seal, so that applications which only have these keys can open new values, and the others are
    /// decrypt-only. Without any, a new key seals.
    pub async fn create(
        environment: &str,
        settings: Settings,
        custodians: &[Arc<dyn Custodian>],
        adopted: &[SecretKey],
        now_ms: u64,
    ) -> Result<Self, RingError> {
        let format = DocumentFormat::V1;
        Self::create_in(format, environment, settings, custodians, adopted, now_ms).await
    }

    /// Creates a ring whose document has this format. With format 2, version 3 of the sealed format is written
    /// and version 2 accepted; if keys are adopted, version 2 is written until that is changed.
    pub async fn create_in(
        format: DocumentFormat,
        environment: &str,
        settings: Settings,
        custodians: &[Arc<dyn Custodian>],
        adopted: &[SecretKey],
        now_ms: u64,
    ) -> Result<Self, RingError> {
        let mut this = Self::without_keys(environment, settings, custodians).await?;
        let fresh = [SecretKey::generate()?];
        let is_adopted = !adopted.is_empty();
        let keys = if is_adopted { adopted } else { &fresh[..] };
        for (index, key) in keys.iter().enumerate() {
            let state = if index == 0 {
                KeyState::Sealing
            } else {
                KeyState::DecryptOnly
            };
            let id = if is_adopted { key.id() } else { this.free_id() };
            if this.entry(id).is_some() {
                continue;
            }
            this.insert(id, key, custodians, (state, is_adopted), (now_ms, now_ms))
                .await?;
        }
        if format == DocumentFormat::V2 {
            this.document.format = format;
            // Applications that have adopted keys may know nothing newer.
            let write = match is_adopted {
                true => EnvelopeVersion::V2,
                false => EnvelopeVersion::V3,
            };
            this.document.envelopes = Some(EnvelopeSettings {
                write,
                accept: EnvelopeVersion::V2,
                since: now_ms,
            });
            let times = (now_ms, now_ms);
            this.insert_index_key(IndexKeyState::Writing, custodians, times)
                .await?;
        }
        this.authenticate();
        Ok(this)
    }

    /// A ring of format 1 in which no key seals yet.
    async fn without_keys(
        environment: &str,
        settings: Settings,
        custodians: &[Arc<dyn Custodian>],
    ) -> Result<Self, RingError> {
        let ring: String = (0..2)
            .map(|_| KeyId::random().to_string())
            .collect::<Vec<_>>()
            .concat();
        let secret = SecretKey::generate()?;
        let context = |key| Context {
            environment,
            ring: &ring,
            key,
        };
        let mut names = Vec::new();
        for custodian in custodians {
            names.push(wrap(&**custodian, &secret, &context(NAMES)).await?);
        }
        let document = KeyringDocument {
            format: DocumentFormat::V1,
            ring: ring.clone(),
            environment: environment.to_owned(),
            version: 1,
            fence: 0,
            rotation: settings,
            previous: None,
            envelopes: None,
            names,
            keys: Vec::new(),
            index_keys: Vec::new(),
            protects: Vec::new(),
            erased: Vec::new(),
            mac: None,
        };
        let derived = Arc::new(DerivedSecrets::new(&secret)?);
        Ok(Self {
            document,
            derived,
            keys: HashMap::new(),
            index_keys: HashMap::new(),
            is_repaired: false,
        })
    }

    pub(super) fn free_id(&self) -> KeyId {
        loop {
            let id = KeyId::random();
            if self.entry(id).is_none() && self.index_entry(id).is_none() {
                return id;
            }
        }
    }

    pub(super) async fn insert(
        &mut self,
        id: KeyId,
        key: &SecretKey,
        custodians: &[Arc<dyn Custodian>],
        (state, adopted): (KeyState, bool),
        (created, activates): (u64, u64),
    ) -> Result<(), RingError> {
        let wraps = self.wraps_for(id, key, custodians).await?;
        self.document.keys.push(Entry {
            id,
            state,
            created,
            activates,
            changed: created,
            adopted,
            wraps,
        });
        self.keys.insert(id, Arc::new(UnwrappedKey::new(id, key)?));
        Ok(())
    }

    /// Adds a new index key.
    pub(super) async fn insert_index_key(
        &mut self,
        state: IndexKeyState,
        custodians: &[Arc<dyn Custodian>],
        (created, activates): (u64, u64),
    ) -> Result<(), RingError> {
        let (id, key) = (self.free_id(), SecretKey::generate()?);
        let wraps = self.wraps_for(id, &key, custodians).await?;
        self.document.index_keys.push(IndexEntry {
            id,
            state,
            created,
            activates,
            changed: created,
            wraps,
        });
        let unwrapped = UnwrappedKey::of_index(id, &key);
        self.index_keys.insert(id, Arc::new(unwrapped));
        Ok(())
    }

    async fn wraps_for(
        &self,
        id: KeyId,
        key: &SecretKey,
        custodians: &[Arc<dyn Custodian>],
    ) -> Result<Vec<Wrap>, RingError> {
        let shown = id.to_string();
        let mut wraps = Vec::new();
        for custodian in custodians {
            wraps.push(wrap(&**custodian, key, &self.document.context(&shown)).await?);
        }
        Ok(wraps)
    }
}
