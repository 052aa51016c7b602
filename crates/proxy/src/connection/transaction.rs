//! MULTI and its like: what requests ask for, and what the server's replies say has become of it. Requests
//! are read before the replies to those before them have come, so both are kept:
//!
//! - `transaction` is what the requests that were sent have opened, if the server accepts them;
//! - `confirmed` is what replies have said.
//!
//! When no reply is outstanding, what is confirmed holds.

use waxseal_policy::Effect;

use super::{ConfirmedState, ConnectionState, Transaction, Unexplained};
use crate::answers;
use crate::pending::{Pending, Shape};

/// Bytes that may be remembered of one transaction's commands, however small the limits are.
const MIN_TRANSACTION_BYTES: usize = 1024 * 1024;

/// A reply, as far as it tells what became of a step.
pub(super) struct Reply<'a> {
    pub(super) whole: &'a [u8],
    /// `+QUEUED`.
    pub(super) is_queued: bool,
    /// It is no error.
    pub(super) fine: bool,
    /// It is an error that ends a transaction.
    pub(super) aborts: bool,
    /// The client does not get it.
    pub(super) muted: bool,
}

impl ConnectionState {
    /// A step of a transaction, in a form that servers accept: what it asks for is taken for granted by
    /// the requests behind it, what became of it is told by its reply.
    ///
    /// Where a command of the transaction was refused, no step that could end it is taken for granted:
    /// what remains of it must not be executed.
    pub(super) fn transaction_step(&mut self, command: &'static str, effect: Effect) {
        let in_transaction = self.transaction.is_some();
        match effect {
            Effect::Exec if in_transaction => {
                let transaction = self.transaction.take();
                self.count_tried(transaction.as_ref());
                self.expect(Pending::Exec);
            }
            Effect::Discard if in_transaction => {
                let transaction = self.transaction.take();
                self.count_tried(transaction.as_ref());
                let refusal = transaction.and_then(|it| it.refusal);
                if refusal.is_some() {
                    self.await_reply();
                }
                self.expect(Pending::Discard { refusal });
            }
            // Within a transaction an error; but where the first MULTI failed, this one begins it.
            Effect::Multi => {
                self.begun = self.begun.saturating_add(1);
                self.transaction.get_or_insert_default().number = self.begun;
                self.expect(Pending::Multi { number: self.begun });
            }
            Effect::Watch => self.expect(Pending::Watch),
            Effect::Unwatch if !in_transaction => self.expect(Pending::Unwatch),
            Effect::Unwatch => self.sent(command, Shape::Verbatim),
            // Outside one an error, unless the server thinks otherwise.
            Effect::Exec => self.expect(Pending::Exec),
            _ => self.expect(Pending::Discard { refusal: None }),
        }
    }

    /// The reply to a step of a transaction, or to what may be part of one.
    #[inline(never)]
    pub(super) fn transaction_reply(
        &mut self,
        pending: Pending,
        reply: &Reply<'_>,
        client: &mut Vec<u8>,
    ) -> Result<(), Unexplained> {
        let fine = reply.fine;
        match pending {
            Pending::Queued { command, shape } if reply.is_queued => {
                self.confirmed.in_transaction = true;
                self.queued.push((command, shape));
            }
            // Executed: there is no transaction.
            Pending::Queued { .. } => self.confirmed.in_transaction &= !fine,
            Pending::Exec if fine || reply.aborts => self.transaction_ended(),
            // There is no transaction then, either; but what is watched may still be.
            Pending::Exec => {
                self.confirmed.in_transaction = false;
                self.pinned = true;
            }
            Pending::ExecRefused { refusal } => {
                if !fine && self.confirmed.in_transaction {
                    // What the client was told is refused could still be executed.
                    return Err(Unexplained::Pairing);
                }
                self.barrier = false;
                self.transaction_ended();
                if !reply.muted {
                    client.extend_from_slice(&answers::exec_abort(&refusal));
                }
            }
            Pending::Multi { number } => self.multi(number, fine),
            Pending::Discard { refusal } => self.discard(refusal, fine),
            Pending::Watch => self.confirmed.watching |= fine,
            Pending::Unwatch => self.confirmed.watching &= !fine,
            Pending::Unsettled { command } => {
                self.barrier = false;
                if reply.is_queued {
                    self.confirmed.in_transaction = true;
                    self.queued.push((command, Shape::Verbatim));
                }
                if reply.aborts {
                    self.transaction = None;
                    self.transaction_ended();
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// No reply is outstanding: what is confirmed holds, whatever steps were taken for granted.
    pub(super) fn settle_transaction(&mut self) {
        if self.confirmed.in_transaction {
            self.transaction.get_or_insert_default();
        } else {
            self.transaction = None;
            self.queued.clear();
        }
    }

    /// A `MULTI` that failed began nothing, unless another one did.
    fn multi(&mut self, number: u64, fine: bool) {
        if fine {
            self.confirmed.in_transaction = true;
            self.queued.clear();
        }
        let is_last = self.transaction.as_ref().map(|it| it.number) == Some(number);
        if is_last && !self.confirmed.in_transaction {
            self.transaction = None;
        }
    }

    /// A `DISCARD` that failed ended nothing.
    fn discard(&mut self, refusal: Option<Box<[u8]>>, fine: bool) {
        if refusal.is_some() {
            self.barrier = false;
        }
        if fine {
            self.transaction_ended();
        } else if self.confirmed.in_transaction {
            let transaction = self.transaction.get_or_insert_default();
            if let Some(refusal) = refusal {
                transaction.refusal.get_or_insert(refusal);
            }
        }
    }

    /// The server says that a transaction is over, and with it what was watched.
    pub(super) fn transaction_ended(&mut self) {
        self.queued.clear();
        self.confirmed = ConfirmedState::default();
    }

    /// Whether a transaction that is taken to be over is so only once a reply has come that says so.
    pub(super) fn may_be_in_transaction(&self) -> bool {
        let decides = |pending: &Pending| {
            matches!(
                pending.unmuted(),
                Pending::Multi { .. }
                    | Pending::Exec
                    | Pending::ExecRefused { .. }
                    | Pending::Discard { .. }
                    | Pending::Queued { .. }
            )
        };
        self.replying || self.pending.iter().any(decides)
    }

    /// Whether the reply to one more command can be remembered until the transaction ends.
    pub(super) fn has_room_in_transaction(&self, weight: usize) -> bool {
        let most = self.limits.request.max(MIN_TRANSACTION_BYTES);
        let transaction = self.transaction.as_ref();
        transaction.is_none_or(|it| it.heavy.saturating_add(weight) <= most)
    }

    /// A command of the transaction was refused here, with this answer: it must not be executed.
    pub(super) fn note_refusal(&mut self, answer: &[u8]) {
        if let Some(Transaction { refusal, .. }) = &mut self.transaction {
            refusal.get_or_insert_with(|| answer.into());
        }
    }
}

/// Whether what a request does to the connection differs within a transaction.
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

/// What would change the connection in the middle of the replies of a transaction.
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
