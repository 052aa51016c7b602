//! Requests that compare or move values of several records. The server can do that only where a value is sealed alike in
//! all of them: in one record, or in records of one group that values are bound to.

use waxseal_kinds::Kind;

use super::{Request, reply, seal};
use crate::decision::{Action, ValueSlot};
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

/// `RENAME name name`, `RENAMENX`, `COPY`: values of any kind move.
pub(super) fn move_record(request: Request<'_>) -> Result<Action, Reason> {
    let is_shared = shared(request, Kind::String).is_some();
    is_shared
        .then_some(Action::Forward)
        .ok_or(Reason::MovesValue)
}

/// `LMOVE source destination …`, `RPOPLPUSH`, `BLMOVE`, `BRPOPLPUSH`: one element moves, and is returned.
pub(super) fn move_element(request: Request<'_>) -> Result<Action, Reason> {
    let location = shared(request, Kind::ListElement).ok_or(Reason::MovesValue)?;
    Ok(reply(ReplyShape::Record(location, Layout::Value)))
}

/// One member at this argument, of all records that the request names.
pub(super) fn member_of_all(request: Request<'_>, argument: usize) -> Result<Action, Reason> {
    let location = one_scope(request)?;
    Ok(seal(
        [ValueSlot { argument, location }].into_iter().collect(),
    ))
}
