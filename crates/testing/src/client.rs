//! A small synchronous Redis client (RESP2), so that a test can inspect a server independently of
//! the client library under test. Binary-safe, blocking, with a time limit on every read.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// No command of a test takes this long; a server that stays silent fails the test.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// Commands that are written before their replies are read. Small enough that neither side's
/// socket buffers fill up while the other is still writing.
const COMMANDS_IN_FLIGHT: usize = 256;

/// A server's reply.
#[derive(Clone, PartialEq, Eq)]
pub enum Reply {
    /// A simple string such as `+OK`.
    Simple(String),
    /// `-ERR …`, without the dash.
    Error(String),
    /// `:1`.
    Int(i64),
    /// A string of bytes.
    Bulk(Vec<u8>),
    /// The null string or array.
    Nil,
    /// An array of replies.
    Array(Vec<Reply>),
}

impl Reply {
    /// The bytes of a bulk string, `None` for nil.
    ///
    /// # Panics
    ///
    /// On every other reply.
    #[must_use]
    pub fn bytes(self) -> Option<Vec<u8>> {
        match self {
            Self::Bulk(bytes) => Some(bytes),
            Self::Nil => None,
            other => panic!("expected a bulk string, got {other:?}"),
        }
    }

    /// An integer.
    ///
    /// # Panics
    ///
    /// On every other reply.
    #[must_use]
    pub fn int(self) -> i64 {
        match self {
            Self::Int(number) => number,
            other => panic!("expected an integer, got {other:?}"),
        }
    }

    /// The items of an array.
    ///
    /// # Panics
    ///
    /// On every other reply.
    #[must_use]
    pub fn array(self) -> Vec<Self> {
        match self {
            Self::Array(items) => items,
            other => panic!("expected an array, got {other:?}"),
        }
    }

    /// The text of an error, if this is one.
    #[must_use]
    pub fn error(&self) -> Option<&str> {
        match self {
            Self::Error(text) => Some(text),
            _ => None,
        }
    }

    /// The reply as `redis-cli --raw` prints it: one line for each item of an array, nothing for
    /// nil.
    #[must_use]
    pub fn to_text(&self) -> String {
        match self {
            Self::Simple(text) | Self::Error(text) => text.clone(),
            Self::Int(number) => number.to_string(),
            Self::Bulk(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            Self::Nil => String::new(),
            Self::Array(items) => items
                .iter()
                .map(Self::to_text)
                .collect::<Vec<_>>()
                .join("\n"),
        }
    }
}

/// Bytes as escaped text, so that a failed assertion about an envelope stays readable.
impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Simple(text) => write!(f, "Simple({text:?})"),
            Self::Error(text) => write!(f, "Error({text:?})"),
            Self::Int(number) => write!(f, "Int({number})"),
            Self::Bulk(bytes) => write!(f, "Bulk(\"{}\")", bytes.escape_ascii()),
            Self::Nil => f.write_str("Nil"),
            Self::Array(items) => f.debug_list().entries(items).finish(),
        }
    }
}

/// One connection.
#[derive(Debug)]
pub struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    /// Connects to a port of this machine.
    ///
    /// # Errors
    ///
    /// If the connection is refused.
    pub fn connect(port: u16) -> io::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(READ_TIMEOUT))?;
        stream.set_write_timeout(Some(READ_TIMEOUT))?;
        Ok(Self {
            stream: BufReader::with_capacity(64 * 1024, stream),
        })
    }

    /// Sends one command and waits for its reply, which may be an error reply.
    ///
    /// # Panics
    ///
    /// If the connection breaks.
    pub fn cmd<A: AsRef<[u8]>>(&mut self, arguments: &[A]) -> Reply {
        self.try_cmd(arguments).expect("the server answers")
    }

    /// Like [`Client::cmd`], for servers that the test kills or stops meanwhile.
    ///
    /// # Errors
    ///
    /// If the connection breaks or stays silent for too long.
    pub fn try_cmd<A: AsRef<[u8]>>(&mut self, arguments: &[A]) -> io::Result<Reply> {
        let mut request = Vec::new();
        encode(&mut request, arguments);
        self.stream.get_mut().write_all(&request)?;
        read_reply(&mut self.stream)
    }

    /// Sends many commands without waiting for each, and returns their replies in order.
    ///
    /// # Panics
    ///
    /// If the connection breaks.
    pub fn pipeline<C, A>(&mut self, commands: &[C]) -> Vec<Reply>
    where
        C: AsRef<[A]>,
        A: AsRef<[u8]>,
    {
        let mut replies = Vec::with_capacity(commands.len());
        let mut request = Vec::new();
        for chunk in commands.chunks(COMMANDS_IN_FLIGHT) {
            request.clear();
            for command in chunk {
                encode(&mut request, command.as_ref());
            }
            replies.extend(self.exchange(&request, chunk.len()));
        }
        replies
    }

    /// Writes requests that are already encoded and reads `count` replies.
    pub(crate) fn exchange(&mut self, requests: &[u8], count: usize) -> Vec<Reply> {
        self.stream
            .get_mut()
            .write_all(requests)
            .expect("the server reads");
        (0..count)
            .map(|_| read_reply(&mut self.stream).expect("the server answers"))
            .collect()
    }
}

/// Appends one command in RESP.
pub(crate) fn encode<A: AsRef<[u8]>>(out: &mut Vec<u8>, arguments: &[A]) {
    out.extend_from_slice(format!("*{}\r\n", arguments.len()).as_bytes());
    for argument in arguments {
        let argument = argument.as_ref();
        out.extend_from_slice(format!("${}\r\n", argument.len()).as_bytes());
        out.extend_from_slice(argument);
        out.extend_from_slice(b"\r\n");
    }
}

fn read_reply(stream: &mut impl BufRead) -> io::Result<Reply> {
    let mut line = Vec::new();
    stream.read_until(b'\n', &mut line)?;
    let Some(text) = line.strip_suffix(b"\r\n") else {
        return Err(io::ErrorKind::UnexpectedEof.into());
    };
    let text = String::from_utf8_lossy(text);
    let tail = text.get(1..).unwrap_or_default();
    match text.as_bytes().first() {
        Some(b'+') => Ok(Reply::Simple(tail.to_owned())),
        Some(b'-') => Ok(Reply::Error(tail.to_owned())),
        Some(b':') => Ok(Reply::Int(number(tail)?)),
        Some(b'$') => match usize::try_from(number(tail)?) {
            Ok(length) => read_bulk(stream, length),
            Err(_) => Ok(Reply::Nil),
        },
        Some(b'*') => match number(tail)? {
            -1 => Ok(Reply::Nil),
            count => (0..count)
                .map(|_| read_reply(stream))
                .collect::<Result<_, _>>()
                .map(Reply::Array),
        },
        _ => Err(malformed()),
    }
}

fn read_bulk(stream: &mut impl Read, length: usize) -> io::Result<Reply> {
    let mut bytes = vec![0; length + 2];
    stream.read_exact(&mut bytes)?;
    bytes.truncate(length);
    Ok(Reply::Bulk(bytes))
}

fn number(text: &str) -> io::Result<i64> {
    text.parse().map_err(|_| malformed())
}

fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "not a RESP2 reply")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_kind_of_reply() {
        let mut bytes: &[u8] =
            b"*6\r\n+OK\r\n-ERR no\r\n:-7\r\n$3\r\n\xff\r\n\r\n$-1\r\n*-1\r\n+next\r\n";
        let reply = read_reply(&mut bytes).unwrap();
        assert_eq!(
            reply,
            Reply::Array(vec![
                Reply::Simple("OK".into()),
                Reply::Error("ERR no".into()),
                Reply::Int(-7),
                Reply::Bulk(b"\xff\r\n".to_vec()),
                Reply::Nil,
                Reply::Nil,
            ])
        );
        assert_eq!(bytes, b"+next\r\n");
    }

    #[test]
    fn reports_a_truncated_reply() {
        for mut broken in [&b""[..], b"+OK", b"$5\r\nab", b"*2\r\n:1\r\n", b"?\r\n"] {
            assert!(read_reply(&mut broken).is_err());
        }
    }
}
