//! Hashes: one value for each field. Field names are not sealed.

use smallvec::SmallVec;

use super::{Request, lifetime, replace, reply, seal, seal_one, wrong_number};
use crate::argument::{count, is, is_any_keyword};
use crate::decision::{Action, ValueSlot};
use crate::location::{Layout, RecordFields, ReplyShape};
use crate::refusal::Reason;

/// `HGET name field`.
pub(super) fn get(request: Request<'_>) -> Action {
    match (request.len(), request.field(1, 2)) {
        (3, Some(location)) => reply(ReplyShape::Record(location, Layout::Value)),
        _ => Action::Forward,
    }
}

/// `HMGET name field…`.
pub(super) fn m_get(request: Request<'_>) -> Action {
    each_field(request, 2, request.len())
}

/// `HGETALL name`.
pub(super) fn get_all(request: Request<'_>) -> Action {
    match (request.len(), request.hash(1)) {
        (2, Some(location)) => reply(ReplyShape::Record(location, Layout::Fields)),
        _ => Action::Forward,
    }
}

/// `HVALS name`: a value opens only together with its field, so the whole hash is requested.
pub(super) fn vals(request: Request<'_>) -> Action {
    match (request.len(), request.hash(1)) {
        (2, Some(location)) => replace(
            "HGETALL",
            2,
            ReplyShape::Record(location, Layout::OnlyValues),
        ),
        _ => Action::Forward,
    }
}

/// `HSCAN name cursor [MATCH glob] [COUNT count] [NOVALUES]`.
pub(super) fn scan(request: Request<'_>) -> Result<Action, Reason> {
    let (true, Some(location)) = (request.len() >= 3, request.hash(1)) else {
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
    Ok(reply(ReplyShape::Record(location, Layout::ScannedFields)))
}

/// `HRANDFIELD name [count [WITHVALUES]]`.
pub(super) fn rand_field(request: Request<'_>) -> Result<Action, Reason> {
    let (true, Some(location)) = (request.len() >= 4, request.hash(1)) else {
        return Ok(Action::Forward);
    };
    if request.len() == 4 && is(request.arguments, 3, "WITHVALUES") {
        return Ok(reply(ReplyShape::Record(location, Layout::Fields)));
    }
    Err(Reason::UnforeseenForm)
}

/// `HSTRLEN name field`.
pub(super) fn str_len(request: Request<'_>) -> Action {
    match (request.len(), request.field(1, 2)) {
        (3, Some(location)) => replace("HGET", 3, ReplyShape::Record(location, Layout::Length)),
        _ => Action::Forward,
    }
}

/// `HSET name field value…`, `HMSET name field value…`.
pub(super) fn set(request: Request<'_>) -> Action {
    if request.len() < 4 || !request.len().is_multiple_of(2) {
        return wrong_number(request);
    }
    seal(slots(request, 2, request.len()))
}

/// `HSETNX name field value`.
pub(super) fn set_nx(request: Request<'_>) -> Action {
    match (request.len(), request.field(1, 2)) {
        (4, Some(location)) => seal_one(3, location),
        _ => wrong_number(request),
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

/// The first argument of the fields in `… FIELDS count field…`, and the one after their last, with `each` arguments for
/// a field. The options before and after them must be known to `option`, which returns their number of arguments.
/// `None` if there is anything else.
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
    match request.hash(1) {
        Some(record) => reply(ReplyShape::EachField(RecordFields {
            record,
            fields: first..end,
        })),
        None => Action::Forward,
    }
}

/// Field, value, field, value.
fn slots(request: Request<'_>, first: usize, end: usize) -> SmallVec<[ValueSlot; 2]> {
    let slot = |field: usize| {
        let location = request.field(1, field)?;
        let argument = field.checked_add(1)?;
        Some(ValueSlot { argument, location })
    };
    (first..end).step_by(2).filter_map(slot).collect()
}
