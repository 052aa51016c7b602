//! Client-side caching, where names are stored sealed: servers announce stored names, and clients get those that they know.
//!
//! With `BCAST`, a client follows all records whose names begin with its prefixes. A prefix that is longer than one behind
//! which names are sealed is sent shortened, and what else the server announces is left out here. What does not open is
//! left out as well; a name more than the client asked for does no harm, and one that is missing would.

use waxseal_policy::{Effect, TrackingCall, widen_prefix};
use waxseal_resp::{Items, Kind, write_array_head, write_bulk, write_request_head};

use super::state::ConnectionState;
use crate::answers;
use crate::open::{INVALIDATIONS, MessageParts, NameOpener, Named};
use crate::pending::strings::Strings;
use crate::pending::{Pending, Protocol, Shape};
use crate::refusals::OwnReason;
use crate::seal::Request;

/// The first word of those that are pushed.
pub(super) const WORD: &[u8] = b"invalidate";

/// The prefixes that a client may have: each is compared with all others, and with each name that is announced.
const MAX_PREFIXES: usize = 1_000;

/// The prefixes of `CLIENT TRACKING`.
#[derive(Default)]
pub(super) struct Prefixes {
    /// Those that the client said.
    client: Vec<Box<[u8]>>,
    /// Those that the server has.
    server: Vec<Box<[u8]>>,
    /// What the request under way makes of them, if the server accepts it.
    next: Option<NextPrefixes>,
}

struct NextPrefixes {
    client: Vec<Box<[u8]>>,
    server: Vec<Box<[u8]>>,
}

/// True if all names with one of these prefixes have the other one too.
fn overlap(one: &[u8], other: &[u8]) -> bool {
    one.starts_with(other) || other.starts_with(one)
}

impl ConnectionState {
    /// `CLIENT TRACKING`, with some names that are stored sealed.
    pub(super) fn change_tracking(
        &mut self,
        (request, command, effect): (&Request<'_>, &'static str, Effect),
        call: &TrackingCall,
        upstream: &mut Vec<u8>,
        client: &mut Vec<u8>,
    ) {
        if self.transaction.is_open() {
            let reason = (Some(command), OwnReason::InTransaction);
            let answer = answers::refused_in_transaction(command);
            return self.refuse_here(reason, answer, (request, effect), client);
        }
        let argument = |at: &usize| request.arguments.get(*at).copied().unwrap_or_default();
        let asked: Vec<&[u8]> = call.prefixes.iter().map(argument).collect();
        let known = &self.pushes.prefixes;
        if known.client.len().saturating_add(asked.len()) > MAX_PREFIXES {
            let reason = (Some(command), OwnReason::TooLarge);
            let answer = answers::too_many_prefixes(MAX_PREFIXES);
            return self.refuse_here(reason, answer, (request, effect), client);
        }
        // Judged by the client's own prefixes: the server has others. Without these options it refuses prefixes anyway.
        if call.is_on
            && call.is_broadcast
            && let Some(answer) = overlapping(&asked, &known.client)
        {
            return self.answer(&answer, client);
        }
        let managed = || self.protection.names().managed_prefixes();
        let mut wider: Vec<&[u8]> = asked.iter().map(|it| widen_prefix(it, managed())).collect();
        // The shorter one of two that overlap announces all that the other one would.
        wider.sort_unstable();
        wider.dedup_by(|longer, shorter| longer.starts_with(shorter));
        let is_same = wider.len() == asked.len() && asked.iter().all(|it| wider.contains(it));
        let is_known = |it: &&[u8]| known.server.iter().any(|other| overlap(it, other));
        if call.is_on && call.is_broadcast && wider.iter().any(is_known) {
            let reason = (Some(command), OwnReason::SealedNames);
            let answer = answers::tracking_of_more_names();
            return self.refuse_here(reason, answer, (request, effect), client);
        }
        match is_same {
            true => request.forward(upstream),
            false => write_tracking(request.arguments, call, &wider, upstream),
        }
        let mut next = NextPrefixes {
            client: Vec::new(),
            server: Vec::new(),
        };
        if call.is_on {
            next.client.clone_from(&known.client);
            next.server.clone_from(&known.server);
            next.client.extend(asked.iter().map(|it| Box::from(*it)));
            next.server.extend(wider.iter().map(|it| Box::from(*it)));
            let has_all = next.client.iter().any(|it| it.is_empty());
            if call.is_broadcast && asked.is_empty() && !has_all {
                // All names have the empty prefix.
                next.client.push(Box::default());
                next.server.push(Box::default());
            }
        }
        self.pushes.prefixes.next = Some(next);
        self.affinity.add_trace();
        self.affinity.pin();
        self.await_reply();
        self.expect(Pending::Unsettled { command });
    }

    /// The reply to a request that has this command.
    pub(super) fn tracking_reply(&mut self, command: &str, is_ok: bool) {
        if command != "client|tracking" {
            return;
        }
        let prefixes = &mut self.pushes.prefixes;
        if let Some(next) = prefixes.next.take().filter(|_| is_ok) {
            (prefixes.client, prefixes.server) = (next.client, next.server);
        }
    }

    /// The shape of the reply to `CLIENT TRACKINGINFO`.
    pub(super) fn tracking_info(&self) -> Shape {
        let mut prefixes: Vec<&[u8]> = self.pushes.prefixes.client.iter().map(|it| &**it).collect();
        prefixes.sort_unstable();
        Shape::Prefixes(Box::new(Strings::new(prefixes)))
    }

    /// Writes what the client gets for an announcement that records have changed, or nothing.
    pub(super) fn write_invalidation(&self, parts: &MessageParts<'_>, client: &mut Vec<u8>) {
        let mut names = NameOpener::new(&self.protection);
        // A message to another connection's subscriber has prefixes that are not known here.
        let prefixes = match parts.channel {
            INVALIDATIONS => &[][..],
            _ => &self.pushes.prefixes.client[..],
        };
        if let Some(payload) = logical_names(&mut names, prefixes, parts.payload) {
            client.extend_from_slice(parts.start);
            if parts.channel == INVALIDATIONS {
                write_bulk(client, INVALIDATIONS);
            }
            client.extend_from_slice(&payload);
        }
        names.finish();
    }

    /// An announcement was too large to be held: all records may have changed.
    pub(super) fn write_invalidation_of_all(&self, start: &[u8], client: &mut Vec<u8>) {
        match (start.first(), self.client.protocol) {
            (Some(b'>'), Protocol::Resp3) if !is_message(start) => {
                client.extend_from_slice(b">2\r\n");
                write_bulk(client, WORD);
            }
            (first, _) => {
                client.push(first.copied().unwrap_or(b'*'));
                client.extend_from_slice(b"3\r\n");
                write_bulk(client, b"message");
                write_bulk(client, INVALIDATIONS);
            }
        }
        client.extend_from_slice(match self.client.protocol {
            Protocol::Resp2 => b"$-1\r\n",
            Protocol::Resp3 => b"_\r\n",
        });
    }
}

/// True if these are the first bytes of a message to a subscriber.
fn is_message(start: &[u8]) -> bool {
    crate::open::channel(start).is_some()
}

/// A server's answer to prefixes that overlap, with one that the connection has or among themselves.
fn overlapping(asked: &[&[u8]], known: &[Box<[u8]>]) -> Option<Vec<u8>> {
    for (at, prefix) in asked.iter().enumerate() {
        if let Some(other) = known.iter().find(|other| overlap(prefix, other)) {
            return Some(answers::overlapping_prefixes(prefix, "an existing", other));
        }
        let mut others = asked.iter().skip(at.saturating_add(1));
        if let Some(other) = others.find(|other| overlap(prefix, other)) {
            return Some(answers::overlapping_prefixes(
                prefix,
                "another provided",
                other,
            ));
        }
    }
    None
}

/// Appends the request with these prefixes in place of its own.
fn write_tracking(
    arguments: &[&[u8]],
    call: &TrackingCall,
    prefixes: &[&[u8]],
    upstream: &mut Vec<u8>,
) {
    let is_of_prefix = |at: usize| {
        let value = at.saturating_add(1);
        // They are in order.
        [at, value]
            .iter()
            .any(|at| call.prefixes.binary_search(at).is_ok())
    };
    let others: Vec<&[u8]> = arguments
        .iter()
        .enumerate()
        .filter(|(at, _)| !is_of_prefix(*at))
        .map(|(_, argument)| *argument)
        .collect();
    let len = prefixes
        .len()
        .saturating_mul(2)
        .saturating_add(others.len());
    write_request_head(upstream, len);
    for argument in others {
        write_bulk(upstream, argument);
    }
    for prefix in prefixes {
        write_bulk(upstream, b"PREFIX");
        write_bulk(upstream, prefix);
    }
}

/// The names as clients know them, of those that begin with one of these prefixes, if there are some. `None` if none is left.
fn logical_names(
    names: &mut NameOpener<'_>,
    prefixes: &[Box<[u8]>],
    payload: &[u8],
) -> Option<Vec<u8>> {
    let mut items = Items::of(payload);
    let head = items.next().ok()??;
    let Kind::Array(count) = head.kind else {
        // Null: all records may have changed.
        return Some(payload.to_vec());
    };
    let mut written = 0_usize;
    let mut all = Vec::new();
    for _ in 0..count {
        let item = items.next().ok()??;
        let is_asked =
            |name: &[u8]| prefixes.is_empty() || prefixes.iter().any(|it| name.starts_with(it));
        match names.open(item.text) {
            Named::Same if is_asked(item.text) => all.extend_from_slice(item.raw),
            Named::Logical(name) if is_asked(name) => write_bulk(&mut all, name),
            Named::Same | Named::Logical(_) => continue,
            Named::LeftOut(reason, _) => {
                names.leave_out(reason);
                continue;
            }
        }
        written = written.saturating_add(1);
    }
    if written == 0 {
        return None;
    }
    let mut out = Vec::new();
    write_array_head(&mut out, written);
    out.extend_from_slice(&all);
    Some(out)
}
