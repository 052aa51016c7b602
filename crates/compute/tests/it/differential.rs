//! Thousands of random requests of each command, carried out by servers and computed here: the reply to the byte in both
//! protocols, what the record holds afterwards, and whether it still expires.

use waxseal_compute::{ApplyError, Expiry, Operation, Protocol, Rejected, Reply, Write};

use crate::cases::{Case, Value};
use crate::random::Random;
use crate::wire::{Command, Server, Wire, command, servers};

/// Requests of each command to each server.
const CASES: usize = 3_000;
/// Requests that are sent before their replies are read.
const BATCH: usize = 50;
/// Longer than any result of a case that should succeed.
const LIMIT: usize = 64 * 1024;
/// What all cases follow from. A failure prints the seed of its own.
const SEED: u64 = 0x5ea1_ed00;

/// What a server should do.
#[derive(PartialEq, Eq)]
struct Effect {
    reply: Vec<u8>,
    /// The value afterwards, as the server replies it. `None` where the record is of another type.
    value: Option<Vec<u8>>,
    life: Life,
}

#[derive(Debug, PartialEq, Eq)]
enum Life {
    Absent,
    Endless,
    Ending,
}

impl Effect {
    fn describe(&self) -> String {
        let value = self.value.as_deref().unwrap_or_default();
        format!(
            "reply \"{}\", then \"{}\", {:?}",
            self.reply.escape_ascii(),
            value.escape_ascii(),
            self.life
        )
    }
}

/// The commands that bring a case about, carry it out and look at the result. The last three are these.
fn script(case: &Case) -> Vec<Command> {
    let mut commands = vec![command(&["DEL", "k", "l"])];
    for (name, value) in ["k", "l"].into_iter().zip(&case.values) {
        match value {
            Value::Absent => {}
            Value::Text(text) if case.is_hash => {
                commands.push(command(&[b"HSET", name.as_bytes(), b"f", text]));
            }
            Value::Text(text) => commands.push(command(&[b"SET", name.as_bytes(), text])),
            Value::OtherType => commands.push(command(&["RPUSH", name, "1"])),
        }
    }
    if has_record(case) && case.is_hash && case.has_other_field {
        commands.push(command(&["HSET", "k", "g", "1"]));
    }
    if case.expires {
        commands.push(command(&["PEXPIRE", "k", "1000000"]));
    }
    commands.push(case.arguments.clone());
    commands.push(match case.is_hash {
        true => command(&["HGET", "k", "f"]),
        false => command(&["GET", "k"]),
    });
    commands.push(command(&["PTTL", "k"]));
    commands
}

/// Whether a hash can be given another field.
fn has_record(case: &Case) -> bool {
    !matches!(case.values[0], Value::OtherType)
}

/// What is computed here. `None`: not a command of this crate on this server.
fn expected(case: &Case, server: &Server, protocol: Protocol) -> Option<Effect> {
    let before = match &case.values[0] {
        Value::Text(text) => Some(&text[..]),
        _ => None,
    };
    let is_other = matches!(case.values[0], Value::OtherType);
    let exists = before.is_some() || is_other || (case.is_hash && case.has_other_field);
    let life = match (exists, case.expires) {
        (false, _) => Life::Absent,
        (true, false) => Life::Endless,
        (true, true) => Life::Ending,
    };
    let arguments: Vec<&[u8]> = case.arguments.iter().map(Vec::as_slice).collect();
    let mut effect = Effect {
        reply: Vec::new(),
        value: (!is_other).then(|| bulk(before, protocol)),
        life,
    };
    let operation = match Operation::parse(&arguments, server.dialect) {
        Ok(operation) => operation,
        Err(Rejected::NotComputed) => return None,
        Err(Rejected::Arity(error) | Rejected::Arguments(error)) => {
            Reply::from(error).write(&mut effect.reply, protocol);
            return Some(effect);
        }
    };
    assert_eq!(operation.field().is_some(), case.is_hash);
    let values = &case.values[..operation.names().len()];
    if values.iter().any(|it| matches!(it, Value::OtherType)) {
        Reply::from(operation.wrong_type()).write(&mut effect.reply, protocol);
        return Some(effect);
    }
    let values: Vec<Option<&[u8]>> = values.iter().map(text).collect();
    let outcome = match operation.apply(&values, LIMIT) {
        Ok(outcome) => outcome,
        Err(ApplyError::Server(error)) => {
            Reply::from(error).write(&mut effect.reply, protocol);
            return Some(effect);
        }
        Err(error @ ApplyError::TooLarge { .. }) => panic!("a case of its own: {error}"),
    };
    outcome.reply.write(&mut effect.reply, protocol);
    match outcome.write {
        Write::Keep => {}
        Write::Put(new) => {
            assert!(operation.can_write());
            effect.value = Some(bulk(Some(&new), protocol));
            effect.life = match operation.expiry() {
                Expiry::Keep if effect.life == Life::Ending => Life::Ending,
                Expiry::Keep | Expiry::Clear => Life::Endless,
                Expiry::Set(..) => Life::Ending,
            };
        }
        Write::Delete => {
            assert!(operation.can_write());
            effect.value = Some(bulk(None, protocol));
            effect.life = Life::Absent;
        }
    }
    Some(effect)
}

fn text(value: &Value) -> Option<&[u8]> {
    match value {
        Value::Text(text) => Some(text),
        _ => None,
    }
}

fn bulk(value: Option<&[u8]>, protocol: Protocol) -> Vec<u8> {
    let mut out = Vec::new();
    let reply = value.map_or(Reply::Null, |value| Reply::Bulk(value.to_vec()));
    reply.write(&mut out, protocol);
    out
}

/// What the server did, from the replies to the script.
fn observed(replies: &[Vec<u8>]) -> Effect {
    let [.., reply, value, ttl] = replies else {
        panic!("replies to the whole script");
    };
    Effect {
        reply: reply.clone(),
        value: (!value.starts_with(b"-WRONGTYPE")).then(|| value.clone()),
        life: match &ttl[..] {
            b":-2\r\n" => Life::Absent,
            b":-1\r\n" => Life::Endless,
            _ => Life::Ending,
        },
    }
}

fn describe(case: &Case) -> String {
    let arguments: Vec<_> = case
        .arguments
        .iter()
        .map(|it| it.escape_ascii().to_string())
        .collect();
    let values: Vec<_> = case
        .values
        .iter()
        .map(|value| match value {
            Value::Absent => "absent".to_owned(),
            Value::Text(text) => format!("\"{}\"", text.escape_ascii()),
            Value::OtherType => "of another type".to_owned(),
        })
        .collect();
    format!("{arguments:?} on {values:?}")
}

/// Sends random requests of one command and compares. Returns how many were computed here, and how many wrote.
fn compare(name: &str, server: &Server, protocol: Protocol, seed: u64) -> (usize, usize) {
    let mut wire = Wire::connect(server, protocol);
    let (mut computed, mut written) = (0, 0);
    let seeds: Vec<u64> = {
        let mut random = Random::new(seed);
        (0..CASES / 2).map(|_| random.next()).collect()
    };
    for batch in seeds.chunks(BATCH) {
        let cases: Vec<Case> = batch
            .iter()
            .map(|seed| Case::random(name, &mut Random::new(*seed)))
            .collect();
        let scripts: Vec<Vec<Command>> = cases.iter().map(script).collect();
        let replies = wire.send(&scripts.concat());
        let mut replies = &replies[..];
        for ((case, script), seed) in cases.iter().zip(&scripts).zip(batch) {
            let (own, rest) = replies.split_at(script.len());
            replies = rest;
            let Some(expected) = expected(case, server, protocol) else {
                continue;
            };
            computed += 1;
            let observed = observed(own);
            assert!(
                observed == expected,
                "seed {seed:#x}, {:?}, {protocol:?}: {}\nserver: {}\nhere:   {}",
                server.dialect,
                describe(case),
                observed.describe(),
                expected.describe(),
            );
            let before = bulk(text(&case.values[0]), protocol);
            written += usize::from(expected.value.is_some_and(|after| after != before));
        }
    }
    (computed, written)
}

/// Compares these commands on every server. Those of `newer` are not known to all of them.
fn compare_all(names: &[&str], are_newer: bool) {
    for server in servers() {
        for (number, name) in names.iter().enumerate() {
            let seed = SEED + 0x100 * u64::try_from(number).unwrap();
            let (computed, written) = compare(name, &server, Protocol::Resp2, seed);
            assert!(are_newer || computed == CASES / 2, "{name}: {computed}");
            let (more, _) = match server.dialect.version() {
                (6, _) | (7.., _) => compare(name, &server, Protocol::Resp3, seed + 1),
                _ => panic!("a server without RESP3"),
            };
            // Not only mistakes are compared.
            let reads = [
                "strlen",
                "hstrlen",
                "getrange",
                "substr",
                "getbit",
                "bitcount",
                "bitpos",
                "bitfield_ro",
                "lcs",
            ];
            let is_written = written > CASES / 40 || reads.contains(name) || computed == 0;
            assert!(
                is_written && (are_newer || more > 0),
                "{name}: {written} of {computed}"
            );
        }
    }
}

#[test]
fn counters_are_those_of_servers() {
    compare_all(&["incr", "decr", "incrby", "decrby", "hincrby"], false);
}

#[test]
fn numbers_with_decimals_are_those_of_servers() {
    compare_all(&["incrbyfloat", "hincrbyfloat"], false);
}

#[test]
fn parts_of_values_are_those_of_servers() {
    compare_all(
        &[
            "append", "strlen", "hstrlen", "getrange", "substr", "setrange",
        ],
        false,
    );
}

#[test]
fn bits_are_those_of_servers() {
    compare_all(&["getbit", "setbit", "bitcount", "bitpos"], false);
}

#[test]
fn bitfields_are_those_of_servers() {
    compare_all(&["bitfield", "bitfield_ro"], false);
}

#[test]
fn common_subsequences_are_those_of_servers() {
    compare_all(&["lcs"], true);
}

#[test]
fn comparisons_are_those_of_servers() {
    compare_all(&["set", "delifeq"], true);
}

#[test]
fn some_server_knows_each_newer_command() {
    let servers = servers();
    for name in ["lcs", "set", "delifeq"] {
        let computed = servers
            .iter()
            .map(|server| compare(name, server, Protocol::Resp2, SEED).0);
        assert!(computed.max() > Some(CASES / 4), "{name}");
    }
}
