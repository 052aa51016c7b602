//! Errors of a server and of the client library, mapped to [`StoreError`]: by code word and, where
//! the code is generic, by known texts. No text of a server is passed on.

use redis::RedisError;

use super::acl::right_in;
use super::commands;
use super::fault::ConnectionFault;
use crate::error::{MAX_CLIENTS, NO_DATABASE, StoreError};

/// Maps an error of the client library. The server's texts are not passed on: they can quote the
/// arguments of a command.
pub(super) fn explain(location: &str, error: &RedisError) -> StoreError {
    let unavailable = |cause: String| StoreError::Unavailable {
        location: location.to_owned(),
        cause,
        interrupted: false,
    };
    if error.is_timeout() {
        return unavailable("no answer in time".to_owned());
    }
    if let Some(fault) = ConnectionFault::of(error, location.starts_with("unix:")) {
        let location = location.to_owned();
        return StoreError::Connection { location, fault };
    }
    if error.is_connection_refusal() {
        return unavailable("the connection is refused".to_owned());
    }
    if let Some(code) = error.code() {
        return from_server(code, error.detail().unwrap_or_default());
    }
    match error.kind() {
        redis::ErrorKind::AuthenticationFailed => denied("WRONGPASS", None),
        redis::ErrorKind::Io if error.is_connection_dropped() => {
            unavailable("the connection was lost".to_owned())
        }
        // A truncated reply cannot be parsed.
        redis::ErrorKind::Parse => unavailable("the reply was truncated".to_owned()),
        // Texts of the operating system and of TLS contain no arguments.
        redis::ErrorKind::Io => unavailable(error.to_string()),
        _ => StoreError::Other {
            code: error.category().to_owned(),
        },
    }
}

/// Maps a server's error: its code name, and the text that follows it.
pub(super) fn from_server(code: &str, detail: &str) -> StoreError {
    if code == "ERR" {
        if let Some(command) = commands::unknown_command(detail) {
            return StoreError::NoCommand { command };
        }
        if TOO_LARGE.iter().any(|text| detail.starts_with(text)) {
            return StoreError::TooLarge {
                bytes: None,
                limit: None,
            };
        }
    }
    if code == "EXECABORT"
        && let Some(cause) = detail.strip_prefix("Transaction discarded because of: ")
        && let Some((code, detail)) = cause.split_once(' ')
        && code == "NOPERM"
    {
        return from_server(code, detail);
    }
    let code = match code {
        "ERR" => behind_general_error(detail).unwrap_or(code),
        other => other,
    };
    // Anything that does not look like a code name may be data.
    let plain = |c: char| c.is_ascii_uppercase() || c == '_';
    let name = || match code {
        code if code.len() <= 24 && code.chars().all(plain) => code.to_owned(),
        NO_DATABASE | MAX_CLIENTS => code.to_owned(),
        _ => "of an unknown kind".to_owned(),
    };
    match code {
        "NOPERM" => denied(code, right_in(detail)),
        "NOAUTH" | "WRONGPASS" | NO_PASSWORD_SET => denied(code, None),
        "READONLY" => StoreError::ReadOnly {
            code: name(),
            why: "it is a read-only replica: use its primary",
        },
        "MISCONF" => StoreError::ReadOnly {
            code: name(),
            why: "it cannot save its data to disk: see its own log",
        },
        "NOREPLICAS" => StoreError::ReadOnly {
            code: name(),
            why: "it has fewer replicas than min-replicas-to-write asks for",
        },
        "OOM" => StoreError::Full {
            what: "the server reached maxmemory and evicts nothing",
        },
        "LOADING" | "BUSY" | "MASTERDOWN" | "TRYAGAIN" | MAX_CLIENTS => {
            StoreError::NotReady { code: name() }
        }
        "MOVED" | "ASK" | "CLUSTERDOWN" | "CROSSSLOT" => StoreError::Cluster { code: name() },
        "WRONGTYPE" => StoreError::WrongType,
        _ => StoreError::Other { code: name() },
    }
}

/// Errors for a request that exceeds the server's limits, after which it hangs up; and for a value
/// that would grow beyond them.
const TOO_LARGE: [&str; 3] = [
    "Protocol error: invalid bulk length",
    "Protocol error: too big",
    "string exceeds maximum allowed size",
];

/// The server has no password, and was sent one.
const NO_PASSWORD_SET: &str = "NOPASS";

/// The actual cause of a generic `ERR`. Servers before 7.0 wrap errors inside a script in it; and
/// selecting a database while connecting loses the code.
fn behind_general_error(detail: &str) -> Option<&'static str> {
    const INSIDE: [&str; 5] = ["OOM", "READONLY", "MISCONF", "NOREPLICAS", "NOPERM"];
    const TEXTS: [(&str, &str); 10] = [
        (
            "The user executing the script can't run this command",
            "NOPERM",
        ),
        ("ACL failure in script: ", "NOPERM"),
        ("has no permissions to run the 'select' command", "NOPERM"),
        (
            "can't access at least one of the keys mentioned in the command arguments",
            "NOPERM",
        ),
        ("Authentication required", "NOAUTH"),
        ("without any password configured", NO_PASSWORD_SET),
        ("invalid password", "WRONGPASS"),
        ("DB index is out of range", NO_DATABASE),
        ("SELECT is not allowed in cluster mode", "CLUSTERDOWN"),
        (MAX_CLIENTS, MAX_CLIENTS),
    ];
    // Errors that quote arguments begin with the kind of error, and could quote any of these texts.
    if detail.starts_with("unknown ") || detail.starts_with("Unknown ") {
        return None;
    }
    let inside = INSIDE.into_iter();
    let inside = inside.map(|name| (name, detail.contains(&format!("-{name} "))));
    let texts = TEXTS
        .into_iter()
        .map(|(text, name)| (name, detail.contains(text)));
    inside
        .chain(texts)
        .find_map(|(name, found)| found.then_some(name))
}

fn denied(code: &str, right: Option<String>) -> StoreError {
    let needs = match code {
        "NOAUTH" => "it requires a password",
        "WRONGPASS" => "user or password is wrong, or the user is disabled",
        NO_PASSWORD_SET => "it has no password, and the URL has one",
        _ => "the user's ACL does not allow this command or this record name",
    };
    StoreError::Denied {
        code: code.to_owned(),
        needs,
        right,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn login_errors_are_classified_whatever_their_code() {
        for (code, detail, expected) in [
            (
                "ERR",
                "AUTH <password> called without any password configured for the default user. Are you \
                 sure your configuration is correct?",
                NO_PASSWORD_SET,
            ),
            ("ERR", "invalid password", "WRONGPASS"),
            ("WRONGPASS", "invalid username-password pair", "WRONGPASS"),
            ("NOAUTH", "Authentication required.", "NOAUTH"),
        ] {
            match from_server(code, detail) {
                StoreError::Denied { code, .. } => assert_eq!(code, expected),
                other => panic!("{other:?}"),
            }
        }
        let full = from_server("ERR", "max number of clients reached");
        assert!(matches!(full, StoreError::NotReady { .. }), "{full:?}");
    }
}
