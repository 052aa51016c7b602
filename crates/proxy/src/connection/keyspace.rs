//! Keyspace notifications, where names are stored sealed: clients subscribe to the channels of the names that they know, and
//! servers publish in those of stored names.
//!
//! ```text
//! client                                Connection                        server
//! SUBSCRIBE __keyspace@0__:wa:1    ──▶  the stored name              ──▶  SUBSCRIBE __keyspace@0__:wa:~9VcDE…
//! PSUBSCRIBE __keyspace@0__:wa:5*  ──▶  a wider pattern              ──▶  PSUBSCRIBE __keyspace@0__:wa:*
//!                                  ◀──  opened, matched, as asked    ◀──  pmessage __keyspace@0__:wa:* …wa:~9VcDE… set
//! ```
//!
//! Several patterns of a client may become one at the server. What the client has asked for is therefore kept, and its
//! acknowledgements have its own words and its own number of subscriptions. Requests about patterns are sent one at a time:
//! which of them the server has accepted is known before the next one is read.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::ops::Range;

use waxseal_core::SealError;
use waxseal_named::{LeftOut, NameView};
use waxseal_policy::{
    Channels, Effect, ServerGlob, WiderGlob, escape_glob, literal_start, matches_glob,
    widen_channels,
};
use waxseal_resp::{Items, Kind, write_bulk, write_integer, write_request_head};

use super::state::ConnectionState;
use crate::answers;
use crate::open::{MessageParts, NameOpener, Named, is_keyevent, logical_channel, split_keyspace};
use crate::pending::{Pending, Remaining};
use crate::refusals::OwnReason;
use crate::seal::{Request, SendError};
use crate::subscriptions::{subscribe_acknowledgement, unsubscribe_acknowledgement};

mod patterns;

pub(super) use self::patterns::PatternTable;
use self::patterns::{PlannedPatterns, Step};

/// A pattern that nobody subscribes to: a server acknowledges the end of each subscription, whether there was one or not.
const NO_PATTERN: &[u8] = b"__waxseal@none__";
/// Steps that matching one channel with all patterns of a client may take. A message that takes more is not delivered through
/// the patterns that are left.
const MAX_GLOB_STEPS: usize = 10_000_000;

/// The arguments that are channels of those that may be stored under another name.
pub(super) fn channels_of(command: Option<&str>) -> Option<Range<usize>> {
    match command? {
        "subscribe" | "unsubscribe" => Some(1..usize::MAX),
        // A message of a client's own reaches those who subscribe to the channel.
        "publish" => Some(1..2),
        "pubsub|numsub" => Some(2..usize::MAX),
        _ => None,
    }
}

/// Appends the channel as the server has it, if it ends with a name that is stored sealed.
pub(super) fn store_channel(
    view: &NameView,
    channel: &[u8],
    out: &mut Vec<u8>,
) -> Result<bool, SealError> {
    let Some((head, name)) = split_keyspace(channel) else {
        return Ok(false);
    };
    let Some(stored) = view.stored(name)? else {
        return Ok(false);
    };
    out.extend_from_slice(head);
    out.extend_from_slice(&stored);
    Ok(true)
}

impl ConnectionState {
    /// True if names are stored sealed, so that messages of servers hold stored names. In a trial nothing is sealed.
    #[inline]
    pub(super) fn opens_names(&self) -> bool {
        self.protection.names().has_managed() && !self.protection.is_trial()
    }

    /// The pattern that the server is asked for in place of this one.
    fn server_pattern<'p>(&self, pattern: &'p [u8]) -> Result<Cow<'p, [u8]>, SendError> {
        let Some((head, _)) = split_keyspace(literal_start(pattern)) else {
            return Ok(match widen_channels(pattern) {
                WiderGlob::Same | WiderGlob::Covers => Cow::Borrowed(pattern),
                WiderGlob::Wider(wider) => Cow::Owned(wider),
            });
        };
        let name = pattern.get(head.len()..).unwrap_or_default();
        let name: Cow<'_, [u8]> = match self.protection.names().server_glob(name) {
            None => return Ok(Cow::Borrowed(pattern)),
            Some(ServerGlob::Bytes(wider)) => Cow::Owned(wider.into_vec()),
            Some(ServerGlob::OneName(_)) => Cow::Owned(escape_glob(&self.stored_name(name)?)),
        };
        Ok(Cow::Owned([head, &name].concat()))
    }

    /// `PSUBSCRIBE` and `PUNSUBSCRIBE`. Returns false if nothing was done: the request is forwarded.
    pub(super) fn change_patterns(
        &mut self,
        request: &Request<'_>,
        (command, effect): (&'static str, Effect),
        upstream: &mut Vec<u8>,
        client: &mut Vec<u8>,
    ) -> bool {
        let begins = match effect {
            Effect::Subscribe(Channels::Patterns) => true,
            Effect::Unsubscribe(Channels::Patterns) => false,
            _ => return false,
        };
        if !self.opens_names() {
            return false;
        }
        let asked: Vec<Box<[u8]>> = match request.arguments.get(1..).unwrap_or_default() {
            // All of them.
            [] if !begins => self.pushes.patterns.all().map(Box::from).collect(),
            asked => asked.iter().map(|pattern| Box::from(*pattern)).collect(),
        };
        if asked.is_empty() {
            return false;
        }
        let steps: Result<VecDeque<Step>, SendError> = asked
            .into_iter()
            .map(|client| match begins {
                false => Ok(Step::End(client)),
                true => {
                    let server = self.server_pattern(&client)?.into();
                    Ok(Step::Begin { client, server })
                }
            })
            .collect();
        let steps = match steps {
            Ok(steps) => steps,
            Err(error) => {
                let answer = self.record_send_error(command, request.arguments, &error);
                self.refuse(&answer, client);
                return true;
            }
        };
        let mut sent = Vec::new();
        write_request_head(&mut sent, steps.len().saturating_add(1));
        write_bulk(&mut sent, command.as_bytes());
        let mut planned = PlannedPatterns::new(&self.pushes.patterns);
        for step in &steps {
            match step {
                Step::Begin { client, server } => {
                    planned.begin(client, server);
                    write_bulk(&mut sent, server);
                }
                Step::End(client) => {
                    let ended = planned.end(client);
                    write_bulk(&mut sent, ended.as_deref().unwrap_or(NO_PATTERN));
                }
            }
        }
        if planned.retained_bytes() > self.limits.request {
            let answer = answers::request_too_large(command, self.limits.request);
            let reason = (Some(command), OwnReason::TooLarge);
            self.refuse_here(reason, answer, (request, effect), client);
            return true;
        }
        upstream.extend_from_slice(&sent);
        self.affinity.pin();
        self.await_reply();
        let word = match begins {
            true => subscribe_acknowledgement(Channels::Patterns),
            false => unsubscribe_acknowledgement(Channels::Patterns),
        };
        let remaining = Remaining::Count(steps.len());
        self.pushes.patterns.steps = steps;
        self.expect(Pending::Acknowledged { word, remaining });
        true
    }

    /// The acknowledgement of a subscription as the client gets it. `is_last` if it answers the request.
    pub(super) fn acknowledgement_of_client<'w>(
        &mut self,
        whole: &'w [u8],
        is_last: bool,
    ) -> Cow<'w, [u8]> {
        if !self.opens_names() {
            return Cow::Borrowed(whole);
        }
        let Some(parts) = Acknowledgement::of(whole) else {
            return Cow::Borrowed(whole);
        };
        let is_shard = matches!(parts.word, b"ssubscribe" | b"sunsubscribe");
        let is_of_patterns = parts.word.starts_with(b"p");
        let table = &mut self.pushes.patterns;
        let step = is_of_patterns.then(|| table.steps.pop_front()).flatten();
        let mut channel = Cow::Borrowed(parts.channel);
        if let Some(step) = step {
            table.apply(&step);
            if let (true, Step::Begin { client, .. } | Step::End(client)) =
                (parts.has_channel, step)
            {
                channel = Cow::Owned(client.into_vec());
            }
            if is_last {
                self.end_await();
            }
        } else if !is_of_patterns {
            let mut names = NameOpener::new(&self.protection);
            channel = match logical_channel(&mut names, parts.channel) {
                Some(Cow::Owned(logical)) => Cow::Owned(logical),
                Some(Cow::Borrowed(_)) | None => Cow::Borrowed(parts.channel),
            };
        }
        let additional = match is_shard {
            true => 0,
            false => self.pushes.patterns.additional(),
        };
        let additional = u64::try_from(additional).unwrap_or_default();
        if additional == 0 && *channel == *parts.channel {
            return Cow::Borrowed(whole);
        }
        let mut out = parts.start.to_vec();
        match parts.has_channel {
            true => write_bulk(&mut out, &channel),
            false => out.extend_from_slice(parts.raw_channel),
        }
        let count = parts.count.saturating_add(additional);
        write_integer(&mut out, i64::try_from(count).unwrap_or(i64::MAX));
        Cow::Owned(out)
    }

    /// A request about subscriptions was answered with an error.
    pub(super) fn subscription_failed(&mut self) {
        if !self.pushes.patterns.steps.is_empty() {
            self.pushes.patterns.steps.clear();
            self.end_await();
        }
    }

    /// Writes what the client gets for a message with names: the payload and the channel as clients know them, once for each
    /// of the client's patterns that match.
    pub(super) fn write_notification(&self, parts: &MessageParts<'_>, client: &mut Vec<u8>) {
        let mut names = NameOpener::new(&self.protection);
        if let Some(channel) = logical_channel(&mut names, parts.channel) {
            match is_keyevent(&channel) {
                false => self.deliver(parts, &channel, parts.payload, client),
                true => {
                    if let Some(payload) = logical_payload(&mut names, parts.payload) {
                        self.deliver(parts, &channel, &payload, client);
                    }
                }
            }
        }
        names.finish();
    }

    /// Writes a message with this channel and payload, as the client has subscribed to it.
    pub(super) fn deliver(
        &self,
        parts: &MessageParts<'_>,
        channel: &[u8],
        payload: &[u8],
        client: &mut Vec<u8>,
    ) {
        let mut write = |pattern: Option<&[u8]>| {
            client.extend_from_slice(parts.start);
            if let Some(pattern) = pattern {
                write_bulk(client, pattern);
            }
            write_bulk(client, channel);
            client.extend_from_slice(payload);
        };
        let Some(server) = parts.pattern else {
            return write(None);
        };
        let mut steps = MAX_GLOB_STEPS;
        for pattern in self.pushes.patterns.clients_of(server) {
            if pattern == server && channel == parts.channel
                || matches_glob(pattern, channel, &mut steps) == Some(true)
            {
                write(Some(pattern));
            }
        }
    }
}

/// The payload, which is a name, as clients know it.
fn logical_payload<'p>(names: &mut NameOpener<'_>, payload: &'p [u8]) -> Option<Cow<'p, [u8]>> {
    let item = Items::of(payload).next().ok()??;
    if item.kind != Kind::Bulk {
        names.leave_out(LeftOut::Junk);
        return None;
    }
    match names.open(item.text) {
        Named::Same => Some(Cow::Borrowed(payload)),
        Named::Logical(name) => {
            let mut out = Vec::new();
            write_bulk(&mut out, name);
            Some(Cow::Owned(out))
        }
        Named::LeftOut(reason, _) => {
            names.leave_out(reason);
            None
        }
    }
}

/// An acknowledgement: `[word, channel, count]`.
struct Acknowledgement<'w> {
    /// Everything before the channel.
    start: &'w [u8],
    word: &'w [u8],
    raw_channel: &'w [u8],
    channel: &'w [u8],
    /// False if there was no subscription to end.
    has_channel: bool,
    count: u64,
}

impl<'w> Acknowledgement<'w> {
    fn of(whole: &'w [u8]) -> Option<Self> {
        let mut items = Items::of(whole);
        let head = items.next().ok()??;
        let word = items.next().ok()??;
        let channel = items.next().ok()??;
        let count = items.next().ok()??;
        let start = head.raw.len().saturating_add(word.raw.len());
        Some(Self {
            start: whole.get(..start)?,
            word: word.text,
            raw_channel: channel.raw,
            channel: channel.text,
            has_channel: channel.kind == Kind::Bulk,
            count: std::str::from_utf8(count.text).ok()?.parse().ok()?,
        })
    }
}
