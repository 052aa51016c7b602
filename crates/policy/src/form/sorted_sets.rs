//! Sorted sets: members as in sets; scores are in clear, and the server sorts by them. Members of equal score are in the
//! order of their sealed bytes.

use smallvec::SmallVec;
use waxseal_kinds::Kind;

use super::groups::one_scope;
use super::{Request, reply};
use crate::argument::{count, integer, is, is_any_keyword};
use crate::decision::Action;
use crate::location::{Layout, ReplyShape};
use crate::refusal::Reason;

/// `ZADD name [NX | XX] [GT | LT] [CH] [INCR] score member…`. What stands in the place of a score and is no number is
/// sealed like a member: the server refuses the request, and sees nothing of it.
pub(super) fn add(request: Request<'_>) -> Action {
    let arguments = request.arguments;
    let options = ["NX", "XX", "GT", "LT", "CH", "INCR"];
    let first = (2..request.len()).find(|at| !is_any_keyword(arguments, *at, &options));
    let first = first.unwrap_or(request.len());
    request.seal_members(members_after_numbers(request, first, 1))
}

/// `ZINCRBY name increment member`.
pub(super) fn increment(request: Request<'_>) -> Action {
    request.seal_members(members_after_numbers(request, 2, 1))
}

/// The positions that hold members, where so many `numbers` stand before each member from `first` on; and the positions
/// of anything else that is no number.
pub(super) fn members_after_numbers(
    request: Request<'_>,
    first: usize,
    numbers: usize,
) -> SmallVec<[usize; 8]> {
    let each = numbers.saturating_add(1);
    let arguments = request.len().saturating_sub(first);
    // Otherwise a member can be anywhere.
    let is_whole = arguments.is_multiple_of(each);
    let is_member = |at: &usize| {
        let place = at.saturating_sub(first).checked_rem(each);
        !is_whole || place == Some(numbers) || !is_number(request.arguments, *at)
    };
    (first..request.len()).filter(is_member).collect()
}

/// `ZCARD name`, `ZCOUNT name min max`, `ZREMRANGEBYSCORE`, `ZREMRANGEBYRANK`: no argument is a member. What is no bound
/// of a range is sealed like one all the same: the server refuses the request.
pub(super) fn no_member(request: Request<'_>) -> Result<Action, Reason> {
    let others = (2..request.len()).filter(|at| !is_bound(request.arguments, *at));
    seal_in_place_of_bounds(request, others.collect())
}

/// Seals what stands in the place of a bound and is none. Servers read a bound up to a zero byte and take it.
fn seal_in_place_of_bounds(
    request: Request<'_>,
    others: SmallVec<[usize; 8]>,
) -> Result<Action, Reason> {
    let ends_early = |at: &usize| {
        let text = request.arguments.get(*at).copied().unwrap_or_default();
        let end = text.iter().position(|byte| *byte == 0);
        end.is_some_and(|end| is_bound_text(text.get(..end).unwrap_or_default()))
    };
    if others.iter().any(ends_early) {
        return Err(Reason::UnforeseenForm);
    }
    Ok(request.seal_members(others))
}

/// True for a bound of a range of ranks or scores.
pub(super) fn is_bound(arguments: &[&[u8]], at: usize) -> bool {
    is_bound_text(arguments.get(at).copied().unwrap_or_default())
}

fn is_bound_text(text: &[u8]) -> bool {
    let number = text.strip_prefix(b"(").unwrap_or(text);
    // Servers skip blanks before it.
    let begin = number
        .iter()
        .position(|byte| !matches!(byte, b' ' | b'\t'..=b'\r'));
    is_number_text(number.get(begin.unwrap_or_default()..).unwrap_or_default())
}

/// True if the argument looks like a number to servers: decimal, hexadecimal or infinite.
pub(super) fn is_number(arguments: &[&[u8]], at: usize) -> bool {
    is_number_text(arguments.get(at).copied().unwrap_or_default())
}

fn is_number_text(text: &[u8]) -> bool {
    let text = std::str::from_utf8(text).unwrap_or_default();
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    text.parse::<f64>().is_ok()
        || unsigned
            .strip_prefix("0x")
            .or_else(|| unsigned.strip_prefix("0X"))
            .is_some_and(|digits| {
                let is_digit = |it: u8| it.is_ascii_hexdigit() || matches!(it, b'.' | b'p' | b'P');
                digits.len() <= 24 && digits.bytes().all(is_digit)
            })
}

/// `ZRANK name member [WITHSCORE]`, `ZREVRANK`.
pub(super) fn rank(request: Request<'_>) -> Action {
    let is_option = |at: &usize| *at == 3 && is(request.arguments, 3, "WITHSCORE");
    request.seal_members((2..request.len()).filter(|at| !is_option(at)))
}

/// `ZRANGE name start stop [options]`, and its older relatives.
pub(super) fn range(request: Request<'_>) -> Result<Action, Reason> {
    let (true, Some(location)) = (request.len() >= 4, request.member(1)) else {
        return Ok(Action::Forward);
    };
    let layout = members_layout(with_scores(request, 4)?);
    if !is_bound(request.arguments, 2) || !is_bound(request.arguments, 3) {
        // The server refuses what it cannot read, and sees nothing of a member.
        return seal_in_place_of_bounds(request, SmallVec::from_slice(&[2, 3]));
    }
    Ok(reply(ReplyShape::Record(location, layout)))
}

/// `ZRANGESTORE destination source start stop [options]`.
pub(super) fn range_store(request: Request<'_>) -> Result<Action, Reason> {
    with_scores(request, 5)?;
    if request.len() >= 5 && (3..5).any(|at| !is_bound(request.arguments, at)) {
        return Err(Reason::UnforeseenForm);
    }
    one_scope(request).map(|_| Action::Forward)
}

/// True if the options of a range, from this argument on, ask for scores. `Err` if they ask for an order that sealed
/// members do not have.
fn with_scores(request: Request<'_>, from: usize) -> Result<bool, Reason> {
    let arguments = request.arguments;
    let mut scores = false;
    let mut at = from;
    while at < arguments.len() {
        let taken = if is(arguments, at, "WITHSCORES") {
            scores = true;
            1
        } else if is_any_keyword(arguments, at, &["BYSCORE", "REV"]) {
            1
        } else if is(arguments, at, "LIMIT")
            && [1, 2]
                .iter()
                .all(|next| integer(arguments, at.saturating_add(*next)).is_some())
        {
            3
        } else if is(arguments, at, "BYLEX") {
            return Err(Reason::SortsMembers);
        } else {
            return Err(Reason::UnforeseenForm);
        };
        at = at.saturating_add(taken);
    }
    Ok(scores)
}

fn members_layout(scores: bool) -> Layout {
    match scores {
        true => Layout::Scored,
        false => Layout::Elements,
    }
}

/// `ZPOPMIN name [count]`, `ZPOPMAX`.
pub(super) fn pop(request: Request<'_>) -> Action {
    match (request.len(), request.member(1)) {
        (2, Some(location)) => reply(ReplyShape::Record(location, Layout::Scored)),
        (3, Some(location)) if integer(request.arguments, 2).is_some() => {
            reply(ReplyShape::Record(location, Layout::Scored))
        }
        _ => request.seal_members(2..request.len()),
    }
}

/// `BZPOPMIN name… timeout`, `BZPOPMAX`, `ZMPOP count name… MIN | MAX [COUNT count]`, `BZMPOP`.
pub(super) fn pop_any() -> Action {
    reply(ReplyShape::AnyName((), Kind::Member))
}

/// `ZRANDMEMBER name [count [WITHSCORES]]`.
pub(super) fn random(request: Request<'_>) -> Result<Action, Reason> {
    let Some(location) = request.member(1) else {
        return Ok(Action::Forward);
    };
    if request.len() >= 3 && integer(request.arguments, 2).is_none() {
        return Ok(request.seal_members(2..request.len()));
    }
    let layout = match request.len() {
        2 => Layout::Value,
        3 => Layout::Elements,
        4 if is(request.arguments, 3, "WITHSCORES") => Layout::Scored,
        4.. => return Err(Reason::UnforeseenForm),
        _ => return Ok(Action::Forward),
    };
    Ok(reply(ReplyShape::Record(location, layout)))
}

/// `ZUNION count name… [WEIGHTS weight…] [AGGREGATE SUM | MIN | MAX] [WITHSCORES]`, `ZINTER`, `ZDIFF`.
pub(super) fn algebra(request: Request<'_>) -> Result<Action, Reason> {
    let location = one_scope(request)?;
    let arguments = request.arguments;
    let names = count(arguments, 1).ok_or(Reason::UnforeseenForm)?;
    let mut scores = false;
    let mut at = names.saturating_add(2);
    while at < arguments.len() {
        let taken = if is(arguments, at, "WITHSCORES") {
            scores = true;
            1
        } else if is(arguments, at, "AGGREGATE")
            && is_any_keyword(arguments, at.saturating_add(1), &["SUM", "MIN", "MAX"])
        {
            2
        } else if is(arguments, at, "WEIGHTS") {
            let end = at.saturating_add(names);
            let mut weights = at.saturating_add(1)..=end;
            if end >= arguments.len() || !weights.all(|weight| is_number(arguments, weight)) {
                return Err(Reason::UnforeseenForm);
            }
            names.saturating_add(1)
        } else {
            return Err(Reason::UnforeseenForm);
        };
        at = at.saturating_add(taken);
    }
    Ok(reply(ReplyShape::Record(location, members_layout(scores))))
}
