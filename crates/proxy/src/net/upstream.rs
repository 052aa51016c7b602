//! The way to the server: address, TLS, and who the proxy is there.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use waxseal_metrics::UpstreamError;

use self::exchange::Exchange;
use super::expiry::not_after;
use super::health::Health;
use super::socket::{Stream, set_up_upstream};
use crate::certificates::{CertificateExpiry, CertificateFiles, CertificateUse};
use crate::connection::{Handshake, OWN_PING};
use crate::login::LoginError;

pub(crate) mod exchange;
mod settings;

/// Where the server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A host and a port.
    Tcp {
        /// Name or address of the host.
        host: String,
        /// The port.
        port: u16,
    },
    /// A unix socket.
    Unix(PathBuf),
}

/// PEM files for TLS to the server. Without a CA the system's roots are trusted.
#[derive(Clone, Debug, Default)]
pub struct UpstreamTls {
    /// Whom to trust.
    pub ca: Option<PathBuf>,
    /// The proxy's own certificate and key, where the server asks for one.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// A file that TLS needs is not usable.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A PEM file cannot be read or holds no such thing.
    #[error("{path} cannot be used: {problem}")]
    File {
        /// The file.
        path: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The system's roots cannot be read.
    #[error(
        "the system's certificate authorities cannot be read: name one with ?ca=FILE in the store's URL"
    )]
    Roots,
    /// The certificates do not fit together.
    #[error("TLS cannot be set up: {0}")]
    Setup(#[from] rustls::Error),
    /// The host is no name that a certificate can hold.
    #[error("the store's host is no name that a certificate can hold")]
    Name,
}

/// A connection to the server.
pub(crate) struct Connected {
    pub(crate) stream: Box<dyn Stream>,
    /// Its own address; none for unix sockets.
    pub(crate) local: Option<SocketAddr>,
    /// The switch of connections that it was opened after.
    pub(crate) epoch: u64,
}

/// How long a connection to the server may be silent before the proxy makes itself heard, where nothing else is
/// said: balancers of load in front of a server close those that are silent for 30 seconds.
const KEEPALIVE: Duration = Duration::from_secs(20);

/// How TLS handshakes with the server are made, by the certificates that were read last.
struct Tls {
    files: UpstreamTls,
    current: RwLock<(TlsConnector, Vec<CertificateExpiry>)>,
    name: ServerName<'static>,
}

impl Tls {
    fn current(&self) -> TlsConnector {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        current.0.clone()
    }
}

/// The way to the server.
pub struct Upstream {
    address: Address,
    tls: Option<Tls>,
    /// How a client's connection is entered.
    pub(crate) handshake: Handshake,
    /// How the proxy's own is.
    proxy_handshake: Handshake,
    /// Clients come in as nobody.
    pub(crate) clients_authenticate: bool,
    /// The database that every connection begins with.
    pub(crate) database: u32,
    /// How long a connection may be silent before the proxy makes itself heard.
    pub(crate) keepalive: Duration,
    pub(crate) health: Health,
}

impl Upstream {
    /// The server at this address, over TLS if it is given, entered as `handshake` says.
    pub fn new(
        address: Address,
        tls: Option<&UpstreamTls>,
        handshake: Handshake,
        database: u32,
    ) -> Result<Self, TlsError> {
        let tls = match (tls, &address) {
            (Some(tls), Address::Tcp { host, .. }) => {
                let host = host.trim_start_matches('[').trim_end_matches(']');
                let name = ServerName::try_from(host.to_owned()).map_err(|_| TlsError::Name)?;
                Some(Tls {
                    files: tls.clone(),
                    current: RwLock::new(connector(tls)?),
                    name,
                })
            }
            _ => None,
        };
        Ok(Self {
            address,
            tls,
            proxy_handshake: handshake.clone(),
            handshake,
            clients_authenticate: false,
            database,
            keepalive: KEEPALIVE,
            health: Health::default(),
        })
    }

    /// The same, with connections that the proxy makes itself heard on when they were silent for so long.
    #[must_use]
    pub fn keepalive(mut self, keepalive: Duration) -> Self {
        self.keepalive = keepalive;
        self
    }

    /// The requests that open a connection of the proxy's own.
    pub(crate) fn own_preamble(&self) -> &Handshake {
        &self.proxy_handshake
    }

    /// The same, but clients come in as nobody, and must log in themselves. They begin in the
    /// server's first database.
    #[must_use]
    pub fn without_credentials_for_clients(mut self) -> Self {
        self.handshake = Handshake::default();
        self.clients_authenticate = true;
        self.database = 0;
        self
    }

    /// Who the proxy is at the server, where that is not its default user.
    pub(crate) fn user(&self) -> Option<&str> {
        self.handshake.user.as_deref()
    }

    /// Whether connections to the server use TLS.
    pub(crate) fn uses_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Connects, without a word to the server yet.
    pub(crate) async fn connect(&self, limit: Duration) -> io::Result<Connected> {
        timeout(limit, self.connect_slowly())
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    /// Connects, however long it takes. The host's name is resolved each time, on a thread for that.
    pub(crate) async fn connect_slowly(&self) -> io::Result<Connected> {
        let epoch = self.health.epoch();
        match &self.address {
            Address::Unix(path) => Ok(Connected {
                stream: Box::new(UnixStream::connect(path).await?),
                local: None,
                epoch,
            }),
            Address::Tcp { host, port } => {
                let host = host.trim_start_matches('[').trim_end_matches(']');
                let stream = TcpStream::connect((host, *port)).await?;
                set_up_upstream(&stream, self.keepalive)?;
                let local = stream.local_addr().ok();
                let stream: Box<dyn Stream> = match &self.tls {
                    None => Box::new(stream),
                    Some(tls) => {
                        let connector = tls.current();
                        Box::new(connector.connect(tls.name.clone(), stream).await?)
                    }
                };
                Ok(Connected {
                    stream,
                    local,
                    epoch,
                })
            }
        }
    }

    /// Whether the server lets the proxy in and answers: what is wrong, if not.
    pub async fn check(&self, limit: Duration) -> Result<(), &'static str> {
        match timeout(limit, self.ping()).await {
            Ok(answer) => answer,
            Err(_) => Err("it does not answer in time"),
        }
    }

    /// The number of shared connections on which a reply is late.
    #[must_use]
    pub fn late_connections(&self) -> usize {
        self.health.suspects()
    }

    async fn ping(&self) -> Result<(), &'static str> {
        let mut requests = self.proxy_handshake.requests.clone();
        requests.extend_from_slice(OWN_PING);
        let replies = self.proxy_handshake.count.saturating_add(1);
        self.converse(&requests, replies).await.map(drop)
    }

    /// Connects as clients' connections do and logs in, and waits until the server has agreed.
    pub(crate) async fn log_in(&self, limit: Duration) -> Result<Connected, &'static str> {
        let Handshake {
            requests, count, ..
        } = &self.handshake;
        match timeout(limit, self.converse(requests, *count)).await {
            Ok(stream) => stream,
            Err(_) => Err("it does not answer in time"),
        }
    }

    /// Connects, sends these requests and reads so many replies. The first error among them ends it.
    async fn converse(&self, requests: &[u8], replies: usize) -> Result<Connected, &'static str> {
        let connected = self.connect_slowly().await;
        let mut connected = connected.map_err(|error| cause(&error))?;
        let broken = |error: io::Error| exchange::broken(&error);
        let mut exchange = Exchange::begin(&mut connected, requests)
            .await
            .map_err(broken)?;
        for _ in 0..replies {
            let reply = exchange.reply().await.map_err(broken)?;
            if reply.first() == Some(&b'-') {
                return Err(LoginError::of(&reply).description());
            }
        }
        // What nothing explains must not be taken for an answer to a client.
        match exchange.has_more() {
            true => Err("the server sent what no request explains"),
            false => Ok(connected),
        }
    }
}

/// Why a connection did not come about, in words that hold no address.
pub(crate) fn cause(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused",
        io::ErrorKind::TimedOut => "no connection in time",
        io::ErrorKind::NotFound => "there is no such socket",
        io::ErrorKind::PermissionDenied => "permission denied",
        io::ErrorKind::ConnectionReset | io::ErrorKind::UnexpectedEof => {
            "the connection breaks off"
        }
        io::ErrorKind::InvalidData => "TLS fails: certificate or protocol",
        _ => "the connection fails",
    }
}

/// The same, to be counted.
pub(crate) fn kind(error: &io::Error) -> UpstreamError {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => UpstreamError::Refused,
        io::ErrorKind::TimedOut => UpstreamError::Timeout,
        io::ErrorKind::NotFound => UpstreamError::Missing,
        io::ErrorKind::PermissionDenied => UpstreamError::Permission,
        io::ErrorKind::ConnectionReset | io::ErrorKind::UnexpectedEof => UpstreamError::Aborted,
        io::ErrorKind::InvalidData => UpstreamError::Tls,
        _ => UpstreamError::Other,
    }
}

impl CertificateFiles for Upstream {
    fn name(&self) -> &'static str {
        "for the server"
    }

    fn paths(&self) -> Vec<&Path> {
        let Some(Tls { files, .. }) = &self.tls else {
            return Vec::new();
        };
        let identity = files.identity.iter();
        let identity = identity.flat_map(|(certificate, key)| [certificate, key]);
        let all = files.ca.iter().chain(identity);
        all.map(PathBuf::as_path).collect()
    }

    fn read(&self) -> Result<(), TlsError> {
        if let Some(tls) = &self.tls {
            let read = connector(&tls.files)?;
            *tls.current.write().unwrap_or_else(PoisonError::into_inner) = read;
        }
        Ok(())
    }

    fn expiries(&self) -> Vec<CertificateExpiry> {
        let Some(tls) = &self.tls else {
            return Vec::new();
        };
        let current = tls.current.read().unwrap_or_else(PoisonError::into_inner);
        current.1.clone()
    }
}

/// A connector of these files, and when their certificates expire.
fn connector(tls: &UpstreamTls) -> Result<(TlsConnector, Vec<CertificateExpiry>), TlsError> {
    let mut expiries = Vec::new();
    let mut roots = RootCertStore::empty();
    let trusted = match &tls.ca {
        Some(path) => {
            let trusted = certificates(path)?;
            // As long as one of them is valid, so are certificates of it.
            let not_after = trusted.iter().filter_map(not_after).max();
            expiries.extend(not_after.map(|not_after| CertificateExpiry {
                of: CertificateUse::ServerAuthority,
                path: path.clone(),
                not_after,
            }));
            trusted
        }
        None => rustls_native_certs::load_native_certs().certs,
    };
    roots.add_parsable_certificates(trusted);
    if roots.is_empty() {
        return Err(TlsError::Roots);
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots);
    let config = match &tls.identity {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let chain = certificates(certificate)?;
            let not_after = chain.iter().filter_map(not_after).min();
            expiries.extend(not_after.map(|not_after| CertificateExpiry {
                of: CertificateUse::Upstream,
                path: certificate.clone(),
                not_after,
            }));
            builder.with_client_auth_cert(chain, private_key(key)?)?
        }
    };
    Ok((TlsConnector::from(Arc::new(config)), expiries))
}

/// The certificates of a PEM file.
pub(crate) fn certificates(path: &PathBuf) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let failed = |problem: String| TlsError::File {
        path: path.display().to_string(),
        problem,
    };
    let found: Vec<_> = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|error| failed(problem(&error)))?;
    if found.is_empty() {
        return Err(failed("it holds no certificate".to_owned()));
    }
    Ok(found)
}

/// The private key of a PEM file.
pub(crate) fn private_key(path: &PathBuf) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_file(path).map_err(|error| TlsError::File {
        path: path.display().to_string(),
        problem: problem(&error),
    })
}

/// What is wrong with a PEM file. The library's own text quotes the line, which may be a key.
fn problem(error: &pem::Error) -> String {
    match error {
        pem::Error::Io(error) => error.to_string(),
        pem::Error::NoItemsFound => "it holds nothing of the kind that is needed".to_owned(),
        _ => "it is not a well-formed PEM file".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_a_broken_key_file_holds_none_of_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key.pem");
        for text in [
            "-----BEGIN PRIVATE KEY MIIEsecret\n",
            "-----BEGIN PRIVATE KEY-----\nMIIEsecret\n",
            "-----BEGIN PRIVATE KEY-----\n!secret!\n-----END PRIVATE KEY-----\n",
            "MIIEsecret\n",
        ] {
            std::fs::write(&path, text).unwrap();
            let said = private_key(&path).unwrap_err().to_string();
            assert!(said.contains("key.pem cannot be used: it "), "{said}");
            assert!(!said.contains("secret"), "{said}");
        }
    }
}
