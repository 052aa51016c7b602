//! Requests of any arguments before the policy: it always answers, speaks only of arguments that are
//! there and of names that are protected, and keeps the promise that it makes about a request of which
//! it has seen the beginning.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use waxseal_policy::{
    Action, Kind, Location, ProtectedNames, RecordPattern, ReplyShape, RequestChange, Transform,
    UnknownDigest, decide, decide_early,
};

static NAMES: LazyLock<ProtectedNames> = LazyLock::new(|| {
    let patterns =
        ["wa:{user}", "sess:*:v2", "one"].map(|text| RecordPattern::parse(text).unwrap());
    let channels = vec![RecordPattern::parse("news:*").unwrap()];
    ProtectedNames::new(patterns.into()).channels(channels)
});

// One argument in each line.
fuzz_target!(|input: &[u8]| {
    let arguments: Vec<&[u8]> = input.split(|byte| *byte == b'\n').collect();
    let decision = decide(&NAMES, &arguments);

    let upper = arguments[0].to_ascii_uppercase();
    let mut shouted = arguments.clone();
    shouted[0] = &upper;
    assert_eq!(decide(&NAMES, &shouted), decision);

    for seen in 1..=arguments.len() {
        let so_far = &arguments[..seen];
        if let Some(early) = decide_early(&NAMES, so_far, arguments.len()) {
            assert_eq!(early.action, Action::Forward, "after {seen} arguments");
            assert_eq!(early, decision);
        }
    }
    match decision.action {
        Action::Forward => {}
        Action::Refuse(refusal) => assert!(!refusal.to_string().is_empty()),
        Action::Transform(transform) => check(&arguments, &transform),
        Action::Script(call) => {
            check_location(&arguments, call.location);
            assert!(call.compared < arguments.len());
            if let Some(slot) = call.stored {
                assert!(slot.argument < arguments.len());
                check_location(&arguments, slot.location);
            }
        }
        Action::ScriptDigest(UnknownDigest::Refuse(refusal)) => {
            assert!(!refusal.to_string().is_empty());
        }
        Action::ScriptDigest(UnknownDigest::Forward | UnknownDigest::Excepted) => {}
        // A field that is missing is an error of arity, found where it is computed.
        Action::Compute(call) => assert!(call.location.name < arguments.len()),
    }
});

fn check(arguments: &[&[u8]], transform: &Transform) {
    match &transform.request {
        RequestChange::None => {}
        RequestChange::Seal(slots) => {
            // `HSETEX … FIELDS 0` has a place for values, and none in it.
            assert!(!slots.is_empty() || arguments.contains(&&b"0"[..]));
            for slot in slots {
                assert!(slot.argument > slot.location.name && slot.argument < arguments.len());
                assert_ne!(Some(slot.argument), slot.location.field);
                check_location(arguments, slot.location);
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
        ReplyShape::Record(location, _) => check_location(arguments, *location),
        ReplyShape::EachField(of) => {
            assert!(of.fields.start > of.record.name && of.fields.end <= arguments.len());
            check_location(arguments, of.record);
        }
        ReplyShape::Part(part) => check_location(arguments, part.location),
        ReplyShape::Members(scan) => {
            check_location(arguments, scan.location);
            assert!(scan.glob.is_none_or(|glob| glob < arguments.len()));
        }
    }
}

fn check_location(arguments: &[&[u8]], location: Location<usize>) {
    let name = arguments[location.name];
    let pattern = match location.kind {
        Kind::Message => NAMES.find_channel(name),
        _ => NAMES.find(name),
    };
    assert_eq!(pattern, Some(location.pattern));
    assert!(location.field.is_none_or(|field| field < arguments.len()));
}
