//! Requests typed as lines of words, of as many words as a line can hold.

use std::collections::BTreeSet;

use super::wire::{Raw, contains};
use super::{Pair, UPSTREAMS};

/// Pairs of a field and a value, in less than 64 KiB.
const PAIRS: usize = 16_000;

#[test]
fn a_line_of_sixteen_thousand_fields_is_sealed_and_stored() {
    let fields: Vec<char> = ('a'..='z').chain('A'..='Z').chain('0'..='9').collect();
    let mut line = "HSET wa:H".to_owned();
    for (field, value) in fields
        .iter()
        .cycle()
        .zip(fields.iter().rev().cycle())
        .take(PAIRS)
    {
        line.extend([' ', *field, ' ', *value]);
    }
    line.push_str("\r\n");
    assert!(line.len() < 64 * 1024);
    // The last value of a field is the one that stays: always the same here.
    let expected: BTreeSet<(Vec<u8>, Vec<u8>)> = fields
        .iter()
        .zip(fields.iter().rev())
        .map(|(field, value)| (field.to_string().into(), value.to_string().into()))
        .collect();
    for upstream in UPSTREAMS {
        let pair = Pair::with(upstream, &["--format", "sealed"]);
        let mut wire = pair.wire();
        wire.send(line.as_bytes());
        assert_eq!(
            wire.reply(),
            *format!(":{}\r\n", fields.len()),
            "{upstream}"
        );
        let Raw(all) = wire.ask(&["HGETALL", "wa:H"]);
        assert!(all.starts_with(format!("*{}\r\n", 2 * fields.len()).as_bytes()));
        let words: Vec<&[u8]> = all.split(|byte| *byte == b'\n').collect();
        let words: Vec<Vec<u8>> = words[1..]
            .chunks_exact(2)
            .map(|word| word[1].strip_suffix(b"\r").unwrap().to_vec())
            .collect();
        let stored = words
            .chunks_exact(2)
            .map(|pair| (pair[0].clone(), pair[1].clone()));
        assert_eq!(stored.collect::<BTreeSet<_>>(), expected, "{upstream}");
        let raw = pair
            .redis
            .client()
            .cmd(&["HGET", "wa:H", "a"])
            .bytes()
            .unwrap();
        assert!(contains(&raw, b"W\x02"), "{upstream}");
    }
}
