//! Takes a sample of the sealed values of a store, and opens them with the configured keys.
//!
//! A single value that does not open says little: it may be damaged, or planted. A value that opens confirms the key, so
//! the sample ends with the first one unless all are counted. The verdict is up to `canary`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use waxseal_core::{Binding, Form, KeyId, OpenError, PlainValues, Sealer, Shape};
use waxseal_keys::{LiveRing, UserKeyError, UserKeys};
use waxseal_stores::{Cursor, Record, RecordName, RecordPattern, RecordStore, Slot, StoreError};

use super::sample::{GuardedRecords, Sample};
use crate::error::GuardError;

/// Names of one page of a scan.
const PAGE: usize = 1000;
/// Values read at once, at most. The first are read one by one: they may be large, and usually the first is enough.
const MAX_GROUP: usize = 8;
/// The same if the last ones held no value: records of other types, and empty ones.
const MAX_EMPTY_GROUP: usize = 128;
/// The same if few of the values may be under keys of users.
const MAX_USERS_GROUP: usize = 32;
/// Names read for each value of the bounds: not every record holds a value.
const NAMES_PER_VALUE: usize = 4;
/// Slots that are read of a record that is not a string.
const MAX_SLOTS: usize = 5;
/// Sealed values of one pattern that are enough, if one of them opened.
pub(super) const MAX_SEALED: usize = 20;
/// Bytes of values of one pattern that are read before the sample ends.
const MAX_BYTES: usize = 64 << 20;
/// Pages of one pattern, however many patterns there are.
const MIN_PAGES: usize = 4;

/// The bounds of a sample.
#[derive(Clone, Copy)]
pub(super) struct Bounds {
    /// The number of pages of all patterns together, about.
    pub(super) pages: usize,
    /// The number of values of one pattern.
    pub(super) values: usize,
    /// True if the sample ends with the first value that opens.
    pub(super) ends_at_first: bool,
    /// True if only values under keys of users count. Patterns without users are skipped.
    pub(super) only_users: bool,
}

/// The store and the keys of a sample.
pub(super) struct Sampler<'a> {
    pub(super) store: &'a Arc<dyn RecordStore>,
    pub(super) sealer: &'a Sealer,
    pub(super) ring: Option<&'a LiveRing>,
    pub(super) users: Option<&'a UserKeys>,
    pub(super) bounds: Bounds,
    /// Set once the ring was read again for a key that it lacks. Once is enough: values under many planted key ids would
    /// delay a start for minutes.
    pub(super) refreshed: AtomicBool,
}

impl Sampler<'_> {
    /// Adds the values of these records to the sample. Values read before an error are kept.
    pub(super) async fn collect(
        &self,
        records: &[GuardedRecords],
        sample: &mut Sample,
    ) -> Result<(), GuardError> {
        let pages = (self.bounds.pages / records.len().max(1)).max(MIN_PAGES);
        let (mut is_allowed, mut denied) = (false, None);
        // Each record is judged by the pattern that it belongs to, and by no other.
        let patterns = records.iter().map(|of| of.pattern.clone()).collect();
        let resolved = RecordPattern::resolve(patterns);
        let records = records
            .iter()
            .zip(resolved)
            .map(|(of, pattern)| GuardedRecords {
                pattern,
                ..of.clone()
            });
        let wanted = records.filter(|of| !self.bounds.only_users || of.pattern.names_user());
        for of in &wanted.collect::<Vec<_>>() {
            let mut part = Sample::default();
            let collected = self.pattern(of, pages, &mut part).await;
            sample.add(part);
            match collected {
                Ok(()) => is_allowed = true,
                // The rights of a database user may be restricted to the records that it works on.
                Err(GuardError::Store(
                    error @ (StoreError::Denied { .. } | StoreError::NoCommand { .. }),
                )) => denied = Some(error),
                Err(error) => return Err(error),
            }
            if self.bounds.ends_at_first && sample.opened > 0 {
                break;
            }
        }
        if let (Some(error), false) = (denied, is_allowed) {
            return Err(error.into());
        }
        if sample.opened == 0 && sample.without_user_key > 0 {
            self.collect_user_keys(sample).await?;
        }
        Ok(())
    }

    /// Adds keys of users to the sample: these are sealed by the ring, and count if the values of users cannot be opened
    /// because their keys no longer exist.
    async fn collect_user_keys(&self, sample: &mut Sample) -> Result<(), GuardError> {
        let Some(users) = self.users else {
            return Ok(());
        };
        for opened in users.sample(MAX_SEALED).await? {
            match opened {
                Ok(()) => sample.opened += 1,
                Err(OpenError::Compromised { .. }) => sample.named += 1,
                Err(OpenError::UnknownKey { id }) => self.add_unknown(id, sample),
                Err(_) => {}
            }
        }
        Ok(())
    }

    async fn pattern(
        &self,
        of: &GuardedRecords,
        pages: usize,
        sample: &mut Sample,
    ) -> Result<(), GuardError> {
        let (mut cursor, mut bytes, mut group) = (Cursor::start(), 0, 1);
        let mut names_left = self.bounds.values.saturating_mul(NAMES_PER_VALUE);
        for _ in 0..pages {
            let page = self.store.scan(&of.pattern, &cursor, PAGE).await?;
            let mut names = page.names;
            // A value under an excepted name may look like anything.
            let is_counted =
                |name: &[u8]| of.pattern.matches(name) && !of.pattern.is_excepted(name);
            names.retain(|name| is_counted(name.as_bytes()));
            let mut names = names.as_slice();
            while !names.is_empty() {
                if names_left == 0 || self.is_enough(sample, bytes) {
                    return Ok(());
                }
                let (some, others) = names.split_at(group.min(names.len()).min(names_left));
                let read = self.group(of, some, sample).await?;
                bytes += read;
                names_left -= some.len();
                names = others;
                group = match read {
                    _ if self.bounds.only_users => (group * 2).min(MAX_USERS_GROUP),
                    0 => (group * 2).min(MAX_EMPTY_GROUP),
                    _ => (group * 2).min(MAX_GROUP),
                };
            }
            match page.next {
                Some(next) => cursor = next,
                None => break,
            }
        }
        Ok(())
    }

    fn is_enough(&self, sample: &Sample, bytes: usize) -> bool {
        if self.bounds.only_users {
            // Other values say nothing about the keys of users.
            return sample.opened_of_users > 0
                || sample.without_user_key >= MAX_SEALED
                || bytes >= MAX_BYTES;
        }
        sample.opened > 0 && (self.bounds.ends_at_first || sample.sealed() >= MAX_SEALED)
            || sample.values() >= self.bounds.values
            || bytes >= MAX_BYTES
    }

    /// Reads some records. Returns the number of bytes.
    async fn group(
        &self,
        of: &GuardedRecords,
        names: &[RecordName],
        sample: &mut Sample,
    ) -> Result<usize, GuardError> {
        let mut bytes = 0;
        for (name, content) in names.iter().zip(self.store.read_sample(names).await?) {
            let slots = match content {
                Some(Record::String(stored)) => vec![(Slot::Whole, stored)],
                Some(record) if record.has_slots() => {
                    let start = Cursor::start();
                    match self.store.read_slots(name, &start, MAX_SLOTS).await {
                        Ok(page) => page.slots,
                        // Replaced by a record of another type since it was read.
                        Err(StoreError::WrongType) => continue,
                        Err(error) if error.may_concern_one_record() => continue,
                        // A process that sealed none of these needs no right to read them.
                        Err(StoreError::Denied { .. } | StoreError::NoCommand { .. })
                            if is_recent(&record) =>
                        {
                            continue;
                        }
                        Err(error) => return Err(error.into()),
                    }
                }
                Some(_) | None => continue,
            };
            // A small hash is returned whole, whatever was requested.
            for (slot, stored) in slots.iter().take(MAX_SLOTS) {
                self.add_value(of, (name, slot), stored, sample).await?;
            }
            bytes += slots.iter().map(|(_, stored)| stored.len()).sum::<usize>();
        }
        Ok(bytes)
    }

    /// Adds one value to the sample.
    async fn add_value(
        &self,
        of: &GuardedRecords,
        (name, slot): (&RecordName, &Slot),
        stored: &[u8],
        sample: &mut Sample,
    ) -> Result<(), GuardError> {
        let binding = Binding::of_value(slot.kind(), name.as_bytes(), slot.field());
        // Which versions are accepted says nothing about the key.
        let sealer = self.sealer.clone().plain_values(of.plain);
        let sealer = sealer.in_group(of.group.clone()).accepting_all();
        if Shape::of_header(stored).is_some_and(|header| header.flags.per_user_key()) {
            let user = of.pattern.user(name.as_bytes());
            return self
                .add_user_value(sealer, user, (stored, binding), sample)
                .await;
        }
        if self.bounds.only_users {
            sample.others += 1;
            return Ok(());
        }
        let mut opened = sealer.open(stored, binding);
        if let (Err(OpenError::UnknownKey { id }), Some(ring)) = (&opened, self.ring)
            && !self.refreshed.swap(true, Ordering::Relaxed)
            && ring.learn(*id).await
        {
            opened = sealer.open(stored, binding);
        }
        let may_be_classic =
            of.plain == PlainValues::Json && Shape::of(stored) == Shape::MaybeClassic;
        match opened {
            Ok(Some(opened)) if opened.form != Form::Plain => sample.opened += 1,
            Ok(Some(_)) | Err(OpenError::Refused | OpenError::Plaintext) if may_be_classic => {
                match of.expects_classic {
                    true => sample.classic += 1,
                    false => sample.base64 += 1,
                }
            }
            Ok(Some(_)) => sample.plain += 1,
            Err(OpenError::Compromised { .. }) => sample.named += 1,
            Ok(None) => {}
            Err(OpenError::Plaintext) => sample.plain += 1,
            Err(OpenError::UnknownKey { id }) => self.add_unknown(id, sample),
            Err(_) => match Shape::of(stored) {
                Shape::Plain | Shape::Empty | Shape::MaybeClassic => sample.plain += 1,
                // Under a configured key, or hardly an envelope.
                Shape::Sealed { .. } | Shape::Malformed(_) => sample.unreadable += 1,
            },
        }
        Ok(())
    }

    /// Adds a value under the key of a user. The ring sealed that key, so opening both confirms the ring. A key that no
    /// longer exists, evicted or erased, says nothing about it.
    async fn add_user_value(
        &self,
        sealer: Sealer,
        user: Option<&[u8]>,
        (stored, binding): (&[u8], Binding<'_>),
        sample: &mut Sample,
    ) -> Result<(), GuardError> {
        if self.ring.is_none() && self.users.is_none() {
            sample.of_users += 1;
            return Ok(());
        }
        let (Some(users), Some(user)) = (self.users, user) else {
            sample.without_user_key += 1;
            sample.unknown_users += 1;
            return Ok(());
        };
        match users.read(&[user]).await {
            Ok(mut keys) => match keys.pop().flatten() {
                Some(key) if sealer.for_user(key.clone()).open(stored, binding).is_ok() => {
                    sample.opened += 1;
                    sample.opened_of_users += 1;
                }
                Some(_) => sample.without_user_key += 1,
                None => {
                    sample.without_user_key += 1;
                    sample.unknown_users += 1;
                }
            },
            Err(UserKeyError::Record {
                error: OpenError::UnknownKey { id },
                ..
            }) => self.add_unknown(id, sample),
            Err(UserKeyError::Record { .. } | UserKeyError::Form { .. }) => {
                sample.without_user_key += 1;
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Adds a value under a key that is not configured. A key that the ring has destroyed does not belong to another store.
    fn add_unknown(&self, id: KeyId, sample: &mut Sample) {
        let is_known = self
            .ring
            .is_some_and(|ring| ring.ring().entry(id).is_some());
        match is_known {
            true => sample.named += 1,
            false => *sample.unknown.entry(id).or_default() += 1,
        }
    }
}

/// True for the types of records that only keyrings of document format 2 seal.
fn is_recent(record: &Record) -> bool {
    matches!(record, Record::Set | Record::SortedSet | Record::Stream)
}
