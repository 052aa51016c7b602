//! A primary with its replica behind one address, and two proxies in front of it that follow one
//! keyring, which is rotated quickly.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, sleep};
use std::time::Duration;

use waxseal_testing::{Client, RedisServer, Skew, free_port};

use super::address::Address;
use crate::program::{Program, Running, wait_until};
use crate::proxy::PROTECTED_MARKER;

/// The way upstream of each proxy.
pub(super) const SHARINGS: [&str; 2] = ["auto", "shared"];
/// A ring whose keys live for seconds.
const QUICK: [&str; 8] = [
    "--rotate-every",
    "15s",
    "--propagation",
    "2s",
    "--refresh",
    "500ms",
    "--retain",
    "5s",
];
/// A value that does not open, which a proxy says in its log.
const DAMAGED: &str = "wa:damaged";
/// Reads of it.
const READS: usize = 40;
/// Times that a proxy is started, on ports that another process may take meanwhile.
const ATTEMPTS: usize = 5;
const PAUSE: Duration = Duration::from_millis(20);
/// The time until a log that is not read is full.
const FILLED: Duration = Duration::from_millis(300);

/// Everything that can fail.
pub(super) struct Stage {
    servers: [RedisServer; 2],
    /// Which of them takes writes.
    primary: usize,
    pub(super) address: Address,
    program: Program,
    proxies: [(Running, u16); 2],
    log: Log,
    clock: Skew,
}

impl Stage {
    pub(super) fn start() -> Self {
        let lasting = || {
            // Compressed values could not be searched for.
            RedisServer::builder()
                .append_only()
                .arg("--rdbcompression", "no")
                .arg("--enable-debug-command", "yes")
        };
        let first = lasting().start();
        let second = lasting().replica_of(&first).start();
        second.wait_for_replica_link(&first);
        let address = Address::of(first.port());
        let program = program(&address);
        program
            .run(&[&["keyring", "init"], &QUICK[..]].concat())
            .done();
        let (proxy, port, log) = with_own_log(&program);
        let clock = Skew::of_days(0);
        let other = with_full_log(&skewed(&program, &clock));
        Self {
            servers: [first, second],
            primary: 0,
            address,
            program,
            proxies: [(proxy, port), other],
            log,
            clock,
        }
    }

    /// The ports of the proxies, in the order of [`SHARINGS`].
    pub(super) fn ports(&self) -> [u16; 2] {
        [self.proxies[0].1, self.proxies[1].1]
    }

    pub(super) fn primary(&self) -> &RedisServer {
        &self.servers[self.primary]
    }

    pub(super) fn primary_mut(&mut self) -> &mut RedisServer {
        &mut self.servers[self.primary]
    }

    pub(super) fn program(&self) -> &Program {
        &self.program
    }

    /// One command at the server that takes writes.
    #[track_caller]
    pub(super) fn cli(&self, words: &[&str]) -> String {
        self.primary().cli(words)
    }

    /// The primary becomes the replica of the other, without losing a write.
    pub(super) fn fail_over(&mut self) {
        let other = &self.servers[1 - self.primary];
        let port = other.port().to_string();
        other.wait_for_replica_link(self.primary());
        wait_until(|| {
            // Refused until the replica is known to be there, and given up if it does not catch up.
            self.cli(&["FAILOVER", "TO", "127.0.0.1", &port, "TIMEOUT", "3000"]);
            wait_until(|| self.cli(&["INFO", "replication"]).contains("no-failover"));
            other.cli(&["ROLE"]).starts_with("master")
        });
        self.primary = 1 - self.primary;
        for server in &self.servers {
            // It keeps its role when it is started again.
            assert_eq!(server.cli(&["CONFIG", "REWRITE"]), "OK");
        }
    }

    /// The address leads to the server that takes writes.
    pub(super) fn move_address(&self) {
        self.address.move_to(self.primary().port());
    }

    /// The server takes no more connections than it has while this runs.
    pub(super) fn at_connection_limit(&self, hold: impl FnOnce()) {
        let mut admin = self.primary().client();
        let clients = admin.cmd(&["CLIENT", "LIST"]).to_text().lines().count();
        let before = admin.cmd(&["CONFIG", "GET", "maxclients"]).array();
        let before = before[1].to_text();
        let set = |admin: &mut Client, limit: &str| {
            let done = admin.cmd(&["CONFIG", "SET", "maxclients", limit]);
            assert_eq!(done.to_text(), "OK");
        };
        set(&mut admin, &clients.to_string());
        hold();
        set(&mut admin, &before);
    }

    /// One proxy's log is read no more, much is written there, and then its reader is gone. The other
    /// proxy writes as much to a full disk.
    pub(super) fn lose_logs(&mut self) {
        self.log.fill_up();
        // What an envelope begins with, and then nothing of one.
        let damaged = [&[0xf5, 0x57, 0x02, 0x00][..], &[0; 60]].concat();
        let mut admin = self.primary().client();
        admin.cmd(&[&b"SET"[..], DAMAGED.as_bytes(), &damaged]);
        for port in self.ports() {
            let mut client = Client::connect(port).unwrap();
            for _ in 0..READS {
                let Ok(reply) = client.try_cmd(&["GET", DAMAGED]) else {
                    break;
                };
                assert!(reply.error().is_some(), "a damaged value was opened");
            }
        }
        admin.cmd(&["DEL", DAMAGED]);
        self.log.close();
    }

    /// Puts the clock of one proxy so many days ahead.
    pub(super) fn skew_clock(&self, days: i64) {
        self.clock.set_days(days);
    }

    /// Nothing ends a proxy but its operator.
    #[track_caller]
    pub(super) fn assert_alive(&mut self) {
        for ((proxy, _), sharing) in self.proxies.iter_mut().zip(SHARINGS) {
            assert!(!proxy.has_ended(), "the proxy ({sharing}) has ended");
        }
    }

    /// The stored data, from the files of both servers.
    pub(super) fn files(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for server in &self.servers {
            assert_eq!(server.cli(&["SAVE"]), "OK");
            let directory = server.cli(&["CONFIG", "GET", "dir"]);
            let directory = directory.lines().nth(1).expect("a directory");
            read_all(directory.as_ref(), &mut bytes);
        }
        bytes
    }

    /// Stops the proxies as an operator does.
    pub(super) fn stop(self) {
        for (proxy, _) in self.proxies {
            proxy.signal("TERM");
            proxy.end().done();
        }
        let log = self.log.text.lock().unwrap();
        assert!(!log.contains(PROTECTED_MARKER), "a value is in a log");
    }
}

/// The arguments that the proxies and the commands share.
fn program(address: &Address) -> Program {
    let config = "environment = \"tests\"\nkeyring = \"file:ring.json\"\n\
                  [[protect]]\nrecords = \"wa:*\"\nformat = \"sealed\"\n";
    let program = Program::new();
    let state = program.path("state");
    program
        .env("REDIS_URL", &address.url())
        .env("REDIS_ENCRYPTION_KEY", crate::program::KEY)
        .env("STATE_DIRECTORY", state.to_str().unwrap())
        .file("waxseal.toml", config)
}

/// The same with a clock that can be set.
fn skewed(program: &Program, clock: &Skew) -> Program {
    let variables = clock.env();
    variables
        .iter()
        .fold(program.clone(), |program, (name, value)| {
            program.env(name, value)
        })
}

/// The log of one proxy, read by a reader that can be paused.
struct Log {
    text: Arc<Mutex<String>>,
    stalls: Arc<AtomicBool>,
    reader: UnixStream,
    writer: UnixStream,
}

impl Log {
    fn of(reader: UnixStream, writer: UnixStream) -> Self {
        let log = Self {
            text: Arc::default(),
            stalls: Arc::default(),
            reader,
            writer,
        };
        let (text, stalls) = (log.text.clone(), log.stalls.clone());
        let mut reader = log.reader.try_clone().unwrap();
        thread::spawn(move || {
            let mut chunk = [0; 4096];
            while let Ok(length @ 1..) = reader.read(&mut chunk) {
                let read = String::from_utf8_lossy(&chunk[..length]);
                text.lock().unwrap().push_str(&read);
                while stalls.load(Ordering::SeqCst) {
                    sleep(PAUSE);
                }
            }
        });
        log
    }

    /// It is not read, and full.
    fn fill_up(&self) {
        self.stalls.store(true, Ordering::SeqCst);
        let mut writer = self.writer.try_clone().unwrap();
        // It waits for room, until the reader is gone.
        thread::spawn(move || while writer.write_all(&[b'\n'; 4096]).is_ok() {});
        sleep(FILLED);
    }

    fn close(&self) {
        // Closed already, if it fails.
        let _ = self.reader.shutdown(Shutdown::Both);
        self.stalls.store(false, Ordering::SeqCst);
    }
}

fn words<'a>(listen: &'a str, sharing: &'a str) -> Vec<&'a str> {
    let mut words = vec!["proxy", "--listen", listen, "--admin", "127.0.0.1:0"];
    words.extend(["--upstream", sharing]);
    words
}

/// A proxy that says where it listens.
fn with_own_log(program: &Program) -> (Running, u16, Log) {
    let (reader, writer) = UnixStream::pair().unwrap();
    let stderr = Stdio::from(OwnedFd::from(writer.try_clone().unwrap()));
    let running = program.start_with_stderr(stderr, &words("127.0.0.1:0", SHARINGS[0]));
    let log = Log::of(reader, writer);
    let mut port = 0;
    wait_until(|| {
        let text = log.text.lock().unwrap();
        let line = text.split_inclusive('\n').find_map(|line| {
            let line = line.strip_suffix('\n')?;
            line.strip_prefix("waxseal: listening on 127.0.0.1:")
        });
        port = line.map_or(0, |port| port.parse().expect("a port"));
        port != 0
    });
    (running, port, log)
}

/// A proxy that can say nothing from the beginning: its log is on a full disk.
fn with_full_log(program: &Program) -> (Running, u16) {
    for _ in 0..ATTEMPTS {
        let port = free_port();
        let listen = format!("127.0.0.1:{port}");
        let words = words(&listen, SHARINGS[1]);
        let mut running = program.start_after("exec 2>/dev/full", &words);
        let mut listens = false;
        wait_until(|| {
            listens = TcpStream::connect(&listen).is_ok();
            listens || running.has_ended()
        });
        if listens && !running.has_ended() {
            return (running, port);
        }
    }
    panic!("no proxy started whose log is on a full disk");
}

fn read_all(directory: &std::path::Path, bytes: &mut Vec<u8>) {
    for entry in std::fs::read_dir(directory).expect("a server's directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            read_all(&path, bytes);
        } else if path.is_file() {
            bytes.extend(std::fs::read(&path).expect("a server's file"));
        }
    }
}
