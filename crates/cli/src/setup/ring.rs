//! The keyring of this process: what was configured about it, and how it is opened.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, Once, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use waxseal_core::fingerprint;
use waxseal_keys::secret_file::Unusable;
use waxseal_keys::{
    CacheBounds, Custodian, CustodianError, Custodians, DEFAULT_VARIABLE, DocumentStore,
    FileDocumentStore, LiveOptions, LiveRing, UserKeys, Variables,
};
use waxseal_stores::{RecordStore, RedisOptions, RedisStore, StoreUrl, UrlError};
use waxseal_upkeep::{RecordDocumentStore, RecordUserKeys};

use super::offline::OfflineSetup;
use super::{Setup, environment_name, open_store};
use crate::args::Common;
use crate::config::Config;
use crate::environment::Environment;
use crate::error::Failure;
use crate::output;

/// What the name of a last good copy is made with.
const COPY: &str = "waxseal keyring copy v1";

/// What helps where the store of users' keys is not there.
const USERS_AWAY: &str = "check user_keys in waxseal.toml, and that the server runs there";

static WARNED: Once = Once::new();

/// What was configured about a keyring.
#[derive(Clone)]
pub(crate) struct RingSetup {
    pub(crate) url: StoreUrl,
    pub(crate) environment: String,
    /// Where the last good copy of this machine is kept.
    pub(crate) copy: Option<PathBuf>,
    custodians: Vec<String>,
    /// Those that are open, for whoever opens the keyring again and again until it can be had: each has a
    /// login, or a thread.
    open: Arc<Mutex<Opened>>,
    /// What a start without any custodian needs, where that was provided for.
    offline: Option<OfflineSetup>,
    /// The store of users' keys, where it is not that of the records.
    pub(super) users: Option<StoreUrl>,
}

/// The keyring, open.
pub(crate) struct OpenRing {
    pub(crate) ring: LiveRing,
    /// The keys of users, where some records are under such keys.
    pub(crate) users: Option<Users>,
}

/// The keys of users, and the store that they lie in.
#[derive(Clone)]
pub(crate) struct Users {
    pub(crate) keys: UserKeys,
    pub(crate) store: Arc<dyn RecordStore>,
}

/// Custodians that were opened, by their URLs as configured, and what was told of others.
#[derive(Default)]
struct Opened {
    custodians: HashMap<String, Arc<dyn Custodian>>,
    told: Vec<CustodianError>,
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

    /// Says once that one cannot be used.
    fn tell(&mut self, error: CustodianError) {
        if !self.told.contains(&error) {
            tracing::warn!("a custodian cannot be used: {error}");
            self.told.push(error);
        }
    }
}

impl RingSetup {
    pub(super) fn read(common: &Common, config: &Config) -> Result<Option<Self>, Failure> {
        let Some(text) = common.keyring.as_ref().or(config.keyring.as_ref()) else {
            let left_over = [
                ("custodian", !config.custodian.is_empty()),
                ("keyring_copy", config.keyring_copy.is_some()),
                ("user_keys", config.user_keys.is_some()),
                ("offline_key", config.offline_key.is_some()),
                ("--allow-offline", common.allow_offline),
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
        if common.keyring.is_some() && url.has_password() {
            super::warn_of_password(
                "put the URL into waxseal.toml as keyring, and let only this user read the file",
            );
        }
        let environment = environment_name(config).to_owned();
        let users = match &config.user_keys {
            Some(text) => Some(StoreUrl::parse(text)?),
            None => None,
        };
        // The copy that the file names is that of the ring that the file names: it must not be put
        // where a flag points to.
        let of_file = config.keyring.as_ref().is_none_or(|named| named == text);
        let copy = config.keyring_copy.clone().filter(|_| of_file);
        let copy = copy.or_else(|| {
            let of = format!("{}\n{environment}", url.location());
            let name = fingerprint(COPY, of.as_bytes());
            let name = format!("keyring-{}.json", name.get(..16)?);
            Some(Environment::state_directory()?.join(name))
        });
        Ok(Some(Self {
            offline: OfflineSetup::read(common, config, copy.as_deref())?,
            custodians: match &config.custodian[..] {
                [] => vec![format!("env:{DEFAULT_VARIABLE}")],
                configured => configured.to_vec(),
            },
            open: Arc::default(),
            url,
            environment,
            copy,
            users,
        }))
    }

    /// Where the document lies. Asks nobody: that it cannot be reached shows when it is used.
    pub(crate) fn place(&self) -> Result<Arc<dyn DocumentStore>, Failure> {
        Ok(match &self.url {
            StoreUrl::File(path) => Arc::new(FileDocumentStore::new(path)),
            StoreUrl::Redis(url) => {
                let store = RedisStore::lazy(url, RedisOptions::default())?;
                Arc::new(RecordDocumentStore::new(Arc::new(store)))
            }
        })
    }

    /// The same with these custodians, where any are named.
    pub(crate) fn with_custodians(&self, named: &[String]) -> Self {
        let mut this = self.clone();
        if !named.is_empty() {
            this.custodians = named.to_vec();
            this.open = Arc::default();
        }
        this
    }

    /// The same with these custodians beside those that are configured.
    pub(crate) fn and_custodians(&self, more: &[String]) -> Self {
        let mut this = self.clone();
        for url in more {
            if !this.custodians.contains(url) {
                this.custodians.push(url.clone());
                this.open = Arc::default();
            }
        }
        this
    }

    /// The custodians, as they are configured: with what is this machine's alone.
    pub(crate) fn urls(&self) -> &[String] {
        &self.custodians
    }

    /// All custodians that are configured: for wrapping.
    pub(crate) fn all_custodians(
        &self,
        environment: &Arc<Environment>,
    ) -> Result<Vec<Arc<dyn Custodian>>, Failure> {
        let variables = variables(environment);
        let custodian = |url: &String| Custodians::open(url, &variables).map_err(Failure::from);
        self.custodians.iter().map(custodian).collect()
    }

    /// Those of the configured custodians that this machine can use: any one that unwraps is enough.
    pub(crate) fn custodians(&self, environment: &Arc<Environment>) -> Result<Custodians, Failure> {
        let variables = variables(environment);
        let mut known = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let mut usable = Custodians::default();
        let mut trouble = Vec::new();
        for url in &self.custodians {
            // One that could not be opened may be there by now: a stick that was plugged in.
            match known.open(url, &variables) {
                Ok(custodian) => usable = usable.with(custodian),
                Err(error) => trouble.push(error),
            }
        }
        // What is there and wrong says more than what is not there.
        trouble.sort_by_key(is_absent);
        if usable.is_empty()
            && let Some(error) = trouble.first()
        {
            return Err(error.clone().into());
        }
        trouble
            .into_iter()
            .filter(|error| !is_absent(error))
            .for_each(|error| known.tell(error));
        Ok(match &self.offline {
            Some(offline) => usable.with_offline(offline.open(&variables)?),
            None => usable,
        })
    }

    /// Each custodian that is configured, opened; nobody is asked.
    pub(crate) fn open_each(
        &self,
        environment: &Arc<Environment>,
    ) -> Vec<Result<Arc<dyn Custodian>, CustodianError>> {
        let variables = variables(environment);
        let open = |url: &String| Custodians::open(url, &variables);
        self.custodians.iter().map(open).collect()
    }

    pub(crate) fn options(&self, opens_compromised: bool) -> LiveOptions {
        if self.copy.is_none() {
            // A process that waits for the keyring opens it again and again.
            WARNED.call_once(|| {
                let text = "no last good copy of the keyring is kept on this machine: none of \
                    STATE_DIRECTORY, XDG_STATE_HOME and HOME is set";
                output::complain("warning", text);
                output::advise("set one of them, or keyring_copy in waxseal.toml");
            });
        }
        LiveOptions {
            environment: self.environment.clone(),
            copy: self.copy.clone(),
            opens_compromised,
            now_ms: Arc::new(now_ms),
        }
    }

    /// Opens the keyring.
    pub(crate) async fn open(
        &self,
        environment: &Arc<Environment>,
        opens_compromised: bool,
    ) -> Result<LiveRing, Failure> {
        let custodians = self.custodians(environment)?;
        self.open_with(custodians, opens_compromised).await
    }

    /// The same, with these custodians.
    pub(crate) async fn open_with(
        &self,
        custodians: Custodians,
        opens_compromised: bool,
    ) -> Result<LiveRing, Failure> {
        let options = self.options(opens_compromised);
        Ok(LiveRing::open(self.place()?, custodians, options).await?)
    }
}

impl Setup {
    /// What was configured about the keyring, where a command cannot do without.
    pub(crate) fn ring_setup(&self) -> Result<&RingSetup, Failure> {
        self.ring_setup.as_ref().ok_or_else(|| {
            Failure::usage("no keyring is configured").hint(
                "name one with --keyring, for example --keyring file:/etc/waxseal/keyring.json, or \
                 in waxseal.toml",
            )
        })
    }

    /// Opens the keyring, where one is configured, and the keys of users, where records are under
    /// such keys.
    pub(crate) async fn open_ring(&mut self, opens_compromised: bool) -> Result<(), Failure> {
        self.open_ring_alone(opens_compromised).await?;
        let Some(opened) = &self.opened else {
            return Ok(());
        };
        if self.protected.iter().any(|protected| protected.per_user) {
            let users = self.open_users(&opened.ring, None).await;
            match (users, &mut self.opened) {
                (Ok(users), Some(opened)) => opened.users = Some(users),
                (Err(failure), _) => {
                    self.opened = None;
                    return Err(failure);
                }
                (Ok(_), None) => {}
            }
        }
        Ok(())
    }

    /// Opens the keyring, where one is configured, and nothing else: what is done about the keyring
    /// itself must not wait for the store of users' keys.
    pub(crate) async fn open_ring_alone(&mut self, opens_compromised: bool) -> Result<(), Failure> {
        // Opened again by who waits for it: an embedded store is open once.
        self.opened = None;
        if let Some(setup) = &self.ring_setup {
            if setup.offline.as_ref().is_some_and(OfflineSetup::starts) {
                self.trail.record_offline_start(&setup.url.location())?;
            }
            let ring = setup.open(&self.environment, opens_compromised).await?;
            self.opened = Some(OpenRing { ring, users: None });
        }
        Ok(())
    }

    /// The keys of users, whether records of this configuration are under such keys or not.
    pub(crate) async fn users(&self, records: &Arc<dyn RecordStore>) -> Result<Users, Failure> {
        let opened = self.opened_ring()?;
        match &opened.users {
            Some(users) => Ok(users.clone()),
            None => self.open_users(&opened.ring, Some(records)).await,
        }
    }

    async fn open_users(
        &self,
        ring: &LiveRing,
        records: Option<&Arc<dyn RecordStore>>,
    ) -> Result<Users, Failure> {
        let setup = self.ring_setup()?;
        let url = setup.users.as_ref().unwrap_or(&self.url);
        let store = match records {
            Some(store) if *url == self.url => store.clone(),
            _ => open_store(url).await.map_err(|failure| {
                if *url == self.url {
                    failure
                } else {
                    failure.about("the store of users' keys", USERS_AWAY)
                }
            })?,
        };
        let place = Arc::new(RecordUserKeys::new(store.clone()));
        let keys = UserKeys::new(place, ring.clone(), CacheBounds::default());
        Ok(Users { keys, store })
    }

    /// The keyring that was opened, where a command cannot do without.
    pub(crate) fn opened_ring(&self) -> Result<&OpenRing, Failure> {
        match &self.opened {
            Some(opened) => Ok(opened),
            None => self
                .ring_setup()
                .and(Err(Failure::failed("the keyring was not opened"))),
        }
    }

    /// The store of users' keys, if it is that of the records as well and open already.
    pub(super) fn shared_store(&self) -> Option<Arc<dyn RecordStore>> {
        let users = self.opened.as_ref()?.users.as_ref()?;
        let url = self.ring_setup.as_ref()?.users.as_ref();
        url.is_none_or(|url| *url == self.url)
            .then(|| users.store.clone())
    }
}

/// Whether a custodian is simply not on this machine, as where others are enough.
pub(crate) fn is_absent(error: &CustodianError) -> bool {
    match error {
        CustodianError::NotSet { .. } => true,
        CustodianError::File { error, .. } => {
            *error == Unusable::Unreadable(std::io::ErrorKind::NotFound)
        }
        _ => false,
    }
}

/// What custodians need of the environment.
pub(crate) fn variables(environment: &Arc<Environment>) -> Variables {
    let environment = environment.clone();
    Arc::new(move |name| {
        let secret = environment.secret(name);
        secret.map_err(|failure| failure.text().to_owned())
    })
}

fn url(text: &str) -> Result<StoreUrl, Failure> {
    match StoreUrl::parse(text) {
        // A process that runs in another directory shall mean the same file.
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

/// The time, in milliseconds since the Unix epoch.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
}
