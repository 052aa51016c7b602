//! Plausible requests: lines with places to fill in, for every command of the policy's table. What has
//! no line of its own is made from where the table says that its record names are.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use waxseal_policy::table::{Names, Row, rows};

use super::request::{Request, SINK, Word};
use crate::proxy::PROTECTED_MARKER;
use waxseal_testing::Chance;

/// Lines that the tests of sameness use as well; see there for their syntax. In addition `{sink}` is a
/// port to move records to, and `{large}` a word of more than a megabyte.
const SHARED_LINES: &str = include_str!("../proxied/requests.txt");
/// Lines with options and sequences that matter where some names are protected.
const LINES: &str = include_str!("requests.txt");

/// A large word: above what the proxy holds as a matter of course.
pub(super) const LARGE: usize = 1_258_291;

/// Kinds of records; each has two names with and two without protection.
const KINDS: [&str; 9] = ["s", "h", "l", "t", "z", "x", "g", "p", "b"];
const NUMBERS: usize = 2;

/// Which names a request gets.
#[derive(Clone, Copy)]
enum Scope {
    Open,
    Protected,
    Mixed,
}

/// Lines by the command of their first request.
struct Line {
    text: &'static str,
    requests: Vec<Vec<String>>,
}

static ALL_LINES: LazyLock<Vec<Line>> = LazyLock::new(|| {
    let lines = SHARED_LINES.lines().chain(LINES.lines());
    let lines = lines.map(|line| line.strip_prefix('=').unwrap_or(line));
    lines
        .map(|text| Line {
            text,
            requests: split(text),
        })
        .collect()
});

/// Rows for which there is no line.
static OTHER_ROWS: LazyLock<Vec<&'static Row>> = LazyLock::new(|| {
    let known: BTreeSet<&str> = ALL_LINES
        .iter()
        .flat_map(|line| &line.requests)
        .map(|words| {
            let words = words.iter().map(|word| word.as_bytes().to_vec());
            Request::new(words.collect()).command()
        })
        .collect();
    rows()
        .iter()
        .filter(|row| !known.contains(row.name))
        .collect()
});

/// Every name that a line is filled with, to prepare and to disturb.
pub(super) fn names() -> Vec<Word> {
    let prefixes = ["wa:", "open:"];
    let names = prefixes.iter().flat_map(|prefix| {
        KINDS.iter().flat_map(move |kind| {
            (0..NUMBERS).map(move |number| format!("{prefix}{kind}{number}").into_bytes())
        })
    });
    names.collect()
}

/// The requests of a line, or one request for a row without a line.
pub(super) fn group(chance: &mut Chance) -> Vec<Request> {
    let line = chance.below(ALL_LINES.len() + OTHER_ROWS.len());
    match ALL_LINES.get(line) {
        Some(line) => filled(&line.requests, chance),
        None => vec![from_row(OTHER_ROWS[line - ALL_LINES.len()], chance)],
    }
}

/// The requests of a line that is given.
pub(super) fn from_line(line: &str, chance: &mut Chance) -> Vec<Request> {
    filled(&split(line), chance)
}

/// A single request that any connection may carry.
pub(super) fn simple(chance: &mut Chance) -> Request {
    loop {
        let group = group(chance);
        if let [request] = group.as_slice() {
            return request.clone();
        }
    }
}

fn filled(requests: &[Vec<String>], chance: &mut Chance) -> Vec<Request> {
    let scope = match chance.below(10) {
        0..4 => Scope::Open,
        4..7 => Scope::Protected,
        _ => Scope::Mixed,
    };
    requests
        .iter()
        .map(|words| Request::new(words.iter().map(|word| fill(word, scope, chance)).collect()))
        .collect()
}

/// Words of each request of a line; single quotes hold a word together, `\n` is the end of a line.
fn split(line: &str) -> Vec<Vec<String>> {
    let mut requests = vec![vec![String::new()]];
    let mut quoted = false;
    for letter in line.replace("\\n", "\n").replace("\\0", "\0").chars() {
        let words = requests.last_mut().unwrap();
        match letter {
            '\'' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            ';' if !quoted => requests.push(vec![String::new()]),
            _ => words.last_mut().unwrap().push(letter),
        }
    }
    requests
}

fn fill(word: &str, scope: Scope, chance: &mut Chance) -> Word {
    // Scripts have braces of their own.
    if word.contains("return") || word.contains("function") {
        return word.as_bytes().to_vec();
    }
    let mut out = Word::new();
    let mut remaining = word;
    while let Some((before, behind)) = remaining.split_once('{') {
        let Some((place, behind)) = behind.split_once('}') else {
            break;
        };
        out.extend_from_slice(before.as_bytes());
        out.extend(fill_place(place, scope, chance));
        remaining = behind;
    }
    out.extend_from_slice(remaining.as_bytes());
    out
}

fn fill_place(place: &str, scope: Scope, chance: &mut Chance) -> Word {
    match place {
        "v" | "w" => value(chance),
        "n" => chance.below(40).to_string().into_bytes(),
        "f" => format!("f{}", chance.below(6)).into_bytes(),
        "sink" => SINK.to_vec(),
        "alias" => b"{alias}".to_vec(),
        "large" => vec![b'y'; LARGE],
        "any" => name(chance.pick(&KINDS), scope, chance),
        // Now and then a record of another type.
        _ if chance.one_in(12) => name(chance.pick(&KINDS), scope, chance),
        kind => name(kind, scope, chance),
    }
}

/// A value. Those that begin with the marker must not be found at the server under a protected name.
pub(super) fn value(chance: &mut Chance) -> Word {
    match chance.below(20) {
        0 => Word::new(),
        1 => b"line\r\nand *3\r\n$ more".to_vec(),
        2 => (0..=255).collect(),
        3 => vec![b'x'; chance.below(90)],
        4..6 => chance.below(100).to_string().into_bytes(),
        _ => format!("{PROTECTED_MARKER}{}", chance.below(6)).into_bytes(),
    }
}

fn name(kind: &str, scope: Scope, chance: &mut Chance) -> Word {
    let protected = match scope {
        Scope::Open => false,
        Scope::Protected => true,
        Scope::Mixed => chance.one_in(2),
    };
    let prefix = if protected { "wa:" } else { "open:" };
    format!("{prefix}{kind}{}", chance.below(NUMBERS)).into_bytes()
}

fn from_row(row: &Row, chance: &mut Chance) -> Request {
    let mut words: Vec<Word> = row
        .name
        .split('|')
        .map(|word| word.as_bytes().to_vec())
        .collect();
    let scope = if chance.one_in(2) {
        Scope::Open
    } else {
        Scope::Mixed
    };
    let any = |chance: &mut Chance| name(chance.pick(&KINDS), scope, chance);
    match row.names {
        Names::None | Names::Subcommands => {}
        Names::At { first, .. } => {
            while words.len() < first {
                words.push(b"x".to_vec());
            }
            for _ in 0..1 + chance.below(2) {
                words.push(any(chance));
            }
        }
        Names::Counted {
            destination, at, ..
        } => {
            while words.len() < at {
                let is_name = destination == Some(words.len());
                words.push(if is_name {
                    any(chance)
                } else {
                    b"0.01".to_vec()
                });
            }
            words.push(b"2".to_vec());
            words.extend([any(chance), any(chance)]);
        }
        _ => words.push(any(chance)),
    }
    for _ in 0..chance.below(4) {
        let more = chance.below(40).to_string().into_bytes();
        words.push(if chance.one_in(2) {
            value(chance)
        } else {
            more
        });
    }
    Request::new(words)
}

#[test]
fn every_command_of_the_policy_is_generated() {
    let mut chance = Chance::seeded(1);
    let mut seen = BTreeSet::new();
    for line in ALL_LINES.iter() {
        assert!(!line.text.is_empty());
        let requests = filled(&line.requests, &mut chance);
        seen.extend(requests.iter().map(Request::command));
    }
    for row in OTHER_ROWS.iter() {
        seen.insert(from_row(row, &mut chance).command());
    }
    let is_command = |row: &&Row| row.names != Names::Subcommands;
    for row in rows().iter().filter(is_command) {
        assert!(seen.contains(row.name), "{}", row.name);
    }
}
