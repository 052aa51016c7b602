//! A connected socket of any kind.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use waxseal_metrics::SideMetrics;

use super::buffer::OutputBuffer;

/// Silence of a client after which the system sends keepalive probes, and their interval: NAT gateways forget connections
/// that were silent for a minute.
const CLIENT_KEEPALIVE: Duration = Duration::from_secs(30);
const CLIENT_PROBE_INTERVAL: Duration = Duration::from_secs(10);
/// Interval of the keepalive probes to a silent server, and the number without an answer that ends the connection.
const SERVER_PROBE_INTERVAL: Duration = Duration::from_secs(2);
const MAX_SERVER_PROBES: u32 = 5;
/// Bytes without an answer up to which silence of the peer's system means that the path is dead. A server that stalls
/// still acknowledges as many: its receive window is larger.
const MAX_UNANSWERED: usize = 16 * 1024;

/// TCP, TLS over TCP, or a unix socket.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {
    /// The TCP connection below, if there is one.
    fn tcp(&self) -> Option<&TcpStream>;
}

impl Stream for TcpStream {
    fn tcp(&self) -> Option<&TcpStream> {
        Some(self)
    }
}

impl Stream for UnixStream {
    fn tcp(&self) -> Option<&TcpStream> {
        None
    }
}

impl Stream for tokio_rustls::client::TlsStream<TcpStream> {
    fn tcp(&self) -> Option<&TcpStream> {
        Some(self.get_ref().0)
    }
}

impl Stream for tokio_rustls::server::TlsStream<TcpStream> {
    fn tcp(&self) -> Option<&TcpStream> {
        Some(self.get_ref().0)
    }
}

/// A connected socket of any kind. Its bytes are counted if there are metrics.
pub(crate) struct Socket {
    stream: Box<dyn Stream>,
    /// Its local address; `None` for unix sockets.
    pub(crate) local: Option<SocketAddr>,
    /// The switch of connections that it was opened after.
    pub(crate) epoch: u64,
    metrics: Option<Arc<SideMetrics>>,
    acknowledgement: Option<Acknowledgement>,
    /// It ended because the peer's system did not acknowledge what was sent.
    timed_out: bool,
}

/// The time for which sent bytes may stay unacknowledged, while it is limited. It is limited only while few bytes are
/// without an answer: the system also counts the time of a full receive window, in which a peer that stalls acknowledges
/// nothing new.
struct Acknowledgement {
    limit: Duration,
    limited: bool,
    unanswered: usize,
}

impl Socket {
    pub(crate) fn new(stream: Box<dyn Stream>, metrics: Option<Arc<SideMetrics>>) -> Self {
        if let Some(metrics) = &metrics {
            metrics.opened();
        }
        Self {
            stream,
            local: None,
            epoch: 0,
            metrics,
            acknowledgement: None,
            timed_out: false,
        }
    }

    /// Sets its local address.
    pub(crate) fn with_local(mut self, local: Option<SocketAddr>) -> Self {
        self.local = local;
        self
    }

    /// Makes it a connection to the server of this epoch. Sent bytes can be limited to be acknowledged within `limit`.
    pub(crate) fn for_server(mut self, epoch: u64, limit: Duration) -> Self {
        self.epoch = epoch;
        self.acknowledgement = Some(Acknowledgement {
            limit,
            limited: false,
            unanswered: 0,
        });
        self
    }

    /// Has the system end the connection if sent bytes are not acknowledged in time, or not. While nothing is sent, the
    /// limit would apply to lost keepalive probes.
    pub(crate) fn limit_acknowledgement(&mut self, limited: bool) {
        if let Some(acknowledgement) = &mut self.acknowledgement {
            let few = acknowledgement.unanswered <= MAX_UNANSWERED;
            acknowledgement.apply(&*self.stream, limited && few);
        }
    }

    /// True if it ended because the peer's system was silent, and not because the peer or something in between ended it.
    pub(crate) fn is_timed_out(&self) -> bool {
        self.timed_out
    }

    fn record(&mut self, error: &io::Error) {
        self.timed_out |= error.kind() == io::ErrorKind::TimedOut;
    }

    /// Records that everything that was sent has its answer.
    pub(crate) fn all_answered(&mut self) {
        if let Some(acknowledgement) = &mut self.acknowledgement {
            acknowledgement.unanswered = 0;
            acknowledgement.apply(&*self.stream, false);
        }
    }

    fn count_sent(&mut self, len: usize) {
        if let Some(metrics) = &self.metrics {
            metrics.sent(len);
        }
        if let Some(acknowledgement) = &mut self.acknowledgement {
            acknowledgement.unanswered = acknowledgement.unanswered.saturating_add(len);
            if acknowledgement.unanswered > MAX_UNANSWERED {
                acknowledgement.apply(&*self.stream, false);
            }
        }
    }
}

impl Acknowledgement {
    fn apply(&mut self, stream: &dyn Stream, limited: bool) {
        if self.limited == limited {
            return;
        }
        self.limited = limited;
        #[cfg(target_os = "linux")]
        if let Some(stream) = stream.tcp() {
            let limit = limited.then_some(self.limit);
            // If this fails, a dead path is only noticed later.
            let _ = SockRef::from(stream).set_tcp_user_timeout(limit);
        }
        #[cfg(not(target_os = "linux"))]
        let _ = (stream, self.limit);
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if let Some(metrics) = &self.metrics {
            metrics.closed();
        }
    }
}

/// Sets up a client's TCP connection: without Nagle's algorithm, and with keepalive probes while it is silent.
pub(crate) fn set_up_client(stream: &TcpStream) -> io::Result<()> {
    let keepalive = TcpKeepalive::new()
        .with_time(CLIENT_KEEPALIVE)
        .with_interval(CLIENT_PROBE_INTERVAL);
    stream.set_nodelay(true)?;
    SockRef::from(stream).set_tcp_keepalive(&keepalive)
}

/// Sets up a TCP connection to the server, which is probed after this much silence.
pub(crate) fn set_up_upstream(stream: &TcpStream, keepalive: Duration) -> io::Result<()> {
    let keepalive = TcpKeepalive::new()
        .with_time(keepalive.max(Duration::from_secs(1)))
        .with_interval(SERVER_PROBE_INTERVAL)
        .with_retries(MAX_SERVER_PROBES);
    stream.set_nodelay(true)?;
    SockRef::from(stream).set_tcp_keepalive(&keepalive)
}

/// Reads what is available, at most the buffer's length. Returns 0 at the end of the stream and on an error.
pub(crate) fn read(socket: &mut Socket, buffer: &mut [u8], cx: &mut Context<'_>) -> Poll<usize> {
    let mut buffer = ReadBuf::new(buffer);
    match Pin::new(&mut *socket.stream).poll_read(cx, &mut buffer) {
        Poll::Ready(Ok(())) => {
            let len = buffer.filled().len();
            if let Some(metrics) = &socket.metrics {
                metrics.received(len);
            }
            Poll::Ready(len)
        }
        Poll::Ready(Err(error)) => {
            socket.record(&error);
            Poll::Ready(0)
        }
        Poll::Pending => Poll::Pending,
    }
}

/// The socket is closed or broken.
#[derive(Debug)]
pub(crate) struct Closed;

/// Writes as much of the buffer as the socket takes. Returns true if any bytes were written.
pub(crate) fn write(
    socket: &mut Socket,
    output: &mut OutputBuffer,
    cx: &mut Context<'_>,
) -> Result<bool, Closed> {
    let mut wrote = false;
    while !output.is_empty() {
        match Pin::new(&mut *socket.stream).poll_write(cx, output.bytes()) {
            Poll::Ready(Ok(0)) => return Err(Closed),
            Poll::Ready(Err(error)) => {
                socket.record(&error);
                return Err(Closed);
            }
            Poll::Ready(Ok(len)) => {
                socket.count_sent(len);
                output.advance(len);
                wrote = true;
            }
            Poll::Pending => break,
        }
    }
    // TLS holds records back until it is flushed. The other sockets ignore this.
    match Pin::new(&mut *socket.stream).poll_flush(cx) {
        Poll::Ready(Err(_)) => Err(Closed),
        _ => Ok(wrote),
    }
}

/// Closes the writing side.
pub(crate) fn shut(socket: &mut Socket, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
    Pin::new(&mut *socket.stream).poll_shutdown(cx)
}
