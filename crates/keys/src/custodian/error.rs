//! Errors of custodians. No text contains a key or a secret.

use waxseal_core::KeyError;

use super::CustodianScheme;
use crate::secret_file::SecretFileError;

/// Errors of wrapping or unwrapping a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CustodianError {
    /// The URL names no kind of custodian that is known.
    #[error("a custodian URL starts with {}", CustodianScheme::prefixes())]
    Scheme,
    /// The URL is of a kind that this build leaves out.
    #[error("this waxseal was built without {scheme}: custodians")]
    NotBuilt {
        /// Its scheme, which is the name of the missing Cargo feature.
        scheme: CustodianScheme,
    },
    /// The URL is of a known kind, and malformed.
    #[error("the custodian URL {scheme}:… is malformed: {cause}")]
    Url {
        /// Its scheme.
        scheme: CustodianScheme,
        /// What is wrong, in a few words.
        cause: String,
    },
    /// The variable of the environment is not set.
    #[error("the custodian's variable {variable} is not set")]
    NotSet {
        /// Its name.
        variable: String,
    },
    /// The variable of the environment, or the file that it names, cannot be read, or says something that
    /// does not serve.
    #[error("the custodian's variable {variable} cannot be used: {cause}")]
    Variable {
        /// Its name.
        variable: String,
        /// Why, in words.
        cause: String,
    },
    /// The secret cannot be a key.
    #[error("the secret of the custodian {custodian} is no key: {error}")]
    Secret {
        /// Its URL.
        custodian: String,
        /// Why.
        error: KeyError,
    },
    /// The file of a secret cannot be used.
    #[error("the custodian's file {path} {error}")]
    File {
        /// The file.
        path: String,
        /// What is the matter with it.
        error: SecretFileError,
    },
    /// It cannot be reached, or does not answer in time.
    #[error("the custodian {custodian} cannot be reached: {cause}")]
    Unavailable {
        /// Its URL.
        custodian: String,
        /// What happened, in a few words.
        cause: String,
    },
    /// It does not unwrap this: wrapped by another key, for another ring or environment, or damaged.
    #[error("the custodian {custodian} does not unwrap this key")]
    Refused {
        /// Its URL.
        custodian: String,
    },
    /// It answers, and denies this process the operation: rights, expired credentials, a disabled key.
    #[error("the custodian {custodian} denies {operation}: {cause}")]
    Denied {
        /// Its URL.
        custodian: String,
        /// What was asked for: `wrap`, `unwrap`, `login`.
        operation: &'static str,
        /// What it says, in a few words.
        cause: String,
    },
    /// It answers, and the key-encryption key is not there, or cannot be told from others.
    #[error("the custodian {custodian} cannot wrap: {cause}")]
    NoKey {
        /// Its URL.
        custodian: String,
        /// What is missing, in a few words.
        cause: &'static str,
    },
    /// A key was to be made, and there is one.
    #[error("the custodian {custodian} has a key of this name already")]
    KeyExists {
        /// Its URL.
        custodian: String,
    },
    /// The hardware module does not take the PIN. It is not tried again: that could lock the token.
    #[error("the token of {custodian} does not take the PIN: {cause}")]
    Pin {
        /// The custodian's URL.
        custodian: String,
        /// What is known about it, in a few words.
        cause: &'static str,
    },
    /// The document names it, and this process was not told to use it.
    #[error("the custodian {custodian} is not configured here")]
    NotConfigured {
        /// Its URL.
        custodian: String,
    },
    /// None of several does.
    #[error("{}", several(.0))]
    Several(Vec<CustodianError>),
    /// The cryptographic library.
    #[error(transparent)]
    Library(#[from] KeyError),
}

fn several(errors: &[CustodianError]) -> String {
    let texts: Vec<_> = errors.iter().map(ToString::to_string).collect();
    texts.join("; ")
}

impl CustodianError {
    /// Whether a token did not take its PIN: nothing may try again by itself.
    #[must_use]
    pub fn is_about_pin(&self) -> bool {
        match self {
            Self::Pin { .. } => true,
            Self::Several(errors) => errors.iter().any(Self::is_about_pin),
            _ => false,
        }
    }

    /// Whether it may pass by itself.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unavailable { .. } => true,
            // One that comes back is enough; but each attempt would cost a token another PIN.
            Self::Several(errors) => {
                errors.iter().any(Self::is_transient) && !errors.iter().any(Self::is_about_pin)
            }
            _ => false,
        }
    }
}
