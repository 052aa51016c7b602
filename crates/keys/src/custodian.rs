//! Custodians: who holds the key-encryption key, and wraps and unwraps data keys with it. Where the
//! wrapped bytes are kept is not known here.

use std::sync::Arc;

use async_trait::async_trait;
use waxseal_core::SecretKey;
use zeroize::Zeroizing;

use crate::error::CustodianError;

#[cfg(feature = "awskms")]
mod awskms;
#[cfg(any(feature = "pkcs11", feature = "vault"))]
mod bound;
mod file;
mod local;
mod measured;
mod open;
#[cfg(feature = "pkcs11")]
mod pkcs11;
mod several;
#[cfg(feature = "vault")]
mod vault;

#[cfg(feature = "awskms")]
pub use awskms::AwsKmsCustodian;
pub(crate) use local::secret;
pub use local::{DEFAULT_VARIABLE, LocalCustodian, is_variable};
#[cfg(feature = "pkcs11")]
pub use pkcs11::{Pkcs11Custodian, Pkcs11Uri, hung_custodians};
pub use several::Custodians;

/// The PKCS#11 custodians of this process whose module does not answer, and for how long: none without PKCS#11.
#[cfg(not(feature = "pkcs11"))]
#[must_use]
pub fn hung_custodians() -> Vec<(String, std::time::Duration)> {
    Vec::new()
}

pub(crate) use several::{Source, sanitize_for_terminal};
#[cfg(feature = "vault")]
pub use vault::VaultCustodian;

/// Holds a key-encryption key.
///
/// The contract, beyond what each method says:
///
/// - What was wrapped for one context is unwrapped for no other.
/// - A custodian that cannot be reached answers [`CustodianError::Unavailable`] within a bounded time,
///   and is asked anew the next time.
/// - What it was not made for, or what was changed, is [`CustodianError::Refused`] and never taken for
///   an outage.
/// - Opening one asks nobody: that it cannot be reached shows when it is used.
/// - No error holds a key or a part of one, nor a text of the service that could.
#[async_trait]
pub trait Custodian: Send + Sync {
    /// Where it is, as it stands in the document: the same on every machine, and holds no secret.
    fn url(&self) -> &str;

    /// Wraps a data key for a context.
    async fn wrap(&self, key: &SecretKey, context: &Context<'_>)
    -> Result<Wrapped, CustodianError>;

    /// Unwraps what was wrapped for this context.
    async fn unwrap(
        &self,
        wrapped: &Wrapped,
        context: &Context<'_>,
    ) -> Result<SecretKey, CustodianError>;

    /// Wraps anew, under its newest key, what it wrapped once for this context; where the service can
    /// do that by itself, the data key does not leave it.
    async fn rewrap(
        &self,
        wrapped: &Wrapped,
        context: &Context<'_>,
    ) -> Result<Wrapped, CustodianError> {
        let key = self.unwrap(wrapped, context).await?;
        self.wrap(&key, context).await
    }
}

/// What a custodian made of a data key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrapped {
    /// How, where the custodian has more ways than one; stands in the document.
    pub mechanism: Option<String>,
    /// The wrapped key.
    pub bytes: Vec<u8>,
}

impl Wrapped {
    /// By a custodian with one way of wrapping.
    #[must_use]
    pub fn bytes(bytes: Vec<u8>) -> Self {
        Self {
            mechanism: None,
            bytes,
        }
    }
}

/// What a data key is wrapped for: it opens nowhere else.
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
    /// The context as bytes: each part with its length as 4 bytes, big-endian, before it.
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

/// Reads a variable that a custodian needs: its secret, its PIN, the address of its service. Whoever
/// opens custodians decides where variables come from; an error says in words why one that is set cannot
/// be read. Asked again whenever the custodian logs in anew.
pub type Variables = Arc<dyn Fn(&str) -> Result<Option<Zeroizing<String>>, String> + Send + Sync>;

/// Variables from a function that simply has them or not, such as `|name| std::env::var(name).ok()`.
pub fn variables(read: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Variables {
    Arc::new(move |name| Ok(read(name).map(Zeroizing::new)))
}
