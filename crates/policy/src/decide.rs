//! The decision about one request: finds the command's row, looks whether one of its record names is
//! protected, and does as the row says. What single commands do with their values is in `form`.

use std::time::Duration;

use crate::argument::word;
use crate::decision::{Action, Decision, Effect};
use crate::form::without_redirect;
use crate::names::{Names, Standing};
use crate::protected::{PatternId, ProtectedNames};
use crate::refusal::{Reason, Refusal};
use crate::table::{Row, Treatment, find};

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
        return without_row(names, arguments);
    };
    Decision {
        command: Some(row.name),
        action: action(row, names, arguments),
        effect: row.effect.of(arguments),
    }
}

/// The decision about a request that begins with these arguments, and will have `total` of them, if it
/// is certain already: it is forwarded as it comes, whatever follows. No name so far is protected, or all
/// are excepted and the reply holds no value, and no name can follow.
#[must_use]
pub fn decide_early(
    names: &ProtectedNames,
    arguments_so_far: &[&[u8]],
    total: usize,
) -> Option<Decision> {
    if arguments_so_far.len() >= total {
        let decision = decide(names, arguments_so_far);
        return (decision.action == Action::Forward).then_some(decision);
    }
    let row = find(arguments_so_far)?;
    let effect = row.effect.early(total)?;
    let by_names = matches!(
        row.treatment,
        Treatment::Pass | Treatment::Refuse(_) | Treatment::Form(_)
    );
    let certain = by_names
        && row.names.all_seen(arguments_so_far, total)
        && match matters(row, names, arguments_so_far, total) {
            None => true,
            Some(Matter::Protected(met)) => is_excepted(met) && has_no_value_in_reply(row, total),
            Some(Matter::ReadOnly) => false,
        };
    certain.then_some(Decision {
        command: Some(row.name),
        action: Action::Forward,
        effect,
    })
}

/// True if the reply to a request of so many arguments holds no stored value: a sealed one would have to be opened
/// under an excepted name as well.
fn has_no_value_in_reply(row: &Row, total: usize) -> bool {
    match row.name {
        // With more arguments it may have GET.
        "set" => total <= 3,
        "append" | "hmset" | "hset" | "hsetnx" | "lpush" | "lpushx" | "mset" | "msetnx"
        | "psetex" | "rpush" | "rpushx" | "setex" | "setnx" | "setrange" => true,
        _ => false,
    }
}

/// How long a request is ready to wait on the server: `None` without end. Zero for a request that does
/// not wait.
#[must_use]
pub fn longest_wait(arguments: &[&[u8]]) -> Option<Duration> {
    let timeout = find(arguments).and_then(|row| row.effect.timeout());
    timeout.map_or(Some(Duration::ZERO), |timeout| timeout.of(arguments))
}

fn action(row: &'static Row, names: &ProtectedNames, arguments: &[&[u8]]) -> Action {
    let refuse = |reason, met: Option<Met>| {
        Action::Refuse(Refusal {
            command: Some(row.name),
            reason,
            pattern: met.and_then(|(_, pattern)| pattern),
            name: met.map(|(at, _)| at),
        })
    };
    match row.treatment {
        Treatment::RefuseAlways(reason) => return refuse(reason, None),
        Treatment::WithoutRedirect => return without_redirect(arguments),
        Treatment::Pass | Treatment::Form(_) | Treatment::Refuse(_) => {}
    }
    let met = match matters(row, names, arguments, arguments.len()) {
        None => return Action::Forward,
        Some(Matter::ReadOnly) => return refuse(Reason::WritesOwnRecord, None),
        Some(Matter::Protected(met)) => met,
    };
    // Values under excepted names are plain: the server may do with them what it can.
    let refuse = |reason| match is_excepted(met) {
        true => Action::Forward,
        false => refuse(reason, Some(met)),
    };
    match row.treatment {
        Treatment::Pass | Treatment::WithoutRedirect => Action::Forward,
        Treatment::Refuse(reason) | Treatment::RefuseAlways(reason) => refuse(reason),
        Treatment::Form(form) => form.apply(names, arguments, met).unwrap_or_else(refuse),
    }
}

/// The first protected name that a request meets, or if all are excepted, the first of these: which
/// argument, and which pattern means it; no pattern where it is only a glob that could mean one.
pub(crate) type Met = (usize, Option<PatternId>);

/// Returns whether a name is excepted from its pattern.
pub(crate) fn is_excepted((_, pattern): Met) -> bool {
    pattern.is_some_and(PatternId::is_excepted)
}

/// What in a request matters to the policy.
enum Matter {
    /// A record of Waxseal's own that the request would write.
    ReadOnly,
    /// A protected name.
    Protected(Met),
}

fn matters(row: &Row, names: &ProtectedNames, arguments: &[&[u8]], total: usize) -> Option<Matter> {
    let rule: Names = row.names;
    let mut met = None;
    let mut read_only = false;
    rule.any(arguments, total, |at, standing| {
        let Some(argument) = arguments.get(at) else {
            return false;
        };
        if standing == Standing::Name && !row.reads && names.is_read_only(argument) {
            read_only = true;
            return true;
        }
        if met.is_none_or(is_excepted) {
            let found = match standing {
                Standing::Name => names.find(argument).map(|pattern| (at, Some(pattern))),
                Standing::Glob => names.may_mean(argument).then_some((at, None)),
            };
            // A name that is not excepted decides, wherever it stands.
            met = found.filter(|it| !is_excepted(*it)).or(met).or(found);
        }
        // Of a request that only reads, nothing else can matter.
        row.reads && met.is_some_and(|met| !is_excepted(met))
    });
    match (read_only, met) {
        (true, _) => Some(Matter::ReadOnly),
        (false, met) => met.map(Matter::Protected),
    }
}

/// A command that the table does not have.
#[cold]
fn without_row(names: &ProtectedNames, arguments: &[&[u8]]) -> Decision {
    let refuse = |command, reason| {
        Action::Refuse(Refusal {
            command,
            reason,
            pattern: None,
            name: None,
        })
    };
    let container = find(arguments.get(..1).unwrap_or_default());
    let words = arguments.get(..if container.is_some() { 2 } else { 1 });
    let has_zero_byte = |argument: &&[u8]| word(argument).len() < argument.len();
    let (action, effect) = if words.unwrap_or(arguments).iter().any(has_zero_byte) {
        // Servers look commands up in a hash table: by the hash of all bytes, then by comparing up to a
        // zero byte. Which command that finds, if any, depends on the server's hash seed.
        (refuse(None, Reason::ZeroByte), Effect::None)
    } else if container.is_some_and(|row| row.name == "client") {
        // It could ask for anything about the connection: to be told of another server, for one.
        let reason = Reason::UnknownSubcommand;
        (refuse(Some("client"), reason), Effect::None)
    } else {
        // Nobody knows whether it has a state.
        (unknown(names, arguments), Effect::Connection)
    };
    Decision {
        command: None,
        action,
        effect,
    }
}

/// A command without a row: it may do anything with any of its arguments.
fn unknown(names: &ProtectedNames, arguments: &[&[u8]]) -> Action {
    let refuse = |reason, name, pattern| {
        Action::Refuse(Refusal {
            command: None,
            reason,
            pattern,
            name,
        })
    };
    let rest = || arguments.iter().enumerate().skip(1);
    if rest().any(|(_, argument)| names.is_read_only(argument)) {
        return refuse(Reason::WritesOwnRecord, None, None);
    }
    let met = rest().find_map(|(at, argument)| Some((at, names.find_sealed(argument)?)));
    match met {
        Some((at, pattern)) => refuse(Reason::UnknownCommand, Some(at), Some(pattern)),
        None => Action::Forward,
    }
}
