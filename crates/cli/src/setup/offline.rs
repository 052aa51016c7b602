//! A start without custodians: the key of this machine that was named for it, and where the keys of the
//! keyring are kept under it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use waxseal_keys::{CustodianScheme, Offline, Variables};

use crate::args::Common;
use crate::config::Config;
use crate::error::Failure;

/// What was configured about a start without custodians.
#[derive(Clone)]
pub(crate) struct OfflineSetup {
    /// Where the key of this machine is: `env:NAME` or `file:PATH`.
    key: String,
    /// Where the keys of the ring are kept under it.
    path: PathBuf,
    /// Whether this process may start with them.
    starts: bool,
}

impl OfflineSetup {
    /// `copy` is where this machine keeps its last good copy: the keys lie beside it.
    pub(super) fn read(
        common: &Common,
        config: &Config,
        copy: Option<&Path>,
    ) -> Result<Option<Self>, Failure> {
        let starts = common.allow_offline;
        let Some(key) = &config.offline_key else {
            return match starts {
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
                .hint("it is a key of this machine: waxseal key generate --file makes one"));
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
            starts,
        }))
    }

    /// Whether this process may start without custodians.
    pub(super) fn starts(&self) -> bool {
        self.starts
    }

    pub(super) fn open(&self, variables: &Variables) -> Result<Arc<Offline>, Failure> {
        let opened = Offline::open(&self.path, &self.key, variables, self.starts);
        let opened = opened.map_err(|error| Failure::from(error).named("offline_key"))?;
        Ok(Arc::new(opened))
    }
}
