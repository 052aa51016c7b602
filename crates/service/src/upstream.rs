//! The proxy's upstream: the server that a store's URL names.

use waxseal_proxy::{Address, Handshake, TlsError, Upstream, UpstreamTls};
use waxseal_stores::RedisUrl;

use crate::Failure;

/// Returns the upstream of this URL. If `clients_authenticate`, its credentials are not used for clients.
pub fn upstream(url: &RedisUrl, clients_authenticate: bool) -> Result<Upstream, Failure> {
    let parts = url.parts()?;
    let address = match (parts.host, parts.socket) {
        (Some((host, port)), _) => Address::Tcp { host, port },
        (None, Some(path)) => Address::Unix(path),
        (None, None) => return Err(Failure::usage("the store URL names no server")),
    };
    let tls = parts.tls.then_some(UpstreamTls {
        ca: parts.ca,
        identity: parts.identity,
    });
    let handshake = Handshake::new(
        parts.user.as_deref(),
        parts.password.as_deref(),
        parts.database,
    );
    let upstream =
        Upstream::new(address, tls.as_ref(), handshake, parts.database).map_err(tls_failure)?;
    Ok(if clients_authenticate {
        upstream.without_credentials_for_clients()
    } else {
        upstream
    })
}

/// The failure where a certificate or key cannot be used.
#[must_use]
pub fn tls_failure(error: TlsError) -> Failure {
    Failure::usage(error)
}
