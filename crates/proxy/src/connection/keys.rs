//! Keys that are not at hand: those that requests need before they can be sent, and those that a reply needs before it
//! can be opened. Nothing is fetched here: the connection says which keys it waits for, and continues when they are
//! provided.
//!
//! ```text
//! requests()        Step::Retry(Next::Keys), Phase::AwaitingKeys; the keys of later requests are added (prefetch_keys)
//! take_key_request  the caller fetches them; other clients are served meanwhile
//! provide()         Phase::Open; the request is decided again, and finds the keys among those provided
//! ```

use std::collections::HashMap;
use std::sync::Arc;

use smallvec::SmallVec;
use waxseal_core::UserKey;
use waxseal_keys::CacheLookup;
use waxseal_policy::{
    Action, Decision, Layout, Location, MemberScan, PatternId, RecordFields, ReplyShape,
    RequestChange, Transform, ValuePart, ValueSlot, decide,
};
use waxseal_resp::{Arguments, Scan};

use super::replies::StalledReply;
use super::state::{ConnectionState, Phase, ReplyState};
use super::{Connection, UnexpectedReply};
use crate::answers;
use crate::keys::{Confirmation, Direction, FetchedKeys, Freshness, KeyRequest, Lookup};
use crate::pending::names_of;
use crate::protection::Protection;
use crate::seal::{SealingKeys, are_compared};

/// Users whose keys are fetched ahead together with those of one request.
const MAX_PREFETCHED_USERS: usize = 1000;

/// Keys that requests wait for, and those that were provided.
#[derive(Default)]
pub(super) struct Keys {
    key_request: Option<Box<KeyRequest>>,
    /// The keys that were provided. The requests that waited for them use these, whatever happens to them elsewhere.
    provided: HashMap<Box<[u8]>, Lookup>,
    confirmation: Option<Confirmation>,
}

/// The readiness of a request.
pub(super) enum Ready {
    /// Its values are sealed under these keys.
    Yes(SealingKeys),
    /// More keys must be fetched first.
    NotYet,
    /// It cannot be sent: this is the answer.
    Unavailable(Vec<u8>),
}

impl Keys {
    /// The requests that waited were sent.
    pub(super) fn forget(&mut self) {
        if !self.provided.is_empty() {
            self.provided = HashMap::new();
        }
        self.confirmation = None;
    }

    fn provide(&mut self, fetched: FetchedKeys) {
        self.provided.extend(fetched.users);
        self.confirmation = fetched.confirmation.or(self.confirmation);
    }
}

impl Connection {
    /// The keys that must be fetched before more requests are read ([`Next::Keys`](super::Next::Keys)) or before more
    /// replies are ([`ReplyProgress::stalled`](super::ReplyProgress::stalled)). Each request for keys is returned once;
    /// there can be one for both directions.
    pub fn take_key_request(&mut self) -> Option<KeyRequest> {
        let of_requests = self.state.keys.key_request.take();
        of_requests
            .or_else(|| match &mut self.state.reply {
                ReplyState::Stalled(stalled) => stalled.key_request.take(),
                ReplyState::Idle | ReplyState::Receiving { .. } => None,
            })
            .map(|key_request| *key_request)
    }

    /// Takes the keys that were fetched, and appends the reply that waited for them, if one did. Returns the number of
    /// requests that have their reply now.
    pub fn provide(
        &mut self,
        fetched: FetchedKeys,
        client: &mut Vec<u8>,
    ) -> Result<usize, UnexpectedReply> {
        if fetched.direction == Direction::Request {
            self.state.keys.provide(fetched);
            if matches!(self.state.phase, Phase::AwaitingKeys) {
                self.state.phase = Phase::Open;
            }
            return Ok(0);
        }
        let Some(stalled) = self.take_stalled() else {
            return Ok(0);
        };
        let provided = Some(&fetched.users);
        self.state
            .write_reply(&stalled.current, &stalled.whole, provided, client)?;
        self.end_stalled(stalled.current, &stalled.whole, client)
    }

    /// The client does not read any more: gives up the reply that waits for keys. Returns the number of requests that
    /// need no reply any more.
    pub fn abandon_stalled_reply(&mut self) -> Result<usize, UnexpectedReply> {
        match self.take_stalled() {
            None => Ok(0),
            Some(stalled) => self.end_stalled(stalled.current, &stalled.whole, &mut Vec::new()),
        }
    }

    fn take_stalled(&mut self) -> Option<Box<StalledReply>> {
        match std::mem::take(&mut self.state.reply) {
            ReplyState::Stalled(stalled) => Some(stalled),
            other => {
                self.state.reply = other;
                None
            }
        }
    }

    /// Reading stops because of missing keys: adds the keys that the next requests will need, so that they are fetched
    /// together.
    pub(super) fn prefetch_keys(&mut self, mut bytes: &[u8]) {
        let state = &mut self.state;
        state.phase = Phase::AwaitingKeys;
        let users = |keys: &Keys| {
            keys.key_request
                .as_ref()
                .map_or(0, |request| request.users())
        };
        while users(&state.keys) < MAX_PREFETCHED_USERS {
            let len = match self.request_scanner.scan(bytes) {
                Ok(Scan::Complete { len }) => {
                    let arguments: Arguments<'_> = self.request_scanner.arguments(bytes);
                    let Decision {
                        command, action, ..
                    } = decide(state.protection.names(), &arguments);
                    state.keys_of(command.unwrap_or_default(), &arguments, &action);
                    len
                }
                Ok(Scan::Nothing { len }) => len,
                _ => break,
            };
            self.request_scanner.reset();
            bytes = bytes.get(len..).unwrap_or_default();
        }
        self.request_scanner.reset();
    }
}

impl ConnectionState {
    /// Finds the keys of a request, and asks for those that are not at hand.
    pub(super) fn ready(
        &mut self,
        command: &'static str,
        arguments: &[&[u8]],
        action: &Action,
    ) -> Ready {
        let ready = self.keys_of(command, arguments, action);
        if matches!(ready, Ready::Unavailable(_)) {
            self.keys.key_request = None;
        }
        ready
    }

    fn keys_of(&mut self, command: &'static str, arguments: &[&[u8]], action: &Action) -> Ready {
        if !matches!(
            action,
            Action::Transform(_)
                | Action::Script(_)
                | Action::Compute(_)
                | Action::Move(_)
                | Action::Sort(_)
        ) {
            return Ready::Yes(SealingKeys::default());
        }
        let mut search = Search {
            protection: &self.protection,
            keys: &mut self.keys,
            arguments,
            missing: false,
            unavailable: None,
            last: None,
        };
        let mut keys = SealingKeys::default();
        search.action(command, action, &mut keys);
        match (search.unavailable, search.missing) {
            (Some(Unavailable::OutOfReach), _) => {
                Ready::Unavailable(answers::user_out_of_reach(command))
            }
            (Some(Unavailable::Lapsed), _) => {
                Ready::Unavailable(answers::ring_out_of_reach(command))
            }
            (None, true) => Ready::NotYet,
            (None, false) => Ready::Yes(keys),
        }
    }
}

/// The reason why a request cannot be sent.
enum Unavailable {
    /// The key of a user cannot be read.
    OutOfReach,
    /// The keyring was not confirmed in time.
    Lapsed,
}

/// A search for the keys of one request.
struct Search<'s, 'a> {
    protection: &'s Protection,
    keys: &'s mut Keys,
    arguments: &'s [&'a [u8]],
    missing: bool,
    unavailable: Option<Unavailable>,
    /// The record that was searched for last: many values have the same.
    last: Option<(PatternId, usize)>,
}

impl<'a> Search<'_, 'a> {
    /// Adds the keys that this action needs.
    fn action(&mut self, command: &'static str, action: &Action, keys: &mut SealingKeys) {
        match action {
            Action::Transform(Transform { request, reply }) => {
                if let RequestChange::Seal(slots) = request {
                    self.sealing(slots, keys);
                    if are_compared(command, slots) {
                        self.looking_up(slots, keys);
                    }
                }
                self.opening(reply);
            }
            Action::Script(call) => {
                if let Some(slot) = call.stored {
                    self.sealing(&[slot], keys);
                }
                self.opening(&ReplyShape::Record(call.location, Layout::Value));
            }
            Action::Move(call) => {
                let location = call.destination;
                let argument = location.name;
                self.sealing(&[ValueSlot { argument, location }], keys);
                if let Some(pattern) = call.pattern {
                    let name = call.source;
                    let source = Location {
                        pattern,
                        name,
                        ..location
                    };
                    self.opening(&ReplyShape::Record(source, Layout::Value));
                }
            }
            Action::Sort(call) => {
                if let Some((argument, Some(location))) = call.destination {
                    self.sealing(&[ValueSlot { argument, location }], keys);
                }
                if let Some(pattern) = call.pattern {
                    self.opening_record(pattern, call.source);
                }
            }
            Action::Compute(call) => {
                if !call.reads {
                    let argument = call.location.name;
                    let location = call.location;
                    self.sealing(&[ValueSlot { argument, location }], keys);
                }
                self.opening(&ReplyShape::Record(call.location, Layout::Value));
            }
            _ => {}
        }
    }

    /// Adds the keys that these values are sealed under.
    fn sealing(&mut self, slots: &[ValueSlot], keys: &mut SealingKeys) {
        let seals = |slot: &&ValueSlot| {
            let sealer = self.protection.sealer(slot.location.pattern);
            sealer.is_none_or(|sealer| sealer.mode().seals())
        };
        let slots: SmallVec<[&ValueSlot; 2]> = slots.iter().filter(seals).collect();
        if !slots.is_empty() {
            self.confirm();
        }
        let mut key: Option<Arc<UserKey>> = None;
        for slot in slots {
            let Location { pattern, name, .. } = slot.location;
            if self.last != Some((pattern, name)) {
                self.last = Some((pattern, name));
                key = self.sealing_key(pattern, name);
            }
            if let Some(key) = &key {
                keys.push(slot.argument, key.clone());
            }
        }
    }

    /// Adds the keys that values may be sealed under which are written plain, and found in either form. No key is created
    /// for them.
    fn looking_up(&mut self, slots: &[ValueSlot], keys: &mut SealingKeys) {
        for slot in slots {
            let Location { pattern, name, .. } = slot.location;
            let sealer = self.protection.sealer(pattern);
            if pattern.is_excepted() || sealer.is_none_or(|sealer| sealer.mode().seals()) {
                continue;
            }
            let Some(user) = self.user(pattern, self.argument(name)) else {
                continue;
            };
            self.opening_key(user);
            if let Some(key) = self.existing_key(user) {
                keys.push(slot.argument, key);
            }
        }
    }

    /// The live key of a user, if it is at hand.
    fn existing_key(&self, user: &[u8]) -> Option<Arc<UserKey>> {
        let key = match self.keys.provided.get(user) {
            Some(Lookup::Key(key)) => Some(key.clone()),
            Some(Lookup::Absent | Lookup::OutOfReach) => None,
            None => match self.protection.users()?.cached(user) {
                CacheLookup::Key(key) => Some(key),
                CacheLookup::Absent | CacheLookup::Unknown => None,
            },
        };
        key.filter(|key| key.id().is_some())
    }

    /// Asks for confirmation that the ring may still seal.
    fn confirm(&mut self) {
        let Some(ring) = self.protection.live_ring() else {
            return;
        };
        match self.keys.confirmation {
            Some(Confirmation::Granted) => {}
            Some(Confirmation::Lapsed) => self.unavailable = Some(Unavailable::Lapsed),
            None if ring.is_confirmed() => {}
            None => {
                self.missing = true;
                self.key_request().confirm();
            }
        }
    }

    /// The live key of a record's user. `None` if the user has none yet, and if the record's values are under the ring.
    fn sealing_key(&mut self, pattern: PatternId, name: usize) -> Option<Arc<UserKey>> {
        let users = self.protection.users()?;
        let user = self.user(pattern, self.argument(name))?;
        let is_live = |key: &Arc<UserKey>| key.id().is_some();
        match self.keys.provided.get(user) {
            Some(Lookup::OutOfReach) => {
                self.unavailable = Some(Unavailable::OutOfReach);
                return None;
            }
            Some(Lookup::Key(key)) if is_live(key) => return Some(key.clone()),
            Some(Lookup::Key(_) | Lookup::Absent) | None => {}
        }
        match users.cached(user) {
            CacheLookup::Key(key) if is_live(&key) => Some(key),
            _ => {
                self.missing = true;
                self.key_request().user(user, Freshness::Live);
                None
            }
        }
    }

    /// Asks for the keys that the values of a reply may need.
    fn opening(&mut self, reply: &ReplyShape) {
        if self.protection.users().is_none() {
            return;
        }
        match reply {
            ReplyShape::Verbatim | ReplyShape::Names(_) => {}
            ReplyShape::Record(location, _)
            | ReplyShape::EachField(RecordFields {
                record: location, ..
            })
            | ReplyShape::Part(ValuePart { location, .. })
            | ReplyShape::Members(MemberScan { location, .. }) => {
                self.opening_record(location.pattern, location.name);
            }
            ReplyShape::EachName(()) => {
                for name in 1..self.arguments.len() {
                    if let Some(pattern) = self.protection.names().find(self.argument(name)) {
                        self.opening_record(pattern, name);
                    }
                }
            }
            ReplyShape::AnyName((), _) | ReplyShape::Streams(()) => {
                for name in names_of(self.arguments) {
                    if let Some(pattern) = self.protection.names().find_sealed(name)
                        && let Some(user) = self.user(pattern, name)
                    {
                        self.opening_key(user);
                    }
                }
            }
        }
    }

    fn opening_record(&mut self, pattern: PatternId, name: usize) {
        if self.last == Some((pattern, name)) {
            return;
        }
        self.last = Some((pattern, name));
        // Values of excepted names are plain as a rule: a key is fetched if one is not.
        if pattern.is_excepted() {
            return;
        }
        if let Some(user) = self.user(pattern, self.argument(name)) {
            self.opening_key(user);
        }
    }

    fn opening_key(&mut self, user: &[u8]) {
        let Some(users) = self.protection.users() else {
            return;
        };
        match self.keys.provided.get(user) {
            Some(Lookup::OutOfReach) => self.unavailable = Some(Unavailable::OutOfReach),
            Some(Lookup::Key(_) | Lookup::Absent) => {}
            None if matches!(users.cached(user), CacheLookup::Unknown) => {
                self.missing = true;
                self.key_request().user(user, Freshness::Cached);
            }
            None => {}
        }
    }

    fn user<'n>(&self, pattern: PatternId, name: &'n [u8]) -> Option<&'n [u8]> {
        self.protection.user(pattern, name)
    }

    fn argument(&self, index: usize) -> &'a [u8] {
        self.arguments.get(index).copied().unwrap_or_default()
    }

    fn key_request(&mut self) -> &mut KeyRequest {
        let new = || Box::new(KeyRequest::new(Direction::Request));
        self.keys.key_request.get_or_insert_with(new)
    }
}
