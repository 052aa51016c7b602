//! Requests and replies where names of some patterns are stored sealed: which arguments are names, which replies hold some.

use std::fmt::Write as _;

use waxseal_policy::table::{Names, Treatment, rows};
use waxseal_policy::{Action, Decision, Effect, ProtectedNames, decide, decide_early};
use waxseal_testing::{Flavor, RedisServer, Reply};

use crate::{policy, shown, split};

/// Names that begin with `wa:` are sealed, those with `sess:` are not, nor is `wa:lock:*`, which is excepted. `cart:*` is
/// sealed too.
pub(crate) fn names() -> ProtectedNames {
    let patterns = ["wa:{user}", "sess:*", "cart:*"];
    let mut parsed: Vec<_> = patterns
        .iter()
        .map(|text| waxseal_policy::RecordPattern::parse(text).unwrap())
        .collect();
    let excepts = ["wa:lock:*".to_owned()];
    parsed[0] = parsed[0].clone().except(&excepts).unwrap();
    ProtectedNames::new(parsed).with_managed_names(|index| index != 1)
}

fn decided(request: &str) -> Decision {
    decide(&names(), &split(request))
}

/// The arguments that are sent as stored names, each with the index of its pattern.
fn slots(request: &str) -> String {
    let mut text = String::new();
    for slot in &decided(request).names {
        let separator = if text.is_empty() { "" } else { " " };
        write!(
            text,
            "{separator}{}:{}",
            slot.argument,
            slot.pattern.index()
        )
        .unwrap();
    }
    text
}

#[test]
fn every_name_of_a_request_is_replaced_whatever_its_position() {
    for (request, expected) in [
        ("GET wa:1", "1:0"),
        ("get cart:1", "1:2"),
        ("GET sess:1", ""),
        ("GET log", ""),
        ("GET waxseal:canary", ""),
        // Excepted names stay as they are.
        ("GET wa:lock:1", ""),
        ("SET wa:1 wa:2", "1:0"),
        ("DEL sess:1 wa:1 log cart:1 wa:lock:1 wa:2", "2:0 4:2 6:0"),
        ("MGET wa:1 wa:1", "1:0 2:0"),
        ("MSET wa:1 v log w cart:1 x", "1:0 5:2"),
        ("MSETEX 2 wa:1 v wa:2 w EX 60", "2:0 4:0"),
        ("RENAME wa:1 log", "1:0"),
        // In the place of a count, which is an error to the server.
        ("BLMPOP 0.01 wa:1 wa:2 LEFT", "2:0 3:0"),
        ("LMPOP wa:1 LEFT", "1:0"),
        ("ZUNIONSTORE wa:3 wa:1 wa:2", "1:0 2:0 3:0"),
        ("LMPOP 1 log wa:1", ""),
        ("RENAME log wa:1", "2:0"),
        ("COPY wa:1 cart:1 REPLACE", "1:0 2:2"),
        ("BITOP AND wa:d wa:1 log", "2:0 3:0"),
        ("LMOVE wa:1 wa:2 LEFT RIGHT", "1:0 2:0"),
        ("BLPOP wa:1 log wa:2 0", "1:0 3:0"),
        ("LMPOP 2 wa:1 log LEFT", "2:0"),
        ("BLMPOP 0 2 log wa:1 LEFT COUNT 1", "4:0"),
        ("BZMPOP 0 1 wa:1 MIN", "3:0"),
        ("SINTERCARD 2 wa:1 wa:2 LIMIT 1", "2:0 3:0"),
        ("ZUNIONSTORE wa:d 2 wa:1 wa:2 WEIGHTS 1 2", "1:0 3:0 4:0"),
        // A count that cannot be right: the server refuses it.
        ("ZUNIONSTORE wa:d 9 wa:1 wa:2", "1:0 3:0 4:0"),
        ("LMPOP x wa:1 LEFT", "2:0"),
        ("SORT wa:1 BY wa:x_* GET # GET wa:y_* STORE wa:2", "1:0 9:0"),
        ("SORT log STORE wa:2", "3:0"),
        ("SORT_RO wa:1 ALPHA", "1:0"),
        ("EVAL code 2 wa:1 log wa:argument", "3:0"),
        ("EVALSHA hash 1 wa:1", "3:0"),
        ("FCALL f 1 wa:1 wa:2", "3:0"),
        ("XREAD COUNT 2 STREAMS wa:1 log cart:1 0 0 0", "4:0 6:2"),
        ("XREADGROUP GROUP wa:g wa:c STREAMS wa:1 >", "5:0"),
        ("XGROUP CREATE wa:1 wa:g $", "2:0"),
        ("XINFO STREAM wa:1", "2:0"),
        ("GEORADIUS wa:1 1 2 3 km STORE wa:2", "1:0 7:0"),
        ("GEORADIUSBYMEMBER wa:1 m 3 km STOREDIST wa:2", "1:0 6:0"),
        // A member may have the name of an option.
        ("GEORADIUSBYMEMBER wa:1 STORE wa:2 km", "1:0"),
        ("MIGRATE host 1 wa:1 0 9", "3:0"),
        ("MIGRATE host 1  0 9 KEYS wa:1 log wa:2", "7:0 9:0"),
        ("WATCH wa:1 log wa:2", "1:0 3:0"),
        ("EXPIRE wa:1 60", "1:0"),
        ("OBJECT ENCODING wa:1", "2:0"),
        ("MEMORY USAGE wa:1 SAMPLES 5", "2:0"),
        ("DEBUG OBJECT wa:1", "2:0"),
        ("CLUSTER KEYSLOT wa:1", "2:0"),
        ("PFADD wa:1 v", "1:0"),
        // What is no name stays as it is.
        ("ECHO wa:1", ""),
        ("PUBLISH wa:1 wa:2", ""),
        ("SCAN 0 MATCH wa:1", ""),
        ("KEYS wa:1", ""),
        // Those of a request inside the request, and nothing else in it.
        ("COMMAND GETKEYS GET wa:1", "3:0"),
        (
            "COMMAND GETKEYSANDFLAGS DEL log wa:1 wa:lock:1 wa:2",
            "4:0 6:0",
        ),
        ("COMMAND GETKEYS SORT log BY wa:* STORE wa:2", "7:0"),
        ("ACL DRYRUN wa:1 EXPIRE wa:2 60", "4:0"),
        ("ACL DRYRUN user ECHO wa:1", ""),
        ("COMMAND GETKEYS COMMAND GETKEYS GET wa:1", ""),
    ] {
        assert_eq!(slots(request), expected, "{request}");
    }
}

#[test]
fn without_sealed_names_no_argument_is_replaced_and_no_reply_read() {
    let plain = policy(&["wa:{user}", "sess:*"]);
    for request in [
        "GET wa:1",
        "MGET wa:1 sess:1",
        "SCAN 0 MATCH wa:1",
        "KEYS *",
        "RANDOMKEY",
        "CLUSTER GETKEYSINSLOT 1 10",
        "COMMAND GETKEYS GET wa:1",
        "PUBSUB CHANNELS",
        "CLIENT TRACKING ON",
    ] {
        let arguments = split(request);
        let decision = decide(&plain, &arguments);
        assert!(decision.names.is_empty(), "{request}");
        if !request.contains("GET wa:1") && !request.starts_with("MGET") {
            assert_eq!(decision.action, Action::Forward, "{request}");
            let early = decide_early(&plain, &arguments[..1], arguments.len());
            let is_subcommand = arguments.len() > 1 && early.is_none();
            assert!(early.as_ref() == Some(&decision) || is_subcommand);
        }
    }
}

#[test]
fn errors_quote_names_only_of_commands_on_groups() {
    for (request, expected) in [
        ("XPENDING wa:1 g", true),
        ("XPENDING log g", false),
        ("XREADGROUP GROUP g c STREAMS wa:1 >", true),
        ("XCLAIM wa:1 g c 0 1-1", true),
        ("XINFO CONSUMERS wa:1 g", true),
        ("GET wa:1", false),
    ] {
        assert_eq!(decided(request).quotes_names, expected, "{request}");
    }
}

#[test]
fn replies_with_names_are_read_and_globs_replaced() {
    for (request, expected) in [
        ("SCAN 0", "as it is -> names Page"),
        ("SCAN 0 COUNT 5 TYPE hash", "as it is -> names Page"),
        ("SCAN 0 MATCH *", "as it is -> names Page like 3"),
        ("SCAN 0 MATCH w*", "as it is -> names Page like 3"),
        ("SCAN 0 MATCH wa:*", "as it is -> names Page like 3"),
        ("SCAN 0 MATCH wa:52*", "[3] wa:* -> names Page like 3"),
        ("SCAN 0 match wa:~x*", "[3] wa:~* -> names Page like 3"),
        ("SCAN 0 MATCH *:state", "[3] * -> names Page like 3"),
        ("SCAN 0 MATCH log:*", "as it is -> names Page like 3"),
        ("SCAN 0 MATCH wa:1", "[3] one name -> names Page like 3"),
        ("SCAN 0 MATCH wa:lock:1", "as it is -> names Page like 3"),
        (
            "SCAN 0 MATCH wa:5* COUNT 9 MATCH cart:[ab]* TYPE string",
            "[3, 7] cart:* -> names Page like 7",
        ),
        // Servers refuse these.
        ("SCAN 0 MATCH", "as it is -> names Page"),
        ("SCAN 0 NEW x", "as it is -> names Page"),
        ("SCAN", "as it is -> names Page"),
        // What follows an unknown option may be a glob.
        ("SCAN 0 NEW MATCH wa:5*", "refuse UnforeseenForm"),
        (
            "CLUSTERSCAN 0 SLOT 5 MATCH wa:5*",
            "[5] wa:* -> names Page like 5",
        ),
        ("BLESS SCAN 0 MATCH wa:5*", "[4] wa:* -> names Page like 4"),
        ("KEYS *", "as it is -> names All like 1"),
        ("KEYS wa:?", "[1] wa:* -> names All like 1"),
        ("KEYS", "forward"),
        ("KEYS a b", "forward"),
        ("RANDOMKEY", "as it is -> names One"),
        ("CLUSTER GETKEYSINSLOT 7 10", "as it is -> names All"),
        ("COMMAND GETKEYS GET wa:1", "as it is -> names All"),
        (
            "COMMAND GETKEYSANDFLAGS GET wa:1",
            "as it is -> names Flagged",
        ),
        ("ACL DRYRUN user GET wa:1", "as it is -> names Text"),
        ("COMMAND GETKEYS GET log", "forward"),
        ("COMMAND GETKEYS SET wa:1 v", "refuse EmbedsRequest"),
        // What would be replaced in the embedded request.
        ("ACL DRYRUN user SCAN 0 MATCH wa:1", "refuse EmbedsRequest"),
        ("COMMAND GETKEYS KEYS wa:1", "refuse EmbedsRequest"),
        (
            "ACL DRYRUN user CLIENT TRACKING ON BCAST PREFIX wa:1",
            "refuse EmbedsRequest",
        ),
        (
            "ACL DRYRUN user SUBSCRIBE __keyspace@0__:wa:1",
            "refuse EmbedsRequest",
        ),
        ("ACL DRYRUN user SUBSCRIBE news", "forward"),
        ("PUBSUB CHANNELS", "as it is -> names Channels"),
        ("PUBSUB CHANNELS *", "as it is -> names Channels like 2"),
        ("PUBSUB CHANNELS news:*", "forward"),
        (
            "PUBSUB CHANNELS __keyspace@0__:wa:1*",
            "[2] __keyspace@* -> names Channels like 2",
        ),
        ("PUBSUB NUMSUB a b", "as it is -> names ChannelCounts"),
        ("CLIENT TRACKINGINFO", "as it is -> names Tracking"),
        ("CLIENT TRACKING ON", "tracking on []"),
        ("CLIENT TRACKING off", "tracking off []"),
        (
            "CLIENT TRACKING ON REDIRECT 5 BCAST PREFIX wa: prefix x NOLOOP",
            "tracking on all [7, 9]",
        ),
        ("CLIENT TRACKING ON NEW PREFIX wa:", "refuse UnforeseenForm"),
        ("CLIENT TRACKING ON NEW", "tracking on []"),
    ] {
        assert_eq!(shown(&decided(request).action), expected, "{request}");
    }
}

#[test]
fn keys_does_not_hold_up_a_lane() {
    assert_eq!(decided("KEYS *").effect, Effect::Blocking);
    assert_eq!(decided("SCAN 0").effect, Effect::None);
    let plain = policy(&["wa:{user}"]);
    assert_eq!(decide(&plain, &split("KEYS *")).effect, Effect::None);
}

#[test]
fn a_request_with_names_to_replace_is_never_certain_early() {
    let names = names();
    for request in ["DEL wa:1", "EXPIRE wa:1 60", "KEYS *", "SCAN 0 MATCH wa:5*"] {
        let arguments = split(request);
        for seen in 1..=arguments.len() {
            let early = decide_early(&names, &arguments[..seen], arguments.len());
            assert_eq!(early, None, "{request} after {seen}");
        }
    }
    let arguments = split("DEL log sess:1");
    assert_eq!(decide_early(&names, &arguments[..2], 3), None);
    let arguments = split("DEL log wa:lock:1");
    assert_eq!(
        decide_early(&names, &arguments, 3),
        Some(decide(&names, &arguments))
    );
}

/// Rows without names of records whose replies may hold stored names: operators read these.
const SHOW_STORED_NAMES: [&str; 4] = ["acl|log", "commandlog|get", "hotkeys|get", "slowlog|get"];

/// Commands that end the connection, the server, or what the following ones need; and those with several replies.
const NOT_SENT: [&str; 31] = [
    "shutdown",
    "quit",
    "reset",
    "monitor",
    "debug",
    "failover",
    "replicaof",
    "slaveof",
    "psync",
    "sync",
    "replconf",
    "subscribe",
    "psubscribe",
    "ssubscribe",
    "unsubscribe",
    "punsubscribe",
    "sunsubscribe",
    "auth",
    "hello",
    "multi",
    "select",
    "swapdb",
    "flushall",
    "flushdb",
    "client",
    "wait",
    "waitaof",
    "save",
    "bgsave",
    "post",
    "host:",
];

/// Every command that names no record is sent to a server that has one record: where the reply holds its name, the table
/// knows it.
#[test]
fn replies_of_commands_without_names_hold_none_that_the_table_does_not_know() {
    const PLANTED: &str = "planted-name";
    let mut showing = Vec::new();
    for flavor in Flavor::ALL {
        let server = RedisServer::builder().flavor(flavor).start();
        let mut client = server.client();
        for row in rows() {
            let is_keyless = row.names == Names::None;
            let container = row.name.split('|').next().unwrap_or_default();
            let ends = NOT_SENT.contains(&container);
            // A user with that name would be listed.
            if !is_keyless || ends || row.name == "acl|setuser" {
                continue;
            }
            client.cmd(&["SET", PLANTED, "value"]);
            let words: Vec<&str> = row.name.split('|').collect();
            for operands in [&[][..], &["*"], &["0"], &["0", "10"], &[PLANTED]] {
                let request: Vec<&str> = words.iter().chain(operands).copied().collect();
                let reply: Reply = client.cmd(&request);
                if !operands.contains(&PLANTED) && format!("{reply:?}").contains(PLANTED) {
                    showing.push(row.name);
                }
            }
        }
    }
    showing.sort_unstable();
    showing.dedup();
    let unknown: Vec<_> = showing
        .iter()
        .filter(|name| {
            let row = rows().iter().find(|row| row.name == **name);
            let is_known = row.is_some_and(|row| matches!(row.treatment, Treatment::Names(_)));
            !is_known && !SHOW_STORED_NAMES.contains(name)
        })
        .collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    for known in ["keys", "randomkey", "scan"] {
        assert!(showing.contains(&known), "{known} is not seen: {showing:?}");
    }
}

#[test]
fn a_message_for_a_channel_that_ends_with_a_sealed_name_is_never_certain_early() {
    let arguments = split("PUBLISH __keyspace@0__:wa:1 message");
    assert_eq!(decide_early(&names(), &arguments[..2], 3), None);
    assert_eq!(decide_early(&names(), &arguments[..1], 3), None);
    let arguments = split("PUBLISH news message");
    assert!(decide_early(&names(), &arguments[..2], 3).is_some());
    let plain = policy(&["wa:{user}"]);
    let arguments = split("PUBLISH __keyspace@0__:wa:1 message");
    assert!(decide_early(&plain, &arguments[..2], 3).is_some());
}

#[test]
fn a_large_page_of_names_is_not_read_on_a_shared_connection() {
    let effect = |request: &str| decided(request).effect;
    assert_eq!(effect("SCAN 0 COUNT 10000"), Effect::None);
    assert_eq!(effect("SCAN 0 COUNT 10001"), Effect::Blocking);
    assert_eq!(
        effect("SCAN 0 MATCH count COUNT 5 count 1000000"),
        Effect::Blocking
    );
    let plain = policy(&["wa:{user}"]);
    let decision = decide(&plain, &split("SCAN 0 COUNT 1000000"));
    assert_eq!(decision.effect, Effect::None);
}
