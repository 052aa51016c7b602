//! From what was typed, set and configured to what the commands need: the store, the keys, the
//! mode, the protected records. A flag goes over the environment, the environment over the file.

use std::sync::Arc;

use waxseal_core::{
    Format, KeyId, KeyRole, Keyring, Mode, NameMask, Sealer, SharedKeyring, UserKey,
};
use waxseal_keys::{KeyState, UserKeys};
use waxseal_stores::{Clock, EmbeddedStore, RecordStore, RedisOptions, RedisStore, StoreUrl};
use waxseal_sweep::Keys;

use crate::args::{Common, FormatArg};
use crate::audit_log::Trail;
use crate::config::Config;
use crate::environment::Environment;
use crate::error::{Failure, no_key};
use crate::output;

mod decoys;
mod guard;
mod named;
mod offline;
mod protected;
mod ring;
mod sealed_already;
mod seals;
mod trial;
mod upkeep;

pub(crate) use decoys::Decoy;
#[cfg(test)]
pub(crate) use protected::DEFAULT_RECORDS;
pub(crate) use protected::{DEFAULT_FORMAT, Protected};
pub(crate) use ring::{OpenRing, RingSetup, Users, is_absent, now_ms, variables};
pub(crate) use sealed_already::advise;

use protected::{choose, resolve};

/// The environment that is meant where none is named.
const DEFAULT_ENVIRONMENT: &str = "default";
pub(crate) const DEFAULT_STORE: &str = "redis://127.0.0.1:6379";

/// Everything that was configured, checked.
pub(crate) struct Setup {
    pub(crate) environment: Arc<Environment>,
    pub(crate) config: Config,
    pub(crate) url: StoreUrl,
    pub(crate) mode: Mode,
    /// Whether the mode was said, in the environment or in the configuration, and is not the default.
    pub(crate) is_mode_chosen: bool,
    /// Nothing is sealed, whatever is configured.
    pub(crate) is_trial: bool,
    /// The keys of the environment; not read where a keyring is configured.
    keyring: Option<Arc<Keyring>>,
    ring_setup: Option<RingSetup>,
    opened: Option<OpenRing>,
    trial_keys: trial::TrialKeys,
    pub(crate) protected: Vec<Protected>,
    /// Records that the configuration protects and flags do not name.
    pub(crate) others: Vec<Protected>,
    /// Records that no application reads.
    pub(crate) decoys: Vec<Decoy>,
    pub(crate) json: bool,
    /// Where it is recorded who did what.
    pub(crate) trail: Arc<Trail>,
}

impl From<FormatArg> for Format {
    fn from(format: FormatArg) -> Self {
        match format {
            FormatArg::Classic => Self::Classic,
            FormatArg::Sealed => Self::Sealed,
        }
    }
}

impl Setup {
    /// The same as [`read`](Self::read), with the keyring open where one is configured.
    pub(crate) async fn open(common: &Common) -> Result<Self, Failure> {
        let mut setup = Self::read(common)?;
        setup.open_ring(false).await?;
        Ok(setup)
    }

    pub(crate) fn read(common: &Common) -> Result<Self, Failure> {
        let environment = Environment::read(common.env_file.as_deref())?;
        let config = Config::read(common.config.as_deref())?;
        let ring_setup = RingSetup::read(common, &config)?;
        let keyring = match environment.key() {
            // It may be a custodian's secret, and no more than that.
            _ if ring_setup.is_some() => None,
            Some(hex) => Some(Arc::new(Keyring::from_hex(
                hex,
                environment.previous_keys(),
            )?)),
            None => None,
        };
        let default_mode = if keyring.is_some() || ring_setup.is_some() {
            Mode::On
        } else {
            Mode::Off
        };
        let chosen_mode = match (environment.mode()?, &config.mode) {
            (Some(mode), _) => Some(mode),
            (None, Some(word)) => Some(word.parse()?),
            (None, None) => None,
        };
        let url = Self::url(common, &environment, &config)?;
        if common.store.is_some() && url.has_password() {
            warn_of_password(
                "put the URL into a file that only this user can read, and its path into \
                 REDIS_URL_FILE",
            );
        }
        let chosen = choose(
            &common.protect,
            &common.except,
            &config,
            ring_setup.is_some(),
        )?;
        let environment = Arc::new(environment);
        let trail = Arc::new(Trail::read(
            &config,
            &environment,
            environment_name(&config),
        )?);
        let mut setup = Self {
            environment,
            config,
            url,
            mode: chosen_mode.unwrap_or(default_mode),
            is_mode_chosen: chosen_mode.is_some(),
            is_trial: false,
            keyring,
            ring_setup,
            opened: None,
            trial_keys: trial::TrialKeys::default(),
            protected: chosen.protected,
            others: chosen.others,
            decoys: Vec::new(),
            json: common.json,
            trail,
        };
        setup.decoys = setup.read_decoys()?;
        Ok(setup)
    }

    fn url(
        common: &Common,
        environment: &Environment,
        config: &Config,
    ) -> Result<StoreUrl, Failure> {
        let typed = common.store.as_deref();
        let text = typed
            .or(environment.url())
            .or(config.store.as_deref())
            .unwrap_or(DEFAULT_STORE);
        Ok(StoreUrl::parse(text)?)
    }

    pub(crate) async fn open_store(&self) -> Result<Arc<dyn RecordStore>, Failure> {
        match self.shared_store() {
            Some(store) => Ok(store),
            None => open_store(&self.url).await,
        }
    }

    /// All records are written in this format, whatever the configuration says.
    pub(crate) fn write_as(&mut self, format: FormatArg) -> Result<(), Failure> {
        let format = Format::from(format);
        for protected in &mut self.protected {
            if protected.per_user && format == Format::Classic {
                let records = protected.pattern.shown();
                return Err(Failure::usage(format!(
                    "\"{records}\" has per_user_keys: the classic format names no key"
                )));
            }
            protected.format = format;
        }
        Ok(())
    }

    /// The same for what writes the values of applications itself: they are judged so as well.
    pub(crate) fn serve_as(&mut self, format: FormatArg) -> Result<(), Failure> {
        self.write_as(format)?;
        for protected in &mut self.protected {
            protected.of_applications = protected.format;
        }
        Ok(())
    }

    /// Whether the keys are those of a keyring.
    pub(crate) fn follows_ring(&self) -> bool {
        self.ring_setup.is_some()
    }

    /// Whether any keys are configured.
    pub(crate) fn has_keys(&self) -> bool {
        self.keyring.is_some() || self.ring_setup.is_some()
    }

    /// The keys of this moment, where a command cannot do without.
    pub(crate) fn keyring(&self) -> Result<Arc<Keyring>, Failure> {
        match self.shared_keyring() {
            Some(keyring) => Ok(keyring.current()),
            None => Err(no_key()),
        }
    }

    /// The keys, as sealers follow them.
    fn shared_keyring(&self) -> Option<SharedKeyring> {
        match &self.opened {
            Some(opened) => Some(opened.ring.keyring()),
            None => self.keyring.clone().map(SharedKeyring::from),
        }
    }

    /// A sealer for some protected records, in this mode. Where values are under keys of users, it
    /// is for those of no user: [`record_sealer`](Self::record_sealer) knows more.
    ///
    /// What is plain is judged as the applications of this configuration do, whose values these are. An
    /// audit without any key cannot try one, so it takes nothing for plain that may be classic.
    pub(crate) fn sealer(&self, protected: &Protected, mode: Mode) -> Sealer {
        let judging = match self.has_keys() {
            true => self.mode,
            false => mode,
        };
        self.sealer_of(mode, protected.format)
            .plain_values(protected.plain)
            .judging_as(judging, protected.of_applications)
    }

    /// A sealer for one record, with the key of its user where records are under such keys. Makes
    /// the key where it is missing and `seals`.
    pub(crate) async fn record_sealer(
        &self,
        protected: &Protected,
        mode: Mode,
        name: &[u8],
        seals: bool,
    ) -> Result<Sealer, Failure> {
        let sealer = self.sealer(protected, mode);
        if protected.pattern.is_excepted(name) {
            // Opened with the user's key, if there is one, and never sealed.
            let sealer = sealer.writing_plain();
            return Ok(match self.user_key(protected, name, false).await? {
                Some(key) => sealer.for_user(key),
                None => sealer,
            });
        }
        Ok(match self.user_key(protected, name, seals).await? {
            Some(key) => sealer.for_user(key),
            None => sealer,
        })
    }

    /// The key of the user that a record belongs to, where records are under such keys. Makes it
    /// where it is missing and `seals`.
    pub(crate) async fn user_key(
        &self,
        protected: &Protected,
        name: &[u8],
        seals: bool,
    ) -> Result<Option<Arc<UserKey>>, Failure> {
        let (Some(keys), Some(user)) = (self.user_keys(protected), protected.pattern.user(name))
        else {
            return Ok(None);
        };
        Ok(if seals {
            keys.read_or_create(&[user]).await?.pop()
        } else {
            keys.read(&[user]).await?.pop().flatten()
        })
    }

    /// The keys of users, where these records are under such keys.
    pub(crate) fn user_keys(&self, protected: &Protected) -> Option<&UserKeys> {
        let users = self.opened.as_ref()?.users.as_ref()?;
        protected.per_user.then_some(&users.keys)
    }

    /// Where a sweep over these records looks for keys.
    pub(crate) fn keys(&self, protected: &Protected) -> Keys {
        Keys {
            ring: self.opened.as_ref().map(|opened| opened.ring.clone()),
            users: self.user_keys(protected).cloned(),
        }
    }

    /// Makes sure that the key that seals is not one that others may have given up.
    pub(crate) async fn confirm(&self) -> Result<(), Failure> {
        match &self.opened {
            Some(opened) if !opened.ring.is_confirmed() => Ok(opened.ring.confirm().await?),
            _ => Ok(()),
        }
    }

    /// What a key is for, or what became of it.
    pub(crate) fn key_state(&self, id: KeyId) -> &'static str {
        let role = match &self.opened {
            Some(opened) => match opened.ring.ring().entry(id) {
                Some(entry) if entry.state == KeyState::Destroyed => return "destroyed",
                _ => opened.ring.keyring().current().role(id),
            },
            None => self.keyring.as_ref().and_then(|ring| ring.role(id)),
        };
        role.map_or("unknown", KeyRole::as_str)
    }

    /// The keys that are configured: those of the ring in its order, else those of the environment with
    /// the sealing key first.
    pub(crate) fn key_ids(&self) -> Vec<KeyId> {
        match (&self.opened, &self.keyring) {
            (Some(opened), _) => opened.ring.ring().keys().iter().map(|it| it.id).collect(),
            (None, Some(keyring)) => keyring.usage().map(|it| it.id).collect(),
            (None, None) => Vec::new(),
        }
    }

    /// The name of the environment.
    pub(crate) fn environment_name(&self) -> &str {
        environment_name(&self.config)
    }

    /// How record names are shown.
    pub(crate) fn mask(&self) -> NameMask {
        self.shared_keyring()
            .map_or_else(NameMask::random, |it| it.current().name_mask().clone())
    }

    fn sealer_of(&self, mode: Mode, format: Format) -> Sealer {
        match self.shared_keyring() {
            Some(keyring) => Sealer::new(keyring, mode, format),
            None => Sealer::without_keys(),
        }
    }

    /// The protected records that a name is one of. One that a flag matches may belong to a more specific
    /// pattern of the configuration.
    pub(crate) fn protected(&self, name: &[u8]) -> Result<&Protected, Failure> {
        let matching = |protected: &&Protected| protected.pattern.matches(name);
        let is_asked_for = self.protected.iter().any(|it| it.pattern.names(name));
        let others = self.others.iter().filter(|_| is_asked_for);
        let mut all = self.protected.iter().chain(others);
        all.find(matching).ok_or_else(|| {
            Failure::usage("this record is under no protected pattern")
                .hint("name a pattern that matches it, for example --protect 'sess:*'")
        })
    }

    /// The records that are protected when no flag says otherwise.
    pub(crate) fn configured(&self) -> Result<Vec<Protected>, Failure> {
        Ok(choose(&[], &[], &self.config, self.ring_setup.is_some())?.protected)
    }

    /// Protects the records of the configuration as well that a flag matches in part: for what stands
    /// between applications and the store, which must not let their values by.
    pub(crate) fn protect_overlapping(&mut self) {
        let typed = &self.protected;
        let overlaps = |it: &Protected| typed.iter().any(|its| its.pattern.overlaps(&it.pattern));
        let (overlapping, others) = std::mem::take(&mut self.others)
            .into_iter()
            .partition(|it| overlaps(it));
        self.others = others;
        let overlapping: Vec<Protected> = overlapping;
        self.protected.extend(overlapping);
    }

    /// Tells of records that typed patterns match, and that belong to more specific ones of the
    /// configuration: a pass over the former leaves them out.
    pub(crate) fn warn_of_left_out(&self) {
        let is_left = |it: &&Protected| {
            let mut yielding = self
                .protected
                .iter()
                .flat_map(|its| its.pattern.yields_to());
            yielding.any(|pattern| *pattern == it.pattern)
        };
        let left: Vec<_> = self.others.iter().filter(is_left).collect();
        let Some(first) = left.first() else {
            return;
        };
        let shown: Vec<_> = left.iter().map(|it| it.pattern.shown()).collect();
        output::complain(
            "warning",
            &format!(
                "records of {} are left out: they match what --protect names, and the configuration has \
                 a more specific pattern for them",
                shown.join(", ")
            ),
        );
        output::advise(&format!(
            "name these as well: --protect '{}'; without --protect all that is configured is gone through",
            first.pattern.shown()
        ));
    }

    /// A sealer that is not for certain records: for the canary.
    pub(crate) fn any_sealer(&self) -> Sealer {
        let format = self
            .protected
            .first()
            .map_or(DEFAULT_FORMAT, |protected| protected.format);
        self.sealer_of(Mode::On, format)
    }
}

/// The environment that a configuration names.
pub(crate) fn environment_name(config: &Config) -> &str {
    let name = config.environment.as_deref().map(str::trim);
    name.filter(|name| !name.is_empty())
        .unwrap_or(DEFAULT_ENVIRONMENT)
}

fn warn_of_password(remedy: &str) {
    let text = "a password on the command line can be read by every user of this machine";
    output::complain("warning", text);
    output::advise(remedy);
}

pub(crate) async fn open_store(url: &StoreUrl) -> Result<Arc<dyn RecordStore>, Failure> {
    Ok(match url {
        StoreUrl::Redis(url) => Arc::new(RedisStore::connect(url, RedisOptions::default()).await?),
        StoreUrl::File(path) => Arc::new(EmbeddedStore::open(path, Clock::system())?),
    })
}
