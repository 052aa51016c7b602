//! Requests of the proxy on a connection that no client uses yet, and their replies, one at a time.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use waxseal_resp::ReplyScanner;

use super::Connected;
use super::failure::UpstreamFailure;
use crate::login::LoginError;

/// Maximum number of buffered bytes.
const MAX_BUFFERED: usize = 64 * 1024;

/// A connection on which requests were sent.
pub(crate) struct Exchange<'c> {
    connected: &'c mut Connected,
    bytes: Vec<u8>,
}

impl<'c> Exchange<'c> {
    /// Sends requests.
    pub(crate) async fn begin(connected: &'c mut Connected, requests: &[u8]) -> io::Result<Self> {
        connected.stream.write_all(requests).await?;
        connected.stream.flush().await?;
        Ok(Self {
            connected,
            bytes: Vec::new(),
        })
    }

    /// Reads the next reply. Fails with `UnexpectedEof` if the connection ends before, and with `InvalidData` if the
    /// bytes are not RESP or the reply is too long.
    pub(crate) async fn reply(&mut self) -> io::Result<Vec<u8>> {
        let (mut scanner, mut scanned) = (ReplyScanner::new(), 0_usize);
        loop {
            while let Some(chunk) = self.bytes.get(scanned..).filter(|it| !it.is_empty()) {
                let progress = scanner
                    .scan(chunk)
                    .map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
                scanned = scanned.saturating_add(progress.used);
                if progress.done {
                    let following = self.bytes.split_off(scanned);
                    return Ok(std::mem::replace(&mut self.bytes, following));
                }
                if progress.used == 0 {
                    break;
                }
            }
            if self.bytes.len() > MAX_BUFFERED {
                return Err(io::ErrorKind::InvalidData.into());
            }
            if self.connected.stream.read_buf(&mut self.bytes).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// Reads the next reply, which is an error only if the server refuses the login.
    pub(super) async fn expect_success(&mut self) -> Result<(), UpstreamFailure> {
        let reply = self.reply().await;
        let reply = reply.map_err(|error| UpstreamFailure::of_exchange(&error))?;
        match reply.first() {
            Some(b'-') => Err(UpstreamFailure::Login(LoginError::of(&reply))),
            _ => Ok(()),
        }
    }

    /// True if bytes were received that belong to no reply read so far.
    pub(crate) fn has_more(&self) -> bool {
        !self.bytes.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::UnixStream;

    use super::*;

    /// Returns the replies in these pieces, and the error after the last one.
    async fn replies(pieces: &[&[u8]]) -> (Vec<Vec<u8>>, io::ErrorKind) {
        let (near, mut far) = UnixStream::pair().unwrap();
        let mut connected = Connected {
            stream: Box::new(near),
            local: None,
            epoch: 0,
        };
        let mut exchange = Exchange::begin(&mut connected, b"PING\r\n").await.unwrap();
        let pieces: Vec<Vec<u8>> = pieces.iter().map(|piece| piece.to_vec()).collect();
        let writer = tokio::spawn(async move {
            let mut request = [0; 6];
            far.read_exact(&mut request).await.unwrap();
            for piece in pieces {
                far.write_all(&piece).await.unwrap();
                tokio::task::yield_now().await;
            }
        });
        let mut all = Vec::new();
        let ended = loop {
            match exchange.reply().await {
                Ok(reply) => all.push(reply),
                Err(error) => break error.kind(),
            }
        };
        writer.await.unwrap();
        (all, ended)
    }

    #[tokio::test]
    async fn replies_are_read_one_by_one_however_they_are_split() {
        let expected = [&b"+OK\r\n"[..], b"*2\r\n$1\r\na\r\n:1\r\n", b"-ERR no\r\n"];
        let whole = expected.concat();
        for split in 0..whole.len() {
            let (one, other) = whole.split_at(split);
            let (all, ended) = replies(&[one, other]).await;
            assert_eq!(all, expected, "{split}");
            assert_eq!(ended, io::ErrorKind::UnexpectedEof);
        }
    }

    #[tokio::test]
    async fn bytes_that_are_not_resp_and_endless_replies_are_errors() {
        let (all, ended) = replies(&[b"+OK\r\n", b"HTTP/1.1 400\r\n"]).await;
        assert_eq!((all.len(), ended), (1, io::ErrorKind::InvalidData));
        let endless = vec![b'x'; 2 * MAX_BUFFERED];
        let (all, ended) = replies(&[b"+", &endless]).await;
        assert_eq!((all.len(), ended), (0, io::ErrorKind::InvalidData));
    }
}
