//! Streams: entries of fields and values. Ids and the names of fields are not sealed. An envelope is bound to its record
//! and its field, not to its entry: the server chooses the id.

use smallvec::SmallVec;

use super::{Request, emptied, reply, seal, wrong_number};
use crate::argument::{is, is_any_keyword};
use crate::decision::{Action, ValueSlot};
use crate::location::{Layout, Location, ReplyShape};
use crate::refusal::Reason;

/// `XADD name [NOMKSTREAM] [KEEPREF | DELREF | ACKED] [IDMP producer id] [MAXLEN | MINID [= | ~] threshold [LIMIT count]]
/// id field value…`.
pub(super) fn add(request: Request<'_>) -> Result<Action, Reason> {
    if request.len() < 5 {
        return Ok(wrong_number(request));
    }
    let first = first_field(request.arguments)?;
    let operands = request.len().saturating_sub(first);
    if operands < 2 || !operands.is_multiple_of(2) {
        // Servers read the options and the id first.
        return match request.arguments.get(2) {
            Some(id) if first == 3 && *id == b"*" => Ok(emptied(request, first)),
            _ => Err(Reason::UnforeseenForm),
        };
    }
    let Some(record) = request.stream(1) else {
        return Ok(Action::Forward);
    };
    let slots = (first..request.len()).step_by(2).map(|field| ValueSlot {
        argument: field.saturating_add(1),
        location: Location {
            field: Some(field),
            ..record
        },
    });
    Ok(seal(slots.collect::<SmallVec<_>>()))
}

/// The position of the first field, which is behind the entry's id.
fn first_field(arguments: &[&[u8]]) -> Result<usize, Reason> {
    let mut at = 2_usize;
    loop {
        let next = at.saturating_add(1);
        let taken = if is_any_keyword(arguments, at, &["NOMKSTREAM", "KEEPREF", "DELREF", "ACKED"])
        {
            1
        } else if is_any_keyword(arguments, at, &["MAXLEN", "MINID"]) {
            match is_any_keyword(arguments, next, &["=", "~"]) {
                true => 3,
                false => 2,
            }
        } else if is(arguments, at, "LIMIT") {
            2
        } else if is(arguments, at, "IDMP") {
            3
        } else if is(arguments, at, "IDMPAUTO") {
            // The server derives the id from the entry, and two envelopes of one value differ.
            return Err(Reason::ComparesValue);
        } else if arguments.get(at).is_some_and(|argument| is_id(argument)) {
            return Ok(next);
        } else {
            return Err(Reason::UnforeseenForm);
        };
        at = at.saturating_add(taken);
    }
}

/// True if an argument can be the id of an entry, or is one that servers reject, but not an option that this version does
/// not know: those begin with a letter.
fn is_id(argument: &[u8]) -> bool {
    let is_part = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b'-' | b'*' | b'+');
    !argument.is_empty() && argument.iter().all(is_part)
}

/// `XRANGE name start end [COUNT count]`, `XREVRANGE`.
pub(super) fn range(request: Request<'_>) -> Result<Action, Reason> {
    let (true, Some(record)) = (request.len() >= 4, request.stream(1)) else {
        return Ok(Action::Forward);
    };
    let mut options = (4..request.len()).step_by(2);
    if !options.all(|at| is(request.arguments, at, "COUNT")) {
        return Err(Reason::UnforeseenForm);
    }
    Ok(reply(ReplyShape::Record(record, Layout::Entries)))
}

/// `XREAD [COUNT count] [BLOCK time] STREAMS name… id…`, `XREADGROUP GROUP group consumer … [NOACK] [CLAIM time] …`.
pub(super) fn read(request: Request<'_>) -> Result<Action, Reason> {
    let arguments = request.arguments;
    let mut at = 1_usize;
    while at < arguments.len() {
        let taken = if is(arguments, at, "STREAMS") {
            return Ok(reply(ReplyShape::Streams(())));
        } else if is(arguments, at, "NOACK") {
            1
        } else if is_any_keyword(arguments, at, &["COUNT", "BLOCK", "CLAIM"]) {
            2
        } else if is(arguments, at, "GROUP") {
            3
        } else {
            break;
        };
        at = at.saturating_add(taken);
    }
    Err(Reason::UnforeseenForm)
}

/// `XCLAIM name group consumer time id… [options]`: entries, or with `JUSTID` their ids. The layout distinguishes them.
pub(super) fn claim(request: Request<'_>) -> Action {
    match request.stream(1) {
        Some(record) => reply(ReplyShape::Record(record, Layout::Entries)),
        None => Action::Forward,
    }
}

/// `XAUTOCLAIM name group consumer time start [COUNT count] [JUSTID]`.
pub(super) fn auto_claim(request: Request<'_>) -> Action {
    match request.stream(1) {
        Some(record) => reply(ReplyShape::Record(record, Layout::ClaimedEntries)),
        None => Action::Forward,
    }
}

/// `XINFO STREAM name [FULL [COUNT count]]`.
pub(super) fn info(request: Request<'_>) -> Action {
    match request.stream(2) {
        Some(record) => reply(ReplyShape::Record(record, Layout::StreamInfo)),
        None => Action::Forward,
    }
}
