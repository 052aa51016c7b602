//! Globs over names of which some are stored sealed: what the server finds by the glob that it is asked for, filtered by the
//! client's own one, is what that one finds among logical names.

use proptest::collection::vec;
use proptest::prelude::*;
use waxseal_policy::{WiderGlob, escape_glob, matches_glob, widen, widen_prefix};

/// Prefixes of patterns with sealed names. One has special characters, two are nested.
const PREFIXES: [&[u8]; 4] = [b"a:", b"a:b:", b"b[*\\", b"-"];

/// More than any of these globs takes.
const STEPS: usize = 1_000_000;

/// Bytes that globs and names often share, and some that are special in one of them.
fn byte() -> impl Strategy<Value = u8> {
    prop_oneof![
        8 => proptest::sample::select(&b"ab:-~"[..]),
        3 => proptest::sample::select(&b"*?[]\\^{}"[..]),
        1 => any::<u8>(),
    ]
}

fn glob() -> impl Strategy<Value = Vec<u8>> {
    let begun =
        proptest::sample::select(vec![&b""[..], b"a", b"a:", b"a:b:", b"b[", b"b\\[", b"-"]);
    let rest = vec(byte(), 0..6);
    let ending =
        proptest::sample::select(vec![&b""[..], b"*", b"?", b"[^a]*", b"[b-a]", b"[z-a]*"]);
    (begun, rest, ending).prop_map(|(begun, rest, ending)| [begun, &rest, ending].concat())
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    let begun = proptest::sample::select(vec![
        &b""[..],
        b"a:",
        b"a:b:",
        b"b[*\\",
        b"-",
        b"a:~",
        b"log",
    ]);
    (begun, vec(byte(), 0..6)).prop_map(|(begun, rest)| [begun, &rest].concat())
}

/// Something like a stored name: the prefix, the mark, and text that has nothing to do with the name.
fn stored(prefix: &[u8], name: &[u8]) -> Vec<u8> {
    let digest = name.iter().fold(7_u64, |sum, byte| {
        sum.wrapping_mul(31).wrapping_add(u64::from(*byte))
    });
    [prefix, b"~9VcDE", format!("{digest:x}").as_bytes()].concat()
}

fn matches(glob: &[u8], name: &[u8]) -> bool {
    matches_glob(glob, name, &mut { STEPS }).expect("few steps")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn no_name_is_lost_and_none_is_added(glob in glob(), names in vec((name(), any::<bool>()), 1..40)) {
        let wider = widen(&glob, PREFIXES);
        let sent = match &wider {
            WiderGlob::Same | WiderGlob::Covers => &glob,
            WiderGlob::Wider(wider) => wider,
        };
        for (name, is_sealed) in &names {
            let mut prefixes = PREFIXES.iter().filter(|prefix| name.starts_with(prefix));
            let prefix = prefixes.next().filter(|_| *is_sealed);
            let stored = prefix.map_or_else(|| name.clone(), |prefix| stored(prefix, name));
            let is_found = matches(sent, &stored);
            let is_meant = matches(&glob, name);
            // Filtered by the logical name, whatever found it.
            prop_assert_eq!(is_found && is_meant, is_meant, "{:?} {:?} {:?}", glob, sent, name);
            if prefix.is_some() {
                match &wider {
                    WiderGlob::Same => prop_assert!(!is_found && !is_meant),
                    WiderGlob::Covers => prop_assert_eq!(is_found, is_meant),
                    WiderGlob::Wider(_) => {}
                }
            }
        }
    }

    #[test]
    fn an_escaped_name_matches_itself_alone(name in name(), other in name()) {
        let glob = escape_glob(&name);
        prop_assert!(matches(&glob, &name));
        prop_assert_eq!(matches(&glob, &other), name == other);
    }
}

#[test]
fn only_the_literal_text_of_a_glob_decides() {
    let wider = |glob: &str| widen(glob.as_bytes(), [&b"wa:"[..], b"wave:"]);
    let to = |glob: &str| WiderGlob::Wider(glob.as_bytes().to_vec());
    for (glob, expected) in [
        ("*", WiderGlob::Covers),
        ("w*", WiderGlob::Covers),
        ("wa:*", WiderGlob::Covers),
        ("log:*", WiderGlob::Same),
        ("wb*", WiderGlob::Same),
        ("wa:5*", to("wa:*")),
        ("wa:~*", to("wa:~*")),
        ("wa:~9*x", to("wa:~*")),
        ("wa?5", to("wa*")),
        ("wa*:5", to("wa*")),
        ("w\\a:5*", to("w*")),
        ("[w]a:*", to("*")),
        ("**", to("*")),
        ("?", to("*")),
        // One name, which is no glob.
        ("wa:5", to("wa:*")),
        ("log", WiderGlob::Same),
        ("", to("*")),
    ] {
        assert_eq!(wider(glob), expected, "{glob}");
    }
    assert_eq!(widen(b"*", []), WiderGlob::Same);
    for (prefix, expected) in [
        ("", ""),
        ("w", "w"),
        ("wa:", "wa:"),
        ("wa:52", "wa:"),
        ("wa:~5", "wa:~"),
        ("log:", "log:"),
        ("wave:1", "wave:"),
    ] {
        let wider = widen_prefix(prefix.as_bytes(), [&b"wa:"[..], b"wave:"]);
        assert_eq!(wider, expected.as_bytes(), "{prefix}");
    }
    let special = widen(b"b[1]x", [&b"b"[..], b"b1"]);
    assert_eq!(special, to("b*"));
    assert_eq!(widen(b"wa:x[", [&b"wa:x[y"[..]]), to("wa:x*"));
}
