//! Tests of single patterns, and of the relations of several.

use super::*;

fn pattern(text: &str) -> RecordPattern {
    RecordPattern::parse(text).unwrap()
}

#[test]
fn names_match_by_prefix_wildcard_and_suffix() {
    assert!(pattern("wa:*").matches(b"wa:5215512345678"));
    assert!(pattern("wa:*").matches(b"wa:"));
    assert!(!pattern("wa:*").matches(b"lock:wa:1"));
    assert!(pattern("sess:*:v2").matches(b"sess:\xff:v2"));
    assert!(!pattern("sess:*:v2").matches(b"sess:v2"));
    assert!(pattern("one").matches(b"one"));
    assert!(!pattern("one").matches(b"one more"));
    assert!(pattern("wa:{user}").matches(b"wa:"));
    assert!(pattern("wa:{user}:state").matches(b"wa::state"));
    assert!(!pattern("wa:{user}:state").matches(b"wa:state"));
}

#[test]
fn the_user_is_captured() {
    assert_eq!(
        pattern("wa:{user}").user(b"wa:5215512345678"),
        Some(&b"5215512345678"[..])
    );
    assert_eq!(
        pattern("wa:{user}:state").user(b"wa:1:state"),
        Some(&b"1"[..])
    );
    assert_eq!(pattern("wa:*").user(b"wa:1"), None);
    assert_eq!(pattern("wa:{user}").user(b"wa:"), None);
    assert_eq!(
        pattern("wa:{user}:state").name_of(b"1").as_deref(),
        Some(&b"wa:1:state"[..])
    );
    assert_eq!(pattern("wa:{user}").name_of(b""), None);
    assert_eq!(pattern("wa:*").name_of(b"1"), None);
    assert_eq!(pattern("wa:{user}").glob(), "wa:*");
}

#[test]
fn our_own_names_never_match() {
    assert!(!pattern("*").matches(b"waxseal:canary"));
    assert!(pattern("*").matches(b"anything"));
    assert!(pattern("waxseal*").matches(b"waxsealant"));
    assert!(!pattern("waxseal*").matches(b"waxseal:canary"));
}

#[test]
fn a_name_belongs_to_the_most_specific_pattern_and_else_to_the_first() {
    let texts = [
        "*",
        "wa:*",
        "wa:*:state",
        "wa:temp:*",
        "wa:{user}",
        "wa:temp:1",
        "other:*",
        "*:state",
    ];
    let resolved = RecordPattern::resolve(texts.map(pattern).to_vec());
    let reversed = texts.iter().rev().map(|text| pattern(text)).collect();
    let reversed = RecordPattern::resolve(reversed);
    for (name, owner) in [
        ("wa:1", "wa:{user}"),
        ("wa:1:state", "wa:*:state"),
        ("wa:temp:2", "wa:temp:*"),
        ("wa:temp:2:state", "wa:temp:*"),
        ("wa:temp:1", "wa:temp:1"),
        ("sess:1", "*"),
        ("sess:1:state", "*:state"),
        ("other:state", "other:*"),
    ] {
        let owners = |all: &[RecordPattern]| {
            let owners = all.iter().filter(|it| it.matches(name.as_bytes()));
            owners.map(|it| it.as_str().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(owners(&resolved), [owner], "{name}");
        assert_eq!(owners(&reversed), [owner], "{name}, the other way round");
    }
    assert_eq!(resolved, texts.map(pattern));
    // The same text twice: the first.
    let twice = RecordPattern::resolve(vec![pattern("wa:*"), pattern("wa:*")]);
    assert!(twice[0].matches(b"wa:1") && !twice[1].matches(b"wa:1"));
    // Resolved again beside others, nothing remains of the first set.
    let alone = RecordPattern::resolve(vec![resolved[1].clone()]);
    assert!(alone[0].matches(b"wa:temp:1") && alone[0].yields_to().count() == 0);
}

#[test]
fn patterns_overlap_or_cover_others() {
    for (a, b, overlaps, covers) in [
        ("wa:*", "wa:temp:*", true, true),
        ("wa:temp:*", "wa:*", true, false),
        ("wa:*", "wa:{user}", true, true),
        ("wa:*", "sess:*", false, false),
        ("wa:*:state", "wa:temp:*", true, false),
        ("*:state", "*:name", false, false),
        ("wa:*", "wa:1", true, true),
        ("wa:1", "wa:*", true, false),
        ("wa:1", "wa:1", true, true),
        ("wa:1", "wa:2", false, false),
        ("wa:*:x", "wa:1", false, false),
    ] {
        let (one, other) = (pattern(a), pattern(b));
        assert_eq!(one.overlaps(&other), overlaps, "{a} and {b}");
        assert_eq!(other.overlaps(&one), overlaps, "{b} and {a}");
        assert_eq!(one.covers(&other), covers, "{a} covers {b}");
    }
}

#[test]
fn the_record_of_a_user_is_not_one_of_a_more_specific_pattern() {
    let texts = ["wa:{user}", "wa:temp:*"].map(pattern).to_vec();
    let resolved = RecordPattern::resolve(texts);
    assert_eq!(resolved[0].name_of(b"1").as_deref(), Some(&b"wa:1"[..]));
    assert_eq!(resolved[0].name_of(b"temp:1"), None);
    // A part of its records has the same users.
    let part = pattern("wa:52*").part_of(&resolved[0]);
    assert_eq!(part.user(b"wa:521"), Some(&b"521"[..]));
    assert_eq!(part.name_of(b"521").as_deref(), Some(&b"wa:521"[..]));
    assert_eq!((part.user(b"wa:1"), part.name_of(b"1")), (None, None));
    assert!(part.names_user() && !pattern("wa:52*").names_user());
}

#[test]
fn patterns_that_protect_nothing_are_refused() {
    for text in [
        " wa:*",
        "wa:* ",
        "wa:*\u{a0}",
        "\u{feff}wa:*",
        "wa:*\u{200b}",
        "\t*",
        " ",
    ] {
        let blank = PatternError::Blank(text.to_owned());
        assert_eq!(RecordPattern::parse(text), Err(blank), "{text:?}");
    }
    for text in ["wa:\0", "wa:\n*", "a\u{7f}b*"] {
        let control = PatternError::Control(text.to_owned());
        assert_eq!(RecordPattern::parse(text), Err(control), "{text:?}");
    }
    for text in ["waxseal:*", "waxseal:canary", "waxseal:{user}"] {
        let own = PatternError::Own(text.to_owned());
        assert_eq!(RecordPattern::parse(text), Err(own), "{text}");
    }
    // A space in the middle belongs to the name.
    assert!(pattern("my app:*").matches(b"my app:1"));
    // The name of a record is not in the text.
    let error = RecordPattern::parse("wa:secret ").unwrap_err().to_string();
    assert_eq!(
        error,
        "the record pattern of 10 characters begins or ends with a blank"
    );
}

#[test]
fn our_own_names_still_have_a_form() {
    let quarantine = RecordPattern::parse_own("waxseal:quarantine:*").unwrap();
    assert!(quarantine.matches_form(b"waxseal:quarantine:1"));
    assert!(!quarantine.matches_form(b"waxseal:canary"));
    assert!(pattern("*").matches_form(b"waxseal:canary"));
}

#[test]
fn a_pattern_over_our_own_names_matches_only_these() {
    let users = RecordPattern::parse_own("waxseal:user:*").unwrap();
    for name in ["waxseal:user:1", "waxseal:user:", "waxseal:canary", "wa:1"] {
        assert_eq!(
            users.matches(name.as_bytes()),
            users.matches_form(name.as_bytes())
        );
    }
    assert!(users.matches(b"waxseal:user:1") && !users.matches(b"waxseal:canary"));
    let canary = RecordPattern::parse_own("waxseal:canary").unwrap();
    assert!(canary.matches(b"waxseal:canary") && !canary.matches(b"waxseal:canary2"));
    for text in ["*", "waxseal*", "wa:*", "{user}waxseal:"] {
        let error = PatternError::NotOwn(text.to_owned());
        assert_eq!(RecordPattern::parse_own(text), Err(error));
    }
    assert_eq!(RecordPattern::parse_own(""), Err(PatternError::Empty));
}

#[test]
fn invalid_patterns_are_refused() {
    assert_eq!(RecordPattern::parse(""), Err(PatternError::Empty));
    let text = |text: &str| text.to_owned();
    for (pattern, error) in [
        ("{user}:{user}", PatternError::Users(text("{user}:{user}"))),
        ("wa:{user}*", PatternError::BesideUser(text("wa:{user}*"))),
        ("?{user}", PatternError::BesideUser(text("?{user}"))),
        ("[a]{user}", PatternError::BesideUser(text("[a]{user}"))),
        ("wa:{id}", PatternError::Brace(text("wa:{id}"), '{')),
        ("wa:id}", PatternError::Brace(text("wa:id}"), '}')),
        ("wa:[{]", PatternError::Brace(text("wa:[{]"), '{')),
        ("wa:\\", PatternError::Escape(text("wa:\\"))),
        ("wa:[ab", PatternError::OpenClass(text("wa:[ab"))),
        ("wa:[a-]", PatternError::OpenClass(text("wa:[a-]"))),
        ("wa:[]*", PatternError::EmptyClass(text("wa:[]*"))),
        ("wa:[é]*", PatternError::WideClass(text("wa:[é]*"), 'é')),
        (
            "*a*b*c*d*e*f*g*h*",
            PatternError::Stars(text("*a*b*c*d*e*f*g*h*"), 9, 8),
        ),
    ] {
        assert_eq!(RecordPattern::parse(pattern), Err(error), "{pattern}");
    }
    let long = "a".repeat(1025);
    assert_eq!(
        RecordPattern::parse(&long),
        Err(PatternError::TooLong(1025, 1024))
    );
    // The text contains the correction, but not the name of a record.
    let error = RecordPattern::parse("{wa}:secret*")
        .unwrap_err()
        .to_string();
    assert!(
        error.ends_with("a brace of a record name is written \\{"),
        "{error}"
    );
    let error = RecordPattern::parse("\\{wa\\}:secret\\")
        .unwrap_err()
        .to_string();
    assert!(error.contains("of 14 characters"), "{error}");
    // A hash tag, written without its escapes.
    let error = RecordPattern::parse("wa:{5215512345678}").unwrap_err();
    assert!(error.to_string().contains("of 18 characters"), "{error}");
}

#[test]
fn globs_are_parsed_as_redis_does() {
    for (glob, yes, no) in [
        ("a?c", &["abc", "a\u{0}c"][..], &["ac", "abbc"][..]),
        ("[a-c]x", &["ax", "cx"], &["dx", "x", "aax"]),
        ("[c-a]x", &["bx"], &["dx"]),
        ("[^a-c]x", &["dx"], &["ax", "x"]),
        ("[a\\]]x", &["ax", "]x"], &["\\x"]),
        ("[^]x", &["ax"], &["x"]),
        ("a]", &["a]"], &["a"]),
        ("\\{wa\\}:\\*", &["{wa}:*"], &["{wa}:1"]),
        ("**a**", &["a", "xax"], &["x"]),
        ("*a?b*", &["a1b", "aab--"], &["ab"]),
        ("a*a", &["aa", "aba"], &["a"]),
        ("?", &["x"], &["", "é"]),
    ] {
        for name in yes {
            assert!(
                pattern(glob).matches_form(name.as_bytes()),
                "{glob} and {name}"
            );
        }
        for name in no {
            assert!(
                !pattern(glob).matches_form(name.as_bytes()),
                "{glob} and {name}"
            );
        }
    }
    assert_eq!(pattern("\\{wa\\}:*").prefix(), "{wa}:");
    assert_eq!(pattern("\\{wa\\}:*\\*").glob(), "{wa}:*\\*");
    assert_eq!(pattern("\\{wa\\}:1").shown(), "one record");
    for (text, is_one) in [
        ("\\{wa\\}:1", true),
        ("a\\\\*", false),
        ("a?", true),
        ("a", true),
        ("wa:{5215}", true),
        ("wa:{user}", false),
    ] {
        assert_eq!(RecordPattern::is_one_name(text), is_one, "{text}");
    }
    assert_eq!(pattern("a[a-c^]**").glob(), "a[\\^a-c]*");
}

#[test]
fn a_wildcard_matches_the_shortest_text_and_the_last_one_what_remains() {
    for (glob, name, user) in [
        ("wa:{user}:*", "wa:1:2:3", Some("1")),
        ("wa:*:{user}", "wa:1:2:3", Some("2:3")),
        ("*:{user}:*", "a:b:c:d", Some("b")),
        ("wa:{user}:?", "wa:1:2:3", Some("1:2")),
        ("*[0-9]-{user}-x", "a-1-2-3-x", Some("2-3")),
        ("wa:{user}:*", "wa::*", None),
    ] {
        let user = user.map(str::as_bytes);
        let pattern = pattern(glob);
        assert_eq!(pattern.user(name.as_bytes()), user, "{glob}");
        assert!(pattern.matches_form(name.as_bytes()));
        // A user does not determine one of several records.
        assert!(pattern.has_many_records_per_user() && pattern.name_of(b"1").is_none());
    }
    assert!(
        !pattern("wa:{user}:x").has_many_records_per_user()
            && !pattern("wa:*").has_many_records_per_user()
    );
}

#[test]
fn several_wildcards_overlap_and_cover_each_other() {
    for (a, b, overlaps, covers) in [
        ("*a*", "*b*", true, false),
        ("wa:?", "wa:??", false, false),
        ("wa:?*", "wa:??", true, true),
        ("wa:[ab]", "wa:[bc]", true, false),
        ("wa:[ab]", "wa:[cd]", false, false),
        ("wa:[^a]", "wa:a", false, false),
        ("wa:[a-z]", "wa:[b-d]", true, true),
        ("wa:*:*", "wa:*:x:*", true, true),
        ("wa:*:x:*", "wa:*:*", true, false),
        ("wa:{user}:*", "wa:*:lock", true, true),
        ("*:lock", "wa:*:*", true, false),
        ("a*b", "a?b", true, true),
        ("a*bc", "ab*c", true, false),
        ("ab*ba", "aba", false, false),
    ] {
        let (one, other) = (pattern(a), pattern(b));
        assert_eq!(one.overlaps(&other), overlaps, "{a} and {b}");
        assert_eq!(other.overlaps(&one), overlaps, "{b} and {a}");
        assert_eq!(one.covers(&other), covers, "{a} covers {b}");
    }
}

#[test]
fn of_two_patterns_with_wildcards_the_one_with_more_literal_text_owns_a_name() {
    let texts = [
        "wa:*:*:x",
        "wa:*:ab*:x",
        "wa:?*",
        "wa:{user}:ab*:x",
        "wa:?*:x",
    ];
    let resolved = RecordPattern::resolve(texts.map(pattern).to_vec());
    for (name, owner) in [
        ("wa:1:ab:x", "wa:{user}:ab*:x"),
        ("wa:1:2:x", "wa:*:*:x"),
        ("wa:1:x", "wa:?*:x"),
        ("wa:1", "wa:?*"),
    ] {
        let owners = resolved.iter().filter(|it| it.matches(name.as_bytes()));
        assert_eq!(
            owners.map(RecordPattern::as_str).collect::<Vec<_>>(),
            [owner],
            "{name}"
        );
    }
}

#[test]
fn excepted_names_still_belong_to_the_pattern() {
    let sessions = pattern("sess:*").except(&["sess:*_LOCK", "*:tmp"]).unwrap();
    for (name, is_excepted) in [
        ("sess:1", false),
        ("sess:1_LOCK", true),
        ("sess:1:tmp", true),
    ] {
        assert!(sessions.matches(name.as_bytes()));
        assert_eq!(sessions.is_excepted(name.as_bytes()), is_excepted, "{name}");
    }
    // A part of the records has the excepts of the whole.
    let part = pattern("sess:1*").part_of(&sessions);
    assert!(part.is_excepted(b"sess:1_LOCK") && !part.is_excepted(b"sess:12"));
    // Except for those that none of its names can match.
    let locks = pattern("sess:*").except(&["sess:lock:*"]).unwrap();
    assert_eq!(pattern("sess:1*").part_of(&locks).excepts().count(), 0);
    assert_eq!(
        sessions.excepts().collect::<Vec<_>>(),
        ["sess:*_LOCK", "*:tmp"]
    );
    let one = pattern("sess:*").except(&["sess:secret"]).unwrap();
    assert_eq!(one.shown_excepts().collect::<Vec<_>>(), ["one record"]);
    // Nearly a whole name.
    assert_eq!(pattern("wa:5215512345678?").shown(), "one record");
    assert!(RecordPattern::is_one_name("wa:521551234567[0-9]"));
}

#[test]
fn an_except_for_names_of_another_pattern_has_no_effect() {
    let resolve = |wide: &[&str], narrow: &[&str]| {
        let wide = pattern("app:*").except(wide).unwrap();
        let narrow = pattern("app:u:*").except(narrow).unwrap();
        RecordPattern::resolve(vec![wide, narrow])
    };
    let resolved = resolve(&["app:u:*:lock"], &[]);
    assert_eq!(
        resolved[0].check_excepts().unwrap_err().to_string(),
        "the except \"app:u:*:lock\" of \"app:*\" has no effect: these names belong to \"app:u:*\"; put the \
         except there"
    );
    assert_eq!(resolved[1].check_excepts(), Ok(()));
    // In part, or if the owner has the same except.
    let resolved = resolve(&["app:*:lock"], &[]);
    assert_eq!(resolved[0].check_excepts(), Ok(()));
    let without: Vec<_> = resolved[0].excepts_without_effect().collect();
    assert_eq!(without.len(), 1);
    assert_eq!(
        (without[0].0, without[0].1.as_str()),
        ("app:*:lock", "app:u:*")
    );
    let resolved = resolve(&["app:*:lock", "app:u:*:n"], &["*:lock", "app:u:*:n"]);
    assert_eq!(resolved[0].check_excepts(), Ok(()));
    assert_eq!(resolved[0].excepts_without_effect().count(), 0);
}

#[test]
fn excepts_that_match_nothing_or_everything_are_refused() {
    for (except, error) in [
        (
            "other:*",
            "the except \"other:*\" matches no record of \"sess:*\"",
        ),
        (
            "waxseal:*",
            "the except \"waxseal:*\" matches no record of \"sess:*\"",
        ),
        (
            "sess:*",
            "the record pattern \"sess:*\" protects nothing: the except \"sess:*\" matches all of its records",
        ),
        (
            "*",
            "the record pattern \"sess:*\" protects nothing: the except \"*\" matches all of its records",
        ),
        ("", "except: a record pattern cannot be empty"),
        (
            " ",
            "except: the record pattern of 1 character begins or ends with a blank",
        ),
        (
            "sess:{user}",
            "the except \"sess:{user}\" has {user}: write * for it",
        ),
        ("sess:secret", ""),
        (
            "secret",
            "the except of 6 characters matches no record of \"sess:*\"",
        ),
    ] {
        let refused = pattern("sess:*").except(&[except]).err();
        let refused = refused.map(|it| it.to_string()).unwrap_or_default();
        assert_eq!(refused, error, "{except}");
    }
    let refused = pattern("*").except(&["waxseal:canary*"]).is_err();
    assert!(
        refused,
        "names of Waxseal's own are no records of a pattern"
    );
}
