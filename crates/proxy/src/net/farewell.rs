//! The end of a client's socket, after everything for the client has been written to it.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use super::socket::{self, Socket};
use super::worker::Worker;

/// How long a client may take to read the last words before the socket is closed.
const FAREWELL: Duration = Duration::from_secs(1);
/// Bytes that are taken meanwhile from a client that goes on sending.
const FAREWELL_BYTES: usize = 1024 * 1024;

/// Closes a socket so that the client can still read what was written last: bytes of its own that
/// nobody reads would make the system tear the connection down at once.
pub(crate) async fn say_farewell(mut socket: Socket, worker: &Rc<Worker>) {
    let mut shut = false;
    let mut taken = 0;
    let reading = poll_fn(|cx| {
        if !shut {
            match socket::shut(&mut socket, cx) {
                Poll::Ready(Ok(())) => shut = true,
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
        let mut scratch = worker.scratch.borrow_mut();
        loop {
            match socket::read(&mut socket, &mut scratch, cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(0) => return Poll::Ready(()),
                Poll::Ready(_) if taken > FAREWELL_BYTES => return Poll::Ready(()),
                Poll::Ready(len) => taken += len,
            }
        }
    });
    // A client that keeps the socket open longer is not waited for.
    let _ = tokio::time::timeout(FAREWELL, reading).await;
}
