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
            (
                "XRANGE wa:x - +",
                format!("*2 *2 '1-1 *2 'f @wa:x>f=good *2 '1-2 *2 'f {bad}"),
            ),
            (
                "XINFO STREAM wa:x",
                format!("*4 'length :1 'first-entry *2 '1-1 *2 'f {bad}"),
            ),
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
fn delivered_entries_are_not_lost_because_a_value_is_broken() {
    for (bad, word) in BAD {
        for (line, head) in [
            ("XREAD STREAMS wa:x 0", "*1 *2 'wa:x *1 *2 '1-1"),
            (
                "XREADGROUP GROUP g c STREAMS wa:x >",
                "*1 *2 'wa:x *1 *2 '1-1",
            ),
            ("XCLAIM wa:x g c 0 1-1", "*1 *2 '1-1"),
        ] {
            let mut pair = Pair::new();
            pair.send(&[line]);
            pair.sent();
            pair.answer(&format!(
                "{head} *6 'f @wa:x>f=good 'g {bad} 'h @wa:x>h=good"
            ));
            let got = pair.got();
            let before = to_client(&format!("{head} *6 'f @wa:x>f=good 'g"));
            let rest = got.strip_prefix(&before).unwrap();
            let error = rest.strip_suffix(&to_client("'h @wa:x>h=good")).unwrap();
            assert_error(error, word, line);
            pair.assert_usable();
        }
    }
}

#[test]
fn a_value_of_a_stream_is_bound_to_its_record_its_kind_and_its_field() {
    for planted in [
        "@wa:y>f=stolen",
        "@wa:x>g=stolen",
        "@wa:x/f=stolen",
        "@wa:x=stolen",
    ] {
        let mut pair = Pair::new();
        pair.send(&["XRANGE wa:x - +"]);
        pair.sent();
        pair.answer(&format!("*1 *2 '1-1 *2 'f {planted}"));
        assert_error(&pair.got(), "-SEALBROKEN ", planted);
        pair.assert_usable();
    }
    // An envelope of a stream does not open elsewhere, either.
    let mut pair = Pair::new();
    pair.send(&["HGET wa:x f"]);
    pair.sent();
    pair.answer("@wa:x>f=stolen");
    assert_error(&pair.got(), "-SEALBROKEN ", "HGET");
}

#[test]
fn nothing_passes_in_place_of_an_entry() {
    use waxseal_proxy::UnexpectedReply;
    for (line, reply) in [
        ("XRANGE wa:x - +", "*1 'stolen"),
        ("XRANGE wa:x - +", "*1 *2 'stolen *2 'f @wa:x>f=v"),
        ("XRANGE wa:x - +", "*1 *2 '1-1 'stolen"),
        ("XRANGE wa:x - +", "*1 *2 '1-1 *1 'stolen"),
        ("XRANGE wa:x - +", "*1 *2 '1-1 *2 'f +stolen"),
        ("XRANGE wa:x - +", "*1 *3 '1-1 *2 'f @wa:x>f=v 'stolen"),
        ("XRANGE wa:x - +", "'stolen"),
        ("XCLAIM wa:x g c 0 1-1 JUSTID", "*1 '1-1-1"),
        (
            "XREAD STREAMS wa:x 0",
            "*1 *2 'other *1 *2 '1-1 *2 'f 'stolen",
        ),
        ("XAUTOCLAIM wa:x g c 0 0", "*3 '0-0 *0 *1 'stolen"),
        ("XAUTOCLAIM wa:x g c 0 0", "*2 'stolen *0"),
    ] {
        let mut pair = Pair::new();
        pair.send(&[line]);
        pair.sent();
        let ended = pair.answer_bytes(&from_server(reply));
        assert_eq!(ended, Err(UnexpectedReply::Pairing), "{line} {reply}");
        assert_eq!(pair.got(), "", "{line} {reply}");
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
        ("XRANGE wa:x - +", "*1 *2 '1-1 *2 'f 'stolen"),
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
