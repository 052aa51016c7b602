//! The requests that are not sent and the replies that are not compared, each with its reason. Everything else must be answered
//! through the proxy as a server answers it directly.

use super::request::{ALIAS, Request};
use waxseal_testing::ReplyTree as Reply;

const STOPS: &str = "it would stop or reconfigure the server";
const ALL_CLIENTS: &str = "it would disturb the other clients of the harness";
pub(super) const FOREVER: &str = "the direct server would not answer";
const SOON: &str = "the record would expire at some moment of the round";
const LUCK: &str = "whether a server finds such a command depends on its seed";
const TAKES_ANY: &str = "which elements it takes is left to chance";

/// Commands that are not sent.
const SKIPPED: &[(&str, &str)] = &[
    ("shutdown", STOPS),
    ("failover", STOPS),
    ("replicaof", STOPS),
    ("slaveof", STOPS),
    ("save", STOPS),
    ("bgsave", STOPS),
    ("bgrewriteaof", STOPS),
    ("config|rewrite", STOPS),
    ("module|load", STOPS),
    ("module|loadex", STOPS),
    ("module|unload", STOPS),
    ("debug", STOPS),
    ("debug|sleep", STOPS),
    ("script|debug", STOPS),
    ("client|pause", ALL_CLIENTS),
    (
        "client|no-touch",
        "it belongs to a server version that the tests do not start",
    ),
    (
        "monitor",
        "its stream interleaves with every reply; it is tested in proxied/conversations.rs",
    ),
    ("cluster|reset", STOPS),
    ("acl|load", STOPS),
    ("acl|save", STOPS),
    ("latency|reset", "it depends on what was measured"),
    // `UNSUBSCRIBE` without arguments in RESP2 and the like end what the connection can be used for.
    (
        "host:",
        "it closes the connection; it is tested in proxied/malformed.rs",
    ),
    (
        "post",
        "it closes the connection; it is tested in proxied/malformed.rs",
    ),
];

const TIME: &str = "it depends on the time";
const CONNECTION: &str = "it describes the connection at the server, which is the proxy's";
const CHANCE: &str = "it depends on chance";
const SEALED: &str = "it describes the stored bytes, which are sealed";
const LATER: &str = "a server notices later than a client that a connection was closed";
const PROCESS: &str = "it describes the server process";
const TEXTS: &str = "the proxy asks for the text of a script that the server may have";

/// Commands whose replies are not compared.
const NOT_COMPARED: &[(&str, &str)] = &[
    ("time", TIME),
    ("lastsave", TIME),
    ("object|idletime", TIME),
    ("object|freq", TIME),
    ("xinfo|consumers", TIME),
    ("xpending", TIME),
    ("latency|doctor", TIME),
    ("latency|histogram", TIME),
    ("latency|history", TIME),
    ("latency|latest", TIME),
    ("latency|graph", TIME),
    ("slowlog|get", TIME),
    ("slowlog|len", TIME),
    ("commandlog|len", TIME),
    ("acl|log", TIME),
    ("client|id", CONNECTION),
    ("client|list", CONNECTION),
    ("client|info", CONNECTION),
    ("client|kill", CONNECTION),
    ("client|trackinginfo", CONNECTION),
    ("hello", CONNECTION),
    ("acl|genpass", CHANCE),
    ("lolwut", CHANCE),
    ("randomkey", CHANCE),
    ("spop", CHANCE),
    ("dump", SEALED),
    ("object|encoding", SEALED),
    ("object|refcount", SEALED),
    ("memory|usage", SEALED),
    ("debug|object", SEALED),
    ("pubsub|channels", LATER),
    ("pubsub|shardchannels", LATER),
    ("pubsub|numsub", LATER),
    ("pubsub|shardnumsub", LATER),
    ("pubsub|numpat", LATER),
    ("publish", LATER),
    ("spublish", LATER),
    ("script|exists", TEXTS),
    ("evalsha", TEXTS),
    ("evalsha_ro", TEXTS),
    ("info", PROCESS),
    ("role", PROCESS),
    ("memory|stats", PROCESS),
    ("memory|doctor", PROCESS),
    ("memory|malloc-stats", PROCESS),
    ("config|get", PROCESS),
    ("function|dump", PROCESS),
    ("command|docs", "its maps have no order"),
    ("command|info", "its maps have no order"),
    ("command", "its maps have no order"),
    ("command|list", "its maps have no order"),
];

/// The comparison of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    /// Byte for byte.
    Exact,
    /// Without regard to the order of elements, which hash tables do not have.
    Unordered,
    /// Elements in pairs, without regard to the order of pairs.
    UnorderedPairs,
    /// Any positive number for any other: the remaining time to live.
    Lifetime,
    /// Only whether it is an error.
    Kind,
}

const UNORDERED: &[&str] = &[
    "hkeys",
    "hvals",
    "smembers",
    "sdiff",
    "sinter",
    "sunion",
    "sscan",
    "keys",
    "scan",
    "acl|cat",
    "acl|list",
    "acl|users",
    "acl|getuser",
    "sort",
    "sort_ro",
    "function|list",
    "cluster|slots",
    "cluster|shards",
    "cluster|nodes",
    "unsubscribe",
    "punsubscribe",
    "sunsubscribe",
];

const UNORDERED_PAIRS: &[&str] = &["hgetall", "hscan", "zscan"];

const LIFETIMES: &[&str] = &[
    "ttl",
    "pttl",
    "expiretime",
    "pexpiretime",
    "httl",
    "hpttl",
    "hexpiretime",
    "hpexpiretime",
];

/// Commands that show stored bytes, as docs/proxy/proxy.md says.
const SHOWS_STORED: &[&str] = &["dump", "slowlog|get", "commandlog|get"];

/// The reason why a request is sent to neither server.
pub(super) fn skipped(request: &Request) -> Option<&'static str> {
    let command = request.command();
    if let Some((_, reason)) = SKIPPED.iter().find(|(name, _)| *name == command) {
        return Some(reason);
    }
    let words = request.words.len();
    match command {
        "flushall" | "flushdb" if words < 3 => Some(ALL_CLIENTS),
        "swapdb" if !matches!(request.words.get(1).map(Vec::as_slice), Some(b"5" | b"7")) => {
            Some(ALL_CLIENTS)
        }
        "spop" if request.words.get(2).map(Vec::as_slice) != Some(b"1000") => Some(TAKES_ANY),
        "client|kill" if words != 4 || !request.has("999999999") => Some(ALL_CLIENTS),
        "client|unblock" if !request.has("999999999") => Some(ALL_CLIENTS),
        "config|set" if !request.has("NOTHING-HERE") => Some(STOPS),
        "acl|setuser" | "acl|deluser" if !request.has("NOBODY") || request.has("DEFAULT") => {
            Some(ALL_CLIENTS)
        }
        "debug|object" | "debug|sdslen" | "debug|htstats-key" | "debug|digest-value" => None,
        "client|tracking" if request.has("REDIRECT") && !request.has("999999999") => {
            Some(ALL_CLIENTS)
        }
        "command|getkeys" | "command|getkeysandflags" | "acl|dryrun" if names_by_luck(request) => {
            Some(LUCK)
        }
        // Functions, too, are looked up by a hash and then up to a zero byte.
        "fcall" | "fcall_ro" if request.words.get(1).is_some_and(|it| it.contains(&0)) => {
            Some(LUCK)
        }
        _ if may_block_forever(request) => Some(FOREVER),
        _ if expires_soon(request) => Some(SOON),
        _ => None,
    }
}

/// True if a request within the request is named by a word with a zero byte that was not chosen for the
/// server.
fn names_by_luck(request: &Request) -> bool {
    let words = request.words.iter().skip(2).take(3);
    words
        .into_iter()
        .any(|it| it.contains(&0) && !it.ends_with(ALIAS))
}

/// True if a request waits without end, or longer than a round should take.
fn may_block_forever(request: &Request) -> bool {
    let number = |at: Option<usize>| {
        let text = String::from_utf8(request.effective(at?)).ok()?;
        text.trim().parse::<f64>().ok()
    };
    let too_long = |at: Option<usize>, limit: f64| {
        number(at).is_some_and(|number| number <= 0.0 || number > limit)
    };
    let last = request.words.len().checked_sub(1);
    match request.command() {
        "blpop" | "brpop" | "bzpopmin" | "bzpopmax" | "brpoplpush" | "blmove" | "blmovem" => {
            too_long(last, 0.02)
        }
        "blmpop" | "bzmpop" => too_long(Some(1), 0.02),
        "xread" | "xreadgroup" => (1..request.words.len())
            .filter(|at| request.effective(*at) == b"BLOCK")
            .any(|at| too_long(Some(at + 1), 20.0)),
        "wait" => number(Some(1)) != Some(0.0),
        "waitaof" => number(Some(1)) != Some(0.0) || number(Some(2)) != Some(0.0),
        "migrate" => too_long(Some(5), 2000.0),
        _ => false,
    }
}

/// True if a record would expire while it is compared.
fn expires_soon(request: &Request) -> bool {
    let soon = |at: usize| {
        let text = String::from_utf8(request.effective(at)).unwrap_or_default();
        text.parse()
            .is_ok_and(|number: i64| (1..50_000).contains(&number))
    };
    match request.command() {
        "expire" | "pexpire" | "setex" | "psetex" | "restore" => soon(2),
        "set" | "getex" | "msetex" | "hsetex" | "hgetex" => (1..request.words.len())
            .any(|at| matches!(request.effective(at).as_slice(), b"EX" | b"PX") && soon(at + 1)),
        _ => false,
    }
}

/// The comparison of the reply to a command.
pub(super) fn comparison(request: &Request) -> Comparison {
    let command = request.command();
    if NOT_COMPARED.iter().any(|(name, _)| *name == command) {
        return Comparison::Kind;
    }
    match command {
        "srandmember" | "hrandfield" | "zrandmember" => {
            if request.words.get(2).map(Vec::as_slice) == Some(b"1000") {
                Comparison::Unordered
            } else {
                Comparison::Kind
            }
        }
        "xinfo|stream" if request.has("FULL") => Comparison::Kind,
        // What a cursor stands for depends on the order.
        "scan" | "hscan" | "sscan" | "zscan" if !request.has("0") => Comparison::Kind,
        // Which elements are cut off depends on their order.
        "sort" | "sort_ro" if request.has("LIMIT") || request.has("NOSORT") => Comparison::Kind,
        _ if UNORDERED.contains(&command) => Comparison::Unordered,
        _ if UNORDERED_PAIRS.contains(&command) => Comparison::UnorderedPairs,
        _ if LIFETIMES.contains(&command) => Comparison::Lifetime,
        _ => Comparison::Exact,
    }
}

/// True if its reply may hold envelopes.
pub(super) fn shows_stored_bytes(request: &Request) -> bool {
    SHOWS_STORED.contains(&request.command())
}

/// Commands in whose place the proxy sends another one, which errors name.
const REPLACED: &[&str] = &["strlen", "hstrlen", "getrange", "substr", "hvals"];

/// True if two errors may differ behind their first word, by what docs/proxy/proxy.md says: they quote values
/// that are sealed, name a command that was sent instead or a right that it needs, or tell why a transaction was
/// refused.
pub(super) fn may_say_otherwise(request: &Request, one: &Reply, other: &Reply) -> bool {
    let both = |start: &str| one.is_error_of(start) && other.is_error_of(start);
    both("ERR unknown command")
        || both("EXECABORT")
        || (request.mentions_protected() && (both("NOPERM") || both("ERR Can't execute")))
        || (both("") && REPLACED.contains(&request.command()))
}

/// True if a server answers this one request with more than one reply, of which nothing explains the second: the proxy
/// closes the connection. Redis 7.0 does so where prefixes overlap, with an error and then another reply, and where a
/// subscriber publishes to itself in a transaction: the message is among the replies of `EXEC`.
pub(super) fn is_answered_twice(request: &Request, replies: &[Reply]) -> bool {
    match (request.command(), replies) {
        ("client|tracking", [first, _]) => first.is_error_of("ERR Prefix"),
        ("exec", [first, ..]) => first.items.iter().any(Reply::is_push),
        _ => false,
    }
}

/// True if the proxy may refuse this request, by what docs/proxy/proxy.md says.
pub(super) fn may_be_refused(request: &Request) -> bool {
    let command = request.command();
    request.mentions_protected()
        || request.has_zero_byte()
        || matches!(
            command,
            // Their globs could match a protected name.
            "sort" | "sort_ro"
                // Replication is always refused.
                | "sync" | "psync" | "replconf" | "cluster|syncslots"
                // A script whose text the proxy asks for.
                | "evalsha" | "evalsha_ro"
                // Refused inside a transaction, where the harness may be without knowing.
                | "hello" | "monitor" | "client|reply" | "subscribe" | "psubscribe" | "ssubscribe"
                | "unsubscribe" | "punsubscribe" | "sunsubscribe" | "client|tracking" | "auth"
        )
}

#[test]
fn what_blocks_forever_is_not_sent() {
    for line in [
        "BLPOP open:l0 0",
        "blpop open:l0 open:l1 -0",
        "XREAD BLOCK\\0 0 STREAMS open:x0 $",
        "WAIT 1 0",
        "BLMPOP 0 1 open:l0 LEFT",
    ] {
        assert_eq!(skipped(&Request::parse(line)), Some(FOREVER), "{line}");
    }
    for line in [
        "BLPOP open:l0 0.01",
        "XREAD BLOCK 1 STREAMS open:x0 $",
        "WAIT 0 0",
    ] {
        assert_eq!(skipped(&Request::parse(line)), None, "{line}");
    }
}
