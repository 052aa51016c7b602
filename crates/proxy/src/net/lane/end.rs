//! The end of a lane: the reason, how it is counted, what the lane's clients are answered, and what it says about the
//! lanes to come.

use std::time::Duration;

use waxseal_metrics::UpstreamError;

use crate::answers;
use crate::login::LoginError;
use crate::net::socket::Socket;
use crate::net::upstream::failure::ConnectError;

/// The reason why a lane has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LaneEnd {
    /// The server could not be reached.
    NotConnected(ConnectError),
    /// The server refused the login.
    LoginRefused(LoginError),
    /// The server closed the connection.
    Closed,
    /// The connection failed.
    Aborted,
    /// The server sent what no request explains.
    Unexplained,
    /// Sent bytes, or a keepalive probe of the system, were not acknowledged.
    TimedOut,
    /// Nothing was received for this long while replies were due, and the server answered on another connection.
    Stalled(Duration),
    /// Its clients have moved to newer connections.
    Retired,
    /// Its task has ended by a bug.
    TaskFailed,
}

impl LaneEnd {
    /// The cause for clients and for the log. Holds no text of the server's.
    pub(crate) const fn description(self) -> &'static str {
        match self {
            Self::NotConnected(error) => error.description(),
            Self::LoginRefused(error) => error.description(),
            Self::Closed => "the server closed the connection",
            Self::Aborted => "the connection failed",
            Self::Unexplained => "the server sent a reply that no request explains",
            Self::TimedOut => "the connection is dead: what was sent was not acknowledged",
            Self::Stalled(_) => "the connection is dead: a reply was late by --max-stall",
            Self::Retired => "its address leads to another server now",
            Self::TaskFailed => "the connection to it ended unexpectedly",
        }
    }

    /// The answer to the lane's clients.
    pub(crate) fn answer(self) -> Vec<u8> {
        match self {
            Self::LoginRefused(error) => answers::refused_login(error),
            end => answers::unreachable(end.description()),
        }
    }

    /// The end as it is counted; `None` if it is not an error.
    pub(crate) const fn metric(self) -> Option<UpstreamError> {
        Some(match self {
            Self::Retired => return None,
            Self::NotConnected(error) => error.metric(),
            Self::LoginRefused(_) => UpstreamError::Login,
            Self::Closed | Self::Aborted | Self::TaskFailed => UpstreamError::Closed,
            Self::Unexplained => UpstreamError::Unexplained,
            Self::TimedOut | Self::Stalled(_) => UpstreamError::Stalled,
        })
    }

    /// Returns `TimedOut` if the system has given the connection up, otherwise `end`.
    pub(super) fn of(socket: &Socket, end: Self) -> Self {
        match socket.is_timed_out() {
            true => Self::TimedOut,
            false => end,
        }
    }

    /// True if the network path was dead: a client that waited for nothing on it need not know.
    pub(crate) const fn is_dead_path(self) -> bool {
        matches!(self, Self::TimedOut | Self::Stalled(_))
    }

    /// True if this server will never accept a lane of the same protocol.
    pub(crate) const fn is_permanent(self) -> bool {
        matches!(self, Self::LoginRefused(LoginError::Protocol))
    }
}
