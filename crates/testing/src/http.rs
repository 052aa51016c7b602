//! As much HTTP/1.1 as local servers need in tests: one message at a time, one exchange per
//! connection, no TLS.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// No response in a test takes this long; a server that stays silent fails the test.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// No message of a test is larger.
const MAX_MESSAGE_BYTES: u64 = 16 * 1024 * 1024;

/// A request or a response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    /// The first line.
    pub(crate) start: String,
    /// The headers, without those that frame the body.
    pub(crate) headers: Vec<(String, String)>,
    /// The body, without any framing.
    pub(crate) body: Vec<u8>,
}

/// The end of a body that has neither length nor chunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unframed {
    /// There is no body, as in a request.
    Empty,
    /// The end of the connection, as in a response.
    ToTheEnd,
}

impl Message {
    /// Reads one message; `None` if the connection ends before it begins.
    pub(crate) fn read(from: &mut impl BufRead, unframed: Unframed) -> io::Result<Option<Self>> {
        let from = &mut from.take(MAX_MESSAGE_BYTES);
        let start = line(from)?;
        if start.is_empty() {
            return Ok(None);
        }
        let (mut headers, mut length, mut chunked) = (Vec::new(), None, false);
        loop {
            let line = line(from)?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').ok_or_else(malformed)?;
            let value = value.trim();
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = Some(value.parse().map_err(|_| malformed())?),
                "transfer-encoding" => chunked = value.eq_ignore_ascii_case("chunked"),
                "connection" | "keep-alive" => {}
                _ => headers.push((name.to_owned(), value.to_owned())),
            }
        }
        let mut body = Vec::new();
        match length {
            _ if chunked => read_chunks(from, &mut body)?,
            Some(length) => read_exactly(from, length, &mut body)?,
            None if unframed == Unframed::ToTheEnd => {
                from.read_to_end(&mut body)?;
            }
            None => {}
        }
        Ok(Some(Self {
            start,
            headers,
            body,
        }))
    }

    /// Writes it as the only message on its connection.
    pub(crate) fn write(&self, to: &mut impl Write) -> io::Result<()> {
        let mut bytes = format!("{}\r\n", self.start).into_bytes();
        for (name, value) in &self.headers {
            bytes.extend(format!("{name}: {value}\r\n").bytes());
        }
        if self.status() != Some(204) {
            bytes.extend(format!("Content-Length: {}\r\n", self.body.len()).bytes());
        }
        bytes.extend(b"Connection: close\r\n\r\n");
        bytes.extend(&self.body);
        to.write_all(&bytes)?;
        to.flush()
    }

    /// The status of a response.
    pub(crate) fn status(&self) -> Option<u16> {
        let tail = self.start.strip_prefix("HTTP/1.")?;
        tail.split(' ').nth(1)?.parse().ok()
    }
}

/// Sends a request to a server on 127.0.0.1 and returns its response.
pub(crate) fn exchange(port: u16, request: &Message) -> io::Result<Message> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(READ_TIMEOUT))?;
    stream.set_write_timeout(Some(READ_TIMEOUT))?;
    request.write(&mut stream)?;
    let response = Message::read(&mut BufReader::new(stream), Unframed::ToTheEnd)?;
    response.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

/// A request to a server on 127.0.0.1.
pub(crate) fn request(
    method: &str,
    path: &str,
    port: u16,
    headers: &[(&str, &str)],
    body: Vec<u8>,
) -> Message {
    let host = ("Host", format!("127.0.0.1:{port}"));
    let headers = headers
        .iter()
        .map(|(name, value)| (*name, (*value).to_owned()));
    let headers = std::iter::once(host).chain(headers);
    Message {
        start: format!("{method} {path} HTTP/1.1"),
        headers: headers
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
        body,
    }
}

/// A line without its line end; empty at the end of the stream.
fn line(from: &mut impl BufRead) -> io::Result<String> {
    let mut line = Vec::new();
    from.read_until(b'\n', &mut line)?;
    let line = String::from_utf8_lossy(&line);
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

fn read_exactly(from: &mut impl BufRead, length: u64, body: &mut Vec<u8>) -> io::Result<()> {
    let read = from.by_ref().take(length).read_to_end(body)?;
    if read as u64 == length {
        return Ok(());
    }
    Err(io::ErrorKind::UnexpectedEof.into())
}

fn read_chunks(from: &mut impl BufRead, body: &mut Vec<u8>) -> io::Result<()> {
    loop {
        let size = line(from)?;
        let size = size.split(';').next().unwrap_or_default();
        let size = u64::from_str_radix(size.trim(), 16).map_err(|_| malformed())?;
        if size > 0 {
            read_exactly(from, size, body)?;
            line(from)?;
            continue;
        }
        // Trailers after the last chunk.
        while !line(from)?.is_empty() {}
        return Ok(());
    }
}

fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "not an HTTP message")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, unframed: Unframed) -> io::Result<Option<Message>> {
        Message::read(&mut text.as_bytes(), unframed)
    }

    #[test]
    fn a_body_is_the_same_however_it_is_framed() {
        for text in [
            "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nhola",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhol\r\n1;x=y\r\na\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\nhola",
        ] {
            let message = read(text, Unframed::ToTheEnd).unwrap().unwrap();
            assert_eq!(message.status(), Some(200));
            assert_eq!(message.headers, []);
            assert_eq!(message.body, b"hola");
        }
    }

    #[test]
    fn a_request_without_a_length_has_no_body() {
        let message = read("GET / HTTP/1.1\r\nA: b\r\n\r\nrest", Unframed::Empty);
        let message = message.unwrap().unwrap();
        assert_eq!(message.headers, [("A".into(), "b".into())]);
        assert_eq!(
            (message.body, message.start.as_str()),
            (vec![], "GET / HTTP/1.1")
        );
    }

    #[test]
    fn a_truncated_message_is_an_error_and_an_empty_stream_is_not() {
        let broken = read(
            "GET / HTTP/1.1\r\nContent-Length: 9\r\n\r\nhola",
            Unframed::Empty,
        );
        assert_eq!(broken.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(read("", Unframed::Empty).unwrap(), None);
    }
}
