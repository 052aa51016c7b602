//! Lists: many values for each record, all bound to the record alone, because an element has no place
//! of its own that stays.

use smallvec::SmallVec;

use super::{Request, not_that_form, reply, seal, seal_one};
use crate::argument::integer;
use crate::decision::{Action, ReplyShape, ValueSlot};
use crate::refusal::Reason;

/// `LPUSH name value…` and its like.
pub(super) fn push(request: Request<'_>) -> Action {
    let (true, Some(place)) = (request.len() >= 3, request.place(1)) else {
        return Action::Forward;
    };
    let slots = (2..request.len()).map(|argument| ValueSlot { argument, place });
    seal(slots.collect::<SmallVec<_>>())
}

/// `LSET name index value`.
pub(super) fn set(request: Request<'_>) -> Result<Action, Reason> {
    let index = integer(request.arguments, 2);
    match (request.len(), index, request.place(1)) {
        (4, Some(_), Some(place)) => Ok(seal_one(3, place)),
        _ => not_that_form(request),
    }
}

/// `LRANGE name start end`.
pub(super) fn range(request: Request<'_>) -> Action {
    match (request.len(), request.place(1)) {
        (4, Some(place)) => reply(ReplyShape::Elements(place)),
        _ => Action::Forward,
    }
}

/// `LINDEX name index`.
pub(super) fn index(request: Request<'_>) -> Action {
    match (request.len(), request.place(1)) {
        (3, Some(place)) => reply(ReplyShape::Value(place)),
        _ => Action::Forward,
    }
}

/// `LPOP name [count]`, `RPOP name [count]`.
pub(super) fn pop(request: Request<'_>) -> Action {
    match (request.len(), request.place(1)) {
        (2, Some(place)) => reply(ReplyShape::Value(place)),
        (3, Some(place)) => reply(ReplyShape::Elements(place)),
        _ => Action::Forward,
    }
}

/// `BLPOP name… timeout`, `LMPOP count name… LEFT | RIGHT [COUNT count]` and their like.
pub(super) fn pop_any() -> Action {
    reply(ReplyShape::Popped)
}
