//! A connection to a server on which every reply is kept as the bytes that were received.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use waxseal_compute::{Dialect, Protocol};
use waxseal_resp::{ReplyScanner, write_bulk, write_request_head};
use waxseal_testing::{Flavor, RedisServer};

pub(crate) type Command = Vec<Vec<u8>>;

/// A server with its dialect.
pub(crate) struct Server {
    pub(crate) process: RedisServer,
    pub(crate) dialect: Dialect,
}

/// Every server that tests can start.
pub(crate) fn servers() -> Vec<Server> {
    Flavor::ALL.into_iter().map(Server::start).collect()
}

impl Server {
    pub(crate) fn start(flavor: Flavor) -> Self {
        let process = RedisServer::builder().flavor(flavor).start();
        let dialect = Dialect::from_info(&process.cli(&["INFO", "server"])).expect("a version");
        Self { process, dialect }
    }
}

pub(crate) struct Wire {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Wire {
    pub(crate) fn connect(server: &Server, protocol: Protocol) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", server.process.port())).unwrap();
        stream.set_nodelay(true).unwrap();
        let timeout = Some(Duration::from_secs(60));
        stream.set_read_timeout(timeout).unwrap();
        let mut wire = Self {
            stream,
            received: Vec::new(),
        };
        if protocol == Protocol::Resp3 {
            let hello = wire.send(&[command(&["HELLO", "3"])]);
            assert!(hello[0].starts_with(b"%"), "{}", hello[0].escape_ascii());
        }
        wire
    }

    /// Sends commands at once and returns their replies.
    pub(crate) fn send(&mut self, commands: &[Command]) -> Vec<Vec<u8>> {
        let mut request = Vec::new();
        for command in commands {
            write_request_head(&mut request, command.len());
            for argument in command {
                write_bulk(&mut request, argument);
            }
        }
        self.stream.write_all(&request).unwrap();
        commands.iter().map(|_| self.reply()).collect()
    }

    fn reply(&mut self) -> Vec<u8> {
        let mut scanner = ReplyScanner::new();
        let mut scanned = 0;
        loop {
            let progress = scanner.scan(&self.received[scanned..]).unwrap();
            scanned += progress.used;
            if progress.done {
                let rest = self.received.split_off(scanned);
                return std::mem::replace(&mut self.received, rest);
            }
            let mut piece = [0; 64 * 1024];
            let len = self.stream.read(&mut piece).unwrap();
            assert!(len > 0, "the server closed the connection");
            self.received.extend_from_slice(&piece[..len]);
        }
    }
}

pub(crate) fn command<A: AsRef<[u8]>>(arguments: &[A]) -> Command {
    arguments.iter().map(|it| it.as_ref().to_vec()).collect()
}
