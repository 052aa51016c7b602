//! One value of a reply: under which key it is opened, and whether a key that is not at hand is worth
//! asking for. Where values are in a reply is not known here.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use waxseal_core::{Binding, Form, OpenError, Sealer, Shape, UserKey};
use waxseal_keys::CacheLookup;
use waxseal_metrics::ValueMetrics;
use waxseal_policy::PatternId;

use crate::answers::{self, KeySource};
use crate::decoys::DecoyReads;
use crate::keys::{KeyRequest, Lookup, Side};
use crate::meters::Openings;
use crate::pending::{Name, Place};
use crate::protection::Protection;

/// The place of a value, borrowed: many of them share one record name.
#[derive(Clone, Copy)]
pub(crate) struct Spot<'p> {
    pub(crate) pattern: PatternId,
    pub(crate) name: &'p [u8],
    pub(crate) field: Option<&'p [u8]>,
}

impl<'p> From<&'p Place> for Spot<'p> {
    fn from(place: &'p Place) -> Self {
        Self {
            pattern: place.pattern,
            name: &place.name,
            field: place.field.as_deref(),
        }
    }
}

impl<'p> Spot<'p> {
    pub(crate) fn field(record: &'p Place, field: &'p [u8]) -> Self {
        Self {
            field: Some(field),
            ..Self::from(record)
        }
    }
}

/// A value that did not open: why, and its record.
pub(crate) type Broken = (OpenError, PatternId, Name);

/// What somebody is told of the values of a reply.
pub(crate) struct Noted {
    pub(crate) broken: Vec<Broken>,
    pub(crate) decoys: DecoyReads,
}

/// Opens values.
pub(crate) struct Values<'a> {
    protection: &'a Protection,
    /// What was fetched for this reply. `None` where nothing was yet and something can be.
    fetched: Option<&'a HashMap<Box<[u8]>, Lookup>>,
    /// Keys that are not at hand: where there are any, the reply must be opened again.
    wanted: Option<Box<KeyRequest>>,
    noted: Noted,
    openings: Openings,
    /// Users' keys that were at hand. Another time they may not be.
    used: Vec<(Name, Arc<UserKey>)>,
    /// The record of the last value and its user's sealer: the next value is often of the same.
    last: Option<(PatternId, Name, Sealer)>,
}

impl<'a> Values<'a> {
    /// Values of one reply; with what was fetched for it, where that has been done.
    pub(crate) fn new(
        protection: &'a Protection,
        fetched: Option<&'a HashMap<Box<[u8]>, Lookup>>,
    ) -> Self {
        Self {
            protection,
            fetched,
            wanted: None,
            noted: Noted {
                broken: Vec::new(),
                decoys: DecoyReads::default(),
            },
            openings: Openings::default(),
            used: Vec::new(),
            last: None,
        }
    }

    pub(crate) fn protection(&self) -> &'a Protection {
        self.protection
    }

    /// What is wanted, if anything is, or else the values that did not open and the decoys that did.
    pub(crate) fn finish(self) -> Result<Noted, Box<KeyRequest>> {
        match self.wanted {
            None => {
                if let Some(meters) = self.protection.metered() {
                    self.openings.count(meters);
                    meters.decoys.increment(self.noted.decoys.values());
                }
                Ok(self.noted)
            }
            Some(mut wanted) => {
                wanted.keep(self.used);
                Err(wanted)
            }
        }
    }

    /// A stored value, opened; or else what is answered in its place. Where a key is wanted the value
    /// is given as it is stored: the reply is not the client's.
    pub(crate) fn open<'s>(
        &mut self,
        command: &'static str,
        stored: &'s [u8],
        spot: Spot<'_>,
    ) -> Result<Cow<'s, [u8]>, Vec<u8>> {
        let binding = match spot.field {
            Some(field) => Binding::field(spot.name, field),
            None => Binding::record(spot.name),
        };
        let Some(sealer) = self.protection.sealer(spot.pattern) else {
            let refused = OpenError::Refused;
            return Err(answers::broken(command, &refused, KeySource::Environment));
        };
        let meters = self.protection.metered().map(|meters| &meters.values);
        let since = meters.and_then(ValueMetrics::start_open_timer);
        let opened = if self.protection.user(spot.pattern, spot.name).is_some() {
            self.of_user(sealer, spot).open(stored, binding)
        } else {
            sealer.open(stored, binding)
        };
        if let Some(meters) = meters {
            meters.record_open_duration(since);
            self.openings.note(stored, &opened, spot.pattern);
        }
        let error = match opened {
            Ok(Some(opened)) => {
                if opened.form == Form::Plain && sealer.mode().seals() {
                    self.protection.plain_value_read(spot.pattern);
                }
                if let Some(decoys) = self.protection.watched()
                    && decoys.is_one(spot.name)
                {
                    self.noted.decoys.note(command, spot.pattern, spot.name);
                }
                return Ok(opened.value);
            }
            // An empty value is an empty value.
            Ok(None) => return Ok(Cow::Borrowed(stored)),
            Err(error) => error,
        };
        if self.is_worth_asking(error, stored, spot) {
            return Ok(Cow::Borrowed(stored));
        }
        let key_source = self.key_source(stored, spot);
        let name = Name::from_slice(spot.name);
        self.noted.broken.push((error, spot.pattern, name));
        Err(answers::broken(command, &error, key_source))
    }

    /// The sealer of a record whose user may have a key.
    fn of_user(&mut self, sealer: &Sealer, spot: Spot<'_>) -> &Sealer {
        let known = self.last.as_ref();
        let known = known
            .is_some_and(|(pattern, name, _)| (*pattern, &name[..]) == (spot.pattern, spot.name));
        if !known {
            self.last = None;
        }
        let key = if known { None } else { self.key(spot) };
        let (_, _, sealer) = self.last.get_or_insert_with(|| {
            let sealer = match key {
                Some(key) => sealer.clone().for_user(key),
                // Opens what is under the ring.
                None => sealer.clone(),
            };
            (spot.pattern, Name::from_slice(spot.name), sealer)
        });
        sealer
    }

    fn key(&mut self, spot: Spot<'_>) -> Option<Arc<UserKey>> {
        let user = self.protection.user(spot.pattern, spot.name)?;
        match self.fetched.and_then(|fetched| fetched.get(user)) {
            Some(Lookup::Key(key)) => return Some(key.clone()),
            Some(Lookup::Absent) => return None,
            Some(Lookup::OutOfReach) | None => {}
        }
        match self.protection.users()?.cached(user) {
            CacheLookup::Key(key) => {
                if self.fetched.is_none() {
                    self.used.push((Name::from_slice(user), key.clone()));
                }
                Some(key)
            }
            CacheLookup::Absent | CacheLookup::Unknown => None,
        }
    }

    /// Asks for the key that would open a value, where it has not been asked for and there may be one.
    fn is_worth_asking(&mut self, error: OpenError, stored: &[u8], spot: Spot<'_>) -> bool {
        if self.fetched.is_some() || !self.protection.follows_keys() {
            return false;
        }
        if !matches!(
            error,
            OpenError::UnknownKey { .. } | OpenError::Erased { .. }
        ) {
            return false;
        }
        let Some(header) = Shape::of_header(stored) else {
            return false;
        };
        if !header.flags.per_user_key() {
            let has_ring = self.protection.live_ring().is_some();
            if has_ring {
                self.wanted().learn(header.key);
            }
            return has_ring;
        }
        let user = self.protection.user(spot.pattern, spot.name);
        if let Some(user) = user {
            // Made, or made anew, since it was looked up.
            self.wanted().other(user, header.key);
        }
        user.is_some()
    }

    fn wanted(&mut self) -> &mut KeyRequest {
        let new = || Box::new(KeyRequest::new(Side::Back));
        self.wanted.get_or_insert_with(new)
    }

    /// Whose key a value is under.
    fn key_source(&self, stored: &[u8], spot: Spot<'_>) -> KeySource {
        let of_user = Shape::of_header(stored).is_some_and(|header| header.flags.per_user_key());
        let user = self.protection.user(spot.pattern, spot.name);
        let found = user.and_then(|user| self.fetched?.get(user));
        match (of_user, found) {
            (true, Some(Lookup::OutOfReach)) => KeySource::UserOutOfReach,
            (true, _) => KeySource::User,
            (false, _) if self.protection.live_ring().is_some() => KeySource::Ring,
            (false, _) => KeySource::Environment,
        }
    }
}
