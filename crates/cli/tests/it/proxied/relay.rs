//! What stands between the proxy and the server: passes bytes on, remembers those that went to the
//! server, and misbehaves when a test says so.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// How the relay behaves.
#[derive(Clone)]
pub(super) enum Manner {
    /// Everything passes.
    Passes,
    /// Requests get these bytes for an answer, and reach nobody.
    Answers(Vec<u8>),
    /// After so many more bytes of replies the connection breaks off.
    BreaksAfter(usize),
    /// These bytes come before the next replies, each time that some come.
    Prepends(Vec<u8>),
}

struct Shared {
    manner: Mutex<Manner>,
    seen: Mutex<Vec<u8>>,
    clients: Mutex<Vec<TcpStream>>,
    server: u16,
}

/// A running relay. Its threads end with the connections that they serve.
pub(super) struct Relay {
    shared: Arc<Shared>,
    port: u16,
}

impl Relay {
    /// Before the server at this port.
    pub(super) fn before(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            manner: Mutex::new(Manner::Passes),
            seen: Mutex::default(),
            clients: Mutex::default(),
            server,
        });
        let known = shared.clone();
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if let Ok(server) = TcpStream::connect(("127.0.0.1", known.server)) {
                    serve(&known, &client, &server);
                }
            }
        });
        Self { shared, port }
    }

    pub(super) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    pub(super) fn behaves(&self, manner: Manner) {
        *self.shared.manner.lock().unwrap() = manner;
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
    let known = shared.clone();
    one_way(client, server, move |bytes, client, server| {
        known.seen.lock().unwrap().extend_from_slice(bytes);
        let manner = known.manner.lock().unwrap().clone();
        match manner {
            Manner::Answers(answer) => client.write_all(&answer).is_ok(),
            Manner::Passes | Manner::BreaksAfter(_) | Manner::Prepends(_) => {
                server.write_all(bytes).is_ok()
            }
        }
    });
    let known = shared.clone();
    one_way(server, client, move |bytes, _, client| {
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
