//! Geo records: members of sorted sets, whose scores are positions. Positions are in clear, and the server computes on them.

use super::groups::{member_of_all, one_scope};
use super::sorted_sets::{is_number, members_after_numbers};
use super::{Request, reply};
use crate::argument::{count, is, is_any_keyword};
use crate::decision::{Action, RequestChange, Transform, ValueSlot};
use crate::location::{Layout, Location, ReplyShape};
use crate::refusal::Reason;

/// `GEOADD name [NX | XX] [CH] longitude latitude member…`. What stands in the place of a position and is no number is
/// sealed like a member.
pub(super) fn add(request: Request<'_>) -> Action {
    let arguments = request.arguments;
    let options = ["NX", "XX", "CH"];
    let first = (2..request.len()).find(|at| !is_any_keyword(arguments, *at, &options));
    let first = first.unwrap_or(request.len());
    request.seal_members(members_after_numbers(request, first, 2))
}

/// `GEODIST name member member [unit]`.
pub(super) fn distance(request: Request<'_>) -> Action {
    let is_known = |at: &usize| *at == 4 && is_unit(request, 4);
    request.seal_members((2..request.len()).filter(|at| !is_known(at)))
}

/// True if the argument is a unit of length.
fn is_unit(request: Request<'_>, at: usize) -> bool {
    is_any_keyword(request.arguments, at, &["M", "KM", "FT", "MI"])
}

/// What the options of a search say.
struct Search {
    /// The argument that is a member, from which distances are measured.
    member: Option<usize>,
    /// The reply holds more than members.
    details: bool,
    /// The result is stored in another record.
    stores: bool,
}

/// `GEOSEARCH name FROMMEMBER member | FROMLONLAT … BYRADIUS … | BYBOX … [options]`.
pub(super) fn search(request: Request<'_>) -> Result<Action, Reason> {
    let Some(location) = request.member(1) else {
        return Ok(Action::Forward);
    };
    Ok(found(&options(request, 2)?, location))
}

/// `GEOSEARCHSTORE destination source … [STOREDIST]`.
pub(super) fn search_store(request: Request<'_>) -> Result<Action, Reason> {
    match options(request, 3)?.member {
        Some(member) => member_of_all(request, member),
        None => one_scope(request).map(|_| Action::Forward),
    }
}

/// `GEORADIUS name longitude latitude radius unit [options]`, `GEORADIUS_RO`; with a `member` instead of a position:
/// `GEORADIUSBYMEMBER name member radius unit [options]`.
pub(super) fn radius(request: Request<'_>, by_member: bool) -> Result<Action, Reason> {
    let Some(location) = request.member(1) else {
        // The record where the result is stored is the protected one.
        return Err(Reason::MixesRecords);
    };
    if request.len() <= 2 {
        return Ok(Action::Forward);
    }
    let from: usize = if by_member { 5 } else { 6 };
    let first_number = if by_member { 3 } else { 2 };
    let unit = from.saturating_sub(1);
    let are_numbers = (first_number..unit).all(|at| is_number(request.arguments, at));
    let mut search = options(request, from)?;
    if !are_numbers || !is_unit(request, unit) || search.member.is_some() {
        return Err(Reason::UnforeseenForm);
    }
    search.member = by_member.then_some(2);
    if !search.stores {
        return Ok(found(&search, location));
    }
    match search.member {
        Some(member) => member_of_all(request, member),
        None => one_scope(request).map(|_| Action::Forward),
    }
}

/// A search that returns what it finds.
fn found(search: &Search, location: Location<usize>) -> Action {
    let layout = match search.details {
        true => Layout::FirstOfEach,
        false => Layout::Elements,
    };
    let shape = ReplyShape::Record(location, layout);
    let Some(argument) = search.member else {
        return reply(shape);
    };
    let slots = [ValueSlot { argument, location }];
    Action::Transform(Transform {
        request: RequestChange::Seal(slots.into_iter().collect()),
        reply: shape,
    })
}

/// Reads the options from this argument on.
fn options(request: Request<'_>, from: usize) -> Result<Search, Reason> {
    let arguments = request.arguments;
    let mut search = Search {
        member: None,
        details: false,
        stores: false,
    };
    let mut at = from;
    while at < arguments.len() {
        let next = at.saturating_add(1);
        // So many numbers follow.
        let numbers =
            |count: usize| (next..next.saturating_add(count)).all(|it| is_number(arguments, it));
        let taken = if is(arguments, at, "FROMMEMBER") {
            if next == arguments.len() || search.member.is_some() {
                return Err(Reason::UnforeseenForm);
            }
            search.member = Some(next);
            2
        } else if is_any_keyword(arguments, at, &["WITHCOORD", "WITHDIST", "WITHHASH"]) {
            search.details = true;
            1
        } else if is_any_keyword(arguments, at, &["ASC", "DESC", "ANY", "STOREDIST"])
            && !is_old_store(request, at)
        {
            1
        } else if is(arguments, at, "COUNT") && numbers(1) {
            2
        } else if (is(arguments, at, "FROMLONLAT") && numbers(2))
            || (is(arguments, at, "BYRADIUS")
                && numbers(1)
                && is_unit(request, at.saturating_add(2)))
        {
            3
        } else if is(arguments, at, "BYBOX") && numbers(2) && is_unit(request, at.saturating_add(3))
        {
            4
        } else if is(arguments, at, "BYPOLYGON") {
            let corners = count(arguments, next).filter(|it| *it < arguments.len());
            let each = corners.map_or(0, |corners| corners.saturating_mul(2).saturating_add(1));
            if each == 0 || !numbers(each) {
                return Err(Reason::UnforeseenForm);
            }
            each.saturating_add(1)
        } else if is_old_store(request, at) {
            search.stores = true;
            2
        } else {
            return Err(Reason::UnforeseenForm);
        };
        at = at.saturating_add(taken);
    }
    Ok(search)
}

/// True for `STORE name` and `STOREDIST name` of GEORADIUS and GEORADIUSBYMEMBER: `STOREDIST` of GEOSEARCHSTORE has no
/// name.
fn is_old_store(request: Request<'_>, at: usize) -> bool {
    let is_radius = is_any_keyword(request.arguments, 0, &["GEORADIUS", "GEORADIUSBYMEMBER"]);
    is_radius && is_any_keyword(request.arguments, at, &["STORE", "STOREDIST"])
}
