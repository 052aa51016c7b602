//! Errors of custodians. No text contains a key or a secret.

use waxseal_core::KeyError;

use super::CustodianScheme;
use crate::secret_file::SecretFileError;

/// Errors of wrapping or unwrapping a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CustodianError {
    /// The URL has no known scheme.
    #[error("a custodian URL starts with {}", CustodianScheme::prefixes())]
    Scheme,
    /// This build does not include custodians of this scheme.
    #[error("this waxseal was built without {scheme}: custodians")]
    NotBuilt {
        /// Its scheme, which is the name of the missing Cargo feature.
        scheme: CustodianScheme,
    },
    /// The URL is malformed.
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
    /// The variable of the environment, or the file that it names, cannot be read, or has an
    /// invalid value.
    #[error("the custodian's variable {variable} cannot be used: {cause}")]
    Variable {
        /// Its name.
        variable: String,
        /// The cause, in words.
        cause: String,
    },
    /// The secret is not a key.
    #[error("the secret of the custodian {custodian} is not a key: {error}")]
    Secret {
        /// Its URL.
        custodian: String,
        /// The cause.
        error: KeyError,
    },
    /// The file of a secret cannot be used.
    #[error("the custodian's file {path} {error}")]
    File {
        /// The file.
        path: String,
        /// The defect of the file.
        error: SecretFileError,
    },
    /// It cannot be reached, or did not answer in time.
    #[error("the custodian {custodian} cannot be reached: {cause}")]
    Unavailable {
        /// Its URL.
        custodian: String,
        /// The cause, in a few words.
        cause: String,
    },
    /// It rejects the input: wrapped by another key, for another ring or environment, or damaged.
    #[error("the custodian {custodian} does not unwrap this key")]
    Refused {
        /// Its URL.
        custodian: String,
    },
    /// It answers, and denies this process the operation: rights, expired credentials, a disabled
    /// key.
    #[error("the custodian {custodian} denies {operation}: {cause}")]
    Denied {
        /// Its URL.
        custodian: String,
        /// The operation: `wrap`, `unwrap`, `login`.
        operation: &'static str,
        /// Its reason, in a few words.
        cause: String,
    },
    /// It answers, and the key-encryption key is missing or ambiguous.
    #[error("the custodian {custodian} cannot wrap: {cause}")]
    NoKey {
        /// Its URL.
        custodian: String,
        /// The missing part, in a few words.
        cause: &'static str,
    },
    /// The key to be created exists.
    #[error("the custodian {custodian} has a key of this name already")]
    KeyExists {
        /// Its URL.
        custodian: String,
    },
    /// The hardware module rejects the PIN. It is not sent again: that could lock the token.
    #[error("the token of {custodian} rejects the PIN: {cause}")]
    Pin {
        /// The custodian's URL.
        custodian: String,
        /// The known cause, in a few words.
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
    /// The cryptographic library.
    #[error(transparent)]
    Library(#[from] KeyError),
}

fn several(errors: &[CustodianError]) -> String {
    let texts: Vec<_> = errors.iter().map(ToString::to_string).collect();
    texts.join("; ")
}

impl CustodianError {
    /// True if a token rejected its PIN: nothing may retry automatically.
    #[must_use]
    pub fn is_about_pin(&self) -> bool {
        match self {
            Self::Pin { .. } => true,
            Self::Several(errors) => errors.iter().any(Self::is_about_pin),
            _ => false,
        }
    }

    /// True if it may be temporary.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unavailable { .. } => true,
            // One that recovers is enough; but each attempt would cost a token another PIN.
            Self::Several(errors) => {
                errors.iter().any(Self::is_transient) && !errors.iter().any(Self::is_about_pin)
            }
            _ => false,
        }
    }
}
