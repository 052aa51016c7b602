//! The decision about one request: finds the command's row, looks whether one of its record names is
//! protected, and does as the row says. What single commands do with their values is in `form`.

use crate::argument::is;
use crate::decision::{Action, Decision, Effect};
use crate::names::{Names, Standing, blocks};
use crate::protected::{PatternId, ProtectedNames};
use crate::refusal::{Reason, Refusal};
use crate::table::{EffectRule, Row, Treatment, find};

/// Decides about one request. `arguments[0]` is the command word, in any case; a request without
/// arguments is forwarded, as Redis ignores it.
#[must_use]
pub fn decide(names: &ProtectedNames, arguments: &[&[u8]]) -> Decision {
    if arguments.is_empty() {
        return Decision {
            command: None,
            action: Action::Forward,
            effect: Effect::None,
        };
    }
    let Some(row) = find(arguments) else {
        return Decision {
            command: None,
            action: unknown(names, arguments),
            // Nobody knows whether it has a state.
            effect: Effect::Connection,
        };
    };
    Decision {
        command: Some(row.name),
        action: action(row, names, arguments),
        effect: effect(row.effect, arguments),
    }
}

/// Whether a request that begins with these arguments, and will have `total` of them, is certain to
/// be forwarded as it comes, whatever follows: no name so far is protected, and none can follow. Then
/// its effect, too, is the one that [`decide`] sees in the arguments so far.
#[must_use]
pub fn certainly_forwarded(
    names: &ProtectedNames,
    arguments_so_far: &[&[u8]],
    total: usize,
) -> bool {
    if arguments_so_far.len() >= total {
        return decide(names, arguments_so_far).action == Action::Forward;
    }
    let Some(row) = find(arguments_so_far) else {
        return false;
    };
    row.effect.is_fixed()
        && !matches!(row.treatment, Treatment::RefuseAlways(_))
        && row.names.all_seen(arguments_so_far, total)
        && met(row.names, names, arguments_so_far, total).is_none()
}

fn action(row: &'static Row, names: &ProtectedNames, arguments: &[&[u8]]) -> Action {
    let refuse = |reason| {
        Action::Refuse(Refusal {
            command: Some(row.name),
            reason,
        })
    };
    if let Treatment::RefuseAlways(reason) = row.treatment {
        return refuse(reason);
    }
    let Some(met) = met(row.names, names, arguments, arguments.len()) else {
        return Action::Forward;
    };
    match row.treatment {
        Treatment::Pass => Action::Forward,
        Treatment::Refuse(reason) | Treatment::RefuseAlways(reason) => refuse(reason),
        Treatment::Form(form) => form.apply(names, arguments, met).unwrap_or_else(refuse),
    }
}

/// The first protected name that a request meets: which argument, and which pattern means it; no
/// pattern where it is only a glob that could mean one.
pub(crate) type Met = (usize, Option<PatternId>);

fn met(rule: Names, names: &ProtectedNames, arguments: &[&[u8]], total: usize) -> Option<Met> {
    let mut met = None;
    rule.any(arguments, total, |at, standing| {
        let Some(argument) = arguments.get(at) else {
            return false;
        };
        met = match standing {
            Standing::Name => names.find(argument).map(|pattern| (at, Some(pattern))),
            Standing::Glob => names.may_mean(argument).then_some((at, None)),
        };
        met.is_some()
    });
    met
}

/// A command without a row: it may do anything with any of its arguments.
fn unknown(names: &ProtectedNames, arguments: &[&[u8]]) -> Action {
    let mut rest = arguments.iter().skip(1);
    if rest.any(|argument| names.find(argument).is_some()) {
        return Action::Refuse(Refusal {
            command: None,
            reason: Reason::UnknownCommand,
        });
    }
    Action::Forward
}

fn effect(rule: EffectRule, arguments: &[&[u8]]) -> Effect {
    match rule {
        EffectRule::Always(effect) => effect,
        EffectRule::BlockingWithBlock if blocks(arguments) => Effect::Blocking,
        EffectRule::BlockingWithBlock => Effect::None,
        EffectRule::ReplyMode if arguments.len() != 3 => Effect::Connection,
        EffectRule::ReplyMode if is(arguments, 2, "ON") => Effect::ReplyOn,
        EffectRule::ReplyMode if is(arguments, 2, "OFF") => Effect::ReplyOff,
        EffectRule::ReplyMode if is(arguments, 2, "SKIP") => Effect::ReplySkip,
        EffectRule::ReplyMode => Effect::Connection,
    }
}
