//! From what was typed, set and configured to what the commands need: the store, the keys, the
//! mode, the protected records. A flag goes over the environment, the environment over the file.

use std::sync::Arc;

use waxseal_core::{Format, Keyring, Mode, NameMask, PlainValues, Sealer};
use waxseal_sessions::{Canary, CanaryState};
use waxseal_stores::{
    Clock, EmbeddedStore, RecordPattern, RecordStore, RedisOptions, RedisStore, StoreUrl,
};

use crate::args::{Common, FormatArg};
use crate::config::{Config, Protect};
use crate::environment::Environment;
use crate::error::{Failure, no_key};
use crate::output;

const DEFAULT_STORE: &str = "redis://127.0.0.1:6379";
const DEFAULT_RECORDS: &str = "wa:*";
const DEFAULT_NAME: &str = "WhatsApp state";

/// Everything that was configured, checked.
pub(crate) struct Setup {
    pub(crate) environment: Environment,
    pub(crate) config: Config,
    pub(crate) url: StoreUrl,
    pub(crate) mode: Mode,
    pub(crate) keyring: Option<Arc<Keyring>>,
    pub(crate) protected: Vec<Protected>,
    pub(crate) json: bool,
}

/// Records that are protected together.
#[derive(Clone)]
pub(crate) struct Protected {
    /// What they are called in reports.
    pub(crate) name: String,
    pub(crate) pattern: RecordPattern,
    pub(crate) format: Format,
    pub(crate) plain: PlainValues,
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
    pub(crate) fn read(common: &Common) -> Result<Self, Failure> {
        let environment = Environment::read()?;
        let config = Config::read(common.config.as_deref())?;
        let keyring = match environment.key() {
            Some(hex) => Some(Arc::new(Keyring::from_hex(
                hex,
                environment.previous_keys(),
            )?)),
            None => None,
        };
        let default_mode = if keyring.is_some() {
            Mode::On
        } else {
            Mode::Off
        };
        let mode = match (environment.mode()?, &config.mode) {
            (Some(mode), _) => mode,
            (None, Some(word)) => word.parse()?,
            (None, None) => default_mode,
        };
        let url = Self::url(common, &environment, &config)?;
        let protected = protected(&common.protect, &config)?;
        Ok(Self {
            environment,
            config,
            url,
            mode,
            keyring,
            protected,
            json: common.json,
        })
    }

    fn url(
        common: &Common,
        environment: &Environment,
        config: &Config,
    ) -> Result<StoreUrl, Failure> {
        if let Some(text) = &common.store {
            let url = StoreUrl::parse(text)?;
            if url.has_password() {
                let text =
                    "a password on the command line can be read by every user of this machine";
                output::complain("warning", text);
                output::advise("put the URL into REDIS_URL or waxseal.toml instead");
            }
            return Ok(url);
        }
        let text = environment
            .url()
            .or(config.store.as_deref())
            .unwrap_or(DEFAULT_STORE);
        Ok(StoreUrl::parse(text)?)
    }

    pub(crate) async fn open_store(&self) -> Result<Arc<dyn RecordStore>, Failure> {
        open_store(&self.url).await
    }

    /// The keyring, where a command cannot do without.
    pub(crate) fn keyring(&self) -> Result<Arc<Keyring>, Failure> {
        self.keyring.clone().ok_or_else(no_key)
    }

    /// A sealer for some protected records, in this mode.
    pub(crate) fn sealer(&self, protected: &Protected, mode: Mode) -> Sealer {
        match &self.keyring {
            Some(keyring) => Sealer::new(keyring.clone(), mode, protected.format),
            None => Sealer::without_keys(),
        }
        .plain_values(protected.plain)
    }

    /// How record names are shown.
    pub(crate) fn mask(&self) -> NameMask {
        self.keyring
            .as_ref()
            .map_or_else(NameMask::random, |ring| ring.name_mask().clone())
    }

    /// The protected records that a name is one of.
    pub(crate) fn protected(&self, name: &str) -> Result<&Protected, Failure> {
        let matching = |protected: &&Protected| protected.pattern.matches(name.as_bytes());
        self.protected.iter().find(matching).ok_or_else(|| {
            Failure::usage("this record is under no protected pattern")
                .hint("name a pattern that means it, for example --protect 'sess:*'")
        })
    }

    /// The records that are protected when no flag says otherwise.
    pub(crate) fn configured(&self) -> Result<Vec<Protected>, Failure> {
        protected(&[], &self.config)
    }

    /// Makes sure that the key is the one of this store, before anything is read or changed.
    pub(crate) async fn check_key(
        &self,
        store: &Arc<dyn RecordStore>,
    ) -> Result<CanaryState, Failure> {
        Ok(Canary::of(store.clone())
            .check(&self.any_sealer(), &self.patterns())
            .await?)
    }

    /// The same, and leaves a canary for next time.
    pub(crate) async fn check_key_and_mark(
        &self,
        store: &Arc<dyn RecordStore>,
    ) -> Result<CanaryState, Failure> {
        let canary = Canary::of(store.clone());
        Ok(canary
            .check_or_create(&self.any_sealer(), &self.patterns())
            .await?)
    }

    /// A sealer that is not for certain records: for the canary.
    pub(crate) fn any_sealer(&self) -> Sealer {
        let format = self
            .protected
            .first()
            .map_or(Format::Classic, |protected| protected.format);
        match &self.keyring {
            Some(keyring) => Sealer::new(keyring.clone(), Mode::On, format),
            None => Sealer::without_keys(),
        }
    }

    fn patterns(&self) -> Vec<RecordPattern> {
        // Elsewhere a Base64 text that does not open says nothing about the key.
        let json = self
            .protected
            .iter()
            .filter(|protected| protected.plain == PlainValues::Json);
        json.map(|protected| protected.pattern.clone()).collect()
    }
}

pub(crate) async fn open_store(url: &StoreUrl) -> Result<Arc<dyn RecordStore>, Failure> {
    Ok(match url {
        StoreUrl::Redis(url) => Arc::new(RedisStore::connect(url, RedisOptions::default()).await?),
        StoreUrl::File(path) => Arc::new(EmbeddedStore::open(path, Clock::system())?),
    })
}

fn protected(flags: &[String], config: &Config) -> Result<Vec<Protected>, Failure> {
    let configured: Vec<Protected> = config
        .protect
        .iter()
        .map(from_config)
        .collect::<Result<_, _>>()?;
    if flags.is_empty() {
        return if configured.is_empty() {
            Ok(vec![from_pattern(DEFAULT_RECORDS)?])
        } else {
            Ok(configured)
        };
    }
    flags
        .iter()
        .map(|flag| {
            let same = configured
                .iter()
                .find(|protected| protected.pattern.as_str() == flag);
            same.cloned().map_or_else(|| from_pattern(flag), Ok)
        })
        .collect()
}

/// A pattern with nothing more said about it.
fn from_pattern(text: &str) -> Result<Protected, Failure> {
    let pattern = RecordPattern::parse(text)?;
    let states = pattern.glob() == DEFAULT_RECORDS;
    Ok(Protected {
        name: if states {
            DEFAULT_NAME.to_owned()
        } else {
            text.to_owned()
        },
        plain: if states {
            PlainValues::Json
        } else {
            PlainValues::Any
        },
        format: Format::Classic,
        pattern,
    })
}

fn from_config(protect: &Protect) -> Result<Protected, Failure> {
    let mut protected = from_pattern(&protect.records)?;
    if let Some(name) = &protect.name {
        protected.name.clone_from(name);
    }
    if let Some(format) = &protect.format {
        protected.format = format.parse()?;
    }
    if let Some(plain) = &protect.plain_values {
        protected.plain = plain.parse()?;
    }
    // What a library does with a refused value; checked here so that a misspelling shows.
    if let Some(word) = &protect.refused
        && !["error", "absent", "quarantine"].contains(&word.as_str())
    {
        return Err(Failure::usage(
            "refused is one of error, absent, quarantine",
        ));
    }
    Ok(protected)
}
