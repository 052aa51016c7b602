//! The decision about one request: finds the row of the command, checks whether one of its record names is
//! protected, and applies the treatment of the row. The values of single commands are in `form`.

use std::time::Duration;

use crate::argument::{c_string, integer, is};
use crate::decision::{Action, Decision, Effect, NameSlot, NameSlots};
use crate::form::{NameForm, seal_message, without_redirect};
use crate::names::{ArgumentKind, Names};
use crate::protected::{PatternId, ProtectedNames};
use crate::refusal::{Reason, Refusal};
use crate::table::{Row, Treatment, find};

/// The number of names in a page that is read on a connection which clients share.
const MAX_PAGE_ON_LANE: i64 = 10_000;

/// Decides about one request. `arguments[0]` is the command, in any case; a request without arguments is
/// forwarded, as Redis ignores it.
#[must_use]
pub fn decide(names: &ProtectedNames, arguments: &[&[u8]]) -> Decision {
    if arguments.is_empty() {
        return Decision {
            command: None,
            action: Action::Forward,
            names: NameSlots::new(),
            quotes_names: false,
            effect: Effect::None,
        };
    }
    let Some(row) = find(arguments) else {
        return decide_without_row(names, arguments);
    };
    let mut slots = NameSlots::new();
    let action = action(row, names, arguments, &mut slots);
    let effect = match row.treatment {
        // Opening so many names would hold up other clients of a lane.
        Treatment::Names(NameForm::Keys) if names.has_managed() => Effect::Blocking,
        Treatment::Names(NameForm::Scan) if names.has_managed() && is_large_page(arguments) => {
            Effect::Blocking
        }
        _ => row.effect.of(arguments),
    };
    Decision {
        command: Some(row.name),
        action,
        quotes_names: row.quotes_names && !slots.is_empty(),
        names: slots,
        effect,
    }
}

/// The decision about a request that begins with these arguments and will have `total` of them, if it is
/// certain already that it is forwarded unchanged, whatever follows: no name so far is protected, or all are
/// excepted and the reply holds no value, and no name can follow.
#[must_use]
pub fn decide_early(
    names: &ProtectedNames,
    arguments_so_far: &[&[u8]],
    total: usize,
) -> Option<Decision> {
    if arguments_so_far.len() >= total {
        let decision = decide(names, arguments_so_far);
        let is_unchanged = decision.action == Action::Forward && decision.names.is_empty();
        return is_unchanged.then_some(decision);
    }
    let row = find(arguments_so_far)?;
    let effect = row.effect.early(total)?;
    if row.treatment == Treatment::SealMessage {
        let channel = arguments_so_far.get(1);
        let is_open = |channel: &&[u8]| {
            names.find_channel(channel).is_none() && !names.may_hold_sealed_name(channel)
        };
        let is_certain =
            !names.has_channels() && !names.has_managed() || channel.is_some_and(is_open);
        return is_certain.then(|| forwarded(row, effect));
    }
    let depends_on_names = match row.treatment {
        Treatment::Pass | Treatment::Refuse(_) | Treatment::Form(_) => true,
        Treatment::Names(_) => !names.has_managed(),
        Treatment::WithoutRedirect | Treatment::SealMessage | Treatment::RefuseAlways(_) => false,
    };
    let may_embed_message = names.has_channels() && row.embedded_command().is_some();
    let is_certain = depends_on_names
        && !may_embed_message
        && row.names.all_seen(arguments_so_far, total)
        && match find_relevant_name(row, names, arguments_so_far, total, None) {
            None => true,
            Some(RelevantName::Protected(name)) => {
                is_excepted(name) && has_no_value_in_reply(row, total)
            }
            Some(RelevantName::OwnRecord) => false,
        };
    is_certain.then(|| forwarded(row, effect))
}

/// The decision about a request without protected names.
fn forwarded(row: &Row, effect: Effect) -> Decision {
    Decision {
        command: Some(row.name),
        action: Action::Forward,
        names: NameSlots::new(),
        quotes_names: false,
        effect,
    }
}

/// True if the reply to a request of so many arguments holds no stored value: a sealed one would have to be opened
/// under an excepted name as well.
fn has_no_value_in_reply(row: &Row, total: usize) -> bool {
    match row.name {
        // With more arguments it may have GET.
        "set" => total <= 3,
        "append" | "hmset" | "hset" | "hsetnx" | "lpush" | "lpushx" | "mset" | "msetnx"
        | "psetex" | "rpush" | "rpushx" | "setex" | "setnx" | "setrange" | "xadd" => true,
        _ => false,
    }
}

/// The time that a request may wait on the server: `None` if it is not limited, zero if the request does
/// not wait.
#[must_use]
pub fn max_wait(arguments: &[&[u8]]) -> Option<Duration> {
    let timeout = find(arguments).and_then(|row| row.effect.timeout());
    timeout.map_or(Some(Duration::ZERO), |timeout| timeout.of(arguments))
}

fn action(
    row: &'static Row,
    names: &ProtectedNames,
    arguments: &[&[u8]],
    slots: &mut NameSlots,
) -> Action {
    let refuse = |reason, name: Option<NameMatch>| {
        Action::Refuse(Refusal {
            command: Some(row.name),
            reason,
            pattern: name.and_then(|(_, pattern)| pattern),
            name: name.map(|(at, _)| at),
        })
    };
    match row.treatment {
        Treatment::RefuseAlways(reason) => return refuse(reason, None),
        Treatment::WithoutRedirect => return without_redirect(arguments),
        Treatment::SealMessage => {
            return seal_message(names, arguments).unwrap_or_else(|reason| refuse(reason, None));
        }
        Treatment::Names(form) if names.has_managed() => {
            let decided = form.apply(names, arguments);
            return decided.unwrap_or_else(|reason| refuse(reason, None));
        }
        Treatment::Names(_) => return Action::Forward,
        Treatment::Pass | Treatment::Form(_) | Treatment::Refuse(_) => {}
    }
    let collected = names.has_managed().then_some(slots);
    let name = match find_relevant_name(row, names, arguments, arguments.len(), collected) {
        None if embeds_message(row, names, arguments) => {
            return refuse(Reason::EmbedsRequest, None);
        }
        None => return Action::Forward,
        Some(RelevantName::OwnRecord) => return refuse(Reason::WritesOwnRecord, None),
        Some(RelevantName::Protected(name)) => name,
    };
    // Values under excepted names are plaintext: the server may compute on them.
    let refuse = |reason| match is_excepted(name) {
        true => Action::Forward,
        false => refuse(reason, Some(name)),
    };
    match row.treatment {
        Treatment::Pass
        | Treatment::Names(_)
        | Treatment::WithoutRedirect
        | Treatment::SealMessage => Action::Forward,
        Treatment::Refuse(reason) | Treatment::RefuseAlways(reason) => refuse(reason),
        Treatment::Form(form) => form.apply(names, arguments, name).unwrap_or_else(refuse),
    }
}

/// True if a request for one page of names asks for so many that others on the same connection would wait.
fn is_large_page(arguments: &[&[u8]]) -> bool {
    let counts = (1..arguments.len()).filter(|at| is(arguments, *at, "COUNT"));
    let mut counts = counts.map(|at| integer(arguments, at.saturating_add(1)));
    counts.any(|count| count.is_some_and(|count| count > MAX_PAGE_ON_LANE))
}

/// True if the request embeds one with a message for a protected channel, which is no record name, or with a channel that
/// ends with a sealed name, which is not replaced there.
fn embeds_message(row: &Row, names: &ProtectedNames, arguments: &[&[u8]]) -> bool {
    if !names.has_channels() && !names.has_managed() {
        return false;
    }
    let Some(word) = row.embedded_command() else {
        return false;
    };
    let inside = arguments.get(word..).unwrap_or_default();
    if inside.iter().any(|it| names.may_hold_sealed_name(it)) {
        return true;
    }
    if !names.has_channels() {
        return false;
    }
    match find(inside) {
        Some(row) if row.treatment == Treatment::SealMessage => {
            let channel = inside.get(1);
            channel.is_some_and(|channel| names.find_channel(channel).is_some())
        }
        // One that is embedded twice is not looked at.
        Some(row) => row.embedded_command().is_some(),
        None => names_channel(names, inside),
    }
}

/// True if an argument of a command that is not known is the name of a protected channel.
fn names_channel(names: &ProtectedNames, arguments: &[&[u8]]) -> bool {
    let mut operands = arguments.iter().skip(1);
    names.has_channels() && operands.any(|argument| names.find_channel(argument).is_some())
}

/// A protected name in a request: its argument, and the pattern that it belongs to. The pattern is `None` for
/// a glob that may match protected names.
pub(crate) type NameMatch = (usize, Option<PatternId>);

/// True if the name is excepted from its pattern.
pub(crate) fn is_excepted((_, pattern): NameMatch) -> bool {
    pattern.is_some_and(PatternId::is_excepted)
}

/// The name in a request that decides its treatment.
enum RelevantName {
    /// A record of Waxseal's own that the request would write.
    OwnRecord,
    /// A protected name: the first that is not excepted, else the first.
    Protected(NameMatch),
}

/// Finds it, and adds the names that are stored sealed to `slots`.
fn find_relevant_name(
    row: &Row,
    names: &ProtectedNames,
    arguments: &[&[u8]],
    total: usize,
    slots: Option<&mut NameSlots>,
) -> Option<RelevantName> {
    let rule: Names = row.names;
    // The rule of a request that embeds another one looks at all arguments, names or not.
    let mut slots = match (slots, row.embedded_command()) {
        (Some(slots), Some(word)) => {
            collect_embedded(names, arguments, word, slots);
            None
        }
        (slots, _) => slots,
    };
    let mut protected = None;
    let mut writes_own_record = false;
    rule.any(arguments, total, |at, kind| {
        let Some(argument) = arguments.get(at) else {
            return false;
        };
        if kind == ArgumentKind::Name && !row.reads && names.is_read_only(argument) {
            writes_own_record = true;
            return true;
        }
        if slots.is_some() || protected.is_none_or(is_excepted) {
            let found = match kind {
                ArgumentKind::Name => names.find(argument).map(|pattern| (at, Some(pattern))),
                ArgumentKind::Glob => names.may_match(argument).then_some((at, None)),
            };
            if let (Some(slots), Some((_, Some(pattern)))) = (&mut slots, found) {
                add_slot(names, at, pattern, slots);
            }
            // The first name that is not excepted decides, in whichever position.
            if protected.is_none_or(is_excepted) {
                protected = found.filter(|it| !is_excepted(*it)).or(protected).or(found);
            }
        }
        // Nothing else can matter to a request that only reads, if its names are not replaced.
        row.reads && slots.is_none() && protected.is_some_and(|name| !is_excepted(name))
    });
    if let Some(slots) = slots
        && let Some(at) = rule.miscounted(arguments)
        && let Some(pattern) = arguments.get(at).and_then(|name| names.find(name))
    {
        // The server answers with an error, but is not to see the name.
        add_slot(names, at, pattern, slots);
        slots.sort_unstable_by_key(|slot| slot.argument);
    }
    match (writes_own_record, protected) {
        (true, _) => Some(RelevantName::OwnRecord),
        (false, protected) => protected.map(RelevantName::Protected),
    }
}

/// Adds the argument at this position, which is a name of this pattern, if it is stored sealed.
#[inline]
fn add_slot(names: &ProtectedNames, at: usize, pattern: PatternId, slots: &mut NameSlots) {
    if names.is_managed(pattern)
        && let Ok(argument) = u32::try_from(at)
    {
        slots.push(NameSlot { argument, pattern });
    }
}

/// Adds the names of a request that is embedded in this one, whose command word is at this position.
fn collect_embedded(
    names: &ProtectedNames,
    arguments: &[&[u8]],
    word: usize,
    slots: &mut NameSlots,
) {
    let inside = arguments.get(word..).unwrap_or_default();
    let Some(row) = find(inside).filter(|row| row.embedded_command().is_none()) else {
        return;
    };
    row.names.any(inside, inside.len(), |at, kind| {
        if kind == ArgumentKind::Name
            && let Some(pattern) = inside.get(at).and_then(|name| names.find(name))
        {
            add_slot(names, at.saturating_add(word), pattern, slots);
        }
        false
    });
}

/// The decision about a command that the table does not have.
#[cold]
fn decide_without_row(names: &ProtectedNames, arguments: &[&[u8]]) -> Decision {
    let refuse = |command, reason| {
        Action::Refuse(Refusal {
            command,
            reason,
            pattern: None,
            name: None,
        })
    };
    let container = find(arguments.get(..1).unwrap_or_default());
    let command = arguments.get(..if container.is_some() { 2 } else { 1 });
    let has_zero_byte = |argument: &&[u8]| c_string(argument).len() < argument.len();
    let (action, effect) = if command.unwrap_or(arguments).iter().any(has_zero_byte) {
        // Servers look commands up in a hash table: by the hash of all bytes, then by comparing up to a
        // zero byte. The command that this finds, if any, depends on the server's hash seed.
        (refuse(None, Reason::ZeroByte), Effect::None)
    } else if container.is_some_and(|row| row.name == "client") {
        // It could ask for anything about the connection, such as being redirected to another server.
        let reason = Reason::UnknownSubcommand;
        (refuse(Some("client"), reason), Effect::None)
    } else {
        // It may change the state of the connection.
        (decide_unknown(names, arguments), Effect::Connection)
    };
    Decision {
        command: None,
        action,
        names: NameSlots::new(),
        quotes_names: false,
        effect,
    }
}

/// The action for a command without a row, which may do anything with any of its arguments.
fn decide_unknown(names: &ProtectedNames, arguments: &[&[u8]]) -> Action {
    let refuse = |reason, name, pattern| {
        Action::Refuse(Refusal {
            command: None,
            reason,
            pattern,
            name,
        })
    };
    let operands = || arguments.iter().enumerate().skip(1);
    if operands().any(|(_, argument)| names.is_read_only(argument)) {
        return refuse(Reason::WritesOwnRecord, None, None);
    }
    let protected = operands().find_map(|(at, argument)| Some((at, names.find_sealed(argument)?)));
    match protected {
        Some((at, pattern)) => refuse(Reason::UnknownCommand, Some(at), Some(pattern)),
        // What follows could be a message.
        None if names_channel(names, arguments) => refuse(Reason::UnknownCommand, None, None),
        None => Action::Forward,
    }
}
