//! The values of a transaction's records as they will be at each of its commands: those that compute need the value that
//! the commands before them leave. Commands that may leave any other value are not followed; a command that computes
//! behind one is refused.

use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use waxseal_policy::Moved;
use waxseal_policy::table::{Row, find};

use super::journal::{Entry, MoveEntry, Replaced};
use super::replies::{Current, WatchedValue};
use super::sources::{changes_unnamed, is_read_for_sort};
use crate::connection::moves::values::{Resealed, Source};
use crate::connection::state::ConnectionState;
use crate::connection::stored::StoredValue;
use crate::location::{BorrowedLocation, ValueKind};
use crate::open::ValueOpener;

/// The effect of a command on one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ValueEffect {
    None,
    /// The argument becomes the value.
    Put(usize, When),
    Delete,
    Unforeseen,
}

/// The condition of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    Always,
    Absent,
    Present,
}

/// A lifetime that servers accept in seconds and in milliseconds.
const MAX_LIFETIME: u64 = 1_000_000_000_000;

/// True if a command may leave any value there.
pub(super) fn may_change_unforeseen(arguments: &[&[u8]], location: BorrowedLocation<'_>) -> bool {
    effect_of(arguments, location) == ValueEffect::Unforeseen
}

/// True if what a command leaves at this location cannot be foreseen, in whose place a read was queued.
pub(super) fn is_unforeseen_behind(entry: &Entry, location: BorrowedLocation<'_>) -> bool {
    match entry.replaced.as_deref() {
        None => false,
        // A string may come where a hash is, or a hash where a string is.
        Some(Replaced::Computed(entry)) => {
            &entry.location.name[..] == location.name
                && entry.location.field.is_some() != location.field.is_some()
        }
        Some(Replaced::Move(entry)) => is_unforeseen_behind_move(entry, location),
    }
}

fn is_unforeseen_behind_move(entry: &MoveEntry, location: BorrowedLocation<'_>) -> bool {
    let is_destination = &entry.destination.name[..] == location.name;
    match entry.moved {
        _ if !entry.names(location.name) => false,
        // That there is no such field does not tell that there is no such record.
        Moved::Record | Moved::CopyReplacing if is_destination => {
            location.field.is_some() || matches!(entry.source, Source::Plain(_))
        }
        Moved::Record | Moved::CopyReplacing => false,
        Moved::Copy => is_destination,
        Moved::RecordToFreeName | Moved::Element { .. } => true,
    }
}

/// The effect of a command on the value at this location.
fn effect_of(arguments: &[&[u8]], location: BorrowedLocation<'_>) -> ValueEffect {
    let Some(row) = find(arguments) else {
        return ValueEffect::Unforeseen;
    };
    if is_read_for_sort(arguments) {
        return ValueEffect::None;
    }
    let effect =
        waxseal_policy::decide(&waxseal_policy::ProtectedNames::default(), arguments).effect;
    if changes_unnamed(row, effect) {
        return ValueEffect::Unforeseen;
    }
    let places = row.names.places(arguments);
    let is_named = |at: &usize| arguments.get(*at).copied() == Some(location.name);
    let Some(at) = places.into_iter().rfind(is_named) else {
        return ValueEffect::None;
    };
    if row.reads || matches!(row.name, "persist" | "touch" | "watch") {
        return ValueEffect::None;
    }
    match (row.name, location.field) {
        ("del" | "unlink" | "getdel", _) => ValueEffect::Delete,
        ("expire" | "pexpire" | "expireat" | "pexpireat", _) if leaves_time(row, arguments) => {
            ValueEffect::None
        }
        (_, None) => effect_on_string(row, arguments, at),
        (_, Some(field)) => effect_on_field(row, arguments, field),
    }
}

/// True if a command that sets a lifetime leaves the record there for now.
fn leaves_time(row: &Row, arguments: &[&[u8]]) -> bool {
    let number = arguments
        .get(2)
        .and_then(|text| std::str::from_utf8(text).ok());
    let Some(number) = number.and_then(|number| number.parse::<u64>().ok()) else {
        return false;
    };
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    // An hour is more than clocks differ.
    let later = now.saturating_add(Duration::from_secs(3600));
    match row.name {
        "expireat" => number > later.as_secs(),
        "pexpireat" => u128::from(number) > later.as_millis(),
        _ => number > 0,
    }
}

fn effect_on_string(row: &Row, arguments: &[&[u8]], at: usize) -> ValueEffect {
    let has = |word: &str| (3..arguments.len()).any(|at| waxseal_policy::is(arguments, at, word));
    match row.name {
        "set" if !(3..arguments.len()).all(|at| has_lifetime(arguments, at)) => {
            ValueEffect::Unforeseen
        }
        "set" if has("NX") => ValueEffect::Put(2, When::Absent),
        "set" if has("XX") => ValueEffect::Put(2, When::Present),
        "set" if has("EXAT") || has("PXAT") => ValueEffect::Unforeseen,
        "set" | "getset" => ValueEffect::Put(2, When::Always),
        "setnx" => ValueEffect::Put(2, When::Absent),
        "setex" | "psetex" if is_lifetime(arguments, 2) => ValueEffect::Put(3, When::Always),
        // Servers refuse it when it is executed.
        "mset" | "msetnx" if arguments.len().is_multiple_of(2) => ValueEffect::None,
        "mset" => ValueEffect::Put(at.saturating_add(1), When::Always),
        _ => ValueEffect::Unforeseen,
    }
}

/// True if no option at this place has a lifetime that servers refuse when the command is executed.
fn has_lifetime(arguments: &[&[u8]], at: usize) -> bool {
    let is_option = ["EX", "PX"]
        .iter()
        .any(|word| waxseal_policy::is(arguments, at, word));
    !is_option || is_lifetime(arguments, at.saturating_add(1))
}

/// True if servers take an argument for a lifetime.
fn is_lifetime(arguments: &[&[u8]], at: usize) -> bool {
    let text = arguments.get(at).copied().unwrap_or_default();
    let number = std::str::from_utf8(text)
        .ok()
        .and_then(|text| text.parse::<u64>().ok());
    number.is_some_and(|number| {
        (1..=MAX_LIFETIME).contains(&number) && number.to_string().as_bytes() == text
    })
}

fn effect_on_field(row: &Row, arguments: &[&[u8]], field: &[u8]) -> ValueEffect {
    let is_field = |at: &usize| arguments.get(*at).copied() == Some(field);
    let of = |fields: Option<usize>, effect: fn(usize) -> ValueEffect| match fields {
        Some(at) => effect(at),
        None => ValueEffect::None,
    };
    match row.name {
        "hset" | "hmset" if !arguments.len().is_multiple_of(2) => ValueEffect::None,
        "hset" | "hmset" => of((2..arguments.len()).step_by(2).rfind(is_field), |at| {
            ValueEffect::Put(at.saturating_add(1), When::Always)
        }),
        "hsetnx" => of(Some(2).filter(is_field), |_| {
            ValueEffect::Put(3, When::Absent)
        }),
        "hdel" => of((2..arguments.len()).find(is_field), |_| ValueEffect::Delete),
        _ => ValueEffect::Unforeseen,
    }
}

impl ConnectionState {
    /// The value that a command leaves, if that is another one.
    pub(super) fn following(
        &self,
        arguments: &[&[u8]],
        location: BorrowedLocation<'_>,
        current: &Current,
    ) -> Option<Current> {
        let exists = !matches!(current, Current::Value(None));
        match effect_of(arguments, location) {
            ValueEffect::None | ValueEffect::Unforeseen => None,
            ValueEffect::Put(_, When::Absent) if exists => None,
            ValueEffect::Put(_, When::Present) if !exists => None,
            ValueEffect::Put(_, _)
                if location.field.is_some() && *current == Current::WrongType =>
            {
                None
            }
            ValueEffect::Delete => Some(Current::Value(None)),
            ValueEffect::Put(at, _) => {
                let stored = arguments.get(at).copied().unwrap_or_default();
                let no_keys = HashMap::new();
                let mut values = ValueOpener::new(&self.protection, Some(&no_keys));
                let opened = StoredValue::open(&mut values, "exec", stored, location);
                Some(match opened {
                    Ok(value) => Current::Value(Some(value)),
                    Err(answer) => Current::Failed(answer),
                })
            }
        }
    }
}

/// Follows the values that commands compute on through a move.
pub(super) fn follow_move(entry: &MoveEntry, sealed: &[Resealed<'_>], values: &mut [WatchedValue]) {
    let replaces = matches!(entry.moved, Moved::Record | Moved::CopyReplacing);
    let name = entry.source.name();
    let is_source = |it: &&WatchedValue| &it.location.name[..] == name;
    let mut from = values.iter().filter(is_source);
    let from = from.find(|it| it.location.field.is_none());
    let arrived = match from.map(|it| &it.current) {
        Some(Current::Value(Some(value))) => {
            let is_moved = |it: &&Resealed<'_>| {
                it.moved.kind == ValueKind::String && it.moved.value.stored == value.stored
            };
            let moved = sealed.iter().find(is_moved);
            moved.map(|it| Current::Value(Some(it.at_destination().value)))
        }
        Some(Current::WrongType) => Some(Current::WrongType),
        // There is nothing to move, or nothing moves.
        Some(Current::Value(None) | Current::Failed(_)) | None => None,
    };
    for value in values {
        let record = &value.location.name[..];
        if record == name && entry.moved == Moved::Record {
            value.current = Current::Value(None);
        } else if record == &entry.destination.name[..]
            && replaces
            && let Some(arrived) = &arrived
        {
            value.current = arrived.clone();
        }
    }
}
