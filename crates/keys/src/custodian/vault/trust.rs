//! TLS to Vault or OpenBao: the trusted authority, and the client certificate. Uses the core's
//! cryptography provider explicitly: nothing is installed for the whole process.

use std::fs;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use super::settings::{Service, invalid_variable, not_set, read_variable};
use crate::custodian::CustodianError;
use crate::custodian::{Variables, file};
use crate::secret_file::{SecretFileError, shown};

const AUTHORITY: &str = "VAULT_CACERT";
const CERTIFICATE: &str = "VAULT_CLIENT_CERT";
const KEY: &str = "VAULT_CLIENT_KEY";

type Certificates = Vec<CertificateDer<'static>>;

/// The TLS configuration for a service.
pub(super) fn settings(
    service: &Service,
    variables: &Variables,
) -> Result<ClientConfig, CustodianError> {
    // Without TLS nothing is trusted, and no file has to be read.
    let roots = if service.is_plain {
        RootCertStore::empty()
    } else {
        roots(variables)?
    };
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|_| invalid_variable("VAULT_ADDR", "this build has no TLS for it"))?
        .with_root_certificates(roots);
    match identity(variables)? {
        None => Ok(builder.with_no_client_auth()),
        Some((chain, key)) => builder
            .with_client_auth_cert(chain, key)
            .map_err(|_| invalid_variable(KEY, "its key is not the one of the certificate")),
    }
}

/// The configured authority alone; otherwise those of the system.
fn roots(variables: &Variables) -> Result<RootCertStore, CustodianError> {
    let mut roots = RootCertStore::empty();
    let Some(path) = read_variable(AUTHORITY, variables)? else {
        // Unreadable certificates of the system are skipped: the rest may be enough.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        return Ok(roots);
    };
    for certificate in certificates(AUTHORITY, &path)? {
        let added = roots.add(certificate);
        added.map_err(|_| {
            invalid_variable(
                AUTHORITY,
                "its file holds a certificate that is not one of an authority",
            )
        })?;
    }
    Ok(roots)
}

/// The certificate of this process, if it has one. The copy of the key that TLS uses is not wiped:
/// the library offers no way to.
fn identity(
    variables: &Variables,
) -> Result<Option<(Certificates, PrivateKeyDer<'static>)>, CustodianError> {
    let (chain, key) = match (
        read_variable(CERTIFICATE, variables)?,
        read_variable(KEY, variables)?,
    ) {
        (None, None) => return Ok(None),
        (None, Some(_)) => return Err(not_set(CERTIFICATE)),
        (Some(_), None) => return Err(not_set(KEY)),
        (Some(chain), Some(key)) => (chain, key),
    };
    let chain = certificates(CERTIFICATE, &chain)?;
    let text = file::read_text(&key)?;
    let key = PrivateKeyDer::from_pem_slice(text.as_bytes());
    let key = key.map_err(|_| invalid_variable(KEY, "its file holds no private key in PEM"))?;
    Ok(Some((chain, key)))
}

fn certificates(variable: &str, path: &str) -> Result<Certificates, CustodianError> {
    let pem = fs::read(path).map_err(|error| CustodianError::File {
        path: shown(path),
        error: SecretFileError::Unreadable(error.kind()),
    })?;
    let found: Result<Certificates, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match found {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(invalid_variable(
            variable,
            "its file holds no certificate in PEM",
        )),
    }
}
