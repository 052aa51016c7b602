//! Replies to commands that compute and write nothing. They were sent as reads, and what the client gets is computed from
//! the opened value.

use std::borrow::Cow;

use waxseal_compute::{ApplyError, Operation, Reply, ServerError};
use waxseal_resp::{Item, Items, Kind};

use super::{OpenFailure, ReplyOpener};
use crate::answers;
use crate::location::{self, OwnedLocation};
use crate::pending::Protocol;

/// What a read is answered with.
pub(crate) struct ComputedReply {
    /// The computation, or the error that the server would find in its arguments.
    pub(crate) operation: Result<Operation, ServerError>,
    /// The values; `None` for one that is not protected. Of several, the reply is an array.
    pub(crate) locations: Vec<Option<OwnedLocation>>,
    pub(crate) protocol: Protocol,
    /// Maximum length of the result.
    pub(crate) limit: usize,
}

impl ComputedReply {
    /// Bytes that are held for it beyond its own size.
    pub(crate) fn retained_bytes(&self) -> usize {
        let locations = self.locations.iter().flatten();
        let names = locations.map(location::retained_bytes).sum::<usize>();
        names.saturating_add(size_of::<Self>())
    }

    /// The server's error about the read, as one about the command that the client sent.
    fn error(&self, command: &'static str, error: &[u8]) -> Vec<u8> {
        let is_field = self.locations.iter().flatten().any(|it| it.field.is_some());
        if answers::is_about_rights(error) {
            return answers::computed_not_permitted(command, is_field);
        }
        match (&self.operation, error.starts_with(b"-WRONGTYPE")) {
            (Err(error), true) => answers::server_error(*error),
            (Ok(operation), true) => answers::server_error(operation.wrong_type()),
            (_, false) => answers::read_failed(command, error),
        }
    }
}

impl ReplyOpener<'_> {
    /// Appends what the client gets for a read, of which `first` is the first item.
    pub(super) fn computed(
        &mut self,
        items: &mut Items<'_>,
        first: Item<'_>,
        computed: &ComputedReply,
        out: &mut Vec<u8>,
    ) -> Result<(), OpenFailure> {
        if first.kind == Kind::Error {
            out.extend_from_slice(&computed.error(self.command, first.raw));
            return Ok(());
        }
        let mut values: Vec<Option<Cow<'_, [u8]>>> = Vec::with_capacity(computed.locations.len());
        if let [Some(location)] = &computed.locations[..] {
            values.push(self.computed_value(first, Some(location))?);
        } else {
            super::expect(first.kind, Kind::Array(computed.locations.len()))?;
            for location in &computed.locations {
                let item = items.next()?.ok_or(OpenFailure::Unexpected)?;
                values.push(self.computed_value(item, location.as_ref())?);
            }
        }
        let operation = match &computed.operation {
            Ok(operation) => operation,
            Err(error) => {
                out.extend_from_slice(&answers::server_error(*error));
                return Ok(());
            }
        };
        let values: Vec<Option<&[u8]>> = values.iter().map(Option::as_deref).collect();
        match operation.apply(&values, computed.limit) {
            Ok(outcome) => outcome.reply.write(out, computed.protocol.of_computed()),
            Err(ApplyError::Server(error)) => {
                Reply::Error(error).write(out, computed.protocol.of_computed());
            }
            Err(ApplyError::TooLarge { .. }) => {
                let answer = answers::computed_too_large(self.command, computed.limit);
                out.extend_from_slice(&answer);
            }
        }
        Ok(())
    }

    fn computed_value<'r>(
        &mut self,
        item: Item<'r>,
        location: Option<&OwnedLocation>,
    ) -> Result<Option<Cow<'r, [u8]>>, OpenFailure> {
        match (item.kind, location) {
            (Kind::Null, _) => Ok(None),
            (Kind::Bulk | Kind::Simple | Kind::Other, Some(location)) => {
                self.open(item.text, location.borrowed()).map(Some)
            }
            (Kind::Bulk | Kind::Simple | Kind::Other, None) => Ok(Some(Cow::Borrowed(item.text))),
            _ => Err(OpenFailure::Unexpected),
        }
    }
}
