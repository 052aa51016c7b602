//! The lingering close of a client's socket, after everything for the client has been written to it.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use super::socket::{self, Socket};
use super::worker::Worker;

/// Time for the client to read what was written last, before the socket is closed.
const LINGER_TIMEOUT: Duration = Duration::from_secs(1);
/// Bytes that are discarded meanwhile from a client that continues to send.
const MAX_DISCARDED: usize = 1024 * 1024;

/// Closes a socket so that the client can still read what was written last. Bytes of the client that are left unread
/// in the receive buffer would make the system reset the connection at once, and the client lose its last replies.
pub(crate) async fn linger_close(mut socket: Socket, worker: &Rc<Worker>) {
    let mut is_shut = false;
    let mut discarded = 0;
    let reading = poll_fn(|cx| {
        if !is_shut {
            match socket::shut(&mut socket, cx) {
                Poll::Ready(Ok(())) => is_shut = true,
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
        let mut scratch = worker.scratch.borrow_mut();
        loop {
            match socket::read(&mut socket, &mut scratch, cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(0) => return Poll::Ready(()),
                Poll::Ready(_) if discarded > MAX_DISCARDED => return Poll::Ready(()),
                Poll::Ready(len) => discarded += len,
            }
        }
    });
    // After the timeout the socket is closed even if the client keeps its side open.
    let _ = tokio::time::timeout(LINGER_TIMEOUT, reading).await;
}
