//! Excepted names: requests that would be refused are forwarded, and values keep the pattern, marked as excepted.

use waxseal_policy::decide_early;
use waxseal_policy::{
    Action, Layout, ProtectedNames, RecordPattern, ReplyShape, RequestChange, decide,
};

use crate::{shown, split};

fn names() -> ProtectedNames {
    let sessions = RecordPattern::parse("sess:*").expect("a pattern");
    let sessions = sessions
        .except(&["sess:*_LOCK", "sess:count:*"])
        .expect("excepts");
    let users = RecordPattern::parse("wa:{user}").expect("a pattern");
    ProtectedNames::new(vec![users, sessions])
}

#[test]
fn requests_are_not_refused_because_of_an_excepted_name() {
    for (request, action) in [
        ("EVAL script 1 sess:1_LOCK token", "forward"),
        ("EVALSHA digest 1 sess:1_LOCK token", "digest or excepted"),
        ("INCR sess:count:1", "forward"),
        ("APPEND sess:count:1 x", "forward"),
        ("RENAME sess:1_LOCK other", "forward"),
        ("SADD sess:count:set a", "seal 2@1* -> as it is"),
        ("SET sess:1_LOCK v IFEQ w", "forward"),
        ("SORT sess:count:1", "forward"),
        ("JSON.SET sess:count:1 $ v", "forward"),
        ("COMMAND GETKEYS SET sess:1_LOCK v", "forward"),
        // Not if another name is protected, in any position.
        ("EVAL script 2 sess:1_LOCK sess:1", "refuse RunsCode"),
        ("EVAL script 2 sess:1 sess:1_LOCK", "refuse RunsCode"),
        ("RENAME sess:1_LOCK sess:1", "move Record sealed to @2"),
        ("RENAME wa:1 sess:1_LOCK", "refuse MovesValue"),
        ("SORT sess:count:1 BY sess:*", "sort sealed"),
        ("SORT sess:count:1 STORE sess:1", "sort sealed to @3#"),
        ("SORT sess:1 STORE sess:count:1", "refuse MovesValue"),
        (
            "JSON.MSET sess:count:1 $ v sess:1 $ v",
            "refuse UnknownCommand",
        ),
        (
            "COMMAND GETKEYS MSET sess:1_LOCK v wa:1 v",
            "refuse EmbedsRequest",
        ),
        (
            "RENAME sess:1_LOCK waxseal:canary",
            "refuse WritesOwnRecord",
        ),
    ] {
        let decided = decide(&names(), &split(request)).action;
        let decided = shown(&decided);
        assert_eq!(decided, action, "{request}");
    }
}

#[test]
fn values_of_excepted_names_keep_their_pattern_and_are_marked() {
    let names = names();
    let action = decide(&names, &split("MSET sess:1_LOCK v sess:1 w wa:1 x")).action;
    let Action::Transform(transform) = action else {
        panic!("{action:?}");
    };
    let RequestChange::Seal(slots) = transform.request else {
        panic!("{:?}", transform.request);
    };
    let ids = slots.iter().map(|slot| slot.location.pattern);
    let ids: Vec<_> = ids.map(|id| (id.index(), id.is_excepted())).collect();
    assert_eq!(ids, [(1, true), (1, false), (0, false)]);
    // Values that are still sealed are opened.
    let action = decide(&names, &split("GET sess:1_LOCK")).action;
    let Action::Transform(transform) = action else {
        panic!("{action:?}");
    };
    assert!(
        matches!(transform.reply, ReplyShape::Record(location, Layout::Value) if location.pattern.is_excepted())
    );
    // A large value is streamed to an excepted name, unless another name or a reply with a value may follow.
    for (line, total, is_certain) in [
        ("SET sess:1_LOCK", 3, true),
        ("APPEND sess:1_LOCK", 3, true),
        ("RPUSH sess:1_LOCK x", 4, true),
        ("HSET sess:1_LOCK f", 4, true),
        ("MSET sess:1_LOCK", 3, true),
        ("SET sess:1_LOCK", 5, false),
        ("GETSET sess:1_LOCK", 3, false),
        ("MSET sess:1_LOCK", 5, false),
        ("SET sess:1", 3, false),
    ] {
        let decided = decide_early(&names, &split(line), total);
        assert_eq!(decided.is_some(), is_certain, "{line} of {total}");
    }
    assert_eq!(names.find_sealed(b"sess:1_LOCK"), None);
    assert_eq!(
        names
            .pattern(names.find(b"sess:1_LOCK").expect("an id"))
            .as_str(),
        "sess:*"
    );
}
