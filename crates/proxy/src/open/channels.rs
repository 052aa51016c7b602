//! Replies with channels, of which those of keyspace notifications end with a name; and those with prefixes of names.

use std::borrow::Cow;

use waxseal_named::LeftOut;
use waxseal_policy::NameReply;
use waxseal_resp::{Item, Items, Kind, write_array_head, write_bulk};

use super::members::MAX_GLOB_STEPS;
use super::names::{NameOpener, Named, next, write_name};
use super::{OpenFailure, ReplyOpener, expect};
use crate::answers;
use crate::pending::strings::Strings;

/// The beginning of the channels that end with the name of a record, and what precedes the name.
const KEYSPACE: &[u8] = b"__keyspace@";
const AFTER_DATABASE: &[u8] = b"__:";
/// The beginning of the channels whose messages are names of records.
const KEYEVENT: &[u8] = b"__keyevent@";
/// The beginning of the channels about parts of records. In their messages are names in several forms.
const SUBKEY: &[u8] = b"__subkey";
/// The channel of invalidations in RESP2.
pub(crate) const INVALIDATIONS: &[u8] = b"__redis__:invalidate";

/// True for a channel in which servers publish messages that may hold names of records.
pub(crate) fn is_of_server(channel: &[u8]) -> bool {
    let starts = [KEYSPACE, KEYEVENT, SUBKEY, INVALIDATIONS];
    starts.iter().any(|start| channel.starts_with(start))
}

/// The channel up to the name that it ends with, and the name.
pub(crate) fn split_keyspace(channel: &[u8]) -> Option<(&[u8], &[u8])> {
    let database = channel.strip_prefix(KEYSPACE)?;
    let digits = database.iter().take_while(|byte| byte.is_ascii_digit());
    let name = database
        .get(digits.count()..)?
        .strip_prefix(AFTER_DATABASE)?;
    channel.split_at_checked(channel.len().saturating_sub(name.len()))
}

/// True for a channel of notifications whose payloads are names.
pub(crate) fn is_keyevent(channel: &[u8]) -> bool {
    channel.starts_with(KEYEVENT)
}

/// The channel as clients know it. `None` if clients cannot use the name that it ends with, which is counted.
pub(crate) fn logical_channel<'c>(
    names: &mut NameOpener<'_>,
    channel: &'c [u8],
) -> Option<Cow<'c, [u8]>> {
    if channel.starts_with(SUBKEY) {
        names.leave_out(LeftOut::Junk);
        return None;
    }
    let Some((head, name)) = split_keyspace(channel) else {
        return Some(Cow::Borrowed(channel));
    };
    match names.open(name) {
        Named::Same => Some(Cow::Borrowed(channel)),
        Named::Logical(name) => Some(Cow::Owned([head, name].concat())),
        Named::LeftOut(reason, _) => {
            names.leave_out(reason);
            None
        }
    }
}

impl ReplyOpener<'_> {
    /// Appends an array of channels: those that the client wants.
    pub(super) fn channels(
        &mut self,
        items: &mut Items<'_>,
        head: Item<'_>,
        found: &NameReply<Box<[u8]>>,
        out: &mut Vec<u8>,
    ) -> Result<(), OpenFailure> {
        let Kind::Array(count) = head.kind else {
            return Err(OpenFailure::Unexpected);
        };
        let mut written = Vec::new();
        let mut matching = 0_usize;
        let mut steps = MAX_GLOB_STEPS;
        for _ in 0..count {
            let channel = next(items)?;
            expect(channel.kind, Kind::Bulk)?;
            let Some(logical) = logical_channel(&mut self.names, channel.text) else {
                continue;
            };
            let is_match = found.matches(&logical, &mut steps);
            if is_match
                .ok_or_else(|| OpenFailure::Broken(answers::glob_too_costly(self.command)))?
            {
                write_name(channel, &logical, &mut written);
                matching = matching.saturating_add(1);
            }
        }
        write_array_head(out, matching);
        out.extend_from_slice(&written);
        Ok(())
    }

    /// Appends channels of the request and numbers in turn.
    pub(super) fn channel_counts(
        &mut self,
        items: &mut Items<'_>,
        head: Item<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), OpenFailure> {
        let pairs = pairs(head)?;
        out.extend_from_slice(head.raw);
        for _ in 0..pairs {
            let channel = next(items)?;
            // The request has named it.
            let logical = logical_channel(&mut self.names, channel.text);
            write_name(
                channel,
                &logical.unwrap_or(Cow::Borrowed(channel.text)),
                out,
            );
            out.extend_from_slice(items.skip()?);
        }
        Ok(())
    }
}

/// The number of pairs in a map, which is an array of twice as many elements in RESP2.
fn pairs(head: Item<'_>) -> Result<usize, OpenFailure> {
    match head.kind {
        Kind::Array(count) => Ok(count.div_euclid(2)),
        Kind::Map(pairs) => Ok(pairs),
        _ => Err(OpenFailure::Unexpected),
    }
}

/// Appends what `CLIENT TRACKINGINFO` answers, with these prefixes.
pub(super) fn tracking_info(
    items: &mut Items<'_>,
    head: Item<'_>,
    prefixes: &Strings,
    out: &mut Vec<u8>,
) -> Result<(), OpenFailure> {
    let pairs = pairs(head)?;
    out.extend_from_slice(head.raw);
    for _ in 0..pairs {
        let word = next(items)?;
        out.extend_from_slice(word.raw);
        let value = items.skip()?;
        if word.text != b"prefixes" {
            out.extend_from_slice(value);
            continue;
        }
        // As the server writes it: an array, or a set.
        let before = out.len();
        write_array_head(out, prefixes.iter().len());
        if let (Some(first), Some(kind)) = (out.get_mut(before), value.first()) {
            *first = *kind;
        }
        for prefix in prefixes.iter() {
            write_bulk(out, prefix);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_behind_the_number_of_the_database() {
        let split = |channel: &'static str| split_keyspace(channel.as_bytes());
        assert_eq!(
            split("__keyspace@12__:wa:1"),
            Some((&b"__keyspace@12__:"[..], &b"wa:1"[..]))
        );
        assert_eq!(
            split("__keyspace@0__:"),
            Some((&b"__keyspace@0__:"[..], &b""[..]))
        );
        for other in ["__keyspace@0_:wa:1", "__keyevent@0__:set", "wa:1", ""] {
            assert_eq!(split(other), None, "{other}");
        }
    }
}
