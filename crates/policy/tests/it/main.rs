//! Tests of the policy: a row for every command of every supported server, the positions of names according to the
//! servers, the decision for each form, and no value that passes in plaintext.

mod allocations;
mod decisions;
mod effects;
mod excepts;
mod forms;
mod globs;
mod keywords;
mod members;
mod name_globs;
mod own_records;
mod positions;
mod properties;
mod refusals;
mod rows;
mod scripts;
mod sealed_names;
mod servers;

use waxseal_policy::{
    Action, Decision, Kind, Layout, Location, ProtectedNames, RecordPattern, ReplyShape,
};
use waxseal_policy::{RequestChange, ServerGlob, UnknownDigest, decide};

/// The policy of all these tests: names that begin with `wa:` or `sess:` are protected.
fn names() -> ProtectedNames {
    policy(&["wa:{user}", "sess:*"])
}

fn policy(patterns: &[&str]) -> ProtectedNames {
    let parse = |text: &&str| RecordPattern::parse(text).expect("a pattern");
    ProtectedNames::new(patterns.iter().map(parse).collect())
}

/// A request, its arguments separated by spaces.
fn split(request: &str) -> Vec<&[u8]> {
    request.split(' ').map(str::as_bytes).collect()
}

fn decided(request: &str) -> Decision {
    decide(&names(), &split(request))
}

/// A short notation of an action: `seal 2@1` is the value at 2 of the record named at 1, `3@1/2` is that of the field
/// named at 2, `-> value @1` is the content of the reply.
fn shown(action: &Action) -> String {
    match action {
        Action::Forward => "forward".to_owned(),
        Action::Refuse(refusal) => format!("refuse {:?}", refusal.reason),
        Action::Script(call) => {
            let stored = call.stored.map(|slot| slot.argument);
            format!("script {} {stored:?} {}", call.compared, at(call.location))
        }
        Action::Sort(call) => {
            let from = call.pattern.map_or("plain", |_| "sealed");
            let to = match call.destination {
                None => String::new(),
                Some((argument, None)) => format!(" to plain @{argument}"),
                Some((_, Some(location))) => format!(" to {}", at(location)),
            };
            format!("sort {from}{to}")
        }
        Action::Move(call) => {
            let from = call.pattern.map_or("plain", |_| "sealed");
            format!("move {:?} {from} to {}", call.moved, at(call.destination))
        }
        Action::Compute(call) => {
            let how = if call.reads {
                "read and compute"
            } else {
                "compute"
            };
            format!("{how} {}", at(call.location))
        }
        Action::Tracking(call) => {
            let all = if call.is_broadcast { " all" } else { "" };
            let on = if call.is_on { "on" } else { "off" };
            format!("tracking {on}{all} {:?}", &call.prefixes[..])
        }
        Action::ScriptDigest(digest) => match digest {
            UnknownDigest::Refuse(refusal) => format!("digest or refuse {:?}", refusal.reason),
            UnknownDigest::Forward => "digest or forward".to_owned(),
            UnknownDigest::Excepted => "digest or excepted".to_owned(),
        },
        Action::Transform(transform) => {
            let request = match &transform.request {
                RequestChange::None => "as it is".to_owned(),
                RequestChange::Seal(slots) => slots.iter().fold("seal".to_owned(), |text, slot| {
                    format!("{text} {}{}", slot.argument, at(slot.location))
                }),
                RequestChange::Reword { arguments, word } => format!("{arguments:?} {word}"),
                RequestChange::Glob { arguments, glob } => match glob {
                    ServerGlob::Bytes(glob) => format!("{arguments:?} {}", glob.escape_ascii()),
                    ServerGlob::OneName(_) => format!("{arguments:?} one name"),
                },
                RequestChange::Omit(arguments) => format!("without {arguments:?}"),
                RequestChange::Replace { command, arguments } => {
                    format!("{command} {}..{}", arguments.start, arguments.end)
                }
            };
            format!("{request} -> {}", reply(&transform.reply))
        }
    }
}

fn reply(shape: &ReplyShape) -> String {
    match shape {
        ReplyShape::Verbatim => "as it is".to_owned(),
        ReplyShape::Record(location, layout) => {
            let at = at(*location);
            match layout {
                Layout::Value => format!("value {at}"),
                Layout::Elements => format!("elements {at}"),
                Layout::Fields => format!("fields {at}"),
                Layout::ScannedFields => format!("scanned fields {at}"),
                Layout::OnlyValues => format!("only values {at}"),
                Layout::Length => format!("length {at}"),
                Layout::Scored => format!("scored {at}"),
                Layout::FirstOfEach => format!("first of each {at}"),
                Layout::Entries => format!("entries {at}"),
                Layout::ClaimedEntries => format!("claimed entries {at}"),
                Layout::StreamInfo => format!("stream info {at}"),
            }
        }
        ReplyShape::EachName(()) => "each name".to_owned(),
        ReplyShape::EachField(of) => {
            let name = of.record.name;
            of.fields.clone().fold("each".to_owned(), |text, field| {
                format!("{text} @{name}/{field}")
            })
        }
        ReplyShape::AnyName((), kind) => format!("popped {kind:?}"),
        ReplyShape::Streams(()) => "streams".to_owned(),
        ReplyShape::Part(part) => {
            let (start, end) = (part.start, part.end);
            format!("range {start}..={end} {}", at(part.location))
        }
        ReplyShape::Members(scan) => {
            let scored = if scan.scored { "scored " } else { "" };
            let glob = scan
                .glob
                .map_or(String::new(), |glob| format!(" like {glob}"));
            format!("{scored}page {}{glob}", at(scan.location))
        }
        ReplyShape::Names(found) => {
            let glob = found
                .glob
                .map_or(String::new(), |glob| format!(" like {glob}"));
            format!("names {:?}{glob}", found.layout)
        }
    }
}

/// `@1`: the string named by argument 1; `@1#`: elements of that list; `@1/2`: the field of that hash named by
/// argument 2; `@1/`: all its fields; `@1*`: members of that set; `@1:2`, `@1:`: fields of that stream. Other kinds
/// follow in words: `@1 message`.
fn at(location: Location<usize>) -> String {
    match (location.kind, location.field) {
        (Kind::HashField, Some(field)) => format!("@{}/{field}", location.name),
        (Kind::HashField, None) => format!("@{}/", location.name),
        (Kind::StreamField, Some(field)) => format!("@{}:{field}", location.name),
        (Kind::StreamField, None) => format!("@{}:", location.name),
        (Kind::ListElement, None) => format!("@{}#", location.name),
        (Kind::Member, None) => format!("@{}*", location.name),
        (Kind::String, None) => format!("@{}", location.name),
        (kind, None) => format!("@{} {kind}", location.name),
        (kind, Some(field)) => format!("@{}/{field} {kind}", location.name),
    }
}
