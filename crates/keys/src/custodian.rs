//! Custodians hold the key-encryption key, and wrap and unwrap data keys with it. Where the wrapped
//! bytes are stored is not known here.

use std::sync::Arc;

use async_trait::async_trait;
use waxseal_core::SecretKey;
use zeroize::Zeroizing;

#[cfg(feature = "awskms")]
mod awskms;
#[cfg(any(feature = "pkcs11", feature = "vault"))]
mod bound;
mod error;
mod file;
mod instrumented;
mod local;
mod offline;
mod open;
#[cfg(feature = "pkcs11")]
mod pkcs11;
mod scheme;
mod several;
#[cfg(feature = "vault")]
mod vault;
mod wrap;

#[cfg(feature = "awskms")]
pub use awskms::AwsKmsCustodian;
pub use error::CustodianError;
pub(crate) use local::secret;
pub use local::{DEFAULT_VARIABLE, LocalCustodian, is_variable};
pub use offline::Offline;
#[cfg(feature = "pkcs11")]
pub use pkcs11::{Pkcs11Custodian, Pkcs11Uri, hung_custodians};
pub use scheme::CustodianScheme;
pub use several::Custodians;

/// The PKCS#11 custodians of this process whose module does not answer, and for how long: none in a
/// build without PKCS#11.
#[cfg(not(feature = "pkcs11"))]
#[must_use]
pub fn hung_custodians() -> Vec<(String, std::time::Duration)> {
    Vec::new()
}

pub(crate) use several::{UnwrapSource, sanitize_for_terminal};
#[cfg(feature = "vault")]
pub use vault::VaultCustodian;
pub use wrap::Wrap;

/// A holder of a key-encryption key.
///
/// The contract, beyond what each method says:
///
/// - A key wrapped for one context is unwrapped for no other.
/// - A custodian that cannot be reached returns [`CustodianError::Unavailable`] within a bounded
///   time, and is tried again by the next call.
/// - Anything it did not wrap, or that was changed, is [`CustodianError::Refused`] and never
///   reported as an outage.
/// - Opening one contacts nothing: an unreachable custodian shows when it is used.
/// - No error holds a key or a part of one, nor a text of the service that could.
#[async_trait]
pub trait Custodian: Send + Sync {
    /// Its address, as the document has it: the same on every machine, and free of secrets.
    fn url(&self) -> &str;

    /// Wraps a data key for a context.
    async fn wrap(&self, key: &SecretKey, context: &Context<'_>)
    -> Result<Wrapped, CustodianError>;

    /// Unwraps a key that was wrapped for this context.
    async fn unwrap(
        &self,
        wrapped: &Wrapped,
        context: &Context<'_>,
    ) -> Result<SecretKey, CustodianError>;

    /// Wraps under its newest key what it wrapped before for this context. Where the service
    /// supports that, the data key does not leave it.
    async fn rewrap(
        &self,
        wrapped: &Wrapped,
        context: &Context<'_>,
    ) -> Result<Wrapped, CustodianError> {
        let key = self.unwrap(wrapped, context).await?;
        self.wrap(&key, context).await
    }
}

/// A data key as a custodian wrapped it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrapped {
    /// The mechanism, where the custodian has several; stored in the document.
    pub mechanism: Option<String>,
    /// The wrapped key.
    pub bytes: Vec<u8>,
}

impl Wrapped {
    /// The result of a custodian with one mechanism.
    #[must_use]
    pub fn bytes(bytes: Vec<u8>) -> Self {
        Self {
            mechanism: None,
            bytes,
        }
    }
}

/// The context that a data key is wrapped for: it can be unwrapped in no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Context<'a> {
    /// The environment of the ring.
    pub environment: &'a str,
    /// The ring.
    pub ring: &'a str,
    /// The key's id as 8 hexadecimal characters, or `names` for the ring's own secret.
    pub key: &'a str,
}

impl Context<'_> {
    /// The context as bytes: each part prefixed with its length as 4 bytes, big-endian.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for part in [self.environment, self.ring, self.key] {
            let len = u32::try_from(part.len()).unwrap_or(u32::MAX);
            bytes.extend_from_slice(&len.to_be_bytes());
            bytes.extend_from_slice(part.as_bytes());
        }
        bytes
    }
}

/// Reads a variable that a custodian needs: its secret, its PIN, the address of its service. The
/// caller that opens custodians decides where variables come from; the error says why one that is
/// set cannot be read. Called again at each new login.
pub type Variables = Arc<dyn Fn(&str) -> Result<Option<Zeroizing<String>>, String> + Send + Sync>;

/// Variables from a function that cannot fail, such as `
/// name
/// std::env::var(name).ok()`.
pub fn variables(read: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Variables {
    Arc::new(move |name| Ok(read(name).map(Zeroizing::new)))
}
