//! A connected socket of any kind.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use waxseal_metrics::SideMetrics;

use super::buffer::Outgoing;

/// How long a peer may be silent before the system asks whether it is there; Redis' default.
const KEEPALIVE: Duration = Duration::from_secs(300);

/// TCP, TLS over TCP, or a unix socket.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// A connected socket of any kind, counted from here to its end where anything is.
pub(crate) struct Socket {
    stream: Box<dyn Stream>,
    /// Its own address; none for unix sockets.
    pub(crate) local: Option<SocketAddr>,
    counted: Option<Arc<SideMetrics>>,
}

impl Socket {
    pub(crate) fn new(stream: Box<dyn Stream>, counted: Option<Arc<SideMetrics>>) -> Self {
        if let Some(counted) = &counted {
            counted.opened();
        }
        Self {
            stream,
            local: None,
            counted,
        }
    }

    /// The same, with its own address.
    pub(crate) fn with_local(mut self, local: Option<SocketAddr>) -> Self {
        self.local = local;
        self
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if let Some(counted) = &self.counted {
            counted.closed();
        }
    }
}

/// What every TCP connection is set to: nothing is held back to be sent with more, and a peer that
/// vanished without a word is noticed some time.
pub(crate) fn set_up(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE);
    SockRef::from(stream).set_tcp_keepalive(&keepalive)
}

/// Reads what is there, at most the buffer's length. 0 is the end; an error is the end too.
pub(crate) fn read(socket: &mut Socket, buffer: &mut [u8], cx: &mut Context<'_>) -> Poll<usize> {
    let mut buffer = ReadBuf::new(buffer);
    match Pin::new(&mut *socket.stream).poll_read(cx, &mut buffer) {
        Poll::Ready(Ok(())) => {
            let came = buffer.filled().len();
            if let Some(counted) = &socket.counted {
                counted.received(came);
            }
            Poll::Ready(came)
        }
        Poll::Ready(Err(_)) => Poll::Ready(0),
        Poll::Pending => Poll::Pending,
    }
}

/// The socket is closed or broken.
#[derive(Debug)]
pub(crate) struct Closed;

/// Writes what is to go out, as far as it goes. Whether anything went.
pub(crate) fn write(
    socket: &mut Socket,
    outgoing: &mut Outgoing,
    cx: &mut Context<'_>,
) -> Result<bool, Closed> {
    let mut wrote = false;
    while !outgoing.is_empty() {
        match Pin::new(&mut *socket.stream).poll_write(cx, outgoing.bytes()) {
            Poll::Ready(Ok(0) | Err(_)) => return Err(Closed),
            Poll::Ready(Ok(len)) => {
                if let Some(counted) = &socket.counted {
                    counted.sent(len);
                }
                outgoing.advance(len);
                wrote = true;
            }
            Poll::Pending => break,
        }
    }
    // TLS keeps records back until it is told that nothing follows. For the others this is nothing.
    match Pin::new(&mut *socket.stream).poll_flush(cx) {
        Poll::Ready(Err(_)) => Err(Closed),
        _ => Ok(wrote),
    }
}

/// Says that nothing more is written.
pub(crate) fn shut(socket: &mut Socket, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
    Pin::new(&mut *socket.stream).poll_shutdown(cx)
}
