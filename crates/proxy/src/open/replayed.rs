//! Replies to the scripts in a transaction that is sent again: each stands for a command that the proxy carries out.

use waxseal_compute::ServerError;
use waxseal_resp::{Item, Items, Kind};

use super::{OpenFailure, ReplyOpener};
use crate::answers;
use crate::location::{self, OwnedLocation};

/// What the reply of a script means.
pub(crate) enum ReplayedReply {
    /// A computed result was written if the value was the one that was foreseen.
    Computed {
        /// The reply, if it was.
        answer: Vec<u8>,
        /// The error, if the record was of another type.
        wrong_type: ServerError,
        is_field: bool,
        group: WriteGroup,
    },
    /// Values were moved if all of them were known.
    Moved {
        /// The record that an element was moved from, which is in the reply. `None` if the reply has no sealed value.
        element: Option<OwnedLocation>,
        /// The answer, if another value was there.
        otherwise: Vec<u8>,
    },
}

/// Commands that are written by the first of them.
#[derive(Clone, Copy)]
pub(crate) struct WriteGroup {
    /// The position of the first one.
    pub(crate) first: usize,
    /// This one is it: the reply is the one to its script.
    pub(crate) is_first: bool,
}

/// The reason why a group was not written.
#[derive(Clone)]
pub(crate) enum Unwritten {
    /// Another value was there.
    Unforeseen,
    Error(Vec<u8>),
}

impl ReplayedReply {
    /// Bytes that are held for it.
    pub(crate) fn retained_bytes(&self) -> usize {
        let held = match self {
            Self::Computed { answer, .. } => answer.len(),
            Self::Moved { element, otherwise } => {
                let name = element.as_ref().map_or(0, location::retained_bytes);
                name.saturating_add(otherwise.len())
            }
        };
        held.saturating_add(size_of::<Self>())
    }

    /// The server's error about the script, as one about the command that the client sent.
    fn error(&self, command: &str, error: &[u8]) -> Vec<u8> {
        match self {
            Self::Computed { wrong_type, .. } if error.starts_with(b"-WRONGTYPE") => {
                answers::server_error(*wrong_type)
            }
            _ if !answers::is_about_rights(error) => error.to_vec(),
            Self::Computed { is_field, .. } => answers::computed_not_permitted(command, *is_field),
            Self::Moved { .. } => answers::move_not_permitted(command),
        }
    }
}

impl ReplyOpener<'_> {
    /// Appends what the client gets for the reply of a script, of which `first` is the first item.
    pub(super) fn replayed(
        &mut self,
        items: &mut Items<'_>,
        first: Item<'_>,
        replayed: &ReplayedReply,
        out: &mut Vec<u8>,
    ) -> Result<(), OpenFailure> {
        if let ReplayedReply::Computed { group, .. } = replayed {
            return self.replayed_computed(items, first, (replayed, *group), out);
        }
        match (replayed, first.kind) {
            (_, Kind::Error) => out.extend_from_slice(&replayed.error(self.command, first.raw)),
            (ReplayedReply::Moved { otherwise, .. }, Kind::Null) => {
                out.extend_from_slice(otherwise);
            }
            (ReplayedReply::Moved { element, .. }, Kind::Array(1)) => match element {
                Some(location) => {
                    let element = items.next()?.ok_or(OpenFailure::Unexpected)?;
                    self.value(element, location.borrowed(), out)?;
                }
                None => out.extend_from_slice(items.skip()?),
            },
            _ => return Err(OpenFailure::Unexpected),
        }
        Ok(())
    }

    /// Appends what the client gets for a command that was computed.
    fn replayed_computed(
        &mut self,
        items: &mut Items<'_>,
        first: Item<'_>,
        (replayed, group): (&ReplayedReply, WriteGroup),
        out: &mut Vec<u8>,
    ) -> Result<(), OpenFailure> {
        let ReplayedReply::Computed { answer, .. } = replayed else {
            return Err(OpenFailure::Unexpected);
        };
        let command = self.command;
        let unwritten = match first.kind {
            Kind::Error => Some(Unwritten::Error(first.raw.to_vec())),
            Kind::Array(1) if group.is_first => {
                items.skip()?;
                Some(Unwritten::Unforeseen)
            }
            Kind::Other if group.is_first => None,
            Kind::Other => self.unwritten.get(&group.first).cloned(),
            _ => return Err(OpenFailure::Unexpected),
        };
        match &unwritten {
            None => out.extend_from_slice(answer),
            Some(Unwritten::Error(error)) => {
                out.extend_from_slice(&replayed.error(command, error));
            }
            Some(Unwritten::Unforeseen) => {
                out.extend_from_slice(&answers::unforeseen_in_transaction(command));
            }
        }
        if let Some(unwritten) = unwritten.filter(|_| group.is_first) {
            self.unwritten.insert(group.first, unwritten);
        }
        Ok(())
    }
}
