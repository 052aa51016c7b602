//! Strings: one value for each record. What is stored under other types is not known here.

use smallvec::{SmallVec, smallvec};

use super::{Request, lifetime, not_that_form, replace, reply, seal, seal_one};
use crate::argument::{count, integer, is, is_any_keyword};
use crate::decision::{Action, ReplyShape, RequestChange, Transform, ValueSlot};
use crate::refusal::Reason;

/// `GET name`, `GETDEL name`.
pub(super) fn get(request: Request<'_>) -> Action {
    match (request.len(), request.place(1)) {
        (2, Some(place)) => reply(ReplyShape::Value(place)),
        _ => Action::Forward,
    }
}

/// `GETEX name [EX … | PERSIST]`: whatever follows the name is no value.
pub(super) fn get_ex(request: Request<'_>) -> Action {
    match request.place(1) {
        Some(place) => reply(ReplyShape::Value(place)),
        None => Action::Forward,
    }
}

/// `GETSET name value`.
pub(super) fn get_set(request: Request<'_>) -> Result<Action, Reason> {
    match (request.len(), request.place(1)) {
        (3, Some(place)) => Ok(seal_and_open(2, place)),
        _ => not_that_form(request),
    }
}

/// `SET name value [NX | XX] [GET] [EX … | KEEPTTL]`, in any order.
pub(super) fn set(request: Request<'_>) -> Result<Action, Reason> {
    let (true, Some(place)) = (request.len() >= 3, request.place(1)) else {
        return not_that_form(request);
    };
    let arguments = request.arguments;
    let mut answers_old_value = false;
    let mut at = 3_usize;
    while at < arguments.len() {
        let taken = if is_any_keyword(arguments, at, &["NX", "XX"]) {
            1
        } else if is(arguments, at, "GET") {
            answers_old_value = true;
            1
        } else if is_any_keyword(arguments, at, &["IFEQ", "IFNE", "IFDEQ", "IFDNE"]) {
            return Err(Reason::ComparesValue);
        } else {
            lifetime(arguments, at).ok_or(Reason::UnforeseenForm)?
        };
        at = at.saturating_add(taken);
    }
    Ok(if answers_old_value {
        seal_and_open(2, place)
    } else {
        seal_one(2, place)
    })
}

/// `SETEX name seconds value`, `PSETEX name milliseconds value`.
pub(super) fn set_ex(request: Request<'_>) -> Result<Action, Reason> {
    let lifetime = integer(request.arguments, 2);
    match (request.len(), lifetime, request.place(1)) {
        (4, Some(_), Some(place)) => Ok(seal_one(3, place)),
        _ => not_that_form(request),
    }
}

/// `SETNX name value`.
pub(super) fn set_nx(request: Request<'_>) -> Result<Action, Reason> {
    match (request.len(), request.place(1)) {
        (3, Some(place)) => Ok(seal_one(2, place)),
        _ => not_that_form(request),
    }
}

/// `MGET name…`.
pub(super) fn m_get() -> Action {
    reply(ReplyShape::EachName)
}

/// `MSET name value…`, `MSETNX name value…`: slot by slot.
pub(super) fn m_set(request: Request<'_>) -> Result<Action, Reason> {
    if request.len().is_multiple_of(2) {
        return not_that_form(request);
    }
    Ok(seal(slots(request, 1, request.len())))
}

/// `MSETEX count name value… [NX | XX] [EX … | KEEPTTL]`.
pub(super) fn m_set_ex(request: Request<'_>) -> Result<Action, Reason> {
    let arguments = request.arguments;
    let end = count(arguments, 1)
        .and_then(|count| count.checked_mul(2)?.checked_add(2))
        .filter(|end| *end <= arguments.len())
        .ok_or(Reason::UnforeseenForm)?;
    let mut at = end;
    while at < arguments.len() {
        let taken = if is_any_keyword(arguments, at, &["NX", "XX"]) {
            1
        } else {
            lifetime(arguments, at).ok_or(Reason::UnforeseenForm)?
        };
        at = at.saturating_add(taken);
    }
    Ok(seal(slots(request, 2, end)))
}

/// `STRLEN name`.
pub(super) fn str_len(request: Request<'_>) -> Action {
    match (request.len(), request.place(1)) {
        (2, Some(place)) => replace("GET", 2, ReplyShape::Length(place)),
        _ => Action::Forward,
    }
}

/// `GETRANGE name start end`, `SUBSTR name start end`. What is no number is an error to the server.
pub(super) fn get_range(request: Request<'_>) -> Action {
    let arguments = request.arguments;
    let numbers = (integer(arguments, 2), integer(arguments, 3));
    match (request.len(), numbers, request.place(1)) {
        (4, (Some(start), Some(end)), Some(place)) => {
            replace("GET", 2, ReplyShape::Range { place, start, end })
        }
        _ => Action::Forward,
    }
}

/// `DELEX name`: with a condition it compares.
pub(super) fn del_ex(request: Request<'_>) -> Result<Action, Reason> {
    if request.len() <= 2 {
        return Ok(Action::Forward);
    }
    Err(Reason::ComparesValue)
}

/// Name, value, name, value: the values of those that are protected.
fn slots(request: Request<'_>, first: usize, end: usize) -> SmallVec<[ValueSlot; 2]> {
    let slot = |name: usize| {
        let place = request.place(name)?;
        let argument = name.checked_add(1)?;
        Some(ValueSlot { argument, place })
    };
    (first..end).step_by(2).filter_map(slot).collect()
}

fn seal_and_open(argument: usize, place: crate::decision::Place) -> Action {
    Action::Transform(Transform {
        request: RequestChange::Seal(smallvec![ValueSlot { argument, place }]),
        reply: ReplyShape::Value(place),
    })
}
