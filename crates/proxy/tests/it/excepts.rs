//! Excepted names: new values are plain, sealed ones still open, and requests that would be refused are forwarded.

use waxseal_core::{Mode, NameMask, SecretKey};
use waxseal_policy::RecordPattern;
use waxseal_proxy::{Limits, Protection};

use crate::pair::{KEY, Pair, assert_sent, from_server, request, sealer, to_client};

fn pair(mode: Mode) -> Pair {
    pair_with(mode, Limits::default())
}

fn pair_with(mode: Mode, limits: Limits) -> Pair {
    let pattern = RecordPattern::parse("wa:*").unwrap();
    let pattern = pattern.except(&["wa:*_LOCK"]).unwrap();
    let mask = NameMask::derived_from(&SecretKey::from_bytes(&KEY).unwrap());
    let protection = Protection::new(vec![(pattern, sealer(KEY, mode))], mask);
    Pair::over(protection, limits)
}

#[test]
fn new_values_are_plain_and_stored_ones_open_in_every_mode() {
    for mode in [Mode::Off, Mode::On, Mode::Required] {
        let mut pair = pair(mode);
        for (line, reply) in [
            ("SET wa:1_LOCK token NX PX 3000", "+OK"),
            ("GETSET wa:1_LOCK token", "'other"),
            ("GET wa:1_LOCK", "'token"),
            // Sealed before the name was excepted.
            ("GET wa:1_LOCK", "@wa:1_LOCK=token"),
            ("MGET wa:1_LOCK wa:1 other", "*3 'token @wa:1=v 'x"),
            ("HSET wa:h_LOCK f 1", ":1"),
            ("HGETALL wa:h_LOCK", "*4 'f '1 'g @wa:h_LOCK/g=2"),
            ("BLPOP wa:q_LOCK 1", "*2 'wa:q_LOCK 'job"),
            ("EVALSHA 0123 1 wa:1_LOCK token", ":1"),
            ("INCR wa:n_LOCK", ":2"),
            ("RENAME wa:n_LOCK wa:m_LOCK", "+OK"),
        ] {
            pair.exchange(line, reply, reply);
        }
        pair.assert_usable();
    }
}

#[test]
fn each_value_of_a_request_is_sealed_or_plain_by_its_name() {
    let mut pair = pair(Mode::On);
    let line = "MSET wa:1_LOCK token wa:1 @wa:1=v";
    pair.send(&[line]);
    assert_sent(&pair.sent(), &[line]);
    pair.answer("+OK");
    assert_eq!(pair.got(), to_client("+OK"));
    // Bytes that are not changed.
    pair.send(&["SET wa:1_LOCK token"]);
    assert_eq!(pair.sent(), request("SET wa:1_LOCK token"));
    pair.answer("+OK");
    pair.got();
    pair.send(&["EVAL script 2 wa:1_LOCK wa:1", "RENAME wa:1 wa:1_LOCK"]);
    assert_eq!(pair.sent(), b"");
    let got = pair.got();
    assert_eq!(got.matches("SEALREFUSED").count(), 2, "{got}");
}

#[test]
fn plain_values_above_the_limit_of_sealed_ones_pass_in_both_directions() {
    let limits = Limits {
        value: 100,
        request: 400,
        ..Limits::default()
    };
    let long = "v-".repeat(40_000);
    for line in [
        format!("SET wa:1_LOCK {long}"),
        format!("APPEND wa:1_LOCK {long}"),
        format!("RPUSH wa:1_LOCK {long}"),
    ] {
        let mut pair = pair_with(Mode::Required, limits);
        let bytes = request(&line);
        bytes.chunks(1000).for_each(|chunk| pair.bytes(chunk));
        assert!(pair.sent() == bytes, "{}", pair.got());
        pair.answer("+OK");
        assert_eq!(pair.got(), to_client("+OK"));
        pair.assert_usable();
    }
    let sealed = from_server(&format!("@wa:1_LOCK={long}"));
    let base64 = from_server(&format!("'{}", "vV".repeat(40_000)));
    let plain = from_server(&format!("'{long}"));
    for (record, reply, passes) in [
        ("wa:1_LOCK", &plain, true),
        // These could be envelopes.
        ("wa:1_LOCK", &sealed, false),
        ("wa:1_LOCK", &base64, false),
        ("wa:1", &plain, false),
    ] {
        for size in [1, 1000, usize::MAX] {
            let mut pair = pair_with(Mode::Required, limits);
            pair.send(&[&format!("GET {record}")]);
            pair.sent();
            for chunk in reply.chunks(size.min(reply.len())) {
                pair.answer_bytes(chunk).unwrap();
            }
            let got = pair.got();
            match passes {
                true => assert!(got.as_bytes() == *reply, "{size}"),
                false => assert!(got.starts_with("-SEALREFUSED GET: the reply "), "{record}"),
            }
            pair.assert_usable();
        }
    }
}

/// Compare and delete, without spaces.
const RELEASE: &str = "if\tredis.call('get',KEYS[1])==ARGV[1]\tthen\treturn\tredis.call('del',KEYS[1])\telse\treturn\t0\tend";

#[test]
fn the_script_of_a_lock_that_was_sealed_before_releases_it() {
    let release = |token: &str| format!("EVAL {RELEASE} 1 wa:1_LOCK {token}");
    let by_digest = |token: &str| {
        format!("EVALSHA b70c2384248f88e6b75b9f89241a180f856ad852 1 wa:1_LOCK {token}")
    };
    for line in [release("token"), by_digest("token")] {
        for (stored, sent) in [
            (
                "@wa:1_LOCK=token",
                line.replace(" token", " @wa:1_LOCK=token"),
            ),
            // A plain value, or none: unchanged.
            ("'token", line.clone()),
            ("'other", line.clone()),
            ("$-1", line.clone()),
        ] {
            let mut pair = pair(Mode::On);
            pair.send(&[&line]);
            assert_sent(&pair.sent(), &["gET wa:1_LOCK"]);
            pair.answer(stored);
            assert_sent(&pair.sent(), &[&sent]);
            pair.answer(":1");
            assert_eq!(pair.got(), ":1\r\n", "{stored}");
            pair.assert_usable();
        }
    }
    // A sealed value of another client: the token is not replaced by it.
    let mut pair = pair(Mode::On);
    pair.send(&[&release("token")]);
    pair.sent();
    pair.answer("@wa:1_LOCK=other");
    let sent = pair.sent();
    assert!(!sent.windows(5).any(|it| it == b"token") && !sent.is_empty());
    pair.answer(":0");
    assert_eq!(pair.got(), ":0\r\n");
    pair.assert_usable();
}

#[test]
fn a_script_over_an_excepted_name_inside_a_transaction_is_forwarded() {
    let mut pair = pair(Mode::On);
    let release = format!("EVAL {RELEASE} 1 wa:1_LOCK token");
    pair.send(&["MULTI", &release, "EXEC"]);
    assert_sent(&pair.sent(), &["MULTI", &release, "EXEC"]);
    pair.answer("+OK +QUEUED *1 :1");
    pair.got();
    pair.assert_usable();
}

#[test]
fn a_digest_over_an_excepted_name_needs_no_script_text() {
    let mut pair = pair(Mode::On);
    let digest = waxseal_core::script_digest(RELEASE.as_bytes());
    let digest = waxseal_core::hex::encode(&digest);
    let line = format!("EVALSHA {digest} 1 wa:1_LOCK token");
    pair.exchange(&line, ":1", ":1");
    pair.exchange(&format!("SCRIPT LOAD {RELEASE}"), "'digest", "'digest");
    pair.send(&[&line]);
    assert_sent(&pair.sent(), &["gET wa:1_LOCK"]);
    pair.answer("@wa:1_LOCK=token");
    assert_sent(
        &pair.sent(),
        &[&line.replace(" token", " @wa:1_LOCK=token")],
    );
    pair.answer(":1");
    assert_eq!(pair.got(), ":1\r\n");
}
