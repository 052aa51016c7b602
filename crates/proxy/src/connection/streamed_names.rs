//! The reply to `KEYS` where names are sealed. It may have a million names and is not held whole: each part is opened when it
//! arrives, so that other clients of the worker get their turns, and what the client gets is held until the number of names
//! in it is known.

use waxseal_policy::{NameLayout, NameReply, ReplyShape};
use waxseal_resp::{Items, Kind, write_array_head};

use super::pairing::CurrentReply;
use super::replies::UnexpectedReply;
use super::state::{ConnectionState, ReplyState};
use crate::answers;
use crate::limits::Limits;
use crate::open::{MAX_GLOB_STEPS, NameOpener, Named, write_name};
use crate::pending::{Pending, Shape};
use crate::protection::Protection;

/// A reply of names that is under way.
#[derive(Default)]
pub(super) struct StreamedNames {
    /// The number of names that the server has announced, once it has.
    expected: Option<usize>,
    /// The number of names that have arrived.
    seen: usize,
    /// The number of names in `out`.
    matching: usize,
    /// What the client gets behind the head.
    out: Vec<u8>,
    /// The beginning of a name that has not arrived completely.
    partial: Vec<u8>,
    /// The reason why the client gets none of them.
    failure: Option<Failure>,
}

#[derive(Clone, Copy)]
enum Failure {
    TooLarge,
    TooCostly,
}

/// The names that a request asks for, if its reply is opened while it arrives.
pub(super) fn streamed(pending: &Pending) -> Option<&NameReply<Box<[u8]>>> {
    match pending {
        Pending::Reply {
            command: "keys",
            shape: Shape::Values(ReplyShape::Names(found)),
        } if found.layout == NameLayout::All => Some(found),
        _ => None,
    }
}

/// Maximum bytes of a reply, which are copied once at its end.
fn max_bytes(limits: &Limits) -> usize {
    limits.client_buffer.div_euclid(2)
}

impl StreamedNames {
    /// Opens the names that have arrived with this part. Parts end anywhere.
    fn feed(
        &mut self,
        part: &[u8],
        found: &NameReply<Box<[u8]>>,
        protection: &Protection,
        max: usize,
    ) -> Result<(), UnexpectedReply> {
        if self.failure.is_some() {
            return Ok(());
        }
        let mut partial = std::mem::take(&mut self.partial);
        if partial.is_empty() {
            let taken = self.take(part, found, protection)?;
            partial.extend_from_slice(part.get(taken..).unwrap_or_default());
        } else {
            partial.extend_from_slice(part);
            let taken = self.take(&partial, found, protection)?;
            partial.drain(..taken);
        }
        self.partial = partial;
        if self.out.len().saturating_add(self.partial.len()) > max {
            self.fail(Failure::TooLarge);
        }
        Ok(())
    }

    /// Opens the names that are complete in these bytes. Returns the number of bytes that they take.
    fn take(
        &mut self,
        bytes: &[u8],
        found: &NameReply<Box<[u8]>>,
        protection: &Protection,
    ) -> Result<usize, UnexpectedReply> {
        let mut names = NameOpener::new(protection);
        let mut steps = MAX_GLOB_STEPS;
        let mut items = Items::of(bytes);
        let mut taken = 0_usize;
        // What is not complete looks invalid. The reply itself has been found to be valid so far.
        while let Ok(Some(item)) = items.next() {
            taken = taken.saturating_add(item.raw.len());
            match (self.expected, item.kind) {
                (None, Kind::Array(expected)) => {
                    self.expected = Some(expected);
                    continue;
                }
                (Some(_), Kind::Bulk) => self.seen = self.seen.saturating_add(1),
                _ => return Err(UnexpectedReply::Pairing),
            }
            let logical = match names.open(item.text) {
                Named::Same => item.text,
                Named::Logical(logical) => logical,
                Named::LeftOut(reason, _) => {
                    names.leave_out(reason);
                    continue;
                }
            };
            match found.matches(logical, &mut steps) {
                Some(true) => {
                    write_name(item, logical, &mut self.out);
                    self.matching = self.matching.saturating_add(1);
                }
                Some(false) => {}
                None => {
                    self.fail(Failure::TooCostly);
                    break;
                }
            }
        }
        names.finish();
        Ok(taken)
    }

    /// The client gets an error: nothing more is kept.
    fn fail(&mut self, failure: Failure) {
        self.failure = Some(failure);
        self.out = Vec::new();
        self.partial = Vec::new();
    }
}

impl ConnectionState {
    /// The next part of a reply of names has arrived.
    pub(super) fn stream_names(&mut self, part: &[u8]) -> Result<(), UnexpectedReply> {
        let ReplyState::Receiving { current, .. } = &mut self.reply else {
            return Ok(());
        };
        let Some(found) = current.answers.as_ref().and_then(streamed) else {
            return Ok(());
        };
        let names = current.names.get_or_insert_default();
        names.feed(part, found, &self.protection, max_bytes(&self.limits))
    }

    /// Writes a reply of names, all of which have arrived.
    pub(super) fn write_streamed_names(
        &self,
        current: &CurrentReply,
        client: &mut Vec<u8>,
    ) -> Result<(), UnexpectedReply> {
        let Some(names) = &current.names else {
            return Err(UnexpectedReply::Pairing);
        };
        match names.failure {
            Some(Failure::TooLarge) => {
                let answer = answers::too_many_names("keys", max_bytes(&self.limits));
                client.extend_from_slice(&answer);
            }
            Some(Failure::TooCostly) => {
                client.extend_from_slice(&answers::glob_too_costly("keys"));
            }
            None if names.expected == Some(names.seen) => {
                client.reserve(names.out.len().saturating_add(32));
                write_array_head(client, names.matching);
                client.extend_from_slice(&names.out);
            }
            None => return Err(UnexpectedReply::Pairing),
        }
        Ok(())
    }
}
