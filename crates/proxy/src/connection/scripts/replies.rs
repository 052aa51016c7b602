//! The server's answers to a known script: the value that is read before it runs, and its reply.

use std::borrow::Cow;
use std::collections::HashMap;

use waxseal_policy::ScriptReply as Meaning;
use waxseal_resp::{Items, Kind, ReplyError};

use super::{ConnectionState, ScriptStage, StoredValue};
use crate::answers;
use crate::connection::UnexpectedReply;
use crate::connection::pairing::Disposition;
use crate::keys::{KeyRequest, Lookup};
use crate::open::ValueOpener;
use crate::pending::{ScriptRead, ScriptReply};

/// The outcome of opening the value that a script compares.
enum ReadOutcome {
    /// The script continues in this stage.
    Stage(ScriptStage),
    /// The value does not open without these keys.
    Missing(Box<KeyRequest>),
}

impl From<ScriptStage> for ReadOutcome {
    fn from(stage: ScriptStage) -> Self {
        Self::Stage(stage)
    }
}

impl ConnectionState {
    /// Takes the value that was read. Returns the keys that it needs and that are not at hand.
    pub(in crate::connection) fn take_script_value(
        &mut self,
        read: &ScriptRead,
        disposition: Disposition,
        whole: &[u8],
        fetched: Option<&HashMap<Box<[u8]>, Lookup>>,
    ) -> Result<Option<Box<KeyRequest>>, UnexpectedReply> {
        let stage = match disposition {
            Disposition::TooLarge => ScriptStage::Answer(self.too_large_reply(read.command)),
            _ => match self.open_for_script(read, whole, fetched) {
                Ok(ReadOutcome::Stage(stage)) => stage,
                Ok(ReadOutcome::Missing(key_request)) => return Ok(Some(key_request)),
                Err(_) => return Err(UnexpectedReply::Pairing),
            },
        };
        if let Some(run) = &mut self.script {
            run.stage = stage;
        }
        Ok(None)
    }

    fn open_for_script(
        &self,
        read: &ScriptRead,
        whole: &[u8],
        fetched: Option<&HashMap<Box<[u8]>, Lookup>>,
    ) -> Result<ReadOutcome, ReplyError> {
        let mut items = Items::of(whole);
        let mut item = items.next()?.ok_or(ReplyError::Type)?;
        while let Kind::Attribute(pairs) = item.kind {
            for _ in 0..pairs.saturating_mul(2) {
                items.skip()?;
            }
            item = items.next()?.ok_or(ReplyError::Type)?;
        }
        let stored = match item.kind {
            Kind::Null => return Ok(ScriptStage::Read(StoredValue::NONE).into()),
            // The script reports it.
            Kind::Error if whole.starts_with(b"-WRONGTYPE") => {
                return Ok(ScriptStage::Read(StoredValue::NONE).into());
            }
            Kind::Error if answers::is_about_rights(whole) => {
                let answer = answers::script_may_not_read(read.command);
                return Ok(ScriptStage::Answer(answer).into());
            }
            Kind::Error => {
                let answer = answers::read_failed(read.command, item.raw);
                return Ok(ScriptStage::Answer(answer).into());
            }
            Kind::Bulk | Kind::Simple | Kind::Other => item.text,
            _ => return Err(ReplyError::Type),
        };
        let mut values = ValueOpener::new(&self.protection, fetched);
        let opened = values.open(read.command, stored, read.location.borrowed());
        let findings = match values.finish() {
            Ok(findings) => findings,
            Err(key_request) => return Ok(ReadOutcome::Missing(key_request)),
        };
        self.report_findings(read.command, findings);
        Ok(match opened {
            Err(answer) => ScriptStage::Answer(answer).into(),
            Ok(opened) => ScriptStage::Read(StoredValue {
                stored: Some(stored.to_vec()),
                opened: match opened {
                    Cow::Borrowed(_) => None,
                    Cow::Owned(value) => Some(value),
                },
            })
            .into(),
        })
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
