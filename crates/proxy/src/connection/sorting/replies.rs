//! The server's answers to a command that sorts: what was read, and whether the result was stored.

use waxseal_metrics::OwnWork;
use waxseal_resp::{Items, Kind, write_integer};

use super::data::SortData;
use super::{RETRY_TIMEOUT, SortRun, Stage};
use crate::answers;
use crate::connection::UnexpectedReply;
use crate::connection::pairing::Disposition;
use crate::connection::state::ConnectionState;
use crate::connection::stored::{Fetched, first_item};
use crate::keys::KeyRequest;
use crate::open::{OpenFailure, SortedRead, ValueOpener, read_lookups, read_sorted, sort_error};

/// What an answer says.
enum Outcome {
    /// Something is not as it was read.
    Changed,
    /// The record was read.
    Record(SortedRead),
    /// What was looked up, and the digest of everything.
    Found(Vec<Option<Vec<u8>>>, Vec<u8>),
    /// The result was stored.
    Stored,
}

impl ConnectionState {
    /// Takes an answer to a command that sorts. Returns the keys that it needs and that are not at hand.
    pub(in crate::connection) fn take_sorted(
        &mut self,
        disposition: Disposition,
        whole: &[u8],
        fetched: Fetched<'_>,
    ) -> Result<Option<Box<KeyRequest>>, UnexpectedReply> {
        let Some(run) = &self.sorting else {
            // The client has gone.
            return Ok(None);
        };
        let command = run.command;
        let mut values = ValueOpener::new(&self.protection, fetched);
        let outcome = match disposition {
            Disposition::TooLarge => Err(OpenFailure::Broken(self.too_large_reply(command))),
            _ => self.sort_outcome(run, whole, &mut values),
        };
        match values.finish() {
            Ok(findings) => self.report_findings(command, findings),
            Err(key_request) => return Ok(Some(key_request)),
        }
        let Some(run) = &mut self.sorting else {
            return Ok(None);
        };
        match outcome {
            Ok(outcome) => run.apply(outcome),
            Err(OpenFailure::Broken(answer)) => run.stage = Stage::Answer(answer),
            Err(OpenFailure::Unexpected) => return Err(UnexpectedReply::Pairing),
        }
        Ok(None)
    }

    fn sort_outcome(
        &self,
        run: &SortRun,
        whole: &[u8],
        values: &mut ValueOpener<'_>,
    ) -> Result<Outcome, OpenFailure> {
        let mut items = Items::of(whole);
        let first = first_item(&mut items)?;
        match (first.kind, &run.stage) {
            (Kind::Error, _) => Err(OpenFailure::Broken(sort_error(run.command, first.raw))),
            (Kind::Null, _) => {
                self.protection.retried(OwnWork::Sort);
                Ok(Outcome::Changed)
            }
            (Kind::Other, Stage::Storing(_)) => Ok(Outcome::Stored),
            (_, Stage::Reading) => {
                let source = (&run.source, self.limits.value);
                let read = read_sorted(values, run.command, source, &mut items, first)?;
                if run.data.record.is_none() {
                    return Ok(Outcome::Record(read));
                }
                let asked = (self.protection.names(), run.data.asked());
                let found = read_lookups(values, run.command, asked, &mut items)?;
                Ok(Outcome::Found(found, read.digest))
            }
            _ => Err(OpenFailure::Unexpected),
        }
    }
}

impl SortRun {
    fn apply(&mut self, outcome: Outcome) {
        self.stage = match (outcome, &self.stage) {
            (Outcome::Changed, _) if self.begun.elapsed() > RETRY_TIMEOUT => {
                Stage::Answer(answers::sort_changed(self.command))
            }
            (Outcome::Changed, _) => {
                self.data = SortData::default();
                Stage::Ready
            }
            (Outcome::Record(read), _) => {
                self.data.record = Some(read.record);
                self.data.digest = read.digest;
                Stage::Ready
            }
            (Outcome::Found(found, digest), _) => {
                self.data.take(found);
                self.data.digest = digest;
                Stage::Ready
            }
            (Outcome::Stored, Stage::Storing(count)) => {
                let mut answer = Vec::new();
                write_integer(&mut answer, i64::try_from(*count).unwrap_or(i64::MAX));
                Stage::Answer(answer)
            }
            (Outcome::Stored, _) => Stage::Ready,
        };
    }
}
