//! The resources that a process opened for its configuration: the keyring, the users' keys and the store. A command reads
//! the configuration first and opens only what it needs.

use std::sync::Arc;

use waxseal_keys::{CacheBounds, LiveRing, UserKeys};
use waxseal_stores::{Clock, EmbeddedStore, RecordStore, RedisOptions, RedisStore, StoreUrl};
use waxseal_upkeep::RecordUserKeys;

use crate::Failure;
use crate::audit_log::Trail;
use crate::configuration::keyring::KeyringConfiguration;
use crate::configuration::offline::OfflineConfiguration;
use crate::configuration::{Configuration, Flags, KeySettings};

pub mod guard;
pub mod key_hint;
pub mod keyring;
pub mod keys;
pub mod named;
pub mod names_in_clear;
pub mod record_names;
pub mod scopes;
pub mod seals;
pub mod trial;

use keyring::OpenCustodians;

/// The hint where the store of users' keys cannot be reached.
const USERS_UNREACHABLE: &str = "check user_keys in waxseal.toml, and that the server runs there";

/// A configuration, and what was opened for it.
pub struct Resources {
    /// The settings.
    pub configuration: Configuration,
    /// The audit log.
    pub trail: Arc<Trail>,
    ring: Option<OpenRing>,
    custodians: OpenCustodians,
}

/// An open keyring.
pub struct OpenRing {
    /// The keyring, kept up to date.
    pub ring: LiveRing,
    /// The keys of users, where some records are under such keys.
    pub users: Option<Users>,
}

/// The keys of users, and the store that holds them.
#[derive(Clone)]
pub struct Users {
    /// The keys.
    pub keys: UserKeys,
    /// Their store.
    pub store: Arc<dyn RecordStore>,
}

impl Resources {
    /// Reads the configuration, and opens nothing.
    pub fn read(flags: &Flags) -> Result<Self, Failure> {
        let configuration = Configuration::read(flags)?;
        let trail = Trail::read(
            &configuration.file,
            &configuration.environment,
            configuration.environment_name(),
        )?;
        Ok(Self {
            configuration,
            trail: Arc::new(trail),
            ring: None,
            custodians: OpenCustodians::default(),
        })
    }

    /// Reads the configuration, and opens the keyring where one is configured.
    pub async fn open(flags: &Flags) -> Result<Self, Failure> {
        let mut resources = Self::read(flags)?;
        resources.open_ring(false).await?;
        Ok(resources)
    }

    /// Opens the keyring, where one is configured, and the keys of users, where records are under such keys.
    pub async fn open_ring(&mut self, opens_compromised: bool) -> Result<(), Failure> {
        self.open_ring_alone(opens_compromised).await?;
        if !self.configuration.protected.iter().any(|it| it.per_user) {
            return Ok(());
        }
        // A failure leaves the keyring closed.
        if let Some(mut opened) = self.ring.take() {
            opened.users = Some(open_users(&self.configuration, &opened.ring, None).await?);
            self.ring = Some(opened);
        }
        Ok(())
    }

    /// Opens the keyring, where one is configured, and nothing else: work on the keyring itself must not wait
    /// for the store of users' keys.
    pub async fn open_ring_alone(&mut self, opens_compromised: bool) -> Result<(), Failure> {
        // A process that retries gets here again, and an embedded store can be open only once.
        self.ring = None;
        if let KeySettings::Ring(keyring) = &self.configuration.keys {
            if keyring
                .offline
                .as_ref()
                .is_some_and(OfflineConfiguration::is_allowed)
            {
                self.trail.record_offline_start(&keyring.url.location())?;
            }
            let ring = self.open_keyring(keyring, opens_compromised).await?;
            self.ring = Some(OpenRing { ring, users: None });
        }
        Ok(())
    }

    /// The open keyring, where there is one.
    #[must_use]
    pub fn ring(&self) -> Option<&OpenRing> {
        self.ring.as_ref()
    }

    /// The open keyring, for a command that needs one.
    pub fn opened_ring(&self) -> Result<&OpenRing, Failure> {
        match &self.ring {
            Some(opened) => Ok(opened),
            None => self
                .configuration
                .keyring()
                .and(Err(Failure::failed("the keyring was not opened"))),
        }
    }

    /// The keys of users, whether records of this configuration are under such keys or not.
    pub async fn users(&self, records: &Arc<dyn RecordStore>) -> Result<Users, Failure> {
        let opened = self.opened_ring()?;
        match &opened.users {
            Some(users) => Ok(users.clone()),
            None => open_users(&self.configuration, &opened.ring, Some(records)).await,
        }
    }

    /// Opens the store of the records, with the names that applications know.
    pub async fn open_store(&self) -> Result<Arc<dyn RecordStore>, Failure> {
        record_names::open(self, self.stored_store().await?)
    }

    /// Opens the store of the records, with names as they are stored, or shares that of users' keys where it is the same.
    ///
    /// An embedded store can be open only once: what needs both takes this one, and
    /// [opens](record_names::open) the other over it.
    pub async fn stored_store(&self) -> Result<Arc<dyn RecordStore>, Failure> {
        match self.shared_store() {
            Some(store) => Ok(store),
            None => open_store(&self.configuration.store).await,
        }
    }

    /// The store of users' keys, if it is open and that of the records as well.
    fn shared_store(&self) -> Option<Arc<dyn RecordStore>> {
        let users = self.ring.as_ref()?.users.as_ref()?;
        let keyring = self.configuration.keyring().ok()?;
        let is_same = *users_url(&self.configuration, keyring) == self.configuration.store;
        is_same.then(|| users.store.clone())
    }
}

/// Opens a store.
pub async fn open_store(url: &StoreUrl) -> Result<Arc<dyn RecordStore>, Failure> {
    Ok(match url {
        StoreUrl::Redis(url) => Arc::new(RedisStore::connect(url, RedisOptions::default()).await?),
        StoreUrl::File(path) => Arc::new(EmbeddedStore::open(path, Clock::system())?),
    })
}

/// Opens the keys of users. `records` is the store of the records, if it is open.
async fn open_users(
    configuration: &Configuration,
    ring: &LiveRing,
    records: Option<&Arc<dyn RecordStore>>,
) -> Result<Users, Failure> {
    let url = users_url(configuration, configuration.keyring()?);
    let is_same = *url == configuration.store;
    let store = match records {
        Some(store) if is_same => store.clone(),
        _ => open_store(url).await.map_err(|failure| match is_same {
            true => failure,
            false => failure.about("the store of users' keys", USERS_UNREACHABLE),
        })?,
    };
    let place = Arc::new(RecordUserKeys::new(store.clone()));
    let keys = UserKeys::new(place, ring.clone(), CacheBounds::default());
    Ok(Users { keys, store })
}

/// The store of users' keys: that of the records, unless another one is configured.
fn users_url<'c>(
    configuration: &'c Configuration,
    keyring: &'c KeyringConfiguration,
) -> &'c StoreUrl {
    keyring.users.as_ref().unwrap_or(&configuration.store)
}
