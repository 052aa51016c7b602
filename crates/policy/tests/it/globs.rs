//! Globs against a naive implementation and against servers, and in bounded time for any name.

use std::collections::BTreeSet;
use std::ops::Range;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use waxseal_policy::{ProtectedNames, RecordPattern};
use waxseal_testing::{Flavor, RedisServer};

/// Few letters, so that globs often match names.
const LETTERS: &[u8] = b"ab:-*\\[{";

#[derive(Clone, Debug, PartialEq)]
enum Piece {
    Letter(u8),
    One,
    Class(Vec<(u8, u8)>, bool),
    Star,
    User,
}

fn piece() -> impl Strategy<Value = Piece> {
    let letter = || proptest::sample::select(LETTERS);
    let class = (vec((letter(), letter()), 1..3), any::<bool>());
    prop_oneof![
        4 => letter().prop_map(Piece::Letter),
        1 => Just(Piece::One),
        1 => class.prop_map(|(ranges, negated)| Piece::Class(ranges, negated)),
        3 => Just(Piece::Star),
        1 => Just(Piece::User),
    ]
}

/// Pieces that form a pattern.
fn pieces() -> impl Strategy<Value = Vec<Piece>> {
    vec(piece(), 1..8).prop_map(|mut pieces| {
        pieces.dedup_by(|a, b| *a == Piece::Star && *b == Piece::Star);
        pieces
    })
}

fn pattern() -> impl Strategy<Value = (Vec<Piece>, RecordPattern)> {
    pieces().prop_filter_map("no pattern", |pieces| {
        let pattern = RecordPattern::parse(&text(&pieces)).ok()?;
        Some((pieces, pattern))
    })
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    let letter = prop_oneof![8 => proptest::sample::select(LETTERS), 1 => any::<u8>()];
    vec(letter, 0..10)
}

/// The text of a glob. The end of a range is never escaped: bytes that would need it are listed one by one.
fn text(pieces: &[Piece]) -> String {
    let mut text = String::new();
    for piece in pieces {
        match piece {
            Piece::Letter(letter) => {
                text.extend(b"*\\[{".contains(letter).then_some('\\'));
                text.push(char::from(*letter));
            }
            Piece::One => text.push('?'),
            Piece::Class(ranges, negated) => {
                text.push_str(if *negated { "[^" } else { "[" });
                for (first, last) in ranges {
                    text.push_str(&match is_range(*first, *last) {
                        true => format!("{}-{}", char::from(*first), char::from(*last)),
                        false => format!("\\{}\\{}", char::from(*first), char::from(*last)),
                    });
                }
                text.push(']');
            }
            Piece::Star => text.push('*'),
            Piece::User => text.push_str("{user}"),
        }
    }
    text
}

fn is_range(first: u8, last: u8) -> bool {
    [first, last].iter().all(u8::is_ascii_lowercase)
}

/// The text that `{user}` matches, found by trying all possibilities, for every star the shortest text first.
fn tried(pieces: &[Piece], name: &[u8], at: usize) -> Option<Range<usize>> {
    let Some((piece, rest)) = pieces.split_first() else {
        return (at == name.len()).then_some(0..0);
    };
    let accepts = |byte: u8| match piece {
        Piece::Letter(letter) => *letter == byte,
        Piece::Class(ranges, negated) => {
            let is_in = |(first, last): &(u8, u8)| match is_range(*first, *last) {
                true => (*first.min(last)..=*first.max(last)).contains(&byte),
                false => byte == *first || byte == *last,
            };
            ranges.iter().any(is_in) != *negated
        }
        Piece::One | Piece::Star | Piece::User => true,
    };
    match piece {
        Piece::Star | Piece::User => (at..=name.len()).find_map(|end| {
            let found = tried(rest, name, end)?;
            Some(if *piece == Piece::User {
                at..end
            } else {
                found
            })
        }),
        _ => (at < name.len() && accepts(name[at])).then(|| tried(rest, name, at + 1))?,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn a_pattern_matches_what_trying_everything_finds((pieces, pattern) in pattern(), name in name()) {
        let found = tried(&pieces, &name, 0);
        prop_assert_eq!(pattern.matches_form(&name), found.is_some());
        let user = found.filter(|it| !it.is_empty()).map(|it| &name[it]);
        prop_assert_eq!(pattern.user(&name), user);
    }

    #[test]
    fn what_two_patterns_match_overlaps_and_what_covers_matches_all(
        (_, one) in pattern(), (_, other) in pattern(), names in vec(name(), 1..20),
    ) {
        for name in &names {
            let both = one.matches_form(name) && other.matches_form(name);
            prop_assert!(!both || one.overlaps(&other));
            prop_assert!(!one.covers(&other) || !other.matches_form(name) || one.matches_form(name));
        }
        prop_assert_eq!(one.overlaps(&other), other.overlaps(&one));
        prop_assert!(one.covers(&one) && one.overlaps(&one));
    }

    #[test]
    fn a_name_is_found_under_the_pattern_that_definitions_say(
        patterns in vec(pattern(), 1..8), name in name(),
    ) {
        let patterns: Vec<_> = patterns.into_iter().map(|(_, pattern)| pattern).collect();
        let resolved = RecordPattern::resolve(patterns.clone());
        let owners = resolved.iter().enumerate().filter(|(_, it)| it.matches(&name));
        let owners: Vec<_> = owners.map(|(index, _)| index).collect();
        let found = ProtectedNames::new(patterns).find(&name).map(waxseal_policy::PatternId::index);
        prop_assert_eq!(owners, Vec::from_iter(found));
    }

    #[test]
    fn no_text_makes_a_pattern_panic(text in ".{0,20}", name in vec(any::<u8>(), 0..20)) {
        if let Ok(pattern) = RecordPattern::parse(&text) {
            let _ = pattern.user(&name);
            prop_assert!(!pattern.matches_form(&name) || name.starts_with(pattern.prefix().as_bytes()));
        }
    }
}

#[test]
fn servers_match_the_same_names() {
    let mut runner = TestRunner::deterministic();
    let mut draw = |count: usize| -> Vec<(Vec<Piece>, RecordPattern)> {
        let drawn = (0..count).map(|_| {
            pattern()
                .new_tree(&mut runner)
                .expect("a pattern")
                .current()
        });
        drawn.collect()
    };
    let patterns = draw(400);
    let mut runner = TestRunner::deterministic();
    let names: BTreeSet<Vec<u8>> = (0..300)
        .map(|_| name().new_tree(&mut runner).expect("a name").current())
        .filter(|name| !name.is_empty())
        .collect();
    for flavor in Flavor::ALL {
        let server = RedisServer::builder().flavor(flavor).start();
        let mut client = server.client();
        let sets: Vec<_> = names
            .iter()
            .map(|name| vec![&b"SET"[..], name, b"1"])
            .collect();
        client.pipeline(&sets);
        let mut matched = 0;
        for (pieces, pattern) in &patterns {
            let keys = client.cmd(&["KEYS", &pattern.glob()]).array();
            let keys: BTreeSet<_> = keys
                .into_iter()
                .filter_map(waxseal_testing::Reply::bytes)
                .collect();
            let ours: BTreeSet<_> = names
                .iter()
                .filter(|it| pattern.matches_form(it))
                .cloned()
                .collect();
            assert_eq!(keys, ours, "{flavor:?}: {}", pattern.as_str());
            // The text of the operator has the same meaning on the server if it has no user.
            if !pieces.contains(&Piece::User) {
                let keys = client.cmd(&["KEYS", pattern.as_str()]).array();
                assert_eq!(keys.len(), ours.len(), "{flavor:?}: {}", pattern.as_str());
            }
            matched += ours.len();
        }
        assert!(matched > 1000, "the globs match: {matched}");
    }
}

#[test]
fn a_long_name_that_almost_matches_is_decided_at_once() {
    let pattern = RecordPattern::parse("*a*a*a*a*a*a*a*b").expect("a pattern");
    let mut name = vec![b'a'; 1 << 20];
    assert!(!pattern.matches_form(&name));
    name.push(b'b');
    assert!(pattern.matches_form(&name));
}
