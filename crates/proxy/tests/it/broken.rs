//! Values that do not open: the right error, no byte of them to the client, and the conversation continues.

use waxseal_core::Mode;
use waxseal_proxy::Limits;

use crate::pair::{KEY, Pair, envelope, from_server, to_client};

/// An envelope for another record, one under an unknown key, and damaged ones.
const BAD: [(&str, &str); 2] = [
    ("@wa:9=stolen", "-SEALBROKEN "),
    ("!wa:1=foreign", "-SEALNOKEY "),
];

fn assert_error(got: &str, word: &str, what: &str) {
    assert!(got.starts_with(word), "{what}: {got}");
    assert_eq!(got.matches("\r\n").count(), 1, "{what}: {got}");
    for secret in ["stolen", "foreign", "good", "WAXS"] {
        assert!(!got.contains(secret), "{what}: {got}");
    }
}

#[test]
fn one_broken_value_makes_the_whole_reply_an_error() {
    for (bad, word) in BAD {
        for (line, reply) in [
            ("GET wa:1", bad.to_owned()),
            ("GETDEL wa:1", bad.to_owned()),
            ("SET wa:1 @wa:1=x GET", bad.to_owned()),
            ("STRLEN wa:1", bad.to_owned()),
            ("GETRANGE wa:1 0 1", bad.to_owned()),
            (
                "MGET wa:0 wa:1 other",
                format!("*3 @wa:0=good {bad} 'clear"),
            ),
            ("HGETALL wa:h", format!("*4 'f @wa:h/f=good 'g {bad}")),
            ("HVALS wa:h", format!("%2 'f @wa:h/f=good 'g {bad}")),
            ("HMGET wa:h f g", format!("*2 @wa:h/f=good {bad}")),
            ("HSCAN wa:h 0", format!("*2 '0 *4 'f @wa:h/f=good 'g {bad}")),
            ("HRANDFIELD wa:h 2 WITHVALUES", format!("*1 *2 'f {bad}")),
            ("LRANGE wa:1 0 -1", format!("*2 @wa:1=good {bad}")),
            ("LPOP wa:1", bad.to_owned()),
            ("BLPOP wa:1 0", format!("*2 'wa:1 {bad}")),
        ] {
            let whole = from_server(&reply);
            for size in [1, 10, whole.len()] {
                let mut pair = Pair::new();
                pair.send(&[line]);
                pair.sent();
                for chunk in whole.chunks(size) {
                    pair.answer_bytes(chunk).unwrap();
                }
                assert_error(&pair.got(), word, line);
                pair.assert_usable();
            }
        }
    }
}

#[test]
fn popped_values_are_not_lost_because_one_of_them_is_broken() {
    for (bad, word) in BAD {
        for (line, head, good) in [
            ("LPOP wa:1 3", "*3", "@wa:1=good"),
            ("RPOP wa:1 3", "*3", "@wa:1=good"),
            ("LMPOP 1 wa:1 LEFT COUNT 3", "*2 'wa:1 *3", "@wa:1=good"),
            ("BLMPOP 0 1 wa:1 LEFT COUNT 3", "*2 'wa:1 *3", "@wa:1=good"),
            ("HGETDEL wa:1 FIELDS 3 f f f", "*3", "@wa:1/f=good"),
        ] {
            let mut pair = Pair::new();
            pair.send(&[line]);
            pair.sent();
            pair.answer(&format!("{head} {good} {bad} {good}"));
            let got = pair.got();
            let before = to_client(&format!("{head} {good}"));
            let rest = got.strip_prefix(&before).unwrap();
            let error = rest.strip_suffix(&to_client(good)).unwrap();
            assert_error(error, word, line);
            pair.assert_usable();
        }
    }
}

#[test]
fn a_value_with_any_byte_changed_does_not_open() {
    let whole = envelope("wa:1=stolen", KEY);
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 1;
        let mut pair = Pair::with(Mode::Required, Limits::default());
        pair.send(&["GET wa:1"]);
        pair.sent();
        let reply = [
            format!("${}\r\n", damaged.len()).as_bytes(),
            &damaged,
            b"\r\n",
        ]
        .concat();
        pair.answer_bytes(&reply).unwrap();
        assert_error(&pair.got(), "-SEAL", &at.to_string());
        pair.assert_usable();
    }
}

#[test]
fn plaintext_is_refused_in_mode_required_in_any_notation() {
    let required = || Pair::with(Mode::Required, Limits::default());
    for (line, reply) in [
        ("GET wa:1", "'stolen"),
        ("GET wa:1", "+stolen"),
        ("GET wa:1", ":17"),
        ("GET wa:1", ",1.5"),
        ("GET wa:1", "#t"),
        ("GET wa:1", "|1 'a 'b +stolen"),
        ("STRLEN wa:1", "'stolen"),
        ("MGET wa:1", "*1 +stolen"),
        ("HGET wa:h f", "+stolen"),
        ("HGETALL wa:h", "*2 'f 'stolen"),
        ("LRANGE wa:1 0 -1", "*1 +stolen"),
        ("BLPOP wa:1 0", "*2 'wa:1 +stolen"),
    ] {
        let mut pair = required();
        pair.send(&[line]);
        pair.sent();
        pair.answer(reply);
        let got = pair.got();
        let error = got.rsplit_once("-SEALPLAIN ").map(|(_, text)| text);
        assert!(error.is_some(), "{line} {reply}: {got}");
        assert!(!got.contains("stolen") && !got.contains("17"), "{got}");
        pair.assert_usable();
    }
}

#[test]
fn plaintext_is_forwarded_in_mode_on() {
    let mut pair = Pair::new();
    pair.exchange("GET wa:1", "'clear", "'clear");
    pair.exchange("GET wa:1", "+clear", "+clear");
    pair.exchange("MGET wa:1 wa:2", "*2 'clear @wa:2=v", "*2 'clear @wa:2=v");
}
