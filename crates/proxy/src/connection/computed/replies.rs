//! The server's answers to a command that is computed: the value that was read, and whether the result was written.

use waxseal_metrics::OwnWork;
use waxseal_resp::{Items, Kind, ReplyError};

use super::{InputValue, RETRY_TIMEOUT, Stage};
use crate::answers;
use crate::computations::ComputedAnswer;
use crate::connection::UnexpectedReply;
use crate::connection::pairing::Disposition;
use crate::connection::state::ConnectionState;
use crate::connection::stored::{Fetched, ValueRead, first_item};
use crate::keys::KeyRequest;

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
        if disposition == Disposition::TooLarge {
            return Ok(self.refuse_computed(self.too_large_reply(command)));
        }
        self.take_input(command, &mut Items::of(whole), fetched)
            .map_err(|_| UnexpectedReply::Pairing)
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
            return Ok(self.refuse_computed(self.too_large_reply(command)));
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
                let taken = self.take_input(command, &mut items, fetched);
                let key_request = taken.map_err(|_| UnexpectedReply::Pairing)?;
                if key_request.is_none() {
                    self.protection.retried(OwnWork::Computed);
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

    /// Answers the command with this error.
    fn refuse_computed(&mut self, answer: Vec<u8>) -> Option<Box<KeyRequest>> {
        if let Some(run) = &mut self.computed {
            run.finish_own(ComputedAnswer::Error(answer));
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

    /// Takes the next item as the value. Returns the keys that it needs and that are not at hand.
    fn take_input(
        &mut self,
        command: &'static str,
        items: &mut Items<'_>,
        fetched: Fetched<'_>,
    ) -> Result<Option<Box<KeyRequest>>, ReplyError> {
        let run = self.computed.as_ref().ok_or(ReplyError::Type)?;
        let location = run.location.borrowed();
        let answer = match self.read_value(command, items, location, fetched)? {
            ValueRead::Value(value) => {
                if let Some(run) = &mut self.computed {
                    let is_guess = false;
                    run.stage = Stage::Read(InputValue { value, is_guess });
                }
                return Ok(None);
            }
            ValueRead::Missing(key_request) => return Ok(Some(key_request)),
            ValueRead::Error(error) => self.computed_error(command, error),
            ValueRead::Unopened(answer) => answer,
        };
        Ok(self.refuse_computed(answer))
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
