//! As much of Redis' protocol as the load needs, and one question to an admin address.

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufStream};
use tokio::net::TcpStream;

use waxseal_service::Failure;

/// A client's connection.
pub(super) struct Wire(BufStream<TcpStream>);

impl Wire {
    pub(super) async fn connect(address: &str) -> Result<Self, Failure> {
        Ok(Self(BufStream::new(TcpStream::connect(address).await?)))
    }

    /// Puts a request behind those that were not sent yet.
    pub(super) async fn send(&mut self, words: &[&[u8]]) -> Result<(), Failure> {
        let mut request = format!("*{}\r\n", words.len()).into_bytes();
        for word in words {
            request.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
            request.extend_from_slice(word);
            request.extend_from_slice(b"\r\n");
        }
        Ok(self.0.write_all(&request).await?)
    }

    /// Sends bytes as they are.
    pub(super) async fn send_raw(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.0.write_all(bytes).await?;
        Ok(self.0.flush().await?)
    }

    /// Sends what waits, and reads one reply: its text, without its kind. Nothing is empty.
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

/// The body of what an admin address answers.
pub(super) async fn ask(address: &str, path: &str) -> Result<String, Failure> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: waxseal\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let body = answer
        .split_once("\r\n\r\n")
        .map(|(_, body)| body.to_owned());
    body.ok_or_else(|| Failure::failed("the admin address gave no answer"))
}
