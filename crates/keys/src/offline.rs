//! Keys of a ring kept under a key of this machine, so that a process can start while none of the
//! custodians can be reached. Kept only where an operator names such a key, used only where an operator
//! says so: whoever has this machine has the ring then. Where the document comes from is not known here.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use base64_simd::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;
use tracing::warn;
use waxseal_core::{SecretKey, WrappingKey};
use waxseal_files::description;

use crate::custodian::{Context, Variables, secret};
use crate::document_store::{read_file, write_file};
use crate::error::CustodianError;
use crate::live::lock;
use crate::ring::hex;

/// The only format that this version knows.
const FORMAT: u32 = 1;

/// Keys of a ring under a key of this machine.
pub struct Offline {
    path: PathBuf,
    key: WrappingKey,
    /// Whether keys may be taken from here.
    starts: bool,
    used: AtomicBool,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    /// By context: the key, wrapped.
    keys: BTreeMap<String, Vec<u8>>,
    is_changed: bool,
}

/// The file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    format: u32,
    keys: BTreeMap<String, String>,
}

impl Offline {
    /// Keys in this file, under the key of this machine that a URL, `env:NAME` or `file:PATH`, stands
    /// for. `starts`: whether a process may start with them where no custodian can be reached. A file
    /// that is missing or damaged holds none.
    pub fn open(
        path: impl Into<PathBuf>,
        key: &str,
        variables: &Variables,
        starts: bool,
    ) -> Result<Self, CustodianError> {
        let path = path.into();
        let (_, secret) = secret(key, variables)?;
        let keys = read(&path);
        Ok(Self {
            path,
            key: WrappingKey::of_secret(&secret)?,
            starts,
            used: AtomicBool::new(false),
            kept: Mutex::new(Kept {
                keys,
                is_changed: false,
            }),
        })
    }

    /// Whether a key was taken from here: a custodian could not be reached.
    #[must_use]
    pub fn was_used(&self) -> bool {
        self.used.load(Ordering::Relaxed)
    }

    /// Keeps a key, unless it is kept already.
    pub(crate) fn remember(&self, key: &SecretKey, context: &Context<'_>) {
        let bytes = context.to_bytes();
        let name = hex(&bytes);
        let is_kept = {
            let kept = lock(&self.kept);
            let there = kept.keys.get(&name);
            // Under another key of this machine it is of no use.
            there.is_some_and(|there| self.key.unwrap(there, &bytes).is_some())
        };
        if is_kept {
            return;
        }
        // Without it a later start needs a custodian, as every start did before.
        if let Ok(wrapped) = self.key.wrap(key, &bytes) {
            let mut kept = lock(&self.kept);
            kept.keys.insert(name, wrapped);
            kept.is_changed = true;
        }
    }

    /// Takes a key from here, where that was allowed.
    pub(crate) fn recall(&self, context: &Context<'_>) -> Option<SecretKey> {
        if !self.starts {
            return None;
        }
        let bytes = context.to_bytes();
        let wrapped = lock(&self.kept).keys.get(&hex(&bytes)).cloned()?;
        let key = self.key.unwrap(&wrapped, &bytes)?;
        if !self.used.swap(true, Ordering::Relaxed) {
            warn!(
                "no custodian of the keyring can be reached: STARTING OFFLINE with the keys that this \
                 machine keeps"
            );
        }
        Some(key)
    }

    /// Whether a key is kept.
    pub(crate) fn has(&self, context: &Context<'_>) -> bool {
        lock(&self.kept)
            .keys
            .contains_key(&hex(&context.to_bytes()))
    }

    /// Writes what is kept for these contexts and no others: a key that was destroyed must be gone from
    /// here as well.
    pub(crate) async fn keep(&self, contexts: &[Context<'_>]) {
        let names: Vec<String> = contexts.iter().map(|it| hex(&it.to_bytes())).collect();
        let bytes = {
            let mut kept = lock(&self.kept);
            let before = kept.keys.len();
            kept.keys.retain(|name, _| names.contains(name));
            if !kept.is_changed && kept.keys.len() == before {
                return;
            }
            kept.is_changed = false;
            let keys = kept.keys.iter();
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
        lock(&self.kept).is_changed = true;
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
        warn!("the keys for a start without custodians at {path} are damaged: they are made anew");
        return BTreeMap::new();
    };
    let keys = file.keys.into_iter();
    keys.filter_map(|(name, key)| {
        let key = URL_SAFE_NO_PAD.decode_to_vec(key.as_bytes()).ok()?;
        Some((name, key))
    })
    .collect()
}
