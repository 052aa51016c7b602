//! Scripts and functions: known ones run on opened values, others are refused because of the records that they name, or
//! forwarded. A value under an excepted name may still be sealed, so known scripts run in the same way there. The cache
//! of texts that have passed is the caller's.

use smallvec::smallvec;

use super::sorted_sets::is_bound;
use super::{Request, reply, seal};
use crate::argument::count;
use crate::decide::{NameMatch, is_excepted};
use crate::decision::{Action, ComputeCall, ScriptCall, UnknownDigest, ValueSlot};
use crate::location::{Layout, ReplyShape};
use crate::protected::ProtectedNames;
use crate::refusal::{Reason, Refusal};
use crate::scripts::{KnownScript, Taken};
use crate::table::find;

/// The argument that is the number of names.
const COUNT: usize = 2;
/// The argument that is the only name, if there is one.
const NAME: usize = 3;

/// `EVAL text count name… argument…`.
pub(super) fn eval(request: Request<'_>) -> Result<Action, Reason> {
    let text = request.arguments.get(1).copied().unwrap_or_default();
    of_text(request, KnownScript::of_text(text))
}

/// `EVALSHA digest count name… argument…`.
pub(super) fn eval_sha(request: Request<'_>, command: &'static str) -> Result<Action, Reason> {
    let digest = request.arguments.get(1).copied().unwrap_or_default();
    match KnownScript::of_digest(digest) {
        Some(script) => run(request, script),
        None => Ok(Action::ScriptDigest(unknown_digest(request, command))),
    }
}

fn unknown_digest(request: Request<'_>, command: &'static str) -> UnknownDigest {
    let (name, pattern) = request.met;
    match unknown(request) {
        Err(reason) => UnknownDigest::Refuse(Refusal {
            command: Some(command),
            reason,
            pattern,
            name: Some(name),
        }),
        Ok(_) if is_excepted(request.met) => UnknownDigest::Excepted,
        Ok(_) => UnknownDigest::Forward,
    }
}

/// `FCALL function count name… argument…`, and a script that is not known: forwarded if the operator wants that for all
/// protected records that it names.
pub(super) fn unknown(request: Request<'_>) -> Result<Action, Reason> {
    let places = find(request.arguments).map(|row| row.names.places(request.arguments));
    let mut names = places.unwrap_or_default().into_iter();
    let refuses = |at| {
        let sealed = request
            .string(at)
            .filter(|location| !location.pattern.is_excepted());
        sealed.is_some_and(|location| !request.names.forwards_scripts(location.pattern))
    };
    match names.any(refuses) {
        true => Err(Reason::RunsCode),
        false => Ok(Action::Forward),
    }
}

/// Decides about an `EVALSHA` whose text the caller has: it is this known script, or an unknown one.
#[must_use]
pub fn decide_script(
    names: &ProtectedNames,
    arguments: &[&[u8]],
    script: Option<KnownScript>,
) -> Action {
    let places = find(arguments).map(|row| (row.name, row.names.places(arguments)));
    let (command, places) = places.unwrap_or_default();
    let protected = |at: &usize| -> Option<NameMatch> {
        let pattern = names.find(arguments.get(*at)?)?;
        Some((*at, Some(pattern)))
    };
    // A name that is not excepted decides, at any position.
    let mut sealed = places.iter().filter_map(protected);
    let sealed = sealed.find(|met| !is_excepted(*met));
    let Some(met) = sealed.or_else(|| places.iter().find_map(protected)) else {
        return Action::Forward;
    };
    let request = Request {
        names,
        arguments,
        met,
    };
    of_text(request, script).unwrap_or_else(|reason| match is_excepted(met) {
        true => Action::Forward,
        false => Action::Refuse(Refusal {
            command: Some(command),
            reason,
            pattern: met.1,
            name: Some(met.0),
        }),
    })
}

fn of_text(request: Request<'_>, script: Option<KnownScript>) -> Result<Action, Reason> {
    match script {
        Some(script) => run(request, script),
        None => unknown(request),
    }
}

/// A known script over one record: one value is read before it runs.
fn run(request: Request<'_>, script: KnownScript) -> Result<Action, Reason> {
    let location = match count(request.arguments, COUNT) {
        Some(1) => request.string(NAME),
        _ => None,
    };
    let Some(location) = location else {
        return unknown(request).map_err(|_| Reason::ScriptNamesSeveral);
    };
    // ARGV follows the name, and counts from 1.
    let argument = |index: usize| NAME.saturating_add(index);
    let (compared, stored) = (
        script.compared().map(argument),
        script.stored().map(argument),
    );
    let is_missing = |at: usize| request.arguments.get(at).is_none();
    if let Some(taken) = script.takes() {
        return take(request, taken);
    }
    if let Some(addition) = script.adds() {
        return match (argument(1), is_excepted(request.met)) {
            (_, true) => Ok(Action::Forward),
            (at, false) if is_missing(at) => Err(Reason::UnforeseenForm),
            (at, false) => Ok(Action::Compute(ComputeCall {
                location,
                reads: false,
                adds: Some((at, addition)),
            })),
        };
    }
    if compared.is_some_and(is_missing) || stored.is_some_and(is_missing) {
        return Err(Reason::UnforeseenForm);
    }
    let slot = |argument| ValueSlot { argument, location };
    Ok(match (compared, stored) {
        (Some(compared), stored) => Action::Script(ScriptCall {
            script,
            location,
            compared,
            stored: stored.map(slot),
        }),
        (None, Some(stored)) => seal(smallvec![slot(stored)]),
        (None, None) => return Err(Reason::RunsCode),
    })
}

/// A known script that takes members out of a sorted set: the server finds them by their scores, and they are opened in its
/// reply. Its argument is a score, and in clear.
fn take(request: Request<'_>, taken: Taken) -> Result<Action, Reason> {
    let score = NAME.saturating_add(1);
    if request.len() != score.saturating_add(1) || !is_bound(request.arguments, score) {
        return Err(Reason::UnforeseenForm);
    }
    let layout = match taken {
        Taken::One => Layout::Value,
        Taken::All => Layout::Elements,
    };
    let location = request.member(NAME).ok_or(Reason::UnforeseenForm)?;
    Ok(reply(ReplyShape::Record(location, layout)))
}
