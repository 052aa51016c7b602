//! Causes for failing to connect to a server, distinguished by remedy. Errors of the operating
//! system and of TLS are recognised here; errors of the server, in `server_error`.

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;

use redis::RedisError;

/// The cause of a failed connection, where it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectionFault {
    /// The server's certificate is signed by an authority that is not trusted.
    UntrustedCertificate(String),
    /// The server presents the certificate of an authority, which is not valid for a server.
    AuthorityCertificate(String),
    /// The certificate is for other names than the one in the URL.
    OtherName(String),
    /// The certificate is not valid at this time.
    CertificateTime(String),
    /// Any other defect of the server's certificate.
    Certificate(String),
    /// The server requires a client certificate, or rejects this one.
    ClientCertificate(String),
    /// The server aborts the handshake, possibly because of a missing client certificate.
    Handshake(String),
    /// The URL asks for TLS, and the server does not speak it there.
    NotTls,
    /// The server speaks TLS there, and the URL does not ask for it.
    OnlyTls,
    /// The peer is not a Redis server.
    NotRedis,
    /// The host has no address.
    UnknownHost(String),
    /// The unix socket does not exist.
    NoSocket,
    /// This user may not use the unix socket.
    SocketDenied,
    /// A PEM file that the URL names cannot be read.
    File(String),
}

impl ConnectionFault {
    /// Classifies an error of the operating system or of TLS.
    pub(super) fn of(error: &RedisError, is_socket: bool) -> Option<Self> {
        let text = error.to_string();
        let kind = error
            .source()
            .and_then(|source| source.downcast_ref::<Arc<dyn Error + Send + Sync>>())
            .and_then(|inner| inner.downcast_ref::<io::Error>())
            .map(io::Error::kind);
        match kind {
            Some(io::ErrorKind::NotFound) if is_socket => return Some(Self::NoSocket),
            Some(io::ErrorKind::PermissionDenied) if is_socket => return Some(Self::SocketDenied),
            _ => {}
        }
        if let Some(cause) = text.strip_prefix("invalid peer certificate: ") {
            let mentions = |word| cause.contains(word);
            return Some(if mentions("CaUsedAsEndEntity") {
                Self::AuthorityCertificate(text)
            } else if mentions("UnknownIssuer") || mentions("BadSignature") {
                Self::UntrustedCertificate(text)
            } else if mentions("not valid for name") || mentions("NotValidForName") {
                Self::OtherName(text)
            } else if mentions("xpired") || mentions("not valid yet") || mentions("NotValidYet") {
                Self::CertificateTime(text)
            } else {
                Self::Certificate(text)
            });
        }
        if let Some(alert) = text.strip_prefix("received fatal alert: ") {
            return of_alert(alert.trim()).map(|kind| kind(text));
        }
        if text.starts_with("received corrupt message") {
            return Some(Self::NotTls);
        }
        text.starts_with("failed to lookup address")
            .then_some(Self::UnknownHost(text))
    }

    /// The remedy.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::UntrustedCertificate(_) => {
                "name the authority that signed the server's certificate: rediss://HOST:PORT?ca=/PATH/ca.pem; \
                 for a self-signed certificate, that certificate itself"
            }
            Self::AuthorityCertificate(_) => {
                "the server shows the certificate of an authority (CA:TRUE, as openssl req -x509 makes it): \
                 give it a certificate of its own, signed by that authority, and name the authority as ?ca=; \
                 or create a self-signed one with -addext basicConstraints=critical,CA:FALSE, and name \
                 that as ?ca="
            }
            Self::OtherName(_) => {
                "write a host into the URL that the certificate is for, or give the server a certificate \
                 for this one"
            }
            Self::CertificateTime(_) => {
                "renew the server's certificate; if it is valid, set the clock of this machine"
            }
            Self::Certificate(_) => "give the server a certificate that is valid for its host",
            Self::ClientCertificate(_) => {
                "the server requires a client certificate that it trusts: \
                 rediss://HOST:PORT?cert=/PATH/client.pem&key=/PATH/client.key"
            }
            Self::Handshake(_) => {
                "the server may require a client certificate, \
                 rediss://HOST:PORT?cert=/PATH/client.pem&key=/PATH/client.key, or speak no TLS version or \
                 cipher that this program does: 1.2 or 1.3"
            }
            Self::NotTls => {
                "write redis:// instead of rediss://, or the port at which the server speaks TLS (its \
                 tls-port)"
            }
            Self::OnlyTls => {
                "write rediss:// instead of redis://, with ?ca=/PATH/ca.pem for an authority of your own"
            }
            Self::NotRedis => "check host and port of the URL: something else listens there",
            Self::UnknownHost(_) => "check the host of the URL, and this machine's name servers",
            Self::NoSocket => "check the path, and that the server runs with unixsocket set to it",
            Self::SocketDenied => {
                "give this user the right to write to the socket: unixsocketperm 770 and its group"
            }
            Self::File(_) => {
                "check the paths behind ca, cert and key in the URL, and that this user may read them"
            }
        }
    }
}

/// The fault that a fatal TLS alert indicates, where its name is conclusive. rustls spells the
/// names of alerts in its own way.
fn of_alert(alert: &str) -> Option<fn(String) -> ConnectionFault> {
    match alert {
        "CertificateRequired" | "BadCertificate" | "UnknownCA" => {
            Some(ConnectionFault::ClientCertificate)
        }
        "HandshakeFailure" => Some(ConnectionFault::Handshake),
        _ => None,
    }
}

impl fmt::Display for ConnectionFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UntrustedCertificate(text)
            | Self::AuthorityCertificate(text)
            | Self::OtherName(text)
            | Self::CertificateTime(text)
            | Self::Certificate(text)
            | Self::ClientCertificate(text)
            | Self::Handshake(text)
            | Self::UnknownHost(text)
            | Self::File(text) => f.write_str(text),
            Self::NotTls => f.write_str("the server does not speak TLS there"),
            Self::OnlyTls => f.write_str("the server speaks TLS there"),
            Self::NotRedis => f.write_str("something other than a Redis server answers there"),
            Self::NoSocket => f.write_str("there is no such socket"),
            Self::SocketDenied => f.write_str("this user may not use the socket"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_alerts_about_a_certificate_ask_for_one_of_the_client() {
        let fault = |alert| of_alert(alert).map(|fault| fault(String::new()));
        for alert in ["CertificateRequired", "BadCertificate", "UnknownCA"] {
            let asks = Some(ConnectionFault::ClientCertificate(String::new()));
            assert_eq!(fault(alert), asks, "{alert}");
        }
        let may_ask = fault("HandshakeFailure").expect("it may");
        assert!(may_ask.remedy().contains(" may "), "{}", may_ask.remedy());
        for alert in ["ProtocolVersion", "InternalError", "UnrecognisedName"] {
            assert_eq!(fault(alert), None, "{alert}");
        }
    }
}
