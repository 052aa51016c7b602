//! A path to the proxy on which refusals are counted, independently of what the proxy says of them.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;

/// The beginning of an error reply that is a refusal.
const REFUSAL: &[u8] = b"-SEALREFUSED ";

/// Passes bytes on both ways. Its threads end with the connections that they serve.
pub(super) struct Relay {
    port: u16,
    refusals: Arc<AtomicU64>,
}

impl Relay {
    /// Before whatever listens at this port.
    #[track_caller]
    pub(super) fn before(target: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let refusals = Arc::new(AtomicU64::new(0));
        let counter = refusals.clone();
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if let Ok(server) = TcpStream::connect(("127.0.0.1", target)) {
                    serve(&client, &server, &counter);
                }
            }
        });
        Self { port, refusals }
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Refusals that clients were sent so far.
    pub(super) fn refusals(&self) -> u64 {
        self.refusals.load(Relaxed)
    }
}

fn serve(client: &TcpStream, server: &TcpStream, refusals: &Arc<AtomicU64>) {
    let _ = client.set_nodelay(true);
    let _ = server.set_nodelay(true);
    let (Ok(from_client), Ok(to_server)) = (client.try_clone(), server.try_clone()) else {
        return;
    };
    let (Ok(from_server), Ok(to_client)) = (server.try_clone(), client.try_clone()) else {
        return;
    };
    let refusals = refusals.clone();
    thread::spawn(move || pass(from_client, to_server, |_| {}));
    thread::spawn(move || {
        let mut tail = Vec::new();
        pass(from_server, to_client, |bytes| {
            refusals.fetch_add(count(&mut tail, bytes), Relaxed);
        });
    });
}

fn pass(mut from: TcpStream, mut to: TcpStream, mut observe: impl FnMut(&[u8])) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        observe(&buffer[..read]);
        if to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    // The other direction ends as well.
    for stream in [from, to] {
        let _ = stream.shutdown(Shutdown::Both);
    }
}

/// The number of refusals that end in these bytes, after others that ended with `tail`.
fn count(tail: &mut Vec<u8>, bytes: &[u8]) -> u64 {
    tail.extend_from_slice(bytes);
    let found = tail
        .windows(REFUSAL.len())
        .filter(|it| *it == REFUSAL)
        .count();
    // Too short for a whole one, which would be counted again.
    let keep = tail.len().saturating_sub(REFUSAL.len() - 1);
    tail.drain(..keep);
    u64::try_from(found).unwrap()
}

#[test]
fn a_refusal_is_counted_once_wherever_it_is_cut() {
    let text = b"+OK\r\n-SEALREFUSED A\r\n*1\r\n-SEALREFUSED B\r\n-EXECABORT of: SEALREFUSED C\r\n";
    for cut in 0..text.len() {
        let mut tail = Vec::new();
        let (first, second) = text.split_at(cut);
        assert_eq!(
            count(&mut tail, first) + count(&mut tail, second),
            2,
            "{cut}"
        );
    }
}
