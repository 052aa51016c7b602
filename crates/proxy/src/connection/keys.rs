//! Keys that are not at hand: what requests need before they go out, and what a reply needs before it
//! can be opened. Nothing is fetched here: the conversation says what it waits for, and goes on when it
//! is given that.

use std::collections::HashMap;
use std::sync::Arc;

use smallvec::SmallVec;
use waxseal_core::UserKey;
use waxseal_keys::CacheLookup;
use waxseal_policy::{
    Action, Decision, PatternId, Place, ReplyShape, RequestChange, Transform, ValueSlot, decide,
};
use waxseal_resp::{Arguments, Scan};

use super::{Connection, ConnectionState, Unexplained};
use crate::answers;
use crate::keys::{Confirmation, Fetched, Freshness, KeyRequest, Lookup, Side};
use crate::pending::names_of;
use crate::protection::Protection;
use crate::seal::SealingKeys;

/// Users whose keys are asked for at once, beyond those of one request.
const MOST_AHEAD: usize = 1000;

/// Keys that requests wait for, and those that they were given.
#[derive(Default)]
pub(super) struct Keys {
    wanted: Option<Box<KeyRequest>>,
    /// Something was asked for and has not come.
    awaited: bool,
    /// What came. Whatever becomes of it elsewhere, the requests that waited for it go on with it.
    given: HashMap<Box<[u8]>, Lookup>,
    confirmation: Option<Confirmation>,
}

/// Whether a request can go out.
pub(super) enum Ready {
    /// Its values are sealed under these keys.
    Yes(SealingKeys),
    /// Not before more keys have come.
    NotYet,
    /// Not at all: this is the answer.
    Never(Vec<u8>),
}

impl Keys {
    /// Whether requests wait for something that was asked for.
    pub(super) fn are_awaited(&self) -> bool {
        self.awaited
    }

    /// The requests that waited have gone out.
    pub(super) fn forget(&mut self) {
        if !self.given.is_empty() {
            self.given = HashMap::new();
        }
        self.confirmation = None;
    }

    fn provide(&mut self, fetched: Fetched) {
        self.awaited = false;
        self.given.extend(fetched.users);
        self.confirmation = fetched.confirmation.or(self.confirmation);
    }
}

impl Connection {
    /// Keys that must be fetched before more requests are taken ([`Next::Keys`](super::Next::Keys)) or
    /// before more replies are ([`Answered::stalled`](super::Answered::stalled)). Each is said once;
    /// there can be one of both.
    pub fn wants(&mut self) -> Option<KeyRequest> {
        let of_requests = self.talk.keys.wanted.take();
        let wanted = of_requests.or_else(|| self.stalled.as_mut()?.wanted.take());
        wanted.map(|wanted| *wanted)
    }

    /// Takes the keys that were fetched, and appends the reply that waited for them, if one did: how
    /// many requests have their reply now.
    pub fn provide(
        &mut self,
        fetched: Fetched,
        client: &mut Vec<u8>,
    ) -> Result<usize, Unexplained> {
        if fetched.side == Side::Outward {
            self.talk.keys.provide(fetched);
            return Ok(0);
        }
        let Some(stalled) = self.stalled.take() else {
            return Ok(0);
        };
        let given = Some(&fetched.users);
        self.talk
            .give(&stalled.current, &stalled.whole, given, client)?;
        self.end_reply(stalled.current, &stalled.whole, client)
    }

    /// Whether a reply waits for keys, and everything behind it.
    #[must_use]
    pub fn is_stalled(&self) -> bool {
        self.stalled.is_some()
    }

    /// Nobody reads the reply that waits for keys: how many requests are done with.
    pub fn abandon_stalled_reply(&mut self) -> Result<usize, Unexplained> {
        match self.stalled.take() {
            None => Ok(0),
            Some(stalled) => self.end_reply(stalled.current, &stalled.whole, &mut Vec::new()),
        }
    }

    /// Requests wait for keys: what the ones behind them will need is fetched together with it.
    pub(super) fn look_ahead(&mut self, mut rest: &[u8]) {
        let talk = &mut self.talk;
        talk.keys.awaited = true;
        while talk.keys.wanted.as_ref().map_or(0, |it| it.users()) < MOST_AHEAD {
            let len = match self.scanner.scan(rest) {
                Ok(Scan::Complete { len }) => {
                    let arguments: Arguments<'_> = self.scanner.arguments(rest);
                    let Decision {
                        command, action, ..
                    } = decide(talk.protection.names(), &arguments);
                    talk.keys_of(command.unwrap_or_default(), &arguments, &action);
                    len
                }
                Ok(Scan::Nothing { len }) => len,
                _ => break,
            };
            self.scanner.reset();
            rest = rest.get(len..).unwrap_or_default();
        }
        self.scanner.reset();
    }
}

impl ConnectionState {
    /// Whether the keys of a request are at hand; those that are not are wanted from here on.
    pub(super) fn ready(
        &mut self,
        command: &'static str,
        arguments: &[&[u8]],
        action: &Action,
    ) -> Ready {
        let ready = self.keys_of(command, arguments, action);
        if matches!(ready, Ready::Never(_)) {
            self.keys.wanted = None;
        }
        ready
    }

    fn keys_of(&mut self, command: &'static str, arguments: &[&[u8]], action: &Action) -> Ready {
        if !matches!(action, Action::Transform(_) | Action::Script(_)) {
            return Ready::Yes(SealingKeys::default());
        }
        let mut search = Search {
            protection: &self.protection,
            keys: &mut self.keys,
            arguments,
            missing: false,
            never: None,
            last: None,
        };
        let mut keys = SealingKeys::default();
        match action {
            Action::Transform(Transform { request, reply }) => {
                if let RequestChange::Seal(slots) = request {
                    search.sealing(slots, &mut keys);
                }
                search.opening(reply);
            }
            Action::Script(call) => {
                if let Some(slot) = call.stored {
                    search.sealing(&SmallVec::from_elem(slot, 1), &mut keys);
                }
                search.opening(&ReplyShape::Value(call.place));
            }
            _ => {}
        }
        match (search.never, search.missing) {
            (Some(Never::OutOfReach), _) => Ready::Never(answers::user_out_of_reach(command)),
            (Some(Never::Lapsed), _) => Ready::Never(answers::ring_out_of_reach(command)),
            (None, true) => Ready::NotYet,
            (None, false) => Ready::Yes(keys),
        }
    }
}

/// Why a request does not go out.
enum Never {
    OutOfReach,
    Lapsed,
}

/// Looks for the keys of one request.
struct Search<'s, 'a> {
    protection: &'s Protection,
    keys: &'s mut Keys,
    arguments: &'s [&'a [u8]],
    missing: bool,
    never: Option<Never>,
    /// The record that was looked at last: many places have the same.
    last: Option<(PatternId, usize)>,
}

impl<'a> Search<'_, 'a> {
    fn sealing(&mut self, slots: &SmallVec<[ValueSlot; 2]>, keys: &mut SealingKeys) {
        let seals = |slot: &&ValueSlot| {
            let sealer = self.protection.sealer(slot.place.pattern);
            sealer.is_none_or(|sealer| sealer.mode().seals())
        };
        let slots: SmallVec<[&ValueSlot; 2]> = slots.iter().filter(seals).collect();
        if !slots.is_empty() {
            self.confirm();
        }
        let mut key: Option<Arc<UserKey>> = None;
        for slot in slots {
            let Place { pattern, name, .. } = slot.place;
            if self.last != Some((pattern, name)) {
                self.last = Some((pattern, name));
                key = self.sealing_key(pattern, name);
            }
            if let Some(key) = &key {
                keys.push(slot.argument, key.clone());
            }
        }
    }

    fn confirm(&mut self) {
        let Some(ring) = self.protection.live_ring() else {
            return;
        };
        match self.keys.confirmation {
            Some(Confirmation::Granted) => {}
            Some(Confirmation::Lapsed) => self.never = Some(Never::Lapsed),
            None if ring.is_confirmed() => {}
            None => {
                self.missing = true;
                self.wanted().confirm();
            }
        }
    }

    /// The live key of a record's user. `None` where there is none yet, and where the record's
    /// values are under the ring.
    fn sealing_key(&mut self, pattern: PatternId, name: usize) -> Option<Arc<UserKey>> {
        let users = self.protection.users()?;
        let user = self.user(pattern, self.argument(name))?;
        let is_live = |key: &Arc<UserKey>| key.id().is_some();
        match self.keys.given.get(user) {
            Some(Lookup::OutOfReach) => {
                self.never = Some(Never::OutOfReach);
                return None;
            }
            Some(Lookup::Key(key)) if is_live(key) => return Some(key.clone()),
            Some(Lookup::Key(_) | Lookup::Absent) | None => {}
        }
        match users.cached(user) {
            CacheLookup::Key(key) if is_live(&key) => Some(key),
            _ => {
                self.missing = true;
                self.wanted().user(user, Freshness::Create);
                None
            }
        }
    }

    fn opening(&mut self, reply: &ReplyShape) {
        if self.protection.users().is_none() {
            return;
        }
        match reply {
            ReplyShape::Verbatim => {}
            ReplyShape::Value(place)
            | ReplyShape::Elements(place)
            | ReplyShape::Length(place)
            | ReplyShape::Range { place, .. } => self.opening_one(place.pattern, place.name),
            ReplyShape::Fields { pattern, name }
            | ReplyShape::ScannedFields { pattern, name }
            | ReplyShape::OnlyValues { pattern, name } => self.opening_one(*pattern, *name),
            ReplyShape::EachField { pattern, name, .. } => self.opening_one(*pattern, *name),
            ReplyShape::EachName => {
                for name in 1..self.arguments.len() {
                    if let Some(pattern) = self.protection.names().find(self.argument(name)) {
                        self.opening_one(pattern, name);
                    }
                }
            }
            ReplyShape::Popped => {
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

    fn opening_one(&mut self, pattern: PatternId, name: usize) {
        if self.last == Some((pattern, name)) {
            return;
        }
        self.last = Some((pattern, name));
        // Values of excepted names are plain as a rule: a key is asked for when one is not.
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
        match self.keys.given.get(user) {
            Some(Lookup::OutOfReach) => self.never = Some(Never::OutOfReach),
            Some(Lookup::Key(_) | Lookup::Absent) => {}
            None if matches!(users.cached(user), CacheLookup::Unknown) => {
                self.missing = true;
                self.wanted().user(user, Freshness::Read);
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

    fn wanted(&mut self) -> &mut KeyRequest {
        let new = || Box::new(KeyRequest::new(Side::Outward));
        self.keys.wanted.get_or_insert_with(new)
    }
}
