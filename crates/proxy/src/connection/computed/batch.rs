//! Commands computed one after the other on one value, and the write that does what all of them do.

use waxseal_compute::{ApplyError, Dialect, Expiry, Operation, Product, Reply, Write};
use waxseal_lua::{REPLACE_FIELD, REPLACE_STRING, write_eval};

use super::InputValue;
use crate::answers;
use crate::computations::{ComputedAnswer, Job};
use crate::connection::stored::StoredValue;

/// Bytes of values that are computed on at once. A command that would be beyond waits for the next time.
const MAX_BATCH_BYTES: usize = 4 * 1024 * 1024;

/// Commands that were computed.
pub(super) struct Computed {
    /// The answers, in their order. Fewer than the commands if those were too many for one time.
    pub(super) answers: Vec<ComputedAnswer>,
    /// What they were computed from.
    pub(super) input: InputValue,
    /// The value after the last one.
    pub(super) value: Option<Vec<u8>>,
    /// What is written; none if nothing has to be.
    pub(super) change: Option<Change>,
    /// The bytes that were sent.
    pub(super) stored: Option<Vec<u8>>,
    /// A result would have been longer than a value may be.
    pub(super) is_too_large: bool,
}

/// A change of a value.
#[derive(Clone, Copy)]
pub(in crate::connection) enum Change {
    /// It is written, with this time to live.
    Put(Expiry),
    Delete,
}

/// A change, and the bytes that it writes.
type WrittenChange<'a> = (Change, Option<&'a [u8]>);

/// What commands leave that are computed one after the other on one value.
#[derive(Default)]
pub(in crate::connection) struct Chain {
    /// The value after the last change.
    pub(in crate::connection) value: Option<Vec<u8>>,
    /// What is written; none if nothing has to be.
    pub(in crate::connection) change: Option<Change>,
}

impl Chain {
    /// The value that the next command finds, if the first one found this.
    fn held<'v>(&'v self, input: Option<&'v [u8]>) -> Option<&'v [u8]> {
        match self.change {
            None => input,
            Some(_) => self.value.as_deref(),
        }
    }

    /// Computes the next command. Returns its reply; none if its result would be longer than `limit`.
    pub(in crate::connection) fn compute(
        &mut self,
        input: Option<&[u8]>,
        (operation, needs_value): (&Operation, bool),
        limit: usize,
    ) -> Option<Reply> {
        let held = self.held(input);
        if needs_value && held.is_none() {
            return Some(Reply::Null);
        }
        let outcome = match operation.apply(&[held], limit) {
            Ok(outcome) => outcome,
            Err(ApplyError::Server(error)) => return Some(Reply::Error(error)),
            Err(ApplyError::TooLarge { .. }) => return None,
        };
        match outcome.write {
            Write::Keep => {}
            Write::Put(new) => {
                self.value = Some(new);
                let expiry = following(self.change, operation.expiry());
                self.change = Some(Change::Put(expiry));
            }
            Write::Delete => {
                self.value = None;
                self.change = Some(Change::Delete);
            }
        }
        Some(outcome.reply)
    }
}

/// Computes commands one after the other, until they have gone through too many bytes. The first one always is.
pub(super) fn compute<'j>(
    jobs: impl Iterator<Item = &'j Job>,
    input: InputValue,
    limit: usize,
) -> Computed {
    let mut chain = Chain::default();
    let mut is_too_large = false;
    let mut answers = Vec::new();
    let mut bytes: usize = 0;
    for job in jobs {
        if bytes > MAX_BATCH_BYTES {
            break;
        }
        let before = input.value.as_ref().map(StoredValue::value);
        // The answer may be the whole value.
        bytes = bytes.saturating_add(chain.held(before).map_or(0, <[u8]>::len));
        let operation = (&job.operation, job.needs_value);
        let Some(reply) = chain.compute(before, operation, limit) else {
            is_too_large = true;
            let answer = answers::computed_too_large(job.command, limit);
            answers.push(ComputedAnswer::Error(answer));
            continue;
        };
        answers.push(ComputedAnswer::Reply(reply));
        bytes = bytes.saturating_add(chain.value.as_ref().map_or(0, Vec::len));
    }
    Computed {
        answers,
        input,
        value: chain.value,
        change: chain.change,
        stored: None,
        is_too_large,
    }
}

/// The time to live that a write leaves after another change.
fn following(change: Option<Change>, expiry: Expiry) -> Expiry {
    match (change, expiry) {
        (Some(Change::Put(before)), Expiry::Keep) => before,
        // A record that was deleted is created without one.
        (Some(Change::Delete), Expiry::Keep) => Expiry::Clear,
        (_, expiry) => expiry,
    }
}

impl Computed {
    /// The same, after these bytes were sent.
    pub(super) fn sent(mut self, stored: Option<Vec<u8>>) -> Self {
        self.stored = stored;
        self
    }

    /// The stored bytes of the value that the commands were computed from, if there was one.
    pub(super) fn before(&self) -> Option<&[u8]> {
        self.input.value.as_ref().map(|value| &*value.stored)
    }

    /// Appends the request that writes these bytes if those that were read are still stored, under this name and in this
    /// field.
    pub(super) fn write(
        &self,
        place: (&[u8], Option<&[u8]>),
        stored: Option<&[u8]>,
        dialect: Dialect,
        upstream: &mut Vec<u8>,
    ) {
        let change = self.change.map(|change| (change, stored));
        write_compared(place, (self.before(), change), dialect, upstream);
    }
}

/// Appends the request that makes a change if these bytes are stored, or nothing is. Without a change it only compares. The
/// place is the stored name of the record, and the field.
pub(in crate::connection) fn write_compared(
    (name, field): (&[u8], Option<&[u8]>),
    (before, change): (Option<&[u8]>, Option<WrittenChange<'_>>),
    dialect: Dialect,
    upstream: &mut Vec<u8>,
) {
    let exists: &[u8] = if before.is_some() { b"1" } else { b"0" };
    let before = before.unwrap_or_default();
    let names = [name];
    match (field, change) {
        (None, None) => write_eval(upstream, REPLACE_STRING, &names, &[exists, before]),
        (Some(field), None) => {
            write_eval(upstream, REPLACE_FIELD, &names, &[field, exists, before]);
        }
        (Some(field), Some((_, stored))) => {
            let new = stored.unwrap_or_default();
            let arguments = [field, exists, before, new, has_field_lifetimes(dialect)];
            write_eval(upstream, REPLACE_FIELD, &names, &arguments);
        }
        (None, Some((change, stored))) => {
            let number;
            let (mode, time): (&str, &[u8]) = match change {
                Change::Put(Expiry::Keep) => ("KEEPTTL", b""),
                Change::Put(Expiry::Clear) => ("NONE", b""),
                Change::Put(Expiry::Set(option, time)) => {
                    number = time.to_string();
                    (option.as_str(), number.as_bytes())
                }
                Change::Delete => ("DELETE", b""),
            };
            let new = stored.unwrap_or_default();
            let arguments = [exists, before, new, mode.as_bytes(), time];
            write_eval(upstream, REPLACE_STRING, &names, &arguments);
        }
    }
}

/// `1` for a server whose fields may have lifetimes, else `0`.
pub(in crate::connection) fn has_field_lifetimes(dialect: Dialect) -> &'static [u8] {
    let first = match dialect.product() {
        Product::Redis => (7, 4),
        Product::Valkey => (9, 0),
    };
    if dialect.version() >= first {
        b"1"
    } else {
        b"0"
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use waxseal_compute::Operation;

    use super::*;

    #[test]
    fn commands_on_long_values_are_computed_a_few_at_a_time() {
        let job = |arguments: &[&[u8]]| {
            let operation = Operation::parse(arguments, Dialect::redis(7, 0)).unwrap();
            Job::new("append", (operation, false), None)
        };
        let jobs: Vec<Arc<Job>> = (0..100).map(|_| job(&[b"APPEND", b"n", b"x"])).collect();
        let answers = |len: usize| {
            let input = InputValue {
                value: Some(StoredValue::plain(&vec![0; len])),
                is_guess: false,
            };
            let jobs = jobs.iter().map(|job| &**job);
            compute(jobs, input, usize::MAX).answers.len()
        };
        assert_eq!(answers(10), 100);
        assert_eq!(answers(MAX_BATCH_BYTES), 1);
        assert_eq!(answers(MAX_BATCH_BYTES / 8), 4);
    }
}
