//! What a transaction can compute: the proxy follows the values of records through some of the commands before, and refuses
//! a command that computes behind any other.

use super::Scope;
use super::generator::CLIENTS;
use super::request::Request;
use super::step::Step;

/// Commands that leave values as they are, or the record away.
const ANY: &[&str] = &[
    "BITCOUNT",
    "BITFIELD_RO",
    "BITPOS",
    "DEL",
    "EXISTS",
    "EXPIRE",
    "EXPIREAT",
    "EXPIRETIME",
    "GET",
    "GETBIT",
    "GETDEL",
    "GETRANGE",
    "HEXISTS",
    "HGET",
    "HGETALL",
    "HKEYS",
    "HLEN",
    "HMGET",
    "HSTRLEN",
    "HVALS",
    "LCS",
    "MGET",
    "PERSIST",
    "PEXPIRE",
    "PTTL",
    "SORT",
    "SORT_RO",
    "STRLEN",
    "SUBSTR",
    "TOUCH",
    "TTL",
    "TYPE",
    "UNLINK",
];

/// Commands that write the value of a string.
const STRINGS: &[&str] = &["GETSET", "MSET", "PSETEX", "SET", "SETEX", "SETNX"];
/// Commands that write values of fields.
const FIELDS: &[&str] = &["HDEL", "HMSET", "HSET", "HSETNX"];

/// Commands that compute on a string.
const COMPUTED: &[&str] = &[
    "APPEND",
    "BITFIELD",
    "DECR",
    "DECRBY",
    "INCR",
    "INCRBY",
    "INCRBYFLOAT",
    "SETBIT",
    "SETRANGE",
];
/// Commands that compute on a field.
const COMPUTED_FIELDS: &[&str] = &["HINCRBY", "HINCRBYFLOAT"];

/// True if a request can be computed behind those that were queued, or does not compute; and if it can be sorted.
pub(super) fn is_followed(queued: &[Request], request: &Request) -> bool {
    let command = request.command();
    if command.starts_with("SORT") {
        // In several steps it is not sorted within transactions.
        let is_in_steps = |word: &Vec<u8>| word == b"STORE" || word.contains(&b'*');
        return !request.words.iter().any(is_in_steps);
    }
    let is_field = COMPUTED_FIELDS.contains(&command.as_str());
    if !is_field && !COMPUTED.contains(&command.as_str()) {
        return true;
    }
    let Some(name) = request.words.get(1) else {
        return true;
    };
    is_known(queued, name, is_field)
}

/// True if a value of this record is known behind all these requests.
fn is_known(queued: &[Request], name: &Vec<u8>, is_field: bool) -> bool {
    let mut of_record = queued
        .iter()
        .enumerate()
        .filter(|(_, earlier)| earlier.words.contains(name));
    of_record.all(|(at, earlier)| {
        let source = moved_from(earlier, name);
        let is_source_known = source.is_none_or(|source| is_known(&queued[..at], source, is_field));
        is_source_known && is_followed_by(earlier, name, is_field)
    })
}

/// The record whose values a request moves to this one.
fn moved_from<'r>(request: &'r Request, name: &[u8]) -> Option<&'r Vec<u8>> {
    let is_move = matches!(request.command().as_str(), "RENAME" | "COPY");
    match &request.words[..] {
        [_, source, destination, ..] if is_move && destination == name && source != name => {
            Some(source)
        }
        _ => None,
    }
}

/// True if a value of this record is known behind a request.
fn is_followed_by(earlier: &Request, name: &[u8], is_field: bool) -> bool {
    let command = earlier.command();
    let command = command.as_str();
    let (written, computed) = match is_field {
        true => (FIELDS, COMPUTED_FIELDS),
        false => (STRINGS, COMPUTED),
    };
    if ANY.contains(&command) || written.contains(&command) || computed.contains(&command) {
        return true;
    }
    let [_, source, destination, ..] = &earlier.words[..] else {
        return false;
    };
    let is_moved = source != destination && name.starts_with(Scope::Record.prefix().as_bytes());
    let is_source = source == name;
    is_moved
        && match command {
            "RENAME" => is_source || !is_field,
            "COPY" => is_source || !is_field && earlier.words.len() == 4,
            _ => false,
        }
}

/// A history without the requests that are not followed: where steps are left out, a transaction begins elsewhere.
pub(super) fn followed(history: &[Step]) -> Vec<Step> {
    let mut queued: [Option<Vec<Request>>; CLIENTS] = Default::default();
    let mut history = history.to_vec();
    for step in &mut history {
        match step {
            Step::Reconnect { client } => queued[*client] = None,
            Step::Exchange { client, requests } => {
                let queue = &mut queued[*client];
                requests.retain(|request| keep(queue, request));
                if requests.is_empty() {
                    requests.push(Request::exact(&["PING"]));
                }
            }
            _ => {}
        }
    }
    history
}

/// True if a request can be queued, or is not. It is among those that were then.
fn keep(queue: &mut Option<Vec<Request>>, request: &Request) -> bool {
    match (request.command().as_str(), queue.as_mut()) {
        ("MULTI", None) => *queue = Some(Vec::new()),
        ("EXEC" | "DISCARD", _) => *queue = None,
        (_, Some(queued)) => {
            if !is_followed(queued, request) {
                return false;
            }
            queued.push(request.clone());
        }
        (_, None) => {}
    }
    true
}

#[test]
fn what_is_computed_behind_an_unknown_value_is_left_out() {
    let step = |lines: &[&str]| Step::Exchange {
        client: 1,
        requests: lines
            .iter()
            .map(|line| Request::exact(&line.split(' ').collect::<Vec<_>>()))
            .collect(),
    };
    let history = [
        step(&["GETEX r:s0", "MULTI", "INCR r:s0", "RENAME r:s0 r:s1"]),
        step(&["INCR r:s1", "GETEX r:s1", "INCR r:s1", "INCR r:s0"]),
        step(&["EXEC", "INCR r:s1"]),
        // Where the source of a move is not known, neither is its destination.
        step(&["MULTI", "RENAMENX r:s0 r:s1", "RENAME r:s1 r:s2"]),
        step(&["DECR r:s2", "EXEC"]),
    ];
    let expected = [
        step(&["GETEX r:s0", "MULTI", "INCR r:s0", "RENAME r:s0 r:s1"]),
        step(&["INCR r:s1", "GETEX r:s1", "INCR r:s0"]),
        step(&["EXEC", "INCR r:s1"]),
        step(&["MULTI", "RENAMENX r:s0 r:s1", "RENAME r:s1 r:s2"]),
        step(&["EXEC"]),
    ];
    let shown = |history: &[Step]| history.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(shown(&followed(&history)), shown(&expected));
}
