//! Listeners for clients: TCP, TLS, unix sockets.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rustls::ServerConfig;
use rustls::server::WebPkiClientVerifier;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio_rustls::TlsAcceptor;
use waxseal_files::UnixSocket;

use super::expiry::not_after;
use super::socket::{Stream, set_up_client};
use super::tls::{TlsError, certificates, private_key};
use crate::certificates::{CertificateExpiry, CertificateFiles, CertificateUse};

/// Maximum number of clients that wait to be accepted.
const BACKLOG: i32 = 4096;

/// An address to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// TCP; port 0 takes a free one.
    Tcp(String),
    /// TLS over TCP.
    Tls(String),
    /// A unix socket, and the mode of its file; without one the process's umask decides.
    Unix(PathBuf, Option<u32>),
}

/// PEM files for TLS with clients.
#[derive(Clone, Debug)]
pub struct ListenTls {
    /// The certificate, with the chain to its authority.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// The authority of the certificates that clients must show, if they must.
    pub client_ca: Option<PathBuf>,
}

/// A listener could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The address cannot be listened on.
    #[error("cannot listen on {at}: {error}")]
    Address {
        /// The address.
        at: String,
        /// The error of the system.
        error: std::io::Error,
    },
    /// A TLS listener has no certificate.
    #[error("a tls:// listener needs a certificate and a key")]
    NoCertificate,
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// A client that was accepted.
pub(crate) struct Incoming {
    socket: Accepted,
    tls: Option<TlsAcceptor>,
    /// The client's address, as servers show addresses.
    pub(crate) address: String,
}

/// The reason why an accepted client cannot be served.
pub(crate) enum NoStream {
    /// It has disconnected already.
    Disconnected,
    /// Its TLS handshake failed, or took too long.
    Tls,
}

impl From<std::io::Error> for NoStream {
    fn from(_: std::io::Error) -> Self {
        Self::Disconnected
    }
}

enum Accepted {
    Tcp(std::net::TcpStream),
    Unix(std::os::unix::net::UnixStream),
}

/// The configuration of TLS with clients, with the certificates that were read last.
pub(crate) struct Acceptor {
    files: ListenTls,
    current: RwLock<(TlsAcceptor, Vec<CertificateExpiry>)>,
}

impl Acceptor {
    /// Reads the files.
    pub(crate) fn open(files: &ListenTls) -> Result<Self, TlsError> {
        Ok(Self {
            files: files.clone(),
            current: RwLock::new(acceptor(files)?),
        })
    }

    fn current(&self) -> TlsAcceptor {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        current.0.clone()
    }
}

impl CertificateFiles for Acceptor {
    fn name(&self) -> &'static str {
        "of listeners"
    }

    fn paths(&self) -> Vec<&Path> {
        let both = [self.files.certificate.as_path(), self.files.key.as_path()];
        let authority = self.files.client_ca.as_deref();
        both.into_iter().chain(authority).collect()
    }

    fn read(&self) -> Result<(), TlsError> {
        let read = acceptor(&self.files)?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = read;
        Ok(())
    }

    fn expiries(&self) -> Vec<CertificateExpiry> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        current.1.clone()
    }
}

/// An open listener.
pub(crate) struct Listener {
    socket: Open,
    tls: Option<Arc<Acceptor>>,
    /// The address for people.
    pub(crate) at: String,
}

enum Open {
    Tcp(TcpListener),
    /// The socket's file is removed with the listener.
    Unix(UnixListener, #[expect(dead_code)] UnixSocket),
}

impl Listener {
    pub(crate) async fn open(
        listen: &Listen,
        tls: Option<&Arc<Acceptor>>,
    ) -> Result<Self, ListenError> {
        match listen {
            Listen::Unix(path, mode) => {
                let opened = open_unix(path, *mode);
                let (listener, socket) = opened.map_err(|error| ListenError::Address {
                    at: format!("unix:{}", path.display()),
                    error,
                })?;
                Ok(Self {
                    socket: Open::Unix(listener, socket),
                    tls: None,
                    at: format!("unix:{}", path.display()),
                })
            }
            Listen::Tcp(address) => Self::open_tcp(address, None).await,
            Listen::Tls(address) => {
                let tls = tls.ok_or(ListenError::NoCertificate)?;
                Self::open_tcp(address, Some(tls.clone())).await
            }
        }
    }

    async fn open_tcp(address: &str, tls: Option<Arc<Acceptor>>) -> Result<Self, ListenError> {
        let failed = |error| ListenError::Address {
            at: address.to_owned(),
            error,
        };
        let mut last = std::io::ErrorKind::AddrNotAvailable.into();
        for address in tokio::net::lookup_host(address).await.map_err(failed)? {
            match listen_on(address) {
                Ok(socket) => {
                    let local = socket.local_addr().map_err(failed)?;
                    let scheme = if tls.is_some() { "tls://" } else { "" };
                    return Ok(Self {
                        socket: Open::Tcp(socket),
                        tls,
                        at: format!("{scheme}{local}"),
                    });
                }
                Err(error) => last = error,
            }
        }
        Err(failed(last))
    }

    /// Accepts the next client.
    pub(crate) async fn accept(&self) -> std::io::Result<Incoming> {
        let (socket, address) = match &self.socket {
            Open::Tcp(listener) => {
                let (socket, address) = listener.accept().await?;
                (Accepted::Tcp(socket.into_std()?), address.to_string())
            }
            Open::Unix(listener, _) => {
                let (socket, _) = listener.accept().await?;
                let path = self.at.strip_prefix("unix:").unwrap_or(&self.at);
                let address = format!("{path}:0");
                (Accepted::Unix(socket.into_std()?), address)
            }
        };
        Ok(Incoming {
            socket,
            address,
            tls: self.tls.as_ref().map(|acceptor| acceptor.current()),
        })
    }
}

impl Incoming {
    /// Registers the socket with the event loop of this thread, and completes the TLS handshake.
    pub(crate) async fn into_stream(self, limit: Duration) -> Result<Box<dyn Stream>, NoStream> {
        match self.socket {
            Accepted::Unix(socket) => Ok(Box::new(UnixStream::from_std(socket)?)),
            Accepted::Tcp(socket) => {
                let socket = TcpStream::from_std(socket)?;
                set_up_client(&socket)?;
                match self.tls {
                    None => Ok(Box::new(socket)),
                    Some(tls) => match tokio::time::timeout(limit, tls.accept(socket)).await {
                        Ok(Ok(socket)) => Ok(Box::new(socket)),
                        Ok(Err(_)) | Err(_) => Err(NoStream::Tls),
                    },
                }
            }
        }
    }

    /// Sends an error to the client and closes its connection. A TLS client gets none: that would take a handshake.
    pub(crate) fn turn_away(self, error: &[u8]) {
        use std::io::Write;
        match self.socket {
            // If it does not arrive, the client sees the end of the connection.
            Accepted::Tcp(mut socket) if self.tls.is_none() => {
                let _ = socket.write_all(error);
            }
            Accepted::Unix(mut socket) => {
                let _ = socket.write_all(error);
            }
            Accepted::Tcp(_) => {}
        }
    }
}

fn listen_on(address: SocketAddr) -> std::io::Result<TcpListener> {
    let domain = socket2::Domain::for_address(address);
    let socket = socket2::Socket::new(domain, socket2::Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Opens a unix socket. Replaces one that an earlier process of this user left behind, but not one in use.
fn open_unix(path: &Path, mode: Option<u32>) -> std::io::Result<(UnixListener, UnixSocket)> {
    let (listener, socket) = waxseal_files::bind(path, mode)?;
    listener.set_nonblocking(true)?;
    Ok((UnixListener::from_std(listener)?, socket))
}

/// Creates an acceptor from these files. Returns the expiry of their certificates as well.
fn acceptor(tls: &ListenTls) -> Result<(TlsAcceptor, Vec<CertificateExpiry>), TlsError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()?;
    let mut expiries = Vec::new();
    let builder = match &tls.client_ca {
        None => builder.with_no_client_auth(),
        Some(ca) => {
            let mut roots = rustls::RootCertStore::empty();
            let trusted = certificates(ca)?;
            // One valid authority is enough.
            let not_after = trusted.iter().filter_map(not_after).max();
            expiries.extend(not_after.map(|not_after| CertificateExpiry {
                of: CertificateUse::ClientAuthority,
                path: ca.clone(),
                not_after,
            }));
            roots.add_parsable_certificates(trusted);
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .build()
                .map_err(|error| TlsError::File {
                    path: ca.display().to_string(),
                    problem: error.to_string(),
                })?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let chain = certificates(&tls.certificate)?;
    let not_after = chain.iter().filter_map(not_after).min();
    expiries.extend(not_after.map(|not_after| CertificateExpiry {
        of: CertificateUse::Listener,
        path: tls.certificate.clone(),
        not_after,
    }));
    let config = builder.with_single_cert(chain, private_key(&tls.key)?)?;
    Ok((TlsAcceptor::from(Arc::new(config)), expiries))
}
