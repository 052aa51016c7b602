//! `CLIENT REPLY`: which replies the client gets. The server always sends all of them, so the state of the connection
//! is known from its replies whatever the client asked for; those that the client does not want are dropped here.
//! Messages and acknowledgements of subscriptions always reach it, as they do without a proxy.
//!
//! ```text
//! client                      proxy                               server
//! CLIENT REPLY OFF     ──▶    is it allowed? (asked once)  ──▶   CLIENT REPLY ON
//!                             replies are off              ◀──   +OK
//! SET a 1              ──▶    Muted(Reply)                 ──▶   SET a 1
//!                             dropped                      ◀──   +OK
//! CLIENT REPLY ON      ──▶    reading stops                ──▶   CLIENT REPLY ON
//! +OK                  ◀──    replies are on               ◀──   +OK
//! ```

use waxseal_policy::Effect;

use super::requests::{Next, Step};
use super::state::ConnectionState;
use crate::pending::{Pending, Protocol, Shape};

/// `CLIENT REPLY ON`, as the proxy itself asks.
const REPLY_ON: &[u8] = b"*3\r\n$6\r\ncLIENT\r\n$5\r\nREPLY\r\n$2\r\nON\r\n";

/// The replies that the client gets.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum ReplyMode {
    /// All.
    #[default]
    On,
    /// None.
    Off,
    /// All but the one to the next request.
    SkipNext,
}

/// The reply mode, and the server's permission to change it.
#[derive(Default)]
pub(super) struct ReplyControl {
    mode: ReplyMode,
    permission: ReplyPermission,
}

/// The server's answer to whether this user may switch replies off.
#[derive(Default)]
enum ReplyPermission {
    #[default]
    Unknown,
    /// It may; `fresh` if the server has said so for the request that is being processed.
    Granted { fresh: bool },
    /// It may not: this is the server's error.
    Denied(Vec<u8>),
}

impl ReplyControl {
    pub(super) fn mode(&self) -> ReplyMode {
        self.mode
    }

    /// All replies, after a `RESET`.
    pub(super) fn reset(&mut self) {
        self.mode = ReplyMode::On;
    }

    /// Forgets the permission: it was another user's.
    pub(super) fn forget_permission(&mut self) {
        self.permission = ReplyPermission::Unknown;
    }

    /// The reply to the request for permission.
    pub(super) fn set_permission(&mut self, reply: &[u8], is_ok: bool) {
        self.permission = match is_ok {
            true => ReplyPermission::Granted { fresh: true },
            false => ReplyPermission::Denied(reply.to_vec()),
        };
    }

    /// The reply to `CLIENT REPLY ON`.
    pub(super) fn on_reply_on(&mut self, is_ok: bool) {
        if is_ok || self.mode == ReplyMode::SkipNext {
            self.mode = ReplyMode::On;
        }
    }

    /// Accounts for one request. Returns true if its reply does not reach the client.
    #[inline]
    pub(super) fn take_mute(&mut self) -> bool {
        match self.mode {
            ReplyMode::On => false,
            ReplyMode::Off => true,
            ReplyMode::SkipNext => {
                self.mode = ReplyMode::On;
                true
            }
        }
    }
}

impl ConnectionState {
    /// Gives the client an answer of the proxy's own in its turn, unless the client asked for none.
    pub(super) fn answer(&mut self, answer: &[u8], client: &mut Vec<u8>) {
        if self.reply_mode.take_mute() {
            return;
        }
        if self.has_all_replies() {
            client.extend_from_slice(answer);
        } else {
            self.queue.push_local(answer);
        }
    }

    /// Queues the reply to a request that was sent. It is dropped when it arrives if the client asked for none.
    pub(super) fn expect(&mut self, pending: Pending) {
        let pending = match self.reply_mode.take_mute() {
            true => Pending::Muted(Box::new(pending)),
            false => pending,
        };
        self.queue.push(pending);
    }

    /// Before replies are switched off: asks the server for permission. Returns `None` if it was granted.
    #[cold]
    pub(super) fn ask_for_reply_mode(
        &mut self,
        upstream: &mut Vec<u8>,
        client: &mut Vec<u8>,
    ) -> Option<Step> {
        if self.reply_mode.mode != ReplyMode::On {
            return None;
        }
        match std::mem::take(&mut self.reply_mode.permission) {
            ReplyPermission::Granted { fresh } if fresh || !self.may_be_subscriber() => {
                self.reply_mode.permission = ReplyPermission::Granted { fresh: false };
                None
            }
            ReplyPermission::Granted { .. } | ReplyPermission::Unknown => {
                upstream.extend_from_slice(REPLY_ON);
                self.await_reply();
                self.expect(Pending::MayChangeReplies);
                Some(Step::Retry(Next::Replies))
            }
            ReplyPermission::Denied(error) => {
                self.answer(&error, client);
                Some(Step::Done)
            }
        }
    }

    /// True if the connection may be one of RESP2 with subscriptions, on which servers allow little else.
    fn may_be_subscriber(&self) -> bool {
        let subscribes =
            |pending: &Pending| matches!(pending.inner(), Pending::Acknowledged { .. });
        self.client.protocol == Protocol::Resp2
            && (self.reply.is_under_way()
                || self.pushes.subscriptions.any()
                || self.queue.iter().any(subscribes))
    }

    /// `CLIENT REPLY OFF` and `SKIP`, which are not sent.
    pub(super) fn mute(&mut self, effect: Effect) {
        if effect == Effect::ReplyOff {
            self.reply_mode.mode = ReplyMode::Off;
        } else if self.reply_mode.mode != ReplyMode::Off {
            // While replies are off there is none to skip.
            self.reply_mode.mode = ReplyMode::SkipNext;
        }
    }

    /// `CLIENT REPLY ON`: later requests are read when the server has accepted it, which it does not from a
    /// subscriber.
    pub(super) fn unmute(&mut self, command: &'static str) {
        if self.reply_mode.mode == ReplyMode::On {
            return self.sent(command, Shape::VERBATIM);
        }
        self.await_reply();
        self.queue.push(Pending::RepliesOn);
    }

    /// `RESET`: servers answer it even while replies are off, but not if its reply is skipped.
    pub(super) fn expect_reset(&mut self) {
        self.await_reply();
        match self.reply_mode.mode {
            ReplyMode::SkipNext => self.expect(Pending::Reset),
            ReplyMode::On | ReplyMode::Off => self.queue.push(Pending::Reset),
        }
    }
}
