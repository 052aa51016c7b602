//! Whether a server speaks TLS, told by its first bytes. A plain server waits for the end of a line that a
//! TLS client never sends, and a TLS server hangs up on a plain client without a word: neither says what
//! is wrong, so it is asked in the other way.

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

/// How long connecting may take before the server is asked.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(2);
/// How long asking may take.
const ASK_TIMEOUT: Duration = Duration::from_secs(2);
/// The first byte of a TLS record: of a handshake, of an alert.
const TLS_RECORDS: [u8; 2] = [0x16, 0x15];

/// The first answer of a server, or what its protocol says about why there is none.
pub(super) async fn explained(
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
        match url.tls.is_some() && asked_in_plain(&host, port).await == Some(true) {
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
        None => match asked_in_tls(&host, port).await {
            Some(true) => Some(ConnectionFault::OnlyTls),
            _ if asked_in_plain(&host, port).await == Some(false) => {
                Some(ConnectionFault::NotRedis)
            }
            _ => None,
        },
        Some(_) => {
            (asked_in_plain(&host, port).await == Some(true)).then_some(ConnectionFault::NotTls)
        }
    };
    Err(found.map_or(error, fault))
}

/// Whether the answer to a plain request is that of a Redis server; `None`: there was none.
async fn asked_in_plain(host: &str, port: u16) -> Option<bool> {
    let first = first_bytes(host, port, b"PING\r\n").await?;
    Some(matches!(first, b'+' | b'-'))
}

/// Whether the answer to the beginning of a TLS connection is one; `None`: there was none.
async fn asked_in_tls(host: &str, port: u16) -> Option<bool> {
    let first = first_bytes(host, port, &client_hello()?).await?;
    Some(TLS_RECORDS.contains(&first))
}

async fn first_bytes(host: &str, port: u16, request: &[u8]) -> Option<u8> {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let asked = async {
        let mut stream = TcpStream::connect((host, port)).await.ok()?;
        stream.write_all(request).await.ok()?;
        let mut first = [0];
        stream.read_exact(&mut first).await.ok()?;
        Some(first[0])
    };
    timeout(ASK_TIMEOUT, asked).await.ok().flatten()
}

/// What a TLS client says first. Nothing is trusted, and nothing secret is sent.
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
