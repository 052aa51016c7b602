//! Transactions. Requests are read before the replies to earlier ones have arrived, so two facts are kept apart:
//! `requested`, the transaction that the requests which were sent have opened if the server accepts them, and
//! `confirmed`, what its replies have said.
//!
//! ```text
//! client        requested        server          confirmed
//! MULTI    ──▶  Some(number 1)   MULTI      ──▶
//! SET wa:1 ──▶  command counted  SET wa:1   ──▶
//! EXEC     ──▶  None             EXEC       ──▶
//!                                +OK        ◀──  in_transaction
//!                                +QUEUED    ◀──  its shape joins `queued`
//!                                *1 …       ◀──  opened by `queued`; none
//! ```
//!
//! A command that is refused here is never sent, so the transaction must not be executed: its `EXEC` is sent as
//! `DISCARD` and answered with `EXECABORT`. When no reply is expected, what is confirmed is the truth.

use waxseal_policy::Effect;

use super::UnexpectedReply;
use super::replay::journal::Journal;
use super::state::ConnectionState;
use crate::answers;
use crate::pending::{Pending, Shape};

/// The transaction of a connection: as requested, and as confirmed.
#[derive(Default)]
pub(super) struct TransactionTracker {
    /// The transaction that the requests which were sent have opened, if the server accepts them.
    requested: Option<Transaction>,
    /// The number of transactions that were begun.
    begun: u64,
    /// Records may be watched: WATCH was sent, and no reply has said otherwise.
    may_watch: bool,
    confirmed: Confirmed,
    /// The replies of the confirmed transaction's `EXEC`: one for each `+QUEUED` that arrived.
    queued: Vec<(&'static str, Shape)>,
}

/// The state that the server's replies have confirmed.
#[derive(Clone, Copy, Default)]
struct Confirmed {
    /// Between MULTI and EXEC.
    in_transaction: bool,
    /// Records are watched.
    watching: bool,
    /// The server has refused a request in the transaction, and so its `EXEC`.
    is_aborted: bool,
}

/// A transaction, as the client sees it.
#[derive(Default)]
pub(super) struct Transaction {
    /// The answer to the first command in it that was refused here: it must not be executed.
    pub(super) refusal: Option<Box<[u8]>>,
    /// Identifies its `MULTI`: one that fails ends no other transaction.
    number: u64,
    /// Bytes that are held for its commands.
    retained_bytes: usize,
    pub(super) trial: TrialTally,
    /// The number of commands that were queued.
    commands: usize,
    /// What was queued, if it may have to be queued again.
    pub(super) journal: Journal,
    /// Its `MULTI` was not sent: everything is sent at its `EXEC`.
    is_held: bool,
    /// The replies of its `EXEC`, if it is held back.
    pub(super) held: Vec<(&'static str, Shape)>,
}

/// A request that went out, with the shape of its reply.
pub(super) enum Added {
    /// No transaction is open.
    Outside(Shape),
    Queued(Shape),
    /// It was queued here.
    Held,
}

/// Findings of a trial in a transaction, which are counted at its end.
#[derive(Default)]
pub(super) struct TrialTally {
    /// Requests that would not be refused: the index of their pattern, their command and their number.
    pub(super) fine: Vec<(usize, &'static str, u64)>,
    /// One of the commands would be refused, and with it the transaction.
    pub(super) is_refused: bool,
}

impl TransactionTracker {
    /// True between MULTI and EXEC, by the requests that were sent.
    pub(super) fn is_open(&self) -> bool {
        self.requested.is_some()
    }

    /// The transaction that is open, by the requests that were sent.
    pub(super) fn open(&mut self) -> Option<&mut Transaction> {
        self.requested.as_mut()
    }

    /// True if, by the server's replies, a transaction is open or records are watched.
    pub(super) fn has_confirmed_state(&self) -> bool {
        self.confirmed.in_transaction || self.confirmed.watching
    }

    /// The replies that the next `EXEC` is answered with, by command and shape.
    pub(super) fn queued(&self) -> &[(&'static str, Shape)] {
        &self.queued
    }

    /// Ends the open transaction if one of its commands was refused here, and returns it.
    pub(super) fn take_refused(&mut self) -> Option<Transaction> {
        self.requested
            .take_if(|transaction| transaction.refusal.is_some())
    }

    /// Counts a command whose reply has this shape.
    pub(super) fn add_command(&mut self, command: &'static str, shape: Shape) -> Added {
        let Some(transaction) = &mut self.requested else {
            return Added::Outside(shape);
        };
        let bytes = size_of::<(&str, Shape)>().saturating_add(shape.retained_bytes());
        transaction.retained_bytes = transaction.retained_bytes.saturating_add(bytes);
        transaction.commands = transaction.commands.saturating_add(1);
        if transaction.is_held {
            transaction.held.push((command, shape));
            return Added::Held;
        }
        Added::Queued(shape)
    }

    /// The number of commands in the open transaction.
    pub(super) fn commands(&self) -> Option<usize> {
        self.requested.as_ref().map(|it| it.commands)
    }

    /// True if the open transaction is held back.
    pub(super) fn is_held(&self) -> bool {
        self.requested.as_ref().is_some_and(|it| it.is_held)
    }

    /// Opens a transaction that is held back.
    pub(super) fn begin_held(&mut self, caching: Option<Box<[u8]>>) {
        self.begun = self.begun.saturating_add(1);
        self.requested = Some(Transaction {
            number: self.begun,
            is_held: true,
            journal: Journal::new(caching),
            ..Transaction::default()
        });
    }

    /// True if the open transaction is sent again at its `EXEC`.
    pub(super) fn needs_replay(&self) -> bool {
        let replays =
            |it: &Transaction| it.refusal.is_none() && (it.is_held || it.journal.has_replaced());
        self.requested.as_ref().is_some_and(replays)
    }

    /// Ends the open transaction, and returns it.
    pub(super) fn take_open(&mut self) -> Option<Transaction> {
        self.requested.take()
    }

    /// Takes the replies of the commands that were queued.
    pub(super) fn take_queued(&mut self) -> Vec<(&'static str, Shape)> {
        std::mem::take(&mut self.queued)
    }

    /// Opens a transaction again that was taken, with the replies of its commands.
    pub(super) fn put_back(
        &mut self,
        transaction: Transaction,
        queued: Vec<(&'static str, Shape)>,
    ) {
        self.requested = Some(transaction);
        self.queued = queued;
    }

    /// True if the server has said that a transaction is open.
    pub(super) fn is_confirmed(&self) -> bool {
        self.confirmed.in_transaction
    }

    /// True if the server has said that records are watched.
    pub(super) fn is_watching(&self) -> bool {
        self.confirmed.watching
    }

    /// True if the server has said that it will not execute the open transaction.
    pub(super) fn is_aborted(&self) -> bool {
        self.confirmed.is_aborted
    }

    /// The transaction is over at the server, by a request of the proxy's own.
    pub(super) fn end_confirmed(&mut self) {
        self.confirm_end();
    }

    /// True if a transaction was ever begun on this connection.
    #[inline]
    pub(super) fn has_begun(&self) -> bool {
        self.begun > 0
    }

    /// True if records may be watched.
    #[inline]
    pub(super) fn may_watch(&self) -> bool {
        self.may_watch
    }

    /// Counts the prelude of a command.
    pub(super) fn add_prelude(&mut self) -> Added {
        self.add_command("eval", Shape::Dropped)
    }

    /// The server has queued a prelude.
    pub(super) fn confirm_prelude(&mut self) {
        self.confirm_queued("eval", Shape::Dropped);
    }

    /// Forgets everything: the connection was reset.
    pub(super) fn reset(&mut self) {
        self.requested = None;
        self.may_watch = false;
        self.confirm_end();
    }

    fn confirm_queued(&mut self, command: &'static str, shape: Shape) {
        self.confirmed.in_transaction = true;
        self.queued.push((command, shape));
    }

    /// The server says that a transaction is over, and with it what was watched.
    fn confirm_end(&mut self) {
        self.queued.clear();
        self.confirmed = Confirmed::default();
    }

    /// The reply to `MULTI`. One that failed began nothing, unless another one did.
    fn confirm_multi(&mut self, number: u64, is_ok: bool) {
        if is_ok {
            self.confirmed.in_transaction = true;
            self.confirmed.is_aborted = false;
            self.queued.clear();
        }
        let is_last = self.requested.as_ref().map(|it| it.number) == Some(number);
        if is_last && !self.confirmed.in_transaction {
            self.requested = None;
        }
    }

    /// No reply is expected: what is confirmed is the truth, whatever was requested.
    pub(super) fn settle(&mut self) {
        if self.confirmed.in_transaction {
            self.requested.get_or_insert_default();
        } else if !self.is_held() {
            self.requested = None;
            self.queued.clear();
        }
        self.may_watch = self.confirmed.watching;
    }
}

/// A reply, as far as it decides the outcome of a step.
pub(super) struct Reply<'a> {
    pub(super) whole: &'a [u8],
    /// `+QUEUED`.
    pub(super) is_queued: bool,
    /// It is not an error.
    pub(super) is_ok: bool,
    /// It is an error that ends a transaction.
    pub(super) aborts: bool,
    /// The client does not get it.
    pub(super) is_muted: bool,
}

impl ConnectionState {
    /// A step of a transaction was sent, in a form that servers accept: later requests assume that it succeeds, and its
    /// reply decides whether it has.
    ///
    /// If a command of the transaction was refused, no step that could end it is assumed to succeed: what remains of it
    /// must not be executed.
    pub(super) fn transaction_step(&mut self, command: &'static str, effect: Effect) {
        let is_open = self.transaction.is_open();
        match effect {
            Effect::Exec if is_open => {
                let transaction = self.transaction.requested.take();
                self.count_trial(transaction.as_ref());
                self.expect(Pending::Exec);
            }
            Effect::Discard if is_open => {
                let transaction = self.transaction.requested.take();
                self.count_trial(transaction.as_ref());
                let refusal = transaction.and_then(|transaction| transaction.refusal);
                if refusal.is_some() {
                    self.await_reply();
                }
                self.expect(Pending::Discard { refusal });
            }
            // An error within a transaction; but if the first MULTI failed, this one begins it.
            Effect::Multi => {
                let tracker = &mut self.transaction;
                tracker.begun = tracker.begun.saturating_add(1);
                let number = tracker.begun;
                let caching = self.caching.take();
                let begun = || Transaction {
                    journal: Journal::new(caching),
                    ..Transaction::default()
                };
                tracker.requested.get_or_insert_with(begun).number = number;
                self.expect(Pending::Multi { number });
            }
            Effect::Watch => {
                self.transaction.may_watch = true;
                self.expect(Pending::Watch);
            }
            Effect::Unwatch if !is_open => self.expect(Pending::Unwatch),
            Effect::Unwatch => self.sent(command, Shape::VERBATIM),
            // An error outside a transaction, unless the server disagrees.
            Effect::Exec => self.expect(Pending::Exec),
            _ => self.expect(Pending::Discard { refusal: None }),
        }
    }

    /// The reply to a step of a transaction, or to a request that may be part of one.
    #[inline(never)]
    pub(super) fn transaction_reply(
        &mut self,
        pending: Pending,
        reply: &Reply<'_>,
        client: &mut Vec<u8>,
    ) -> Result<(), UnexpectedReply> {
        let is_ok = reply.is_ok;
        if matches!(pending, Pending::Queued { .. }) {
            self.end_prelude();
        }
        let tracker = &mut self.transaction;
        let is_in_step = tracker.confirmed.in_transaction && !is_ok;
        tracker.confirmed.is_aborted |= is_in_step && !answers::aborts_nothing(reply.whole);
        match pending {
            Pending::Queued { command, shape } if reply.is_queued => {
                tracker.confirm_queued(command, shape);
            }
            // It was executed, so there is no transaction.
            Pending::Queued { .. } => tracker.confirmed.in_transaction &= !is_ok,
            Pending::Exec if is_ok || reply.aborts => tracker.confirm_end(),
            // No transaction is open then, either; but records may still be watched.
            Pending::Exec => {
                tracker.confirmed.in_transaction = false;
                self.affinity.pin();
            }
            Pending::ExecRefused { refusal } => {
                if !is_ok && tracker.confirmed.in_transaction {
                    // A command that the client believes to be refused could still be executed.
                    return Err(UnexpectedReply::Pairing);
                }
                tracker.confirm_end();
                self.end_await();
                if !reply.is_muted {
                    client.extend_from_slice(&answers::exec_abort(&refusal));
                }
            }
            Pending::Multi { number } => tracker.confirm_multi(number, is_ok),
            Pending::Discard { refusal } => self.discard_reply(refusal, is_ok),
            Pending::Watch => tracker.confirmed.watching |= is_ok,
            Pending::Unwatch => tracker.confirmed.watching &= !is_ok,
            Pending::Unsettled { command } => {
                if reply.is_queued {
                    tracker.confirm_queued(command, Shape::VERBATIM);
                }
                if reply.aborts {
                    tracker.reset();
                }
                self.tracking_reply(command, is_ok);
                self.end_await();
            }
            _ => {}
        }
        Ok(())
    }

    /// The reply to `DISCARD`. One that failed ended nothing.
    fn discard_reply(&mut self, refusal: Option<Box<[u8]>>, is_ok: bool) {
        if refusal.is_some() {
            self.end_await();
        }
        let tracker = &mut self.transaction;
        if is_ok {
            tracker.confirm_end();
        } else if tracker.confirmed.in_transaction {
            let transaction = tracker.requested.get_or_insert_default();
            if let Some(refusal) = refusal {
                transaction.refusal.get_or_insert(refusal);
            }
        }
    }

    /// True if a transaction that is taken to be over is so only once a reply has arrived that says so.
    pub(super) fn may_be_in_transaction(&self) -> bool {
        let decides = |pending: &Pending| {
            matches!(
                pending.inner(),
                Pending::Multi { .. }
                    | Pending::Exec
                    | Pending::ExecRefused { .. }
                    | Pending::Discard { .. }
                    | Pending::Queued { .. }
            )
        };
        self.reply.is_under_way() || self.queue.iter().any(decides)
    }

    /// True if the reply to one more command, which holds so many bytes, can be remembered until the transaction ends.
    pub(super) fn has_room_in_transaction(&self, bytes: usize) -> bool {
        let max = self.limits.of_transactions();
        let transaction = self.transaction.requested.as_ref();
        transaction.is_none_or(|it| it.retained_bytes.saturating_add(bytes) <= max)
    }

    /// A request was refused here, with this answer: the transaction that it is part of must not be executed.
    pub(super) fn mark_refused(&mut self, answer: &[u8]) {
        if let Some(transaction) = self.transaction.open() {
            transaction.refusal.get_or_insert_with(|| answer.into());
        }
    }
}

/// True if what a request does to the connection differs within a transaction.
pub(super) fn depends_on_transaction(effect: Effect) -> bool {
    cuts_a_transaction(effect)
        || matches!(
            effect,
            Effect::Watch
                | Effect::Unwatch
                | Effect::Label
                | Effect::ListClients
                | Effect::KillClients
        )
}

/// True if a request would change the connection in the middle of the replies of a transaction.
pub(super) fn cuts_a_transaction(effect: Effect) -> bool {
    matches!(
        effect,
        Effect::Hello
            | Effect::Monitor
            | Effect::Subscribe(_)
            | Effect::Unsubscribe(_)
            | Effect::ReplyOn
            | Effect::ReplyOff
            | Effect::ReplySkip
    )
}
