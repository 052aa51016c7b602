//! Replies with values: what the client gets for each, once it is whole. What its end does to the
//! connection is in `replies`.

use std::collections::HashMap;

use super::pairing::{Current, Way};
use super::{BrokenValue, ConnectionState, Unexplained};
use crate::answers;
use crate::decoys::OpenedDecoy;
use crate::keys::{KeyRequest, Lookup};
use crate::open::{Noted, Opener, Values};
use crate::pending::{Pending, Shape};

impl ConnectionState {
    /// The answer to a request whose reply is too large to hold, which is counted.
    pub(super) fn too_large_reply(&self, command: &str) -> Vec<u8> {
        if let Some(meters) = self.protection.metered() {
            meters.traffic.reply_too_large();
        }
        answers::reply_too_large(command, self.limits.value)
    }

    /// Writes what the client gets for a reply that was held, if it was; or says which keys it needs
    /// that are not at hand, and writes nothing. With what was `fetched` for it, it is always written.
    pub(super) fn give(
        &mut self,
        current: &Current,
        whole: &[u8],
        fetched: Option<&HashMap<Box<[u8]>, Lookup>>,
        client: &mut Vec<u8>,
    ) -> Result<Option<Box<KeyRequest>>, Unexplained> {
        if current.muted {
            return Ok(None);
        }
        let (command, shape) = match &current.answers {
            Some(Pending::ScriptRead(read)) => {
                return self.take_script_value(read, current.way, whole, fetched);
            }
            Some(Pending::Script(reply)) => {
                self.give_script_reply(*reply.as_ref(), current.way, whole, client);
                return Ok(None);
            }
            Some(Pending::Reply { command, shape } | Pending::Queued { command, shape }) => {
                (*command, Some(shape))
            }
            Some(Pending::Exec) => ("exec", None),
            Some(Pending::ClientList { ids }) if current.way == Way::Hold => {
                self.client_list(whole, ids.as_deref(), client);
                return Ok(None);
            }
            Some(Pending::ClientList { .. }) => ("client|list", None),
            Some(Pending::Unsettled { .. }) if current.way == Way::Hold => {
                client.extend_from_slice(whole);
                return Ok(None);
            }
            _ => return Ok(None),
        };
        match current.way {
            Way::Hold => {}
            Way::TooLarge => {
                client.extend_from_slice(&self.too_large_reply(command));
                return Ok(None);
            }
            Way::Forward | Way::Drop => return Ok(None),
        }
        let queued = matches!(current.answers, Some(Pending::Queued { .. })) && is_queued(whole);
        if queued || shape.is_some_and(Shape::is_verbatim) {
            client.extend_from_slice(whole);
            return Ok(None);
        }
        let before = client.len();
        let mut opener = Opener {
            values: Values::new(&self.protection, fetched),
            command,
        };
        let opened = match shape {
            Some(shape) => opener.reply(whole, shape, client),
            None => opener.transaction(whole, &self.queued, client),
        };
        opened.map_err(|_| Unexplained::Pairing)?;
        let noted = match opener.values.finish() {
            Ok(noted) => noted,
            Err(wanted) => {
                client.truncate(before);
                return Ok(Some(wanted));
            }
        };
        self.tell(command, &noted);
        Ok(None)
    }

    /// Tells of the values of a reply what an operator should know.
    pub(super) fn tell(&self, command: &'static str, noted: &Noted) {
        for (cause, pattern, name) in &noted.broken {
            (self.report)(&BrokenValue {
                command,
                cause,
                shown: self.protection.show(*pattern, name),
                client: self.client_label(),
            });
        }
        let Some(decoys) = self.protection.watched() else {
            return;
        };
        for met in noted.decoys.iter() {
            (decoys.alarm)(&OpenedDecoy {
                command: met.command,
                shown: self.protection.show(met.pattern, &met.name),
                client: self.client_label(),
            });
        }
    }
}

/// Whether a reply says that a command waits for the end of its transaction.
pub(super) fn is_queued(reply: &[u8]) -> bool {
    reply == b"+QUEUED\r\n"
}
