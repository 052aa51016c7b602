//! The scripts of locks: recognised in every spelling that a server runs in the same way, and in no other.

use proptest::prelude::*;
use waxseal_policy::{
    Action, Kind, KnownScript, Layout, ProtectedNames, RecordPattern, ReplyShape, RequestChange,
    ScriptReply, Transform, UnknownDigest, decide, decide_script,
};

use crate::{decided, names, shown};

const RELEASE: &str = r#"if redis.call("get",KEYS[1]) == ARGV[1] then return redis.call("del",KEYS[1]) else return 0 end"#;
/// The text of redis-py.
const EXTEND: &str = "
    local token = redis.call('get', KEYS[1])
    if not token or token ~= ARGV[1] then
        return 0
    end
    local expiration = redis.call('pttl', KEYS[1])
    if not expiration then
        expiration = 0
    end
    if expiration < 0 then
        return 0
    end

    local newttl = ARGV[2]
    if ARGV[3] == \"0\" then
        newttl = ARGV[2] + expiration
    end
    redis.call('pexpire', KEYS[1], newttl)
    return 1
";

fn is_known(text: &str) -> bool {
    KnownScript::of_text(text.as_bytes()).is_some()
}

#[test]
fn what_a_server_ignores_makes_no_difference() {
    for text in [
        RELEASE,
        EXTEND,
        "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) else return 0 end",
        "-- mine\nif redis.call([[get]],KEYS[1])==ARGV[1]--[[ not\nthis ]]then return redis.call('unlink',KEYS[1])end",
        "--[==[ ]] ]==] if (ARGV[1] == redis.call('Get', KEYS[1])) then return redis.call('del', KEYS[1]); end;\r\nreturn 0;",
        "local key = KEYS[1]\nlocal id = ARGV[1]\nif redis.call('get', key) == id then return redis.call('del', key) end return 0",
        "local a = redis.call('get', KEYS[1]) if (not a or a ~= ARGV[1]) then return 0 end redis.call('del', KEYS[1]) return 1",
        "--[=not long\nreturn redis.call('set', KEYS[1], ARGV[1], 'PX', ARGV[2], 'nx')",
    ] {
        assert!(is_known(text), "{text}");
    }
}

#[test]
fn what_a_server_runs_differently_is_another_script() {
    for (text, instead) in [
        ("==", "~="),
        ("ARGV[1]", "ARGV[2]"),
        ("ARGV[1]", "KEYS[2]"),
        ("ARGV[1]", "ARGV[1] or true"),
        ("\"del\",KEYS[1]", "\"del\",KEYS[2]"),
        ("\"del\",KEYS[1]", "\"del\",KEYS[1],KEYS[2]"),
        ("\"del\"", "\"get\""),
        ("\"get\"", "\"hget\""),
        ("\"get\"", "\"\\103et\""),
        ("\"get\"", "\"get "),
        ("\"del\"", "[[del]"),
        ("\"del\"", "[=[del]]"),
        ("return 0", "return 0 -- \nredis.call('set','a',ARGV[1])"),
        ("return 0", "return 0 --[[ "),
        ("return 0", "return ARGV[1]"),
        ("return 0", "return KEYS[1]"),
        (
            "else return 0 end",
            "else return redis.call('set',KEYS[1],ARGV[1]) end",
        ),
        ("if ", "redis.call('set','log',ARGV[1]) if "),
        ("if ", "local KEYS={'wa:2'} if "),
        ("if ", "local redis={call=print} if "),
        ("if ", "local key=KEYS[1] key='log' if "),
        ("if ", "#!lua flags=no-writes\nif "),
        (" end", " end \0"),
        (" end", " end é"),
        (" end", ""),
        ("redis.call", "server.call"),
        ("redis.call", "redis.log"),
    ] {
        let changed = RELEASE.replacen(text, instead, 1);
        assert_ne!(changed, RELEASE);
        assert!(!is_known(&changed), "{changed}");
    }
    for (text, instead) in [
        ("or token ~=", "and token ~="),
        ("expiration < 0", "expiration > 0"),
        ("newttl = ARGV[2] +", "token = ARGV[2] +"),
        ("ARGV[3]", "ARGV[1]"),
        ("'pexpire'", "'set'"),
        ("return 1", "return token"),
    ] {
        let changed = EXTEND.replacen(text, instead, 1);
        assert_ne!(changed, EXTEND);
        assert!(!is_known(&changed), "{changed}");
    }
    assert!(!is_known(&format!("{RELEASE}{}", " ".repeat(10_000))));
}

#[test]
fn a_known_script_over_one_protected_record_has_roles_for_its_arguments() {
    let decided = |words: &[&str]| {
        let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
        shown(&decide(&names(), &words).action)
    };
    let obtain = "return redis.call('set', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2])";
    let swap = "if redis.call('get', KEYS[1]) == ARGV[1] then redis.call('set', KEYS[1], ARGV[2]) return 1 else return 0 end";
    let save = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) \
                else return redis.call('set', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) end";
    let each = "local count = 0 for i, key in ipairs(KEYS) do if redis.call('get', key) == ARGV[1] then \
                redis.pcall('del', key) count = count + 1 end end return count";
    let phpredis = "b70c2384248f88e6b75b9f89241a180f856ad852";
    for (words, expected) in [
        (&["EVAL", RELEASE, "1", "wa:1", "t"][..], "script 4 None @3"),
        (&["eval_ro", RELEASE, "1", "wa:1", "t"], "script 4 None @3"),
        (
            &["EVAL", EXTEND, "1", "wa:1", "t", "9", "0"],
            "script 4 None @3",
        ),
        (&["EVAL", each, "1", "wa:1", "t"], "script 4 None @3"),
        (
            &["EVAL", save, "1", "wa:1", "t", "9"],
            "script 4 Some(4) @3",
        ),
        (
            &["EVAL", swap, "1", "wa:1", "t", "u"],
            "script 4 Some(5) @3",
        ),
        (
            &["EVAL", obtain, "1", "wa:1", "t", "9"],
            "seal 4@3 -> as it is",
        ),
        (&["EVALSHA", phpredis, "1", "wa:1", "t"], "script 4 None @3"),
        (&["EVAL", RELEASE, "1", "log", "t"], "forward"),
        (&["EVALSHA", "0", "1", "log", "t"], "forward"),
        (
            &["EVAL", each, "2", "wa:1", "log", "t"],
            "refuse ScriptNamesSeveral",
        ),
        (
            &["EVAL", each, "2", "log", "wa:1", "t"],
            "refuse ScriptNamesSeveral",
        ),
        (
            &["EVAL", RELEASE, "01", "wa:1", "t"],
            "refuse ScriptNamesSeveral",
        ),
        (&["EVAL", RELEASE, "1", "wa:1"], "refuse UnforeseenForm"),
        (&["EVAL", "return 1", "1", "wa:1", "t"], "refuse RunsCode"),
        (
            &["EVALSHA", "0", "1", "wa:1", "t"],
            "digest or refuse RunsCode",
        ),
        (
            &["evalsha_ro", "0", "2", "log", "wa:1"],
            "digest or refuse RunsCode",
        ),
        (&["FCALL", "f", "1", "wa:1"], "refuse RunsCode"),
        (
            &["COMMAND", "GETKEYS", "EVAL", RELEASE, "1", "wa:1", "t"],
            "refuse EmbedsRequest",
        ),
        (
            &["COMMAND", "GETKEYS", "EVALSHA", "0", "1", "wa:1", "t"],
            "refuse EmbedsRequest",
        ),
    ] {
        assert_eq!(decided(words), expected, "{words:?}");
    }
}

#[test]
fn what_laravel_adds_to_its_cache_is_sealed() {
    let add =
        "return redis.call('exists',KEYS[1])<1 and redis.call('setex',KEYS[1],ARGV[2],ARGV[1])";
    for (word, script) in [
        ("EVAL", add),
        ("EVALSHA", "a08c9c69b7c07ae2485190873b90d128a23e502d"),
    ] {
        let words = [word, script, "1", "wa:1", "t", "9"].map(str::as_bytes);
        let action = decide(&names(), &words).action;
        assert_eq!(shown(&action), "seal 4@3 -> as it is");
    }
}

#[test]
fn members_that_a_script_takes_by_their_scores_are_opened() {
    let one = "local key, now = KEYS[1], ARGV[1]
        local jobs = redis.call('zrangebyscore', key, '-inf', now, 'limit', 0, 1)
        if jobs[1] then
          redis.call('zrem', key, jobs[1])
          return jobs[1]
        end";
    let all = "local unix_ts = tonumber(ARGV[1])
        local res = redis.call('zrangebyscore', KEYS[1], '-inf', unix_ts)
        if #res and redis.call('zremrangebyscore', KEYS[1], '-inf', unix_ts) == #res then
            return res
        end";
    let decided = |words: &[&str]| {
        let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
        decide(&names(), &words).action
    };
    for (script, expected) in [(one, Layout::Value), (all, Layout::Elements)] {
        let action = decided(&["EVAL", script, "1", "wa:1", "1790000000.25"]);
        let Action::Transform(Transform {
            request: RequestChange::None,
            reply: ReplyShape::Record(location, layout),
        }) = action
        else {
            panic!("{action:?}");
        };
        assert_eq!((location.name, location.kind), (3, Kind::Member));
        assert_eq!(layout, expected);
        // What is no score, or more than that, can be a value, which the server would be told in clear.
        for words in [
            &["EVAL", script, "1", "wa:1"][..],
            &["EVAL", script, "1", "wa:1", "a member"],
            &["EVAL", script, "1", "wa:1", "1", "a member"],
        ] {
            assert_eq!(shown(&decided(words)), "refuse UnforeseenForm", "{words:?}");
        }
        let several = decided(&["EVAL", script, "2", "wa:1", "wa:2", "1"]);
        assert_eq!(shown(&several), "refuse ScriptNamesSeveral");
    }
    for (text, instead) in [
        ("jobs[1])", "ARGV[1])"),
        ("return jobs[1]", "return jobs"),
        ("'zrem', key", "'sadd', 'log'"),
        ("'-inf', now", "now, '+inf'"),
    ] {
        let changed = one.replacen(text, instead, 1);
        assert_ne!(changed, one);
        assert!(!is_known(&changed), "{changed}");
    }
}

#[test]
fn a_digest_is_decided_by_its_text() {
    let words = crate::split("EVALSHA 0 1 wa:1 t");
    let release = KnownScript::of_text(RELEASE.as_bytes());
    let with = |script| shown(&decide_script(&names(), &words, script));
    assert_eq!(with(release), "script 4 None @3");
    assert_eq!(with(None), "refuse RunsCode");
    let words = crate::split("EVALSHA 0 1 log t");
    assert_eq!(decide_script(&names(), &words, None), Action::Forward);
}

#[test]
fn unknown_scripts_are_forwarded_if_the_operator_allows_it_for_all_their_names() {
    let parse = |text| RecordPattern::parse(text).unwrap();
    let names = ProtectedNames::new(vec![parse("wa:*"), parse("sess:*")])
        .forward_scripts(|index| index == 1);
    let decided = |words: &[&str]| {
        let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
        shown(&decide(&names, &words).action)
    };
    for (words, expected) in [
        (&["EVAL", "return 1", "1", "sess:1", "t"][..], "forward"),
        (
            &["EVAL", "return 1", "2", "sess:1", "wa:1"],
            "refuse RunsCode",
        ),
        (&["EVAL", "return 1", "2", "log", "sess:1"], "forward"),
        (&["EVAL", RELEASE, "1", "sess:1", "t"], "script 4 None @3"),
        (&["EVAL", RELEASE, "2", "sess:1", "sess:2", "t"], "forward"),
        (&["EVALSHA", "0", "1", "sess:1", "t"], "digest or forward"),
        (
            &["EVALSHA", "0", "2", "wa:1", "sess:1"],
            "digest or refuse RunsCode",
        ),
        (&["FCALL", "f", "1", "sess:1"], "forward"),
        (&["FCALL_RO", "f", "2", "sess:1", "wa:1"], "refuse RunsCode"),
        (&["APPEND", "sess:1", "t"], "compute @1"),
    ] {
        assert_eq!(decided(words), expected, "{words:?}");
    }
}

#[test]
fn only_the_replies_of_a_mismatch_count_as_one() {
    let release = KnownScript::of_text(RELEASE.as_bytes()).unwrap();
    for (reply, is_mismatch) in [
        (ScriptReply::Integer(0), true),
        (ScriptReply::Null, true),
        (ScriptReply::Integer(1), false),
        (ScriptReply::Error, false),
        (ScriptReply::Other, false),
    ] {
        assert_eq!(release.is_mismatch(reply), is_mismatch, "{reply:?}");
    }
    assert_eq!(release.name(), "compare and delete");
    assert!(matches!(
        decided("SCRIPT LOAD code").action,
        Action::Forward
    ));
}

proptest! {
    #[test]
    fn no_text_panics(text in proptest::collection::vec(any::<u8>(), 0..60)) {
        let _ = KnownScript::of_text(&text);
        let _ = KnownScript::of_digest(&text);
    }

    #[test]
    fn no_text_of_lua_panics(
        words in proptest::collection::vec(
            proptest::sample::select(&[
                "local", "if", "(", ")", "KEYS[1]", "ARGV[1]", "redis.call(", "'get'", "[[", "]]", "--", "--[[", "then",
                "end", "for", "in", ",", "=", "==", "x", "\n", ";", "return", "'", "\"", "[=[", "elseif",
            ][..]),
            0..30,
        ),
    ) {
        let _ = KnownScript::of_text(words.join(" ").as_bytes());
    }

    /// A changed letter outside of white space makes the script another one, unless servers read it as the same.
    #[test]
    fn a_changed_letter_makes_another_script(at in any::<proptest::sample::Index>(), letter in "[a-zA-Z0-9 =\\[\\]()'~,;-]") {
        let mut changed: Vec<char> = RELEASE.chars().collect();
        let at = at.index(changed.len());
        let old = std::mem::replace(&mut changed[at], letter.chars().next().unwrap());
        let new = changed[at];
        let text: String = changed.into_iter().collect();
        // The case of commands; white space and the end of a statement, which are equivalent.
        let is_same = old.eq_ignore_ascii_case(&new) || (old == ' ' && new == ';') || old == ' ' && new == ' ';
        if !is_same {
            prop_assert!(!is_known(&text), "{}", text);
        }
    }
}

#[test]
fn scripts_over_excepted_names_alone_are_forwarded_if_they_compare_no_value() {
    let pattern = RecordPattern::parse("wa:*").unwrap().except(&["wa:*_LOCK"]);
    let names = ProtectedNames::new(vec![pattern.unwrap()]);
    let release = r#"if redis.call("get",KEYS[1])==ARGV[1] then return redis.call("del",KEYS[1]) else return 0 end"#;
    let digest = "0123456789012345678901234567890123456789";
    for (word, script) in [("EVAL", release), ("EVAL", "return 1"), ("EVALSHA", digest)] {
        let decided = |record: &str| {
            let words = [word, script, "2", "wa:1_LOCK", record, "token"].map(str::as_bytes);
            let known = decide_script(&names, &words, KnownScript::of_text(script.as_bytes()));
            (decide(&names, &words).action, known)
        };
        let excepted = match word {
            "EVALSHA" => Action::ScriptDigest(UnknownDigest::Excepted),
            _ => Action::Forward,
        };
        assert_eq!(decided("wa:2_LOCK"), (excepted, Action::Forward));
        let (first, known) = decided("wa:2");
        assert!(first != Action::Forward && known != Action::Forward);
    }
}

#[test]
fn a_known_script_over_an_excepted_name_compares_a_value_that_may_still_be_sealed() {
    let pattern = RecordPattern::parse("wa:*").unwrap().except(&["wa:*_LOCK"]);
    let names = ProtectedNames::new(vec![pattern.unwrap()]);
    let known = KnownScript::of_text(RELEASE.as_bytes());
    let phpredis = "b70c2384248f88e6b75b9f89241a180f856ad852";
    for words in [
        &["EVAL", RELEASE, "1", "wa:1_LOCK", "t"][..],
        &["EVALSHA", phpredis, "1", "wa:1_LOCK", "t"],
    ] {
        let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
        for action in [
            decide(&names, &words).action,
            decide_script(&names, &words, known),
        ] {
            assert_eq!(shown(&action), "script 4 None @3");
            assert!(matches!(action, Action::Script(call) if call.location.pattern.is_excepted()));
        }
        // The server answers that an argument is missing.
        let words = &words[..4];
        assert_eq!(decide(&names, words).action, Action::Forward);
        assert_eq!(decide_script(&names, words, known), Action::Forward);
    }
}
