//! Errors of custodians. No text contains a key or a secret.

use waxseal_core::KeyError;

use super::CustodianScheme;
use crate::secret_file::SecretFileError;

/// Errors of wrapping or unwrapping a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CustodianError {
    /// The URL has an unknown scheme.
    #[error("a custodian URL starts with {}", CustodianScheme::prefixes())]
    Scheme,
    /// The URL has a scheme that this build does not include.
    #[error("this waxseal was built without {scheme}: custodians")]
    NotBuilt {
        /// Its scheme, which is the name of the missing Cargo feature.
        scheme: CustodianScheme,
    },
    /// The URL has a known scheme, and is malformed.
    #[error("the custodian URL {scheme}:… is malformed: {cause}")]
    Url {
        /// Its scheme.
        scheme: CustodianScheme,
        /// The defect, in a few words.
        cause: String,
    },
    /// The variable of the environment is not set.
    #[error("the custodian's variable {variable} is not set")]
    NotSet {
        /// Its name.
        variable: String,
    },
    /// The variable of the environment, or the file that it names, cannot be read or has an unusable value.
    #[error("the custodian's variable {variable} cannot be used: {cause}")]
    Variable {
        /// Its name.
        variable: String,
        /// The reason, in words.
        cause: String,
    },
    /// The secret is not a key.
    #[error("the secret of the custodian {custodian} is not a valid key: {error}")]
    Secret {
        /// Its URL.
        custodian: String,
        /// The defect.
        error: KeyError,
    },
    /// The file of a secret cannot be used.
    #[error("the custodian's file {path} {error}")]
    File {
        /// The file.
        path: String,
        /// The problem with it.
        error: SecretFileError,
    },
    /// It cannot be reached, or does not answer in time.
    #[error("the custodian {custodian} cannot be reached: {cause}")]
    Unavailable {
        /// Its URL.
        custodian: String,
        /// The cause, in a few words.
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
        /// The operation: `wrap`, `unwrap`, `login`.
        operation: &'static str,
        /// Its answer, in a few words.
        cause: String,
    },
    /// It answers, and the key-encryption key does not exist or is ambiguous.
    #[error("the custodian {custodian} cannot wrap: {cause}")]
    NoKey {
        /// Its URL.
        custodian: String,
        /// The problem, in a few words.
        cause: &'static str,
    },
    /// A key was to be created, and exists already.
    #[error("the custodian {custodian} has a key of this name already")]
    KeyExists {
        /// Its URL.
        custodian: String,
    },
    /// The hardware module does not accept the PIN. It is not tried again: that could lock the token.
    #[error("the token of {custodian} does not take the PIN: {cause}")]
    Pin {
        /// The custodian's URL.
        custodian: String,
        /// The reason, in a few words.
        cause: &'static str,
    },
    /// The document names it, and this process is not configured to use it.
    #[error("the custodian {custodian} is not configured here")]
    NotConfigured {
        /// Its URL.
        custodian: String,
    },
    /// All of several custodians failed.
    #[error("{}", several(.0))]
    Several(Vec<CustodianError>),
    /// The cryptographic library failed.
    #[error(transparent)]
    Library(#[from] KeyError),
}

fn several(errors: &[CustodianError]) -> String {
    let texts: Vec<_> = errors.iter().map(ToString::to_string).collect();
    texts.join("; ")
}

impl CustodianError {
    /// True if a token did not accept its PIN: nothing may retry automatically.
    #[must_use]
    pub fn is_about_pin(&self) -> bool {
        match self {
            Self::Pin { .. } => true,
            Self::Several(errors) => errors.iter().any(Self::is_about_pin),
            _ => false,
        }
    }

    /// True if a later attempt may succeed without intervention.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unavailable { .. } => true,
            // One that recovers is enough; but each attempt would send a token another PIN.
            Self::Several(errors) => {
                errors.iter().any(Self::is_transient) && !errors.iter().any(Self::is_about_pin)
            }
            _ => false,
        }
    }
}
