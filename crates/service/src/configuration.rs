//! The settings of a process: plain data, from flags, the environment and a file. Flags override the
//! environment, the environment overrides the file. Nothing is opened here.

use std::path::PathBuf;
use std::sync::Arc;

use waxseal_core::{Format, Keyring, Mode, NameMask};
use waxseal_sessions::GuardedRecords;
use waxseal_stores::StoreUrl;

use crate::environment::Environment;
use crate::{Failure, notice};

mod channels;
pub mod decoys;
mod envelopes;
pub mod file;
pub mod keyring;
pub mod names;
pub mod offline;
pub mod protected;

use decoys::Decoy;
use file::ConfigurationFile;
use keyring::KeyringConfiguration;
use protected::{Protected, resolve, select};

/// The environment that is meant where none is named.
const DEFAULT_ENVIRONMENT: &str = "default";
/// The store that is used where none is named.
pub const DEFAULT_STORE: &str = "redis://127.0.0.1:6379";

/// The flags, as they were typed. URLs among them can hold passwords, so there is no `Debug`.
#[derive(Clone, Default)]
pub struct Flags {
    /// The URL of the store.
    pub store: Option<String>,
    /// Patterns of protected records.
    pub protect: Vec<String>,
    /// Patterns of records that stay plain.
    pub except: Vec<String>,
    /// The path of the configuration file.
    pub config: Option<PathBuf>,
    /// The path of the file of environment variables.
    pub env_file: Option<PathBuf>,
    /// The URL of the keyring.
    pub keyring: Option<String>,
    /// True if the process may start without custodians.
    pub allow_offline: bool,
}

/// The source of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueSource {
    /// By a flag.
    Flag,
    /// By an environment variable, or a file that stands for it.
    Environment,
    /// In the configuration file.
    File,
    /// Nowhere.
    Default,
}

/// The keys that are configured.
pub enum KeySettings {
    /// None.
    None,
    /// The keys of the environment.
    Environment(Arc<Keyring>),
    /// A keyring. The key of the environment, if there is one, is then only a custodian's secret.
    Ring(Box<KeyringConfiguration>),
}

/// All settings of a process, checked.
pub struct Configuration {
    /// The environment variables.
    pub environment: Arc<Environment>,
    /// The configuration file.
    pub file: ConfigurationFile,
    /// The store of the records.
    pub store: StoreUrl,
    /// Whether new values are sealed.
    pub mode: Mode,
    /// The source of the mode.
    pub mode_source: ValueSource,
    /// The keys.
    pub keys: KeySettings,
    /// In a trial, which seals nothing: the keys that are configured. They are used to find sealed values only.
    pub trial: Option<KeySettings>,
    /// The records that are protected: those that flags name, else those of the file.
    pub protected: Vec<Protected>,
    /// Records that the file protects and flags do not name.
    pub others: Vec<Protected>,
    /// The channels whose messages are protected. They hold no records.
    pub channels: Vec<Protected>,
    /// Records that no application reads.
    pub decoys: Vec<Decoy>,
}

impl Configuration {
    /// Reads the environment and the configuration file, and checks them together with the flags.
    pub fn read(flags: &Flags) -> Result<Self, Failure> {
        let environment = Environment::read(flags.env_file.as_deref())?;
        let file = ConfigurationFile::read(flags.config.as_deref())?;
        let keys = KeySettings::read(flags, &environment, &file)?;
        let default_mode = match keys {
            KeySettings::None => Mode::Off,
            KeySettings::Environment(_) | KeySettings::Ring(_) => Mode::On,
        };
        let (mode, mode_source) = match (environment.mode()?, &file.mode) {
            (Some(mode), _) => (mode, ValueSource::Environment),
            (None, Some(text)) => (text.parse()?, ValueSource::File),
            (None, None) => (default_mode, ValueSource::Default),
        };
        let (store, store_source) = store(flags, &environment, &file)?;
        if store_source == ValueSource::Flag && store.has_password() {
            warn_of_password(
                "put the URL into a file that only this user can read, and its path into \
                 REDIS_URL_FILE",
            );
        }
        let has_ring = matches!(keys, KeySettings::Ring(_));
        let selection = select(&flags.protect, &flags.except, &file, has_ring)?;
        names::check(selection.protected.iter().chain(&selection.others), &keys)?;
        let channels = channels::read(&file)?;
        let mut configuration = Self {
            channels,
            environment: Arc::new(environment),
            file,
            store,
            mode,
            mode_source,
            keys,
            trial: None,
            protected: selection.protected,
            others: selection.others,
            decoys: Vec::new(),
        };
        configuration.decoys = configuration.read_decoys()?;
        Ok(configuration)
    }

    /// True if the mode was set, and is not the default.
    #[must_use]
    pub fn is_mode_set(&self) -> bool {
        self.mode_source != ValueSource::Default
    }

    /// True in a trial, which seals nothing.
    #[must_use]
    pub fn is_trial(&self) -> bool {
        self.trial.is_some()
    }

    /// Turns this into the configuration of a trial: nothing is sealed, and no key is needed.
    pub fn begin_trial(&mut self) {
        self.mode = Mode::Off;
        self.mode_source = ValueSource::Flag;
        self.trial = Some(std::mem::replace(&mut self.keys, KeySettings::None));
        self.decoys.clear();
    }

    /// True if the keys are those of a keyring.
    #[must_use]
    pub fn has_keyring(&self) -> bool {
        matches!(self.keys, KeySettings::Ring(_))
    }

    /// True if any keys are configured.
    #[must_use]
    pub fn has_keys(&self) -> bool {
        !matches!(self.keys, KeySettings::None)
    }

    /// The keyring, for a command that needs one.
    pub fn keyring(&self) -> Result<&KeyringConfiguration, Failure> {
        match &self.keys {
            KeySettings::Ring(keyring) => Ok(&**keyring),
            KeySettings::None | KeySettings::Environment(_) => Err(Failure::usage(
                "no keyring is configured",
            )
            .hint(
                "name one with --keyring, for example --keyring file:/etc/waxseal/keyring.json, or \
                     in waxseal.toml",
            )),
        }
    }

    /// The name of the environment.
    #[must_use]
    pub fn environment_name(&self) -> &str {
        environment_name(&self.file)
    }

    /// Writes all records in this format, whatever the file says.
    pub fn write_as(&mut self, format: Format) -> Result<(), Failure> {
        for protected in &mut self.protected {
            if protected.per_user && format == Format::Classic {
                let records = protected.pattern.shown();
                return Err(Failure::usage(format!(
                    "\"{records}\" has per_user_keys: the classic format names no key"
                )));
            }
            if protected.names.is_some() && format == Format::Classic {
                let records = protected.pattern.shown();
                return Err(Failure::usage(format!(
                    "\"{records}\" has sealed names: the classic format has none"
                )));
            }
            protected.format = format;
        }
        Ok(())
    }

    /// Writes all records in this format, and takes it for the format of the applications as well: for a
    /// process that writes the applications' values.
    pub fn serve_as(&mut self, format: Format) -> Result<(), Failure> {
        self.write_as(format)?;
        for protected in &mut self.protected {
            protected.of_applications = protected.format;
        }
        Ok(())
    }

    /// The protected records that a name belongs to. A name that a flag matches may belong to a more specific
    /// pattern of the file.
    pub fn protected_records(&self, name: &[u8]) -> Result<&Protected, Failure> {
        let matches = |protected: &&Protected| protected.pattern.matches(name);
        let is_named = self
            .protected
            .iter()
            .any(|it| it.pattern.matches_form(name));
        let others = self.others.iter().filter(|_| is_named);
        let mut all = self.protected.iter().chain(others);
        all.find(matches).ok_or_else(|| {
            Failure::usage("this record matches no protected pattern")
                .hint("name a pattern that matches it, for example --protect 'sess:*'")
        })
    }

    /// The records that are protected when no flag names any.
    pub fn protected_by_file(&self) -> Result<Vec<Protected>, Failure> {
        Ok(select(&[], &[], &self.file, self.has_keyring())?.protected)
    }

    /// All protected records: those that flags name and those of the file.
    #[must_use]
    pub fn all_protected(&self) -> Vec<Protected> {
        let all = self.protected.iter().chain(&self.others);
        resolve(all.cloned().collect())
    }

    /// The records that the guard of the key reads: more than those that a flag names.
    pub fn guarded(&self) -> Result<Vec<GuardedRecords>, Failure> {
        protected::guarded(&self.protected, &self.file, self.has_keyring(), self.mode)
    }

    /// Protects the records of the file as well that a flag matches in part: for a process between
    /// applications and the store, which must not pass their values through unsealed.
    pub fn protect_overlapping(&mut self) {
        let (overlapping, others): (Vec<_>, Vec<_>) = std::mem::take(&mut self.others)
            .into_iter()
            .partition(|it| self.is_overlapping(it));
        self.others = others;
        self.protected.extend(overlapping);
    }

    /// The records of the file that a flag matches in part.
    pub(crate) fn overlapping_others(&self) -> impl Iterator<Item = &Protected> {
        self.others.iter().filter(|it| self.is_overlapping(it))
    }

    fn is_overlapping(&self, other: &Protected) -> bool {
        let mut named = self.protected.iter();
        named.any(|it| it.pattern.overlaps(&other.pattern))
    }

    /// Warns of records that match a flag's pattern but belong to a more specific one of the file: a pass over
    /// the former skips them.
    pub fn warn_of_skipped_records(&self) {
        let is_skipped = |it: &&Protected| {
            let mut yielding = self
                .protected
                .iter()
                .flat_map(|its| its.pattern.yields_to());
            yielding.any(|pattern| *pattern == it.pattern)
        };
        let skipped: Vec<_> = self.others.iter().filter(is_skipped).collect();
        let Some(first) = skipped.first() else {
            return;
        };
        let shown: Vec<_> = skipped.iter().map(|it| it.pattern.shown()).collect();
        notice::warning_with_hint(
            &format!(
                "records of {} are left out: they match what --protect names, and the configuration has \
                 a more specific pattern for them",
                shown.join(", ")
            ),
            &format!(
                "name these as well: --protect '{}'; without --protect all configured records are included",
                first.pattern.shown()
            ),
        );
    }

    /// The mask of record names in errors about the configuration itself.
    fn name_mask(&self) -> NameMask {
        match &self.keys {
            KeySettings::Environment(keyring) => keyring.name_mask().clone(),
            KeySettings::None | KeySettings::Ring(_) => NameMask::random(),
        }
    }
}

impl KeySettings {
    fn read(
        flags: &Flags,
        environment: &Environment,
        file: &ConfigurationFile,
    ) -> Result<Self, Failure> {
        let keyring = KeyringConfiguration::read(flags, file)?;
        let domain = envelopes::domain(file, keyring.is_some())?;
        if let Some(keyring) = keyring {
            return Ok(Self::Ring(Box::new(keyring)));
        }
        Ok(match environment.key() {
            Some(hex) => {
                let keyring = Keyring::from_hex(hex, environment.previous_keys())?;
                Self::Environment(Arc::new(keyring.with_domain(domain.as_bytes())))
            }
            None => Self::None,
        })
    }
}

/// The store of the records, and where it was set.
pub(crate) fn store(
    flags: &Flags,
    environment: &Environment,
    file: &ConfigurationFile,
) -> Result<(StoreUrl, ValueSource), Failure> {
    let candidates = [
        (flags.store.as_deref(), ValueSource::Flag),
        (environment.url(), ValueSource::Environment),
        (file.store.as_deref(), ValueSource::File),
    ];
    let set = candidates
        .into_iter()
        .find_map(|(text, source)| Some((text?, source)));
    let (text, source) = set.unwrap_or((DEFAULT_STORE, ValueSource::Default));
    Ok((StoreUrl::parse(text)?, source))
}

/// The environment that a configuration file names.
#[must_use]
pub fn environment_name(file: &ConfigurationFile) -> &str {
    let name = file.environment.as_deref().map(str::trim);
    name.filter(|name| !name.is_empty())
        .unwrap_or(DEFAULT_ENVIRONMENT)
}

fn warn_of_password(hint: &str) {
    let text = "a password on the command line can be read by every user of this machine";
    notice::warning_with_hint(text, hint);
}
