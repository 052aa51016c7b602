//! Requests that compare or move values of several records. The server can do that only where a value is sealed alike in
//! all of them: in one record, or in records of one group that values are bound to.

use waxseal_kinds::Kind;

use super::{Request, reply, seal, unexpected_form};
use crate::argument::is;
use crate::decision::{Action, End, MoveCall, Moved, ValueSlot};
use crate::location::{Layout, Location, ReplyShape};
use crate::refusal::Reason;
use crate::table::find;

/// The location that members of all records of a request share: that of its first record. `Err` if they have none in
/// common: members of two records, of records under keys of different users, or of a protected and another record.
pub(super) fn one_scope(request: Request<'_>) -> Result<Location<usize>, Reason> {
    shared(request, Kind::Member).ok_or(Reason::MixesRecords)
}

/// As [`one_scope`], for values of another kind.
fn shared(request: Request<'_>, kind: Kind) -> Option<Location<usize>> {
    let positions = find(request.arguments)?.names.places(request.arguments);
    let mut positions = positions.into_iter();
    let first = request.record(positions.next()?, kind)?;
    let name = *request.arguments.get(first.name)?;
    let is_shared = |at: usize| {
        let other = request.arguments.get(at).copied().unwrap_or_default();
        other == name || request.names.share_values(name, other)
    };
    positions.all(is_shared).then_some(first)
}

/// A command that returns no value, and compares or moves those of several records: `SUNIONSTORE`, `SINTERCARD`.
pub(super) fn within(request: Request<'_>) -> Result<Action, Reason> {
    one_scope(request).map(|_| Action::Forward)
}

/// `RENAME name name`, `RENAMENX`, `COPY name name [DB number] [REPLACE]`: values of any kind move.
pub(super) fn move_record(request: Request<'_>) -> Result<Action, Reason> {
    if request.len() < 3 || shared(request, Kind::String).is_some() {
        return Ok(Action::Forward);
    }
    let arguments = request.arguments;
    let is_command = |word: &str| is(arguments, 0, word);
    let moved = match arguments.len() {
        3 if is_command("RENAME") => Moved::Record,
        3 if is_command("RENAMENX") => Moved::RecordToFreeName,
        3 if is_command("COPY") => Moved::Copy,
        4 if is_command("COPY") && is(arguments, 3, "REPLACE") => Moved::CopyReplacing,
        // With another number of arguments servers refuse it.
        _ if !is_command("COPY") => return Ok(Action::Forward),
        // To another database, or a form that servers refuse.
        _ => return Err(Reason::MovesValue),
    };
    resealed(request, moved, Kind::String)
}

/// `LMOVE source destination from to`, `RPOPLPUSH source destination`: one element moves, and is returned.
pub(super) fn move_element(request: Request<'_>) -> Result<Action, Reason> {
    if let Some(location) = shared(request, Kind::ListElement) {
        return Ok(reply(ReplyShape::Record(location, Layout::Value)));
    }
    let end = |at: usize| match (
        is(request.arguments, at, "LEFT"),
        is(request.arguments, at, "RIGHT"),
    ) {
        (true, _) => Some(End::Left),
        (_, true) => Some(End::Right),
        _ => None,
    };
    let (from, to) = match request.len() {
        3 if is(request.arguments, 0, "RPOPLPUSH") => (End::Right, End::Left),
        5 if is(request.arguments, 0, "LMOVE") => match (end(3), end(4)) {
            (Some(from), Some(to)) => (from, to),
            _ => return unexpected_form(request),
        },
        0..=2 => return Ok(Action::Forward),
        // One that waits would have to be read when it ends.
        _ => return Err(Reason::MovesValue),
    };
    resealed(request, Moved::Element { from, to }, Kind::ListElement)
}

/// Values that are sealed again for the record that they move to. `Err` if that record's are in clear.
fn resealed(request: Request<'_>, moved: Moved, kind: Kind) -> Result<Action, Reason> {
    let destination = request.record(2, kind);
    let destination = destination.filter(|location| !location.pattern.is_excepted());
    let destination = destination.ok_or(Reason::MovesValue)?;
    Ok(Action::Move(MoveCall {
        source: 1,
        pattern: request.record(1, kind).map(|location| location.pattern),
        destination,
        moved,
    }))
}

/// One member at this argument, of all records that the request names.
pub(super) fn member_of_all(request: Request<'_>, argument: usize) -> Result<Action, Reason> {
    let location = one_scope(request)?;
    Ok(seal(
        [ValueSlot { argument, location }].into_iter().collect(),
    ))
}
