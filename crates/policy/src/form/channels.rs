//! Channels: one message for each request, bound to the group of the channel's pattern.

use smallvec::smallvec;
use waxseal_kinds::Kind;

use super::seal;
use crate::decision::{Action, ValueSlot};
use crate::location::Location;
use crate::protected::ProtectedNames;
use crate::refusal::Reason;

/// `PUBLISH channel message`, `SPUBLISH`.
pub(crate) fn seal_message(names: &ProtectedNames, arguments: &[&[u8]]) -> Result<Action, Reason> {
    let channel = arguments.get(1).filter(|_| names.has_channels());
    let Some(pattern) = channel.and_then(|channel| names.find_channel(channel)) else {
        return Ok(Action::Forward);
    };
    match arguments.len() {
        ..3 => Ok(Action::Forward),
        3 => Ok(seal(smallvec![ValueSlot {
            argument: 2,
            location: Location {
                pattern,
                kind: Kind::Message,
                name: 1,
                field: None,
            },
        }])),
        _ => Err(Reason::UnforeseenForm),
    }
}
