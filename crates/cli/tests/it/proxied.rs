//! The proxy between real clients and a real server, when everything goes well and when it does not:
//! what it must not change, what it must not let through, and what must not bring it down. Every test
//! speaks the protocol itself, byte by byte, and most hold in all three ways of going upstream.

mod blocking;
mod certificates;
mod clients;
mod computed;
mod connections;
mod conversations;
mod corpus;
mod counts;
mod crowd;
mod dead_paths;
mod empty_user;
mod excepts;
mod failing_in_transactions;
mod holding;
mod isolation;
mod kinds;
mod life;
mod lines;
mod locks;
mod malformed;
mod many_arguments;
mod many_names;
mod members;
mod messages;
mod moves;
mod moves_in_transactions;
mod moves_watched;
mod nesting;
mod overlaps;
mod own_records;
mod pipelines;
mod readers;
mod redirection;
mod refusals;
pub(crate) mod relay;
mod reply_modes;
mod rights;
mod roles;
mod sameness;
mod scripts;
mod sealed_twice;
mod server_limits;
mod servers;
mod slow_servers;
mod sockets;
mod sorting;
mod streams;
mod values;
mod wire;
mod words;

use waxseal_testing::RedisServer;

use crate::program::Program;
use crate::proxy::Proxy;
use wire::Wire;

/// The ways of going upstream.
const UPSTREAMS: [&str; 3] = ["own", "shared", "auto"];

/// A server, and a proxy before it that protects `wa:*`.
struct Pair {
    redis: RedisServer,
    proxy: Proxy,
}

impl Pair {
    #[track_caller]
    fn start(upstream: &str) -> Self {
        Self::with(upstream, &[])
    }

    /// With more flags.
    #[track_caller]
    fn with(upstream: &str, flags: &[&str]) -> Self {
        Self::before(RedisServer::start(), upstream, flags)
    }

    /// Before this server.
    #[track_caller]
    fn before(redis: RedisServer, upstream: &str, flags: &[&str]) -> Self {
        let proxy = Proxy::start(&redis, &all_flags(upstream, flags));
        Self { redis, proxy }
    }

    /// A connection to the proxy.
    #[track_caller]
    fn wire(&self) -> Wire {
        Wire::tcp(self.proxy.port())
    }
}

/// A proxy before whatever answers at this URL.
#[track_caller]
fn proxy_before(url: &str, upstream: &str, flags: &[&str]) -> Proxy {
    let program = Program::new().env("REDIS_ENCRYPTION_KEY", crate::program::KEY);
    Proxy::start_at(&program, url, &all_flags(upstream, flags))
}

fn all_flags<'a>(upstream: &'a str, flags: &[&'a str]) -> Vec<&'a str> {
    let mut all = vec!["--protect", "wa:*", "--upstream", upstream];
    all.extend(flags);
    all
}

/// A number from `/proc/PID/status`, in KiB.
#[track_caller]
fn memory(pid: u32, what: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(what));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.and_then(|number| number.parse().ok()).unwrap()
}

/// A bulk string in RESP, or the reply that there is none.
fn bulk_of(value: Option<&[u8]>) -> Vec<u8> {
    match value {
        Some(value) => [format!("${}\r\n", value.len()).as_bytes(), value, b"\r\n"].concat(),
        None => b"$-1\r\n".to_vec(),
    }
}
