//! Messages of subscriptions in protected channels: opened for the client, or not delivered. A client that gets a message
//! cannot be told that it did not open: there is no request that an error could answer.

use std::borrow::Cow;
use std::collections::HashMap;

use waxseal_policy::PatternId;
use waxseal_resp::write_bulk;

use super::keyspace::PatternTable;
use super::pairing::Disposition;
use super::state::ConnectionState;
use super::tracking;
use crate::dropped::DropReason;
use crate::keys::{KeyRequest, Lookup};
use crate::location::{self, ValueKind};
use crate::open::{
    INVALIDATIONS, Message, MessageParts, ValueOpener, channel, is_of_server, pattern,
};
use crate::protection::Protection;

impl ConnectionState {
    /// True if messages of some channels are opened. In a trial nothing is sealed.
    #[inline]
    pub(super) fn opens_messages(&self) -> bool {
        self.protection.names().has_channels() && !self.protection.is_trial()
    }

    /// True if the message that begins with these bytes passes as it is: its channel is not protected, and holds no name that
    /// is stored sealed.
    pub(super) fn is_open_message(
        protection: &Protection,
        patterns: &PatternTable,
        start: &[u8],
    ) -> bool {
        let Some(channel) = channel(start) else {
            return false;
        };
        let names = protection.names();
        let is_exact = || match pattern(start) {
            Some(pattern) => patterns.is_exact(pattern),
            None => true,
        };
        let holds_no_name = || protection.is_trial() || !is_of_server(channel) && is_exact();
        names.find_channel(channel).is_none() && (!names.has_managed() || holds_no_name())
    }

    /// Writes what the client gets for a whole message: the message with its payload opened, or nothing. If that needs keys
    /// that are not at hand, returns them.
    pub(super) fn write_message(
        &self,
        disposition: Disposition,
        whole: &[u8],
        fetched: Option<&HashMap<Box<[u8]>, Lookup>>,
        client: &mut Vec<u8>,
    ) -> Option<Box<KeyRequest>> {
        let parts = match self.opens_names() && disposition == Disposition::Hold {
            true => MessageParts::of(whole),
            false => None,
        };
        if let Some(parts) = &parts {
            match parts.channel {
                b"" | INVALIDATIONS => {
                    self.write_invalidation(parts, client);
                    return None;
                }
                channel if is_of_server(channel) => {
                    self.write_notification(parts, client);
                    return None;
                }
                _ => {}
            }
        }
        let names = self.protection.names();
        let found =
            channel(whole).and_then(|channel| Some((names.find_channel(channel)?, channel)));
        let (pattern, channel) = match (disposition, found) {
            (Disposition::Hold, Some(found)) => found,
            (Disposition::Hold, None) => {
                match &parts {
                    Some(parts) => self.deliver(parts, parts.channel, parts.payload, client),
                    None => client.extend_from_slice(whole),
                }
                return None;
            }
            _ => return None,
        };
        let Some(message) = Message::of(whole) else {
            self.drop_message(pattern, channel, DropReason::Malformed);
            return None;
        };
        let mut values = ValueOpener::new(&self.protection, fetched);
        let location = location::record(pattern, message.channel, ValueKind::Message);
        let opened = values.open("message", message.payload.text, location);
        let findings = match values.finish() {
            Ok(findings) => findings,
            Err(key_request) => return Some(key_request),
        };
        if let Some((error, ..)) = findings.broken.first() {
            self.drop_message(pattern, channel, DropReason::NotOpened(*error));
            return None;
        }
        match (opened, &parts) {
            (Ok(payload), Some(parts)) => {
                let mut opened = Vec::new();
                write_bulk(&mut opened, &payload);
                self.deliver(parts, channel, &opened, client);
            }
            (Ok(Cow::Borrowed(_)), None) => client.extend_from_slice(whole),
            (Ok(Cow::Owned(payload)), None) => {
                client.extend_from_slice(message.head);
                write_bulk(client, &payload);
            }
            // The answer to a request; its cause is among the findings.
            (Err(_), _) => {}
        }
        None
    }

    /// A message that begins with these bytes is too large to be opened.
    #[cold]
    pub(super) fn drop_large_message(&self, start: &[u8], client: &mut Vec<u8>) {
        let channel = channel(start).unwrap_or_default();
        if self.opens_names() && matches!(channel, b"" | INVALIDATIONS) {
            return self.write_invalidation_of_all(start, client);
        }
        if let Some(pattern) = self.protection.names().find_channel(channel) {
            self.drop_message(pattern, channel, DropReason::TooLarge);
        }
    }

    /// True if this is a message of the server's own that may hold names.
    pub(super) fn is_invalidation(&self, first: u8, word: &[u8]) -> bool {
        first == b'>' && word == tracking::WORD && self.opens_names()
    }

    /// Counts and logs a message that the client does not get.
    #[cold]
    pub(super) fn drop_message(&self, pattern: PatternId, channel: &[u8], reason: DropReason) {
        self.protection
            .message_dropped(pattern, channel, reason, &self.client_label());
    }
}
