//! The server's answers to a move: the values that were read, and whether they were moved.

use waxseal_policy::{Location, Moved};
use waxseal_resp::{Item, Items, Kind, ReplyError, write_bulk};

use super::{MovedRecord, MovedValue, RETRY_TIMEOUT, Source, Stage};
use crate::answers;
use crate::connection::UnexpectedReply;
use crate::connection::pairing::Disposition;
use crate::connection::state::ConnectionState;
use crate::connection::stored::{Fetched, StoredValue, first_item};
use crate::keys::KeyRequest;
use crate::location::ValueKind;
use crate::open::ValueOpener;

/// The types of records whose values are sealed again, as servers name them.
const TYPES: [&str; 5] = ["string", "hash", "list", "set", "zset"];

/// Bytes that a value takes beyond its own until it has moved. With very many small ones it is these that are bounded.
const VALUE_BYTES: usize = 200;

/// The reason why values cannot be moved.
enum ReadError {
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
        let read = match disposition {
            Disposition::TooLarge => Err(ReadError::Answer(self.too_large_reply(command))),
            _ => self.read_moved(whole, &mut values),
        };
        let stage = match read {
            Ok(record) => Stage::Read(record),
            Err(ReadError::Answer(answer)) => Stage::Answer(answer),
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
            (_, Kind::Other, Stage::Writing(Some(value))) => {
                let mut answer = Vec::new();
                write_bulk(&mut answer, value);
                Stage::Answer(answer)
            }
            _ => return Err(UnexpectedReply::Pairing),
        };
        if let Some(run) = &mut self.moving {
            run.stage = stage;
        }
        Ok(())
    }

    fn read_moved(
        &self,
        whole: &[u8],
        values: &mut ValueOpener<'_>,
    ) -> Result<MovedRecord, ReadError> {
        let run = self.moving.as_ref().ok_or(ReadError::Unexpected)?;
        let mut items = Items::of(whole);
        let first = first_item(&mut items)?;
        if first.kind == Kind::Error {
            return Err(ReadError::Answer(move_error(run.command, first.raw)));
        }
        if let Moved::Element { .. } = run.moved {
            if first.kind == Kind::Null {
                return Err(ReadError::Answer(self.no_element()));
            }
            let value = self.open_moved(values, ValueKind::ListElement, None, &first)?;
            return Ok(MovedRecord {
                kind: "list",
                values: vec![value],
            });
        }
        let kind = items.next()?.ok_or(ReadError::Unexpected)?.text;
        let Some(kind) = TYPES.into_iter().find(|it| it.as_bytes() == kind) else {
            return match kind {
                b"none" => Ok(MovedRecord::NONE),
                _ => Err(ReadError::Answer(answers::move_of_other_type(run.command))),
            };
        };
        let mut record = MovedRecord {
            kind,
            values: Vec::new(),
        };
        let head = items.next()?.ok_or(ReadError::Unexpected)?;
        let Kind::Array(count) = head.kind else {
            return Err(ReadError::Unexpected);
        };
        let has_fields = record.value_kind() == ValueKind::HashField;
        let count = if has_fields {
            count.div_euclid(2)
        } else {
            count
        };
        if count.saturating_mul(VALUE_BYTES) > self.limits.value {
            return Err(ReadError::Answer(self.too_large_reply(run.command)));
        }
        for _ in 0..count {
            let field = match has_fields {
                true => Some(items.next()?.ok_or(ReadError::Unexpected)?.text),
                false => None,
            };
            let item = items.next()?.ok_or(ReadError::Unexpected)?;
            let value = self.open_moved(values, record.value_kind(), field, &item)?;
            record.values.push(value);
        }
        if kind == "zset" {
            // Of a member that is there sealed and plain, the sealed one's score is the newer.
            record.values.sort_by_key(|it| !it.value.is_sealed());
        }
        Ok(record)
    }

    /// Opens a value of the source.
    fn open_moved(
        &self,
        values: &mut ValueOpener<'_>,
        kind: ValueKind,
        field: Option<&[u8]>,
        item: &Item<'_>,
    ) -> Result<MovedValue, ReadError> {
        let run = self.moving.as_ref().ok_or(ReadError::Unexpected)?;
        let value = match &run.source {
            Source::Plain(_) => StoredValue::plain(item.text),
            Source::Protected(record) => {
                let location = Location {
                    kind,
                    field,
                    ..record.borrowed()
                };
                let opened = StoredValue::open(values, run.command, item.text, location);
                opened.map_err(ReadError::Answer)?
            }
        };
        Ok(MovedValue {
            field: field.map(<[u8]>::to_vec),
            value,
        })
    }
}

/// The server's error about one of the proxy's own requests, as one about the command that the client sent.
fn move_error(command: &'static str, error: &[u8]) -> Vec<u8> {
    if answers::is_about_rights(error) {
        return answers::move_not_permitted(command);
    }
    error.to_vec()
}
