//! The state of one client's connection, in parts that one concern each changes. Illegal combinations cannot be
//! written: a connection is in one [`Phase`], has one [`Affinity`], and is within at most one reply.
//!
//! Requests are read before the replies to earlier ones have arrived. What a request asked for and what its reply
//! confirmed are therefore different facts, kept apart (see `transaction`). Where a later request cannot be
//! understood before a reply is known, reading stops. The phase says why:
//!
//! ```text
//!                     ┌──────────────────────────────────────────────┐
//!  request bytes ──▶  │ Open: read, decide, send                     │ ──▶ upstream, ReplyQueue
//!                     └─┬──────────────────────────────────────────▲─┘
//!   a key is missing    ├──▶ AwaitingKeys ── keys were provided ───┤
//!   HELLO, MULTI … EXEC │                                          │
//!   after a refusal,    ├──▶ AwaitingReply ── that reply ended ────┤
//!   RESET, CLIENT KILL  │                                          │
//!   a refused BLPOP     ├──▶ Delayed ── the delay is over ─────────┤
//!   too large to hold   ├──▶ Streaming ── its last byte passed ────┘
//!   QUIT, not RESP      └──▶ Closing (final)
//! ```

use std::sync::Arc;
use std::time::Duration;

use waxseal_resp::RequestTail;

use super::computed::ComputedRun;
use super::keyspace::PatternTable;
use super::moves::MoveRun;
use super::names::NamesOnWire;
use super::pairing::CurrentReply;
use super::prelude::PreludeReplies;
use super::queue::ReplyQueue;
use super::random::RandomRun;
use super::replay::Replay;
use super::replies::StalledReply;
use super::reply_mode::ReplyControl;
use super::scripts::ScriptRun;
use super::sorting::SortRun;
use super::tracking::Prefixes;
use super::transaction::TransactionTracker;
use super::window::Window;
use super::{Report, keys};
use crate::clients::Registration;
use crate::limits::Limits;
use crate::pending::{Label, LabelKind, Protocol};
use crate::protection::Protection;
use crate::subscriptions::Subscriptions;

/// Everything that a conversation remembers, except the positions of its two scanners.
pub(super) struct ConnectionState {
    pub(super) protection: Arc<Protection>,
    pub(super) limits: Limits,
    pub(super) report: Report,
    pub(super) phase: Phase,
    pub(super) affinity: Affinity,
    /// The replies that are expected.
    pub(super) queue: ReplyQueue,
    pub(super) reply: ReplyState,
    pub(super) reply_mode: ReplyControl,
    pub(super) transaction: TransactionTracker,
    pub(super) pushes: Pushes,
    /// The known script that is running. Its request stays among the client's bytes until it has its reply.
    pub(super) script: Option<Box<ScriptRun>>,
    /// What the replies to a prelude have said.
    pub(super) prelude: PreludeReplies,
    /// The command that is being computed. Its request stays among the client's bytes until it has its reply.
    pub(super) computed: Option<Box<ComputedRun>>,
    /// The transaction that is sent again. Its `EXEC` stays among the client's bytes until it has its reply.
    pub(super) replay: Option<Box<Replay>>,
    /// The last request that was sent, if it is `CLIENT CACHING`, which applies to a transaction that follows.
    pub(super) caching: Option<Box<[u8]>>,
    /// The move that is under way. Its request stays among the client's bytes until it has its reply.
    pub(super) moving: Option<Box<MoveRun>>,
    /// The command that is sorting. Its request stays among the client's bytes until it has its reply.
    pub(super) sorting: Option<Box<SortRun>>,
    /// The request for the name of some record. It stays among the client's bytes until it has its reply.
    pub(super) random: Option<RandomRun>,
    /// The last request that was sent is `ASKING`, which applies to the next one.
    pub(super) asking: bool,
    /// Bounds the requests that may be on a lane at once.
    pub(super) window: Window,
    pub(super) keys: keys::Keys,
    pub(super) names: NamesOnWire,
    pub(super) client: ClientState,
    pub(super) signals: Signals,
}

impl ConnectionState {
    pub(super) fn new(protection: Arc<Protection>, limits: Limits, report: Report) -> Self {
        Self {
            protection,
            limits,
            report,
            phase: Phase::Open,
            affinity: Affinity::Reusable,
            queue: ReplyQueue::default(),
            reply: ReplyState::Idle,
            reply_mode: ReplyControl::default(),
            transaction: TransactionTracker::default(),
            pushes: Pushes::default(),
            script: None,
            prelude: PreludeReplies::default(),
            computed: None,
            replay: None,
            caching: None,
            moving: None,
            sorting: None,
            random: None,
            asking: false,
            window: Window::new(limits.unread),
            keys: keys::Keys::default(),
            names: NamesOnWire::default(),
            client: ClientState::default(),
            signals: Signals::default(),
        }
    }

    /// True if every request that was sent has its whole reply.
    #[inline]
    pub(super) fn has_all_replies(&self) -> bool {
        self.queue.is_empty() && !self.reply.is_under_way()
    }

    /// Stops reading requests until the reply to the one that was just sent has ended: it decides what the next
    /// ones mean. Each caller queues that reply directly afterwards, so it is the last one in the queue.
    pub(super) fn await_reply(&mut self) {
        self.phase = Phase::AwaitingReply;
    }

    /// The reply that reading waited for has ended. A connection that is closing stays so.
    pub(super) fn end_await(&mut self) {
        if matches!(self.phase, Phase::AwaitingReply) {
            self.phase = Phase::Open;
        }
    }

    /// Takes nothing more from the client.
    pub(super) fn close(&mut self) {
        self.phase = Phase::Closing;
    }

    /// Bytes that are held for requests without a reply.
    pub(super) fn retained_bytes(&self) -> usize {
        let script = self.script.as_ref().map_or(0, |run| run.retained_bytes());
        let computed = self.computed.as_ref().map_or(0, |run| run.retained_bytes());
        let replay = self
            .replay
            .as_ref()
            .map_or(0, |replay| replay.retained_bytes());
        let moving = self.moving.as_ref().map_or(0, |run| run.retained_bytes());
        let running = script.saturating_add(computed).saturating_add(moving);
        let sorting = self.sorting.as_ref().map_or(0, |run| run.retained_bytes());
        let running = running.saturating_add(replay).saturating_add(sorting);
        self.queue.retained_bytes().saturating_add(running)
    }
}

/// The treatment of the client's next bytes.
pub(super) enum Phase {
    /// Reads requests.
    Open,
    /// Passes or drops the remaining bytes of a request that is too large to hold.
    Streaming(StreamedRequest),
    /// Reads nothing before a reply has ended that decides what later requests mean.
    AwaitingReply,
    /// Reads nothing before keys have been provided.
    AwaitingKeys,
    /// Reads nothing before a refusal has been answered, as late as the request was ready to wait.
    Delayed(DelayedRefusal),
    /// Reads nothing any more.
    Closing,
}

impl Phase {
    /// True between the first and the last byte of a request, and until a delayed refusal is answered.
    pub(super) fn is_within_request(&self) -> bool {
        matches!(self, Self::Streaming(_) | Self::Delayed(_))
    }
}

/// A request that is too large to hold, of which only the first bytes were read.
pub(super) struct StreamedRequest {
    /// Finds the end of the request.
    pub(super) tail: RequestTail,
    /// The answer at its end, if it does not go to the server.
    pub(super) refusal: Option<Vec<u8>>,
}

/// A refusal that is answered after a delay.
pub(super) struct DelayedRefusal {
    pub(super) answer: Vec<u8>,
    pub(super) delay: Duration,
}

/// The tie between a client and its upstream connection. It only becomes stronger, until the client begins on
/// another connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Affinity {
    /// The connection is a lane: pushed messages are not this client's, and nothing sent here changes it.
    Shared,
    /// A dedicated connection, on which nothing was sent that leaves a trace: it may serve another client.
    Reusable,
    /// A dedicated connection with a trace of this client: the client may leave it, no other may get it.
    Traced,
    /// A dedicated connection with state that no other one has: the client cannot leave it.
    Pinned,
}

impl Affinity {
    /// A request went out that may leave a trace. On a lane only requests are sent that change nothing there.
    pub(super) fn add_trace(&mut self) {
        if *self == Self::Reusable {
            *self = Self::Traced;
        }
    }

    /// A request went out that gives the connection state which no other one has.
    pub(super) fn pin(&mut self) {
        *self = Self::Pinned;
    }
}

/// The reply under way.
#[derive(Default)]
pub(super) enum ReplyState {
    /// The next byte from the server begins a reply or a message.
    #[default]
    Idle,
    /// Part of it has arrived.
    Receiving {
        current: CurrentReply,
        /// The part that arrived, if it is held until the reply is whole.
        held: Vec<u8>,
    },
    /// It is whole and waits for keys.
    Stalled(Box<StalledReply>),
}

impl ReplyState {
    /// True from the first byte of a reply until it has been passed on: nothing else may be written in between.
    #[inline]
    pub(super) fn is_under_way(&self) -> bool {
        !matches!(self, Self::Idle)
    }
}

/// The messages that the server may send without being asked.
#[derive(Default)]
pub(super) struct Pushes {
    pub(super) subscriptions: Subscriptions,
    /// The patterns of the subscriptions, where names are stored sealed.
    pub(super) patterns: PatternTable,
    /// The prefixes of names whose changes are announced, where names are stored sealed.
    pub(super) prefixes: Prefixes,
    /// The server reports the requests of all clients.
    pub(super) monitoring: bool,
}

/// Facts about the client that outlive its upstream connection.
#[derive(Default)]
pub(super) struct ClientState {
    pub(super) protocol: Protocol,
    pub(super) labels: Labels,
    /// The client among those of the proxy.
    pub(super) registration: Option<Registration>,
}

/// Events for the owner of the upstream connection, each reported once.
#[derive(Default)]
pub(super) struct Signals {
    /// A `RESET` undid the login on the upstream connection.
    pub(super) login_reset: bool,
    /// The code of an error by which the server said that its role has changed.
    pub(super) role_error: Option<&'static str>,
}

/// The requests by which a client named its connection, to be repeated on another one.
#[derive(Default)]
pub(super) struct Labels {
    pub(super) name: Option<Box<[u8]>>,
    pub(super) library: Option<Box<[u8]>>,
    pub(super) version: Option<Box<[u8]>>,
}

impl Labels {
    /// Stores a label that the server has accepted.
    pub(super) fn set(&mut self, label: Label) {
        let slot = match label.kind {
            LabelKind::Name => &mut self.name,
            LabelKind::Library => &mut self.library,
            LabelKind::Version => &mut self.version,
        };
        *slot = label.request;
    }

    /// The requests, in the order in which they are repeated.
    pub(super) fn requests(&self) -> impl Iterator<Item = &[u8]> {
        let all = [&self.name, &self.library, &self.version];
        all.into_iter().flatten().map(|request| &**request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn affinity_only_becomes_stronger() {
        for (before, traced) in [
            // A lane takes only requests that change nothing there.
            (Affinity::Shared, Affinity::Shared),
            (Affinity::Reusable, Affinity::Traced),
            (Affinity::Traced, Affinity::Traced),
            (Affinity::Pinned, Affinity::Pinned),
        ] {
            let mut affinity = before;
            affinity.add_trace();
            assert_eq!(affinity, traced);
            affinity.pin();
            assert_eq!(affinity, Affinity::Pinned);
        }
    }
}
