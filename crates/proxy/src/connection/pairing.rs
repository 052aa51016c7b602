//! Which request a reply belongs to, and where it goes: told from its first bytes and from the order of the
//! requests. What its end does to the connection is in `replies`.

use waxseal_resp::{FirstWord, first_word};

use super::errors::{error_word, role_error};
use super::replies::Unexplained;
use super::reply_mode::Answering;
use super::{ConnectionState, monitor};
use crate::pending::{Pending, Protocol, Shape};
use crate::subscriptions::{is_acknowledgement, is_message, leads_elsewhere};

/// FirstWord words of the errors of an EXEC that executed nothing and ended the transaction.
const EXEC_ABORTS: [&[u8]; 4] = [b"EXECABORT", b"MOVED", b"CROSSSLOT", b"REDIRECT"];

/// The reply under way.
pub(super) struct Current {
    pub(super) way: Way,
    /// What it answers; `None` for what came unasked.
    pub(super) answers: Option<Pending>,
    /// It is no error.
    pub(super) fine: bool,
    /// It is the error that ends a transaction.
    pub(super) aborts: bool,
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

impl ConnectionState {
    /// Says what the reply that begins here is. `None` when more of it must be seen.
    pub(super) fn begin(&mut self, rest: &[u8]) -> Result<Option<Current>, Unexplained> {
        let first = rest.first().copied().unwrap_or_default();
        let fine = !matches!(first, b'-' | b'!');
        if first == b'>' && self.shared {
            // Somebody else had it sent here: clients of a lane have asked for nothing.
            return Ok(Some(Current::of(Way::Drop)));
        }
        if first == b'>' || (first == b'*' && self.listens()) {
            let word = match first_word(rest) {
                FirstWord::Open => return Ok(None),
                FirstWord::Word(word) => word,
                FirstWord::Other => b"",
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
        if let Some(role_error) = error.and_then(role_error) {
            self.role_error = Some(role_error);
        }
        self.heavy = self.heavy.saturating_sub(pending.weight());
        let (pending, muted) = pending.unmute();
        if self.protection.is_trial() && !muted && pending.answers_client() {
            self.protection.refusals().look_for_sealed(rest);
        }
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
            Pending::ScriptRead(_) | Pending::Script(_) => Way::Hold,
            Pending::Reply { .. } | Pending::Exec if muted => Way::Drop,
            Pending::Reply { shape, .. } if shape.passes(first) => Way::Forward,
            // No `+QUEUED`: the server did not open the transaction.
            Pending::Queued { shape, .. } if first != b'+' && shape.passes(first) => Way::Forward,
            Pending::Reply { .. } | Pending::Queued { .. } => Way::Hold,
            Pending::Exec if self.queued.iter().all(|(_, shape)| shape.is_verbatim()) => {
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
            Self::Verbatim => true,
            // Anything else is or holds a value, or is one that the server made up.
            _ => first == b'-',
        }
    }
}
