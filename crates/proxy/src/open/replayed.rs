//! Replies to the scripts in a transaction that is sent again: each stands for a command that the proxy carries out.

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
        is_field: bool,
    },
    /// Values were moved if all of them were known.
    Moved {
        /// The record that an element was moved from, which is in the reply. `None` if the reply has no sealed value.
        element: Option<OwnedLocation>,
        /// The answer, if another value was there.
        otherwise: Vec<u8>,
    },
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
        match (replayed, first.kind) {
            (_, Kind::Error) => out.extend_from_slice(&replayed.error(self.command, first.raw)),
            (ReplayedReply::Computed { answer, .. }, Kind::Other) => {
                out.extend_from_slice(answer);
            }
            (ReplayedReply::Computed { .. }, Kind::Array(1)) => {
                items.skip()?;
                out.extend_from_slice(&answers::unforeseen_in_transaction(self.command));
            }
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
}
