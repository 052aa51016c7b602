//! Keywords: commands, subcommands, options. A server compares them in any case and up to a zero byte, so the decision
//! must be the same for every spelling that a server accepts, or a refusal.

use proptest::prelude::*;
use waxseal_policy::table::rows;
use waxseal_policy::{Action, Reason, decide};

use crate::{names, split};

/// Requests with every option that affects names, values or the connection. The words in upper case are keywords.
const REQUESTS: [&str; 65] = [
    "SET wa:1 v NX GET EX 10",
    "SET wa:1 v XX KEEPTTL",
    "SET wa:1 v PX 10",
    "SET wa:1 v EXAT 10",
    "SET wa:1 v PXAT 10",
    "SET wa:1 v IFEQ x",
    "GETEX wa:1 PERSIST",
    "MSETEX 1 wa:1 v NX EX 10",
    "MSETEX 1 wa:1 v XX KEEPTTL",
    "DELEX wa:1 IFEQ x",
    "HSCAN wa:1 0 MATCH f* COUNT 5 NOVALUES",
    "HSCAN wa:1 0 MATCH f*",
    "HRANDFIELD wa:1 3 WITHVALUES",
    "HSETEX wa:1 FNX EX 10 FIELDS 1 f v",
    "HSETEX wa:1 FXX KEEPTTL FIELDS 1 f v",
    "HGETEX wa:1 PERSIST FIELDS 1 f",
    "HGETEX wa:1 EX 10 FIELDS 1 f",
    "HGETDEL wa:1 FIELDS 1 f",
    "SORT log BY nosort GET # GET wa:* LIMIT 0 1 ASC ALPHA",
    "SORT log BY wa:* DESC",
    "SORT log STORE wa:1",
    "SORT log LIMIT 0 1 STORE lag",
    "GEORADIUS log 0 0 1 km STORE wa:1",
    "GEORADIUS log 0 0 1 km STOREDIST wa:1",
    "GEORADIUS log 0 0 1 km STORE lag",
    "GEORADIUSBYMEMBER log m 1 km STORE wa:1",
    "GEORADIUSBYMEMBER log m 1 km STOREDIST wa:1",
    "XREAD STREAMS log 0",
    "XREAD COUNT 1 STREAMS log 0",
    "XREAD BLOCK 0 STREAMS log 0",
    "XREAD COUNT 1 BLOCK 0 STREAMS wa:1 0",
    "XREADGROUP GROUP g c NOACK STREAMS log >",
    "XREADGROUP GROUP g c BLOCK 0 STREAMS log >",
    "XREADGROUP GROUP g c CLAIM 5 STREAMS log >",
    "XADD wa:1 NOMKSTREAM MAXLEN 9 * f v",
    "XADD wa:1 MINID ~ 9 LIMIT 5 KEEPREF 1-1 f v",
    "XADD wa:1 IDMP p 1 DELREF * f v",
    "XADD wa:1 IDMPAUTO p ACKED * f v",
    "XRANGE wa:1 - + COUNT 2",
    "XCLAIM wa:1 g c 0 1-1 JUSTID",
    "XINFO STREAM wa:1 FULL",
    "MIGRATE h 1 log 0 9 COPY REPLACE",
    "MIGRATE h 1  0 9 KEYS wa:1 log",
    "MIGRATE h 1  0 9 AUTH secret KEYS wa:1",
    "MIGRATE h 1  0 9 AUTH2 user secret KEYS wa:1",
    "CLIENT REPLY ON",
    "CLIENT REPLY OFF",
    "CLIENT REPLY SKIP",
    "CLIENT CAPA REDIRECT",
    "CLIENT CAPA other REDIRECT",
    "CLIENT TRACKING ON BCAST PREFIX log",
    "CLIENT KILL TYPE NORMAL SKIPME YES",
    "HELLO 3 AUTH user secret SETNAME me",
    "LMPOP 1 wa:1 LEFT COUNT 2",
    "BLMPOP 0 1 wa:1 RIGHT",
    "LMOVE log lag LEFT RIGHT",
    "LINSERT log BEFORE a b",
    "ZADD log NX CH 1 a",
    "ZUNIONSTORE lag 1 log WEIGHTS 1 AGGREGATE MAX",
    "ZRANGE log 0 1 REV WITHSCORES",
    "BITOP AND wa:1 log",
    "COMMAND GETKEYS SET wa:1 v",
    "ACL DRYRUN user SET wa:1 v",
    "OBJECT ENCODING wa:1",
    "EVAL code 1 wa:1",
];

/// True if an argument is a keyword in these requests.
fn is_word(argument: &[u8]) -> bool {
    argument.len() > 1
        && argument
            .iter()
            .all(|byte| byte.is_ascii_uppercase() || *byte == b'2')
}

/// Words that come before their own options: a server looks them up in a table.
fn looked_up(arguments: &[&[u8]]) -> usize {
    let container = ["CLIENT", "COMMAND", "ACL", "OBJECT", "XINFO"];
    let word = arguments.first().copied().unwrap_or_default();
    if container.iter().any(|name| name.as_bytes() == word) {
        2
    } else {
        1
    }
}

/// Other bytes that a server accepts as the same keyword.
fn spelling() -> impl Strategy<Value = (bool, Vec<u8>)> {
    let after = proptest::collection::vec(any::<u8>(), 0..6).prop_map(|mut bytes| {
        bytes.insert(0, 0);
        bytes
    });
    (
        any::<bool>(),
        prop_oneof![1 => Just(Vec::new()), 4 => after],
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn another_spelling_of_a_word_is_decided_alike_or_refused(
        request in proptest::sample::select(&REQUESTS[..]),
        pick in any::<prop::sample::Index>(),
        (lower, after) in spelling(),
    ) {
        let arguments = split(request);
        let words: Vec<usize> =
            (0..arguments.len()).filter(|at| is_word(arguments[*at])).collect();
        let at = words[pick.index(words.len())];
        let mut word = arguments[at].to_vec();
        if lower {
            word.make_ascii_lowercase();
        }
        word.extend(&after);
        let mut other = arguments.clone();
        other[at] = &word;
        let (expected, found) = (decide(&names(), &arguments), decide(&names(), &other));
        let refused = matches!(found.action, Action::Refuse(_));
        prop_assert!(refused || found == expected, "{request} {}", word.escape_ascii());
        if at < looked_up(&arguments) && !after.is_empty() {
            prop_assert!(refused, "{request} {}", word.escape_ascii());
        }
        if !refused {
            prop_assert_eq!(found.effect, expected.effect);
        }
    }

    #[test]
    fn a_zero_byte_in_the_word_of_any_command_is_refused(
        row in (0..rows().len()).prop_map(|at| &rows()[at]),
        at in any::<prop::sample::Index>(),
        after in proptest::collection::vec(any::<u8>(), 0..4),
        arguments in 0..4_usize,
    ) {
        let mut words: Vec<Vec<u8>> =
            row.name.split('|').map(|word| word.as_bytes().to_vec()).collect();
        let at = at.index(words.len());
        words[at].push(0);
        words[at].extend(after);
        words.extend((0..arguments).map(|_| b"log".to_vec()));
        let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
        let Action::Refuse(refusal) = decide(&names(), &words).action else {
            return Err(TestCaseError::fail(format!("{words:?}")));
        };
        prop_assert_eq!(refusal.reason, Reason::ZeroByte);
    }
}

#[test]
fn a_name_after_a_keyword_with_a_zero_byte_is_found() {
    for request in [
        "GEORADIUS log 0 0 1 km STORE\0 wa:9",
        "GEORADIUS log 0 0 1 km storedist\0x wa:9",
        "MIGRATE h 1  0 9 KEYS\0 wa:1",
        "SORT log STORE\0 wa:1",
        "SORT log GET\0 wa:*",
    ] {
        let action = decide(&names(), &split(request)).action;
        let is_found = matches!(action, Action::Refuse(_) | Action::Sort(_));
        assert!(is_found, "{request:?}");
    }
}

#[test]
fn a_request_that_may_wait_is_recognised_by_its_whole_form() {
    use waxseal_policy::Effect;
    for request in [
        "XREAD BLOCK\0 0 STREAMS log $",
        "XREAD COUNT 1 block\0junk 0 STREAMS log $",
        "XREADGROUP GROUP g c BLOCK\0 0 STREAMS log >",
        "XREAD LATER 0 STREAMS log $",
        "XREAD COUNT BLOCK 0 STREAMS log $",
    ] {
        assert_eq!(
            decide(&names(), &split(request)).effect,
            Effect::Blocking,
            "{request:?}"
        );
    }
}
