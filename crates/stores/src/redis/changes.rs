//! Conditional changes, carried out only if the record is unchanged: by one command of the server
//! where it has one, else by a script, and where the server runs no scripts, by a transaction.

use std::sync::atomic::Ordering;

use redis::{Cmd, Value, cmd};

use super::reply::unexpected;
use super::scripts::Script;
use super::slots::not_written;
use super::{RedisStore, milliseconds, reply};
use crate::error::StoreError;
use crate::record::{Expiry, RecordName, Slot};
use crate::store::{Change, Move, MoveOutcome, Outcome};

/// Records that one script call replaces. The server is blocked meanwhile, so this is well under a
/// millisecond of work.
const MAX_RECORDS: usize = 64;

/// Approximate bytes that one script call compares and writes.
const MAX_BYTES: usize = 256 << 10;

/// The commands of a transaction.
const TRANSACTION_COMMANDS: [&str; 4] = ["WATCH", "UNWATCH", "MULTI", "EXEC"];

/// A script call with its records and arguments.
struct Call<'a> {
    script: &'a Script,
    names: Vec<&'a [u8]>,
    arguments: Vec<Argument<'a>>,
}

enum Argument<'a> {
    Bytes(&'a [u8]),
    Number(u64),
}

impl Call<'_> {
    fn cached(&self) -> Cmd {
        self.complete(self.script.cached(self.names.len()))
    }

    fn source_command(&self) -> Cmd {
        self.complete(self.script.source_command(self.names.len()))
    }

    fn complete(&self, mut command: Cmd) -> Cmd {
        for name in &self.names {
            command.arg(*name);
        }
        for argument in &self.arguments {
            match argument {
                Argument::Bytes(bytes) => {
                    command.arg(*bytes);
                }
                Argument::Number(number) => {
                    command.arg(*number);
                }
            }
        }
        command
    }
}

impl RedisStore {
    pub(super) async fn replace(&self, changes: &[Change<'_>]) -> Result<Vec<Outcome>, StoreError> {
        let sizes = changes.iter().map(|change| {
            let expected = change.expected.map_or(0, <[u8]>::len);
            expected.max(change.value.len())
        });
        self.check_fits(sizes.max().unwrap_or_default()).await?;
        if changes.iter().all(is_plain_swap) && self.has_compare().await? {
            return self.swap_by_compare(changes).await;
        }
        self.script_or_transaction(self.replace_by_script(changes), || {
            self.swap_watched(changes)
        })
        .await
    }

    async fn replace_by_script(&self, changes: &[Change<'_>]) -> Result<Vec<Outcome>, StoreError> {
        let calls = self.swap_calls(changes)?;
        let mut outcomes = Vec::with_capacity(changes.len());
        for answer in self.run(&calls).await? {
            match answer {
                Value::Array(items) => {
                    for done in items {
                        outcomes.push(outcome(reply::number(&done)?));
                    }
                }
                done => outcomes.push(outcome(reply::number(&done)?)),
            }
        }
        Ok(outcomes)
    }

    /// The script calls for these changes, in their order.
    fn swap_calls<'a>(&'a self, changes: &'a [Change<'a>]) -> Result<Vec<Call<'a>>, StoreError> {
        if changes.iter().all(is_plain_swap) {
            let batches = batches(changes).into_iter();
            return Ok(batches.map(|batch| self.swap_many(batch)).collect());
        }
        let mut calls = Vec::with_capacity(changes.len());
        for part in changes.chunk_by(|a, b| is_member_swap(a, b)) {
            match part {
                [change] if !matches!(change.slot, Slot::Member(_)) => {
                    calls.push(self.swap_call(change)?);
                }
                members => {
                    let batches = batches(members).into_iter();
                    calls.extend(batches.map(|batch| self.swap_members(batch)));
                }
            }
        }
        Ok(calls)
    }

    pub(super) async fn delete_unchanged(
        &self,
        name: &RecordName,
        expected: &[u8],
    ) -> Result<Outcome, StoreError> {
        let call = Call {
            script: &self.scripts.delete,
            names: vec![name.as_bytes()],
            arguments: vec![Argument::Bytes(expected)],
        };
        let by_script = async { self.run_one(call).await.map(outcome) };
        self.script_or_transaction(by_script, || self.delete_watched(name.as_bytes(), expected))
            .await
    }

    pub(super) async fn transfer(&self, change: Move<'_>) -> Result<MoveOutcome, StoreError> {
        let largest = change.expected.len().max(change.value.len());
        self.check_fits(largest).await?;
        self.script_or_transaction(self.transfer_by_script(change), || {
            self.transfer_watched(change)
        })
        .await
    }

    async fn transfer_by_script(&self, change: Move<'_>) -> Result<MoveOutcome, StoreError> {
        let mut arguments = vec![
            Argument::Bytes(change.expected),
            Argument::Bytes(change.value),
        ];
        arguments.extend(expiry_arguments(change.expiry));
        let call = Call {
            script: &self.scripts.transfer,
            names: vec![change.from.as_bytes(), change.to.as_bytes()],
            arguments,
        };
        Ok(match self.run_one(call).await? {
            0 => MoveOutcome::Changed,
            2 => MoveOutcome::Occupied,
            _ => MoveOutcome::Done,
        })
    }

    /// Makes a change by a script, or by a transaction if the server runs no scripts for this user.
    /// If that is denied as well, the error is that of the script.
    async fn script_or_transaction<T, F: Future<Output = Result<T, StoreError>>>(
        &self,
        by_script: impl Future<Output = Result<T, StoreError>>,
        by_transaction: impl FnOnce() -> F,
    ) -> Result<T, StoreError> {
        if !self.runs_scripts.load(Ordering::Relaxed) {
            return by_transaction().await;
        }
        let answer = match self.probe_scripts().await {
            Ok(()) => by_script.await,
            Err(error) => Err(error),
        };
        let refused = match answer {
            Err(error) if refuses_scripts(&error) => error,
            answer => return answer,
        };
        match by_transaction().await {
            Err(error) if refuses_transactions(&error) => Err(refused),
            answer => {
                if answer.is_ok() {
                    self.runs_scripts.store(false, Ordering::Relaxed);
                }
                answer
            }
        }
    }

    /// Probes once whether the server runs scripts, by a script without arguments. A server without
    /// the command quotes the arguments in its error, and if those are values, that error cannot be
    /// parsed.
    async fn probe_scripts(&self) -> Result<(), StoreError> {
        if self.has_run_script.load(Ordering::Relaxed) {
            return Ok(());
        }
        for probe in [
            self.scripts.probe.cached(0),
            self.scripts.probe.source_command(0),
        ] {
            match self.link.send(&probe).await {
                Err(error) if refuses_scripts(&error) || error.is_transient() => return Err(error),
                // Not cached yet, as expected. Any other failure will also occur for the real
                // scripts.
                Ok(_) | Err(_) => {}
            }
        }
        self.has_run_script.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Probes by a comparison that changes nothing whether the server has `SET … IFEQ`. Any other
    /// failure will also occur for the scripts, and is reported there: then the probe is repeated
    /// next time.
    async fn has_compare(&self) -> Result<bool, StoreError> {
        if let Some(&known) = self.compares.get() {
            return Ok(known);
        }
        let mut set = cmd("SET");
        set.arg("waxseal:probe").arg("").arg("IFEQ").arg("never");
        let has = match self.link.send(&set).await {
            Ok(_) => true,
            Err(StoreError::Other { code }) if code == "ERR" => false,
            Err(error) if error.is_transient() => return Err(error),
            Err(_) => return Ok(false),
        };
        // Another call may have stored the same value meanwhile.
        let _ = self.compares.set(has);
        Ok(has)
    }

    async fn swap_by_compare(&self, changes: &[Change<'_>]) -> Result<Vec<Outcome>, StoreError> {
        let swaps = changes.iter().map(|change| {
            let mut set = cmd("SET");
            set.arg(change.name.as_bytes()).arg(change.value);
            set.arg("IFEQ").arg(change.expected.unwrap_or_default());
            set.arg("KEEPTTL");
            set
        });
        let answers = self.link.send_all(swaps.collect()).await?;
        let outcome_of = |answer: Result<Value, redis::RedisError>| match answer {
            Ok(Value::Nil) => Ok(Outcome::Changed),
            Ok(_) => Ok(Outcome::Done),
            Err(error) => match self.link.explain(&error) {
                StoreError::WrongType => Ok(Outcome::Changed),
                error => Err(error),
            },
        };
        answers.into_iter().map(outcome_of).collect()
    }

    fn swap_many<'a>(&'a self, batch: &[Change<'a>]) -> Call<'a> {
        let pair = |change: &Change<'a>| {
            [change.expected.unwrap_or_default(), change.value].map(Argument::Bytes)
        };
        Call {
            script: &self.scripts.swap_many,
            names: batch.iter().map(|change| change.name.as_bytes()).collect(),
            arguments: batch.iter().flat_map(pair).collect(),
        }
    }

    /// The replacement of several members of one record.
    fn swap_members<'a>(&'a self, batch: &[Change<'a>]) -> Call<'a> {
        let pair = |change: &Change<'a>| {
            [change.expected.unwrap_or_default(), change.value].map(Argument::Bytes)
        };
        let name = batch.first().map(|change| change.name.as_bytes());
        Call {
            script: &self.scripts.swap_members,
            names: Vec::from_iter(name),
            arguments: batch.iter().flat_map(pair).collect(),
        }
    }

    fn swap_call<'a>(&'a self, change: &Change<'a>) -> Result<Call<'a>, StoreError> {
        let value = Argument::Bytes(change.value);
        let (script, arguments) = match (change.slot, change.expected) {
            (Slot::Whole, None) => {
                let mut arguments = vec![value];
                arguments.extend(expiry_arguments(change.expiry));
                (&self.scripts.create, arguments)
            }
            (Slot::Whole, Some(expected)) => {
                let mut arguments = vec![Argument::Bytes(expected), value];
                arguments.extend(expiry_arguments(change.expiry));
                (&self.scripts.swap, arguments)
            }
            (Slot::Field(field), expected) => {
                let expected = Argument::Bytes(expected.unwrap_or_default());
                (
                    &self.scripts.swap_field,
                    vec![Argument::Bytes(field), expected, value],
                )
            }
            (Slot::Element(index), expected) => {
                let expected = Argument::Bytes(expected.unwrap_or_default());
                (
                    &self.scripts.swap_element,
                    vec![Argument::Number(*index), expected, value],
                )
            }
            (Slot::Member(_), _) => return Ok(self.swap_members(&[*change])),
            (Slot::StreamField(_), _) => return Err(not_written()),
        };
        Ok(Call {
            script,
            names: vec![change.name.as_bytes()],
            arguments,
        })
    }

    async fn run_one(&self, call: Call<'_>) -> Result<i64, StoreError> {
        let answer = self.run(&[call]).await?.pop().unwrap_or_default();
        reply::number(&answer)
    }

    /// Runs scripts from the server's cache. Scripts that are not cached are run from their source,
    /// which is sent once for each script.
    async fn run(&self, calls: &[Call<'_>]) -> Result<Vec<Value>, StoreError> {
        let mut answers = vec![Value::Nil; calls.len()];
        let mut open: Vec<usize> = (0..calls.len()).collect();
        // Each round resolves at least one call.
        while !open.is_empty() {
            let these = open.iter().filter_map(|&index| calls.get(index));
            let replies = self
                .link
                .send_all(these.map(Call::cached).collect())
                .await?;
            let mut unknown = Vec::new();
            for (&index, answer) in open.iter().zip(replies) {
                match (answer, answers.get_mut(index)) {
                    (Ok(value), Some(slot)) => *slot = value,
                    (Err(error), _) if error.code() == Some("NOSCRIPT") => unknown.push(index),
                    (Err(error), _) => return Err(self.link.explain(&error)),
                    (Ok(_), None) => return Err(unexpected()),
                }
            }
            if let Some((&first, remaining)) = unknown.split_first()
                && let (Some(call), Some(slot)) = (calls.get(first), answers.get_mut(first))
            {
                *slot = self.link.send(&call.source_command()).await?;
                unknown = remaining.to_vec();
            }
            open = unknown;
        }
        Ok(answers)
    }
}

/// True if the error means that no script can be run at all.
fn refuses_scripts(error: &StoreError) -> bool {
    match error {
        StoreError::NoCommand { command } => ["EVAL", "EVALSHA"].contains(command),
        StoreError::Denied { right, .. } => {
            let right = right.as_deref();
            right.is_some_and(|right| ["+eval", "+evalsha"].contains(&right))
        }
        _ => false,
    }
}

/// True if the error means that records cannot be watched.
fn refuses_transactions(error: &StoreError) -> bool {
    match error {
        StoreError::NoCommand { command } => TRANSACTION_COMMANDS.contains(command),
        StoreError::Denied { right, .. } => {
            let right = right.as_deref().and_then(|right| right.strip_prefix('+'));
            right.is_some_and(|right| {
                TRANSACTION_COMMANDS
                    .iter()
                    .any(|it| it.eq_ignore_ascii_case(right))
            })
        }
        _ => false,
    }
}

/// Splits changes into batches for one script call each: few records, and limited bytes.
pub(super) fn batches<'p, 'a>(changes: &'p [Change<'a>]) -> Vec<&'p [Change<'a>]> {
    let bytes = |change: &Change<'_>| {
        let expected = change.expected.map_or(0, <[u8]>::len);
        expected.saturating_add(change.value.len())
    };
    let mut batches = Vec::new();
    let mut remaining = changes;
    while !remaining.is_empty() {
        let mut capacity = MAX_BYTES;
        let fitting = remaining.iter().take(MAX_RECORDS).take_while(|change| {
            let fits = capacity > 0;
            capacity = capacity.saturating_sub(bytes(change));
            fits
        });
        let (batch, others) = remaining.split_at(fitting.count());
        batches.push(batch);
        remaining = others;
    }
    batches
}

/// True for the change that sweeps make by the thousand: a whole record, its expiry kept.
pub(super) fn is_plain_swap(change: &Change<'_>) -> bool {
    *change.slot == Slot::Whole && change.expected.is_some() && change.expiry == Expiry::Keep
}

/// True if both replace members of one record: then they go out together.
fn is_member_swap(first: &Change<'_>, second: &Change<'_>) -> bool {
    let is_member = |change: &Change<'_>| matches!(change.slot, Slot::Member(_));
    is_member(first) && is_member(second) && first.name == second.name
}

fn expiry_arguments(expiry: Expiry) -> [Argument<'static>; 2] {
    let (mode, time) = match expiry {
        Expiry::Keep => (&b"keep"[..], 0),
        Expiry::Persistent => (&b"never"[..], 0),
        Expiry::After(span) => (&b"PX"[..], milliseconds(span)),
        Expiry::At(time) => (&b"PXAT"[..], time.max(1)),
    };
    [Argument::Bytes(mode), Argument::Number(time)]
}

fn outcome(done: i64) -> Outcome {
    if done == 0 {
        Outcome::Changed
    } else {
        Outcome::Done
    }
}
