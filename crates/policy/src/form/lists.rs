//! Lists: many values for each record, all bound to the record alone, because the index of an element changes.

use smallvec::SmallVec;
use waxseal_kinds::Kind;

use super::{Request, reply, seal, seal_misplaced, seal_one, unexpected_form, wrong_number};
use crate::argument::{integer, is_any_keyword};
use crate::decision::{Action, ValueSlot};
use crate::location::{Layout, Location, ReplyShape};
use crate::refusal::Reason;

/// `LPUSH name value…`, `RPUSH`, `LPUSHX`, `RPUSHX`.
pub(super) fn push(request: Request<'_>) -> Action {
    let (true, Some(location)) = (request.len() >= 3, request.element(1)) else {
        return Action::Forward;
    };
    let slots = (2..request.len()).map(|argument| ValueSlot { argument, location });
    seal(slots.collect::<SmallVec<_>>())
}

/// `LSET name index value`.
pub(super) fn set(request: Request<'_>) -> Action {
    let index = integer(request.arguments, 2);
    match (request.len(), index, request.element(1)) {
        (4, Some(_), Some(location)) => seal_one(3, location),
        (4, None, Some(location)) => seal_misplaced(2..4, location),
        _ => wrong_number(request),
    }
}

/// `LRANGE name start end`.
pub(super) fn range(request: Request<'_>) -> Action {
    match (request.len(), request.element(1)) {
        (4, Some(location)) => reply(ReplyShape::Record(location, Layout::Elements)),
        _ => Action::Forward,
    }
}

/// `LINDEX name index`.
pub(super) fn index(request: Request<'_>) -> Action {
    match (request.len(), request.element(1)) {
        (3, Some(location)) => reply(ReplyShape::Record(location, Layout::Value)),
        _ => Action::Forward,
    }
}

/// `LPOP name [count]`, `RPOP name [count]`.
pub(super) fn pop(request: Request<'_>) -> Action {
    match (request.len(), request.element(1)) {
        (2, Some(location)) => reply(ReplyShape::Record(location, Layout::Value)),
        (3, Some(location)) => reply(ReplyShape::Record(location, Layout::Elements)),
        _ => Action::Forward,
    }
}

/// `BLPOP name… timeout`, `BRPOP`, `LMPOP count name… LEFT | RIGHT [COUNT count]`, `BLMPOP`.
pub(super) fn pop_any() -> Action {
    reply(ReplyShape::AnyName((), Kind::ListElement))
}

/// `LREM name count value`, with `len` arguments and the value at this one: the server finds elements by comparing
/// them, which it can where equal elements are sealed alike.
pub(super) fn compare(request: Request<'_>, value: usize, len: usize) -> Result<Action, Reason> {
    let location = deterministic(request)?;
    Ok(match integer(request.arguments, 2) {
        _ if request.len() != len => wrong_number(request),
        Some(_) => seal_one(value, location),
        None => seal_misplaced(2..len, location),
    })
}

/// `LPOS name value [RANK rank] [COUNT count] [MAXLEN length]`.
pub(super) fn position(request: Request<'_>) -> Result<Action, Reason> {
    let location = deterministic(request)?;
    let arguments = request.arguments;
    let is_option = |at: usize| {
        let number = integer(arguments, at.saturating_add(1)).is_some();
        number && is_any_keyword(arguments, at, &["RANK", "COUNT", "MAXLEN"])
    };
    let is_known = request.len() >= 3 && (3..request.len()).step_by(2).all(is_option);
    match is_known {
        true => Ok(seal_one(2, location)),
        false => unexpected_form(request),
    }
}

/// `LINSERT name BEFORE | AFTER pivot value`.
pub(super) fn insert(request: Request<'_>) -> Result<Action, Reason> {
    let location = deterministic(request)?;
    if request.len() != 5 {
        return Ok(wrong_number(request));
    }
    let is_known = is_any_keyword(request.arguments, 2, &["BEFORE", "AFTER"]);
    let first = if is_known { 3 } else { 2 };
    Ok(seal_misplaced(first..5, location))
}

/// The list at argument 1, if its elements are sealed deterministically.
fn deterministic(request: Request<'_>) -> Result<Location<usize>, Reason> {
    let location = request.element(1).ok_or(Reason::ComparesElement)?;
    let is_deterministic = request.names.has_deterministic_elements(location.pattern);
    is_deterministic
        .then_some(location)
        .ok_or(Reason::ComparesElement)
}
