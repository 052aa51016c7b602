//! Requests of every kind, made by chance from a seed. None has a reply that depends on the time, on
//! chance, or on the order of a hash table: two servers that get the same give the same replies.

use std::collections::BTreeSet;

/// One line for each kind of request; what is behind a semicolon follows on the same connection
/// without anything between. Words in braces are filled in: `{s}` the name of a string, `{h}` of a
/// hash, `{l}` list, `{t}` set, `{z}` sorted set, `{x}` stream, `{g}` geo record, `{p}` `HyperLogLog`, `{b}`
/// bits; `{v}` a short value, `{w}` any value, `{f}` a field, `{n}` a small number, `{any}` a name of any kind.
/// A line that begins with `=` always has as many arguments as here.
const LINES: &str = include_str!("requests.txt");

/// Containers: their second word says what is asked.
const CONTAINERS: [&str; 16] = [
    "ACL", "CLIENT", "CLUSTER", "COMMAND", "CONFIG", "DEBUG", "FUNCTION", "LATENCY", "MEMORY",
    "MODULE", "OBJECT", "PUBSUB", "SCRIPT", "SLOWLOG", "XGROUP", "XINFO",
];

/// One request.
pub(super) type Words = Vec<Vec<u8>>;

/// Numbers by chance, the same for the same seed (splitmix64).
pub(super) struct Chance(u64);

impl Chance {
    pub(super) fn seeded(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % bound as u64).unwrap()
    }

    fn one_in(&mut self, many: usize) -> bool {
        self.below(many) == 0
    }
}

/// All kinds of requests `rounds` times, each time in another order and with other arguments. What
/// must stay together is in one group.
pub(super) fn mix(seed: u64, rounds: usize) -> Vec<Vec<Words>> {
    let mut chance = Chance::seeded(seed);
    let mut groups = Vec::new();
    for _ in 0..rounds {
        let mut lines: Vec<&str> = LINES.lines().collect();
        for at in (1..lines.len()).rev() {
            lines.swap(at, chance.below(at + 1));
        }
        groups.extend(lines.into_iter().map(|line| group(line, &mut chance)));
    }
    groups
}

/// Names of commands and subcommands in a mix.
pub(super) fn names(groups: &[Vec<Words>]) -> BTreeSet<String> {
    let upper = |word: &Vec<u8>| String::from_utf8_lossy(word).to_uppercase();
    groups
        .iter()
        .flatten()
        .map(|words| {
            let first = upper(&words[0]);
            match words.get(1) {
                Some(second) if CONTAINERS.contains(&first.as_str()) => {
                    format!("{first} {}", upper(second))
                }
                _ => first,
            }
        })
        .collect()
}

fn group(line: &str, chance: &mut Chance) -> Vec<Words> {
    let (as_it_is, line) = match line.strip_prefix('=') {
        Some(line) => (true, line),
        None => (false, line),
    };
    let mut group: Vec<Words> = requests(line)
        .into_iter()
        .map(|words| words.iter().map(|word| filled(word, chance)).collect())
        .collect();
    // Now and then a request with the wrong number of arguments; not where others count on it.
    if let [words] = group.as_mut_slice()
        && !as_it_is
        && chance.one_in(12)
    {
        match chance.below(2) {
            0 if words.len() > 2 => drop(words.pop()),
            _ => words.push(b"surplus".to_vec()),
        }
    }
    group
}

/// Words of each request of a line; single quotes hold a word together, `\n` is the end of a line.
fn requests(line: &str) -> Vec<Vec<String>> {
    let mut requests = vec![vec![String::new()]];
    let mut quoted = false;
    for letter in line.replace("\\n", "\n").chars() {
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

fn filled(word: &str, chance: &mut Chance) -> Vec<u8> {
    // Scripts have braces of their own.
    if word.contains("return") || word.contains("function") {
        return word.as_bytes().to_vec();
    }
    let mut out = Vec::new();
    let mut remaining = word;
    while let Some((before, behind)) = remaining.split_once('{') {
        out.extend_from_slice(before.as_bytes());
        let (place, behind) = behind.split_once('}').unwrap();
        out.extend(place_filled(place, chance));
        remaining = behind;
    }
    out.extend_from_slice(remaining.as_bytes());
    out
}

fn place_filled(place: &str, chance: &mut Chance) -> Vec<u8> {
    const KINDS: [&str; 9] = ["s", "h", "l", "t", "z", "x", "g", "p", "b"];
    let number = chance.below(3);
    match place {
        "w" if chance.one_in(4) => (0..=255).collect(),
        "v" | "w" => match chance.below(6) {
            0 => Vec::new(),
            1 => b"line\r\nand *3\r\n$ more".to_vec(),
            2 => vec![b'x'; chance.below(60)],
            _ => format!("v{}", chance.below(9)).into_bytes(),
        },
        "n" => chance.below(40).to_string().into_bytes(),
        "f" => format!("f{}", chance.below(6)).into_bytes(),
        "any" => format!("{}{number}", KINDS[chance.below(KINDS.len())]).into_bytes(),
        // Now and then a record of another type.
        _ if chance.one_in(12) => {
            format!("{}{number}", KINDS[chance.below(KINDS.len())]).into_bytes()
        }
        kind => format!("{kind}{number}").into_bytes(),
    }
}
