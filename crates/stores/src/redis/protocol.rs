//! Detects a mismatch of TLS between URL and server, by the server's first bytes. A plain server
//! waits for the end of a line that a TLS client never sends, and a TLS server hangs up silently on
//! a plain client: neither reports the cause, so the server is probed with the other protocol.

use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::fault::ConnectionFault;
use crate::error::StoreError;
use crate::url::RedisUrl;

/// The time connecting may take before the server is probed.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(2);
/// The time limit of a probe.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);
/// The first byte of a TLS record: handshake, alert.
const TLS_RECORD_TYPES: [u8; 2] = [0x16, 0x15];

/// Waits for the server's first answer, and on failure explains it by the protocol that the server
/// speaks.
pub(super) async fn explain(
    url: &RedisUrl,
    answer: impl Future<Output = Result<(), StoreError>>,
) -> Result<(), StoreError> {
    let Some((host, port)) = url.parts().ok().and_then(|parts| parts.host) else {
        return answer.await;
    };
    let fault = |fault| StoreError::Connection {
        location: url.location.clone(),
        fault,
    };
    let silent = async {
        sleep(SILENCE_TIMEOUT).await;
        match url.tls.is_some() && probe_plain(&host, port).await == Some(true) {
            true => fault(ConnectionFault::NotTls),
            false => std::future::pending().await,
        }
    };
    let error = tokio::select! {
        answer = answer => match answer {
            Ok(()) => return Ok(()),
            Err(error) => error,
        },
        error = silent => return Err(error),
    };
    let StoreError::Unavailable { .. } = error else {
        return Err(error);
    };
    let found = match url.tls {
        None => match probe_tls(&host, port).await {
            Some(true) => Some(ConnectionFault::OnlyTls),
            _ if probe_plain(&host, port).await == Some(false) => Some(ConnectionFault::NotRedis),
            _ => None,
        },
        Some(_) => {
            (probe_plain(&host, port).await == Some(true)).then_some(ConnectionFault::NotTls)
        }
    };
    Err(found.map_or(error, fault))
}

/// True if the answer to a plain request is that of a Redis server; `None` without an answer.
async fn probe_plain(host: &str, port: u16) -> Option<bool> {
    let first = first_bytes(host, port, b"PING\r\n").await?;
    Some(matches!(first, b'+' | b'-'))
}

/// True if the answer to a TLS ClientHello is TLS; `None` without an answer.
async fn probe_tls(host: &str, port: u16) -> Option<bool> {
    let first = first_bytes(host, port, &client_hello()?).await?;
    Some(TLS_RECORD_TYPES.contains(&first))
}

async fn first_bytes(host: &str, port: u16, request: &[u8]) -> Option<u8> {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let probe = async {
        let mut stream = TcpStream::connect((host, port)).await.ok()?;
        stream.write_all(request).await.ok()?;
        let mut first = [0];
        stream.read_exact(&mut first).await.ok()?;
        Some(first[0])
    };
    timeout(PROBE_TIMEOUT, probe).await.ok().flatten()
}

/// A TLS ClientHello. Nothing is trusted, and nothing secret is sent.
fn client_hello() -> Option<Vec<u8>> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .ok()?
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let name = ServerName::try_from("redis").ok()?;
    let mut connection = ClientConnection::new(Arc::new(config), name).ok()?;
    let mut hello = Vec::new();
    connection.write_tls(&mut hello).ok()?;
    Some(hello)
}
