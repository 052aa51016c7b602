//! A relay between the proxy and the server: passes bytes on, remembers those that went to the
//! server, and misbehaves when a test says so.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU16, AtomicUsize};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// The behaviour of the relay.
#[derive(Clone)]
pub(crate) enum Manner {
    /// Everything passes.
    Passes,
    /// Requests get these bytes for an answer, and do not reach the server.
    Answers(Vec<u8>),
    /// A request with this in it breaks off its connection, each time.
    BreaksAt(&'static [u8]),
    /// After so many more bytes of replies the connection breaks off.
    BreaksAfter(usize),
    /// These bytes come before the next replies, each time that some come.
    Prepends(Vec<u8>),
}

struct Shared {
    manner: Mutex<Manner>,
    seen: Mutex<Vec<u8>>,
    clients: Mutex<Vec<TcpStream>>,
    server: AtomicU16,
    accepted: AtomicUsize,
    /// Connections before this one have no path any longer: what is sent on them is acknowledged and dropped.
    cut_before: AtomicUsize,
    /// The time that a connection may be silent before it is closed.
    idle_limit: Mutex<Option<Duration>>,
}

/// A running relay. Its threads end with the connections that they serve.
pub(crate) struct Relay {
    shared: Arc<Shared>,
    port: u16,
}

impl Relay {
    /// Before the server at this port.
    pub(crate) fn before(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            manner: Mutex::new(Manner::Passes),
            seen: Mutex::default(),
            clients: Mutex::default(),
            server: AtomicU16::new(server),
            accepted: AtomicUsize::new(0),
            cut_before: AtomicUsize::new(0),
            idle_limit: Mutex::default(),
        });
        let known = shared.clone();
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if let Ok(server) = TcpStream::connect(("127.0.0.1", known.server.load(Relaxed))) {
                    serve(&known, &client, &server);
                }
            }
        });
        Self { shared, port }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    pub(crate) fn behaves(&self, manner: Manner) {
        *self.shared.manner.lock().unwrap() = manner;
    }

    /// The path of all connections so far dies: nothing passes on them, and neither side is notified. New ones pass.
    pub(super) fn cut_paths(&self) {
        let accepted = self.shared.accepted.load(Relaxed);
        self.shared.cut_before.store(accepted, Relaxed);
    }

    /// New connections lead to the server at this port.
    pub(super) fn leads_to(&self, server: u16) {
        self.shared.server.store(server, Relaxed);
    }

    /// Connections that are opened from now on are closed when they were silent for so long.
    pub(super) fn closes_idle_after(&self, limit: Duration) {
        *self.shared.idle_limit.lock().unwrap() = Some(limit);
    }

    /// Connections that were opened to it.
    pub(super) fn accepted(&self) -> usize {
        self.shared.accepted.load(Relaxed)
    }

    /// Sends bytes on every connection, as a server that was not asked. No reply may be under way.
    pub(super) fn push(&self, bytes: &[u8]) {
        let mut clients = self.shared.clients.lock().unwrap();
        clients.retain_mut(|client| client.write_all(bytes).is_ok());
    }

    /// All bytes that went towards the server.
    pub(super) fn seen(&self) -> Vec<u8> {
        self.shared.seen.lock().unwrap().clone()
    }
}

fn serve(shared: &Arc<Shared>, client: &TcpStream, server: &TcpStream) {
    let pushed = client.try_clone().unwrap();
    shared.clients.lock().unwrap().push(pushed);
    let number = shared.accepted.fetch_add(1, Relaxed);
    let limit = *shared.idle_limit.lock().unwrap();
    let last = Arc::new(Mutex::new(Instant::now()));
    if let Some(limit) = limit {
        close_idle([client, server], limit, last.clone());
    }
    // Bytes that pass are noted; those of a dead path are dropped.
    let is_dead = move |shared: &Shared, last: &Mutex<Instant>| {
        *last.lock().unwrap() = Instant::now();
        number < shared.cut_before.load(Relaxed)
    };
    let noted = last.clone();
    let known = shared.clone();
    one_way(client, server, move |bytes, client, server| {
        if is_dead(&known, &noted) {
            return true;
        }
        known.seen.lock().unwrap().extend_from_slice(bytes);
        let manner = known.manner.lock().unwrap().clone();
        match manner {
            Manner::Answers(answer) => client.write_all(&answer).is_ok(),
            Manner::BreaksAt(part) if bytes.windows(part.len()).any(|it| it == part) => false,
            Manner::Passes | Manner::BreaksAt(_) | Manner::BreaksAfter(_) | Manner::Prepends(_) => {
                server.write_all(bytes).is_ok()
            }
        }
    });
    let known = shared.clone();
    one_way(server, client, move |bytes, _, client| {
        if is_dead(&known, &last) {
            return true;
        }
        let mut manner = known.manner.lock().unwrap();
        if let Manner::BreaksAfter(left) = &mut *manner {
            let now = bytes.len().min(*left);
            *left -= now;
            return client.write_all(&bytes[..now]).is_ok() && *left > 0;
        }
        if let Manner::Prepends(first) = &*manner {
            return client.write_all(&[first, bytes].concat()).is_ok();
        }
        drop(manner);
        client.write_all(bytes).is_ok()
    });
}

/// Closes both sides of a connection when nothing has passed for so long.
fn close_idle(sides: [&TcpStream; 2], limit: Duration, last: Arc<Mutex<Instant>>) {
    let sides = sides.map(|side| side.try_clone().unwrap());
    thread::spawn(move || {
        while last.lock().unwrap().elapsed() < limit {
            thread::sleep(Duration::from_millis(20));
        }
        for side in sides {
            // Closed already, if it fails.
            let _ = side.shutdown(Shutdown::Both);
        }
    });
}

/// Reads from one side until it ends or `pass` is done with it; then closes both.
fn one_way(
    from: &TcpStream,
    to: &TcpStream,
    mut pass: impl FnMut(&[u8], &mut TcpStream, &mut TcpStream) -> bool + Send + 'static,
) {
    let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
    thread::spawn(move || {
        let mut chunk = [0; 16 * 1024];
        while let Ok(length @ 1..) = from.read(&mut chunk) {
            if !pass(&chunk[..length], &mut from, &mut to) {
                break;
            }
        }
        for side in [&from, &to] {
            // Closed already, if it fails.
            let _ = side.shutdown(Shutdown::Both);
        }
    });
}
