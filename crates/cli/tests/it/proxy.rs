//! `waxseal proxy` as a process at the side of a test: started with free ports, ready when it says
//! so, stopped as an init system stops it. What it writes is searched for the words that no output
//! may hold. Knows nothing of what a test sends through it.

use std::net::TcpStream;

use waxseal_testing::{Client, RedisServer};

use crate::program::{Output, Program, Running};

/// In every protected value that a test sends through a proxy, and in nothing else: it must occur
/// neither in what the proxy writes nor in what Redis stores.
pub(crate) const PROTECTED_MARKER: &str = "amatista";
/// In every value that no pattern protects: it must occur in what Redis stores, so that the search
/// for the other one could have found something.
pub(crate) const OPEN_MARKER: &str = "obsidiana";

/// The beginning of the line of each listener.
const LISTENING: &str = "waxseal: listening on ";
/// How the line of the admin listener starts.
const ADMIN: &str = "waxseal: admin on ";

/// A running proxy. Killed when dropped; [`Proxy::stop`] ends it well.
pub(crate) struct Proxy {
    running: Running,
    listeners: Vec<String>,
    admin_port: u16,
}

impl Proxy {
    /// In front of this server, with the usual key, on a free TCP port, and with these flags.
    #[track_caller]
    pub(crate) fn start(server: &RedisServer, flags: &[&str]) -> Self {
        Self::start_as(&Program::at(server), server, flags)
    }

    /// The same with an environment of the test's choice.
    #[track_caller]
    pub(crate) fn start_as(program: &Program, server: &RedisServer, flags: &[&str]) -> Self {
        Self::start_at(program, &server.url(), flags)
    }

    /// The same with a store of the test's choice.
    #[track_caller]
    pub(crate) fn start_at(program: &Program, url: &str, flags: &[&str]) -> Self {
        Self::start_configured(program, &[&["--store", url], flags].concat())
    }

    /// The same, before the store that is configured.
    #[track_caller]
    pub(crate) fn start_configured(program: &Program, flags: &[&str]) -> Self {
        let mut words = vec!["proxy", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
        words.extend(flags);
        let listeners = words.iter().filter(|word| **word == "--listen").count();
        let mut running = program.start(&words);
        let mut said = String::new();
        running.wait_until_stderr(|text| {
            said = text.to_owned();
            lines(text, LISTENING).len() == listeners && lines(text, ADMIN).len() == 1
        });
        Self {
            running,
            listeners: lines(&said, LISTENING),
            admin_port: port_of(&lines(&said, ADMIN)[0]),
        }
    }

    /// The TCP port for clients.
    pub(crate) fn port(&self) -> u16 {
        let plain = |it: &&String| !it.contains("://") && !it.starts_with("unix:");
        port_of(
            self.listeners
                .iter()
                .find(plain)
                .expect("it always has one"),
        )
    }

    /// `redis://127.0.0.1:<port>/`.
    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port())
    }

    /// The port of the admin listener.
    pub(crate) fn admin_port(&self) -> u16 {
        self.admin_port
    }

    /// The addresses that it listens on, in the order of its lines.
    pub(crate) fn listeners(&self) -> &[String] {
        &self.listeners
    }

    /// A connection of the tests' own client (RESP2).
    #[track_caller]
    pub(crate) fn client(&self) -> Client {
        Client::connect(self.port()).expect("the proxy accepts connections")
    }

    /// Its log so far.
    pub(crate) fn said(&self) -> String {
        self.running.said()
    }

    /// The process, to check it from outside.
    pub(crate) fn pid(&self) -> u32 {
        self.running.pid()
    }

    /// Sends a signal, for example `TERM`, and lets the test continue.
    pub(crate) fn signal(&self, name: &str) {
        self.running.signal(name);
    }

    /// SIGTERM. Fails unless it ends with status 0 and kept the protected marker to itself.
    #[track_caller]
    pub(crate) fn stop(self) -> Output {
        self.signal("TERM");
        self.end().done()
    }

    /// Waits for an end that the test has caused.
    #[track_caller]
    pub(crate) fn end(self) -> Output {
        let output = self.running.end();
        for text in [&output.text(), &output.stderr] {
            assert!(!text.contains(PROTECTED_MARKER), "a value shows: {text}");
        }
        output
    }
}

/// The remainder of each complete line with this beginning.
fn lines(text: &str, beginning: &str) -> Vec<String> {
    text.split_inclusive('\n')
        .filter_map(|line| line.strip_suffix('\n')?.strip_prefix(beginning))
        .map(ToOwned::to_owned)
        .collect()
}

fn port_of(address: &str) -> u16 {
    let port = address.rsplit_once(':').map(|(_, port)| port);
    port.and_then(|port| port.parse().ok())
        .expect("the line ends with a port")
}

#[test]
fn a_proxy_says_where_it_listens_and_ends_well_when_asked() {
    let redis = RedisServer::start();
    let flags = ["--protect", "wa:*", "--listen", "127.0.0.1:0"];
    let proxy = Proxy::start(&redis, &flags);
    assert_eq!(proxy.listeners().len(), 2);
    assert_eq!(proxy.url(), format!("redis://{}/", proxy.listeners()[0]));
    for address in proxy.listeners() {
        let mut client = Client::connect(port_of(address)).unwrap();
        assert_eq!(client.cmd(&["PING"]).to_text(), "PONG");
    }
    assert!(TcpStream::connect(("127.0.0.1", proxy.admin_port())).is_ok());
    proxy.stop();
}
