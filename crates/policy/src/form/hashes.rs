//! Hashes: one value for each field. The names of fields are not sealed.

use smallvec::SmallVec;

use super::{Request, lifetime, not_that_form, replace, reply, seal, seal_one};
use crate::argument::{count, is, is_any_keyword};
use crate::decision::{Action, ReplyShape, ValueSlot};
use crate::refusal::Reason;

/// `HGET name field`.
pub(super) fn get(request: Request<'_>) -> Action {
    match (request.len(), request.field(1, 2)) {
        (3, Some(place)) => reply(ReplyShape::Value(place)),
        _ => Action::Forward,
    }
}

/// `HMGET name field…`.
pub(super) fn m_get(request: Request<'_>) -> Action {
    each_field(request, 2, request.len())
}

/// `HGETALL name`.
pub(super) fn get_all(request: Request<'_>) -> Action {
    match (request.len(), request.place(1)) {
        (2, Some(place)) => reply(ReplyShape::Fields {
            pattern: place.pattern,
            name: 1,
        }),
        _ => Action::Forward,
    }
}

/// `HVALS name`: a value opens only together with its field, so all of the hash is asked for.
pub(super) fn vals(request: Request<'_>) -> Action {
    match (request.len(), request.place(1)) {
        (2, Some(place)) => {
            let pattern = place.pattern;
            replace("HGETALL", 2, ReplyShape::OnlyValues { pattern, name: 1 })
        }
        _ => Action::Forward,
    }
}

/// `HSCAN name cursor [MATCH glob] [COUNT count] [NOVALUES]`.
pub(super) fn scan(request: Request<'_>) -> Result<Action, Reason> {
    let (true, Some(place)) = (request.len() >= 3, request.place(1)) else {
        return Ok(Action::Forward);
    };
    let arguments = request.arguments;
    let mut values = true;
    let mut at = 3_usize;
    while at < arguments.len() {
        let taken = if is(arguments, at, "NOVALUES") {
            values = false;
            1
        } else if is_any_keyword(arguments, at, &["MATCH", "COUNT"]) {
            2
        } else {
            return Err(Reason::UnforeseenForm);
        };
        at = at.saturating_add(taken);
    }
    if !values {
        return Ok(Action::Forward);
    }
    Ok(reply(ReplyShape::ScannedFields {
        pattern: place.pattern,
        name: 1,
    }))
}

/// `HRANDFIELD name [count [WITHVALUES]]`.
pub(super) fn rand_field(request: Request<'_>) -> Result<Action, Reason> {
    let (true, Some(place)) = (request.len() >= 4, request.place(1)) else {
        return Ok(Action::Forward);
    };
    if request.len() == 4 && is(request.arguments, 3, "WITHVALUES") {
        return Ok(reply(ReplyShape::Fields {
            pattern: place.pattern,
            name: 1,
        }));
    }
    Err(Reason::UnforeseenForm)
}

/// `HSTRLEN name field`.
pub(super) fn str_len(request: Request<'_>) -> Action {
    match (request.len(), request.field(1, 2)) {
        (3, Some(place)) => replace("HGET", 3, ReplyShape::Length(place)),
        _ => Action::Forward,
    }
}

/// `HSET name field value…`, `HMSET name field value…`.
pub(super) fn set(request: Request<'_>) -> Result<Action, Reason> {
    if request.len() < 4 || !request.len().is_multiple_of(2) {
        return not_that_form(request);
    }
    Ok(seal(slots(request, 2, request.len())))
}

/// `HSETNX name field value`.
pub(super) fn set_nx(request: Request<'_>) -> Result<Action, Reason> {
    match (request.len(), request.field(1, 2)) {
        (4, Some(place)) => Ok(seal_one(3, place)),
        _ => not_that_form(request),
    }
}

/// `HSETEX name [NX | XX] [FNX | FXX] [EX … | KEEPTTL] FIELDS count field value…`.
pub(super) fn set_ex(request: Request<'_>) -> Result<Action, Reason> {
    if request.len() <= 2 {
        return Ok(Action::Forward);
    }
    let arguments = request.arguments;
    let option = |at| {
        let condition = is_any_keyword(arguments, at, &["NX", "XX", "FNX", "FXX"]);
        condition.then_some(1).or_else(|| lifetime(arguments, at))
    };
    let (first, end) = fields(arguments, 2, option).ok_or(Reason::UnforeseenForm)?;
    Ok(seal(slots(request, first, end)))
}

/// `HGETEX name [EX … | PERSIST] FIELDS count field…`.
pub(super) fn get_ex(request: Request<'_>) -> Result<Action, Reason> {
    if request.len() <= 2 {
        return Ok(Action::Forward);
    }
    let arguments = request.arguments;
    let option = |at| {
        let persist = is(arguments, at, "PERSIST");
        persist.then_some(1).or_else(|| lifetime(arguments, at))
    };
    let (first, end) = fields(arguments, 1, option).ok_or(Reason::UnforeseenForm)?;
    Ok(each_field(request, first, end))
}

/// `HGETDEL name FIELDS count field…`.
pub(super) fn get_del(request: Request<'_>) -> Result<Action, Reason> {
    if request.len() <= 2 {
        return Ok(Action::Forward);
    }
    let (first, end) = fields(request.arguments, 1, |_| None).ok_or(Reason::UnforeseenForm)?;
    Ok(each_field(request, first, end))
}

/// Where the fields of `… FIELDS count field…` begin and end, with `each` arguments to a field; the
/// options before and behind them must all be known to `option`, which says how many arguments they
/// take. Nothing if anything else is there.
fn fields(
    arguments: &[&[u8]],
    each: usize,
    option: impl Fn(usize) -> Option<usize>,
) -> Option<(usize, usize)> {
    let mut found = None;
    let mut at = 2_usize;
    while at < arguments.len() {
        if found.is_none() && is(arguments, at, "FIELDS") {
            let count = count(arguments, at.checked_add(1)?)?;
            let first = at.checked_add(2)?;
            let end = count.checked_mul(each)?.checked_add(first)?;
            if end > arguments.len() {
                return None;
            }
            found = Some((first, end));
            at = end;
        } else {
            at = at.checked_add(option(at)?)?;
        }
    }
    found
}

fn each_field(request: Request<'_>, first: usize, end: usize) -> Action {
    match request.place(1) {
        Some(place) => reply(ReplyShape::EachField {
            pattern: place.pattern,
            name: 1,
            fields: first..end,
        }),
        None => Action::Forward,
    }
}

/// Field, value, field, value.
fn slots(request: Request<'_>, first: usize, end: usize) -> SmallVec<[ValueSlot; 2]> {
    let slot = |field: usize| {
        let place = request.field(1, field)?;
        let argument = field.checked_add(1)?;
        Some(ValueSlot { argument, place })
    };
    (first..end).step_by(2).filter_map(slot).collect()
}
