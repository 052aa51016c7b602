//! The server's errors in a handshake, as far as the proxy distinguishes them. Their texts can quote a request, so they
//! are never repeated.

/// The server refused a login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginError {
    /// It requires a password, and the store's URL has none.
    NoPassword,
    /// The user or the password is wrong.
    Credentials,
    /// The user may not run the commands of the handshake.
    Permission,
    /// It has no such database.
    Database,
    /// It has reached its limit of clients.
    TooManyClients,
    /// It is loading its data.
    Loading,
    /// It does not speak this version of the protocol.
    Protocol,
    /// Anything else.
    Other,
}

/// The error that a server at its limit of clients sends to another one, unasked, before it closes the connection.
const TURNED_AWAY: &[u8] = b"-ERR max number of clients";

/// True if a server's first bytes on a new connection say that it has too many clients.
pub(crate) fn is_turned_away(first: &[u8]) -> bool {
    first.starts_with(TURNED_AWAY)
}

impl LoginError {
    /// Classifies a server's error.
    #[must_use]
    pub fn of(reply: &[u8]) -> Self {
        let text = reply.get(1..).unwrap_or_default();
        let starts = |prefix: &str| text.starts_with(prefix.as_bytes());
        if starts("NOAUTH") {
            Self::NoPassword
        } else if starts("WRONGPASS") || starts("ERR AUTH") || starts("ERR invalid password") {
            Self::Credentials
        } else if starts("NOPERM") {
            Self::Permission
        } else if starts("ERR max number of clients") || starts("ERR max clients") {
            Self::TooManyClients
        } else if starts("LOADING") {
            Self::Loading
        } else if starts("NOPROTO") || starts("ERR unknown command") {
            Self::Protocol
        } else if starts("ERR DB index") || starts("ERR invalid DB index") {
            Self::Database
        } else {
            Self::Other
        }
    }

    /// The cause, as the continuation of "the store cannot be used: ".
    #[must_use]
    pub const fn description(self) -> &'static str {
        match self {
            Self::NoPassword => "it asks for a password that the store's URL does not have",
            Self::Credentials => "it refuses the user or password of the store's URL",
            Self::Permission => "the user of the store's URL may not do this",
            Self::Database => "it does not have the database of the store's URL",
            Self::TooManyClients => "it has reached its limit of clients",
            Self::Loading => "it is loading its data",
            Self::Protocol => "it does not speak this version of the protocol",
            Self::Other => "it answers with an error",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_servers_are_classified() {
        for (reply, error) in [
            (
                "-NOAUTH Authentication required.\r\n",
                LoginError::NoPassword,
            ),
            (
                "-WRONGPASS invalid username-password pair\r\n",
                LoginError::Credentials,
            ),
            (
                "-ERR AUTH <password> called without any password\r\n",
                LoginError::Credentials,
            ),
            ("-ERR invalid password\r\n", LoginError::Credentials),
            (
                "-NOPERM this user has no permissions\r\n",
                LoginError::Permission,
            ),
            (
                "-ERR max number of clients reached\r\n",
                LoginError::TooManyClients,
            ),
            ("-LOADING Redis is loading\r\n", LoginError::Loading),
            (
                "-NOPROTO unsupported protocol version\r\n",
                LoginError::Protocol,
            ),
            ("-ERR unknown command `HELLO`\r\n", LoginError::Protocol),
            ("-ERR DB index is out of range\r\n", LoginError::Database),
            ("-ERR anything\r\n", LoginError::Other),
            ("-", LoginError::Other),
            ("", LoginError::Other),
        ] {
            assert_eq!(LoginError::of(reply.as_bytes()), error, "{reply}");
        }
    }
}
