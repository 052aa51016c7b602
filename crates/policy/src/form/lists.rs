//! Lists: many values for each record, all bound to the record alone, because the index of an element changes.

use smallvec::SmallVec;

use super::{Request, reply, seal, seal_one, unexpected_form};
use crate::argument::integer;
use crate::decision::{Action, ValueSlot};
use crate::location::{Layout, ReplyShape};
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
pub(super) fn set(request: Request<'_>) -> Result<Action, Reason> {
    let index = integer(request.arguments, 2);
    match (request.len(), index, request.element(1)) {
        (4, Some(_), Some(location)) => Ok(seal_one(3, location)),
        _ => unexpected_form(request),
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
    reply(ReplyShape::AnyName(()))
}
