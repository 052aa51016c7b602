//! The values of a transaction's records as they will be at each of its commands: those that compute need the value that
//! the commands before them leave. Commands that may leave any other value are not followed; a command that computes
//! behind one is refused.
//!
//! What is followed is an expectation: a command may also fail when it is executed. What is computed behind one is written
//! only if the record holds what is expected.

use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use waxseal_policy::table::Row;

use super::values::{Current, WatchedValues};
use crate::connection::state::ConnectionState;
use crate::connection::stored::StoredValue;
use crate::open::ValueOpener;

/// The expected effect of a command on a record that it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RecordEffect {
    /// It only reads.
    None,
    /// Its values stay, unless that fails.
    Kept,
    /// The argument becomes its value, as a string.
    Put {
        at: usize,
        when: When,
        reads: bool,
    },
    /// It is deleted.
    Deleted {
        reads: bool,
    },
    /// Fields of a hash are written, or one if there is none.
    Fields(When),
    /// Fields of a hash are deleted.
    FieldsDeleted,
    /// It becomes a list or a set, if there is none.
    Created,
    Unforeseen,
}

/// The condition of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    Always,
    Absent,
    Present,
}

/// The expected effect of a command on the record whose name is the argument at this place.
pub(super) fn effect_of(row: &Row, arguments: &[&[u8]], at: usize) -> RecordEffect {
    if row.reads || matches!(row.name, "touch" | "watch") {
        return RecordEffect::None;
    }
    let put = |at: usize| RecordEffect::Put {
        at,
        when: When::Always,
        reads: false,
    };
    match row.name {
        "persist" => RecordEffect::Kept,
        "expire" | "pexpire" | "expireat" | "pexpireat" => match leaves_time(row, arguments) {
            true => RecordEffect::Kept,
            false => RecordEffect::Unforeseen,
        },
        "del" | "unlink" => RecordEffect::Deleted { reads: false },
        "getdel" => RecordEffect::Deleted { reads: true },
        "set" => effect_of_set(arguments),
        "getset" => RecordEffect::Put {
            at: 2,
            when: When::Always,
            reads: true,
        },
        "setnx" => RecordEffect::Put {
            at: 2,
            when: When::Absent,
            reads: false,
        },
        "setex" if is_time(arguments.get(2), 1000) => put(3),
        "psetex" if is_time(arguments.get(2), 1) => put(3),
        // The server finds an error in them when they are executed.
        "setex" | "psetex" => RecordEffect::Kept,
        "mset" if arguments.len().is_multiple_of(2) => RecordEffect::Kept,
        "mset" => put(at.saturating_add(1)),
        "hset" | "hmset" if !arguments.len().is_multiple_of(2) => RecordEffect::Kept,
        "hset" | "hmset" => RecordEffect::Fields(When::Always),
        "hsetnx" => RecordEffect::Fields(When::Absent),
        "hdel" => RecordEffect::FieldsDeleted,
        "lpush" | "rpush" | "sadd" => RecordEffect::Created,
        _ => RecordEffect::Unforeseen,
    }
}

/// True for a time that the server takes, in units of so many milliseconds.
fn is_time(argument: Option<&&[u8]>, unit: i64) -> bool {
    let text = argument.and_then(|text| std::str::from_utf8(text).ok());
    let number = text.and_then(|text| text.parse::<i64>().ok());
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let now = i64::try_from(now.as_millis()).unwrap_or(i64::MAX);
    let end = number
        .filter(|number| *number > 0)
        .and_then(|number| number.checked_mul(unit));
    end.and_then(|time| time.checked_add(now)).is_some()
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

/// The effect of `SET`, in whose options the server may find an error when it is executed.
fn effect_of_set(arguments: &[&[u8]]) -> RecordEffect {
    let (mut when, mut reads, mut time) = (When::Always, false, None);
    let mut at = 3;
    while let Some(word) = arguments.get(at) {
        let word = word.to_ascii_lowercase();
        let next = match &word[..] {
            b"nx" => When::Absent,
            b"xx" => When::Present,
            _ => when,
        };
        let option = match &word[..] {
            b"nx" | b"xx" if when == When::Always || when == next => {
                when = next;
                None
            }
            b"get" => {
                reads = true;
                None
            }
            b"keepttl" => Some("keepttl"),
            b"ex" if is_time(arguments.get(at.saturating_add(1)), 1000) => Some("ex"),
            b"px" if is_time(arguments.get(at.saturating_add(1)), 1) => Some("px"),
            b"nx" | b"xx" | b"ex" | b"px" => return RecordEffect::Kept,
            // It may delete the record, or not be known.
            _ => return RecordEffect::Unforeseen,
        };
        if let Some(option) = option {
            if time.is_some_and(|time| time != option) {
                return RecordEffect::Kept;
            }
            time = Some(option);
        }
        at = at.saturating_add(match option {
            Some("ex" | "px") => 2,
            _ => 1,
        });
    }
    RecordEffect::Put { at: 2, when, reads }
}

impl ConnectionState {
    /// Follows a command on the record whose name is the argument at this place.
    pub(super) fn follow_record(
        &self,
        (row, arguments, at): (&Row, &[&[u8]], usize),
        values: &mut WatchedValues,
    ) {
        let name = arguments.get(at).copied().unwrap_or_default();
        if values.record(name).is_none() {
            return;
        }
        let effect = effect_of(row, arguments, at);
        if effect != RecordEffect::None {
            values.touch(name);
        }
        let string = values.string(name);
        let is_unread = string.is_none();
        let is_other_type = string == Some(&Current::WrongType);
        let is_absent = string == Some(&Current::ABSENT);
        match effect {
            RecordEffect::None | RecordEffect::Kept | RecordEffect::Unforeseen => {}
            RecordEffect::Put {
                when: When::Absent, ..
            } if !is_absent => {}
            RecordEffect::Put {
                when: When::Present,
                ..
            } if is_absent => {}
            RecordEffect::Put { reads: true, .. } | RecordEffect::Deleted { reads: true }
                if is_other_type => {}
            // One that reads a string fails on a hash, and deletes no other record that has no fields.
            RecordEffect::Put { reads: true, .. } if is_unread => {}
            RecordEffect::Deleted { reads: true } if is_unread => {
                let record = values.record(name);
                let field = record.and_then(|it| it.fields.values().next().copied());
                let field = field.and_then(|field| values.current(field));
                if field == Some(&Current::WrongType) {
                    values.set_all(name, Current::ABSENT);
                }
            }
            RecordEffect::Put { at, .. } => {
                let string = values.record(name).and_then(|it| it.string);
                let next = self.written(arguments, at, (values, string));
                values.set_string(name, next.unwrap_or(Current::WrongType));
            }
            RecordEffect::Deleted { .. } => values.set_all(name, Current::ABSENT),
            RecordEffect::Created => {
                if is_absent {
                    values.set_no_string(name);
                }
            }
            RecordEffect::Fields(when) => {
                if is_absent {
                    values.set_no_string(name);
                }
                self.follow_fields((arguments, name), when, values);
            }
            RecordEffect::FieldsDeleted => {
                for field in arguments.get(2..).unwrap_or_default() {
                    let record = values.record(name);
                    let index = record.and_then(|it| it.fields.get(*field).copied());
                    if let Some(index) = index
                        && values.current(index) != Some(&Current::WrongType)
                    {
                        values.set(index, Current::ABSENT);
                    }
                }
            }
        }
    }

    /// Follows a command that writes fields of this record, on this condition.
    fn follow_fields(
        &self,
        (arguments, name): (&[&[u8]], &[u8]),
        when: When,
        values: &mut WatchedValues,
    ) {
        for at in (2..arguments.len()).step_by(2) {
            let field = arguments.get(at).copied().unwrap_or_default();
            let record = values.record(name);
            let Some(index) = record.and_then(|it| it.fields.get(field).copied()) else {
                continue;
            };
            let is_written = match values.current(index) {
                None | Some(Current::WrongType) => false,
                Some(current) => when == When::Always || *current == Current::ABSENT,
            };
            let next = self.written(arguments, at.saturating_add(1), (values, Some(index)));
            if let Some(next) = next.filter(|_| is_written) {
                values.set(index, next);
            }
        }
    }

    /// The value that a command writes with this argument.
    fn written(
        &self,
        arguments: &[&[u8]],
        at: usize,
        (values, index): (&WatchedValues, Option<usize>),
    ) -> Option<Current> {
        let location = values.get(index?)?.location.borrowed();
        let stored = arguments.get(at).copied().unwrap_or_default();
        let no_keys = HashMap::new();
        let mut opener = ValueOpener::new(&self.protection, Some(&no_keys));
        let opened = StoredValue::open(&mut opener, "exec", stored, location);
        Some(match opened {
            Ok(value) => Current::Value(Some(value)),
            Err(answer) => Current::Failed(answer),
        })
    }
}
