//! `SORT`, which sorts by values, and returns or stores values of records that it makes the names of from others.

use waxseal_kinds::Kind;

use super::Request;
use crate::argument::{integer, is, is_any_keyword};
use crate::decide::is_excepted;
use crate::decision::{Action, SortCall};
use crate::refusal::Reason;

/// The options that decide where values come from and where they go.
#[derive(Default)]
struct Options {
    /// The patterns of `GET`.
    gets: Vec<usize>,
    /// The last destination.
    store: Option<usize>,
}

impl Options {
    /// The options of a request, up to one that lacks its operands: servers refuse that. `Err` if one is unknown.
    fn of(arguments: &[&[u8]]) -> Result<Self, Reason> {
        let mut options = Self::default();
        let mut at = 2_usize;
        while at < arguments.len() {
            let next = at.saturating_add(1);
            let is_limit = is(arguments, at, "LIMIT");
            let operands = if is_any_keyword(arguments, at, &["ASC", "DESC", "ALPHA"]) {
                0
            } else if is_limit {
                2
            } else if is_any_keyword(arguments, at, &["BY", "GET", "STORE"]) {
                1
            } else {
                return Err(Reason::UnforeseenForm);
            };
            let end = next.saturating_add(operands);
            let lacks_number = is_limit && (next..end).any(|at| integer(arguments, at).is_none());
            if end > arguments.len() || lacks_number {
                break;
            }
            if is(arguments, at, "GET") {
                options.gets.push(next);
            } else if is(arguments, at, "STORE") {
                options.store = Some(next);
            }
            at = end;
        }
        Ok(options)
    }
}

/// `SORT name [BY pattern] [LIMIT offset count] [GET pattern]… [ASC | DESC] [ALPHA] [STORE destination]`, `SORT_RO`.
pub(super) fn sort(request: Request<'_>) -> Result<Action, Reason> {
    if is_excepted(request.met) {
        // All names are: the server sorts plain values.
        return Ok(Action::Forward);
    }
    let options = Options::of(request.arguments)?;
    let source = request.record(1, Kind::ListElement);
    let destination = match options.store {
        None => None,
        Some(at) => {
            let location = request.record(at, Kind::ListElement);
            let sealed = location.filter(|location| !location.pattern.is_excepted());
            if sealed.is_none() && returns_protected(request, &options) {
                return Err(Reason::MovesValue);
            }
            Some((at, location))
        }
    };
    Ok(Action::Sort(SortCall {
        source: 1,
        pattern: source.map(|location| location.pattern),
        destination,
    }))
}

/// True if the result can hold values of protected records.
fn returns_protected(request: Request<'_>, options: &Options) -> bool {
    let source = request.record(1, Kind::ListElement);
    let is_sealed = source.is_some_and(|location| !location.pattern.is_excepted());
    let is_protected = |at: &usize| {
        let get = request.arguments.get(*at).copied().unwrap_or_default();
        match is(request.arguments, *at, "#") {
            true => is_sealed,
            false => request.names.may_match(get),
        }
    };
    match options.gets.is_empty() {
        true => is_sealed,
        false => options.gets.iter().any(is_protected),
    }
}
