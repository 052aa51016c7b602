//! The server's answers to a move: the values that were read, and whether they were moved.

use waxseal_lua::LARGE;
use waxseal_metrics::OwnWork;
use waxseal_policy::Moved;
use waxseal_resp::{Items, Kind, ReplyError, write_bulk};

use super::values::{MovedValue, Source, max_values};
use super::{RETRY_TIMEOUT, Stage};
use crate::answers;
use crate::connection::UnexpectedReply;
use crate::connection::pairing::Disposition;
use crate::connection::state::ConnectionState;
use crate::connection::stored::{Fetched, first_item};
use crate::keys::KeyRequest;
use crate::location::ValueKind;
use crate::open::ValueOpener;

/// The types of records whose values are sealed again, as servers name them, with the kinds of their values.
const TYPES: [(&str, ValueKind); 5] = [
    ("string", ValueKind::String),
    ("hash", ValueKind::HashField),
    ("list", ValueKind::ListElement),
    ("set", ValueKind::Member),
    ("zset", ValueKind::Member),
];

/// The values that were read.
#[derive(Default)]
pub(in crate::connection) struct ReadValues {
    pub(in crate::connection) values: Vec<MovedValue>,
    /// The answer to a move of the others, which cannot be sealed again: they do not open, or the record is of another type.
    pub(in crate::connection) failure: Option<Vec<u8>>,
}

/// The reason why values cannot be moved.
pub(in crate::connection) enum ReadError {
    /// This is the answer.
    Answer(Vec<u8>),
    /// It is not the reply that was expected.
    Unexpected,
}

impl From<ReplyError> for ReadError {
    fn from(_: ReplyError) -> Self {
        Self::Unexpected
    }
}

impl ConnectionState {
    /// Takes the values that were read. Returns the keys that they need and that are not at hand.
    pub(in crate::connection) fn take_moved_values(
        &mut self,
        disposition: Disposition,
        whole: &[u8],
        fetched: Fetched<'_>,
    ) -> Result<Option<Box<KeyRequest>>, UnexpectedReply> {
        let Some(run) = &self.moving else {
            // The client has gone.
            return Ok(None);
        };
        let command = run.command;
        let mut values = ValueOpener::new(&self.protection, fetched);
        let of = (&run.source, command);
        let read = match (disposition, run.moved) {
            (Disposition::TooLarge, _) => Err(ReadError::Answer(self.move_too_large(command))),
            (_, Moved::Element { .. }) => self.read_elements(of, whole, &mut values),
            _ => self.read_record(of, whole, &mut values),
        };
        let is_element = matches!(run.moved, Moved::Element { .. });
        let stage = match read {
            Ok(ReadValues {
                failure: Some(answer),
                ..
            })
            | Err(ReadError::Answer(answer)) => Stage::Answer(answer),
            Ok(read) if is_element && read.values.is_empty() => Stage::Answer(self.no_element()),
            Ok(read) => Stage::Read(read.values),
            Err(ReadError::Unexpected) => return Err(UnexpectedReply::Pairing),
        };
        match values.finish() {
            Ok(findings) => self.report_findings(command, findings),
            Err(key_request) => return Ok(Some(key_request)),
        }
        if let Some(run) = &mut self.moving {
            run.stage = stage;
        }
        Ok(None)
    }

    /// Takes the answer to values that were sent.
    pub(in crate::connection) fn take_move(
        &mut self,
        disposition: Disposition,
        whole: &[u8],
    ) -> Result<(), UnexpectedReply> {
        let Some(run) = &self.moving else {
            return Ok(());
        };
        let command = run.command;
        let mut items = Items::of(whole);
        let first = first_item(&mut items).map_err(|_| UnexpectedReply::Pairing)?;
        let stage = match (disposition, first.kind, &run.stage) {
            (Disposition::TooLarge, ..) => Stage::Answer(self.too_large_reply(command)),
            (_, Kind::Error, _) => Stage::Answer(move_error(command, first.raw)),
            // Something else was there.
            (_, Kind::Null, _) if run.begun.elapsed() > RETRY_TIMEOUT => {
                Stage::Answer(answers::move_changed(command))
            }
            (_, Kind::Null, _) => Stage::Unread,
            (_, Kind::Array(1), Stage::Writing(None)) => {
                let reply = items.skip().map_err(|_| UnexpectedReply::Pairing)?;
                Stage::Answer(reply.to_vec())
            }
            (_, Kind::Array(1), Stage::Writing(Some(value))) => {
                let held = items
                    .next()
                    .ok()
                    .flatten()
                    .ok_or(UnexpectedReply::Pairing)?;
                let mut answer = Vec::new();
                match held.kind {
                    Kind::Null => answer = self.no_element(),
                    _ => write_bulk(&mut answer, value),
                }
                Stage::Answer(answer)
            }
            _ => return Err(UnexpectedReply::Pairing),
        };
        if first.kind == Kind::Null {
            self.protection.retried(OwnWork::Move);
        }
        if let Some(run) = &mut self.moving {
            run.stage = stage;
        }
        Ok(())
    }

    /// Takes the elements of a list, or one of them.
    pub(in crate::connection) fn read_elements(
        &self,
        (source, command): (&Source, &'static str),
        whole: &[u8],
        opener: &mut ValueOpener<'_>,
    ) -> Result<ReadValues, ReadError> {
        let mut items = Items::of(whole);
        let first = first_item(&mut items)?;
        let mut read = ReadValues::default();
        let mut add = |stored: &[u8]| {
            let value = source.open(opener, command, (ValueKind::ListElement, None), stored);
            read.add(value);
        };
        match first.kind {
            Kind::Null => {}
            Kind::Error => return Err(ReadError::Answer(move_error(command, first.raw))),
            Kind::Array(count) => {
                self.check_count((command, count))?;
                for _ in 0..count {
                    add(items.next()?.ok_or(ReadError::Unexpected)?.text);
                }
            }
            _ => add(first.text),
        }
        Ok(read)
    }

    /// Takes all values of a record.
    pub(in crate::connection) fn read_record(
        &self,
        (source, command): (&Source, &'static str),
        whole: &[u8],
        opener: &mut ValueOpener<'_>,
    ) -> Result<ReadValues, ReadError> {
        let mut items = Items::of(whole);
        let first = first_item(&mut items)?;
        if first.kind == Kind::Error {
            return Err(ReadError::Answer(move_error(command, first.raw)));
        }
        let name = items.next()?.ok_or(ReadError::Unexpected)?.text;
        if name == LARGE.as_bytes() {
            return Err(ReadError::Answer(self.move_too_large(command)));
        }
        let mut read = ReadValues::default();
        let Some((name, kind)) = TYPES.into_iter().find(|(it, _)| it.as_bytes() == name) else {
            if name != b"none" {
                read.failure = Some(answers::move_of_other_type(command));
            }
            return Ok(read);
        };
        let head = items.next()?.ok_or(ReadError::Unexpected)?;
        let Kind::Array(count) = head.kind else {
            return Err(ReadError::Unexpected);
        };
        let has_fields = kind == ValueKind::HashField;
        let count = match has_fields {
            true => count.div_euclid(2),
            false => count,
        };
        self.check_count((command, count))?;
        for _ in 0..count {
            let field = match has_fields {
                true => Some(items.next()?.ok_or(ReadError::Unexpected)?.text),
                false => None,
            };
            let stored = items.next()?.ok_or(ReadError::Unexpected)?.text;
            read.add(source.open(opener, command, (kind, field), stored));
        }
        if name == "zset" {
            // Of a member that is there sealed and plain, the sealed one's score is the newer.
            read.values.sort_by_key(|it| !it.value.is_sealed());
        }
        Ok(read)
    }

    /// Fails if so many values are too many to be held.
    fn check_count(&self, (command, count): (&'static str, usize)) -> Result<(), ReadError> {
        match count > max_values(self.limits.value) {
            true => Err(ReadError::Answer(self.move_too_large(command))),
            false => Ok(()),
        }
    }

    /// The answer to a move of a record that is too large for it.
    fn move_too_large(&self, command: &str) -> Vec<u8> {
        let max = self.limits.value;
        answers::move_too_large(command, max_values(max), max)
    }
}

impl ReadValues {
    fn add(&mut self, value: Result<MovedValue, Vec<u8>>) {
        match value {
            Ok(value) => self.values.push(value),
            Err(answer) => {
                self.failure.get_or_insert(answer);
            }
        }
    }
}

/// The server's error about one of the proxy's own requests, as one about the command that the client sent.
pub(in crate::connection) fn move_error(command: &'static str, error: &[u8]) -> Vec<u8> {
    if answers::is_about_rights(error) {
        return answers::move_not_permitted(command);
    }
    answers::without_position(error)
}
