//! The server's answers to a transaction that is sent again: the values that were read, and what it was executed with.

use waxseal_metrics::OwnWork;
use waxseal_policy::End;
use waxseal_resp::Items;

use super::sources::MoveSource;
use super::values::Current;
use super::{RETRY_TIMEOUT, Stage};
use crate::answers;
use crate::connection::UnexpectedReply;
use crate::connection::moves::replies::{ReadError, ReadValues};
use crate::connection::pairing::{CurrentReply, Disposition};
use crate::connection::state::ConnectionState;
use crate::connection::stored::{Fetched, ValueRead};
use crate::connection::values::is_queued;
use crate::keys::KeyRequest;
use crate::open::ValueOpener;
use crate::pending::ReplayStep;

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
            ReplayStep::Source { index, end } => {
                self.take_source((index, end), current, whole, fetched)
            }
            ReplayStep::Queue => {
                if let Some(replay) = &mut self.replay
                    && !current.is_ok
                {
                    replay.refusal.get_or_insert_with(|| whole.into());
                }
                Ok(None)
            }
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
            ReplayStep::Watch | ReplayStep::Queue => return,
            ReplayStep::Read(_) | ReplayStep::Source { .. } => {
                replay.expected_reads = replay.expected_reads.saturating_sub(1);
                if replay.expected_reads > 0 {
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
            ValueRead::Value(value) => Current::Value(value),
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
        if let Some(replay) = &mut self.replay {
            replay.values.put_read(index, read);
            // Each is held as it is stored and opened.
            if replay.values.retained_bytes() / 2 > self.limits.of_transactions() {
                self.fail_replay(answers::transaction_too_large());
            }
        }
        Ok(None)
    }

    /// Takes the values of a record that values are moved from.
    fn take_source(
        &mut self,
        (index, end): (usize, End),
        current: &CurrentReply,
        whole: &[u8],
        fetched: Fetched<'_>,
    ) -> Result<Option<Box<KeyRequest>>, UnexpectedReply> {
        let Some(replay) = &self.replay else {
            return Ok(None);
        };
        let source = replay.sources.get(index);
        let source = source.ok_or(UnexpectedReply::Pairing)?;
        let of = (&source.source, source.command);
        let mut values = ValueOpener::new(&self.protection, fetched);
        let read = match current.disposition {
            _ if is_queued(whole) => Err(ReadError::Unexpected),
            Disposition::TooLarge => Err(ReadError::Answer(self.too_large_reply("exec"))),
            _ if source.is_read_whole() => self.read_record(of, whole, &mut values),
            // Of another type: the script says so, unless it is another one by then.
            _ if whole.starts_with(b"-WRONGTYPE") => Ok(ReadValues::default()),
            _ => self.read_elements(of, whole, &mut values),
        };
        match values.finish() {
            Ok(findings) => self.report_findings("exec", findings),
            Err(key_request) => return Ok(Some(key_request)),
        }
        let read = match read {
            Ok(read) => read,
            Err(ReadError::Answer(answer)) => {
                self.fail_replay(answer);
                return Ok(None);
            }
            Err(ReadError::Unexpected) => return Err(UnexpectedReply::Pairing),
        };
        let Some(replay) = &mut self.replay else {
            return Ok(None);
        };
        if let Some(source) = replay.sources.get_mut(index) {
            match end {
                End::Left => source.left = read.values,
                End::Right => source.right = read.values,
            }
            source.failure = source.failure.take().or(read.failure);
        }
        let held = replay.sources.iter().map(MoveSource::retained_bytes);
        if held.fold(0, usize::saturating_add) > self.limits.of_moves() {
            let answer = self.too_large_reply("exec");
            self.fail_replay(answer);
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
        if is_changed {
            self.protection.retried(OwnWork::Transaction);
        }
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
        if let Some(refusal) = replay.refusal.as_deref()
            && current.aborts
        {
            // What the server says of it, the client has not seen.
            client.extend_from_slice(&answers::exec_abort(refusal));
            return Ok(None);
        }
        self.open_reply("exec", None, whole, fetched, client)
    }
}

/// True for the reply to an `EXEC` that found a watched record changed.
fn is_null(whole: &[u8]) -> bool {
    matches!(whole, b"*-1\r\n" | b"_\r\n" | b"$-1\r\n")
}
