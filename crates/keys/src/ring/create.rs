//! New rings, and new keys of a ring.

use std::collections::HashMap;
use std::sync::Arc;

use waxseal_core::{KeyId, SecretKey};

use super::wraps::wrap;
use super::{DerivedSecrets, NAMES, Ring, UnwrappedKey};
use crate::custodian::{Context, Custodian};
use crate::error::RingError;
use crate::keyring_document::{Entry, FORMAT, KeyringDocument};
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
            format: FORMAT,
            ring: ring.clone(),
            environment: environment.to_owned(),
            version: 1,
            fence: 0,
            rotation: settings,
            previous: None,
            names,
            keys: Vec::new(),
            protects: Vec::new(),
            erased: Vec::new(),
            mac: None,
        };
        let derived = Arc::new(DerivedSecrets::new(&secret)?);
        let mut this = Self {
            document,
            derived,
            keys: HashMap::new(),
            is_repaired: false,
        };
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
        this.authenticate();
        Ok(this)
    }

    pub(super) fn free_id(&self) -> KeyId {
        loop {
            let id = KeyId::random();
            if self.entry(id).is_none() {
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
        let shown = id.to_string();
        let mut wraps = Vec::new();
        for custodian in custodians {
            wraps.push(wrap(&**custodian, key, &self.document.context(&shown)).await?);
        }
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
}
