//! The part of Redis' protocol that the load needs.

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufStream};
use tokio::net::TcpStream;

use waxseal_service::Failure;

/// The connection of a client.
pub(super) struct Wire(BufStream<TcpStream>);

impl Wire {
    pub(super) async fn connect(address: &str) -> Result<Self, Failure> {
        Ok(Self(BufStream::new(TcpStream::connect(address).await?)))
    }

    /// Adds a request to those that are sent before the next reply is read.
    pub(super) async fn send(&mut self, words: &[&[u8]]) -> Result<(), Failure> {
        let mut request = format!("*{}\r\n", words.len()).into_bytes();
        for word in words {
            request.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
            request.extend_from_slice(word);
            request.extend_from_slice(b"\r\n");
        }
        Ok(self.0.write_all(&request).await?)
    }

    /// Sends the requests, and reads one reply: its text without its type; empty if there is no value.
    pub(super) async fn reply(&mut self) -> Result<Vec<u8>, Failure> {
        self.0.flush().await?;
        let mut line = Vec::new();
        self.0.read_until(b'\n', &mut line).await?;
        let Some((kind, text)) = line.split_first() else {
            return Err(Failure::failed("the proxy closed a connection of the load"));
        };
        let text = text.trim_ascii_end();
        if *kind != b'$' {
            return Ok(text.to_vec());
        }
        let length = std::str::from_utf8(text)
            .ok()
            .and_then(|it| it.parse().ok());
        let Some(length) = length else {
            return Ok(Vec::new());
        };
        let mut value = vec![0; length];
        self.0.read_exact(&mut value).await?;
        self.0.read_exact(&mut [0; 2]).await?;
        Ok(value)
    }
}
