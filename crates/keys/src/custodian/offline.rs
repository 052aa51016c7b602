//! Keys of a ring stored under a key of this machine, so that a process can start while no custodian can
//! be reached. Stored only if an operator configures such a key, used only if an operator says so: access
//! to this machine is then access to the ring. Where the document comes from is not known here.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use base64_simd::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;
use tracing::warn;
use waxseal_core::{SecretKey, WrappingKey, hex};
use waxseal_files::description;

use super::{Context, CustodianError, Variables, secret};
use crate::document_store::{read_file, write_file};
use crate::sync::lock;

/// The only format that this version knows.
const FORMAT: u32 = 1;

/// Keys of a ring under a key of this machine.
pub struct Offline {
    path: PathBuf,
    key: WrappingKey,
    /// Keys may be loaded from here.
    allow_start: bool,
    was_used: AtomicBool,
    stored: Mutex<StoredKeys>,
}

#[derive(Default)]
struct StoredKeys {
    /// Wrapped keys, by context.
    keys: BTreeMap<String, Vec<u8>>,
    is_changed: bool,
}

/// The content of the file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    format: u32,
    keys: BTreeMap<String, String>,
}

impl Offline {
    /// Opens the keys in this file, under the key of this machine that a URL (`env:NAME` or `file:PATH`)
    /// refers to. `allow_start`: a process may start with them if no custodian can be reached. A file that
    /// is missing or damaged contains none.
    pub fn open(
        path: impl Into<PathBuf>,
        key: &str,
        variables: &Variables,
        allow_start: bool,
    ) -> Result<Self, CustodianError> {
        let path = path.into();
        let (_, secret) = secret(key, variables)?;
        let keys = read(&path);
        Ok(Self {
            path,
            key: WrappingKey::of_secret(&secret)?,
            allow_start,
            was_used: AtomicBool::new(false),
            stored: Mutex::new(StoredKeys {
                keys,
                is_changed: false,
            }),
        })
    }

    /// True if a key was loaded from here: no custodian could be reached.
    #[must_use]
    pub fn was_used(&self) -> bool {
        self.was_used.load(Ordering::Relaxed)
    }

    /// Adds a key, unless it is present already.
    pub(crate) fn add(&self, key: &SecretKey, context: &Context<'_>) {
        let bytes = context.to_bytes();
        let name = hex::encode(&bytes);
        let is_present = {
            let stored = lock(&self.stored);
            let wrapped = stored.keys.get(&name);
            // One under another key of this machine is unusable.
            wrapped.is_some_and(|wrapped| self.key.unwrap(wrapped, &bytes).is_some())
        };
        if is_present {
            return;
        }
        // Without it a later start needs a custodian, as every start did before.
        if let Ok(wrapped) = self.key.wrap(key, &bytes) {
            let mut stored = lock(&self.stored);
            stored.keys.insert(name, wrapped);
            stored.is_changed = true;
        }
    }

    /// Loads a key, if starting with stored keys is allowed.
    pub(crate) fn load(&self, context: &Context<'_>) -> Option<SecretKey> {
        if !self.allow_start {
            return None;
        }
        let bytes = context.to_bytes();
        let wrapped = lock(&self.stored).keys.get(&hex::encode(&bytes)).cloned()?;
        let key = self.key.unwrap(&wrapped, &bytes)?;
        if !self.was_used.swap(true, Ordering::Relaxed) {
            warn!(
                "no custodian of the keyring can be reached: STARTING OFFLINE with the keys that this \
                 machine keeps"
            );
        }
        Some(key)
    }

    /// True if the key of this context is stored.
    pub(crate) fn contains(&self, context: &Context<'_>) -> bool {
        lock(&self.stored)
            .keys
            .contains_key(&hex::encode(&context.to_bytes()))
    }

    /// Writes the keys of these contexts and no others to the file: a destroyed key must be erased here as
    /// well.
    pub(crate) async fn persist(&self, contexts: &[Context<'_>]) {
        let names: Vec<String> = contexts
            .iter()
            .map(|it| hex::encode(&it.to_bytes()))
            .collect();
        let bytes = {
            let mut stored = lock(&self.stored);
            let previous_len = stored.keys.len();
            stored.keys.retain(|name, _| names.contains(name));
            if !stored.is_changed && stored.keys.len() == previous_len {
                return;
            }
            stored.is_changed = false;
            let keys = stored.keys.iter();
            let file = File {
                format: FORMAT,
                keys: keys
                    .map(|(name, key)| (name.clone(), URL_SAFE_NO_PAD.encode_to_string(key)))
                    .collect(),
            };
            serde_json::to_vec_pretty(&file).unwrap_or_default()
        };
        let path = self.path.clone();
        let written = spawn_blocking(move || write_file(&path, &bytes)).await;
        let failed = match written {
            Ok(Ok(())) => return,
            Ok(Err(error)) => description(&error),
            Err(_) => "the write was abandoned".to_owned(),
        };
        lock(&self.stored).is_changed = true;
        let path = self.path.display();
        warn!("the keys for a start without custodians cannot be kept at {path}: {failed}");
    }
}

fn read(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let bytes = match read_file(path) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return BTreeMap::new(),
        Err(error) => {
            let (path, why) = (path.display(), description(&error));
            warn!("the keys for a start without custodians cannot be read at {path}: {why}");
            return BTreeMap::new();
        }
    };
    let file = serde_json::from_slice::<File>(&bytes).ok();
    let Some(file) = file.filter(|file| file.format == FORMAT) else {
        let path = path.display();
        warn!(
            "the keys for a start without custodians at {path} are damaged: they are written again"
        );
        return BTreeMap::new();
    };
    let keys = file.keys.into_iter();
    keys.filter_map(|(name, key)| {
        let key = URL_SAFE_NO_PAD.decode_to_vec(key.as_bytes()).ok()?;
        Some((name, key))
    })
    .collect()
}
