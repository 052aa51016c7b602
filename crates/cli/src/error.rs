//! How the command line fails: what it says, what it advises, and its exit status.

use std::fmt;
use std::io;
use std::process::ExitCode;

use waxseal_core::{KeyError, KeyringError, OpenError, SealError, UnknownWord};
use waxseal_sessions::{GuardError, StateError};
use waxseal_stores::{PatternError, RecordPattern, StoreError, UrlError};
use waxseal_sweep::SweepError;

mod backup;
mod keyring;

/// The end of a command that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Everything was done.
    Done,
    /// Some record failed, or an audit found what it was asked to rule out.
    Findings,
}

/// What kind of failure it is; decides the exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Answered, and there is nothing of the kind: status 1.
    Absent,
    /// Not done: status 2.
    Failed,
    /// Wrong usage or configuration: status 64.
    Usage,
}

/// A failure, with advice where there is some.
#[derive(Debug)]
pub(crate) struct Failure {
    kind: Kind,
    text: String,
    hint: Option<String>,
    passing: bool,
    /// The hint is about exactly this failure, wherever it happened.
    precise: bool,
    /// What is to be done about the key, where one is missing or cannot be used: which one depends on
    /// whether the store is sealed already.
    about_key: Option<&'static str>,
}

impl From<Ended> for ExitCode {
    fn from(ended: Ended) -> Self {
        match ended {
            Ended::Done => Self::SUCCESS,
            Ended::Findings => Self::from(1),
        }
    }
}

impl Failure {
    pub(crate) fn failed(text: impl fmt::Display) -> Self {
        Self {
            kind: Kind::Failed,
            text: text.to_string(),
            hint: None,
            passing: false,
            precise: false,
            about_key: None,
        }
    }

    pub(crate) fn usage(text: impl fmt::Display) -> Self {
        Self {
            kind: Kind::Usage,
            ..Self::failed(text)
        }
    }

    /// What was asked for is not there, and the store answered.
    pub(crate) fn absent(text: impl fmt::Display) -> Self {
        Self {
            kind: Kind::Absent,
            ..Self::failed(text)
        }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same failure, of a key: advice depends on whether the store is sealed already.
    fn of_key(mut self, what: &'static str) -> Self {
        self.about_key = Some(what);
        self
    }

    /// What is to be done about the key, if that is what the failure is about.
    pub(crate) fn about_key(&self) -> Option<&'static str> {
        self.about_key
    }

    /// The same failure of something that is not what its own hint would make one think of.
    pub(crate) fn about(mut self, what: &str, hint: &str) -> Self {
        self.text = format!("{what}: {}", self.text);
        if self.passing && !self.precise {
            self.hint = Some(hint.to_owned());
        }
        self
    }

    /// The same failure, with what it is about named before it.
    pub(crate) fn named(mut self, what: &str) -> Self {
        self.text = format!("{what}: {}", self.text);
        self
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn advice(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// It may pass by itself.
    pub(crate) fn passing(mut self) -> Self {
        self.passing = true;
        self
    }

    /// Whether it may pass by itself: a store that is not there, or not there yet.
    pub(crate) fn is_transient(&self) -> bool {
        self.passing
    }

    /// What kind of failure it is, without its words.
    pub(crate) fn class(&self) -> &'static str {
        match self.kind {
            Kind::Usage => "usage",
            Kind::Absent => "failed",
            Kind::Failed if self.passing => "unavailable",
            Kind::Failed => "failed",
        }
    }

    /// Says what went wrong, and gives the exit status.
    pub(crate) fn report(&self) -> ExitCode {
        crate::output::complain("error", &self.text);
        if let Some(hint) = &self.hint {
            crate::output::advise(hint);
        }
        ExitCode::from(match self.kind {
            Kind::Absent => 1,
            Kind::Failed => 2,
            Kind::Usage => 64,
        })
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
            passing: error.is_transient(),
            precise: matches!(error, StoreError::Connection { .. }),
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
                "wrong key, damaged, or copied from another record: waxseal inspect tells more"
            }
            OpenError::Compromised { .. } => {
                "waxseal rotate --open-compromised brings it under the sealing key"
            }
            OpenError::Erased { .. } => "it is gone for good, as it shall be",
            _ => "waxseal inspect tells more",
        };
        Self::failed(error).hint(hint)
    }
}

impl From<GuardError> for Failure {
    fn from(error: GuardError) -> Self {
        match error {
            GuardError::WrongKey(_) => Self::failed(error).hint(
                "nothing was changed; set REDIS_ENCRYPTION_KEY to the key that sealed this store, \
                 and older keys in REDIS_ENCRYPTION_PREVIOUS_KEYS",
            ),
            GuardError::Compromised(_) => Self::failed(error)
                .hint("waxseal rotate --open-compromised brings everything under the sealing key"),
            GuardError::NoKey(under) => {
                let sealed = crate::setup::sealed_already(&under);
                Self::usage(NO_KEY).hint(format!("set REDIS_ENCRYPTION_KEY; {sealed}"))
            }
            GuardError::UsersUnknown { .. } => Self::failed(error).hint(
                "nothing was changed; name the store that holds the keys of users: user_keys in \
                 waxseal.toml; where these keys were evicted or flushed, restore them, or delete the \
                 values, which nothing opens any more",
            ),
            GuardError::UsersLost { .. } | GuardError::UsersGone { .. } => Self::failed(error).hint(keyring::USERS_LOST),
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
                passing: other.is_transient(),
                ..Self::failed(other)
            },
        }
    }
}

impl From<KeyError> for Failure {
    fn from(error: KeyError) -> Self {
        Self::usage(error)
            .of_key(SIXTY_FOUR)
            .hint("waxseal key generate makes a key")
    }
}

impl From<KeyringError> for Failure {
    fn from(error: KeyringError) -> Self {
        let failure = Self::usage(error);
        match error {
            KeyringError::Sealing(_) => failure
                .of_key(SIXTY_FOUR)
                .hint(format!("{SIXTY_FOUR}: waxseal key generate makes them")),
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

impl From<UnknownWord> for Failure {
    fn from(error: UnknownWord) -> Self {
        Self::usage(error)
    }
}

const NO_KEY: &str = "no encryption key is configured";
const SIXTY_FOUR: &str = "REDIS_ENCRYPTION_KEY holds 64 hexadecimal characters";

/// There is no key where one is needed.
pub(crate) fn no_key() -> Failure {
    Failure::usage(NO_KEY)
        .of_key("set REDIS_ENCRYPTION_KEY")
        .hint("set REDIS_ENCRYPTION_KEY; waxseal key generate makes a key")
}

/// There is no key, and nobody said that values may be stored in plaintext.
pub(crate) fn neither_key_nor_mode(is_key_blank: bool) -> Failure {
    let blank = match is_key_blank {
        true => " (REDIS_ENCRYPTION_KEY is set to nothing)",
        false => "",
    };
    Failure::usage(format!(
        "{NO_KEY}{blank}, and ENABLE_REDIS_ENCRYPTION is not set to false: values would be stored in plaintext"
    ))
    .of_key("set REDIS_ENCRYPTION_KEY")
    .hint(
        "waxseal key generate makes a key for REDIS_ENCRYPTION_KEY; to store values in plaintext, set \
         ENABLE_REDIS_ENCRYPTION=false, or mode = \"off\" in waxseal.toml",
    )
}
