//! Failures as an operator reads them: what happened, and what to do about it. Every error of the libraries
//! becomes one.

use std::fmt;
use std::io;

use waxseal_core::{InvalidOption, KeyError, KeyringError, OpenError, SealError};
use waxseal_sessions::{GuardError, NameFault, SealedUnder, StateError};
use waxseal_stores::{PatternError, RecordPattern, StoreError, UrlError};
use waxseal_sweep::SweepError;

mod backup;
mod keyring;
mod runs;
pub(crate) mod secret_file;
pub(crate) mod untrusted;

/// The end of a command or task that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Everything was done.
    Done,
    /// Some record failed, or an audit found what it was asked to rule out.
    Findings,
}

/// The kind of a failure; the command line derives its exit status from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The store answered, and what was asked for does not exist.
    Absent,
    /// Something could not be done.
    Failed,
    /// Wrong usage or configuration.
    Usage,
}

/// A failure, with a hint where there is one.
#[derive(Debug)]
pub struct Failure {
    kind: Kind,
    text: String,
    hint: Option<String>,
    is_transient: bool,
    /// The hint is about exactly this failure, wherever it happened.
    is_precise: bool,
    /// The hint about the key, where one is missing or cannot be used. The full hint depends on whether the
    /// store is already sealed.
    key_hint: Option<&'static str>,
}

impl Failure {
    /// Something that could not be done.
    pub fn failed(text: impl fmt::Display) -> Self {
        Self {
            kind: Kind::Failed,
            text: text.to_string(),
            hint: None,
            is_transient: false,
            is_precise: false,
            key_hint: None,
        }
    }

    /// Wrong usage or configuration.
    pub fn usage(text: impl fmt::Display) -> Self {
        Self {
            kind: Kind::Usage,
            ..Self::failed(text)
        }
    }

    /// Something that was asked for and does not exist; the store answered.
    pub fn absent(text: impl fmt::Display) -> Self {
        Self {
            kind: Kind::Absent,
            ..Self::failed(text)
        }
    }

    /// The same failure with this hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same failure, caused by a key: its hint depends on whether the store is already sealed.
    pub(crate) fn of_key(mut self, hint: &'static str) -> Self {
        self.key_hint = Some(hint);
        self
    }

    /// The hint about the key, if the failure is about a key.
    #[must_use]
    pub fn key_hint(&self) -> Option<&'static str> {
        self.key_hint
    }

    /// The same failure of `what`. A hint that is about a connection in general is replaced.
    #[must_use]
    pub fn about(mut self, what: &str, hint: &str) -> Self {
        self.text = format!("{what}: {}", self.text);
        if self.is_transient && !self.is_precise {
            self.hint = Some(hint.to_owned());
        }
        self
    }

    /// The same failure, preceded by the name of what it is about.
    #[must_use]
    pub fn named(mut self, what: &str) -> Self {
        self.text = format!("{what}: {}", self.text);
        self
    }

    /// The text, without the hint.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The hint, if there is one.
    #[must_use]
    pub fn advice(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// The same failure, worth retrying.
    #[must_use]
    pub fn transient(mut self) -> Self {
        self.is_transient = true;
        self
    }

    /// True if it is worth retrying: a store that cannot be reached, or not yet.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        self.is_transient
    }

    /// The kind of failure.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The class of the failure, as the audit log records it.
    #[must_use]
    pub fn class(&self) -> &'static str {
        match self.kind {
            Kind::Usage => "usage",
            Kind::Absent => "failed",
            Kind::Failed if self.is_transient => "unavailable",
            Kind::Failed => "failed",
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::failed(error)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self {
            is_transient: error.is_transient(),
            is_precise: matches!(error, StoreError::Connection { .. }),
            hint: error.remedy(),
            ..Self::failed(&error)
        }
    }
}

impl From<SealError> for Failure {
    fn from(error: SealError) -> Self {
        match error {
            SealError::NoKey => no_key(),
            other => Self::failed(other),
        }
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        let hint = match error {
            OpenError::UnknownKey { .. } => {
                "add the key that sealed it to REDIS_ENCRYPTION_PREVIOUS_KEYS, or name the keyring \
                 that it was sealed under"
            }
            OpenError::Plaintext => "seal it with waxseal migrate, or set the mode to \"on\"",
            OpenError::Refused => {
                "wrong key, damaged, or copied from another record: waxseal inspect shows more"
            }
            OpenError::Compromised { .. } => {
                "waxseal rotate --open-compromised brings it under the sealing key"
            }
            OpenError::Erased { .. } => "it is permanently erased, as intended",
            _ => "waxseal inspect shows more",
        };
        Self::failed(error).hint(hint)
    }
}

/// The hint where the domain is another one than the canary's.
const OTHER_DOMAIN: &str = "nothing was changed; set domain in waxseal.toml to the recorded one (with a keyring: \
    environment), or check --store. To give a store another domain: write_version = 2, waxseal rotate, remove \
    waxseal:canary, then the new domain and write_version = 3";

impl From<GuardError> for Failure {
    fn from(error: GuardError) -> Self {
        match error {
            GuardError::WrongKey(_) => Self::failed(error).hint(
                "nothing was changed; set REDIS_ENCRYPTION_KEY to the key that sealed this store, \
                 and older keys in REDIS_ENCRYPTION_PREVIOUS_KEYS",
            ),
            GuardError::Compromised(_) => Self::failed(error)
                .hint("waxseal rotate --open-compromised brings everything under the sealing key"),
            GuardError::OtherDomain { .. } => Self::failed(error).hint(OTHER_DOMAIN),
            GuardError::NoKey(under) => {
                let sealed = sealed_already(&under);
                Self::usage(NO_KEY).hint(format!("set REDIS_ENCRYPTION_KEY; {sealed}"))
            }
            GuardError::UsersUnknown { .. } => Self::failed(error).hint(
                "nothing was changed; name the store that holds the keys of users: user_keys in \
                 waxseal.toml; where these keys were evicted or flushed, restore them, or delete the \
                 values, which nothing opens any more",
            ),
            GuardError::UsersLost { .. } | GuardError::UsersGone { .. } => Self::failed(error).hint(keyring::USERS_LOST),
            GuardError::Names { fault: NameFault::OtherKeys, .. } => Self::failed(error).hint(
                "nothing was changed; set REDIS_ENCRYPTION_KEY, or keyring and its custodian, and pad_names to what sealed the \
                 names",
            ),
            GuardError::Names { .. } => Self::failed(error).hint(
                "nothing was changed; stop all processes that use these records and run waxseal migrate --names --offline, \
                 which gives them the names that are looked for",
            ),
            GuardError::NamePattern(_) => Self::usage(error),
            GuardError::Seal(error) => error.into(),
            GuardError::Store(error) => error.into(),
            GuardError::Users(error) => error.into(),
            other => Self::failed(other),
        }
    }
}

impl From<StateError> for Failure {
    fn from(error: StateError) -> Self {
        match error {
            StateError::Store(error) => error.into(),
            StateError::Seal(error) => error.into(),
            other => Self::failed(other),
        }
    }
}

impl From<SweepError> for Failure {
    fn from(error: SweepError) -> Self {
        match error {
            SweepError::Store(error) => error.into(),
            SweepError::Seal(error) => error.into(),
            SweepError::Ring(error) => error.into(),
            SweepError::Users(error) => error.into(),
            lost @ SweepError::LostInEveryPass { .. } => Self::failed(lost)
                .hint("allow the store's user INFO (ACL SETUSER NAME +info), or find what closes its connections"),
            other => Self {
                is_transient: other.is_transient(),
                ..Self::failed(other)
            },
        }
    }
}

impl From<KeyError> for Failure {
    fn from(error: KeyError) -> Self {
        Self::usage(error)
            .of_key(SIXTY_FOUR)
            .hint("waxseal key generate creates a key")
    }
}

impl From<KeyringError> for Failure {
    fn from(error: KeyringError) -> Self {
        let failure = Self::usage(error);
        match error {
            KeyringError::Sealing(_) => failure
                .of_key(SIXTY_FOUR)
                .hint(format!("{SIXTY_FOUR}: waxseal key generate creates them")),
            _ => {
                failure.hint("REDIS_ENCRYPTION_PREVIOUS_KEYS lists older keys, separated by commas")
            }
        }
    }
}

impl From<UrlError> for Failure {
    fn from(error: UrlError) -> Self {
        let hint = match error {
            UrlError::NoTls => "write rediss:// for TLS, or leave them out",
            _ => "for example redis://127.0.0.1:6379 or file:states.waxseal",
        };
        Self::usage(error).hint(hint)
    }
}

impl From<PatternError> for Failure {
    fn from(error: PatternError) -> Self {
        let suggestion = error.suggestion();
        let hint = match &error {
            PatternError::Brace(..) => {
                let escaped = suggestion.as_deref().unwrap_or("\\{wa\\}:*");
                let hint =
                    format!("write '{escaped}' for braces of the name, and {{user}} for the user");
                return Self::usage(error).hint(hint);
            }
            PatternError::BesideUser(_) => {
                let apart = suggestion.as_deref().unwrap_or("wa:{user}:*");
                let hint = format!("for example '{apart}'");
                return Self::usage(error).hint(hint);
            }
            PatternError::ExceptOwned(_, _, owner) => {
                let owner = match RecordPattern::is_one_name(owner) {
                    true => "that record",
                    false => owner,
                };
                let hint = format!("except = [...] belongs under the [[protect]] of {owner}");
                return Self::usage(error).hint(hint);
            }
            PatternError::Except(_)
            | PatternError::ExceptUser(_)
            | PatternError::ExceptNothing(..)
            | PatternError::ExceptAll(..) => {
                "for example except = [\"sess:*_LOCK\"] for locks beside the records of sess:*"
            }
            _ => "for example 'wa:*' or 'wa:{user}'",
        };
        Self::usage(error).hint(hint)
    }
}

impl From<InvalidOption> for Failure {
    fn from(error: InvalidOption) -> Self {
        Self::usage(error)
    }
}

const NO_KEY: &str = "no encryption key is configured";
const SIXTY_FOUR: &str = "REDIS_ENCRYPTION_KEY holds 64 hexadecimal characters";

/// The hint for a store that is already sealed, where no key is configured.
#[must_use]
pub fn sealed_already(under: &SealedUnder) -> String {
    format!(
        "this store is sealed already, under {under}: find that key, and set REDIS_ENCRYPTION_KEY to it or \
         name the keyring that holds it; a new key would open nothing here"
    )
}

/// The failure where a key is needed and none is configured.
pub fn no_key() -> Failure {
    Failure::usage(NO_KEY)
        .of_key("set REDIS_ENCRYPTION_KEY")
        .hint("set REDIS_ENCRYPTION_KEY; waxseal key generate creates a key")
}

/// The failure where neither a key is configured nor plaintext allowed.
pub fn neither_key_nor_mode(is_key_blank: bool) -> Failure {
    let blank = match is_key_blank {
        true => " (REDIS_ENCRYPTION_KEY is set to nothing)",
        false => "",
    };
    Failure::usage(format!(
        "{NO_KEY}{blank}, and ENABLE_REDIS_ENCRYPTION is not set to false: values would be stored in plaintext"
    ))
    .of_key("set REDIS_ENCRYPTION_KEY")
    .hint(
        "waxseal key generate creates a key for REDIS_ENCRYPTION_KEY; to store values in plaintext, set \
         ENABLE_REDIS_ENCRYPTION=false, or mode = \"off\" in waxseal.toml",
    )
}
