//! How a lane ends: what is counted, what its clients are told, and what it says of the lanes to come.

use std::io;
use std::time::Duration;

use waxseal_metrics::UpstreamError;

use crate::answers;
use crate::login::LoginError;
use crate::net::socket::Socket;
use crate::net::upstream::{cause, kind};

/// Why a lane is no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LaneEnd {
    /// The server was not reached.
    Connect(io::ErrorKind),
    /// The server did not let the proxy in.
    Refused(LoginError),
    /// The server closed the connection.
    Closed,
    /// The connection broke off.
    Aborted,
    /// The server sent what no request explains.
    Unexplained,
    /// What was sent, or a question of the system's whether the server is there, was not acknowledged.
    TimedOut,
    /// Nothing came for so long while replies were due, and the server answered on another connection.
    Stalled(Duration),
    /// Its clients have gone to newer connections.
    Retired,
    /// Its task ended unexpectedly.
    Unforeseen,
}

impl LaneEnd {
    /// Why the store cannot be reached, for clients and for the log. Holds no text of the server's.
    pub(crate) fn description(self) -> &'static str {
        match self {
            Self::Connect(error) => cause(&error.into()),
            Self::Refused(error) => error.description(),
            Self::Closed => "the server closed the connection",
            Self::Aborted => "the connection breaks off",
            Self::Unexplained => "the server sent what no request explains",
            Self::TimedOut => "the connection is dead: what was sent was not acknowledged",
            Self::Stalled(_) => "the connection is dead: a reply was late by --max-stall",
            Self::Retired => "its address leads to another server now",
            Self::Unforeseen => "the connection to it ended in a way that was not foreseen",
        }
    }

    /// What the lane's clients are answered.
    pub(crate) fn answer(self) -> Vec<u8> {
        match self {
            Self::Refused(error) => answers::refused_login(error),
            end => answers::unreachable(end.description()),
        }
    }

    /// The same, to be counted; `None` for what is no error.
    pub(crate) fn counted(self) -> Option<UpstreamError> {
        Some(match self {
            Self::Retired => return None,
            Self::Connect(error) => kind(&error.into()),
            Self::Refused(_) => UpstreamError::Login,
            Self::Closed | Self::Aborted | Self::Unforeseen => UpstreamError::Closed,
            Self::Unexplained => UpstreamError::Unexplained,
            Self::TimedOut | Self::Stalled(_) => UpstreamError::Stalled,
        })
    }

    /// This end of a connection, unless its system has given it up.
    pub(super) fn of(socket: &Socket, end: Self) -> Self {
        match socket.is_timed_out() {
            true => Self::TimedOut,
            false => end,
        }
    }

    /// Whether the path was dead: who waited for nothing on it need not know.
    pub(crate) fn is_dead_path(self) -> bool {
        matches!(self, Self::TimedOut | Self::Stalled(_))
    }

    /// Whether no lane of the same protocol can ever be opened to this server.
    pub(crate) fn is_for_good(self) -> bool {
        matches!(self, Self::Refused(LoginError::Protocol))
    }
}
