//! The sockets of the admin address, with limits on their number, on the time until a request is complete, and on the
//! time for which a client may stop reading. No client can block the address for others, or use up the descriptors that the
//! proxy needs.
//!
//! A connection serves one request ([`close`]). When all slots are taken, a new connection gets the slot of the oldest
//! connection that has no response yet, otherwise of the oldest one: a request that is sent at once is answered, unless
//! as many connections as there are slots are opened before its response is ready.

use std::collections::VecDeque;
use std::future::Future;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::Request;
use axum::http::HeaderValue;
use axum::http::header::CONNECTION;
use axum::middleware::Next;
use axum::response::Response;
use futures_util::task::AtomicWaker;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, Sleep, sleep};

/// The time from the connection to the first byte of the response; long enough for a check of the store.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// The time for which a client may read nothing.
const WRITE_TIMEOUT: Duration = Duration::from_secs(20);
/// The pause after a failed `accept`.
const ACCEPT_DELAY: Duration = Duration::from_millis(100);
/// The interval at which connections are closed because the system is out of descriptors.
const EVICTION_INTERVAL: Duration = Duration::from_secs(1);
/// The interval of log lines about connections that cannot be accepted.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// Middleware: closes the connection after the response.
pub(super) async fn close(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let close = HeaderValue::from_static("close");
    response.headers_mut().insert(CONNECTION, close);
    response
}

/// A listener with a limited number of connections.
pub(super) struct BoundedListener {
    listener: TcpListener,
    connections: Arc<Connections>,
    last_logged: Option<Instant>,
    last_evicted: Option<Instant>,
}

impl BoundedListener {
    pub(super) fn new(listener: TcpListener, max_connections: usize) -> Self {
        Self {
            listener,
            connections: Arc::new(Connections {
                open: Mutex::default(),
                max: max_connections.max(1),
            }),
            last_logged: None,
            last_evicted: None,
        }
    }

    /// Waits after the system had no descriptor, or no memory, for another connection.
    async fn back_off(&mut self, error: &io::Error) {
        let is_due =
            |last: Option<Instant>, interval| last.is_none_or(|it| it.elapsed() >= interval);
        if is_due(self.last_logged, LOG_INTERVAL) {
            tracing::warn!("the admin address cannot accept a connection: {error}");
            self.last_logged = Some(Instant::now());
        }
        // A closed connection frees a descriptor, which may be the one that is missing.
        if is_due(self.last_evicted, EVICTION_INTERVAL) {
            self.connections.close_oldest(0);
            self.last_evicted = Some(Instant::now());
        }
        sleep(ACCEPT_DELAY).await;
    }
}

impl axum::serve::Listener for BoundedListener {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        loop {
            match self.listener.accept().await {
                Ok((stream, from)) => {
                    let slot = self.connections.admit();
                    return (Connection::new(stream, slot), from);
                }
                Err(error) if is_peer_error(&error) => {}
                Err(error) => self.back_off(&error).await,
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// True for an error of one connection, which says nothing about the next one.
fn is_peer_error(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::ConnectionRefused
    )
}

/// The connections that are open, the oldest first.
struct Connections {
    open: Mutex<VecDeque<Arc<State>>>,
    max: usize,
}

impl Connections {
    fn admit(self: &Arc<Self>) -> Slot {
        let state = Arc::new(State::default());
        let is_full = {
            let mut open = self.lock();
            open.push_back(state.clone());
            open.len() > self.max
        };
        if is_full {
            // Not the newest, for which the slot is needed.
            self.close_oldest(1);
        }
        Slot {
            state,
            connections: self.clone(),
        }
    }

    /// Closes the oldest connection, not counting the `spared` newest ones.
    fn close_oldest(&self, spared: usize) {
        let mut open = self.lock();
        let before = open.len().saturating_sub(spared);
        let is_unanswered = |it: &Arc<State>| !it.is_answered.load(Ordering::Relaxed);
        let oldest = open.iter().take(before).position(is_unanswered);
        let ended = open.remove(oldest.unwrap_or(0));
        drop(open);
        if let Some(ended) = ended {
            ended.is_evicted.store(true, Ordering::Release);
            ended.waker.wake();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<Arc<State>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Default)]
struct State {
    is_answered: AtomicBool,
    /// Another connection got its slot.
    is_evicted: AtomicBool,
    waker: AtomicWaker,
}

/// One of the slots, freed when it is dropped.
struct Slot {
    state: Arc<State>,
    connections: Arc<Connections>,
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut open = self.connections.lock();
        open.retain(|it| !Arc::ptr_eq(it, &self.state));
    }
}

/// A connection that fails when it exceeds its time.
pub(super) struct Connection {
    stream: TcpStream,
    slot: Slot,
    /// Runs until the response begins, and then while the client reads nothing.
    timeout: Pin<Box<Sleep>>,
    is_stalled: bool,
}

impl Connection {
    fn new(stream: TcpStream, slot: Slot) -> Self {
        Self {
            stream,
            slot,
            timeout: Box::pin(sleep(REQUEST_TIMEOUT)),
            is_stalled: false,
        }
    }

    fn is_answered(&self) -> bool {
        self.slot.state.is_answered.load(Ordering::Relaxed)
    }

    /// Returns an error if the connection must end.
    fn check(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let state = &self.slot.state;
        state.waker.register(cx.waker());
        if state.is_evicted.load(Ordering::Acquire) {
            return Err(ErrorKind::ConnectionAborted.into());
        }
        let is_running = self.is_stalled || !self.is_answered();
        match is_running && self.timeout.as_mut().poll(cx).is_ready() {
            true => Err(ErrorKind::TimedOut.into()),
            false => Ok(()),
        }
    }

    fn write_with(
        &mut self,
        cx: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut TcpStream>, &mut Context<'_>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        self.check(cx)?;
        let written = write(Pin::new(&mut self.stream), cx);
        if written.is_ready() {
            self.slot.state.is_answered.store(true, Ordering::Relaxed);
            self.is_stalled = false;
        } else if !self.is_stalled {
            self.is_stalled = true;
            self.timeout.as_mut().reset(Instant::now() + WRITE_TIMEOUT);
            // Registers the waker for the timeout.
            self.check(cx)?;
        }
        written
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(cx)?;
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.write_with(cx, |stream, cx| stream.poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.write_with(cx, |stream, cx| stream.poll_write_vectored(cx, slices))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// hyper calls this on every poll. While a request is being answered and the next one is in its buffer, it calls
    /// nothing else.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check(cx)?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use axum::Router;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::time::timeout;

    use super::*;

    const SLOTS: usize = 4;
    /// Far more than needed, even on a busy machine.
    const LIMIT: Duration = Duration::from_secs(120);

    async fn assert_ends(stream: &mut TcpStream) {
        let mut received = Vec::new();
        // It may be reset, since the bytes after the request were not read.
        let ended = timeout(LIMIT, stream.read_to_end(&mut received)).await;
        assert!(ended.is_ok(), "the connection stays open");
        assert!(received.is_empty());
    }

    #[tokio::test]
    async fn a_connection_ends_even_while_its_request_waits_and_another_follows() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let routes = Router::new().route("/", get(pending::<&'static str>));
        let server = axum::serve(BoundedListener::new(listener, SLOTS), routes);
        tokio::spawn(server.into_future());
        let mut open = Vec::new();
        for _ in 0..3 * SLOTS {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let request = b"GET / HTTP/1.1\r\nHost: x\r\n\r\nG";
            stream.write_all(request).await.unwrap();
            open.push(stream);
        }
        // The oldest ones were evicted for the newest ones, which end at their timeout.
        for stream in &mut open {
            assert_ends(stream).await;
        }
    }
}
