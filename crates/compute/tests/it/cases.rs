//! Random requests of each command, with what the records hold before: mostly valid, with arguments at the borders, and
//! with every kind of mistake. Writes stay small: values between that and the limits would fill the servers' memory.

use crate::random::Random;
use crate::wire::{Command, command};

/// What a record, or a field of it, holds.
#[derive(Clone)]
pub(crate) enum Value {
    Absent,
    Text(Vec<u8>),
    /// The record is of another type.
    OtherType,
}

/// One request and what is there before.
pub(crate) struct Case {
    pub(crate) arguments: Command,
    /// Those of the records `k` and `l`.
    pub(crate) values: [Value; 2],
    pub(crate) is_hash: bool,
    /// The hash has another field.
    pub(crate) has_other_field: bool,
    pub(crate) expires: bool,
}

impl Case {
    /// A request of this command.
    pub(crate) fn random(name: &str, random: &mut Random) -> Self {
        let is_hash = name.starts_with('h');
        let mut values = [value(name, random), value(name, random)];
        let mut arguments = command(&["k"]);
        if is_hash {
            arguments.push(b"f".to_vec());
        }
        arguments.extend(rest(name, &values[0], random));
        if random.once_in(40) {
            arguments.pop();
        } else if random.once_in(40) {
            arguments.push(random.integer());
        }
        let mut word = random.keyword(name);
        word.truncate(name.len());
        arguments.insert(0, word);
        if name != "lcs" {
            values[1] = Value::Absent;
        }
        Self {
            arguments,
            values,
            is_hash,
            has_other_field: random.once_in(2),
            expires: random.once_in(2),
        }
    }
}

fn value(name: &str, random: &mut Random) -> Value {
    match random.below(20) {
        0 => Value::OtherType,
        1..4 => Value::Absent,
        _ if name == "lcs" => Value::Text(random.letters(60)),
        _ if name.ends_with("float") => Value::Text(random.float()),
        4..12 if name.contains("cr") => Value::Text(random.number().to_string().into_bytes()),
        _ => Value::Text(random.value()),
    }
}

/// The arguments after those that name the value.
fn rest(name: &str, value: &Value, random: &mut Random) -> Command {
    match name {
        "incr" | "decr" | "strlen" | "hstrlen" | "digest" => Vec::new(),
        "incrby" | "decrby" | "hincrby" => vec![random.integer()],
        "incrbyfloat" | "hincrbyfloat" => vec![random.float()],
        "append" => vec![random.value()],
        "getrange" | "substr" => vec![end(random), end(random)],
        "setrange" => vec![offset(random, 100, 1 << 29), random.value()],
        "getbit" => {
            let last = vec![b"4294967295".to_vec()];
            let any = vec![offset(random, 400, 1 << 32)];
            if random.once_in(10) { last } else { any }
        }
        "setbit" => vec![offset(random, 400, 1 << 32), bit(random)],
        "bitcount" => ends(random),
        "bitpos" => [vec![bit(random)], ends(random)].concat(),
        "bitfield" | "bitfield_ro" => bitfield(name, random),
        "lcs" => [command(&["l"]), lcs(random)].concat(),
        "set" => [vec![random.value()], set(value, random)].concat(),
        "delifeq" => vec![other(value, random)],
        "delex" => vec![random.keyword("IFEQ"), other(value, random)],
        name => panic!("no cases for {name}"),
    }
}

/// An end of a range: within a short value, around it, or anything.
fn end(random: &mut Random) -> Vec<u8> {
    match random.below(10) {
        0 => random.integer(),
        1..4 => (i64::try_from(random.below(801)).unwrap() - 400)
            .to_string()
            .into_bytes(),
        _ => (i64::try_from(random.below(81)).unwrap() - 40)
            .to_string()
            .into_bytes(),
    }
}

/// None to three arguments of a range of bits, rarely more.
fn ends(random: &mut Random) -> Command {
    let mut ends = Vec::new();
    let count = random.below(4);
    for _ in 0..count.min(2) {
        ends.push(end(random));
    }
    if count == 3 {
        let unit = random.pick(&["bit", "byte", "bit", "byte", "bits", ""]);
        ends.push(random.keyword(unit));
    }
    ends
}

/// A small offset, one at or beyond a limit, or a mistake.
fn offset(random: &mut Random, small: usize, limit: u64) -> Vec<u8> {
    const ODD: [&str; 9] = [
        "-1",
        "",
        "01",
        "+1",
        "1.0",
        "x",
        "-9223372036854775808",
        "1\0",
        "#1",
    ];
    match random.below(12) {
        0 => random.pick(&ODD).into(),
        1 => limit.to_string().into_bytes(),
        2 => random
            .pick(&["9223372036854775807", "9223372036854775808", "8589934592"])
            .into(),
        _ => random.below(small).to_string().into_bytes(),
    }
}

fn bit(random: &mut Random) -> Vec<u8> {
    match random.below(8) {
        0 => random.integer(),
        _ => random.pick(&["0", "1"]).into(),
    }
}

fn bitfield(name: &str, random: &mut Random) -> Command {
    let mut arguments = Vec::new();
    for _ in 0..random.below(5) {
        let subcommand = match random.below(20) {
            0 => "gets",
            1..4 => "overflow",
            _ if name == "bitfield_ro" && !random.once_in(10) => "get",
            4..10 => "get",
            10..15 => "set",
            _ => "incrby",
        };
        arguments.push(random.keyword(subcommand));
        if subcommand == "overflow" {
            let way = random.pick(&["wrap", "sat", "sat", "fail", "fail", "none"]);
            arguments.push(random.keyword(way));
            continue;
        }
        arguments.push(kind(random));
        arguments.push(match random.below(8) {
            0 => b"#2305843009213693952".to_vec(),
            1 => b"#2305843009213693953".to_vec(),
            2 | 3 => [b"#".to_vec(), random.below(9).to_string().into_bytes()].concat(),
            _ => offset(random, 300, 1 << 32),
        });
        if subcommand != "get" {
            arguments.push(random.integer());
        }
    }
    if random.once_in(30) {
        arguments.pop();
    }
    arguments
}

fn kind(random: &mut Random) -> Vec<u8> {
    const ODD: [&str; 13] = [
        "u64", "i65", "i0", "u0", "x8", "I8", "i08", "i", "", "u8\0x", "i-1", "u+8", "8",
    ];
    match random.below(15) {
        0 => random.pick(&ODD).into(),
        1 => b"i64".to_vec(),
        2 => b"u63".to_vec(),
        _ => format!("{}{}", random.pick(&["i", "u"]), 1 + random.below(63)).into_bytes(),
    }
}

fn lcs(random: &mut Random) -> Command {
    let mut arguments = Vec::new();
    for _ in 0..random.below(4) {
        let option = random.pick(&[
            "IDX",
            "IDX",
            "LEN",
            "WITHMATCHLEN",
            "MINMATCHLEN",
            "MINMATCHLEN",
            "ID",
        ]);
        if option == "ID" && !random.once_in(4) {
            continue;
        }
        arguments.push(random.keyword(option));
        if option == "MINMATCHLEN" {
            arguments.push(match random.below(6) {
                0 => random.integer(),
                _ => random.below(6).to_string().into_bytes(),
            });
        }
    }
    arguments
}

/// The value itself, or another.
fn other(value: &Value, random: &mut Random) -> Vec<u8> {
    match value {
        Value::Text(text) if !random.once_in(3) => text.clone(),
        _ => random.value(),
    }
}

/// Options of `SET`, mostly with a comparison.
fn set(value: &Value, random: &mut Random) -> Command {
    let mut options: Vec<Command> = Vec::new();
    if !random.once_in(20) {
        let condition = vec![random.keyword("IFEQ"), other(value, random)];
        options.push(condition);
    }
    for _ in 0..random.below(3) {
        let option = random.pick(&[
            "GET", "GET", "KEEPTTL", "EX", "PX", "EXAT", "PXAT", "NX", "XX", "IFEQ", "PERSIST",
            "EX", "PX",
        ]);
        let mut option_and_value = vec![random.keyword(option)];
        let amount = match option {
            "EX" | "PX" => Some("100000"),
            "EXAT" => Some("9999999999"),
            "PXAT" => Some("9999999999999"),
            "IFEQ" => Some("1"),
            _ => None,
        };
        if let Some(amount) = amount {
            option_and_value.push(match random.below(6) {
                0 => random
                    .pick(&[
                        "0",
                        "-1",
                        "x",
                        "9223372036854775808",
                        "9223372036854776",
                        "1.5",
                    ])
                    .into(),
                _ => amount.into(),
            });
        }
        let at = random.below(options.len() + 1);
        options.insert(at, option_and_value);
    }
    let mut options = options.concat();
    if random.once_in(30) {
        options.pop();
    }
    options
}
