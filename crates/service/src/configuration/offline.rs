//! A start without custodians: the key of this machine that was named for it, and where the keys of the
//! keyring are kept under it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use waxseal_keys::{CustodianScheme, Offline, Variables};

use super::Flags;
use super::file::ConfigurationFile;
use crate::Failure;

/// The settings of a start without custodians.
#[derive(Clone)]
pub struct OfflineConfiguration {
    /// The key of this machine: `env:NAME` or `file:PATH`.
    key: String,
    /// The file of the keyring's keys, sealed under it.
    path: PathBuf,
    /// True if this process may start with them.
    is_allowed: bool,
}

impl OfflineConfiguration {
    /// `copy` is this machine's last good copy of the keyring: the keys are kept beside it.
    pub(super) fn read(
        flags: &Flags,
        file: &ConfigurationFile,
        copy: Option<&Path>,
    ) -> Result<Option<Self>, Failure> {
        let is_allowed = flags.allow_offline;
        let Some(key) = &file.offline_key else {
            return match is_allowed {
                true => Err(Failure::usage("--allow-offline needs offline_key in waxseal.toml")
                    .hint(
                        "it names the key that this machine keeps the keyring under, for example \
                         offline_key = \"file:/etc/waxseal/offline.key\"; the keys are kept from the \
                         next start with a custodian on",
                    )),
                false => Ok(None),
            };
        };
        if !CustodianScheme::of(key).is_some_and(CustodianScheme::is_local) {
            return Err(Failure::usage("offline_key starts with env: or file:")
                .hint("it is a key of this machine: waxseal key generate --file creates one"));
        }
        let Some(copy) = copy else {
            return Err(Failure::usage(
                "offline_key is configured, and this machine keeps no copy of the keyring",
            )
            .hint("set keyring_copy in waxseal.toml, or STATE_DIRECTORY"));
        };
        Ok(Some(Self {
            key: key.clone(),
            path: copy.with_extension("offline.json"),
            is_allowed,
        }))
    }

    /// True if this process may start without custodians.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        self.is_allowed
    }

    pub(crate) fn open(&self, variables: &Variables) -> Result<Arc<Offline>, Failure> {
        let opened = Offline::open(&self.path, &self.key, variables, self.is_allowed);
        let opened = opened.map_err(|error| Failure::from(error).named("offline_key"))?;
        Ok(Arc::new(opened))
    }
}
