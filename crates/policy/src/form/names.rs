//! Requests that name no record, and whose replies hold names that the server chooses; and those about prefixes of names.
//! Only where names of some pattern are sealed.

use smallvec::{SmallVec, smallvec};

use super::reply;
use crate::argument::{is, is_any_keyword};
use crate::decision::{Action, RequestChange, TrackingCall, Transform};
use crate::location::{NameLayout, NameReply, ReplyShape};
use crate::name_glob::{ServerGlob, WiderGlob, widen_channels};
use crate::protected::ProtectedNames;
use crate::refusal::Reason;

/// A form of requests that name no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NameForm {
    /// `SCAN cursor [MATCH glob] [COUNT count] [TYPE type]`, `CLUSTERSCAN`, `BLESS SCAN`.
    Scan,
    /// `KEYS glob`.
    Keys,
    /// `RANDOMKEY`.
    RandomKey,
    /// `CLUSTER GETKEYSINSLOT slot count`.
    KeysInSlot,
    /// `PUBSUB CHANNELS [glob]`.
    Channels,
    /// `PUBSUB NUMSUB channel…`.
    ChannelCounts,
    /// `CLIENT TRACKING ON | OFF [options]`.
    Tracking,
    /// `CLIENT TRACKINGINFO`.
    TrackingInfo,
}

impl NameForm {
    /// What is done where names of some pattern are sealed, for the documentation.
    #[must_use]
    pub fn description(self) -> &'static str {
        match self {
            Self::Scan | Self::Keys => {
                "forwarded: names no record; sealed names are opened, and the glob is applied to the opened names"
            }
            Self::RandomKey | Self::KeysInSlot => {
                "forwarded: names no record; sealed names are opened"
            }
            Self::Channels | Self::ChannelCounts => {
                "forwarded: names no record; sealed names in the channels of keyspace notifications are opened"
            }
            Self::Tracking | Self::TrackingInfo => {
                "forwarded: names no record; prefixes are those of names that clients know"
            }
        }
    }

    /// Decides about a request of this form. Names of some pattern are sealed.
    pub(crate) fn apply(
        self,
        names: &ProtectedNames,
        arguments: &[&[u8]],
    ) -> Result<Action, Reason> {
        match self {
            Self::Scan => scan(names, arguments),
            Self::Keys => Ok(keys(names, arguments)),
            Self::RandomKey => Ok(found(NameLayout::One)),
            Self::KeysInSlot => Ok(found(NameLayout::All)),
            Self::Channels => Ok(channels(arguments)),
            Self::ChannelCounts => Ok(found(NameLayout::ChannelCounts)),
            Self::Tracking => tracking(arguments),
            Self::TrackingInfo => Ok(found(NameLayout::Tracking)),
        }
    }
}

/// The request passes unchanged; its reply holds names.
pub(super) fn found(layout: NameLayout) -> Action {
    reply(ReplyShape::Names(NameReply { layout, glob: None }))
}

/// The arrangement of the names that a request about another request answers.
pub(super) fn of_embedded(arguments: &[&[u8]]) -> NameLayout {
    if is(arguments, 1, "DRYRUN") {
        NameLayout::Text
    } else if is(arguments, 1, "GETKEYS") {
        NameLayout::All
    } else {
        NameLayout::Flagged
    }
}

/// The same, with a glob that the names must match, and the one that is sent instead of it.
fn matching(
    layout: NameLayout,
    arguments: SmallVec<[usize; 2]>,
    sent: Option<ServerGlob>,
) -> Action {
    let glob = arguments.last().copied();
    Action::Transform(Transform {
        request: match sent {
            Some(glob) => RequestChange::Glob { arguments, glob },
            None => RequestChange::None,
        },
        reply: ReplyShape::Names(NameReply { layout, glob }),
    })
}

/// `SCAN cursor [option value]…`: the glob is behind the last `MATCH`.
fn scan(names: &ProtectedNames, arguments: &[&[u8]]) -> Result<Action, Reason> {
    let first = if is(arguments, 0, "BLESS") { 3 } else { 2 };
    let mut globs: SmallVec<[usize; 2]> = SmallVec::new();
    let mut at = first;
    while at < arguments.len() {
        let value = at.saturating_add(1);
        if is(arguments, at, "MATCH") {
            // Without a glob it is an error to the server.
            globs.extend((value < arguments.len()).then_some(value));
        } else if !is_any_keyword(arguments, at, &["COUNT", "TYPE", "SLOT"]) {
            // An option that is not known. A glob behind it would be sent as it is.
            let mut others = at..arguments.len();
            if others.any(|at| is(arguments, at, "MATCH")) {
                return Err(Reason::UnforeseenForm);
            }
            break;
        }
        at = value.saturating_add(1);
    }
    let Some(glob) = globs.last().and_then(|at| arguments.get(*at)) else {
        return Ok(found(NameLayout::Page));
    };
    Ok(matching(NameLayout::Page, globs, names.server_glob(glob)))
}

/// `KEYS glob`.
fn keys(names: &ProtectedNames, arguments: &[&[u8]]) -> Action {
    let [_, glob] = arguments else {
        // The server refuses it.
        return Action::Forward;
    };
    matching(NameLayout::All, smallvec![1], names.server_glob(glob))
}

/// `PUBSUB CHANNELS [glob]`. Channels of keyspace notifications hold names; the others pass.
fn channels(arguments: &[&[u8]]) -> Action {
    match arguments {
        [_, _] => found(NameLayout::Channels),
        [_, _, glob] => match widen_channels(glob) {
            WiderGlob::Same => Action::Forward,
            WiderGlob::Covers => matching(NameLayout::Channels, smallvec![2], None),
            WiderGlob::Wider(wider) => {
                let sent = ServerGlob::Bytes(wider.into());
                matching(NameLayout::Channels, smallvec![2], Some(sent))
            }
        },
        // The server refuses it.
        _ => Action::Forward,
    }
}

/// `CLIENT TRACKING ON | OFF [REDIRECT id] [PREFIX prefix]… [BCAST] [OPTIN] [OPTOUT] [NOLOOP]`.
fn tracking(arguments: &[&[u8]]) -> Result<Action, Reason> {
    let mut call = TrackingCall {
        is_on: is(arguments, 2, "ON"),
        is_broadcast: false,
        prefixes: SmallVec::new(),
    };
    let mut at = 3_usize;
    while at < arguments.len() {
        let value = at.saturating_add(1);
        let taken = if is(arguments, at, "PREFIX") {
            // Without a prefix it is an error to the server.
            call.prefixes
                .extend((value < arguments.len()).then_some(value));
            2
        } else if is(arguments, at, "REDIRECT") {
            2
        } else if is(arguments, at, "BCAST") {
            call.is_broadcast = true;
            1
        } else if is_any_keyword(arguments, at, &["OPTIN", "OPTOUT", "NOLOOP"]) {
            1
        } else {
            // An option that is not known. A prefix behind it would be sent as it is.
            let mut others = at..arguments.len();
            if others.any(|at| is(arguments, at, "PREFIX")) {
                return Err(Reason::UnforeseenForm);
            }
            break;
        };
        at = at.saturating_add(taken);
    }
    Ok(Action::Tracking(call))
}
