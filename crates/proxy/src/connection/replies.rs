//! Back: takes replies off the server's bytes, says to which request each belongs, and writes what
//! the client gets. A reply that nothing explains ends the connection: losing the pairing would hand
//! one request's values to another.

use std::borrow::Cow;

use waxseal_resp::{First, first_word};

use super::errors::error_word;
use super::reply_mode::{Answering, ReplyPermission};
use super::transaction::Reply;
use super::values::is_queued;
use super::{Connection, Talk, monitor};
use crate::keys::Wanted;
use crate::login::LoginError;
use crate::pending::{LabelKind, Left, Pending, Protocol, Shape};
use crate::subscriptions::{Subscriptions, is_acknowledgement, is_message, leads_elsewhere};

/// First words of the errors of an EXEC that executed nothing and ended the transaction.
const EXEC_ABORTS: [&[u8]; 4] = [b"EXECABORT", b"MOVED", b"CROSSSLOT", b"REDIRECT"];

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
    Entrance(LoginError),
}

/// A whole reply that waits for keys.
pub(super) struct Stalled {
    pub(super) current: Current,
    pub(super) whole: Vec<u8>,
    /// Not said yet.
    pub(super) wanted: Option<Box<Wanted>>,
}

/// The reply under way.
pub(super) struct Current {
    pub(super) way: Way,
    /// What it answers; `None` for what came unasked.
    pub(super) answers: Option<Pending>,
    /// It is no error.
    fine: bool,
    /// It is the error that ends a transaction.
    aborts: bool,
    /// The client asked for no reply.
    pub(super) muted: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// To the client as it comes.
    Forward,
    /// Nowhere.
    Drop,
    /// Kept until it is whole.
    Hold,
    /// Was to be kept, and is too large.
    TooLarge,
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
                Way::Hold => self.hold(part),
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

    fn hold(&mut self, part: &[u8]) {
        if self.held.len().saturating_add(part.len()) <= self.most() {
            self.held.extend_from_slice(part);
            return;
        }
        self.held = Vec::new();
        if let Some(current) = &mut self.current {
            current.way = Way::TooLarge;
        }
    }
}

impl Talk {
    /// Answers of our own whose turn it is.
    fn answer_local(&mut self, client: &mut Vec<u8>) {
        while let Some(Pending::Local(answer)) = self.pending.front() {
            client.extend_from_slice(answer);
            self.heavy = self.heavy.saturating_sub(answer.len());
            self.pending.pop_front();
        }
    }

    /// Says what the reply that begins here is. `None` when more of it must be seen.
    fn begin(&mut self, rest: &[u8]) -> Result<Option<Current>, Unexplained> {
        let first = rest.first().copied().unwrap_or_default();
        let fine = !matches!(first, b'-' | b'!');
        if first == b'>' && self.shared {
            // Somebody else had it sent here: clients of a lane have asked for nothing.
            return Ok(Some(Current::of(Way::Drop)));
        }
        if first == b'>' || (first == b'*' && self.listens()) {
            let word = match first_word(rest) {
                First::Open => return Ok(None),
                First::Word(word) => word,
                First::Other => b"",
            };
            if let Some(current) = self.message(first, word) {
                return Ok(Some(current));
            }
        }
        if self.monitoring && first == b'+' {
            match monitor::line(rest, self.answering) {
                None => return Ok(None),
                Some(monitor::Line::Goes(way)) => return Ok(Some(Current::of(way))),
                Some(monitor::Line::Reply) => {}
            }
        }
        let error = match fine {
            true => None,
            false => match error_word(rest) {
                None => return Ok(None),
                word => word,
            },
        };
        let pending = self.pending.pop_front().ok_or(Unexplained::Pairing)?;
        if let (Some(word), Some(meters)) = (error, self.protection.metered())
            && pending.answers_client()
        {
            meters.traffic.server_error(word);
        }
        self.heavy = self.heavy.saturating_sub(pending.weight());
        let (pending, muted) = pending.unmute();
        let way = self.way(&pending, muted, first)?;
        Ok(Some(Current {
            way,
            answers: Some(pending),
            muted,
            fine,
            aborts: error.is_some_and(|word| EXEC_ABORTS.contains(&word)),
        }))
    }

    /// Where a reply that begins with this byte goes.
    fn way(&self, pending: &Pending, muted: bool, first: u8) -> Result<Way, Unexplained> {
        let fine = !matches!(first, b'-' | b'!');
        let way = match pending {
            Pending::Local(_) | Pending::Muted(_) => return Err(Unexplained::Pairing),
            Pending::Reply { .. } | Pending::Exec if muted => Way::Drop,
            Pending::Reply { shape, .. } if shape.passes(first) => Way::Forward,
            // No `+QUEUED`: the server did not open the transaction.
            Pending::Queued { shape, .. } if first != b'+' && shape.passes(first) => Way::Forward,
            Pending::Reply { .. } | Pending::Queued { .. } => Way::Hold,
            Pending::Exec if self.queued.iter().all(|(_, shape)| shape.is_as_it_is()) => {
                Way::Forward
            }
            Pending::Exec => Way::Hold,
            Pending::ExecRefused { .. } => Way::Drop,
            Pending::Swallow { .. } if fine => Way::Drop,
            // What it says is told.
            Pending::Swallow { .. } | Pending::MayChangeReplies => Way::Hold,
            Pending::ClientList { .. } | Pending::Kill(_) if fine => Way::Hold,
            // It may be queued.
            Pending::Unsettled { .. } if first == b'+' => Way::Hold,
            Pending::Acknowledged { .. } if fine => return Err(Unexplained::Pairing),
            // What was refused is still switched off.
            Pending::RepliesOn | Pending::Reset if !fine && self.answering != Answering::On => {
                Way::Drop
            }
            Pending::Acknowledged { .. }
            | Pending::Multi { .. }
            | Pending::Discard { .. }
            | Pending::Watch
            | Pending::Unwatch
            | Pending::Label(_)
            | Pending::ClientList { .. }
            | Pending::Kill(_)
            | Pending::Unsettled { .. }
            | Pending::Hello(_)
            | Pending::Monitor
            | Pending::RepliesOn
            | Pending::Reset => Way::Forward,
        };
        Ok(match way {
            Way::Forward if muted => Way::Drop,
            way => way,
        })
    }

    /// Whether arrays can be messages.
    fn listens(&self) -> bool {
        self.protocol == Protocol::Resp2
            && (self.subscriptions.any() || self.acknowledged_next().is_some())
    }

    /// The word that the acknowledgement begins with which is to come next, if one is.
    fn acknowledged_next(&self) -> Option<&'static str> {
        match self.pending.front()?.unmuted() {
            Pending::Acknowledged { word, .. } => Some(word),
            _ => None,
        }
    }

    /// An array or push message that begins with this word, if it is no reply.
    fn message(&mut self, first: u8, word: &[u8]) -> Option<Current> {
        if self.acknowledged_next().map(str::as_bytes) == Some(word)
            && let Some((pending, muted)) = self.pending.pop_front().map(Pending::unmute)
        {
            return Some(Current {
                answers: Some(pending),
                muted,
                ..Current::of(Way::Hold)
            });
        }
        // In RESP3 with replies switched off; or a shard that moved away.
        if is_acknowledgement(word) {
            return Some(Current::of(Way::Hold));
        }
        if first == b'>' && leads_elsewhere(word) {
            return Some(Current::of(Way::Drop));
        }
        // In RESP3 whatever is pushed is no reply.
        (first == b'>' || is_message(word)).then(Current::unasked)
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
            Pending::Swallow { fatal: true } if !fine => {
                return Err(Unexplained::Entrance(LoginError::of(whole)));
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
    fn settle(&mut self) {
        if self.pending.is_empty() && !self.replying {
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
        self.entrance_lost = true;
    }
}

impl Current {
    /// What came unasked, and passes.
    fn unasked() -> Self {
        Self::of(Way::Forward)
    }

    /// What came unasked.
    fn of(way: Way) -> Self {
        Self {
            way,
            answers: None,
            fine: true,
            aborts: false,
            muted: false,
        }
    }
}

impl Pending {
    /// Whether a reply to it is one to what a client asked.
    fn answers_client(&self) -> bool {
        !matches!(
            self,
            Self::Swallow { .. }
                | Self::ExecRefused { .. }
                | Self::Local(_)
                | Self::MayChangeReplies
        )
    }
}

impl Shape {
    /// Whether a reply that begins with this byte goes to the client as it comes.
    fn passes(&self, first: u8) -> bool {
        match self {
            Self::AsItIs => true,
            // Anything else is or holds a value, or is one that the server made up.
            _ => first == b'-',
        }
    }
}
