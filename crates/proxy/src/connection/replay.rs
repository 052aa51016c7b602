//! Transactions with commands that compute on protected values, or move them to another record. The values can only be read
//! before `MULTI`, so the transaction is queued at the server with a read in the place of each such command, which tells
//! what the server would refuse. At `EXEC` it is discarded, the values are watched and read, and it is sent again with the
//! results, and with the scripts that move values:
//!
//! ```text
//! client           proxy                                            server
//! MULTI      ──▶                                              ──▶   MULTI
//! INCR wa:1  ──▶   a read in its place                        ──▶   GET wa:1
//! EXPIRE …   ──▶                                              ──▶   EXPIRE …
//! EXEC       ──▶   the request is kept                        ──▶   DISCARD, WATCH wa:1, GET wa:1
//!                  opened, computed, sealed                   ◀──   <envelope>
//!                                                             ──▶   MULTI, SET wa:1 <envelope> KEEPTTL, EXPIRE …, EXEC
//! *2 :42 :1  ◀──   the replies that were computed are put in  ◀──   *2 +OK :1
//! ```
//!
//! If a watched value was changed in between, all but `DISCARD` is done again. A client that watches records itself would
//! lose that with `DISCARD`: its `MULTI` is held back, the commands are answered here, and at `EXEC` everything is sent
//! behind its own `WATCH`. A change is then its own null reply.
//!
//! `journal` keeps what was queued, and `queueing` decides what can be, by the `index` of what the commands may leave.
//! `simulation` follows the `values` that are computed on through the other commands of the queue, `sources` are the records
//! that values are moved from, `writing` is the queue that is sent again, and `replies` reads what the server answers.

use std::time::{Duration, Instant};

use waxseal_compute::{Operation, Rejected};
use waxseal_metrics::OwnWork;
use waxseal_policy::Effect;
use waxseal_policy::table::find;
use waxseal_resp::{write_bulk, write_request_head};

use super::Link;
use super::computed::write_read;
use super::requests::{Next, Step};
use super::state::ConnectionState;
use crate::answers;
use crate::pending::{Pending, Protocol, ReplayStep, Shape};
use crate::refusals::OwnReason;
use crate::seal::Request;

mod groups;
mod index;
pub(super) mod journal;
mod queueing;
mod replies;
mod simulation;
mod sources;
mod values;
mod writing;

use self::journal::Journal;
use self::sources::MoveSource;
use self::values::WatchedValues;

/// The time for which a transaction is sent again because its values were changed each time.
const RETRY_TIMEOUT: Duration = Duration::from_secs(2);

pub(super) const DISCARD: &[u8] = b"*1\r\n$7\r\nDISCARD\r\n";
const MULTI: &[u8] = b"*1\r\n$5\r\nMULTI\r\n";
const EXEC: &[u8] = b"*1\r\n$4\r\nEXEC\r\n";
pub(super) const UNWATCH: &[u8] = b"*1\r\n$7\r\nUNWATCH\r\n";

/// A transaction that is sent again.
pub(super) struct Replay {
    stage: Stage,
    journal: Journal,
    /// The replies of its `EXEC`.
    pub(super) shapes: Vec<(&'static str, Shape)>,
    /// The values that it computes on, each once.
    values: WatchedValues,
    /// The records that it moves values from, each once.
    sources: Vec<MoveSource>,
    /// Reads whose replies have not arrived.
    expected_reads: usize,
    /// The first error in queueing its commands.
    refusal: Option<Box<[u8]>>,
    /// The client watches records itself.
    has_own_watch: bool,
    /// The client asked for no reply.
    is_muted: bool,
    begun: Instant,
}

enum Stage {
    /// The values must be watched and read.
    Unread,
    Reading,
    Read,
    /// It was sent.
    Sent,
    /// It is not sent: this is the answer.
    Failed(Vec<u8>),
    /// The client has its reply.
    Answered,
}

impl Replay {
    /// Bytes that are held for it.
    pub(super) fn retained_bytes(&self) -> usize {
        let sources = self.sources.iter().map(MoveSource::retained_bytes);
        let held = sources.fold(self.values.retained_bytes(), usize::saturating_add);
        held.saturating_add(self.journal.len())
    }
}

impl ConnectionState {
    /// Processes a request between `MULTI` and `EXEC`: what it queues is remembered, and in a transaction that is held back
    /// it goes no further.
    #[inline(never)]
    pub(super) fn process_in_transaction(
        &mut self,
        request: &Request<'_>,
        link: Link,
        upstream: &mut Vec<u8>,
        client: &mut Vec<u8>,
    ) -> Step {
        let before = self.transaction.commands();
        if !self.transaction.is_held() {
            let written = upstream.len();
            let step = self.process_request(request, link, upstream, client);
            if let Some(requests) = self.added_since(before) {
                let sent = upstream.get(written..).unwrap_or_default();
                self.add_to_journal(sent, requests);
            }
            return step;
        }
        let mut sent = Vec::new();
        let step = self.process_request(request, link, &mut sent, client);
        match self.added_since(before) {
            None => upstream.extend_from_slice(&sent),
            Some(requests) if self.add_to_journal(&sent, requests) => {
                self.answer(answers::QUEUED, client);
            }
            Some(_) => self.refuse(&answers::transaction_too_large(), client),
        }
        step
    }

    /// The number of requests that were queued in the open transaction since it had so many; `None` if none were.
    fn added_since(&self, before: Option<usize>) -> Option<usize> {
        let added = self.transaction.commands()?.checked_sub(before?)?;
        (added > 0).then_some(added)
    }

    /// Remembers a command that was queued. Returns false if that would be too much.
    fn add_to_journal(&mut self, sent: &[u8], requests: usize) -> bool {
        let max = self.limits.of_transactions();
        let transaction = self.transaction.open();
        transaction.is_some_and(|transaction| transaction.journal.push((sent, requests), max))
    }

    /// Begins a transaction that is held back, follows one, or begins to send one again. Returns `None` for a request that
    /// is processed like any other.
    pub(super) fn follow_transaction(
        &mut self,
        command: Option<&'static str>,
        (request, effect): (&Request<'_>, Effect),
        upstream: &mut Vec<u8>,
        client: &mut Vec<u8>,
    ) -> Option<Step> {
        if self.transaction.is_held()
            && let Some(step) = self.process_in_held(command, (request, effect), upstream, client)
        {
            return Some(step);
        }
        match effect {
            Effect::Exec => self.begin_replay(upstream),
            Effect::Multi => self.hold_transaction(client),
            _ => None,
        }
    }

    /// Holds the transaction of a client back that watches records.
    fn hold_transaction(&mut self, client: &mut Vec<u8>) -> Option<Step> {
        let watches = |pending: &Pending| matches!(pending.inner(), Pending::Watch);
        let may_watch = self.transaction.is_watching() || self.queue.iter().any(watches);
        if self.transaction.is_open() || !may_watch || !self.keeps_journals() {
            return None;
        }
        if !self.has_all_replies() {
            return Some(Step::Retry(Next::Replies));
        }
        let is_subscriber = self.pushes.subscriptions.any();
        if !self.transaction.is_watching()
            || (is_subscriber && self.client.protocol == Protocol::Resp2)
        {
            // Nothing is watched after all, or the server refuses MULTI.
            return None;
        }
        self.transaction.begin_held(self.caching.take());
        self.answer(answers::OK, client);
        Some(Step::Done)
    }

    /// True if the commands of transactions are remembered: one of them may be computed.
    pub(super) fn keeps_journals(&self) -> bool {
        !self.protection.is_trial() && self.protection.names().iter().next().is_some()
    }

    /// Processes what ends a transaction that is held back, or cannot be queued in it. Returns `None` for anything else.
    fn process_in_held(
        &mut self,
        command: Option<&'static str>,
        (request, effect): (&Request<'_>, Effect),
        upstream: &mut Vec<u8>,
        client: &mut Vec<u8>,
    ) -> Option<Step> {
        match effect {
            Effect::Multi => self.refuse_step("multi", client),
            Effect::Watch => self.refuse_step("watch", client),
            Effect::Discard => {
                self.transaction.take_open();
                upstream.extend_from_slice(UNWATCH);
                self.expect(Pending::Unwatch);
            }
            Effect::Unsettled => {
                let has_zero_byte = request.arguments.iter().any(|word| word.contains(&0));
                let wrong = find(request.arguments)
                    .filter(|row| row.effect.has_wrong_number(request.arguments));
                if let Some(row) = wrong.filter(|_| !has_zero_byte) {
                    self.refuse_arity(row.name, upstream, client);
                    return Some(Step::Done);
                }
                let name = command.unwrap_or("this command");
                let reason = (command, OwnReason::InTransaction);
                let answer = answers::refused_in_transaction(name);
                self.refuse_here(reason, answer, (request, effect), client);
            }
            _ => {
                let dialect = self.protection.server_limits().dialect();
                let parsed = Operation::parse(request.arguments, dialect);
                let command = command.filter(|_| matches!(parsed, Err(Rejected::Arity(_))))?;
                self.refuse_arity(command, upstream, client);
            }
        }
        Some(Step::Done)
    }

    /// Answers what cannot be queued in a transaction that is held back, as the server would.
    fn refuse_step(&mut self, command: &'static str, client: &mut Vec<u8>) {
        let dialect = self.protection.server_limits().dialect();
        let (answer, is_aborted) = answers::step_in_transaction(command, dialect);
        self.answer(&answer, client);
        if is_aborted {
            self.mark_refused(&[]);
        }
    }

    /// Answers a command with a wrong number of arguments in a transaction that is held back, as the server would: it aborts
    /// the transaction, and `EXEC` ends it.
    fn refuse_arity(
        &mut self,
        command: &'static str,
        upstream: &mut Vec<u8>,
        client: &mut Vec<u8>,
    ) {
        if command != "exec" {
            self.answer(&answers::wrong_arity(command), client);
            return self.mark_refused(&[]);
        }
        self.transaction.take_open();
        self.await_reply();
        upstream.extend_from_slice(UNWATCH);
        let refusal = answers::wrong_arity(command);
        let cause = refusal.strip_prefix(b"-ERR ").unwrap_or(&refusal);
        self.expect(Pending::ExecRefused {
            refusal: cause.into(),
        });
    }

    /// Begins to send the open transaction again, if it has computed commands or was held back.
    fn begin_replay(&mut self, upstream: &mut Vec<u8>) -> Option<Step> {
        if !self.transaction.needs_replay() {
            return None;
        }
        if !self.has_all_replies() {
            return Some(Step::Retry(Next::Replies));
        }
        let is_held = self.transaction.is_held();
        if !is_held && !self.transaction.is_confirmed() {
            // The server did not open it.
            return None;
        }
        let is_aborted = self.transaction.is_aborted();
        let mut transaction = self.transaction.take_open()?;
        let mut shapes = self.transaction.take_queued();
        if is_held {
            shapes = std::mem::take(&mut transaction.held);
        }
        let is_spoiled = transaction.journal.requests() != shapes.len();
        let failure = if transaction.journal.is_incomplete() {
            Some(answers::transaction_too_large())
        } else if is_spoiled && !is_held {
            // The server refused one of them, and says so to EXEC: nothing is executed.
            self.transaction.put_back(transaction, shapes);
            return None;
        } else if is_spoiled || is_aborted {
            // Or it refused an end of the transaction.
            Some(Vec::new())
        } else {
            None
        };
        if let Some(refusal) = failure {
            self.await_reply();
            upstream.extend_from_slice(if is_held { UNWATCH } else { DISCARD });
            let refusal = refusal.into();
            self.expect(Pending::ExecRefused { refusal });
            return Some(Step::Done);
        }
        if !is_held {
            upstream.extend_from_slice(DISCARD);
            self.queue.push_internal(false);
            self.transaction.end_confirmed();
        }
        let is_muted = self.reply_mode.take_mute();
        self.protection.carried_out(OwnWork::Transaction);
        self.replay = Some(Box::new(Replay {
            stage: Stage::Unread,
            values: WatchedValues::of(&transaction.journal),
            sources: MoveSource::all_of(&transaction.journal),
            expected_reads: 0,
            refusal: None,
            journal: transaction.journal,
            shapes,
            has_own_watch: is_held,
            is_muted,
            begun: Instant::now(),
        }));
        self.continue_replay(upstream)
    }

    /// Takes a transaction that is sent again one stage further. Returns `None` if there is none.
    #[inline(never)]
    pub(super) fn continue_replay(&mut self, upstream: &mut Vec<u8>) -> Option<Step> {
        let mut replay = self.replay.take()?;
        match std::mem::replace(&mut replay.stage, Stage::Answered) {
            Stage::Unread if replay.values.is_empty() && replay.sources.is_empty() => {
                self.send_transaction(&mut replay, upstream);
            }
            Stage::Unread => self.watch_values(&mut replay, upstream),
            Stage::Read => self.send_transaction(&mut replay, upstream),
            Stage::Answered => return Some(Step::Done),
            stage => replay.stage = stage,
        }
        if let Stage::Failed(answer) = &replay.stage {
            upstream.extend_from_slice(UNWATCH);
            self.queue.push_internal(false);
            self.transaction.end_confirmed();
            if !replay.is_muted {
                self.queue.push_local(answer);
            }
            return Some(Step::Done);
        }
        self.replay = Some(replay);
        Some(Step::Retry(Next::Replies))
    }

    /// Watches and reads the values.
    fn watch_values(&mut self, replay: &mut Replay, upstream: &mut Vec<u8>) {
        replay.stage = Stage::Reading;
        replay.values.forget();
        let names = replay.values.iter().map(|value| &value.stored[..]);
        let sources = replay.sources.iter().map(|it| &it.stored[..]);
        let mut names: Vec<&[u8]> = names.chain(sources).collect();
        names.sort_unstable();
        names.dedup();
        write_request_head(upstream, names.len().saturating_add(1));
        write_bulk(upstream, b"WATCH");
        for name in names {
            write_bulk(upstream, name);
        }
        self.await_reply();
        self.queue.push(Pending::Replay(ReplayStep::Watch));
        for (index, value) in replay.values.iter().enumerate() {
            write_read(&value.stored, value.location.field.as_deref(), upstream);
            self.queue.push(Pending::Replay(ReplayStep::Read(index)));
        }
        for source in &mut replay.sources {
            source.forget();
        }
        let reads = self.read_sources(&replay.sources, upstream);
        replay.expected_reads = reads.saturating_add(replay.values.len());
    }

    /// Sends the transaction with its results.
    fn send_transaction(&mut self, replay: &mut Replay, upstream: &mut Vec<u8>) {
        let start = upstream.len();
        if let Some(caching) = replay.journal.caching() {
            upstream.extend_from_slice(caching);
        }
        upstream.extend_from_slice(MULTI);
        if let Err(answer) = self.write_queue(replay, upstream) {
            upstream.truncate(start);
            replay.stage = Stage::Failed(answer);
            return;
        }
        replay.stage = Stage::Sent;
        if replay.journal.caching().is_some() {
            self.queue.push_internal(false);
        }
        self.queue.push_internal(false);
        for _ in 0..replay.journal.requests() {
            let step = Pending::Replay(ReplayStep::Queue);
            self.queue.push_uncounted(step);
        }
        upstream.extend_from_slice(EXEC);
        self.await_reply();
        self.queue.push(Pending::Replay(ReplayStep::Exec));
    }
}
