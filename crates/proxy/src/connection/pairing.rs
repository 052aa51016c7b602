//! Which request a reply belongs to, and what happens to its bytes: decided from its first bytes and the order of the
//! requests. What its end does to the connection is in `replies`.

use waxseal_resp::{FirstWord, first_word};

use super::errors::{error_code, role_error};
use super::monitor;
use super::replies::UnexpectedReply;
use super::reply_mode::ReplyMode;
use super::state::{Affinity, ConnectionState, ReplyState};
use super::streamed_names::{StreamedNames, streamed};
use crate::pending::{Pending, Protocol, Shape};
use crate::subscriptions::{is_acknowledgement, is_message, redirects_client};

/// FirstWord words of the errors of an EXEC that executed nothing and ended the transaction.
const EXEC_ABORTS: [&[u8]; 4] = [b"EXECABORT", b"MOVED", b"CROSSSLOT", b"REDIRECT"];

/// The reply under way.
pub(super) struct CurrentReply {
    pub(super) disposition: Disposition,
    /// The request that it answers, or [`Pending::Message`]; `None` for anything else that was not asked for.
    pub(super) answers: Option<Pending>,
    /// It is not an error.
    pub(super) is_ok: bool,
    /// It is the error that ends a transaction.
    pub(super) aborts: bool,
    /// The client asked for no reply.
    pub(super) is_muted: bool,
    /// The names in it, if they are opened as they arrive.
    pub(super) names: Option<Box<StreamedNames>>,
}

/// The treatment of the bytes of a reply.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Disposition {
    /// They go to the client as they arrive.
    Forward,
    /// They are dropped.
    Drop,
    /// They are held until the reply is whole.
    Hold,
    /// They are names, and opened as they arrive.
    Names,
    /// They should be held, and are too many: they are dropped, and the client gets an error.
    TooLarge,
}

impl ConnectionState {
    /// Identifies the reply that begins with these bytes, which is the one under way from here on, and returns its
    /// disposition. `None` if more of it is needed.
    ///
    /// In this order: pushed messages that are not this client's, messages and acknowledgements of subscriptions, lines
    /// of MONITOR, and then the reply to the request at the front of the queue.
    pub(super) fn begin(&mut self, bytes: &[u8]) -> Result<Option<Disposition>, UnexpectedReply> {
        let first = bytes.first().copied().unwrap_or_default();
        let is_ok = !matches!(first, b'-' | b'!');
        if first == b'>' && self.affinity == Affinity::Shared {
            // Clients of a lane have asked for no messages.
            return Ok(Some(
                self.receive(CurrentReply::unsolicited(Disposition::Drop)),
            ));
        }
        if first == b'>' || (first == b'*' && self.may_get_messages()) {
            let word = match first_word(bytes) {
                FirstWord::Open => return Ok(None),
                FirstWord::Word(word) => word,
                FirstWord::Other => b"",
            };
            if let Some(current) = self.message(first, word) {
                return Ok(Some(self.receive(current)));
            }
        }
        if self.pushes.monitoring && first == b'+' {
            match monitor::line(bytes, self.reply_mode.mode()) {
                None => return Ok(None),
                Some(monitor::Line::Report(disposition)) => {
                    return Ok(Some(self.receive(CurrentReply::unsolicited(disposition))));
                }
                Some(monitor::Line::Reply) => {}
            }
        }
        let error = match is_ok {
            true => None,
            false => match error_code(bytes) {
                None => return Ok(None),
                code => code,
            },
        };
        self.answered(bytes, error).map(Some)
    }

    /// The first bytes of this reply have arrived. Returns its disposition.
    #[inline]
    fn receive(&mut self, current: CurrentReply) -> Disposition {
        let disposition = current.disposition;
        self.reply = ReplyState::Receiving {
            current,
            held: Vec::new(),
        };
        disposition
    }

    /// Begins the reply to the request at the front of the queue, which is an error if it has this code.
    #[inline]
    fn answered(
        &mut self,
        bytes: &[u8],
        error: Option<&[u8]>,
    ) -> Result<Disposition, UnexpectedReply> {
        let pending = self.queue.pop_front().ok_or(UnexpectedReply::Pairing)?;
        if let (Some(code), Some(meters)) = (error, self.protection.metered())
            && pending.answers_client()
        {
            meters.traffic.server_error(code);
        }
        if let Some(role_error) = error.and_then(role_error) {
            self.signals.role_error = Some(role_error);
        }
        let (pending, is_muted) = pending.into_inner();
        if self.protection.is_trial() && !is_muted && pending.answers_client() {
            self.protection.refusals().count_sealed(bytes);
        }
        let first = bytes.first().copied().unwrap_or_default();
        let disposition = match self.disposition(&pending, is_muted, first)? {
            Disposition::Forward if is_muted => Disposition::Drop,
            disposition => disposition,
        };
        Ok(self.receive(CurrentReply {
            disposition,
            answers: Some(pending),
            is_muted,
            is_ok: error.is_none(),
            aborts: error.is_some_and(|code| EXEC_ABORTS.contains(&code)),
            names: None,
        }))
    }

    /// The disposition of a reply that begins with this byte, if the client wants it.
    fn disposition(
        &self,
        pending: &Pending,
        is_muted: bool,
        first: u8,
    ) -> Result<Disposition, UnexpectedReply> {
        let is_ok = !matches!(first, b'-' | b'!');
        Ok(match pending {
            Pending::Local(_) | Pending::Muted(_) | Pending::Message => {
                return Err(UnexpectedReply::Pairing);
            }
            Pending::ScriptRead(_)
            | Pending::Script(_)
            | Pending::ComputeRead
            | Pending::ComputeWrite
            | Pending::Replay(_)
            | Pending::MoveRead
            | Pending::MoveWrite
            | Pending::Sort
            | Pending::Random
            | Pending::PreludeScript { .. }
            | Pending::PreludeQueued => Disposition::Hold,
            Pending::Reply { .. } | Pending::Exec | Pending::Preluded(_) if is_muted => {
                Disposition::Drop
            }
            Pending::Reply { .. } | Pending::Queued { .. } if self.prelude.is_refused() => {
                Disposition::Hold
            }
            Pending::Preluded(_) => Disposition::Hold,
            pending if first == b'*' && streamed(pending).is_some() => Disposition::Names,
            Pending::Reply { shape, .. } if shape.passes(first) => Disposition::Forward,
            // Not `+QUEUED`: the server did not open the transaction.
            Pending::Queued { shape, .. } if first != b'+' && shape.passes(first) => {
                Disposition::Forward
            }
            Pending::Reply { .. } | Pending::Queued { .. } => Disposition::Hold,
            Pending::Exec => {
                let mut queued = self.transaction.queued().iter();
                match queued.all(|(_, shape)| shape.is_verbatim()) {
                    true => Disposition::Forward,
                    false => Disposition::Hold,
                }
            }
            Pending::ExecRefused { .. } => Disposition::Drop,
            Pending::Internal { .. } if is_ok => Disposition::Drop,
            // Their text is read.
            Pending::Internal { .. } | Pending::MayChangeReplies => Disposition::Hold,
            Pending::ClientList { .. } | Pending::Kill(_) if is_ok => Disposition::Hold,
            // It may be `+QUEUED`.
            Pending::Unsettled { .. } if first == b'+' => Disposition::Hold,
            Pending::Acknowledged { .. } if is_ok => return Err(UnexpectedReply::Pairing),
            // Replies are still switched off: the request failed.
            Pending::RepliesOn | Pending::Reset
                if !is_ok && self.reply_mode.mode() != ReplyMode::On =>
            {
                Disposition::Drop
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
            | Pending::Reset => Disposition::Forward,
        })
    }

    /// True if arrays can be messages.
    fn may_get_messages(&self) -> bool {
        self.client.protocol == Protocol::Resp2
            && (self.pushes.subscriptions.any() || self.next_acknowledgement().is_some())
    }

    /// The first word of the next acknowledgement, if one is expected.
    fn next_acknowledgement(&self) -> Option<&'static str> {
        match self.queue.front()?.inner() {
            Pending::Acknowledged { word, .. } => Some(word),
            _ => None,
        }
    }

    /// An array or pushed message that begins with this word, unless it is a reply.
    fn message(&mut self, first: u8, word: &[u8]) -> Option<CurrentReply> {
        if self.next_acknowledgement().map(str::as_bytes) == Some(word)
            && let Some((pending, is_muted)) = self.queue.pop_front().map(Pending::into_inner)
        {
            return Some(CurrentReply {
                answers: Some(pending),
                is_muted,
                ..CurrentReply::unsolicited(Disposition::Hold)
            });
        }
        // In RESP3 with replies switched off; or a shard that has moved.
        if is_acknowledgement(word) {
            return Some(CurrentReply::unsolicited(Disposition::Hold));
        }
        if first == b'>' && redirects_client(word) {
            return Some(CurrentReply::unsolicited(Disposition::Drop));
        }
        let is_opened = is_message(word) && (self.opens_messages() || self.opens_names());
        if is_opened || self.is_invalidation(first, word) {
            return Some(CurrentReply {
                answers: Some(Pending::Message),
                ..CurrentReply::unsolicited(Disposition::Hold)
            });
        }
        // In RESP3 a pushed message is never a reply.
        let is_message = first == b'>' || is_message(word);
        is_message.then(|| CurrentReply::unsolicited(Disposition::Forward))
    }
}

impl CurrentReply {
    /// A message that was not asked for.
    fn unsolicited(disposition: Disposition) -> Self {
        Self {
            disposition,
            answers: None,
            is_ok: true,
            aborts: false,
            is_muted: false,
            names: None,
        }
    }
}

impl Pending {
    /// True if it is the reply to a request of the client's.
    fn answers_client(&self) -> bool {
        !matches!(
            self,
            Self::Internal { .. }
                | Self::ExecRefused { .. }
                | Self::Local(_)
                | Self::MayChangeReplies
                | Self::PreludeScript { .. }
                | Self::PreludeQueued
        )
    }
}

impl Shape {
    /// True if a reply that begins with this byte goes to the client as it arrives.
    fn passes(&self, first: u8) -> bool {
        if let Self::Quoting(quoting) = self {
            return !matches!(first, b'-' | b'!')
                && !quoting.is_text
                && quoting.inner.passes(first);
        }
        // Anything but an error is or holds a value, or is a reply that the server made up.
        // An error about a read is worded for the command that is computed from it.
        self.is_verbatim() || (first == b'-' && !self.words_errors())
    }
    /// True if an error is worded for the command that the client sent.
    fn words_errors(&self) -> bool {
        matches!(
            self,
            Self::Computed(_) | Self::Sorted(_) | Self::Replayed(_) | Self::Scripted
        )
    }
}
