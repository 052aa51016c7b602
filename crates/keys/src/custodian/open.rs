//! Opens the custodian of a URL.

use std::sync::Arc;

use super::{Custodian, CustodianScheme, Custodians, LocalCustodian, Variables};
use crate::custodian::CustodianError;

type Opened = Result<Arc<dyn Custodian>, CustodianError>;

impl Custodians {
    /// Opens the custodian of a URL. `variables` reads the environment on its behalf: only the caller
    /// has access to it. Does not contact a service yet.
    ///
    /// - `env:NAME`: the secret is in a variable; `env:` is `env:REDIS_ENCRYPTION_KEY`.
    /// - `file:PATH` holds a key as 64 hexadecimal characters, and is refused if users other than its
    ///   owner can read it.
    /// - `pkcs11:…` (RFC 7512): a key in a hardware security module.
    /// - `awskms:ARN`: a key of AWS KMS.
    /// - `vault:MOUNT/KEY`: a key of the transit engine of Vault or OpenBao.
    pub fn open(url: &str, variables: &Variables) -> Result<Arc<dyn Custodian>, CustodianError> {
        let (scheme, tail) = CustodianScheme::split(url).ok_or(CustodianError::Scheme)?;
        match scheme {
            CustodianScheme::Env | CustodianScheme::File => {
                Ok(Arc::new(LocalCustodian::open(url, variables)?))
            }
            CustodianScheme::Pkcs11 => pkcs11(url, variables),
            CustodianScheme::AwsKms => awskms(tail),
            CustodianScheme::Vault => vault(tail, variables),
        }
    }

    /// The URL of a custodian as a keyring document has it: `env:` and `file://` written out, and only
    /// the identifying attributes of `pkcs11:`.
    #[must_use]
    pub fn canonical_url(url: &str) -> String {
        match CustodianScheme::split(url) {
            Some((CustodianScheme::Env, "")) => CustodianScheme::default_url(),
            Some((CustodianScheme::File, path)) => {
                CustodianScheme::File.url(path.strip_prefix("//").unwrap_or(path))
            }
            #[cfg(feature = "pkcs11")]
            Some((CustodianScheme::Pkcs11, _)) => {
                super::Pkcs11Uri::parse(url).map_or_else(|_| url.to_owned(), |uri| uri.to_string())
            }
            _ => url.to_owned(),
        }
    }
}

#[cfg(feature = "pkcs11")]
fn pkcs11(url: &str, variables: &Variables) -> Opened {
    Ok(Arc::new(super::Pkcs11Custodian::open(url, variables)?))
}

#[cfg(not(feature = "pkcs11"))]
fn pkcs11(_: &str, _: &Variables) -> Opened {
    not_built(CustodianScheme::Pkcs11)
}

#[cfg(feature = "awskms")]
fn awskms(arn: &str) -> Opened {
    Ok(Arc::new(super::AwsKmsCustodian::open(arn)?))
}

#[cfg(not(feature = "awskms"))]
fn awskms(_: &str) -> Opened {
    not_built(CustodianScheme::AwsKms)
}

#[cfg(feature = "vault")]
fn vault(key: &str, variables: &Variables) -> Opened {
    Ok(Arc::new(super::VaultCustodian::open(key, variables)?))
}

#[cfg(not(feature = "vault"))]
fn vault(_: &str, _: &Variables) -> Opened {
    not_built(CustodianScheme::Vault)
}

#[cfg(not(all(feature = "pkcs11", feature = "awskms", feature = "vault")))]
fn not_built(scheme: CustodianScheme) -> Opened {
    Err(CustodianError::NotBuilt { scheme })
}
