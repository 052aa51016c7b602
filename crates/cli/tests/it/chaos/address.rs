//! The address at which the proxies look for the server: a relay that can be made to lead elsewhere, to
//! lose what passes on the connections that exist, and to cut them off.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

struct Shared {
    server: AtomicU16,
    accepted: AtomicU64,
    /// Connections with a smaller number lose what passes.
    silent_below: AtomicU64,
    connections: Mutex<HashMap<u64, [TcpStream; 2]>>,
}

/// A relay. Its threads end with the connections that they serve.
pub(super) struct Address {
    shared: Arc<Shared>,
    port: u16,
}

impl Address {
    pub(super) fn of(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            server: AtomicU16::new(server),
            accepted: AtomicU64::new(0),
            silent_below: AtomicU64::new(0),
            connections: Mutex::default(),
        });
        let known = shared.clone();
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let server = known.server.load(Ordering::SeqCst);
                // Where the server is down the client's connection ends.
                if let Ok(server) = TcpStream::connect(("127.0.0.1", server)) {
                    known.relay(client, server);
                }
            }
        });
        Self { shared, port }
    }

    pub(super) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// New connections lead to another server; those that exist stay where they are.
    pub(super) fn move_to(&self, server: u16) {
        self.shared.server.store(server, Ordering::SeqCst);
    }

    /// Drops the data of existing connections from now on, in both directions.
    pub(super) fn silence(&self) {
        let accepted = self.shared.accepted.load(Ordering::SeqCst);
        self.shared.silent_below.store(accepted, Ordering::SeqCst);
    }

    /// All connections end.
    pub(super) fn cut(&self) {
        for sides in self.shared.connections.lock().unwrap().values() {
            close(sides);
        }
    }
}

impl Shared {
    fn relay(self: &Arc<Self>, client: TcpStream, server: TcpStream) {
        let number = self.accepted.fetch_add(1, Ordering::SeqCst);
        for side in [&client, &server] {
            side.set_nodelay(true).unwrap();
        }
        let clones = || [&client, &server].map(|it| it.try_clone().unwrap());
        let [from_client, to_server] = clones();
        let [to_client, from_server] = clones();
        let mut connections = self.connections.lock().unwrap();
        connections.insert(number, [client, server]);
        self.pass(number, from_client, to_server);
        self.pass(number, from_server, to_client);
    }

    fn pass(self: &Arc<Self>, number: u64, mut from: TcpStream, mut to: TcpStream) {
        let shared = self.clone();
        thread::spawn(move || {
            let mut chunk = vec![0; 64 * 1024];
            while let Ok(length @ 1..) = from.read(&mut chunk) {
                let silent = number < shared.silent_below.load(Ordering::SeqCst);
                if !silent && to.write_all(&chunk[..length]).is_err() {
                    break;
                }
            }
            close(&[from, to]);
            shared.connections.lock().unwrap().remove(&number);
        });
    }
}

fn close(sides: &[TcpStream; 2]) {
    for side in sides {
        // Closed already, if it fails.
        let _ = side.shutdown(Shutdown::Both);
    }
}
