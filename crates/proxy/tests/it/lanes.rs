//! Clients that share a lane to a real server, one of which waits for a key: the others wait for that
//! time, in order, and no longer, whatever happens to the first.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Semaphore;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use waxseal_keys::{CacheBounds, MemoryUserKeys, UserChange, UserKeyError, UserKeyStore};
use waxseal_proxy::{
    Address, Ended, Handshake, Limits, Listen, Proxy, Settings, Sharing, Upstream,
};
use waxseal_testing::{Client, RedisServer};

use crate::keyed::{RUNTIME, World};
use crate::pair::{request, requests};

/// A store of users' keys that answers while its gate is open.
struct Gate {
    inside: Arc<MemoryUserKeys>,
    open: Semaphore,
}

impl Gate {
    async fn pass(&self) {
        let _pass = self.open.acquire().await.unwrap();
    }

    fn open(&self) {
        self.open.add_permits(1);
    }

    /// Closes the gate once no call is under way.
    fn close(&self) {
        RUNTIME.block_on(self.open.acquire()).unwrap().forget();
    }
}

#[async_trait]
impl UserKeyStore for Gate {
    fn location(&self) -> String {
        "behind a gate".to_owned()
    }

    async fn read(&self, names: &[String]) -> Result<Vec<Option<Vec<u8>>>, UserKeyError> {
        self.pass().await;
        self.inside.read(names).await
    }

    async fn replace(&self, changes: &[UserChange]) -> Result<Vec<bool>, UserKeyError> {
        self.pass().await;
        self.inside.replace(changes).await
    }
}

/// Limits under which keys are waited for longer than a test takes on a busy machine.
fn long_timeouts() -> Limits {
    Limits {
        connect: Duration::from_secs(60),
        ..Limits::default()
    }
}

/// A server, a proxy before it with one lane, and keys behind a gate.
struct Fixture {
    world: World,
    gate: Arc<Gate>,
    redis: RedisServer,
    at: String,
    stop: Option<oneshot::Sender<()>>,
    running: Option<JoinHandle<Ended>>,
}

impl Fixture {
    fn new(sharing: Sharing, limits: Limits) -> Self {
        let world = World::new();
        let gate = Arc::new(Gate {
            inside: world.user_store.clone(),
            open: Semaphore::new(1),
        });
        let redis = RedisServer::start();
        let process = world.process_with(gate.clone(), CacheBounds::default());
        let address = Address::Tcp {
            host: "127.0.0.1".to_owned(),
            port: redis.port(),
        };
        let upstream = Upstream::new(address, None, Handshake::default(), 0).unwrap();
        let settings = Settings {
            listen: vec![Listen::Tcp("127.0.0.1:0".to_owned())],
            listen_tls: None,
            upstream: Arc::new(upstream),
            sharing,
            lanes: 1,
            workers: 1,
            limits,
            protection: Arc::new(process.protection()),
            report: Arc::new(|_| {}),
            grace: Duration::from_secs(5),
        };
        let proxy = RUNTIME.block_on(Proxy::open(settings)).unwrap();
        let at = proxy.addresses().next().unwrap().to_owned();
        let (stop, stopped) = oneshot::channel();
        let running = RUNTIME.spawn(proxy.run(async {
            stopped.await.ok();
        }));
        Self {
            world,
            gate,
            redis,
            at,
            stop: Some(stop),
            running: Some(running),
        }
    }

    fn wire(&self) -> Wire {
        Wire::to(&self.at)
    }

    /// Stores a value as the other process would.
    fn store(&self, location: &str) {
        let name = location.split('=').next().unwrap();
        let mut server = Client::connect(self.redis.port()).unwrap();
        let envelope = self.world.envelope(location);
        server.cmd(&[&b"SET"[..], name.as_bytes(), &envelope]);
    }

    /// A client whose knowledge that this user has no key is outdated, so that its request stalls. It sends
    /// another request at the same time.
    fn stalling(&self, user: &str, more: &[&str]) -> Wire {
        let mut wire = self.wire();
        let line = format!("GET wa:{user}");
        assert_eq!(wire.ask(&line), "$-1");
        self.store(&format!("wa:{user}=late"));
        self.gate.close();
        wire.send_bytes(&requests(&[&[&*line], more].concat()));
        wire
    }

    fn stop(&mut self) -> Ended {
        self.stop.take().unwrap().send(()).unwrap();
        RUNTIME.block_on(self.running.take().unwrap()).unwrap()
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        if self.stop.is_some() && !std::thread::panicking() {
            self.stop();
        }
    }
}

struct Wire(BufReader<TcpStream>);

impl Wire {
    fn to(at: &str) -> Self {
        let stream = TcpStream::connect(at).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(30)))
            .unwrap();
        stream.set_nodelay(true).unwrap();
        Self(BufReader::new(stream))
    }

    fn send_bytes(&mut self, bytes: &[u8]) {
        self.0.get_mut().write_all(bytes).unwrap();
    }

    fn send(&mut self, line: &str) {
        self.send_bytes(&request(line));
    }

    /// Reads the next line of a reply, or the text of a bulk string.
    fn reply(&mut self) -> String {
        let mut line = String::new();
        assert!(self.0.read_line(&mut line).unwrap() > 0, "the proxy closed");
        let line = line.trim_end().to_owned();
        let Some(length) = line
            .strip_prefix('$')
            .and_then(|it| it.parse::<usize>().ok())
        else {
            return line;
        };
        let mut text = vec![0; length + 2];
        self.0.read_exact(&mut text).unwrap();
        String::from_utf8(text[..length].to_vec()).unwrap()
    }

    fn ask(&mut self, line: &str) -> String {
        self.send(line);
        self.reply()
    }

    /// True if a reply is received within a short time.
    fn has_reply(&mut self) -> bool {
        let short = Some(Duration::from_millis(300));
        self.0.get_ref().set_read_timeout(short).unwrap();
        let actual = self.0.fill_buf().is_ok();
        let long = Some(Duration::from_secs(30));
        self.0.get_ref().set_read_timeout(long).unwrap();
        actual
    }

    /// Reads everything until the proxy closes the connection.
    fn rest(&mut self) -> String {
        let mut rest = String::new();
        self.0.read_to_string(&mut rest).unwrap();
        rest
    }
}

#[test]
fn a_client_that_waits_for_a_key_blocks_its_lane_and_replies_keep_their_order() {
    // A client that waits for a key is not mistaken for one that does not read.
    let limits = Limits {
        stalled: Duration::from_millis(50),
        ..Limits::default()
    };
    let fixture = Fixture::new(Sharing::Shared, limits);
    let mut other = fixture.wire();
    assert_eq!(other.ask("SET other x"), "+OK");
    let mut stalled = fixture.stalling("1", &[]);
    assert!(!stalled.has_reply());
    other.send("GET other");
    stalled.send("GET other");
    other.send("SET other y");
    stalled.send("GET other");
    assert!(!other.has_reply());
    fixture.gate.open();
    assert_eq!(stalled.reply(), "late");
    assert_eq!(other.reply(), "x");
    assert_eq!(other.reply(), "+OK");
    for _ in 0..2 {
        assert!(matches!(&*stalled.reply(), "x" | "y"));
    }
    assert_eq!(stalled.ask("GET wa:1"), "late");
    assert_eq!(other.ask("GET wa:1"), "late");
}

#[test]
fn a_request_that_waits_for_a_key_does_not_block_other_clients() {
    for sharing in [Sharing::Shared, Sharing::Dedicated, Sharing::Auto] {
        let fixture = Fixture::new(sharing, long_timeouts());
        let (mut waiting, mut other) = (fixture.wire(), fixture.wire());
        fixture.gate.close();
        waiting.send("SET wa:1 @wa:1=v");
        waiting.send("GET wa:1");
        assert_eq!(other.ask("SET other x"), "+OK");
        assert!(!waiting.has_reply());
        fixture.gate.open();
        assert_eq!(waiting.reply(), "+OK");
        assert_eq!(waiting.reply(), "v");
        assert_eq!(other.ask("GET wa:1"), "v");
    }
}

#[test]
fn a_client_on_a_dedicated_connection_waits_alone_and_in_order() {
    let fixture = Fixture::new(Sharing::Dedicated, Limits::default());
    let mut other = fixture.wire();
    assert_eq!(other.ask("SET other x"), "+OK");
    let mut stalled = fixture.stalling("1", &["GET other"]);
    stalled.send("INCREX wa:1");
    assert_eq!(other.ask("GET other"), "x");
    assert!(!stalled.has_reply());
    fixture.gate.open();
    assert_eq!(stalled.reply(), "late");
    assert_eq!(stalled.reply(), "x");
    assert!(stalled.reply().starts_with("-SEALREFUSED INCREX "));
}

#[test]
fn a_blocked_client_gets_a_value_pushed_under_a_new_key() {
    for sharing in [Sharing::Shared, Sharing::Dedicated, Sharing::Auto] {
        let fixture = Fixture::new(sharing, long_timeouts());
        let mut blocked = fixture.wire();
        blocked.send("BLPOP wa:1 0");
        assert!(!blocked.has_reply());
        let mut server = Client::connect(fixture.redis.port()).unwrap();
        let pushed = fixture.world.envelope("wa:1=v");
        server.cmd(&[&b"RPUSH"[..], b"wa:1", &pushed]);
        assert_eq!(blocked.reply(), "*2");
        assert_eq!(blocked.reply(), "wa:1");
        assert_eq!(blocked.reply(), "v");
    }
}

#[test]
fn a_key_that_is_not_fetched_in_time_is_an_error_and_the_lane_continues() {
    let limits = Limits {
        connect: Duration::from_millis(500),
        ..Limits::default()
    };
    let fixture = Fixture::new(Sharing::Shared, limits);
    let mut other = fixture.wire();
    assert_eq!(other.ask("SET other x"), "+OK");
    let mut stalled = fixture.stalling("1", &[]);
    stalled.send("GET other");
    other.send("GET other");
    assert!(stalled.reply().starts_with("-SEALNOKEY GET: "));
    assert_eq!(stalled.reply(), "x");
    assert_eq!(other.reply(), "x");
    let refused = other.ask("SET wa:2 @wa:2=v");
    assert!(refused.starts_with("-SEALNOKEY SET: "), "{refused}");
    fixture.gate.open();
    assert_eq!(other.ask("SET wa:2 @wa:2=v"), "+OK");
}

#[test]
fn a_client_that_disconnects_while_it_waits_does_not_affect_others() {
    for sharing in [Sharing::Shared, Sharing::Dedicated] {
        let fixture = Fixture::new(sharing, long_timeouts());
        let mut other = fixture.wire();
        assert_eq!(other.ask("SET other x"), "+OK");
        let stalled = fixture.stalling("1", &[]);
        let mut waiting = fixture.wire();
        waiting.send("GET wa:2");
        waiting.send("GET other");
        other.send("GET other");
        assert!(!waiting.has_reply());
        drop((stalled, waiting));
        fixture.gate.open();
        assert_eq!(other.reply(), "x");
        assert_eq!(other.ask("GET wa:1"), "late");
    }
}

/// Before its reply is received, and while the reply waits for a key.
#[test]
fn a_client_that_is_killed_while_it_waits_does_not_block_others() {
    for paused in [0, 700] {
        let limits = Limits {
            half_request: Duration::from_millis(300),
            connect: Duration::from_secs(60),
            ..Limits::default()
        };
        let fixture = Fixture::new(Sharing::Shared, limits);
        let mut other = fixture.wire();
        assert_eq!(other.ask("SET other x"), "+OK");
        let mut wire = fixture.wire();
        assert_eq!(wire.ask("GET wa:1"), "$-1");
        fixture.store("wa:1=late");
        fixture.gate.close();
        if paused > 0 {
            let mut server = Client::connect(fixture.redis.port()).unwrap();
            server.cmd(&["CLIENT", "PAUSE", &paused.to_string(), "ALL"]);
        }
        wire.send("GET wa:1");
        wire.send_bytes(b"*2\r\n$3\r\nGET\r\n");
        other.send("GET other");
        assert_eq!(wire.rest(), "");
        assert_eq!(other.reply(), "x");
        fixture.gate.open();
        assert_eq!(other.ask("GET wa:1"), "late");
    }
}

#[test]
fn a_received_reply_is_delivered_after_the_server_has_gone() {
    for sharing in [Sharing::Shared, Sharing::Dedicated] {
        let fixture = Fixture::new(sharing, long_timeouts());
        let mut stalled = fixture.stalling("1", &[]);
        assert!(!stalled.has_reply());
        let mut server = Client::connect(fixture.redis.port()).unwrap();
        server.cmd(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
        // Noticed on a write, at the second attempt at the latest.
        for _ in 0..3 {
            stalled.send("GET other");
            assert!(!stalled.has_reply());
        }
        fixture.gate.open();
        assert_eq!(stalled.reply(), "late");
        let rest = stalled.rest();
        assert!(rest.is_empty() || rest.starts_with("-ERR waxseal cannot reach"));
    }
}

#[test]
fn replies_behind_those_of_a_killed_client_are_delivered_at_once() {
    let limits = Limits {
        half_request: Duration::from_millis(800),
        ..long_timeouts()
    };
    let fixture = Fixture::new(Sharing::Shared, limits);
    let mut other = fixture.wire();
    assert_eq!(other.ask("SET other x"), "+OK");
    // Replies of both were received, behind the one that waits for a key.
    let mut stalled = fixture.stalling("1", &["GET other", "GET other"]);
    stalled.send_bytes(b"*2\r\n$3\r\nGET\r\n");
    other.send("GET other");
    // The server sends nothing more when the first client is killed.
    assert_eq!(stalled.rest(), "");
    assert_eq!(other.reply(), "x");
    fixture.gate.open();
}

#[test]
fn a_shutdown_waits_for_requests_that_wait_for_a_key() {
    let mut fixture = Fixture::new(Sharing::Shared, long_timeouts());
    let mut stalled = fixture.stalling("1", &[]);
    assert!(!stalled.has_reply());
    fixture.stop.take().unwrap().send(()).unwrap();
    assert!(!stalled.has_reply());
    fixture.gate.open();
    assert_eq!(stalled.reply(), "late");
    let ended = RUNTIME.block_on(fixture.running.take().unwrap()).unwrap();
    assert_eq!(ended.cut, 0);
}
