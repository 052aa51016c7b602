//! `CLIENT REPLY`: which replies the client gets. The server always sends all of them, so what a
//! connection is in the middle of is known from its replies whatever the client asked for; those that
//! the client does not want are dropped here. Messages and acknowledgements of subscriptions always reach
//! it, as they do from a server.
//!
//! ```text
//! client                      here                               server
//! CLIENT REPLY OFF     ──▶    may it? (asked once)         ──▶   CLIENT REPLY ON
//!                             replies are off              ◀──   +OK
//! SET a 1              ──▶    Muted(Reply)                 ──▶   SET a 1
//!                             dropped                      ◀──   +OK
//! CLIENT REPLY ON      ──▶    not looked further           ──▶   CLIENT REPLY ON
//! +OK                  ◀──    replies are on               ◀──   +OK
//! ```

use waxseal_policy::Effect;

use super::ConnectionState;
use super::requests::{Next, One};
use crate::pending::{Pending, Protocol, Shape};

/// `CLIENT REPLY ON`, as the proxy itself asks.
const REPLY_ON: &[u8] = b"*3\r\n$6\r\ncLIENT\r\n$5\r\nREPLY\r\n$2\r\nON\r\n";

/// Which replies the client gets.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Answering {
    On,
    Off,
    /// The next request gets none.
    SkipNext,
}

/// Whether the server lets the client switch replies off.
#[derive(Default)]
pub(super) enum ReplyPermission {
    #[default]
    Unknown,
    /// It may; whether the server has said so just now, for this request.
    Granted { now: bool },
    /// It may not: this is the server's error.
    Denied(Vec<u8>),
}

impl ConnectionState {
    /// Gives an answer of our own, in its turn; unless the client asked for none.
    pub(super) fn answer(&mut self, answer: &[u8], client: &mut Vec<u8>) {
        match self.answering {
            Answering::On if self.pending.is_empty() && !self.replying => {
                client.extend_from_slice(answer);
            }
            Answering::On => {
                self.heavy = self.heavy.saturating_add(answer.len());
                self.pending.push_back(Pending::Local(answer.into()));
            }
            Answering::Off => {}
            Answering::SkipNext => self.answering = Answering::On,
        }
    }

    /// Remembers what the reply to a request that was sent will be. It is dropped when it comes where the
    /// client asked for none.
    pub(super) fn expect(&mut self, pending: Pending) {
        let pending = match self.answering {
            Answering::On => pending,
            Answering::Off => Pending::Muted(Box::new(pending)),
            Answering::SkipNext => {
                self.answering = Answering::On;
                Pending::Muted(Box::new(pending))
            }
        };
        self.expect_in_any_mode(pending);
    }

    pub(super) fn expect_in_any_mode(&mut self, pending: Pending) {
        self.expected = self.expected.saturating_add(1);
        self.heavy = self.heavy.saturating_add(pending.weight());
        self.pending.push_back(pending);
    }

    /// Before replies are switched off: whether the server lets the client do so. `None` where it does.
    #[cold]
    pub(super) fn ask_for_reply_mode(
        &mut self,
        upstream: &mut Vec<u8>,
        client: &mut Vec<u8>,
    ) -> Option<One> {
        if self.answering != Answering::On {
            return None;
        }
        match std::mem::take(&mut self.reply_permission) {
            ReplyPermission::Granted { now } if now || !self.may_be_subscriber() => {
                self.reply_permission = ReplyPermission::Granted { now: false };
                None
            }
            ReplyPermission::Granted { .. } | ReplyPermission::Unknown => {
                upstream.extend_from_slice(REPLY_ON);
                self.await_reply();
                self.expect(Pending::MayChangeReplies);
                Some(One::Again(Next::Replies))
            }
            ReplyPermission::Denied(error) => {
                self.answer(&error, client);
                Some(One::Done)
            }
        }
    }

    /// Whether the connection may be one of RESP2 with subscriptions, which servers let do little else.
    fn may_be_subscriber(&self) -> bool {
        let subscribes =
            |pending: &Pending| matches!(pending.unmuted(), Pending::Acknowledged { .. });
        self.protocol == Protocol::Resp2
            && (self.replying || self.subscriptions.any() || self.pending.iter().any(subscribes))
    }

    /// `CLIENT REPLY OFF` and `SKIP`, which are not sent.
    pub(super) fn mute(&mut self, effect: Effect) {
        if effect == Effect::ReplyOff {
            self.answering = Answering::Off;
        } else if self.answering != Answering::Off {
            // Nothing can be skipped where nothing comes.
            self.answering = Answering::SkipNext;
        }
    }

    /// `CLIENT REPLY ON`: what comes behind it is looked at when the server has accepted it, which it does
    /// not from a subscriber.
    pub(super) fn unmute(&mut self, command: &'static str) {
        if self.answering == Answering::On {
            return self.sent(command, Shape::Verbatim);
        }
        self.await_reply();
        self.expect_in_any_mode(Pending::RepliesOn);
    }

    /// The reply to `CLIENT REPLY ON`.
    pub(super) fn replies_on(&mut self, accepted: bool) {
        self.barrier = false;
        if accepted || self.answering == Answering::SkipNext {
            self.answering = Answering::On;
        }
    }

    /// `RESET`: servers answer it even where replies are off, but not where one is skipped.
    pub(super) fn expect_reset(&mut self) {
        self.await_reply();
        if self.answering == Answering::SkipNext {
            self.expect(Pending::Reset);
        } else {
            self.expect_in_any_mode(Pending::Reset);
        }
    }
}
