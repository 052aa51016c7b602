//! Strings: one value for each record.

use smallvec::{SmallVec, smallvec};

use super::{
    Request, compute, lifetime, replace, reply, seal, seal_misplaced, seal_one, unexpected_form,
    wrong_number,
};
use crate::argument::{count, integer, is, is_any_keyword};
use crate::decision::{Action, RequestChange, Transform, ValueSlot};
use crate::location::{Layout, Location, ReplyShape, ValuePart};
use crate::refusal::Reason;

/// `GET name`, `GETDEL name`.
pub(super) fn get(request: Request<'_>) -> Action {
    match (request.len(), request.string(1)) {
        (2, Some(location)) => reply(ReplyShape::Record(location, Layout::Value)),
        _ => Action::Forward,
    }
}

/// `GETEX name [EX … | PERSIST]`: no value follows the name.
pub(super) fn get_ex(request: Request<'_>) -> Action {
    match request.string(1) {
        Some(location) => reply(ReplyShape::Record(location, Layout::Value)),
        None => Action::Forward,
    }
}

/// `GETSET name value`.
pub(super) fn get_set(request: Request<'_>) -> Action {
    match (request.len(), request.string(1)) {
        (3, Some(location)) => seal_and_open(2, location),
        _ => wrong_number(request),
    }
}

/// `SET name value [NX | XX] [GET] [EX … | KEEPTTL]`, in any order.
pub(super) fn set(request: Request<'_>) -> Result<Action, Reason> {
    let (true, Some(location)) = (request.len() >= 3, request.string(1)) else {
        return unexpected_form(request);
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
            // The options behind it are read where it is computed.
            return Ok(compute(request, Some(location), false));
        } else {
            lifetime(arguments, at).ok_or(Reason::UnforeseenForm)?
        };
        at = at.saturating_add(taken);
    }
    Ok(if answers_old_value {
        seal_and_open(2, location)
    } else {
        seal_one(2, location)
    })
}

/// `SETEX name seconds value`, `PSETEX name milliseconds value`.
pub(super) fn set_ex(request: Request<'_>) -> Action {
    let lifetime = integer(request.arguments, 2);
    match (request.len(), lifetime, request.string(1)) {
        (4, Some(_), Some(location)) => seal_one(3, location),
        (4, None, Some(location)) => seal_misplaced(2..4, location),
        _ => wrong_number(request),
    }
}

/// `SETNX name value`.
pub(super) fn set_nx(request: Request<'_>) -> Action {
    match (request.len(), request.string(1)) {
        (3, Some(location)) => seal_one(2, location),
        _ => wrong_number(request),
    }
}

/// `MGET name…`.
pub(super) fn m_get() -> Action {
    reply(ReplyShape::EachName(()))
}

/// `MSET name value…`, `MSETNX name value…`: slot by slot.
pub(super) fn m_set(request: Request<'_>) -> Action {
    if request.len().is_multiple_of(2) {
        return wrong_number(request);
    }
    seal(slots(request, 1, request.len()))
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
    match (request.len(), request.string(1)) {
        (2, Some(location)) => replace("GET", 2, ReplyShape::Record(location, Layout::Length)),
        _ => Action::Forward,
    }
}

/// `GETRANGE name start end`, `SUBSTR name start end`. If one is not a number, the server answers with an error.
pub(super) fn get_range(request: Request<'_>) -> Action {
    let arguments = request.arguments;
    let numbers = (integer(arguments, 2), integer(arguments, 3));
    match (request.len(), numbers, request.string(1)) {
        (4, (Some(start), Some(end)), Some(location)) => {
            let part = ValuePart {
                location,
                start,
                end,
            };
            replace("GET", 2, ReplyShape::Part(part))
        }
        _ => Action::Forward,
    }
}

/// `DELEX name [condition value]`.
pub(super) fn del_ex(request: Request<'_>) -> Action {
    if request.len() <= 2 {
        return Action::Forward;
    }
    compute(request, request.string(1), false)
}

/// The values of protected names among name, value, name, value.
fn slots(request: Request<'_>, first: usize, end: usize) -> SmallVec<[ValueSlot; 2]> {
    let slot = |name: usize| {
        let location = request.string(name)?;
        let argument = name.checked_add(1)?;
        Some(ValueSlot { argument, location })
    };
    (first..end).step_by(2).filter_map(slot).collect()
}

/// One value in the request, and the old one in the reply.
fn seal_and_open(argument: usize, location: Location<usize>) -> Action {
    Action::Transform(Transform {
        request: RequestChange::Seal(smallvec![ValueSlot { argument, location }]),
        reply: ReplyShape::Record(location, Layout::Value),
    })
}
