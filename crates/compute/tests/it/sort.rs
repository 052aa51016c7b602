//! Random requests that sort, carried out by servers and computed here. Where no server promises an order, the reply is
//! not compared: sets that are not sorted, and equal weights of texts.

use std::collections::HashMap;

use waxseal_compute::{Dialect, Lookup, Protocol, Rejected, Reply, Sort, SortedType};

use crate::random::Random;
use crate::wire::{Command, Wire, command, servers};

/// Requests to each server.
const CASES: usize = 4_000;
const SEED: u64 = 0x5ea1_ed01;

const NUMBERS: [&[u8]; 12] = [
    b"1",
    b"2",
    b"10",
    b"-3",
    b"1.5",
    b"1e2",
    b"-0",
    b"inf",
    b"-Infinity",
    b".5",
    b"3.",
    b"007",
];
/// Elements that only some servers take for numbers, or none.
const OTHERS: [&[u8]; 14] = [
    b"",
    b" 4",
    b"+7",
    b"0x10",
    b"-0X.8p1",
    b"nan",
    b"abc",
    b"5\0x",
    b"a\0b",
    b"a\0c",
    b"8 ",
    b"\xff\xfe",
    b"1_0",
    b"x*y",
];
const PATTERNS: [&[u8]; 10] = [
    b"#",
    b"w_*",
    b"w_*",
    b"o_*->f",
    b"o_*->f",
    b"o_*->none",
    b"w_*->",
    b"w_*\0->f",
    b"nosort",
    b"*",
];

/// A record, and what others hold for its elements.
struct Case {
    record: SortedType,
    elements: Vec<Vec<u8>>,
    strings: HashMap<Vec<u8>, Vec<u8>>,
    fields: HashMap<Vec<u8>, Vec<u8>>,
    arguments: Command,
}

fn element(random: &mut Random, is_number: bool) -> Vec<u8> {
    match is_number || !random.once_in(3) {
        true => NUMBERS[random.below(NUMBERS.len())].to_vec(),
        false => OTHERS[random.below(OTHERS.len())].to_vec(),
    }
}

impl Case {
    fn random(random: &mut Random) -> Self {
        let is_number = !random.once_in(3);
        let record = [SortedType::List, SortedType::Set, SortedType::SortedSet][random.below(3)];
        let mut elements: Vec<Vec<u8>> = (0..random.below(9))
            .map(|_| element(random, is_number))
            .collect();
        if record != SortedType::List {
            elements.sort();
            elements.dedup();
        }
        let (mut strings, mut fields) = (HashMap::new(), HashMap::new());
        for name in &elements {
            if !random.once_in(4) {
                strings.insert([b"w_", &name[..]].concat(), element(random, is_number));
            }
            if !random.once_in(4) {
                fields.insert([b"o_", &name[..]].concat(), element(random, is_number));
            }
        }
        let mut arguments = command(&["SORT", "k"]);
        for _ in 0..random.below(6) {
            let pattern = PATTERNS[random.below(PATTERNS.len())].to_vec();
            let option: Command = match random.below(9) {
                0 => command(&["alpha"]),
                1 => command(&["DESC"]),
                2 => command(&["Asc\0x"]),
                3 => {
                    let number = |random: &mut Random| (random.below(12) as i64 - 3).to_string();
                    let (start, count) = (number(random), number(random));
                    command(&["LIMIT", &start, &count])
                }
                4 if random.once_in(6) => command(&["LIMIT", "x", "1"]),
                5 if random.once_in(6) => command(&["NEW"]),
                6 => vec![b"by".to_vec(), pattern],
                _ => vec![b"GET".to_vec(), pattern],
            };
            arguments.extend(option);
        }
        if random.once_in(3) {
            arguments.extend(command(&["STORE", "d"]));
        }
        if random.once_in(30) {
            arguments.pop();
        }
        Self {
            record,
            elements,
            strings,
            fields,
            arguments,
        }
    }

    /// The commands that bring the case about, carry it out, and look at what was stored.
    fn script(&self) -> Vec<Command> {
        let mut commands = vec![command(&["FLUSHALL"])];
        for (score, element) in self.elements.iter().enumerate() {
            let score = score.to_string();
            commands.push(match self.record {
                SortedType::List => command(&[&b"RPUSH"[..], b"k", element]),
                SortedType::Set => command(&[&b"SADD"[..], b"k", element]),
                SortedType::SortedSet => command(&[&b"ZADD"[..], b"k", score.as_bytes(), element]),
            });
        }
        for (name, value) in &self.strings {
            commands.push(command(&[&b"SET"[..], name, value]));
        }
        for (name, value) in &self.fields {
            commands.push(command(&[&b"HSET"[..], name, b"f", value]));
        }
        commands.push(self.arguments.clone());
        commands.push(command(&["LRANGE", "d", "0", "-1"]));
        commands
    }

    fn find(&self, lookup: &Lookup<'_>) -> Option<Vec<u8>> {
        match lookup {
            Lookup::Element(element) => Some(element.to_vec()),
            Lookup::Nothing => None,
            Lookup::Record { name, field } => match field {
                Some(field) if *field == b"f" => self.fields.get(name).cloned(),
                Some(_) => None,
                None => self.strings.get(name).cloned(),
            },
        }
    }

    /// The reply and the list that is stored. `None` if the order is nobody's promise.
    fn compute(&self, dialect: Dialect) -> Option<(Reply, Reply)> {
        let words: Vec<&[u8]> = self.arguments.iter().map(Vec::as_slice).collect();
        let nothing = Reply::Array(Vec::new());
        let sort = match Sort::parse(&words, dialect) {
            Ok(sort) => sort,
            Err(Rejected::Arguments(error) | Rejected::Arity(error)) => {
                return Some((Reply::Error(error), nothing));
            }
            Err(Rejected::NotComputed) => panic!("every server has SORT"),
        };
        // A record without elements is none.
        let record = match self.elements.is_empty() {
            true => SortedType::List,
            false => self.record,
        };
        let weights: Option<Vec<Option<Vec<u8>>>> = sort
            .weights(&self.elements)
            .map(|lookups| lookups.map(|lookup| self.find(&lookup)).collect());
        if let Some(weights) = &weights {
            let mut texts: Vec<Option<&[u8]>> = weights
                .iter()
                .map(|it| {
                    it.as_ref()
                        .map(|text| text.split(|byte| *byte == 0).next().unwrap())
                })
                .collect();
            texts.sort_unstable();
            let has_equal = texts.windows(2).any(|pair| pair[0] == pair[1]);
            if has_equal && words.iter().any(|word| word.eq_ignore_ascii_case(b"alpha")) {
                return None;
            }
        }
        let has = |wanted: &[u8]| words.iter().any(|word| word.eq_ignore_ascii_case(wanted));
        let is_unsorted = has(b"by") && weights.is_none() && sort.destination().is_none();
        let has_nul = self.elements.iter().any(|it| it.contains(&0));
        if record == SortedType::Set && (is_unsorted || has_nul)
            || record == SortedType::SortedSet && has_nul
        {
            return None;
        }
        let order = match sort.order(record, &self.elements, &weights.unwrap_or_default()) {
            Ok(order) => order,
            Err(error) => return Some((Reply::Error(error), nothing)),
        };
        let elements = order.iter().map(|place| &self.elements[*place][..]);
        let results: Vec<Option<Vec<u8>>> = sort
            .results(elements)
            .map(|lookup| self.find(&lookup))
            .collect();
        if sort.destination().is_none() {
            let items = results
                .into_iter()
                .map(|it| it.map_or(Reply::Null, Reply::Bulk));
            return Some((Reply::Array(items.collect()), nothing));
        }
        let count = Reply::Integer(results.len() as i64);
        let stored = results
            .into_iter()
            .map(|it| Reply::Bulk(it.unwrap_or_default()));
        Some((count, Reply::Array(stored.collect())))
    }
}

#[test]
fn sorting_is_what_servers_do() {
    for server in servers() {
        for protocol in [Protocol::Resp2, Protocol::Resp3] {
            let mut wire = Wire::connect(&server, protocol);
            let mut compared = 0;
            for number in 0..CASES / 2 {
                let mut random = Random::new(SEED + number as u64);
                let case = Case::random(&mut random);
                let Some((reply, stored)) = case.compute(server.dialect) else {
                    continue;
                };
                compared += 1;
                let replies = wire.send(&case.script());
                let written = |reply: &Reply| {
                    let mut out = Vec::new();
                    reply.write(&mut out, protocol);
                    out.escape_ascii().to_string()
                };
                let [.., answer, list] = &replies[..] else {
                    panic!("no replies");
                };
                let shown = |it: &[u8]| it.escape_ascii().to_string();
                let request: Vec<String> = case.arguments.iter().map(|it| shown(it)).collect();
                let elements: Vec<String> = case.elements.iter().map(|it| shown(it)).collect();
                let context = format!(
                    "{:?}, case {number}: {request:?} of {:?} {elements:?}",
                    server.dialect, case.record
                );
                assert_eq!(shown(answer), written(&reply), "{context}");
                assert_eq!(shown(list), written(&stored), "{context}");
            }
            assert!(compared > CASES / 4, "{compared}");
        }
    }
}
