//! Custodians: who holds the key-encryption key, and wraps and unwraps data keys with it. Where the
//! wrapped bytes are kept is not known here.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use waxseal_core::{KeyError, SecretKey, WrappingKey};

use crate::error::CustodianError;

mod file;

/// Holds a key-encryption key.
///
/// The contract, beyond what each method says:
///
/// - What was wrapped for one context is unwrapped for no other.
/// - A custodian that cannot be reached answers [`CustodianError::Unavailable`] within a bounded time.
/// - No error holds a key or a part of one.
#[async_trait]
pub trait Custodian: Send + Sync {
    /// Where it is, as it stands in the document: holds no secret.
    fn url(&self) -> &str;

    /// Wraps a data key for a context.
    async fn wrap(&self, key: &SecretKey, context: &Context<'_>)
    -> Result<Vec<u8>, CustodianError>;

    /// Unwraps what was wrapped for this context.
    async fn unwrap(
        &self,
        wrapped: &[u8],
        context: &Context<'_>,
    ) -> Result<SecretKey, CustodianError>;
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

/// A custodian whose key-encryption key is in this process: from a variable of the environment
/// (`env:NAME`) or from a file (`file:PATH`).
pub struct LocalCustodian {
    url: String,
    key: WrappingKey,
}

impl LocalCustodian {
    /// The custodian of this URL with this secret.
    pub fn new(url: impl Into<String>, secret: &SecretKey) -> Result<Self, KeyError> {
        Ok(Self {
            url: url.into(),
            key: WrappingKey::of_secret(secret)?,
        })
    }
}

#[async_trait]
impl Custodian for LocalCustodian {
    fn url(&self) -> &str {
        &self.url
    }

    async fn wrap(
        &self,
        key: &SecretKey,
        context: &Context<'_>,
    ) -> Result<Vec<u8>, CustodianError> {
        Ok(self.key.wrap(key, &context.to_bytes())?)
    }

    async fn unwrap(
        &self,
        wrapped: &[u8],
        context: &Context<'_>,
    ) -> Result<SecretKey, CustodianError> {
        let key = self.key.unwrap(wrapped, &context.to_bytes());
        key.ok_or_else(|| CustodianError::Refused {
            custodian: self.url.clone(),
        })
    }
}

/// The variable that `env:` means.
pub const DEFAULT_VARIABLE: &str = "REDIS_ENCRYPTION_KEY";

/// The custodians that this process can reach, by their URLs.
#[derive(Clone, Default)]
pub struct Custodians(HashMap<String, Arc<dyn Custodian>>);

impl Custodians {
    /// Adds one.
    #[must_use]
    pub fn with(mut self, custodian: Arc<dyn Custodian>) -> Self {
        self.0.insert(custodian.url().to_owned(), custodian);
        self
    }

    /// Opens the custodian of a URL. `variable` gives variables of the environment: only the caller
    /// reads them.
    ///
    /// `env:` is `env:REDIS_ENCRYPTION_KEY`; `file:PATH` holds a key as 64 hexadecimal characters, and
    /// is refused where others than its owner can read it.
    pub fn open(
        url: &str,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Arc<dyn Custodian>, CustodianError> {
        let (scheme, rest) = url.split_once(':').unwrap_or((url, ""));
        let (url, secret) = match scheme {
            "env" => {
                let name = if rest.is_empty() {
                    DEFAULT_VARIABLE
                } else {
                    rest
                };
                let value = variable(name).filter(|value| !value.trim().is_empty());
                let value =
                    zeroize::Zeroizing::new(value.ok_or_else(|| CustodianError::NotSet {
                        variable: name.to_owned(),
                    })?);
                let secret =
                    SecretKey::from_hex(&value).map_err(|error| CustodianError::Secret {
                        custodian: format!("env:{name}"),
                        error,
                    })?;
                (format!("env:{name}"), secret)
            }
            "file" => {
                let path = rest.strip_prefix("//").unwrap_or(rest);
                (format!("file:{path}"), file::read(path)?)
            }
            _ => return Err(CustodianError::Scheme),
        };
        Ok(Arc::new(LocalCustodian::new(url, &secret)?))
    }

    /// The custodian of a URL, if it is known.
    #[must_use]
    pub fn get(&self, url: &str) -> Option<&Arc<dyn Custodian>> {
        self.0.get(url)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
