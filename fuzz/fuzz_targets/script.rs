//! Texts of scripts: a known one stays the same script with comments and white space, whatever it is called with, and says
//! of each of its arguments what becomes of it.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use waxseal_policy::{Action, KnownScript, ProtectedNames, RecordPattern, decide, decide_script};

static NAMES: LazyLock<ProtectedNames> =
    LazyLock::new(|| ProtectedNames::new(vec![RecordPattern::parse("wa:*").unwrap()]));

/// Texts that are known, of which inputs replace a part.
const TEXTS: [&str; 6] = [
    "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) else return 0 end",
    "local v = redis.call('get', KEYS[1]) if not v or v ~= ARGV[1] then return 0 end redis.call('pexpire', KEYS[1], ARGV[2]) return 1",
    "return redis.call('set', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2])",
    "for i, key in ipairs(KEYS) do if redis.call('exists', key) == 1 then return 0 end end for i, key in ipairs(KEYS) do redis.call('set', key, ARGV[1], 'PX', ARGV[2]) end return #KEYS",
    "local key, now = KEYS[1], ARGV[1] local jobs = redis.call('zrangebyscore', key, '-inf', now, 'limit', 0, 1) if jobs[1] then redis.call('zrem', key, jobs[1]) return jobs[1] end",
    "return redis.call('incrby', KEYS[1], ARGV[1])",
];

// A byte that says which text, two that say which part of it is replaced, the bytes that replace it.
fuzz_target!(|input: &[u8]| {
    let [which, from, length, part @ ..] = input else {
        return;
    };
    let text = match usize::from(*which) % (TEXTS.len() + 1) {
        0 => part.to_vec(),
        which => {
            let text = TEXTS[which - 1].as_bytes();
            let from = usize::from(*from).min(text.len());
            let to = from.saturating_add(usize::from(*length)).min(text.len());
            [&text[..from], part, &text[to..]].concat()
        }
    };
    let known = KnownScript::of_text(&text);
    let same = [&b"-- mine\n \t"[..], &text, b"\n-- end"].concat();
    if known.is_some() {
        assert_eq!(KnownScript::of_text(&same), known);
    }
    let arguments: [&[u8]; 6] = [b"EVAL", &text, b"1", b"wa:1", b"5", b"6"];
    let action = decide(&NAMES, &arguments).action;
    match (known, &action) {
        (None, Action::Refuse(_)) => {}
        (Some(_), Action::Script(call)) => {
            assert!(call.location.name == 3 && call.compared >= 4 && call.compared < 6);
        }
        // It stores, adds or takes; or it was called in a way that is not foreseen.
        (Some(script), Action::Transform(_) | Action::Compute(_) | Action::Refuse(_)) => {
            assert_eq!(script.compared(), None);
        }
        other => panic!("{other:?}"),
    }
    let by_digest: [&[u8]; 6] = [b"EVALSHA", b"0", b"1", b"wa:1", b"5", b"6"];
    let by_digest = decide_script(&NAMES, &by_digest, known);
    let is_refused = |action: &Action| matches!(action, Action::Refuse(_));
    assert_eq!(is_refused(&by_digest), is_refused(&action));
});
