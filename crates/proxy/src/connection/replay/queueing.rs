//! Commands that are queued as reads: those that compute, and those that move values to another record. What the commands
//! before them leave must be known when the transaction is sent again; otherwise they are refused.

use waxseal_compute::Operation;
use waxseal_policy::{ComputeCall, Effect, MoveCall};
use waxseal_resp::{write_bulk, write_request_head};

use super::journal::{ComputedEntry, Journal, MoveEntry, Replaced};
use crate::answers;
use crate::connection::computed::write_read;
use crate::connection::moves::values;
use crate::connection::reply_mode::ReplyMode;
use crate::connection::state::ConnectionState;
use crate::location::{Name, owned};
use crate::pending::Shape;
use crate::refusals::OwnReason;
use crate::seal::{Request, SealingKeys};

/// `EXISTS`, as the proxy itself asks.
pub(super) const OWN_EXISTS: &[u8] = b"eXISTS";

impl ConnectionState {
    /// Queues a read in the place of a command that computes.
    pub(in crate::connection) fn queue_computed(
        &mut self,
        request: &Request<'_>,
        (command, call): (&'static str, ComputeCall),
        (operation, needs_value): (Operation, bool),
        keys: &SealingKeys,
        upstream: &mut Vec<u8>,
        client: &mut Vec<u8>,
    ) {
        let location = call.location.resolve(request.arguments);
        let has_replies = self.reply_mode.mode() == ReplyMode::On;
        let protection = self.protection.clone();
        let Some(transaction) = self.transaction.open() else {
            return;
        };
        let journal = &mut transaction.journal;
        let answer = not_queued(command, has_replies, journal).or_else(|| {
            journal
                .index(protection.names())
                .is_unforeseen(location.name, location.field.is_some())
                .then(|| answers::computed_after_change(command))
        });
        if let Some(answer) = answer {
            let reason = (Some(command), OwnReason::InTransaction);
            return self.refuse_here(reason, answer, (request, Effect::None), client);
        }
        let entry = ComputedEntry {
            command,
            operation,
            needs_value,
            location: owned(location),
            stored: Name::from_slice(request.wire(call.location.name)),
            key: keys.get(call.location.name).cloned(),
        };
        transaction.journal.add_replaced(Replaced::Computed(entry));
        write_read(request.wire(call.location.name), location.field, upstream);
        // Executed at once, there was no transaction.
        let unqueued = answers::refused_in_transaction(command);
        self.sent(command, Shape::Fixed(unqueued.into()));
    }

    /// Queues a read in the place of a command that moves values to another record.
    pub(in crate::connection) fn queue_move(
        &mut self,
        request: &Request<'_>,
        (command, call): (&'static str, MoveCall),
        keys: &SealingKeys,
        upstream: &mut Vec<u8>,
        client: &mut Vec<u8>,
    ) {
        let (source, destination) = values::records(call, request.arguments);
        let has_replies = self.reply_mode.mode() == ReplyMode::On;
        let protection = self.protection.clone();
        let Some(transaction) = self.transaction.open() else {
            return;
        };
        let journal = &mut transaction.journal;
        let answer = not_queued(command, has_replies, journal).or_else(|| {
            let index = journal.index(protection.names());
            let is_unknown = index.may_have_unknown(&source);
            is_unknown.then(|| answers::move_after_change(command))
        });
        if let Some(answer) = answer {
            let reason = (Some(command), OwnReason::InTransaction);
            return self.refuse_here(reason, answer, (request, Effect::None), client);
        }
        // It names both records, so that servers of a cluster refuse what they would.
        let stored = [call.source, call.destination.name].map(|at| request.wire(at));
        write_request_head(upstream, 3);
        write_bulk(upstream, OWN_EXISTS);
        for name in stored {
            write_bulk(upstream, name);
        }
        let entry = MoveEntry {
            command,
            moved: call.moved,
            source,
            destination,
            stored: stored.map(Name::from_slice),
            key: keys.get(call.destination.name).cloned(),
        };
        transaction.journal.add_replaced(Replaced::Move(entry));
        // Executed at once, there was no transaction.
        let unqueued = answers::refused_in_transaction(command);
        self.sent(command, Shape::Fixed(unqueued.into()));
    }
}

/// The answer to a command for which no read can be queued, whatever it would read.
fn not_queued(command: &'static str, has_replies: bool, journal: &Journal) -> Option<Vec<u8>> {
    if !has_replies {
        Some(answers::computed_without_replies(command))
    } else if journal.is_incomplete() {
        Some(answers::transaction_too_large())
    } else {
        None
    }
}
