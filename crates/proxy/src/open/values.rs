//! One value of a reply: the key that opens it, and the decision to fetch one that is not at hand. The positions of
//! values in a reply are not known here.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use waxseal_core::{Form, KeyId, OpenError, Sealer, Shape, UserKey};
use waxseal_keys::CacheLookup;
use waxseal_metrics::ValueMetrics;
use waxseal_policy::PatternId;

use crate::answers::{self, KeySource};
use crate::decoys::DecoyReads;
use crate::keys::{Direction, KeyRequest, Lookup};
use crate::location::{BorrowedLocation, Name, binding};
use crate::meters::OpenOutcomes;
use crate::protection::Protection;

/// A value that did not open: the reason, and its record.
pub(crate) type Broken = (OpenError, PatternId, Name);

/// Events in the values of a reply that are reported when it is passed on.
pub(crate) struct ReplyFindings {
    pub(crate) broken: Vec<Broken>,
    pub(crate) decoys: DecoyReads,
}

/// Opens the values of one reply.
pub(crate) struct ValueOpener<'a> {
    protection: &'a Protection,
    /// The keys that were fetched for this reply. `None` if none were yet and some can be.
    fetched: Option<&'a HashMap<Box<[u8]>, Lookup>>,
    /// Keys that are not at hand: if there are any, the reply must be opened again.
    key_request: Option<Box<KeyRequest>>,
    findings: ReplyFindings,
    outcomes: OpenOutcomes,
    /// Users' keys that were at hand. The next time they may not be.
    used: Vec<(Name, Arc<UserKey>)>,
    /// The record of the last value and its user's sealer: the next value is often of the same record.
    last: Option<(PatternId, Name, Sealer)>,
}

impl<'a> ValueOpener<'a> {
    /// Opens with the keys that were fetched for the reply, if that has been done.
    pub(crate) fn new(
        protection: &'a Protection,
        fetched: Option<&'a HashMap<Box<[u8]>, Lookup>>,
    ) -> Self {
        Self {
            protection,
            fetched,
            key_request: None,
            findings: ReplyFindings {
                broken: Vec::new(),
                decoys: DecoyReads::default(),
            },
            outcomes: OpenOutcomes::default(),
            used: Vec::new(),
            last: None,
        }
    }

    pub(crate) fn protection(&self) -> &'a Protection {
        self.protection
    }

    /// Returns the findings: values that did not open, and decoys that did. `Err` are the keys that are missing.
    pub(crate) fn finish(&mut self) -> Result<&ReplyFindings, Box<KeyRequest>> {
        match self.key_request.take() {
            None => {
                if let Some(meters) = self.protection.metered() {
                    self.outcomes.count(meters);
                    meters.decoys.increment(self.findings.decoys.values());
                }
                Ok(&self.findings)
            }
            Some(mut key_request) => {
                key_request.keep(std::mem::take(&mut self.used));
                Err(key_request)
            }
        }
    }

    /// Asks for a key of the ring that a name is sealed under, unless keys were fetched for the reply before. Returns true if
    /// it was asked for.
    pub(crate) fn learn(&mut self, id: KeyId) -> bool {
        let can_learn = self.fetched.is_none() && self.protection.live_ring().is_some();
        if can_learn {
            self.key_request().learn(id);
        }
        can_learn
    }

    /// Opens a stored value; `Err` is the answer that replaces it. If a key is missing, the stored bytes are returned: the
    /// reply will not be passed on.
    pub(crate) fn open<'s>(
        &mut self,
        command: &'static str,
        stored: &'s [u8],
        location: BorrowedLocation<'_>,
    ) -> Result<Cow<'s, [u8]>, Vec<u8>> {
        let binding = binding(location);
        let Some(sealer) = self.protection.sealer(location.pattern) else {
            let refused = OpenError::Refused;
            return Err(answers::value_not_opened(
                command,
                &refused,
                KeySource::Environment,
            ));
        };
        let meters = self.protection.metered().map(|meters| &meters.values);
        let since = meters.and_then(ValueMetrics::start_open_timer);
        let opened = if self
            .protection
            .user(location.pattern, location.name)
            .is_some()
        {
            self.user_sealer(sealer, location).open(stored, binding)
        } else {
            sealer.open(stored, binding)
        };
        if let Some(meters) = meters {
            meters.record_open_duration(since);
            self.outcomes.record(stored, &opened, location.pattern);
        }
        let error = match opened {
            Ok(Some(opened)) => {
                if opened.form == Form::Plain && sealer.mode().seals() {
                    self.protection
                        .plain_value_read(location.pattern, location.kind);
                }
                if let Some(decoys) = self.protection.active_decoys()
                    && decoys.contains(location.name)
                {
                    self.findings
                        .decoys
                        .record(command, location.pattern, location.name);
                }
                return Ok(opened.value);
            }
            // An empty value is stored as it is.
            Ok(None) => return Ok(Cow::Borrowed(stored)),
            Err(error) => error,
        };
        if self.request_key(error, stored, location) {
            return Ok(Cow::Borrowed(stored));
        }
        let key_source = self.key_source(stored, location);
        let name = Name::from_slice(location.name);
        self.findings.broken.push((error, location.pattern, name));
        Err(answers::value_not_opened(command, &error, key_source))
    }

    /// The sealer of a record whose user may have a key.
    fn user_sealer(&mut self, sealer: &Sealer, location: BorrowedLocation<'_>) -> &Sealer {
        let known = self.last.as_ref();
        let known = known.is_some_and(|(pattern, name, _)| {
            (*pattern, &name[..]) == (location.pattern, location.name)
        });
        if !known {
            self.last = None;
        }
        let key = if known { None } else { self.key(location) };
        let (_, _, sealer) = self.last.get_or_insert_with(|| {
            let sealer = match key {
                Some(key) => sealer.clone().for_user(key),
                // Opens values under the ring.
                None => sealer.clone(),
            };
            (location.pattern, Name::from_slice(location.name), sealer)
        });
        sealer
    }

    fn key(&mut self, location: BorrowedLocation<'_>) -> Option<Arc<UserKey>> {
        let user = self.protection.user(location.pattern, location.name)?;
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

    /// Asks for the key that would open a value, unless it was asked for before or cannot exist. Returns true if it was
    /// asked for.
    fn request_key(
        &mut self,
        error: OpenError,
        stored: &[u8],
        location: BorrowedLocation<'_>,
    ) -> bool {
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
                self.key_request().learn(header.key);
            }
            return has_ring;
        }
        let user = self.protection.user(location.pattern, location.name);
        if let Some(user) = user {
            // Created or replaced since it was looked up.
            self.key_request().other(user, header.key);
        }
        user.is_some()
    }

    fn key_request(&mut self) -> &mut KeyRequest {
        let new = || Box::new(KeyRequest::new(Direction::Reply));
        self.key_request.get_or_insert_with(new)
    }

    /// The source of the key that a value is under.
    fn key_source(&self, stored: &[u8], location: BorrowedLocation<'_>) -> KeySource {
        let is_user_key =
            Shape::of_header(stored).is_some_and(|header| header.flags.per_user_key());
        let user = self.protection.user(location.pattern, location.name);
        let found = user.and_then(|user| self.fetched?.get(user));
        match (is_user_key, found) {
            (true, Some(Lookup::OutOfReach)) => KeySource::UserOutOfReach,
            (true, _) => KeySource::User,
            (false, _) if self.protection.live_ring().is_some() => KeySource::Ring,
            (false, _) => KeySource::Environment,
        }
    }
}
