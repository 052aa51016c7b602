//! Replies, and how they are written in either version of the protocol.

use std::fmt;

use waxseal_resp::{
    write_array_head, write_bulk, write_error, write_integer, write_map_head, write_null,
    write_null_bulk, write_simple,
};

use crate::error::ServerError;

/// The version of the protocol that a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// RESP2: null is a bulk string without length, a map an array of its keys and values.
    Resp2,
    /// RESP3.
    Resp3,
}

/// A reply to a client. Its debug form shows no bytes of values.
#[derive(Clone, PartialEq, Eq)]
pub enum Reply {
    /// `+OK`.
    Ok,
    /// An integer.
    Integer(i64),
    /// A string of bytes.
    Bulk(Vec<u8>),
    /// No value.
    Null,
    /// Several replies in order.
    Array(Vec<Reply>),
    /// Replies under names.
    Map(Vec<(&'static str, Reply)>),
    /// An error of the server.
    Error(ServerError),
}

impl Reply {
    /// Appends the reply to `out`.
    pub fn write(&self, out: &mut Vec<u8>, protocol: Protocol) {
        match (self, protocol) {
            (Self::Ok, _) => write_simple(out, "OK"),
            (Self::Integer(number), _) => write_integer(out, *number),
            (Self::Bulk(bytes), _) => write_bulk(out, bytes),
            (Self::Null, Protocol::Resp2) => write_null_bulk(out),
            (Self::Null, Protocol::Resp3) => write_null(out),
            (Self::Array(items), _) => {
                write_array_head(out, items.len());
                for item in items {
                    item.write(out, protocol);
                }
            }
            (Self::Map(entries), _) => {
                match protocol {
                    Protocol::Resp2 => write_array_head(out, entries.len().saturating_mul(2)),
                    Protocol::Resp3 => write_map_head(out, entries.len()),
                }
                for (name, value) in entries {
                    write_bulk(out, name.as_bytes());
                    value.write(out, protocol);
                }
            }
            (Self::Error(error), _) => write_error(out, &error.to_string()),
        }
    }

    /// 1 or 0.
    pub(crate) fn flag(is_set: bool) -> Self {
        Self::Integer(is_set.into())
    }

    /// A length. Values are far shorter than an integer can count.
    pub(crate) fn length(length: usize) -> Self {
        Self::Integer(i64::try_from(length).unwrap_or(i64::MAX))
    }
}

impl From<ServerError> for Reply {
    fn from(error: ServerError) -> Self {
        Self::Error(error)
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ok => f.write_str("Ok"),
            Self::Integer(_) => f.write_str("Integer"),
            Self::Bulk(bytes) => write!(f, "Bulk({} bytes)", bytes.len()),
            Self::Null => f.write_str("Null"),
            Self::Array(items) => f.debug_list().entries(items).finish(),
            Self::Map(entries) => f
                .debug_map()
                .entries(entries.iter().map(|(name, value)| (name, value)))
                .finish(),
            Self::Error(error) => write!(f, "Error({error})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_both_versions_of_the_protocol() {
        let reply = Reply::Map(vec![
            ("a", Reply::Array(vec![Reply::Null, Reply::Integer(-1)])),
            ("b", Reply::Bulk(b"x\r\n".to_vec())),
        ]);
        let written = |protocol| {
            let mut out = Vec::new();
            reply.write(&mut out, protocol);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(
            written(Protocol::Resp2),
            "*4\r\n$1\r\na\r\n*2\r\n$-1\r\n:-1\r\n$1\r\nb\r\n$3\r\nx\r\n\r\n"
        );
        assert_eq!(
            written(Protocol::Resp3),
            "%2\r\n$1\r\na\r\n*2\r\n_\r\n:-1\r\n$1\r\nb\r\n$3\r\nx\r\n\r\n"
        );
        let mut out = Vec::new();
        Reply::Ok.write(&mut out, Protocol::Resp3);
        Reply::from(ServerError::Syntax).write(&mut out, Protocol::Resp2);
        assert_eq!(out, b"+OK\r\n-ERR syntax error\r\n");
    }

    #[test]
    fn the_debug_form_shows_no_value() {
        let reply = Reply::Array(vec![Reply::Bulk(b"secret".to_vec()), Reply::Integer(4711)]);
        assert_eq!(format!("{reply:?}"), "[Bulk(6 bytes), Integer]");
    }
}
