//! The reasons why the server cannot be used. None of them holds an address or a text of the server's.

use std::io;

use waxseal_metrics::UpstreamError;

use crate::login::LoginError;

/// The reason why a connection to the server failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.description())]
pub enum ConnectError {
    /// Nothing listens at the address.
    Refused,
    /// The connection was not established in time.
    TimedOut,
    /// The unix socket does not exist.
    NoSocket,
    /// The unix socket may not be used.
    Permission,
    /// The connection was closed before it was established.
    Aborted,
    /// The TLS handshake failed.
    Tls,
    /// Anything else.
    Other,
}

impl From<&io::Error> for ConnectError {
    fn from(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Self::Refused,
            io::ErrorKind::TimedOut => Self::TimedOut,
            io::ErrorKind::NotFound => Self::NoSocket,
            io::ErrorKind::PermissionDenied => Self::Permission,
            io::ErrorKind::ConnectionReset | io::ErrorKind::UnexpectedEof => Self::Aborted,
            io::ErrorKind::InvalidData => Self::Tls,
            _ => Self::Other,
        }
    }
}

impl ConnectError {
    /// The cause, as the continuation of "the store cannot be reached: ".
    #[must_use]
    pub const fn description(self) -> &'static str {
        match self {
            Self::Refused => "connection refused",
            Self::TimedOut => "no connection in time",
            Self::NoSocket => "there is no such socket",
            Self::Permission => "permission denied",
            Self::Aborted => CLOSED,
            Self::Tls => "TLS fails: certificate or protocol",
            Self::Other => "the connection failed",
        }
    }

    /// The error as it is counted.
    pub(crate) const fn metric(self) -> UpstreamError {
        match self {
            Self::Refused => UpstreamError::Refused,
            Self::TimedOut => UpstreamError::Timeout,
            Self::NoSocket => UpstreamError::Missing,
            Self::Permission => UpstreamError::Permission,
            Self::Aborted => UpstreamError::Aborted,
            Self::Tls => UpstreamError::Tls,
            Self::Other => UpstreamError::Other,
        }
    }
}

/// The reason why requests on a new connection to the server failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.description())]
pub enum UpstreamFailure {
    /// The connection could not be opened.
    Connect(ConnectError),
    /// The server refused the login.
    Login(LoginError),
    /// The server closed the connection before it had answered.
    Closed,
    /// The server answered something that is not RESP.
    NotResp,
    /// The server sent more than was asked for.
    Unexplained,
    /// The server did not answer in time.
    TimedOut,
}

/// A connection that ended before its time.
const CLOSED: &str = "the connection was closed";

impl UpstreamFailure {
    /// The failure of an exchange on an open connection.
    pub(super) fn of_exchange(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::InvalidData => Self::NotResp,
            _ => Self::Closed,
        }
    }

    /// The cause, as the continuation of "the store cannot be used: ".
    #[must_use]
    pub const fn description(self) -> &'static str {
        match self {
            Self::Connect(error) => error.description(),
            Self::Login(error) => error.description(),
            Self::Closed => CLOSED,
            Self::NotResp => "it does not speak RESP",
            Self::Unexplained => "the server sent a reply that no request explains",
            Self::TimedOut => "it does not answer in time",
        }
    }
}
