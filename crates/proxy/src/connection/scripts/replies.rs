//! The server's answers to a known script: the value that is read before it runs, and its reply.

use waxseal_metrics::OwnWork;
use waxseal_policy::ScriptReply as Meaning;
use waxseal_resp::{Items, Kind};

use super::{ConnectionState, ScriptStage};
use crate::answers;
use crate::connection::UnexpectedReply;
use crate::connection::pairing::Disposition;
use crate::connection::stored::{Fetched, ValueRead};
use crate::keys::KeyRequest;
use crate::pending::{ScriptRead, ScriptReply};

impl ConnectionState {
    /// Takes the value that was read. Returns the keys that it needs and that are not at hand.
    pub(in crate::connection) fn take_script_value(
        &mut self,
        read: &ScriptRead,
        disposition: Disposition,
        whole: &[u8],
        fetched: Fetched<'_>,
    ) -> Result<Option<Box<KeyRequest>>, UnexpectedReply> {
        let stage = match disposition {
            Disposition::TooLarge => ScriptStage::Answer(self.too_large_reply(read.command)),
            _ => {
                let location = read.location.borrowed();
                let found = self.read_value(read.command, &mut Items::of(whole), location, fetched);
                match found.map_err(|_| UnexpectedReply::Pairing)? {
                    ValueRead::Value(value) => ScriptStage::Read(value),
                    ValueRead::Missing(key_request) => return Ok(Some(key_request)),
                    ValueRead::Unopened(answer) => ScriptStage::Answer(answer),
                    // The script reports it.
                    ValueRead::Error(error) if error.starts_with(b"-WRONGTYPE") => {
                        ScriptStage::Read(None)
                    }
                    ValueRead::Error(error) if answers::is_about_rights(error) => {
                        ScriptStage::Answer(answers::script_may_not_read(read.command))
                    }
                    ValueRead::Error(error) => {
                        ScriptStage::Answer(answers::read_failed(read.command, error))
                    }
                }
            }
        };
        if let Some(run) = &mut self.script {
            run.stage = stage;
        }
        Ok(None)
    }

    /// Writes the reply of a script for the client, unless the value must be read again.
    pub(in crate::connection) fn write_script_reply(
        &self,
        reply: ScriptReply,
        disposition: Disposition,
        whole: &[u8],
        client: &mut Vec<u8>,
    ) {
        match disposition {
            Disposition::TooLarge => client.extend_from_slice(&self.too_large_reply(reply.command)),
            _ if is_mismatch(&reply, whole) => {}
            _ => client.extend_from_slice(whole),
        }
    }

    /// The reply of a script has ended.
    pub(in crate::connection) fn end_script(&mut self, reply: &ScriptReply, whole: &[u8]) {
        self.end_await();
        let Some(run) = &mut self.script else {
            return;
        };
        run.stage = match is_mismatch(reply, whole) {
            true => {
                self.protection.retried(OwnWork::Script);
                run.mismatch = Some(whole.to_vec());
                ScriptStage::Unread
            }
            false => ScriptStage::Answered,
        };
    }
}

/// True if a script says that the value was not the one that had been read.
fn is_mismatch(reply: &ScriptReply, whole: &[u8]) -> bool {
    reply.matched && reply.script.is_mismatch(meaning(whole))
}

/// The meaning of a script's reply.
fn meaning(whole: &[u8]) -> Meaning {
    let Ok(Some(item)) = Items::of(whole).next() else {
        return Meaning::Other;
    };
    match item.kind {
        Kind::Null => Meaning::Null,
        Kind::Error => Meaning::Error,
        _ => {
            let number = whole
                .strip_prefix(b":")
                .and_then(|number| number.strip_suffix(b"\r\n"))
                .and_then(|number| std::str::from_utf8(number).ok()?.parse().ok());
            number.map_or(Meaning::Other, Meaning::Integer)
        }
    }
}
