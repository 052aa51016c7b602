//! A custodian whose key-encryption key is in this process: from a variable of the environment
//! (`env:NAME`) or from a file (`file:PATH`).

use async_trait::async_trait;
use waxseal_core::{KeyError, SecretKey, WrappingKey};

use super::{Context, Custodian, CustodianScheme, Variables, Wrapped, file};
use crate::custodian::CustodianError;

/// The variable that `env:` stands for.
pub const DEFAULT_VARIABLE: &str = "REDIS_ENCRYPTION_KEY";
/// The longest name of a variable, shorter than a key.
const MAX_VARIABLE_LEN: usize = 40;

/// A custodian whose key-encryption key is in this process.
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

    /// Opens the custodian of a URL, `env:NAME` or `file:PATH`.
    pub(super) fn open(url: &str, variables: &Variables) -> Result<Self, CustodianError> {
        let (url, secret) = secret(url, variables)?;
        Ok(Self::new(url, &secret)?)
    }
}

/// True if this can be the name of a variable. A key that was put in its place cannot, so that no
/// text repeats it.
#[must_use]
pub fn is_variable(name: &str) -> bool {
    let fine = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    name.len() <= MAX_VARIABLE_LEN
        && name.bytes().all(fine)
        && name.starts_with(|first: char| !first.is_ascii_digit())
}

/// The secret of a URL, `env:NAME` or `file:PATH`, and the canonical URL.
pub(crate) fn secret(
    url: &str,
    variables: &Variables,
) -> Result<(String, SecretKey), CustodianError> {
    match CustodianScheme::split(url) {
        Some((scheme @ CustodianScheme::Env, name)) => {
            let name = if name.is_empty() {
                DEFAULT_VARIABLE
            } else {
                name
            };
            if !is_variable(name) {
                return Err(CustodianError::Url {
                    scheme,
                    cause: "behind env: stands the name of a variable, never the secret itself"
                        .to_owned(),
                });
            }
            let value = variable(name, variables)?.ok_or_else(|| CustodianError::NotSet {
                variable: name.to_owned(),
            })?;
            let custodian = scheme.url(name);
            match SecretKey::from_hex(&value) {
                Ok(secret) => Ok((custodian, secret)),
                Err(error) => Err(CustodianError::Secret { custodian, error }),
            }
        }
        Some((scheme @ CustodianScheme::File, path)) => {
            let path = path.strip_prefix("//").unwrap_or(path);
            Ok((scheme.url(path), file::read(path)?))
        }
        _ => Err(CustodianError::Scheme),
    }
}

/// A variable that is set and not blank.
pub(super) fn variable(
    name: &str,
    variables: &Variables,
) -> Result<Option<zeroize::Zeroizing<String>>, CustodianError> {
    let value = variables(name).map_err(|cause| CustodianError::Variable {
        variable: name.to_owned(),
        cause,
    })?;
    Ok(value.filter(|value| !value.trim().is_empty()))
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
    ) -> Result<Wrapped, CustodianError> {
        Ok(Wrapped::bytes(self.key.wrap(key, &context.to_bytes())?))
    }

    async fn unwrap(
        &self,
        wrapped: &Wrapped,
        context: &Context<'_>,
    ) -> Result<SecretKey, CustodianError> {
        let key = self.key.unwrap(&wrapped.bytes, &context.to_bytes());
        key.ok_or_else(|| CustodianError::Refused {
            custodian: self.url.clone(),
        })
    }
}
