//! The keyring that is configured: its URL, its custodians, and how it is opened.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, Once, PoisonError};

use waxseal_core::fingerprint;
use waxseal_keys::secret_file::SecretFileError;
use waxseal_keys::{
    Custodian, CustodianError, CustodianScheme, Custodians, DocumentStore, FileDocumentStore,
    LiveOptions, LiveRing, Variables,
};
use waxseal_stores::{RedisOptions, RedisStore, StoreUrl, UrlError};
use waxseal_upkeep::RecordDocumentStore;

use super::file::ConfigurationFile;
use super::offline::OfflineConfiguration;
use super::{Flags, environment_name};
use crate::environment::Environment;
use crate::{Failure, notice};

/// The label under which the name of a last good copy is derived.
const COPY: &str = "waxseal keyring copy v1";

static WARNED: Once = Once::new();

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
    /// Custodians that are open already, for a process that retries until the keyring opens: each has a login,
    /// or a thread.
    open: Arc<Mutex<OpenCustodians>>,
    /// The settings of a start without any custodian.
    pub offline: Option<OfflineConfiguration>,
    /// The store of users' keys, where it is not that of the records.
    pub users: Option<StoreUrl>,
}

/// Custodians that were opened, by their URLs as configured, and the errors of others that were logged.
#[derive(Default)]
struct OpenCustodians {
    custodians: HashMap<String, Arc<dyn Custodian>>,
    reported: Vec<CustodianError>,
}

impl OpenCustodians {
    fn open(
        &mut self,
        url: &str,
        variables: &Variables,
    ) -> Result<Arc<dyn Custodian>, CustodianError> {
        if let Some(custodian) = self.custodians.get(url) {
            return Ok(custodian.clone());
        }
        let custodian = Custodians::open(url, variables)?;
        self.custodians.insert(url.to_owned(), custodian.clone());
        Ok(custodian)
    }

    /// Logs once that a custodian cannot be used.
    fn report(&mut self, error: CustodianError) {
        if !self.reported.contains(&error) {
            tracing::warn!("a custodian cannot be used: {error}");
            self.reported.push(error);
        }
    }
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
            open: Arc::default(),
            url,
            environment,
            copy,
            users,
        }))
    }

    /// The store of the keyring's document. It is not contacted before it is used.
    pub fn place(&self) -> Result<Arc<dyn DocumentStore>, Failure> {
        Ok(match &self.url {
            StoreUrl::File(path) => Arc::new(FileDocumentStore::new(path)),
            StoreUrl::Redis(url) => {
                let store = RedisStore::lazy(url, RedisOptions::default())?;
                Arc::new(RecordDocumentStore::new(Arc::new(store)))
            }
        })
    }

    /// The same with these custodians, where any are named.
    #[must_use]
    pub fn with_custodians(&self, named: &[String]) -> Self {
        let mut this = self.clone();
        if !named.is_empty() {
            this.custodians = named.to_vec();
            this.open = Arc::default();
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
                this.open = Arc::default();
            }
        }
        this
    }

    /// The URLs of the custodians as configured, including the parts that hold for this machine alone.
    #[must_use]
    pub fn urls(&self) -> &[String] {
        &self.custodians
    }

    /// Opens all configured custodians, to wrap keys.
    pub fn all_custodians(
        &self,
        environment: &Arc<Environment>,
    ) -> Result<Vec<Arc<dyn Custodian>>, Failure> {
        let variables = variables(environment);
        let custodian = |url: &String| Custodians::open(url, &variables).map_err(Failure::from);
        self.custodians.iter().map(custodian).collect()
    }

    /// Opens those of the configured custodians that this machine can use: any one that unwraps is enough.
    pub fn custodians(&self, environment: &Arc<Environment>) -> Result<Custodians, Failure> {
        let variables = variables(environment);
        let mut known = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let mut usable = Custodians::default();
        let mut errors = Vec::new();
        for url in &self.custodians {
            // One that failed before may be available now: a token that was plugged in.
            match known.open(url, &variables) {
                Ok(custodian) => usable = usable.with(custodian),
                Err(error) => errors.push(error),
            }
        }
        // An error of a custodian that exists says more than its absence.
        errors.sort_by_key(is_absent);
        if usable.is_empty()
            && let Some(error) = errors.first()
        {
            return Err(error.clone().into());
        }
        errors
            .into_iter()
            .filter(|error| !is_absent(error))
            .for_each(|error| known.report(error));
        Ok(match &self.offline {
            Some(offline) => usable.with_offline(offline.open(&variables)?),
            None => usable,
        })
    }

    /// Opens each configured custodian, without a request to it.
    #[must_use]
    pub fn open_each(
        &self,
        environment: &Arc<Environment>,
    ) -> Vec<Result<Arc<dyn Custodian>, CustodianError>> {
        let variables = variables(environment);
        let open = |url: &String| Custodians::open(url, &variables);
        self.custodians.iter().map(open).collect()
    }

    /// The options of a live keyring.
    #[must_use]
    pub fn options(&self, opens_compromised: bool) -> LiveOptions {
        if self.copy.is_none() {
            // A process that waits for the keyring gets here with each attempt.
            WARNED.call_once(|| {
                notice::warning_with_hint(
                    "no last good copy of the keyring is kept on this machine: none of \
                     STATE_DIRECTORY, XDG_STATE_HOME and HOME is set",
                    "set one of them, or keyring_copy in waxseal.toml",
                );
            });
        }
        LiveOptions {
            environment: self.environment.clone(),
            copy: self.copy.clone(),
            opens_compromised,
            now_ms: Arc::new(crate::now_ms),
        }
    }

    /// Opens the keyring.
    pub async fn open(
        &self,
        environment: &Arc<Environment>,
        opens_compromised: bool,
    ) -> Result<LiveRing, Failure> {
        let custodians = self.custodians(environment)?;
        self.open_with(custodians, opens_compromised).await
    }

    /// The same, with these custodians.
    pub async fn open_with(
        &self,
        custodians: Custodians,
        opens_compromised: bool,
    ) -> Result<LiveRing, Failure> {
        let options = self.options(opens_compromised);
        Ok(LiveRing::open(self.place()?, custodians, options).await?)
    }
}

/// True if a custodian is merely not on this machine, which is fine where another one is.
#[must_use]
pub fn is_absent(error: &CustodianError) -> bool {
    match error {
        CustodianError::NotSet { .. } => true,
        CustodianError::File { error, .. } => {
            *error == SecretFileError::Unreadable(std::io::ErrorKind::NotFound)
        }
        _ => false,
    }
}

/// The environment as custodians read it.
#[must_use]
pub fn variables(environment: &Arc<Environment>) -> Variables {
    let environment = environment.clone();
    Arc::new(move |name| {
        let secret = environment.secret(name);
        secret.map_err(|failure| failure.text().to_owned())
    })
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
