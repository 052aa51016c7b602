//! How a lane ends: what is counted, what its clients are told, and what it says of the lanes to come.

use std::io;

use waxseal_metrics::UpstreamError;

use crate::answers;
use crate::login::LoginError;
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
    BrokenOff,
    /// The server sent what no request explains.
    Unexplained,
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
            Self::BrokenOff => "the connection breaks off",
            Self::Unexplained => "the server sent what no request explains",
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

    /// The same, to be counted.
    pub(crate) fn counted(self) -> UpstreamError {
        match self {
            Self::Connect(error) => kind(&error.into()),
            Self::Refused(_) => UpstreamError::Entrance,
            Self::Closed | Self::BrokenOff | Self::Unforeseen => UpstreamError::Closed,
            Self::Unexplained => UpstreamError::Unexplained,
        }
    }

    /// Whether no lane of the same protocol can ever be opened to this server.
    pub(crate) fn is_for_good(self) -> bool {
        matches!(self, Self::Refused(LoginError::Protocol))
    }
}
