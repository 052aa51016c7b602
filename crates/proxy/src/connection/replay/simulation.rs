//! The values of a transaction's records as they will be at each of its commands: those that compute need the value that
//! the commands before them leave. Commands that may leave any other value are not followed; a command that computes
//! behind one is refused.

use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use waxseal_compute::{ApplyError, Expiry, Reply, Write};
use waxseal_lua::{REPLACE_FIELD, write_eval};
use waxseal_policy::Effect;
use waxseal_policy::table::{Row, find};
use waxseal_resp::{write_bulk, write_request_head};

use super::Replay;
use super::journal::{ComputedEntry, with_arguments};
use super::replies::Current;
use crate::answers;
use crate::connection::computed::has_field_lifetimes;
use crate::connection::state::ConnectionState;
use crate::location::BorrowedLocation;
use crate::open::ValueOpener;
use crate::pending::Shape;
use crate::seal::seal_value;

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
    let changes_everything = matches!(
        row.name,
        "select" | "swapdb" | "flushdb" | "flushall" | "move" | "migrate" | "restore" | "debug"
    );
    if changes_everything || effect == Effect::Script || row.name.starts_with("fcall") {
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

/// True for the proxy's own read in the place of a command that sorts.
fn is_read_for_sort(arguments: &[&[u8]]) -> bool {
    let text = arguments.get(1).copied().unwrap_or_default();
    arguments.first() == Some(&&b"eVAL"[..]) && text == waxseal_lua::read_sorted().as_bytes()
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
    /// Appends the commands of a transaction, with the results of those that compute in their places, and puts their
    /// replies among its shapes.
    pub(super) fn write_queue(&self, replay: &mut Replay, upstream: &mut Vec<u8>) {
        let Replay {
            journal,
            shapes,
            values,
            ..
        } = replay;
        for value in values.iter_mut() {
            value.begin();
        }
        let mut at = 0_usize;
        for (entry, sent) in journal.iter() {
            let shape = shapes.get_mut(at).map(|(_, shape)| shape);
            at = at.saturating_add(entry.requests);
            let Some(computed) = &entry.computed else {
                upstream.extend_from_slice(sent);
                for value in values.iter_mut() {
                    let location = value.location.borrowed();
                    let next = with_arguments(sent, |arguments| {
                        self.following(arguments, location, &value.current)
                    });
                    if let Some(Some(next)) = next {
                        value.current = next;
                    }
                }
                continue;
            };
            let Some(value) = values
                .iter_mut()
                .find(|value| value.location == computed.location)
            else {
                continue;
            };
            let answer = match self.compute_entry(computed, &mut value.current, upstream) {
                Ok(answer) => answer,
                Err(answer) => {
                    // Nothing is written: the read stays in its place.
                    upstream.extend_from_slice(sent);
                    answer
                }
            };
            if let Some(shape) = shape {
                *shape = Shape::Fixed(answer.into());
            }
        }
    }

    /// The value that a command leaves, if that is another one.
    fn following(
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
                Some(match values.open("exec", stored, location) {
                    Ok(opened) => Current::Value(Some(opened.into_owned())),
                    Err(answer) => Current::Failed(answer),
                })
            }
        }
    }

    /// Appends what a command that computes writes. `Err` is its answer if it writes nothing.
    fn compute_entry(
        &self,
        computed: &ComputedEntry,
        current: &mut Current,
        upstream: &mut Vec<u8>,
    ) -> Result<Vec<u8>, Vec<u8>> {
        let held = match current {
            Current::Value(value) => value.as_deref(),
            Current::Failed(answer) => return Err(answer.clone()),
            Current::WrongType => {
                return Err(answers::server_error(computed.operation.wrong_type()));
            }
        };
        if computed.needs_value && held.is_none() {
            return Err(self.computed_reply(&Reply::Null));
        }
        let limit = self.limits.value;
        let outcome = match computed.operation.apply(&[held], limit) {
            Ok(outcome) => outcome,
            Err(ApplyError::Server(error)) => return Err(answers::server_error(error)),
            Err(ApplyError::TooLarge { .. }) => {
                return Err(answers::computed_too_large(computed.command, limit));
            }
        };
        let answer = self.computed_reply(&outcome.reply);
        let location = computed.location.borrowed();
        match outcome.write {
            Write::Keep => return Err(answer),
            Write::Delete => {
                write_request_head(upstream, 2);
                write_bulk(upstream, b"dEL");
                write_bulk(upstream, location.name);
                *current = Current::Value(None);
            }
            Write::Put(value) => {
                let key = computed.key.as_ref();
                let stored = seal_value(&value, location, key, &self.protection);
                let stored = stored
                    .map_err(|error| self.record_send_error(computed.command, &[], &error))?;
                self.write_put(&stored, location, computed.operation.expiry(), upstream);
                drop(stored);
                *current = Current::Value(Some(value));
            }
        }
        Ok(answer)
    }

    /// Appends the request that writes a result. The value is watched, so nothing is compared.
    fn write_put(
        &self,
        stored: &[u8],
        location: BorrowedLocation<'_>,
        expiry: Expiry,
        upstream: &mut Vec<u8>,
    ) {
        if let Some(field) = location.field {
            let lifetimes = has_field_lifetimes(self.protection.server_limits().dialect());
            let arguments = [field, b"*", b"", stored, lifetimes];
            if lifetimes == b"1" {
                return write_eval(upstream, REPLACE_FIELD, &[location.name], &arguments);
            }
            write_request_head(upstream, 4);
            for argument in [b"hSET", location.name, field, stored] {
                write_bulk(upstream, argument);
            }
            return;
        }
        let number;
        let options: &[&[u8]] = match expiry {
            Expiry::Keep => &[b"KEEPTTL"],
            Expiry::Clear => &[],
            Expiry::Set(option, time) => {
                number = time.to_string();
                &[option.as_str().as_bytes(), number.as_bytes()]
            }
        };
        write_request_head(upstream, options.len().saturating_add(3));
        write_bulk(upstream, b"sET");
        write_bulk(upstream, location.name);
        write_bulk(upstream, stored);
        for option in options {
            write_bulk(upstream, option);
        }
    }

    /// A computed reply in the protocol of the client.
    fn computed_reply(&self, reply: &Reply) -> Vec<u8> {
        let mut answer = Vec::new();
        reply.write(&mut answer, self.client.protocol.of_computed());
        answer
    }
}
