//! `RANDOMKEY` where names are sealed: the server may choose a name that clients cannot use. It is asked again then, since
//! one such record must not make the command answer that there are none. The request stays among the client's bytes until
//! it has its reply.

use waxseal_policy::{NameLayout, NameReply, ReplyShape, Transform};
use waxseal_resp::{Items, Kind, write_bulk};

use super::UnexpectedReply;
use super::pairing::Disposition;
use super::requests::{Next, Step};
use super::state::ConnectionState;
use super::stored::{Fetched, first_item};
use crate::keys::KeyRequest;
use crate::open::{NameOpener, Named, ValueOpener, write_no_name};
use crate::pending::Pending;
use crate::seal::Request;

/// The number of times that the server is asked.
const MAX_ATTEMPTS: usize = 100;

/// A request for the name of some record.
#[derive(Default)]
pub(super) struct RandomRun {
    /// The number of times that the server was asked.
    attempts: usize,
    /// What the client gets, once that is known.
    answer: Option<Vec<u8>>,
}

/// True for a request for the name of some record.
pub(super) fn is_random(transform: &Transform) -> bool {
    let one = NameReply {
        layout: NameLayout::One,
        glob: None,
    };
    transform.reply == ReplyShape::Names(one)
}

impl ConnectionState {
    /// Ends the request if it has its answer.
    #[inline(never)]
    pub(super) fn finish_random(&mut self, client: &mut Vec<u8>) -> Option<Step> {
        let answer = self.random.as_mut()?.answer.take()?;
        self.random = None;
        self.answer(&answer, client);
        Some(Step::Done)
    }

    /// Asks the server for a name, or once more.
    #[inline(never)]
    pub(super) fn run_random(&mut self, request: &Request<'_>, upstream: &mut Vec<u8>) -> Step {
        if !self.has_all_replies() {
            // They decide what the request would be answered with.
            return Step::Retry(Next::Replies);
        }
        let run = self.random.get_or_insert_default();
        run.attempts = run.attempts.saturating_add(1);
        request.forward(upstream);
        self.await_reply();
        self.queue.push(Pending::Random);
        Step::Retry(Next::Replies)
    }

    /// Takes the server's answer. Returns the keys that it needs and that are not at hand.
    pub(super) fn take_random(
        &mut self,
        disposition: Disposition,
        whole: &[u8],
        fetched: Fetched<'_>,
    ) -> Result<Option<Box<KeyRequest>>, UnexpectedReply> {
        let Some(run) = &self.random else {
            // The client has gone.
            return Ok(None);
        };
        let is_last = run.attempts >= MAX_ATTEMPTS;
        let mut answer = Vec::new();
        let mut items = Items::of(whole);
        let mut values = ValueOpener::new(&self.protection, fetched);
        let mut names = NameOpener::new(&self.protection);
        let item = match disposition {
            Disposition::TooLarge => None,
            _ => Some(first_item(&mut items).map_err(|_| UnexpectedReply::Pairing)?),
        };
        match item.map(|item| (item.kind, item.text)) {
            None => answer = self.too_large_reply("randomkey"),
            Some((Kind::Bulk, stored)) => match names.open(stored) {
                Named::Same => write_bulk(&mut answer, stored),
                Named::Logical(name) => write_bulk(&mut answer, name),
                Named::LeftOut(reason, key) => {
                    if !key.is_some_and(|key| values.learn(key)) {
                        names.leave_out(reason);
                    }
                    if is_last {
                        write_no_name(self.client.protocol, &mut answer);
                    }
                }
            },
            // There is none, or an error.
            Some(_) => answer.extend_from_slice(whole),
        }
        if let Err(key_request) = values.finish() {
            return Ok(Some(key_request));
        }
        names.finish();
        if let Some(run) = &mut self.random {
            run.answer = Some(answer).filter(|answer| !answer.is_empty());
        }
        Ok(None)
    }
}
