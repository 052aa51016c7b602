//! Requests of any arguments before the policy: it always answers, speaks only of arguments that are
//! there and of names that are protected, and keeps the promise that it makes about a request of which
//! it has seen the beginning.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use waxseal_policy::{
    Action, Kind, Location, MoveCall, Moved, ProtectedNames, RecordPattern, ReplyShape,
    RequestChange, Scope, Transform, UnknownDigest, decide, decide_early,
};

/// Names whose values are bound to their record; the same in groups, with elements that are found; and with some names that
/// are stored sealed.
static NAMES: LazyLock<[ProtectedNames; 3]> = LazyLock::new(|| {
    let names = || {
        let patterns =
            ["wa:{user}", "sess:*:v2", "one"].map(|text| RecordPattern::parse(text).unwrap());
        let channels = vec![RecordPattern::parse("news:*").unwrap()];
        ProtectedNames::new(patterns.into()).channels(channels)
    };
    // The first two in one group, the first under keys of users.
    let grouped = names().with_scopes(|index| Scope {
        group: u32::try_from(index / 2).ok(),
        per_user: index == 0,
        deterministic_elements: true,
    });
    let sealed_names = names().with_managed_names(|index| index < 2);
    [names(), grouped, sealed_names]
});

// One argument in each line.
fuzz_target!(|input: &[u8]| {
    let arguments: Vec<&[u8]> = input.split(|byte| *byte == b'\n').collect();
    NAMES.iter().for_each(|names| check_all(names, &arguments));
});

fn check_all(names: &ProtectedNames, arguments: &[&[u8]]) {
    let decision = decide(names, arguments);

    let upper = arguments[0].to_ascii_uppercase();
    let mut shouted = arguments.to_vec();
    shouted[0] = &upper;
    assert_eq!(decide(names, &shouted), decision);

    for seen in 1..=arguments.len() {
        let so_far = &arguments[..seen];
        if let Some(early) = decide_early(names, so_far, arguments.len()) {
            assert_eq!(early.action, Action::Forward, "after {seen} arguments");
            assert_eq!(early, decision);
        }
    }
    for slot in &decision.names {
        let name = arguments[slot.argument as usize];
        assert_eq!(names.find(name), Some(slot.pattern));
        assert!(names.is_managed(slot.pattern));
    }
    assert!(decision.names.is_sorted_by(|one, next| one.argument < next.argument));
    match decision.action {
        Action::Forward => {}
        Action::Refuse(refusal) => assert!(!refusal.to_string().is_empty()),
        Action::Transform(transform) => check(names, arguments, &transform),
        Action::Script(call) => {
            check_location(names, arguments, call.location);
            assert!(call.compared < arguments.len());
            if let Some(slot) = call.stored {
                assert!(slot.argument < arguments.len());
                check_location(names, arguments, slot.location);
            }
        }
        Action::ScriptDigest(UnknownDigest::Refuse(refusal)) => {
            assert!(!refusal.to_string().is_empty());
        }
        Action::ScriptDigest(UnknownDigest::Forward | UnknownDigest::Excepted) => {}
        Action::Tracking(call) => {
            assert!(call.prefixes.iter().all(|at| *at < arguments.len()));
        }
        // A field that is missing is an error of arity, found where it is computed.
        Action::Compute(call) => assert!(call.location.name < arguments.len()),
        Action::Move(call) => check_move(names, arguments, call),
    }
}

/// What moves comes from a record of the request, and goes to a protected one that it is not bound to.
fn check_move(names: &ProtectedNames, arguments: &[&[u8]], call: MoveCall) {
    let (source, destination) = (arguments[call.source], arguments[call.destination.name]);
    assert_eq!(names.find(source), call.pattern);
    check_location(names, arguments, call.destination);
    assert!(
        !names.share_values(source, destination),
        "it could be forwarded"
    );
    assert_eq!(
        call.destination.kind == Kind::ListElement,
        matches!(call.moved, Moved::Element { .. })
    );
}

fn check(names: &ProtectedNames, arguments: &[&[u8]], transform: &Transform) {
    match &transform.request {
        RequestChange::None => {}
        RequestChange::Seal(slots) => {
            // `HSETEX … FIELDS 0` has a place for values, and none in it.
            assert!(!slots.is_empty() || arguments.contains(&&b"0"[..]));
            for slot in slots {
                assert!(slot.argument > slot.location.name && slot.argument < arguments.len());
                assert_ne!(Some(slot.argument), slot.location.field);
                check_location(names, arguments, slot.location);
            }
            let mut sealed: Vec<usize> = slots.iter().map(|slot| slot.argument).collect();
            sealed.sort_unstable();
            sealed.dedup();
            assert_eq!(sealed.len(), slots.len(), "a value sealed twice");
        }
        RequestChange::Reword {
            arguments: reworded,
            ..
        } => assert!(reworded.iter().all(|at| *at > 0 && *at < arguments.len())),
        RequestChange::Glob {
            arguments: globs, ..
        } => {
            assert!(globs.iter().all(|at| *at > 0 && *at < arguments.len()));
            assert!(!globs.is_empty());
        }
        RequestChange::Omit(omitted) => {
            assert!(omitted.iter().all(|at| *at > 0 && *at < arguments.len()));
            assert!(omitted.windows(2).all(|pair| pair[0] < pair[1]));
        }
        RequestChange::Replace {
            arguments: range, ..
        } => assert!(range.start > 0 && range.end <= arguments.len()),
    }
    match &transform.reply {
        ReplyShape::Verbatim
        | ReplyShape::AnyName((), _)
        | ReplyShape::EachName(())
        | ReplyShape::Streams(()) => {}
        ReplyShape::Record(location, _) => check_location(names, arguments, *location),
        ReplyShape::EachField(of) => {
            assert!(of.fields.start > of.record.name && of.fields.end <= arguments.len());
            check_location(names, arguments, of.record);
        }
        ReplyShape::Part(part) => check_location(names, arguments, part.location),
        ReplyShape::Members(scan) => {
            check_location(names, arguments, scan.location);
            assert!(scan.glob.is_none_or(|glob| glob < arguments.len()));
        }
        ReplyShape::Names(found) => {
            assert!(found.glob.is_none_or(|glob| glob < arguments.len()));
        }
    }
}

fn check_location(names: &ProtectedNames, arguments: &[&[u8]], location: Location<usize>) {
    let name = arguments[location.name];
    let pattern = match location.kind {
        Kind::Message => names.find_channel(name),
        _ => names.find(name),
    };
    assert_eq!(pattern, Some(location.pattern));
    assert!(location.field.is_none_or(|field| field < arguments.len()));
}
