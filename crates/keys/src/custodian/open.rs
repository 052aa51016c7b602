//! From a URL to the custodian: which scheme means which.

use std::sync::Arc;

use super::{Custodian, Custodians, LocalCustodian, Variables};
use crate::custodian::CustodianError;

type Opened = Result<Arc<dyn Custodian>, CustodianError>;

impl Custodians {
    /// Opens the custodian of a URL. `variables` gives what it needs of the environment: only the
    /// caller reads that. Asks nobody yet.
    ///
    /// - `env:NAME`: the secret is in a variable; `env:` is `env:REDIS_ENCRYPTION_KEY`.
    /// - `file:PATH` holds a key as 64 hexadecimal characters, and is refused where others than its
    ///   owner can read it.
    /// - `pkcs11:…` (RFC 7512): a key in a hardware security module.
    /// - `awskms:ARN`: a key of AWS KMS.
    /// - `vault:MOUNT/KEY`: a key of the transit engine of Vault or OpenBao.
    pub fn open(url: &str, variables: &Variables) -> Result<Arc<dyn Custodian>, CustodianError> {
        let (scheme, rest) = url.split_once(':').unwrap_or((url, ""));
        match scheme {
            "env" | "file" => Ok(Arc::new(LocalCustodian::open(url, variables)?)),
            "pkcs11" => pkcs11(url, variables),
            "awskms" => awskms(rest),
            "vault" => vault(rest, variables),
            _ => Err(CustodianError::Scheme),
        }
    }
}

#[cfg(feature = "pkcs11")]
fn pkcs11(url: &str, variables: &Variables) -> Opened {
    Ok(Arc::new(super::Pkcs11Custodian::open(url, variables)?))
}

#[cfg(not(feature = "pkcs11"))]
fn pkcs11(_: &str, _: &Variables) -> Opened {
    not_built("pkcs11")
}

#[cfg(feature = "awskms")]
fn awskms(arn: &str) -> Opened {
    Ok(Arc::new(super::AwsKmsCustodian::open(arn)?))
}

#[cfg(not(feature = "awskms"))]
fn awskms(_: &str) -> Opened {
    not_built("awskms")
}

#[cfg(feature = "vault")]
fn vault(key: &str, variables: &Variables) -> Opened {
    Ok(Arc::new(super::VaultCustodian::open(key, variables)?))
}

#[cfg(not(feature = "vault"))]
fn vault(_: &str, _: &Variables) -> Opened {
    not_built("vault")
}

#[cfg(not(all(feature = "pkcs11", feature = "awskms", feature = "vault")))]
fn not_built(feature: &str) -> Opened {
    Err(CustodianError::NotBuilt {
        feature: feature.to_owned(),
    })
}
