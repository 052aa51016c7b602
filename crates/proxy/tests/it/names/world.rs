//! Two servers, each behind a proxy. One of these seals names; the other one seals values alone, and what its clients get is
//! compared with a server's replies elsewhere.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use waxseal_core::{
    EnvelopeRules, EnvelopeVersion, Format, Group, Keyring, Mode, NameMask, PadNames, PlainValues,
    Sealer, SecretKey, SharedKeyring,
};
use waxseal_named::{NameTable, NamedPattern};
use waxseal_policy::{ProtectedNames, RecordPattern};
use waxseal_proxy::{
    Address, Ended, Handshake, Limits, Listen, Protection, Proxy, Settings, Sharing, Upstream,
};
use waxseal_resp::{write_bulk, write_request_head};
use waxseal_testing::{RedisServer, ReplyTree};

use crate::keyed::RUNTIME;
use crate::pair::KEY;

/// How the values of all records are sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Values {
    /// Each is bound to its record.
    Bound,
    /// They may be moved, and elements of lists are found by their bytes.
    InGroup,
}

impl Values {
    fn sealer(self, keyring: Arc<Keyring>) -> Sealer {
        let sealer = Sealer::new(keyring, Mode::On, Format::Sealed).plain_values(PlainValues::Any);
        let rules = EnvelopeRules {
            write: EnvelopeVersion::V3,
            accept: EnvelopeVersion::V2,
        };
        match self {
            Self::Bound => sealer,
            Self::InGroup => sealer
                .rules(rules)
                .deterministic_elements(true)
                .in_group(Some(Group::new(b"group", true))),
        }
    }
}

/// Records of these patterns, of which those that do not begin with `!` have sealed names, and how these are stored.
pub(super) fn protection_and_table(patterns: &[&str]) -> (Protection, NameTable) {
    let (protection, table) = of_patterns(patterns, Values::Bound, true);
    (protection, table.unwrap())
}

/// The same, or with plain names only.
fn protection(patterns: &[&str], values: Values, has_sealed_names: bool) -> Protection {
    of_patterns(patterns, values, has_sealed_names).0
}

fn of_patterns(
    patterns: &[&str],
    values: Values,
    has_sealed_names: bool,
) -> (Protection, Option<NameTable>) {
    let keyring = Arc::new(Keyring::new(SecretKey::from_bytes(&KEY).unwrap()).unwrap());
    let parsed: Vec<RecordPattern> = patterns
        .iter()
        .map(|text| RecordPattern::parse(text.trim_start_matches('!')).unwrap())
        .collect();
    let protected = Arc::new(ProtectedNames::new(parsed.clone()));
    let shared = SharedKeyring::from(Arc::clone(&keyring));
    let table = NameTable::new(protected, shared, |index| {
        let is_plain = patterns[index].starts_with('!');
        (has_sealed_names && !is_plain).then(|| NamedPattern {
            pad: PadNames::default(),
        })
    });
    let sealer = values.sealer(keyring);
    let mask = NameMask::derived_from(&SecretKey::from_bytes(&KEY).unwrap());
    let protected = parsed.into_iter().map(|it| (it, sealer.clone())).collect();
    let protection = Protection::new(protected, mask);
    match table.unwrap() {
        None => (protection, None),
        Some(table) => (protection.name_table(table.clone()), Some(table)),
    }
}

/// A server, and a proxy before it.
struct Side {
    server: RedisServer,
    at: String,
    stop: Option<oneshot::Sender<()>>,
    running: Option<JoinHandle<Ended>>,
}

impl Side {
    fn start(protection: Protection) -> Self {
        let server = RedisServer::start();
        let address = Address::Tcp {
            host: "127.0.0.1".to_owned(),
            port: server.port(),
        };
        let upstream = Upstream::new(address, None, Handshake::default(), 0).unwrap();
        let settings = Settings {
            listen: vec![Listen::Tcp("127.0.0.1:0".to_owned())],
            listen_tls: None,
            upstream: Arc::new(upstream),
            sharing: Sharing::Shared,
            lanes: 1,
            workers: 1,
            limits: Limits::default(),
            protection: Arc::new(protection),
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
            server,
            at,
            stop: Some(stop),
            running: Some(running),
        }
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(running) = self.running.take() {
            RUNTIME.block_on(running).ok();
        }
    }
}

/// Names that are sealed on one side, and plain on the other one.
pub(super) struct World {
    plain: Side,
    sealed: Side,
}

impl World {
    pub(super) fn new(patterns: &[&str]) -> Self {
        Self::with(patterns, Values::Bound)
    }

    pub(super) fn with(patterns: &[&str], values: Values) -> Self {
        Self {
            plain: Side::start(protection(patterns, values, false)),
            sealed: Side::start(protection(patterns, values, true)),
        }
    }

    /// A client of the proxy that seals names.
    pub(super) fn proxied(&self) -> Wire {
        Wire::to(&self.sealed.at)
    }

    /// A client of the server that has plain names.
    pub(super) fn directly(&self) -> Wire {
        Wire::to(&format!("127.0.0.1:{}", self.plain.server.port()))
    }

    /// A client of the server that has sealed names.
    pub(super) fn past(&self) -> Wire {
        Wire::to(&format!("127.0.0.1:{}", self.sealed.server.port()))
    }

    /// A client of each proxy, in this version of the protocol.
    pub(super) fn both(&self, is_resp3: bool) -> Both {
        let mut both = Both {
            plain: Wire::to(&self.plain.at),
            sealed: self.proxied(),
        };
        if is_resp3 {
            both.plain.ask("HELLO 3");
            both.sealed.ask("HELLO 3");
        }
        both
    }

    /// Returns once a client waits at the server that has sealed names.
    pub(super) fn wait_until_blocked(&self) {
        let mut past = self.past();
        let is_blocked = |wire: &mut Wire| {
            let info = shown(&wire.ask("INFO clients").text);
            !info.contains("blocked_clients:0")
        };
        for _ in 0..4_000 {
            if is_blocked(&mut past) {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("no client waits");
    }

    /// The names that the server behind the proxy has.
    pub(super) fn stored_names(&self) -> BTreeSet<String> {
        let names = self.past().ask("KEYS *").items;
        names.iter().map(|name| shown(&name.text)).collect()
    }
}

fn shown(text: &[u8]) -> String {
    String::from_utf8_lossy(text).into_owned()
}

/// A client.
pub(super) struct Wire {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Wire {
    fn to(address: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        let limit = Duration::from_secs(20);
        stream.set_read_timeout(Some(limit)).unwrap();
        Self {
            stream,
            received: Vec::new(),
        }
    }

    pub(super) fn send_bytes(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    pub(super) fn send(&mut self, line: &str) {
        self.send_bytes(&encoded(line));
    }

    pub(super) fn reply(&mut self) -> ReplyTree {
        loop {
            if let Some((reply, len)) = ReplyTree::parse(&self.received).unwrap() {
                self.received.drain(..len);
                return reply;
            }
            let mut chunk = [0; 4096];
            let len = self.stream.read(&mut chunk).unwrap();
            assert!(len > 0, "the connection was closed");
            self.received.extend_from_slice(&chunk[..len]);
        }
    }

    pub(super) fn ask(&mut self, line: &str) -> ReplyTree {
        self.send(line);
        self.reply()
    }
}

/// A request of these words; `\0` and `\n` in them are such bytes, and `""` is an empty word.
pub(super) fn encoded(line: &str) -> Vec<u8> {
    let words: Vec<&str> = line.split(' ').collect();
    let mut out = Vec::new();
    write_request_head(&mut out, words.len());
    for word in words {
        let word = if word == "\"\"" { "" } else { word };
        let word = word.replace("\\0", "\0").replace("\\n", "\n");
        write_bulk(&mut out, word.as_bytes());
    }
    out
}

/// A client where names are plain, and one where they are sealed.
pub(super) struct Both {
    pub(super) plain: Wire,
    pub(super) sealed: Wire,
}

impl Both {
    /// Sends a request to both. Returns the replies, if they are different. Elements of arrays may be in another order for
    /// commands whose order no server promises.
    pub(super) fn difference(&mut self, line: &str) -> Option<String> {
        let (mut plain, mut sealed) = (self.plain.ask(line), self.sealed.ask(line));
        let word = line.split(' ').next().unwrap();
        if ["KEYS", "SMEMBERS", "HGETALL", "HKEYS", "HVALS"].contains(&word) {
            plain.items.sort();
            sealed.items.sort();
        }
        (plain != sealed)
            .then(|| format!("{line}\n  plain names:  {plain:?}\n  sealed names: {sealed:?}"))
    }

    /// Asserts that all these requests have the same replies.
    #[track_caller]
    pub(super) fn all_same<'l>(&mut self, lines: impl IntoIterator<Item = &'l str>) {
        let differences = lines.into_iter().filter_map(|line| self.difference(line));
        let differences: Vec<String> = differences.collect();
        assert!(differences.is_empty(), "{}", differences.join("\n"));
    }
}
