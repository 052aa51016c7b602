//! The keyring as it is opened: its document store, and its custodians, which are opened once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, Once, PoisonError};

use waxseal_keys::secret_file::SecretFileError;
use waxseal_keys::{
    Custodian, CustodianError, Custodians, DocumentStore, FileDocumentStore, LiveOptions, LiveRing,
    Variables,
};
use waxseal_stores::{RedisOptions, RedisStore, StoreUrl};
use waxseal_upkeep::RecordDocumentStore;

use super::Resources;
use crate::configuration::keyring::KeyringConfiguration;
use crate::environment::Environment;
use crate::{Failure, notice};

static WARNED: Once = Once::new();

/// The custodians that a process has opened, by their URLs as configured. A process that retries until its keyring opens
/// opens each of them once: each has a login, or a thread.
#[derive(Default)]
pub(super) struct OpenCustodians(Mutex<Opened>);

/// Open custodians, and the errors of others that were logged.
#[derive(Default)]
struct Opened {
    custodians: HashMap<String, Arc<dyn Custodian>>,
    reported: Vec<CustodianError>,
}

impl Opened {
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

impl Resources {
    /// Opens those of a keyring's custodians that this machine can use: any one that unwraps is enough.
    pub fn custodians(&self, keyring: &KeyringConfiguration) -> Result<Custodians, Failure> {
        let variables = variables(&self.configuration.environment);
        let mut known = (self.custodians.0.lock()).unwrap_or_else(PoisonError::into_inner);
        let mut usable = Custodians::default();
        let mut errors = Vec::new();
        for url in keyring.urls() {
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
        Ok(match &keyring.offline {
            Some(offline) => usable.with_offline(offline.open(&variables)?),
            None => usable,
        })
    }

    /// Opens a keyring with its custodians.
    pub async fn open_keyring(
        &self,
        keyring: &KeyringConfiguration,
        opens_compromised: bool,
    ) -> Result<LiveRing, Failure> {
        let custodians = self.custodians(keyring)?;
        open_with(keyring, custodians, opens_compromised).await
    }

    /// Opens all custodians of a keyring, to wrap keys. None is shared with [`custodians`](Self::custodians).
    pub fn all_custodians(
        &self,
        keyring: &KeyringConfiguration,
    ) -> Result<Vec<Arc<dyn Custodian>>, Failure> {
        let variables = variables(&self.configuration.environment);
        let open = |url: &String| Ok(Custodians::open(url, &variables)?);
        keyring.urls().iter().map(open).collect()
    }

    /// Opens each custodian of a keyring, without a request to it. None is shared either.
    #[must_use]
    pub fn each_custodian(
        &self,
        keyring: &KeyringConfiguration,
    ) -> Vec<Result<Arc<dyn Custodian>, CustodianError>> {
        let variables = variables(&self.configuration.environment);
        let open = |url: &String| Custodians::open(url, &variables);
        keyring.urls().iter().map(open).collect()
    }
}

/// The store of a keyring's document. It is not contacted before it is used.
pub fn document_store(keyring: &KeyringConfiguration) -> Result<Arc<dyn DocumentStore>, Failure> {
    Ok(match &keyring.url {
        StoreUrl::File(path) => Arc::new(FileDocumentStore::new(path)),
        StoreUrl::Redis(url) => {
            let store = RedisStore::lazy(url, RedisOptions::default())?;
            Arc::new(RecordDocumentStore::new(Arc::new(store)))
        }
    })
}

/// The options of a live keyring.
#[must_use]
pub fn options(keyring: &KeyringConfiguration, opens_compromised: bool) -> LiveOptions {
    if keyring.copy.is_none() {
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
        environment: keyring.environment.clone(),
        copy: keyring.copy.clone(),
        opens_compromised,
        now_ms: Arc::new(crate::now_ms),
    }
}

/// Opens a keyring with these custodians.
pub async fn open_with(
    keyring: &KeyringConfiguration,
    custodians: Custodians,
    opens_compromised: bool,
) -> Result<LiveRing, Failure> {
    let options = options(keyring, opens_compromised);
    Ok(LiveRing::open(document_store(keyring)?, custodians, options).await?)
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
