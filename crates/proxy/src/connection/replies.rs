//! The reply direction: takes replies off the server's bytes and writes what the client gets. Which request each
//! belongs to is told in `pairing`. A reply that nothing explains ends the connection: losing the pairing would
//! hand one request's values to another.

use std::borrow::Cow;
use std::collections::VecDeque;

use super::pairing::{Current, Way};
use super::reply_mode::{Answering, ReplyPermission};
use super::transaction::Reply;
use super::values::is_queued;
use super::{Connection, ConnectionState};
use crate::keys::KeyRequest;
use crate::login::LoginError;
use crate::pending::{LabelKind, Left, Pending, Protocol, Shape};
use crate::subscriptions::Subscriptions;

/// Room for more outstanding requests than this is given back when all replies have come.
const KEPT_PENDING: usize = 4096;
/// Bytes of a large reply that tell whether its value begins as an envelope.
const CLASSIFIED: usize = 4096;

/// What became of a chunk of the server's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answered {
    /// Bytes of the chunk that are done with. The rest must come again, with more behind it.
    pub used: usize,
    /// Requests that have their reply now.
    pub replies: usize,
    /// A reply waits for [keys](Connection::wants): nothing more is taken before they have come.
    pub stalled: bool,
}

/// The server sent what no request explains, or what is no RESP, or refused to let us in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unexplained {
    /// Not RESP.
    #[error(transparent)]
    NoReply(#[from] waxseal_resp::ReplyError),
    /// No request is waiting for it, or for another kind of reply.
    #[error("the server sent a reply that no request explains")]
    Pairing,
    /// The server does not let the proxy in.
    #[error("the store cannot be used: {}", .0.description())]
    Handshake(LoginError),
}

/// A whole reply that waits for keys.
pub(super) struct Stalled {
    pub(super) current: Current,
    pub(super) whole: Vec<u8>,
    /// Not said yet.
    pub(super) wanted: Option<Box<KeyRequest>>,
}

impl Connection {
    /// Takes the server's bytes, at most so many replies of them, and appends what the client gets.
    pub fn replies(
        &mut self,
        chunk: &[u8],
        at_most: usize,
        client: &mut Vec<u8>,
    ) -> Result<Answered, Unexplained> {
        let mut used = 0;
        let mut replies = 0;
        let mut stalled = self.is_stalled();
        while !stalled {
            if self.current.is_none() {
                self.talk.answer_local(client);
            }
            let rest = chunk.get(used..).unwrap_or_default();
            if rest.is_empty() || replies >= at_most {
                break;
            }
            let way = match &self.current {
                Some(current) => current.way,
                None => match self.talk.begin(rest)? {
                    Some(current) => {
                        self.talk.replying = true;
                        self.current.insert(current).way
                    }
                    None => break,
                },
            };
            let scanned = self.reply.scan(rest)?;
            let part = rest.get(..scanned.used).unwrap_or_default();
            used = used.saturating_add(scanned.used);
            match way {
                Way::Forward => client.extend_from_slice(part),
                // Whole in one piece: taken from where it is.
                Way::Hold if scanned.done && self.held.is_empty() && part.len() <= self.most() => {}
                Way::Hold => self.hold(part, client),
                Way::Drop | Way::TooLarge => {}
            }
            if !scanned.done {
                if scanned.used == 0 {
                    break;
                }
                continue;
            }
            let whole = match std::mem::take(&mut self.held) {
                held if held.is_empty() => Cow::Borrowed(part),
                held => Cow::Owned(held),
            };
            let Some(current) = self.current.take() else {
                continue;
            };
            if let Some(wanted) = self.talk.give(&current, &whole, None, client)? {
                self.stalled = Some(Stalled {
                    current,
                    whole: whole.into_owned(),
                    wanted: Some(wanted),
                });
                stalled = true;
                break;
            }
            self.talk.replying = false;
            let replied = self.talk.end(current, &whole, client)?;
            replies = replies.saturating_add(usize::from(replied));
        }
        self.talk.window.observe(used, replies);
        self.talk.settle();
        Ok(Answered {
            used,
            replies,
            stalled,
        })
    }

    /// A reply that waited for keys is given: does what its end does, and answers what comes next if
    /// that is made here. How many requests have their reply now.
    pub(super) fn end_reply(
        &mut self,
        current: Current,
        whole: &[u8],
        client: &mut Vec<u8>,
    ) -> Result<usize, Unexplained> {
        self.talk.replying = false;
        let replied = self.talk.end(current, whole, client)?;
        self.talk.answer_local(client);
        self.talk.settle();
        Ok(usize::from(replied))
    }

    /// Whether the last reply has not come to its end.
    #[must_use]
    pub fn is_in_a_reply(&self) -> bool {
        self.current.is_some()
    }

    /// Bytes of a reply that are held. Names, lengths and the like stand beside the values.
    fn most(&self) -> usize {
        self.talk.limits.value.saturating_add(64 * 1024)
    }

    fn hold(&mut self, part: &[u8], client: &mut Vec<u8>) {
        if self.held.len().saturating_add(part.len()) <= self.most() {
            self.held.extend_from_slice(part);
            return;
        }
        let held = std::mem::take(&mut self.held);
        let Some(current) = &mut self.current else {
            return;
        };
        let missing = CLASSIFIED.saturating_sub(held.len()).min(part.len());
        let start = held.iter().chain(part.get(..missing).unwrap_or_default());
        let start: Vec<u8> = start.copied().take(CLASSIFIED).collect();
        if current.is_excepted_value() && is_plain_value(&start) {
            current.way = Way::Forward;
            client.extend_from_slice(&held);
            client.extend_from_slice(part);
        } else {
            current.way = Way::TooLarge;
        }
    }
}

impl Current {
    /// True if the reply is one value of an excepted record, and the client gets it.
    fn is_excepted_value(&self) -> bool {
        let Some(Pending::Reply { shape, .. }) = &self.answers else {
            return false;
        };
        let is_excepted = matches!(shape, Shape::Value(place) if place.pattern.is_excepted());
        is_excepted && !self.muted
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
    /// Answers of our own whose turn it is.
    fn answer_local(&mut self, client: &mut Vec<u8>) {
        while let Some(Pending::Local(answer)) = self.pending.front() {
            client.extend_from_slice(answer);
            self.heavy = self.heavy.saturating_sub(answer.len());
            self.pending.pop_front();
        }
    }

    /// A reply is whole: does what its end does, and says whether a request has been answered.
    fn end(
        &mut self,
        current: Current,
        whole: &[u8],
        client: &mut Vec<u8>,
    ) -> Result<bool, Unexplained> {
        let Current {
            way,
            answers,
            fine,
            aborts,
            muted,
        } = current;
        let Some(pending) = answers else {
            if way == Way::Hold {
                self.subscriptions.note(whole);
                client.extend_from_slice(whole);
            }
            return Ok(false);
        };
        let reply = Reply {
            whole,
            is_queued: way == Way::Hold && is_queued(whole),
            fine,
            aborts,
            muted,
        };
        match pending {
            Pending::Reply { .. } => {}
            Pending::ClientList { .. } => self.barrier = false,
            Pending::Kill(kill) => self.kill_reply(&kill, &reply, client),
            Pending::Local(_) | Pending::Muted(_) => return Err(Unexplained::Pairing),
            Pending::ScriptRead(_) => self.barrier = false,
            Pending::Script(reply) => self.end_script(&reply, whole),
            Pending::Swallow { fatal: true } if !fine => {
                return Err(Unexplained::Handshake(LoginError::of(whole)));
            }
            Pending::Swallow { .. } => return Ok(false),
            Pending::Acknowledged { word, left } => {
                return Ok(self.acknowledgement((word, left), &reply, client));
            }
            Pending::Queued { .. }
            | Pending::Multi { .. }
            | Pending::Exec
            | Pending::ExecRefused { .. }
            | Pending::Discard { .. }
            | Pending::Watch
            | Pending::Unwatch
            | Pending::Unsettled { .. } => self.transaction_reply(pending, &reply, client)?,
            Pending::Label(_)
            | Pending::MayChangeReplies
            | Pending::RepliesOn
            | Pending::Hello(_)
            | Pending::Monitor
            | Pending::Reset => self.connection_reply(pending, &reply),
        }
        Ok(true)
    }

    /// Where no reply is outstanding, nothing waits on the server, and what is confirmed holds.
    pub(super) fn settle(&mut self) {
        if self.pending.is_empty() && !self.replying {
            if self.pending.capacity() > KEPT_PENDING {
                self.pending = VecDeque::new();
            }
            self.blocking = false;
            self.settle_transaction();
        }
    }

    /// The reply to a request about the connection itself.
    #[cold]
    fn connection_reply(&mut self, pending: Pending, reply: &Reply<'_>) {
        match pending {
            Pending::Label(label) if reply.fine => self.set_label(*label),
            Pending::MayChangeReplies => {
                self.barrier = false;
                self.reply_permission = match reply.fine {
                    true => ReplyPermission::Granted { now: true },
                    false => ReplyPermission::Denied(reply.whole.to_vec()),
                };
            }
            Pending::RepliesOn => self.replies_on(reply.fine),
            Pending::Hello(protocol) => {
                self.barrier = false;
                if reply.fine {
                    self.protocol = protocol;
                }
            }
            Pending::Monitor => {
                self.barrier = false;
                self.monitoring = reply.fine;
            }
            Pending::Reset => self.reset(reply.fine),
            _ => {}
        }
    }

    /// One acknowledgement of several; the last one answers the request.
    #[inline(never)]
    fn acknowledgement(
        &mut self,
        (word, left): (&'static str, Left),
        reply: &Reply<'_>,
        client: &mut Vec<u8>,
    ) -> bool {
        if !reply.fine {
            return true;
        }
        let left = match left {
            Left::Number(number) => number,
            Left::All => self.subscriptions.of_kind(word),
        };
        self.subscriptions.note(reply.whole);
        client.extend_from_slice(reply.whole);
        if left > 1 {
            let left = Left::Number(left.saturating_sub(1));
            let next = Pending::Acknowledged { word, left };
            self.pending.push_front(match reply.muted {
                true => Pending::Muted(Box::new(next)),
                false => next,
            });
            return false;
        }
        true
    }

    fn reset(&mut self, fine: bool) {
        self.barrier = false;
        if !fine {
            return;
        }
        self.transaction = None;
        self.transaction_ended();
        self.subscriptions = Subscriptions::default();
        self.monitoring = false;
        self.answering = Answering::On;
        self.protocol = Protocol::Resp2;
        // What the library is called, servers remember.
        self.labels.name = None;
        if let Some(registration) = &self.registration {
            registration.client.set_label(LabelKind::Name, b"");
        }
        // Whoever the connection was, it is nobody now, until it has come in again.
        self.pinned = true;
        self.login_reset = true;
    }
}
