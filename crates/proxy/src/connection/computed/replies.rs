//! The server's answers to a command that is computed: the value that was read, and whether the result was written.

use std::borrow::Cow;
use std::collections::HashMap;

use waxseal_resp::{Item, Items, Kind, ReplyError};

use super::{RETRY_TIMEOUT, Stage, StoredValue};
use crate::answers;
use crate::computations::ComputedAnswer;
use crate::connection::UnexpectedReply;
use crate::connection::pairing::Disposition;
use crate::connection::state::ConnectionState;
use crate::keys::{KeyRequest, Lookup};
use crate::open::ValueOpener;

/// The outcome of reading a value.
enum ReadOutcome {
    Read(StoredValue),
    /// The command is answered with this.
    Answer(ComputedAnswer),
    /// The value does not open without these keys.
    Missing(Box<KeyRequest>),
}

type Fetched<'a> = Option<&'a HashMap<Box<[u8]>, Lookup>>;

impl ConnectionState {
    /// Takes the value that was read. Returns the keys that it needs and that are not at hand.
    pub(in crate::connection) fn take_computed_value(
        &mut self,
        disposition: Disposition,
        whole: &[u8],
        fetched: Fetched<'_>,
    ) -> Result<Option<Box<KeyRequest>>, UnexpectedReply> {
        let Some(command) = self.computed_command() else {
            // The client has gone.
            return Ok(None);
        };
        let outcome = match disposition {
            Disposition::TooLarge => {
                ReadOutcome::Answer(ComputedAnswer::Error(self.too_large_reply(command)))
            }
            _ => self
                .read_outcome(command, &mut Items::of(whole), fetched)
                .map_err(|_| UnexpectedReply::Pairing)?,
        };
        Ok(self.apply_read(outcome))
    }

    /// Takes the answer to a result that was sent. If other bytes are stored, they are the value from here on.
    pub(in crate::connection) fn take_computed_write(
        &mut self,
        disposition: Disposition,
        whole: &[u8],
        fetched: Fetched<'_>,
    ) -> Result<Option<Box<KeyRequest>>, UnexpectedReply> {
        let Some(command) = self.computed_command() else {
            return Ok(None);
        };
        if disposition == Disposition::TooLarge {
            let answer = ComputedAnswer::Error(self.too_large_reply(command));
            return Ok(self.apply_read(ReadOutcome::Answer(answer)));
        }
        let mut items = Items::of(whole);
        let first = first_item(&mut items).map_err(|_| UnexpectedReply::Pairing)?;
        match first.kind {
            Kind::Error => {
                let answer = self.computed_error(command, first.raw);
                if let Some(run) = &mut self.computed {
                    run.fail_write(answer);
                }
                Ok(None)
            }
            Kind::Array(1) => {
                let outcome = self.read_outcome(command, &mut items, fetched);
                let outcome = outcome.map_err(|_| UnexpectedReply::Pairing)?;
                let key_request = self.apply_read(outcome);
                if key_request.is_none() {
                    self.limit_retries(command);
                }
                Ok(key_request)
            }
            _ if whole == b":1\r\n" => {
                if let Some(run) = &mut self.computed
                    && let Stage::Writing(computed) =
                        std::mem::replace(&mut run.stage, Stage::Unread)
                {
                    run.finish_each(computed);
                }
                Ok(None)
            }
            _ => Err(UnexpectedReply::Pairing),
        }
    }

    fn computed_command(&self) -> Option<&'static str> {
        self.computed.as_ref()?.job().map(|job| job.command)
    }

    fn apply_read(&mut self, outcome: ReadOutcome) -> Option<Box<KeyRequest>> {
        let run = self.computed.as_mut()?;
        match outcome {
            ReadOutcome::Missing(key_request) => return Some(key_request),
            ReadOutcome::Read(value) => run.stage = Stage::Read(value),
            ReadOutcome::Answer(answer) => run.finish_own(answer),
        }
        None
    }

    /// Gives a command up whose value was replaced each time.
    fn limit_retries(&mut self, command: &'static str) {
        if let Some(run) = &mut self.computed
            && matches!(run.stage, Stage::Read(_))
            && run.begun.elapsed() > RETRY_TIMEOUT
        {
            run.finish_own(ComputedAnswer::Error(answers::computed_changed(command)));
        }
    }

    /// The next item as the value.
    fn read_outcome(
        &self,
        command: &'static str,
        items: &mut Items<'_>,
        fetched: Fetched<'_>,
    ) -> Result<ReadOutcome, ReplyError> {
        let item = first_item(items)?;
        let run = self.computed.as_ref().ok_or(ReplyError::Type)?;
        let stored = match item.kind {
            Kind::Null => return Ok(ReadOutcome::Read(StoredValue::default())),
            Kind::Error => {
                let answer = self.computed_error(command, item.raw);
                return Ok(ReadOutcome::Answer(ComputedAnswer::Error(answer)));
            }
            Kind::Bulk | Kind::Simple | Kind::Other => item.text,
            _ => return Err(ReplyError::Type),
        };
        let mut values = ValueOpener::new(&self.protection, fetched);
        let opened = values.open(command, stored, run.location.borrowed());
        let findings = match values.finish() {
            Ok(findings) => findings,
            Err(key_request) => return Ok(ReadOutcome::Missing(key_request)),
        };
        self.report_findings(command, findings);
        Ok(match opened {
            Err(answer) => ReadOutcome::Answer(ComputedAnswer::Error(answer)),
            Ok(opened) => ReadOutcome::Read(StoredValue {
                stored: Some(stored.to_vec()),
                opened: match opened {
                    Cow::Borrowed(_) => None,
                    Cow::Owned(value) => Some(value),
                },
                is_guess: false,
            }),
        })
    }

    /// The server's error about one of the proxy's own requests, as one about the command that the client sent.
    fn computed_error(&self, command: &'static str, error: &[u8]) -> Vec<u8> {
        let run = self.computed.as_ref();
        let is_field = run.is_some_and(|run| run.location.field.is_some());
        if answers::is_about_rights(error) {
            return answers::computed_not_permitted(command, is_field);
        }
        let job = run.and_then(|run| run.job());
        match job {
            Some(job) if error.starts_with(b"-WRONGTYPE") => {
                answers::server_error(job.operation.wrong_type())
            }
            _ => answers::read_failed(command, error),
        }
    }
}

/// The first item of a reply, without attributes.
pub(in crate::connection) fn first_item<'r>(items: &mut Items<'r>) -> Result<Item<'r>, ReplyError> {
    let mut item = items.next()?.ok_or(ReplyError::Type)?;
    while let Kind::Attribute(pairs) = item.kind {
        for _ in 0..pairs.saturating_mul(2) {
            items.skip()?;
        }
        item = items.next()?.ok_or(ReplyError::Type)?;
    }
    Ok(item)
}
