//! The reply direction: takes replies off the server's bytes and writes what the client gets. `pairing` decides which
//! request each belongs to. A reply that no request explains ends the connection: losing the pairing would hand one
//! request's values to another.
//!
//! ```text
//! Idle ── first bytes: pairing::begin ──▶ Receiving ── last byte ──▶ write_reply ──▶ end_reply ──▶ Idle
//!                                                                    │  keys are missing     ▲
//!                                                                    └──▶ Stalled ── provide ┘
//! ```

use std::borrow::Cow;

use super::Connection;
use super::keyspace::PatternTable;
use super::pairing::{CurrentReply, Disposition};
use super::state::{ConnectionState, ReplyState};
use super::tracking::Prefixes;
use super::transaction::Reply;
use super::values::is_queued;
use crate::keys::KeyRequest;
use crate::login::LoginError;
use crate::pending::{LabelKind, Pending, Protocol, Remaining, ReplayStep, Shape};
use crate::subscriptions::Subscriptions;

/// Bytes of a large reply that decide whether its value begins as an envelope does.
const CLASSIFIED_BYTES: usize = 4096;
/// Bytes of a held reply beyond its values: names, lengths and the like.
const MAX_FRAMING_BYTES: usize = 64 * 1024;

/// The result of reading a chunk of the server's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplyProgress {
    /// Bytes of the chunk that were consumed. The others must be given again, followed by more.
    pub used: usize,
    /// Requests that have their reply now.
    pub replies: usize,
    /// A reply waits for [keys](Connection::take_key_request): nothing more is read before they are provided.
    pub stalled: bool,
}

/// The server sent a reply that no request explains, or bytes that are not RESP, or it refused the login.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnexpectedReply {
    /// Not RESP.
    #[error(transparent)]
    NotResp(#[from] waxseal_resp::ReplyError),
    /// No request waits for a reply, or one waits for another kind of reply.
    #[error("the server sent a reply that no request explains")]
    Pairing,
    /// The server does not accept the login.
    #[error("the store cannot be used: {}", .0.description())]
    Handshake(LoginError),
}

/// A whole reply that waits for keys.
pub(super) struct StalledReply {
    pub(super) current: CurrentReply,
    pub(super) whole: Vec<u8>,
    /// The keys, until they have been asked for.
    pub(super) key_request: Option<Box<KeyRequest>>,
}

impl Connection {
    /// Reads the server's bytes, at most so many replies of them, and appends what the client gets.
    pub fn replies(
        &mut self,
        chunk: &[u8],
        at_most: usize,
        client: &mut Vec<u8>,
    ) -> Result<ReplyProgress, UnexpectedReply> {
        let mut used = 0;
        let mut replies = 0;
        while !self.is_stalled() {
            if !self.state.reply.is_under_way() {
                self.state.write_local_answers(client);
            }
            let remaining = chunk.get(used..).unwrap_or_default();
            if remaining.is_empty() || replies >= at_most {
                break;
            }
            let Some(disposition) = self.state.current_disposition(remaining)? else {
                break;
            };
            let scanned = self.reply_scanner.scan(remaining)?;
            let part = remaining.get(..scanned.used).unwrap_or_default();
            used = used.saturating_add(scanned.used);
            match disposition {
                Disposition::Forward => client.extend_from_slice(part),
                // Whole in one piece: read where it is.
                Disposition::Hold if scanned.done && self.state.fits_in_place(part) => {}
                Disposition::Hold => self.state.hold(part, client),
                Disposition::Names => self.state.stream_names(part)?,
                Disposition::Drop | Disposition::TooLarge => {}
            }
            if !scanned.done {
                match scanned.used {
                    0 => break,
                    _ => continue,
                }
            }
            let mut reply = std::mem::take(&mut self.state.reply);
            let ReplyState::Receiving { current, held } = &mut reply else {
                continue;
            };
            let whole = match held.is_empty() {
                true => Cow::Borrowed(part),
                false => Cow::Owned(std::mem::take(held)),
            };
            if let Some(key_request) = self.state.write_reply(current, &whole, None, client)? {
                let ReplyState::Receiving { current, .. } = reply else {
                    break;
                };
                self.state.reply = ReplyState::Stalled(Box::new(StalledReply {
                    current,
                    whole: whole.into_owned(),
                    key_request: Some(key_request),
                }));
                break;
            }
            let is_answer = self.state.end(current, &whole, client)?;
            replies = replies.saturating_add(usize::from(is_answer));
        }
        self.state.window.observe(used, replies);
        self.state.settle();
        Ok(ReplyProgress {
            used,
            replies,
            stalled: self.is_stalled(),
        })
    }

    /// Ends a reply that waited for keys and has been written, and writes the answers of the proxy's own that follow
    /// it. Returns the number of requests that have their reply now.
    pub(super) fn end_stalled(
        &mut self,
        mut current: CurrentReply,
        whole: &[u8],
        client: &mut Vec<u8>,
    ) -> Result<usize, UnexpectedReply> {
        let is_answer = self.state.end(&mut current, whole, client)?;
        self.state.write_local_answers(client);
        self.state.settle();
        Ok(usize::from(is_answer))
    }
}

impl CurrentReply {
    /// True if the reply is one value of an excepted record, and the client gets it.
    fn is_excepted_value(&self) -> bool {
        let Some(Pending::Reply { shape, .. }) = &self.answers else {
            return false;
        };
        shape.is_excepted_value() && !self.is_muted
    }
}

/// True if a large reply is a value that does not begin as an envelope does.
fn is_plain_value(start: &[u8]) -> bool {
    let is_head = |window: &[u8]| window == b"\r\n";
    let Some(head) = start.windows(2).position(is_head) else {
        return false;
    };
    let value = start.get(head.saturating_add(2)..).unwrap_or_default();
    // The classic format is Base64: whole groups of four.
    let whole = value.len() & !3;
    let value = value.get(..whole).unwrap_or_default();
    start.starts_with(b"$") && waxseal_core::Shape::of(value) == waxseal_core::Shape::Plain
}

impl ConnectionState {
    /// Writes the answers of the proxy's own that are first in the queue.
    fn write_local_answers(&mut self, client: &mut Vec<u8>) {
        while let Some(Pending::Local(answer)) = self.queue.front() {
            client.extend_from_slice(answer);
            self.queue.pop_front();
        }
    }

    /// The disposition of the reply under way, or of the one that begins with these bytes. `None` if more of it is
    /// needed to decide.
    #[inline]
    fn current_disposition(
        &mut self,
        bytes: &[u8],
    ) -> Result<Option<Disposition>, UnexpectedReply> {
        match &self.reply {
            ReplyState::Receiving { current, .. } => Ok(Some(current.disposition)),
            ReplyState::Idle | ReplyState::Stalled(_) => self.begin(bytes),
        }
    }

    /// The limit for a reply that is held.
    fn max_held(&self) -> usize {
        self.limits.value.saturating_add(MAX_FRAMING_BYTES)
    }

    /// True if this part is the whole reply, so that nothing has to be copied.
    fn fits_in_place(&self, part: &[u8]) -> bool {
        matches!(&self.reply, ReplyState::Receiving { held, .. } if held.is_empty())
            && part.len() <= self.max_held()
    }

    /// Holds the next part of the reply under way. If that is too much, a large plain value under an excepted name and a
    /// message in a channel that is not protected are forwarded from here on; anything else is dropped, and answered with
    /// an error at its end if it is a reply.
    fn hold(&mut self, part: &[u8], client: &mut Vec<u8>) {
        let max = self.max_held();
        let ReplyState::Receiving { current, held } = &mut self.reply else {
            return;
        };
        if held.len().saturating_add(part.len()) <= max {
            held.extend_from_slice(part);
            return;
        }
        let held = std::mem::take(held);
        let missing = CLASSIFIED_BYTES.saturating_sub(held.len()).min(part.len());
        let start = held.iter().chain(part.get(..missing).unwrap_or_default());
        let start: Vec<u8> = start.copied().take(CLASSIFIED_BYTES).collect();
        let is_open_message = matches!(current.answers, Some(Pending::Message))
            && Self::is_open_message(&self.protection, &self.pushes.patterns, &start);
        if (current.is_excepted_value() && is_plain_value(&start)) || is_open_message {
            current.disposition = Disposition::Forward;
            client.extend_from_slice(&held);
            client.extend_from_slice(part);
        } else {
            current.disposition = Disposition::TooLarge;
            if matches!(current.answers, Some(Pending::Message)) {
                self.drop_large_message(&start, client);
            }
        }
    }

    /// Applies the end of a reply to the connection. Returns true if a request has been answered.
    #[inline]
    fn end(
        &mut self,
        current: &mut CurrentReply,
        whole: &[u8],
        client: &mut Vec<u8>,
    ) -> Result<bool, UnexpectedReply> {
        match &current.answers {
            // Most replies change nothing.
            Some(Pending::Reply { .. }) if !self.prelude.is_refused() => Ok(true),
            _ => self.end_with_effect(current, whole, client),
        }
    }

    /// The end of what nothing has asked for; what is held is an acknowledgement.
    fn end_unsolicited(&mut self, disposition: Disposition, whole: &[u8], client: &mut Vec<u8>) {
        if disposition == Disposition::Hold {
            self.pushes.subscriptions.record(whole);
            client.extend_from_slice(&self.acknowledgement_of_client(whole, false));
        }
    }

    fn end_with_effect(
        &mut self,
        current: &mut CurrentReply,
        whole: &[u8],
        client: &mut Vec<u8>,
    ) -> Result<bool, UnexpectedReply> {
        let CurrentReply {
            disposition,
            is_ok,
            aborts,
            is_muted,
            ..
        } = *current;
        let Some(pending) = current.answers.take() else {
            self.end_unsolicited(disposition, whole, client);
            return Ok(false);
        };
        let reply = Reply {
            whole,
            is_queued: disposition == Disposition::Hold && is_queued(whole),
            is_ok,
            aborts,
            is_muted,
        };
        match pending {
            Pending::Reply { .. } | Pending::Preluded(_) => self.end_prelude(),
            Pending::PreludeScript { in_transaction } => {
                self.prelude_script_reply(in_transaction, &reply);
                return Ok(false);
            }
            Pending::PreludeQueued => {
                self.prelude_queued_reply(whole, disposition == Disposition::TooLarge);
                return Ok(false);
            }
            Pending::ClientList { .. }
            | Pending::ScriptRead(_)
            | Pending::ComputeRead
            | Pending::ComputeWrite
            | Pending::MoveRead
            | Pending::MoveWrite
            | Pending::Sort
            | Pending::Random => self.end_await(),
            Pending::Kill(kill) => self.kill_reply(&kill, &reply, client),
            Pending::Local(_) | Pending::Muted(_) => return Err(UnexpectedReply::Pairing),
            Pending::Script(reply) => self.end_script(&reply, whole),
            Pending::Internal { fatal: true } if !is_ok => {
                return Err(UnexpectedReply::Handshake(LoginError::of(whole)));
            }
            Pending::Internal { .. } | Pending::Message => return Ok(false),
            Pending::Replay(step) => {
                self.end_replay_reply(step);
                return Ok(step == ReplayStep::Exec);
            }
            Pending::Acknowledged { word, remaining } => {
                return Ok(self.acknowledgement((word, remaining), &reply, client));
            }
            Pending::Queued { .. }
            | Pending::Multi { .. }
            | Pending::Exec
            | Pending::ExecRefused { .. }
            | Pending::Discard { .. }
            | Pending::Watch
            | Pending::Unwatch => self.transaction_reply(pending, &reply, client)?,
            Pending::Unsettled { command } => {
                self.tracking_reply(command, is_ok);
                self.transaction_reply(pending, &reply, client)?;
            }
            Pending::Label(_)
            | Pending::MayChangeReplies
            | Pending::RepliesOn
            | Pending::Hello(_)
            | Pending::Monitor
            | Pending::Reset => self.connection_reply(pending, &reply),
        }
        Ok(true)
    }

    /// When no reply is expected, nothing waits on the server, and what is confirmed is the truth.
    pub(super) fn settle(&mut self) {
        if self.has_all_replies() {
            self.queue.settle();
            self.transaction.settle();
        }
    }

    /// The reply to a request about the connection itself.
    #[cold]
    fn connection_reply(&mut self, pending: Pending, reply: &Reply<'_>) {
        match pending {
            Pending::Label(label) => {
                if reply.is_ok {
                    self.set_label(*label);
                }
                return;
            }
            Pending::MayChangeReplies => self.reply_mode.set_permission(reply.whole, reply.is_ok),
            Pending::RepliesOn => self.reply_mode.on_reply_on(reply.is_ok),
            Pending::Hello(protocol) if reply.is_ok => self.client.protocol = protocol,
            Pending::Monitor => self.pushes.monitoring = reply.is_ok,
            Pending::Reset if reply.is_ok => self.reset(),
            _ => {}
        }
        self.end_await();
    }

    /// One acknowledgement of several; the last one answers the request. Returns true for the last one.
    #[inline(never)]
    fn acknowledgement(
        &mut self,
        (word, remaining): (&'static str, Remaining),
        reply: &Reply<'_>,
        client: &mut Vec<u8>,
    ) -> bool {
        if !reply.is_ok {
            self.subscription_failed();
            return true;
        }
        let remaining = match remaining {
            Remaining::Count(count) => count,
            Remaining::All => self.pushes.subscriptions.count_of_kind(word),
        };
        self.pushes.subscriptions.record(reply.whole);
        client.extend_from_slice(&self.acknowledgement_of_client(reply.whole, remaining <= 1));
        if remaining > 1 {
            let remaining = Remaining::Count(remaining.saturating_sub(1));
            let next = Pending::Acknowledged { word, remaining };
            self.queue.push_front(match reply.is_muted {
                true => Pending::Muted(Box::new(next)),
                false => next,
            });
            return false;
        }
        true
    }

    /// The server has reset the connection.
    fn reset(&mut self) {
        self.transaction.reset();
        self.pushes.subscriptions = Subscriptions::default();
        self.pushes.monitoring = false;
        self.pushes.patterns = PatternTable::default();
        self.pushes.prefixes = Prefixes::default();
        self.reply_mode.reset();
        self.client.protocol = Protocol::Resp2;
        // Servers keep the name of the library.
        self.client.labels.name = None;
        if let Some(registration) = &self.client.registration {
            registration.client.set_label(LabelKind::Name, b"");
        }
        // The connection is not logged in any more.
        self.affinity.pin();
        self.signals.login_reset = true;
    }
}

impl Shape {
    /// True if the reply is one value of an excepted record.
    fn is_excepted_value(&self) -> bool {
        self.single_value()
            .is_some_and(|location| location.pattern.is_excepted())
    }
}
