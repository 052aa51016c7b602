//! Requests of the proxy's own on a connection that no client has yet, and their replies, one at a time.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use waxseal_resp::ReplyScanner;

use super::Connected;

/// Bytes of replies that are held at most.
const MAX_HELD: usize = 64 * 1024;

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

    /// The next reply as bytes. `UnexpectedEof` where the connection ends before, `InvalidData` where what comes is
    /// not RESP or too long.
    pub(crate) async fn reply(&mut self) -> io::Result<Vec<u8>> {
        let (mut scanner, mut scanned) = (ReplyScanner::new(), 0_usize);
        loop {
            while let Some(rest) = self.bytes.get(scanned..).filter(|rest| !rest.is_empty()) {
                let step = scanner
                    .scan(rest)
                    .map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
                scanned = scanned.saturating_add(step.used);
                if step.done {
                    let behind = self.bytes.split_off(scanned);
                    return Ok(std::mem::replace(&mut self.bytes, behind));
                }
                if step.used == 0 {
                    break;
                }
            }
            if self.bytes.len() > MAX_HELD {
                return Err(io::ErrorKind::InvalidData.into());
            }
            if self.connected.stream.read_buf(&mut self.bytes).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// Whether something came that no request explains.
    pub(crate) fn has_more(&self) -> bool {
        !self.bytes.is_empty()
    }
}

/// Why an exchange ended, in words that hold no address.
pub(super) fn broken(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::InvalidData => "it does not speak RESP",
        _ => "the connection breaks off",
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::UnixStream;

    use super::*;

    /// What comes of these bytes, read piece by piece.
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
            let mut asked = [0; 6];
            far.read_exact(&mut asked).await.unwrap();
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
    async fn replies_come_one_by_one_however_they_are_split() {
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
    async fn what_is_no_reply_and_what_never_ends_is_an_error() {
        let (all, ended) = replies(&[b"+OK\r\n", b"HTTP/1.1 400\r\n"]).await;
        assert_eq!((all.len(), ended), (1, io::ErrorKind::InvalidData));
        let endless = vec![b'x'; 2 * MAX_HELD];
        let (all, ended) = replies(&[b"+", &endless]).await;
        assert_eq!((all.len(), ended), (0, io::ErrorKind::InvalidData));
    }
}
