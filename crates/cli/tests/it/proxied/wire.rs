//! One connection at the level of bytes: requests as a test writes them, replies as they came, in
//! either version of the protocol. Knows where a reply ends, and nothing of what it means.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// No reply of a test takes this long.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A connection.
pub(super) struct Wire {
    stream: Stream,
    received: Vec<u8>,
    gone: usize,
}

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// A reply unchanged; shown as escaped text.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Raw(pub(super) Vec<u8>);

impl fmt::Debug for Raw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.0.get(..400).unwrap_or(&self.0);
        write!(f, "{} ({} bytes)", shown.escape_ascii(), self.0.len())
    }
}

impl PartialEq<str> for Raw {
    fn eq(&self, other: &str) -> bool {
        self.0 == other.as_bytes()
    }
}

impl PartialEq<&str> for Raw {
    fn eq(&self, other: &&str) -> bool {
        self.0 == other.as_bytes()
    }
}

impl Raw {
    /// True if it begins with this.
    pub(super) fn starts_with(&self, text: &str) -> bool {
        self.0.starts_with(text.as_bytes())
    }

    pub(super) fn contains(&self, text: &str) -> bool {
        contains(&self.0, text.as_bytes())
    }
}

/// True if these bytes are somewhere in those.
pub(super) fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}

impl Wire {
    /// To a port of this machine.
    #[track_caller]
    pub(super) fn tcp(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("a listener at this address");
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        stream.set_write_timeout(Some(TIMEOUT)).unwrap();
        Self::over(Stream::Tcp(stream))
    }

    /// To a unix socket.
    #[track_caller]
    pub(super) fn unix(path: &Path) -> Self {
        let stream = UnixStream::connect(path).expect("a listener at this address");
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        Self::over(Stream::Unix(stream))
    }

    fn over(stream: Stream) -> Self {
        Self {
            stream,
            received: Vec::new(),
            gone: 0,
        }
    }

    /// The address that the other side sees.
    #[track_caller]
    pub(super) fn local_address(&self) -> String {
        match &self.stream {
            Stream::Tcp(stream) => stream.local_addr().unwrap().to_string(),
            Stream::Unix(_) => panic!("a unix socket has no such address"),
        }
    }

    /// In RESP3 from here on.
    #[track_caller]
    pub(super) fn resp3(mut self) -> Self {
        let hello = self.ask(&["HELLO", "3"]);
        assert!(hello.starts_with("%"), "{hello:?}");
        self
    }

    /// Writes bytes as they are.
    #[track_caller]
    pub(super) fn send(&mut self, bytes: &[u8]) {
        self.try_send(bytes).expect("the other side reads");
    }

    pub(super) fn try_send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.stream {
            Stream::Tcp(stream) => stream.write_all(bytes),
            Stream::Unix(stream) => stream.write_all(bytes),
        }
    }

    /// One request, and its reply unchanged.
    #[track_caller]
    pub(super) fn ask<A: AsRef<[u8]>>(&mut self, arguments: &[A]) -> Raw {
        self.send(&request(arguments));
        self.reply()
    }

    /// The next reply.
    #[track_caller]
    pub(super) fn reply(&mut self) -> Raw {
        self.try_reply().expect("a reply comes")
    }

    pub(super) fn try_reply(&mut self) -> io::Result<Raw> {
        let mut wanted = 0;
        loop {
            let remaining = &self.received[self.gone..];
            if remaining.len() > wanted {
                match frame(remaining) {
                    Frame::Whole(len) => {
                        let reply = remaining[..len].to_vec();
                        self.gone += len;
                        if self.gone == self.received.len() {
                            self.received.clear();
                            self.gone = 0;
                        }
                        return Ok(Raw(reply));
                    }
                    Frame::Needs(len) => wanted = len.saturating_sub(1),
                    Frame::Broken => return Err(io::ErrorKind::InvalidData.into()),
                }
            }
            self.more()?;
        }
    }

    fn more(&mut self) -> io::Result<()> {
        let mut chunk = [0; 64 * 1024];
        let read = match self.read(&mut chunk) {
            // A signal came, as when the machine was suspended.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            read => read?,
        };
        match read {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            len => {
                self.received.extend_from_slice(&chunk[..len]);
                Ok(())
            }
        }
    }

    /// Bytes as they come, past any reply.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.stream {
            Stream::Tcp(stream) => stream.read(buffer),
            Stream::Unix(stream) => stream.read(buffer),
        }
    }

    /// Everything up to the end of the connection.
    #[track_caller]
    pub(super) fn until_the_end(&mut self) -> Vec<u8> {
        loop {
            match self.more() {
                Ok(()) => {}
                Err(error) => {
                    let silent = [io::ErrorKind::WouldBlock, io::ErrorKind::TimedOut];
                    assert!(!silent.contains(&error.kind()), "it stays open");
                    let remaining = self.received.split_off(self.gone);
                    return remaining;
                }
            }
        }
    }

    /// The timeout of replies from here on.
    pub(super) fn set_timeout(&mut self, time: Duration) {
        match &self.stream {
            Stream::Tcp(stream) => stream.set_read_timeout(Some(time)),
            Stream::Unix(stream) => stream.set_read_timeout(Some(time)),
        }
        .unwrap();
    }

    /// Writes no more, and says so to the other side.
    pub(super) fn finish(&mut self) {
        // The other side may have closed already.
        let _ = match &self.stream {
            Stream::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Stream::Unix(stream) => stream.shutdown(Shutdown::Write),
        };
    }
}

/// A request in RESP.
pub(super) fn request<A: AsRef<[u8]>>(arguments: &[A]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", arguments.len()).into_bytes();
    for argument in arguments {
        let argument = argument.as_ref();
        out.extend_from_slice(format!("${}\r\n", argument.len()).as_bytes());
        out.extend_from_slice(argument);
        out.extend_from_slice(b"\r\n");
    }
    out
}

/// A bulk string in RESP.
pub(super) fn bulk(text: &str) -> String {
    format!("${}\r\n{text}\r\n", text.len())
}

enum Frame {
    Whole(usize),
    /// So many bytes at least.
    Needs(usize),
    Broken,
}

/// The length of the reply that these bytes begin with. An attribute belongs to what follows it.
fn frame(bytes: &[u8]) -> Frame {
    let mut at = 0;
    let mut left = 1_usize;
    while left > 0 {
        let Some(remaining) = bytes.get(at..).filter(|remaining| !remaining.is_empty()) else {
            return Frame::Needs(at + 1);
        };
        let Some(end) = remaining.windows(2).position(|pair| pair == b"\r\n") else {
            return Frame::Needs(bytes.len() + 1);
        };
        let number = || {
            std::str::from_utf8(&remaining[1..end])
                .ok()?
                .parse::<i64>()
                .ok()
        };
        at += end + 2;
        left -= 1;
        match remaining[0] {
            b'+' | b'-' | b':' | b'_' | b'#' | b',' | b'(' => {}
            b'$' | b'!' | b'=' => match number() {
                Some(-1) => {}
                Some(length @ 0..) => at += usize::try_from(length).unwrap() + 2,
                _ => return Frame::Broken,
            },
            kind @ (b'*' | b'~' | b'>' | b'%' | b'|') => match number() {
                Some(-1) => {}
                Some(count @ 0..) => {
                    let count = usize::try_from(count).unwrap();
                    left += match kind {
                        b'%' => 2 * count,
                        b'|' => 2 * count + 1,
                        _ => count,
                    };
                }
                _ => return Frame::Broken,
            },
            _ => return Frame::Broken,
        }
        if at > bytes.len() {
            return Frame::Needs(at);
        }
    }
    Frame::Whole(at)
}
