//! The sockets of the admin address, bounded: in number, in the time until a request is complete, and in
//! the time that a reader may stop reading. Whoever can reach the address cannot keep it from others, nor
//! take the descriptors that the proxy needs.
//!
//! Every connection answers one request ([`close`]). Where all connections are taken, the newest gets the
//! place of the oldest that has not been answered yet, else of the oldest: a request that is sent at once is
//! answered, unless as many connections as there are places are opened before its answer is ready.

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

/// From the connection to the first byte of the answer. A check of the store fits.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a reader may take nothing.
const WRITE_TIMEOUT: Duration = Duration::from_secs(20);
/// Before another attempt to accept, where the system refused.
const ACCEPT_DELAY: Duration = Duration::from_millis(100);
/// Between two connections that are ended because the system has no descriptor for another one.
const EVICTION_INTERVAL: Duration = Duration::from_secs(1);
/// Between two lines of the log about connections that are not accepted.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// Has the connection closed after the answer.
pub(super) async fn close(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let close = HeaderValue::from_static("close");
    response.headers_mut().insert(CONNECTION, close);
    response
}

/// Accepts connections, as many as it may have.
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

    /// Waits where the system has no descriptor, or no memory, for another connection.
    async fn refused(&mut self, error: &io::Error) {
        let is_due =
            |last: Option<Instant>, interval| last.is_none_or(|it| it.elapsed() >= interval);
        if is_due(self.last_logged, LOG_INTERVAL) {
            tracing::warn!("the admin address cannot accept a connection: {error}");
            self.last_logged = Some(Instant::now());
        }
        // Its descriptor may be the one that is missing. One is enough to find that out.
        if is_due(self.last_evicted, EVICTION_INTERVAL) {
            self.connections.end_oldest(0);
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
                Err(error) if is_of_peer(&error) => {}
                Err(error) => self.refused(&error).await,
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// Whether it says nothing about the next connection.
fn is_of_peer(error: &io::Error) -> bool {
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
            // The newest is the one that this is done for.
            self.end_oldest(1);
        }
        Slot {
            state,
            connections: self.clone(),
        }
    }

    /// Ends one connection, but none of the newest ones that are spared.
    fn end_oldest(&self, spared: usize) {
        let mut open = self.lock();
        let before = open.len().saturating_sub(spared);
        let is_unanswered = |it: &Arc<State>| !it.is_answered.load(Ordering::Relaxed);
        let oldest = open.iter().take(before).position(is_unanswered);
        let ended = open.remove(oldest.unwrap_or(0));
        drop(open);
        if let Some(ended) = ended {
            ended.is_ended.store(true, Ordering::Release);
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
    /// Another connection has its place.
    is_ended: AtomicBool,
    waker: AtomicWaker,
}

/// One of the places, until it is dropped.
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

/// A connection that ends itself when it takes too long.
pub(super) struct Connection {
    stream: TcpStream,
    slot: Slot,
    /// Runs until the answer begins, and then while the reader takes nothing.
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

    /// An error where the connection must end.
    fn check(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let state = &self.slot.state;
        state.waker.register(cx.waker());
        if state.is_ended.load(Ordering::Acquire) {
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
            // Has this task woken when it is over.
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

    /// hyper calls this in every turn. While a request is being answered and the next one is in its buffer,
    /// it calls nothing else.
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
    /// Far more than is needed, on a busy machine as well.
    const LIMIT: Duration = Duration::from_secs(120);

    async fn assert_ends(stream: &mut TcpStream) {
        let mut rest = Vec::new();
        // It may be reset, since what follows the request was not read.
        let ended = timeout(LIMIT, stream.read_to_end(&mut rest)).await;
        assert!(ended.is_ok(), "the connection stays open");
        assert!(rest.is_empty());
    }

    #[tokio::test]
    async fn a_connection_ends_though_its_request_waits_and_another_one_follows_it() {
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
        // The oldest, for the newest ones; and these when their time is over.
        for stream in &mut open {
            assert_ends(stream).await;
        }
    }
}
