//! Sets: every member is sealed deterministically and bound to its record, so that the server finds it by comparing
//! bytes. Requests that name members of one record in the same places have the same form, whichever type holds them.

use smallvec::SmallVec;

use super::groups::one_scope;
use super::{Request, reply, seal};
use crate::argument::{integer, is};
use crate::decision::{Action, RequestChange, Transform, ValueSlot};
use crate::location::{Layout, MemberScan, ReplyShape};
use crate::refusal::Reason;

/// `SADD name member…` and all other commands whose arguments after the name are members. Arguments that the command
/// does not take are sealed too: the server refuses the request, and sees nothing of them.
pub(super) fn members(request: Request<'_>) -> Action {
    request.seal_members(2..request.len())
}

/// `SMOVE source destination member`.
pub(super) fn s_move(request: Request<'_>) -> Result<Action, Reason> {
    let location = one_scope(request)?;
    let slots = (3..request.len()).map(|argument| ValueSlot { argument, location });
    Ok(seal(slots.collect::<SmallVec<_>>()))
}

/// `SMEMBERS name`.
pub(super) fn all(request: Request<'_>) -> Action {
    match (request.len(), request.member(1)) {
        (2, Some(location)) => reply(ReplyShape::Record(location, Layout::Elements)),
        _ => members(request),
    }
}

/// `SPOP name [count]`, `SRANDMEMBER name [count]`.
pub(super) fn some(request: Request<'_>) -> Action {
    let is_count = integer(request.arguments, 2).is_some();
    match (request.len(), request.member(1)) {
        (2, Some(location)) => reply(ReplyShape::Record(location, Layout::Value)),
        (3, Some(location)) if is_count => reply(ReplyShape::Record(location, Layout::Elements)),
        _ => members(request),
    }
}

/// `SSCAN name cursor [MATCH glob] [COUNT count]`; `ZSCAN`, `scored`, has `NOSCORES` as well. The server cannot match
/// sealed members: `MATCH` is not sent, and applied to the opened members of each page.
pub(super) fn scan(request: Request<'_>, scored: bool) -> Result<Action, Reason> {
    let (true, Some(location)) = (request.len() >= 3, request.member(1)) else {
        return Ok(Action::Forward);
    };
    let arguments = request.arguments;
    let is_digit = |it: &u8| it.is_ascii_digit();
    if !arguments
        .get(2)
        .is_some_and(|cursor| cursor.iter().all(is_digit))
    {
        return Err(Reason::UnforeseenForm);
    }
    let mut scan = MemberScan {
        location,
        scored,
        glob: None,
    };
    let mut omitted = SmallVec::new();
    let mut at = 3_usize;
    while at < arguments.len() {
        let value = at.saturating_add(1);
        let is_count = integer(arguments, value).is_some();
        let taken = if scored && is(arguments, at, "NOSCORES") {
            scan.scored = false;
            1
        } else if is(arguments, at, "MATCH") && value < arguments.len() {
            // Of several, the last one counts.
            scan.glob = Some(value);
            omitted.extend([at, value]);
            2
        } else if is(arguments, at, "COUNT") && is_count {
            2
        } else {
            return Err(Reason::UnforeseenForm);
        };
        at = at.saturating_add(taken);
    }
    Ok(Action::Transform(Transform {
        request: match omitted.is_empty() {
            true => RequestChange::None,
            false => RequestChange::Omit(omitted),
        },
        reply: ReplyShape::Members(scan),
    }))
}

/// `SUNION name…`, `SINTER`, `SDIFF`.
pub(super) fn algebra(request: Request<'_>) -> Result<Action, Reason> {
    let location = one_scope(request)?;
    Ok(reply(ReplyShape::Record(location, Layout::Elements)))
}

impl Request<'_> {
    /// The arguments in this range are members of the record at argument 1.
    pub(super) fn seal_members(self, arguments: impl IntoIterator<Item = usize>) -> Action {
        let Some(location) = self.member(1) else {
            return Action::Forward;
        };
        let slots = arguments.into_iter();
        let slots = slots.map(|argument| ValueSlot { argument, location });
        let slots: SmallVec<[ValueSlot; 2]> = slots.collect();
        match slots.is_empty() {
            true => Action::Forward,
            false => seal(slots),
        }
    }
}
