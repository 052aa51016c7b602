//! The certificates that a proxy shows and trusts. They can be reloaded while it runs: new connections then use the
//! renewed ones. A file that cannot be used changes nothing. The caller decides when to reload.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::net::expiry::not_after;
use crate::net::listener::Acceptor;
use crate::net::tls::{TlsError, certificates};
use crate::net::upstream::Upstream;

/// The use of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateUse {
    /// The certificate that listeners show to clients.
    Listener,
    /// The authority of clients' certificates.
    ClientAuthority,
    /// The authority of the server's certificate.
    ServerAuthority,
    /// The certificate that the proxy shows to the server.
    Upstream,
}

impl CertificateUse {
    /// The label value in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Listener => "listener",
            Self::ClientAuthority => "client_authority",
            Self::ServerAuthority => "server_authority",
            Self::Upstream => "upstream",
        }
    }
}

/// The expiry of a certificate in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateExpiry {
    /// Its use.
    pub of: CertificateUse,
    /// Its file.
    pub path: PathBuf,
    /// Its last second, since the Unix epoch.
    pub not_after: i64,
}

/// The result of reloading files.
#[derive(Debug)]
pub enum Reload {
    /// New connections use them.
    Used(&'static str),
    /// They cannot be used; the previous ones stay in use.
    Unusable(&'static str, TlsError),
}

/// Files that are read together.
pub(crate) trait CertificateFiles: Send + Sync {
    /// Their owner, for people.
    fn name(&self) -> &'static str;
    /// The files; empty if only the system's authorities are trusted.
    fn paths(&self) -> Vec<&Path>;
    /// Reads them, and uses them from then on.
    fn read(&self) -> Result<(), TlsError>;
    /// The expiry of the certificates in use.
    fn expiries(&self) -> Vec<CertificateExpiry>;
}

/// The certificates of one proxy.
pub struct Certificates {
    all: Vec<(Arc<dyn CertificateFiles>, Mutex<u64>)>,
}

impl Certificates {
    pub(crate) fn new(acceptor: Option<&Arc<Acceptor>>, upstream: &Arc<Upstream>) -> Self {
        let mut all: Vec<Arc<dyn CertificateFiles>> = Vec::new();
        if let Some(acceptor) = acceptor {
            all.push(acceptor.clone());
        }
        if upstream.uses_tls() {
            all.push(upstream.clone());
        }
        let watched = |it: Arc<dyn CertificateFiles>| {
            let seen = Mutex::new(fingerprint(&it.paths()));
            (it, seen)
        };
        Self {
            all: all.into_iter().map(watched).collect(),
        }
    }

    /// True if the proxy uses no certificates.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Reloads the files that have changed since they were read, or all of them if `force` is set. Blocks on the disk.
    #[must_use]
    pub fn reload(&self, force: bool) -> Vec<Reload> {
        let mut reloads = Vec::new();
        for (files, seen) in &self.all {
            let mut seen = lock(seen);
            let current = fingerprint(&files.paths());
            if !force && *seen == current {
                continue;
            }
            *seen = current;
            reloads.push(match files.read() {
                Ok(()) => Reload::Used(files.name()),
                Err(error) => Reload::Unusable(files.name(), error),
            });
        }
        reloads
    }

    /// The expiry of the certificates in use.
    #[must_use]
    pub fn expiries(&self) -> Vec<CertificateExpiry> {
        self.all
            .iter()
            .flat_map(|(files, _)| files.expiries())
            .collect()
    }
}

/// Reads the expiry of the certificates in a file: the earliest in a chain, the latest of several authorities.
pub fn certificate_expiry(
    of: CertificateUse,
    path: &Path,
) -> Result<Option<CertificateExpiry>, TlsError> {
    let all = certificates(&path.to_owned())?;
    let expiries = all.iter().filter_map(not_after);
    let expiry = match of {
        CertificateUse::Listener | CertificateUse::Upstream => expiries.min(),
        CertificateUse::ClientAuthority | CertificateUse::ServerAuthority => expiries.max(),
    };
    Ok(expiry.map(|not_after| CertificateExpiry {
        of,
        path: path.to_owned(),
        not_after,
    }))
}

fn lock(seen: &Mutex<u64>) -> MutexGuard<'_, u64> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A hash of the files' contents. Modification times are not used: some file systems do not update them, and some update
/// them without a change.
fn fingerprint(paths: &[&Path]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for path in paths {
        let read = std::fs::read(path).map_err(|error| error.kind());
        read.map_err(|kind| kind.to_string()).hash(&mut hasher);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use waxseal_testing::Certificates as Files;

    use super::*;
    use crate::connection::Handshake;
    use crate::net::listener::ListenTls;
    use crate::net::upstream::{Address, UpstreamTls};

    #[test]
    fn changed_files_are_reloaded_and_unusable_ones_change_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let authority = Files::create_in(directory.path());
        let (cert, key) = authority.self_signed(&["localhost"], false, 2031);
        let acceptor = Arc::new(
            Acceptor::open(&ListenTls {
                certificate: cert.clone(),
                key: key.clone(),
                client_ca: Some(authority.ca()),
            })
            .unwrap(),
        );
        let address = Address::Tcp {
            host: "localhost".to_owned(),
            port: 6379,
        };
        let tls = UpstreamTls {
            ca: Some(authority.ca()),
            identity: Some((authority.client_certificate(), authority.client_key())),
        };
        let upstream = Upstream::new(address, Some(&tls), Handshake::default(), 0).unwrap();
        let certificates = Certificates::new(Some(&acceptor), &Arc::new(upstream));
        let end = |of| {
            let mut expiries = certificates.expiries().into_iter();
            expiries.find(|it| it.of == of).unwrap().not_after
        };
        assert_eq!(certificates.expiries().len(), 4);
        assert_eq!(end(CertificateUse::Listener), 1_956_441_600);
        assert!(certificates.reload(false).is_empty());
        assert_eq!(certificates.reload(true).len(), 2);

        let (other, other_key) = authority.self_signed(&["localhost"], false, 2032);
        fs::copy(other, &cert).unwrap();
        // The key still belongs to the previous certificate.
        let reloads = certificates.reload(false);
        assert!(
            matches!(reloads[..], [Reload::Unusable("of listeners", _)]),
            "{reloads:?}"
        );
        assert_eq!(end(CertificateUse::Listener), 1_956_441_600);
        assert!(
            certificates.reload(false).is_empty(),
            "the error is reported once"
        );
        fs::copy(other_key, &key).unwrap();
        let reloads = certificates.reload(false);
        assert!(
            matches!(reloads[..], [Reload::Used("of listeners")]),
            "{reloads:?}"
        );
        assert_eq!(end(CertificateUse::Listener), 1_988_064_000);

        fs::remove_file(authority.client_key()).unwrap();
        let reloads = certificates.reload(false);
        assert!(
            matches!(reloads[..], [Reload::Unusable("for the server", _)]),
            "{reloads:?}"
        );
        assert_eq!(certificates.expiries().len(), 4);
    }
}
