//! The PEM files of TLS, for clients and for the server.

use std::path::PathBuf;

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// TLS cannot be set up with the configured files.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A PEM file cannot be read, or does not hold what is needed.
    #[error("{path} cannot be used: {problem}")]
    File {
        /// The file.
        path: String,
        /// The problem with it.
        problem: String,
    },
    /// The system's roots cannot be read.
    #[error(
        "the system's certificate authorities cannot be read: name one with ?ca=FILE in the store's URL"
    )]
    Roots,
    /// The certificates and keys do not match.
    #[error("TLS cannot be set up: {0}")]
    Setup(#[from] rustls::Error),
    /// A certificate cannot be issued for the host's name.
    #[error("the store's host is not a name that a certificate can be issued for")]
    Name,
}

/// Reads the certificates of a PEM file.
pub(crate) fn certificates(path: &PathBuf) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let failed = |problem: String| TlsError::File {
        path: path.display().to_string(),
        problem,
    };
    let all: Vec<_> = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|error| failed(problem(&error)))?;
    if all.is_empty() {
        return Err(failed("it does not hold a certificate".to_owned()));
    }
    Ok(all)
}

/// Reads the private key of a PEM file.
pub(crate) fn private_key(path: &PathBuf) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_file(path).map_err(|error| TlsError::File {
        path: path.display().to_string(),
        problem: problem(&error),
    })
}

/// Describes the problem of a PEM file. The text of the library would quote the line, which may be a key.
fn problem(error: &pem::Error) -> String {
    match error {
        pem::Error::Io(error) => error.to_string(),
        pem::Error::NoItemsFound => "it does not hold what is needed".to_owned(),
        _ => "it is not a well-formed PEM file".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_about_a_broken_key_file_quotes_none_of_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key.pem");
        for text in [
            "-----BEGIN PRIVATE KEY MIIEsecret\n",
            "-----BEGIN PRIVATE KEY-----\nMIIEsecret\n",
            "-----BEGIN PRIVATE KEY-----\n!secret!\n-----END PRIVATE KEY-----\n",
            "MIIEsecret\n",
        ] {
            std::fs::write(&path, text).unwrap();
            let error = private_key(&path).unwrap_err().to_string();
            assert!(error.contains("key.pem cannot be used: it "), "{error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
