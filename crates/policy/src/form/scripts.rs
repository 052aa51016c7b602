//! Scripts and functions: which ones are known and run on opened values, and which are refused because of the records
//! that they name. Which texts have been seen is not known here.

use smallvec::smallvec;

use super::{Request, seal};
use crate::argument::count;
use crate::decide::{Met, is_excepted};
use crate::decision::{Action, Place, ScriptCall, UnknownDigest, ValueSlot};
use crate::protected::ProtectedNames;
use crate::refusal::{Reason, Refusal};
use crate::scripts::KnownScript;
use crate::table::find;

/// Where the number of names stands.
const COUNT: usize = 2;
/// Where the only name stands, where there is one.
const NAME: usize = 3;

/// `EVAL text count name… argument…`.
pub(super) fn eval(request: Request<'_>) -> Result<Action, Reason> {
    if is_excepted(request.met) {
        return Ok(Action::Forward);
    }
    let text = request.arguments.get(1).copied().unwrap_or_default();
    of_text(request, KnownScript::of_text(text))
}

/// `EVALSHA digest count name… argument…`.
pub(super) fn eval_sha(request: Request<'_>, command: &'static str) -> Result<Action, Reason> {
    if is_excepted(request.met) {
        return Ok(Action::Forward);
    }
    let digest = request.arguments.get(1).copied().unwrap_or_default();
    match KnownScript::of_digest(digest) {
        Some(script) => run(request, script),
        None => {
            let (name, pattern) = request.met;
            let refusal = unknown(request).err().map(|reason| Refusal {
                command: Some(command),
                reason,
                pattern,
                name: Some(name),
            });
            Ok(Action::ScriptDigest(UnknownDigest { refusal }))
        }
    }
}

/// `FCALL function count name… argument…`, and a script whose text is not known: it is forwarded where the operator wants
/// that for all protected records that it names.
pub(super) fn unknown(request: Request<'_>) -> Result<Action, Reason> {
    let places = find(request.arguments).map(|row| row.names.places(request.arguments));
    let mut names = places.unwrap_or_default().into_iter();
    let refuses = |at| {
        let place: Option<Place> = request.place(at);
        let sealed = place.filter(|place| !place.pattern.is_excepted());
        sealed.is_some_and(|place| !request.names.forwards_scripts(place.pattern))
    };
    match names.any(refuses) {
        true => Err(Reason::RunsCode),
        false => Ok(Action::Forward),
    }
}

/// The decision about an `EVALSHA` whose script's text is known to the caller: it is this script, or none that is known.
#[must_use]
pub fn decide_script(
    names: &ProtectedNames,
    arguments: &[&[u8]],
    script: Option<KnownScript>,
) -> Action {
    let places = find(arguments).map(|row| (row.name, row.names.places(arguments)));
    let (command, places) = places.unwrap_or_default();
    let met = |at: &usize| -> Option<Met> {
        let pattern = names.find_sealed(arguments.get(*at)?)?;
        Some((*at, Some(pattern)))
    };
    let Some(met) = places.iter().find_map(met) else {
        return Action::Forward;
    };
    let request = Request {
        names,
        arguments,
        met,
    };
    of_text(request, script).unwrap_or_else(|reason| {
        Action::Refuse(Refusal {
            command: Some(command),
            reason,
            pattern: met.1,
            name: Some(met.0),
        })
    })
}

fn of_text(request: Request<'_>, script: Option<KnownScript>) -> Result<Action, Reason> {
    match script {
        Some(script) => run(request, script),
        None => unknown(request),
    }
}

/// A script that is known. It is run over one record: one value is read before it runs.
fn run(request: Request<'_>, script: KnownScript) -> Result<Action, Reason> {
    let place = match count(request.arguments, COUNT) {
        Some(1) => request.place(NAME),
        _ => None,
    };
    let Some(place) = place else {
        return unknown(request).map_err(|_| Reason::ScriptNamesSeveral);
    };
    // Behind the name; the places in ARGV begin at 1.
    let argument = |place: usize| NAME.saturating_add(place);
    let (compared, stored) = (
        script.compared().map(argument),
        script.stored().map(argument),
    );
    let is_missing = |at: usize| request.arguments.get(at).is_none();
    if compared.is_some_and(is_missing) || stored.is_some_and(is_missing) {
        return Err(Reason::UnforeseenForm);
    }
    let slot = |argument| ValueSlot { argument, place };
    Ok(match (compared, stored) {
        (Some(compared), stored) => Action::Script(ScriptCall {
            script,
            place,
            compared,
            stored: stored.map(slot),
        }),
        (None, Some(stored)) => seal(smallvec![slot(stored)]),
        (None, None) => return Err(Reason::RunsCode),
    })
}
