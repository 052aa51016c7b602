//! One connection, of which a harness sees every byte: bytes out, replies in, with an upper bound on every wait.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::reply_tree::ReplyTree;

/// No reply takes this long unless its connection is blocked.
pub const REPLY_TIMEOUT: Duration = Duration::from_secs(5);

/// The reason why no reply was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Silence {
    /// The other side closed the connection.
    Closed,
    /// It was silent for too long.
    TimedOut,
    /// It sent something that is not RESP.
    Malformed,
}

/// A connection.
#[derive(Debug)]
pub struct Link {
    stream: TcpStream,
    received: Vec<u8>,
    start: usize,
}

impl Link {
    /// Connects to a port of this machine.
    ///
    /// # Panics
    ///
    /// If the connection is refused.
    #[must_use]
    #[track_caller]
    pub fn connect(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("the port accepts connections");
        stream.set_nodelay(true).unwrap();
        stream.set_write_timeout(Some(REPLY_TIMEOUT)).unwrap();
        Self {
            stream,
            received: Vec::new(),
            start: 0,
        }
    }

    /// Writes bytes. That the other side has closed is noticed when the replies are read.
    pub fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    /// Sends a request and returns its reply.
    ///
    /// # Errors
    ///
    /// If none comes.
    pub fn ask<A: AsRef<[u8]>>(&mut self, words: &[A]) -> Result<ReplyTree, Silence> {
        self.send(&encode(words));
        self.reply(REPLY_TIMEOUT)
    }

    /// The next reply.
    ///
    /// # Errors
    ///
    /// If none comes within this time.
    pub fn reply(&mut self, limit: Duration) -> Result<ReplyTree, Silence> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(reply) = self.buffered()? {
                return Ok(reply);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Silence::TimedOut);
            }
            self.stream.set_read_timeout(Some(left)).unwrap();
            self.read()?;
        }
    }

    /// A reply that has been received in full.
    fn buffered(&mut self) -> Result<Option<ReplyTree>, Silence> {
        let remaining = &self.received[self.start..];
        let Some((reply, length)) = ReplyTree::parse(remaining).map_err(|_| Silence::Malformed)?
        else {
            return Ok(None);
        };
        self.start += length;
        if self.start == self.received.len() {
            self.received.clear();
            self.start = 0;
        }
        Ok(Some(reply))
    }

    fn read(&mut self) -> Result<(), Silence> {
        let mut chunk = [0; 64 * 1024];
        match self.stream.read(&mut chunk) {
            Ok(0) => Err(Silence::Closed),
            Ok(length) => {
                self.received.extend_from_slice(&chunk[..length]);
                Ok(())
            }
            Err(error) => match error.kind() {
                io::ErrorKind::Interrupted => Ok(()),
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Err(Silence::TimedOut),
                _ => Err(Silence::Closed),
            },
        }
    }
}

/// A request as an array.
#[must_use]
pub fn encode<A: AsRef<[u8]>>(words: &[A]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        let word = word.as_ref();
        out.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
    }
    out
}
