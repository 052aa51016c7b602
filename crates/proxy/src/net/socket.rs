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

use super::buffer::Outgoing;

/// How long a client may be silent before the system asks whether it is there, and how often it asks then:
/// translators of addresses forget what was silent for a minute.
const CLIENT_KEEPALIVE: Duration = Duration::from_secs(30);
const CLIENT_PROBE_INTERVAL: Duration = Duration::from_secs(10);
/// How often a server that was silent is asked, and how often without an answer.
const SERVER_PROBE_INTERVAL: Duration = Duration::from_secs(2);
const MAX_SERVER_PROBES: u32 = 5;
/// Bytes without an answer up to which silence of the peer's system means that the path is dead. A server that
/// stalls acknowledges as many all the same: its receive window is larger.
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

/// A connected socket of any kind, counted from here to its end where anything is.
pub(crate) struct Socket {
    stream: Box<dyn Stream>,
    /// Its own address; none for unix sockets.
    pub(crate) local: Option<SocketAddr>,
    /// The switch of connections that it was opened after.
    pub(crate) epoch: u64,
    counted: Option<Arc<SideMetrics>>,
    acknowledgement: Option<Acknowledgement>,
    /// It ended because the peer's system did not acknowledge what was sent.
    timed_out: bool,
}

/// How long bytes that were sent may stay unacknowledged, where that is limited. It is only while few bytes are without
/// an answer: the limit counts the time of a full receive window, too, in which the peer acknowledges and stalls.
struct Acknowledgement {
    limit: Duration,
    limited: bool,
    unanswered: usize,
}

impl Socket {
    pub(crate) fn new(stream: Box<dyn Stream>, counted: Option<Arc<SideMetrics>>) -> Self {
        if let Some(counted) = &counted {
            counted.opened();
        }
        Self {
            stream,
            local: None,
            epoch: 0,
            counted,
            acknowledgement: None,
            timed_out: false,
        }
    }

    /// The same, with its own address.
    pub(crate) fn with_local(mut self, local: Option<SocketAddr>) -> Self {
        self.local = local;
        self
    }

    /// The same, opened after that switch of connections; what is sent on it can be made to be acknowledged within
    /// `limit`.
    pub(crate) fn for_server(mut self, epoch: u64, limit: Duration) -> Self {
        self.epoch = epoch;
        self.acknowledgement = Some(Acknowledgement {
            limit,
            limited: false,
            unanswered: 0,
        });
        self
    }

    /// Whether the system is to end the connection if what was sent is not acknowledged. A limit in force while nothing
    /// is sent would count lost packets of TCP's keepalive.
    pub(crate) fn limit_acknowledgement(&mut self, limited: bool) {
        if let Some(acknowledgement) = &mut self.acknowledgement {
            let few = acknowledgement.unanswered <= MAX_UNANSWERED;
            acknowledgement.apply(&*self.stream, limited && few);
        }
    }

    /// Whether it ended because the peer's system was silent, and not because the peer or something in between
    /// ended it.
    pub(crate) fn is_timed_out(&self) -> bool {
        self.timed_out
    }

    fn note(&mut self, error: &io::Error) {
        self.timed_out |= error.kind() == io::ErrorKind::TimedOut;
    }

    /// Everything that was sent has its answer.
    pub(crate) fn all_answered(&mut self) {
        if let Some(acknowledgement) = &mut self.acknowledgement {
            acknowledgement.unanswered = 0;
            acknowledgement.apply(&*self.stream, false);
        }
    }

    fn count_sent(&mut self, len: usize) {
        if let Some(counted) = &self.counted {
            counted.sent(len);
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
            // Without it a dead path is noticed later.
            let _ = SockRef::from(stream).set_tcp_user_timeout(limit);
        }
        #[cfg(not(target_os = "linux"))]
        let _ = (stream, self.limit);
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if let Some(counted) = &self.counted {
            counted.closed();
        }
    }
}

/// Sets a client's TCP connection up: nothing is held back to be sent with more, and it is kept open while it is
/// silent.
pub(crate) fn set_up_client(stream: &TcpStream) -> io::Result<()> {
    let keepalive = TcpKeepalive::new()
        .with_time(CLIENT_KEEPALIVE)
        .with_interval(CLIENT_PROBE_INTERVAL);
    stream.set_nodelay(true)?;
    SockRef::from(stream).set_tcp_keepalive(&keepalive)
}

/// The same for a TCP connection to the server that may be silent for so long before it is probed.
pub(crate) fn set_up_upstream(stream: &TcpStream, keepalive: Duration) -> io::Result<()> {
    let keepalive = TcpKeepalive::new()
        .with_time(keepalive.max(Duration::from_secs(1)))
        .with_interval(SERVER_PROBE_INTERVAL)
        .with_retries(MAX_SERVER_PROBES);
    stream.set_nodelay(true)?;
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
        Poll::Ready(Err(error)) => {
            socket.note(&error);
            Poll::Ready(0)
        }
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
            Poll::Ready(Ok(0)) => return Err(Closed),
            Poll::Ready(Err(error)) => {
                socket.note(&error);
                return Err(Closed);
            }
            Poll::Ready(Ok(len)) => {
                socket.count_sent(len);
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
