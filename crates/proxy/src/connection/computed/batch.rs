//! Commands computed one after the other on one value, and the write that does what all of them do.

use waxseal_compute::{ApplyError, Dialect, Expiry, Product, Reply, Write};
use waxseal_lua::{REPLACE_FIELD, REPLACE_STRING, write_eval};

use super::InputValue;
use crate::answers;
use crate::computations::{ComputedAnswer, Job};
use crate::connection::stored::StoredValue;
use crate::location::BorrowedLocation;

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
pub(super) enum Change {
    /// It is written, with this time to live.
    Put(Expiry),
    Delete,
}

/// Computes commands one after the other, until they have gone through too many bytes. The first one always is.
pub(super) fn compute<'j>(
    jobs: impl Iterator<Item = &'j Job>,
    input: InputValue,
    limit: usize,
) -> Computed {
    let mut current: Option<Vec<u8>> = None;
    let mut change: Option<Change> = None;
    let mut is_too_large = false;
    let mut answers = Vec::new();
    let mut bytes: usize = 0;
    for job in jobs {
        if bytes > MAX_BATCH_BYTES {
            break;
        }
        let held = match change {
            None => input.value.as_ref().map(StoredValue::value),
            Some(_) => current.as_deref(),
        };
        // The answer may be the whole value.
        bytes = bytes.saturating_add(held.map_or(0, <[u8]>::len));
        if job.needs_value && held.is_none() {
            answers.push(ComputedAnswer::Reply(Reply::Null));
            continue;
        }
        let outcome = match job.operation.apply(&[held], limit) {
            Ok(outcome) => outcome,
            Err(ApplyError::Server(error)) => {
                answers.push(ComputedAnswer::Reply(Reply::Error(error)));
                continue;
            }
            Err(ApplyError::TooLarge { .. }) => {
                is_too_large = true;
                let answer = answers::computed_too_large(job.command, limit);
                answers.push(ComputedAnswer::Error(answer));
                continue;
            }
        };
        answers.push(ComputedAnswer::Reply(outcome.reply));
        match outcome.write {
            Write::Keep => {}
            Write::Put(new) => {
                bytes = bytes.saturating_add(new.len());
                current = Some(new);
                change = Some(Change::Put(following(change, job.operation.expiry())));
            }
            Write::Delete => {
                current = None;
                change = Some(Change::Delete);
            }
        }
    }
    Computed {
        answers,
        input,
        value: current,
        change,
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

    /// Appends the request that writes these bytes if those that were read are still stored.
    pub(super) fn write(
        &self,
        location: BorrowedLocation<'_>,
        stored: Option<&[u8]>,
        dialect: Dialect,
        upstream: &mut Vec<u8>,
    ) {
        let before = self.before();
        let exists: &[u8] = if before.is_some() { b"1" } else { b"0" };
        let before = before.unwrap_or_default();
        let new = stored.unwrap_or_default();
        if let Some(field) = location.field {
            let arguments = [field, exists, before, new, has_field_lifetimes(dialect)];
            return write_eval(upstream, REPLACE_FIELD, &[location.name], &arguments);
        }
        let number;
        let (mode, time): (&str, &[u8]) = match self.change {
            None | Some(Change::Put(Expiry::Keep)) => ("KEEPTTL", b""),
            Some(Change::Put(Expiry::Clear)) => ("NONE", b""),
            Some(Change::Put(Expiry::Set(option, time))) => {
                number = time.to_string();
                (option.as_str(), number.as_bytes())
            }
            Some(Change::Delete) => ("DELETE", b""),
        };
        let arguments = [exists, before, new, mode.as_bytes(), time];
        write_eval(upstream, REPLACE_STRING, &[location.name], &arguments);
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
