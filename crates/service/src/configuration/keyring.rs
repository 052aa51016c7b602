//! The keyring that is configured: its URL, its environment and its custodians. It is opened in `resources::keyring`.

use std::path::PathBuf;

use waxseal_core::fingerprint;
use waxseal_keys::CustodianScheme;
use waxseal_stores::{StoreUrl, UrlError};

use super::file::ConfigurationFile;
use super::offline::OfflineConfiguration;
use super::{Flags, environment_name};
use crate::Failure;
use crate::environment::Environment;

/// The label under which the name of a last good copy is derived.
const COPY: &str = "waxseal keyring copy v1";

/// The settings of a keyring.
#[derive(Clone)]
pub struct KeyringConfiguration {
    /// The URL of the keyring.
    pub url: StoreUrl,
    /// The environment that it must belong to.
    pub environment: String,
    /// The path of this machine's last good copy.
    pub copy: Option<PathBuf>,
    custodians: Vec<String>,
    /// The settings of a start without any custodian.
    pub offline: Option<OfflineConfiguration>,
    /// The store of users' keys, where it is not that of the records.
    pub users: Option<StoreUrl>,
}

impl KeyringConfiguration {
    pub(super) fn read(flags: &Flags, file: &ConfigurationFile) -> Result<Option<Self>, Failure> {
        let Some(text) = flags.keyring.as_ref().or(file.keyring.as_ref()) else {
            let left_over = [
                ("custodian", !file.custodian.is_empty()),
                ("keyring_copy", file.keyring_copy.is_some()),
                ("user_keys", file.user_keys.is_some()),
                ("offline_key", file.offline_key.is_some()),
                ("--allow-offline", flags.allow_offline),
            ];
            return match left_over.into_iter().find(|(_, is_set)| *is_set) {
                Some((word, _)) => Err(Failure::usage(format!(
                    "{word} is configured, and no keyring"
                ))
                .hint("name one, for example keyring = \"file:/etc/waxseal/keyring.json\"")),
                None => Ok(None),
            };
        };
        let url = url(text)?;
        if flags.keyring.is_some() && url.has_password() {
            super::warn_of_password(
                "put the URL into waxseal.toml as keyring, and let only this user read the file",
            );
        }
        let environment = environment_name(file).to_owned();
        let users = match &file.user_keys {
            Some(text) => Some(StoreUrl::parse(text)?),
            None => None,
        };
        // The copy that the file names belongs to the ring that the file names, and not to one of a flag.
        let of_file = file.keyring.as_ref().is_none_or(|named| named == text);
        let copy = file.keyring_copy.clone().filter(|_| of_file);
        let copy = copy.or_else(|| {
            let of = format!("{}\n{environment}", url.location());
            let name = fingerprint(COPY, of.as_bytes());
            let name = format!("keyring-{}.json", name.get(..16)?);
            Some(Environment::state_directory()?.join(name))
        });
        Ok(Some(Self {
            offline: OfflineConfiguration::read(flags, file, copy.as_deref())?,
            custodians: match &file.custodian[..] {
                [] => vec![CustodianScheme::default_url()],
                configured => configured.to_vec(),
            },
            url,
            environment,
            copy,
            users,
        }))
    }

    /// The same with these custodians, where any are named.
    #[must_use]
    pub fn with_custodians(&self, named: &[String]) -> Self {
        let mut this = self.clone();
        if !named.is_empty() {
            this.custodians = named.to_vec();
        }
        this
    }

    /// The same with these custodians beside those that are configured.
    #[must_use]
    pub fn and_custodians(&self, more: &[String]) -> Self {
        let mut this = self.clone();
        for url in more {
            if !this.custodians.contains(url) {
                this.custodians.push(url.clone());
            }
        }
        this
    }

    /// The URLs of the custodians as configured, including the parts that hold for this machine alone.
    #[must_use]
    pub fn urls(&self) -> &[String] {
        &self.custodians
    }
}

fn url(text: &str) -> Result<StoreUrl, Failure> {
    match StoreUrl::parse(text) {
        // A process in another directory must refer to the same file.
        Ok(StoreUrl::File(path)) => Ok(StoreUrl::File(std::path::absolute(path)?)),
        Ok(url) => Ok(url),
        Err(error) => {
            let text = match error {
                UrlError::Scheme => {
                    "the URL of a keyring starts with file:, redis://, rediss:// or unix:"
                        .to_owned()
                }
                other => format!("the URL of the keyring: {other}"),
            };
            Err(Failure::usage(text).hint("for example file:/etc/waxseal/keyring.json"))
        }
    }
}
