//! The proof that an application needs to change nothing but the port: published clients do what
//! applications do with them, once with Redis alone and then through `waxseal proxy` in each way of
//! going upstream. They must see the same bytes, and Redis must hold the same records: protected
//! values sealed, all others as the client wrote them.
//!
//! The run with Redis alone is also what shows that the checks can fail: there nothing is sealed,
//! and every value is found in the dump.

mod fred;
mod node;
mod python;
mod redis_rs;
mod redis_tools;
mod stored;

use waxseal_testing::RedisServer;

use crate::program::Program;
use crate::proxy::{OPEN_MARKER, PROTECTED_MARKER, Proxy};
use stored::{Stored, dump_contains};

/// The format that is written, and the way upstream.
const WAYS: [(Format, &str); 5] = [
    (Format::SealedNames, "auto"),
    (Format::Sealed, "own"),
    (Format::Sealed, "shared"),
    (Format::Sealed, "auto"),
    (Format::Classic, "auto"),
];

/// The beginnings of protected names.
const PREFIXES: [&str; 3] = ["wa:", "whatsapp:temp_password:", "sess:"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Sealed,
    /// With the names of records.
    SealedNames,
    Classic,
}

impl Format {
    fn word(self) -> &'static str {
        match self {
            Self::Sealed => "sealed",
            Self::SealedNames => "sealed, with names",
            Self::Classic => "classic",
        }
    }
}

/// Every value that a client of these tests writes, as it would be in a protected record.
fn secret(text: &str) -> String {
    format!("{PROTECTED_MARKER} {text} Ñandú «corazón» 😀")
}

/// The same for all other records.
fn open(text: &str) -> String {
    format!("{OPEN_MARKER} {text} Cigüeña")
}

/// Fails unless this client, which gets a port and returns what it saw, cannot tell the proxy from
/// Redis.
#[track_caller]
fn proves_drop_in(client: impl Fn(u16) -> String) {
    proves_drop_in_but_for(|_| false, client);
}

/// The same for a client that writes other bytes each time into some unprotected records: of those
/// only their names and kinds are compared, with each number in them taken for the same.
#[track_caller]
#[expect(
    clippy::print_stderr,
    reason = "a client that fails does not know the way"
)]
fn proves_drop_in_but_for(varies: fn(&[u8]) -> bool, client: impl Fn(u16) -> String) {
    let alone = server();
    let wanted_output = client(alone.port());
    let wanted = Stored::read(|| alone.client());
    wanted.assert_proves_something();
    for marker in [PROTECTED_MARKER, OPEN_MARKER] {
        assert!(dump_contains(&alone, marker), "{marker} is never stored");
    }

    for (format, upstream) in WAYS {
        let way = format!("--upstream {upstream} --format {}", format.word());
        eprintln!("{way}");
        let redis = server();
        let proxy = start(&redis, format, upstream);
        let output = client(proxy.port());
        assert_same_lines(&way, &output, &wanted_output);

        let at_rest = Stored::read(|| redis.client());
        match format {
            Format::SealedNames => at_rest.assert_sealed_names(&way, &wanted),
            Format::Sealed | Format::Classic => {
                at_rest.assert_sealed(&way, &wanted, format, varies);
            }
        }
        let through = Stored::read(|| proxy.client());
        through.assert_same(&way, &wanted, varies);
        proxy.stop();
        assert!(!dump_contains(&redis, PROTECTED_MARKER), "{way}: in clear");
        assert!(dump_contains(&redis, OPEN_MARKER), "{way}: not stored");
    }
}

fn server() -> RedisServer {
    // A compressed value could not be searched for.
    RedisServer::builder().arg("--rdbcompression", "no").start()
}

fn start(redis: &RedisServer, format: Format, upstream: &str) -> Proxy {
    let patterns = PREFIXES.map(|prefix| format!("{prefix}*"));
    if format == Format::SealedNames {
        let settings = "format = \"sealed\"\nwrite_version = 3\nnames = \"sealed\"\n";
        let protect = patterns.map(|it| format!("[[protect]]\nrecords = \"{it}\"\n{settings}"));
        let program = Program::at(redis).file("waxseal.toml", &protect.concat());
        return Proxy::start_configured(&program, &["--upstream", upstream]);
    }
    let mut flags = vec!["--upstream", upstream, "--format", format.word()];
    for pattern in &patterns {
        flags.extend(["--protect", pattern]);
    }
    Proxy::start(redis, &flags)
}

/// Line by line, because a difference between two long texts is hard to see.
#[track_caller]
fn assert_same_lines(way: &str, seen: &str, wanted: &str) {
    for (number, (seen, wanted)) in seen.lines().zip(wanted.lines()).enumerate() {
        assert_eq!(seen, wanted, "{way}: line {}", number + 1);
    }
    assert_eq!(
        seen.lines().count(),
        wanted.lines().count(),
        "{way}: not as many lines"
    );
}

#[test]
#[should_panic(expected = "is not sealed")]
fn a_value_in_clear_would_be_noticed() {
    let redis = server();
    redis.cli(&["SET", "wa:1", &secret("uno")]);
    let stored = Stored::read(|| redis.client());
    stored.assert_sealed("no proxy", &stored, Format::Sealed, |_| false);
}

#[test]
#[should_panic(expected = "only one has")]
fn a_record_that_is_missing_would_be_noticed() {
    let (one, other) = (server(), server());
    one.cli(&["SET", "open:1", &open("uno")]);
    let (one, other) = (
        Stored::read(|| one.client()),
        Stored::read(|| other.client()),
    );
    one.assert_same("no proxy", &other, |_| false);
}
