//! The server's answers to a transaction that is sent again: the values that were read, and what it was executed with.

use waxseal_resp::Items;

use super::journal::Journal;
use super::{RETRY_TIMEOUT, Stage};
use crate::answers;
use crate::connection::UnexpectedReply;
use crate::connection::pairing::{CurrentReply, Disposition};
use crate::connection::state::ConnectionState;
use crate::connection::stored::{Fetched, ValueRead};
use crate::connection::values::is_queued;
use crate::keys::KeyRequest;
use crate::location::OwnedLocation;
use crate::pending::ReplayStep;

/// A value that a transaction computes on.
pub(super) struct WatchedValue {
    pub(super) location: OwnedLocation,
    /// What was read.
    read: Current,
    /// What the commands so far leave.
    pub(super) current: Current,
}

/// A value, or the reason why there is none.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Current {
    Value(Option<Vec<u8>>),
    /// The record is of another type.
    WrongType,
    /// It does not open: this is the answer.
    Failed(Vec<u8>),
}

impl WatchedValue {
    /// The values that a transaction computes on, each once.
    pub(super) fn all_of(journal: &Journal) -> Vec<Self> {
        let mut all: Vec<Self> = Vec::new();
        let entries = journal.entries().iter();
        for computed in entries.filter_map(|entry| entry.computed.as_ref()) {
            if !all.iter().any(|value| value.location == computed.location) {
                all.push(Self {
                    location: computed.location.clone(),
                    read: Current::Value(None),
                    current: Current::Value(None),
                });
            }
        }
        all
    }

    /// Before the first command.
    pub(super) fn begin(&mut self) {
        self.current = self.read.clone();
    }

    /// Bytes that are held for it beyond its own size.
    pub(super) fn retained_bytes(&self) -> usize {
        match &self.read {
            Current::Value(value) => value.as_ref().map_or(0, Vec::len),
            Current::Failed(answer) => answer.len(),
            Current::WrongType => 0,
        }
    }
}

impl ConnectionState {
    /// Takes a reply. Returns the keys that it needs and that are not at hand.
    pub(in crate::connection) fn take_replay_reply(
        &mut self,
        step: ReplayStep,
        current: &CurrentReply,
        whole: &[u8],
        fetched: Fetched<'_>,
        client: &mut Vec<u8>,
    ) -> Result<Option<Box<KeyRequest>>, UnexpectedReply> {
        match step {
            ReplayStep::Watch => {
                if !current.is_ok {
                    self.fail_replay(answers::watch_failed(whole));
                }
                Ok(None)
            }
            ReplayStep::Read(index) => self.take_watched(index, current, whole, fetched),
            ReplayStep::Exec => self.write_executed(current, whole, fetched, client),
        }
    }

    /// A reply has ended.
    pub(in crate::connection) fn end_replay_reply(&mut self, step: ReplayStep) {
        let Some(replay) = &mut self.replay else {
            self.end_await();
            return;
        };
        match step {
            ReplayStep::Watch => return,
            ReplayStep::Read(index) => {
                if index.saturating_add(1) < replay.values.len() {
                    return;
                }
                if matches!(replay.stage, Stage::Reading) {
                    replay.stage = Stage::Read;
                }
            }
            ReplayStep::Exec => {
                if matches!(replay.stage, Stage::Sent) {
                    replay.stage = Stage::Answered;
                }
                self.transaction.end_confirmed();
            }
        }
        self.end_await();
    }

    fn fail_replay(&mut self, answer: Vec<u8>) {
        if let Some(replay) = &mut self.replay {
            replay.stage = Stage::Failed(answer);
        }
    }

    fn take_watched(
        &mut self,
        index: usize,
        current: &CurrentReply,
        whole: &[u8],
        fetched: Fetched<'_>,
    ) -> Result<Option<Box<KeyRequest>>, UnexpectedReply> {
        if current.disposition == Disposition::TooLarge {
            let answer = self.too_large_reply("exec");
            self.fail_replay(answer);
            return Ok(None);
        }
        let Some(replay) = &self.replay else {
            return Ok(None);
        };
        let Some(value) = replay.values.get(index) else {
            return Err(UnexpectedReply::Pairing);
        };
        if is_queued(whole) {
            return Err(UnexpectedReply::Pairing);
        }
        let location = value.location.borrowed();
        let found = self.read_value("exec", &mut Items::of(whole), location, fetched);
        let read = match found.map_err(|_| UnexpectedReply::Pairing)? {
            ValueRead::Value(value) => Current::Value(value.map(|it| it.value().to_vec())),
            ValueRead::Missing(key_request) => return Ok(Some(key_request)),
            ValueRead::Unopened(answer) => Current::Failed(answer),
            ValueRead::Error(error) if error.starts_with(b"-WRONGTYPE") => Current::WrongType,
            ValueRead::Error(error) => {
                // It was queued: the server is in no state to read.
                let answer = answers::exec_abort(error);
                self.fail_replay(answer);
                return Ok(None);
            }
        };
        if let Some(replay) = &mut self.replay
            && let Some(value) = replay.values.get_mut(index)
        {
            value.read = read;
        }
        Ok(None)
    }

    /// Writes what the client gets for `EXEC`, unless the transaction is sent again.
    fn write_executed(
        &mut self,
        current: &CurrentReply,
        whole: &[u8],
        fetched: Fetched<'_>,
        client: &mut Vec<u8>,
    ) -> Result<Option<Box<KeyRequest>>, UnexpectedReply> {
        let Some(replay) = &self.replay else {
            return Ok(None);
        };
        let is_changed = is_null(whole) && !replay.has_own_watch;
        if is_changed && replay.begun.elapsed() <= RETRY_TIMEOUT {
            if let Some(replay) = &mut self.replay {
                replay.stage = Stage::Unread;
            }
            return Ok(None);
        }
        if replay.is_muted {
            return Ok(None);
        }
        if current.disposition == Disposition::TooLarge {
            let answer = self.too_large_reply("exec");
            client.extend_from_slice(&answer);
            return Ok(None);
        }
        if is_changed {
            client.extend_from_slice(&answers::computed_changed("exec"));
            return Ok(None);
        }
        self.open_reply("exec", None, whole, fetched, client)
    }
}

/// True for the reply to an `EXEC` that found a watched record changed.
fn is_null(whole: &[u8]) -> bool {
    matches!(whole, b"*-1\r\n" | b"_\r\n" | b"$-1\r\n")
}
