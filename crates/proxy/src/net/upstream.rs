//! The connection to the server: address, TLS, and login.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use self::exchange::Exchange;
use self::failure::{ConnectError, UpstreamFailure};
use super::expiry::not_after;
use super::health::Health;
use super::socket::{Stream, set_up_upstream};
use super::tls::{TlsError, certificates, private_key};
use crate::certificates::{CertificateExpiry, CertificateFiles, CertificateUse};
use crate::connection::{Handshake, OWN_PING};
pub(crate) mod exchange;
pub(crate) mod failure;
mod settings;

/// The address of the server.
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
    /// The authorities to trust.
    pub ca: Option<PathBuf>,
    /// The proxy's certificate and key, if the server asks for one.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// A connection to the server.
pub(crate) struct Connected {
    pub(crate) stream: Box<dyn Stream>,
    /// Its local address; `None` for unix sockets.
    pub(crate) local: Option<SocketAddr>,
    /// The switch of connections that it was opened after.
    pub(crate) epoch: u64,
}

/// Default time for which a connection to the server may be silent before the proxy sends a `PING`: load balancers close
/// connections that are silent for 30 seconds.
const KEEPALIVE: Duration = Duration::from_secs(20);

/// The configuration of TLS to the server, with the certificates that were read last.
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

/// The server, and the way to connect to it.
pub struct Upstream {
    address: Address,
    tls: Option<Tls>,
    /// The handshake on connections of clients.
    pub(crate) handshake: Handshake,
    /// The handshake on the proxy's own connections.
    proxy_handshake: Handshake,
    /// The proxy does not log in for its clients: they log in themselves.
    pub(crate) clients_authenticate: bool,
    /// The database that every connection begins with.
    pub(crate) database: u32,
    /// Silence on a connection after which the proxy sends a `PING`.
    pub(crate) keepalive: Duration,
    pub(crate) health: Health,
}

impl Upstream {
    /// Creates the upstream at this address, with TLS if it is given.
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

    /// Sets the silence on a connection after which the proxy sends a `PING`.
    #[must_use]
    pub fn keepalive(mut self, keepalive: Duration) -> Self {
        self.keepalive = keepalive;
        self
    }

    /// The handshake on the proxy's own connections.
    pub(crate) fn proxy_handshake(&self) -> &Handshake {
        &self.proxy_handshake
    }

    /// Leaves the login to the clients. They begin in the server's first database.
    #[must_use]
    pub fn without_credentials_for_clients(mut self) -> Self {
        self.handshake = Handshake::default();
        self.clients_authenticate = true;
        self.database = 0;
        self
    }

    /// The user that the proxy logs in as, if it is not the server's default user.
    pub(crate) fn user(&self) -> Option<&str> {
        self.handshake.user.as_deref()
    }

    /// True if connections to the server use TLS.
    pub(crate) fn uses_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Connects within `limit`, and sends nothing yet.
    pub(crate) async fn connect(&self, limit: Duration) -> io::Result<Connected> {
        timeout(limit, self.connect_slowly())
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    /// Connects without a time limit. The host's name is resolved each time, on a thread for blocking calls.
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

    /// Checks over a new connection that the server accepts the login and answers.
    pub async fn check(&self, limit: Duration) -> Result<(), UpstreamFailure> {
        let answer = timeout(limit, self.ping()).await;
        answer.unwrap_or(Err(UpstreamFailure::TimedOut))
    }

    /// The number of shared connections on which a reply is late.
    #[must_use]
    pub fn late_connections(&self) -> usize {
        self.health.suspects()
    }

    async fn ping(&self) -> Result<(), UpstreamFailure> {
        let mut requests = self.proxy_handshake.requests.clone();
        requests.extend_from_slice(OWN_PING);
        let replies = self.proxy_handshake.count.saturating_add(1);
        self.converse(&requests, replies).await.map(drop)
    }

    /// Connects as for a client, logs in, and waits for the server's replies.
    pub(crate) async fn log_in(&self, limit: Duration) -> Result<Connected, UpstreamFailure> {
        let Handshake {
            requests, count, ..
        } = &self.handshake;
        let connected = timeout(limit, self.converse(requests, *count)).await;
        connected.unwrap_or(Err(UpstreamFailure::TimedOut))
    }

    /// Connects, sends these requests and reads as many replies. Fails with the first error among them.
    async fn converse(
        &self,
        requests: &[u8],
        replies: usize,
    ) -> Result<Connected, UpstreamFailure> {
        let mut connected = self.connect_for_exchange().await?;
        let mut exchange = Exchange::begin(&mut connected, requests)
            .await
            .map_err(|error| UpstreamFailure::of_exchange(&error))?;
        for _ in 0..replies {
            exchange.expect_success().await?;
        }
        // A reply that no request explains would be taken for the answer to a client's.
        match exchange.has_more() {
            true => Err(UpstreamFailure::Unexplained),
            false => Ok(connected),
        }
    }

    async fn connect_for_exchange(&self) -> Result<Connected, UpstreamFailure> {
        let connected = self.connect_slowly().await;
        connected.map_err(|error| UpstreamFailure::Connect(ConnectError::from(&error)))
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

/// Creates a connector from these files. Returns the expiry of their certificates as well.
fn connector(tls: &UpstreamTls) -> Result<(TlsConnector, Vec<CertificateExpiry>), TlsError> {
    let mut expiries = Vec::new();
    let mut roots = RootCertStore::empty();
    let trusted = match &tls.ca {
        Some(path) => {
            let trusted = certificates(path)?;
            // One valid authority is enough.
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
