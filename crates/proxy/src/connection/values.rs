//! Replies with values: what the client gets for a whole one. What its end does to the connection is in `replies`.

use std::collections::HashMap;

use super::pairing::{CurrentReply, Disposition};
use super::state::ConnectionState;
use super::{BrokenValue, UnexpectedReply};
use crate::answers;
use crate::decoys::OpenedDecoy;
use crate::keys::{KeyRequest, Lookup};
use crate::open::{NameOpener, ReplyFindings, ReplyOpener, ValueOpener};
use crate::pending::{Pending, Shape};

impl ConnectionState {
    /// Counts a reply that is too large to hold. Returns the answer to its request.
    pub(super) fn too_large_reply(&self, command: &str) -> Vec<u8> {
        if let Some(meters) = self.protection.metered() {
            meters.traffic.reply_too_large();
        }
        answers::reply_too_large(command, self.limits.value)
    }

    /// Writes what the client gets for a whole reply that was held. If that needs keys that are not at hand, writes
    /// nothing and returns them; with the keys that were `fetched` for it, it is always written.
    pub(super) fn write_reply(
        &mut self,
        current: &CurrentReply,
        whole: &[u8],
        fetched: Option<&HashMap<Box<[u8]>, Lookup>>,
        client: &mut Vec<u8>,
    ) -> Result<Option<Box<KeyRequest>>, UnexpectedReply> {
        if current.is_muted {
            return Ok(None);
        }
        if current.disposition == Disposition::Names {
            self.write_streamed_names(current, client)?;
            return Ok(None);
        }
        let is_held = current.disposition == Disposition::Hold;
        let (command, shape) = match &current.answers {
            Some(Pending::Message) => {
                return Ok(self.write_message(current.disposition, whole, fetched, client));
            }
            Some(Pending::ScriptRead(read)) => {
                return self.take_script_value(read, current.disposition, whole, fetched);
            }
            Some(Pending::Replay(step)) => {
                return self.take_replay_reply(*step, current, whole, fetched, client);
            }
            Some(Pending::ComputeRead) => {
                return self.take_computed_value(current.disposition, whole, fetched);
            }
            Some(Pending::ComputeWrite) => {
                return self.take_computed_write(current.disposition, whole, fetched);
            }
            Some(Pending::MoveRead) => {
                return self.take_moved_values(current.disposition, whole, fetched);
            }
            Some(Pending::MoveWrite) => {
                self.take_move(current.disposition, whole)?;
                return Ok(None);
            }
            Some(Pending::Sort) => {
                return self.take_sorted(current.disposition, whole, fetched);
            }
            Some(Pending::Random) => {
                return self.take_random(current.disposition, whole, fetched);
            }
            Some(Pending::Script(reply)) => {
                self.write_script_reply(*reply.as_ref(), current.disposition, whole, client);
                return Ok(None);
            }
            Some(Pending::Reply { command, shape } | Pending::Queued { command, shape }) => {
                (*command, Some(shape))
            }
            Some(Pending::Preluded(request)) if is_held => {
                return self.write_preluded(request, whole, fetched, client);
            }
            Some(Pending::Preluded(request)) => (request.command, Some(&request.shape)),
            Some(Pending::Exec) => ("exec", None),
            Some(Pending::ClientList { ids }) if is_held => {
                self.client_list(whole, ids.as_deref(), client);
                return Ok(None);
            }
            Some(Pending::ClientList { .. }) => ("client|list", None),
            Some(Pending::Unsettled { .. }) if is_held => {
                client.extend_from_slice(whole);
                return Ok(None);
            }
            _ => return Ok(None),
        };
        self.write_shaped(current, (command, shape), whole, fetched, client)
    }

    /// The same for a reply to this command, which has this shape; without one, it is that of a transaction.
    fn write_shaped(
        &self,
        current: &CurrentReply,
        (command, shape): (&'static str, Option<&Shape>),
        whole: &[u8],
        fetched: Option<&HashMap<Box<[u8]>, Lookup>>,
        client: &mut Vec<u8>,
    ) -> Result<Option<Box<KeyRequest>>, UnexpectedReply> {
        match current.disposition {
            Disposition::Hold => {}
            Disposition::TooLarge => {
                client.extend_from_slice(&self.too_large_reply(command));
                return Ok(None);
            }
            Disposition::Forward | Disposition::Drop | Disposition::Names => return Ok(None),
        }
        if let Some(answer) = self.answer_without_prelude(command, whole) {
            client.extend_from_slice(&answer);
            return Ok(None);
        }
        let is_queued = matches!(current.answers, Some(Pending::Queued { .. })) && is_queued(whole);
        if is_queued || shape.is_some_and(Shape::is_verbatim) {
            client.extend_from_slice(whole);
            return Ok(None);
        }
        self.open_reply(command, shape, whole, fetched, client)
    }

    /// Writes a reply with its values opened: one of this shape, or the replies of a transaction.
    pub(super) fn open_reply(
        &self,
        command: &'static str,
        shape: Option<&Shape>,
        whole: &[u8],
        fetched: Option<&HashMap<Box<[u8]>, Lookup>>,
        client: &mut Vec<u8>,
    ) -> Result<Option<Box<KeyRequest>>, UnexpectedReply> {
        let written = client.len();
        let mut opener = ReplyOpener {
            values: ValueOpener::new(&self.protection, fetched),
            protocol: self.client.protocol,
            names: NameOpener::new(&self.protection),
            command,
            unwritten: HashMap::new(),
        };
        let opened = match shape {
            Some(shape) => opener.reply(whole, shape, client),
            None => {
                let queued = match &self.replay {
                    Some(replay) => &replay.shapes[..],
                    None => self.transaction.queued(),
                };
                opener.transaction(whole, queued, client)
            }
        };
        opened.map_err(|_| UnexpectedReply::Pairing)?;
        match opener.values.finish() {
            Ok(findings) => {
                self.report_findings(command, findings);
                opener.names.finish();
                Ok(None)
            }
            Err(key_request) => {
                client.truncate(written);
                Ok(Some(key_request))
            }
        }
    }

    /// Reports what an operator should know of the values of a reply.
    pub(super) fn report_findings(&self, command: &'static str, findings: &ReplyFindings) {
        for (cause, pattern, name) in &findings.broken {
            (self.report)(&BrokenValue {
                command,
                cause,
                shown: self.protection.show(*pattern, name),
                client: self.client_label(),
            });
        }
        let Some(decoys) = self.protection.active_decoys() else {
            return;
        };
        for read in findings.decoys.iter() {
            (decoys.alarm)(&OpenedDecoy {
                command: read.command,
                shown: self.protection.show(read.pattern, &read.name),
                client: self.client_label(),
            });
        }
    }
}

/// True if a reply says that a command waits for the end of its transaction.
pub(super) fn is_queued(reply: &[u8]) -> bool {
    reply == b"+QUEUED\r\n"
}
