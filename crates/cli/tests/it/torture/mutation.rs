//! Changes to plausible requests that a server and the proxy could read in different ways.

use super::grammar::{LARGE, value};
use super::options;
use super::request::{ALIAS, Request, Word};
use waxseal_testing::Chance;

/// Behind a zero byte. The last one makes a word longer than the table's names.
const SUFFIXES: [&[u8]; 5] = [
    b"\0",
    b"\0x",
    b"\0\0",
    b"\0 OFF",
    b"\0aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
];

/// Changes a request, most often once.
pub(super) fn mutate(request: &mut Request, chance: &mut Chance) {
    change(request, chance);
    // Behind a zero byte in the words of a command stands what each server needs to find it.
    for at in 0..request.command_len().min(request.words.len()) {
        let word = &mut request.words[at];
        if let Some(end) = word.iter().position(|byte| *byte == 0) {
            word.truncate(end);
            word.extend_from_slice(ALIAS);
        }
    }
}

fn change(request: &mut Request, chance: &mut Chance) {
    loop {
        match chance.below(20) {
            0..6 => zero_byte(request, chance),
            6 => alias(request, chance),
            7..9 => case(request, chance),
            9..11 => number(request, chance),
            11..14 => arguments(request, chance),
            14..18 => add_option(request, chance),
            18 => request.inline = !request.words.iter().any(|word| word.len() > 1000),
            _ if chance.one_in(12) => large(request, chance),
            _ => {}
        }
        if !chance.one_in(4) {
            return;
        }
    }
}

/// A zero byte and more behind a word, which servers do not see when they compare it with options.
fn zero_byte(request: &mut Request, chance: &mut Chance) {
    let is_option = |word: &Word| {
        let letters = word
            .iter()
            .all(|it| it.is_ascii_alphabetic() || *it == b'-');
        letters && word.len() > 1
    };
    let first = request.command_len();
    let options: Vec<usize> = (first..request.words.len())
        .filter(|at| is_option(&request.words[*at]))
        .collect();
    let at = if options.is_empty() || chance.one_in(5) {
        chance.below(request.words.len())
    } else {
        chance.pick(&options)
    };
    if at < first {
        return alias(request, chance);
    }
    request.words[at].extend_from_slice(chance.pick(&SUFFIXES));
}

/// The same for the command word or the subcommand, with a suffix that the server finds it by.
fn alias(request: &mut Request, chance: &mut Chance) {
    let at = chance.below(request.command_len());
    if let Some(word) = request.words.get_mut(at)
        && !word.contains(&0)
    {
        word.extend_from_slice(ALIAS);
    }
}

fn case(request: &mut Request, chance: &mut Chance) {
    for word in &mut request.words {
        for byte in word {
            if chance.one_in(2) && byte.is_ascii_uppercase() {
                byte.make_ascii_lowercase();
            }
        }
    }
}

/// Another number, or the same in a form that servers do not take.
fn number(request: &mut Request, chance: &mut Chance) {
    let numbers: Vec<usize> = (1..request.words.len())
        .filter(|at| parsed(&request.words[*at]).is_some())
        .collect();
    if numbers.is_empty() {
        return;
    }
    let word = &mut request.words[chance.pick(&numbers)];
    let number = parsed(word).unwrap_or_default();
    let text = match chance.below(9) {
        0 => format!("{}", number + 1),
        1 => format!("{}", number - 1),
        2 => format!("0{number}"),
        3 => format!("+{number}"),
        4 => format!(" {number}"),
        5 => format!("{number} "),
        6 => format!("{number}.0"),
        7 => format!("-{number}"),
        _ => format!("{number}\0"),
    };
    *word = text.into_bytes();
}

fn parsed(word: &[u8]) -> Option<i64> {
    let number = std::str::from_utf8(word).ok()?.parse().ok()?;
    (-1_000_000..1_000_000).contains(&number).then_some(number)
}

/// Arguments dropped, added, repeated or exchanged.
fn arguments(request: &mut Request, chance: &mut Chance) {
    let words = &mut request.words;
    let first = 1 + chance.below(words.len());
    let second = 1 + chance.below(words.len());
    match chance.below(5) {
        0 if words.len() > 1 && first < words.len() => drop(words.remove(first)),
        1 => words.push(b"x".to_vec()),
        2 if first < words.len() => {
            let word = words[first].clone();
            words.insert(second, word);
        }
        3 if first < words.len() && second < words.len() => words.swap(first, second),
        _ => words.push(value(chance)),
    }
}

fn add_option(request: &mut Request, chance: &mut Chance) {
    let options = options::of(request.command());
    if options.is_empty() {
        return;
    }
    let option = chance.pick(options).split(' ');
    let option: Vec<Word> = option.map(|word| word.as_bytes().to_vec()).collect();
    let first = (request.command_len() + 1).min(request.words.len());
    let at = if chance.one_in(2) {
        request.words.len()
    } else {
        first + chance.below(request.words.len() + 1 - first)
    };
    request.words.splice(at..at, option);
}

fn large(request: &mut Request, chance: &mut Chance) {
    let at = chance.below(request.words.len());
    if at >= request.command_len() {
        request.words[at] = vec![b'y'; LARGE];
    }
}

#[test]
fn mutations_keep_the_command_word() {
    let mut chance = Chance::seeded(3);
    for _ in 0..2000 {
        let mut request = Request::parse("GEORADIUS wa:g0 15 37 20000 km STORE open:z0");
        mutate(&mut request, &mut chance);
        assert_eq!(request.command(), "georadius", "{request}");
    }
}
