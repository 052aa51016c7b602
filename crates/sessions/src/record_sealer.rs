//! Seals and opens the values of records under the current keyring or, where users have keys of their own, under the key
//! of the record's user. What happens to a value that does not open is decided in `records`.

use std::borrow::Cow;
use std::sync::Arc;

use waxseal_core::{Binding, KeyId, Kind, OpenError, SealError, Sealer, Shape, UserKey};
use waxseal_keys::{CacheLookup, LiveRing, UserKeyError, UserKeys, instrumented};
use waxseal_metrics::{OpenOutcome, SealOutcome, ValueMetrics};
use waxseal_stores::{RecordName, RecordPattern};

use crate::error::StateError;

/// A sealer, with the sources of keys that it does not hold.
pub(crate) struct RecordSealer {
    sealer: Sealer,
    /// The sealer for names that are excepted from the pattern.
    plain: Sealer,
    ring: Option<LiveRing>,
    users: Option<UserKeys>,
    /// Tells the user of a record, if users have keys.
    pattern: RecordPattern,
    counted: ValueMetrics,
}

/// The place of a value: its record, its kind there and, where values of the kind have one, its field.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) name: &'a RecordName,
    pub(crate) kind: Kind,
    pub(crate) field: Option<&'a [u8]>,
}

impl<'a> Place<'a> {
    /// The whole of a string record.
    fn whole(name: &'a RecordName) -> Self {
        Self {
            name,
            kind: Kind::String,
            field: None,
        }
    }

    /// A member of a set or sorted set record.
    pub(crate) fn member(name: &'a RecordName) -> Self {
        Self {
            kind: Kind::Member,
            ..Self::whole(name)
        }
    }

    /// The value of a field in an entry of a stream record.
    pub(crate) fn stream_field(name: &'a RecordName, field: &'a [u8]) -> Self {
        Self {
            name,
            kind: Kind::StreamField,
            field: Some(field),
        }
    }

    fn binding(&self) -> Binding<'a> {
        Binding::of_value(self.kind, self.name.as_bytes(), self.field)
    }
}

/// The forms in which a member may be stored.
pub(crate) struct MemberForms {
    /// The form that is written.
    pub(crate) written: Vec<u8>,
    /// All others.
    pub(crate) others: Vec<Vec<u8>>,
}

impl MemberForms {
    /// All forms, the one that is written last: when they are looked up one by one, a member that is given that form
    /// meanwhile is found all the same.
    pub(crate) fn all(&self) -> Vec<&[u8]> {
        let others = self.others.iter().map(Vec::as_slice);
        others.chain(std::iter::once(&*self.written)).collect()
    }
}

/// The result of opening stored bytes.
pub(crate) enum Opened {
    /// A value.
    Value(Vec<u8>),
    /// The stored bytes are empty.
    Empty,
    /// They do not open.
    Failed(OpenError),
}

/// The result of one attempt to open a value, with the outcome that is counted if it is the last.
struct Attempt {
    result: Opened,
    outcome: Option<OpenOutcome>,
}

impl RecordSealer {
    pub(crate) fn new(
        sealer: Sealer,
        ring: Option<LiveRing>,
        users: Option<UserKeys>,
        pattern: RecordPattern,
    ) -> Self {
        let counted = ValueMetrics::new([pattern.as_str()], instrumented::key_name);
        Self {
            plain: sealer.clone().writing_plain(),
            sealer,
            ring,
            users,
            pattern,
            counted,
        }
    }

    /// Returns the bytes to store for a value.
    pub(crate) async fn to_store<'v>(
        &self,
        name: &RecordName,
        value: &'v [u8],
    ) -> Result<Cow<'v, [u8]>, StateError> {
        self.to_store_at(Place::whole(name), value).await
    }

    /// Returns the bytes to store for a value in this place.
    pub(crate) async fn to_store_at<'v>(
        &self,
        place: Place<'_>,
        value: &'v [u8],
    ) -> Result<Cow<'v, [u8]>, StateError> {
        if self.is_excepted(place.name) {
            return Ok(Cow::Borrowed(value));
        }
        if !self.sealer.mode().seals() {
            self.counted.sealed(SealOutcome::NotSealed);
            return Ok(Cow::Borrowed(value));
        }
        if let Some(ring) = &self.ring
            && !ring.is_confirmed()
        {
            ring.confirm().await?;
        }
        let binding = place.binding();
        let of_user = self.sealer_of_user(place.name).await?;
        let since = self.counted.start_seal_timer();
        let sealer = of_user.as_ref().unwrap_or(&self.sealer);
        let sealed = sealer.seal(value, binding).map(Cow::Owned);
        self.counted.record_seal_duration(since);
        self.counted
            .sealed(instrumented::seal_outcome(&sealed, sealer));
        Ok(sealed?)
    }

    /// The sealer under the key of the record's user, which is created if there is none.
    async fn sealer_of_user(&self, name: &RecordName) -> Result<Option<Sealer>, StateError> {
        let Some((users, user)) = self.user(name) else {
            return Ok(None);
        };
        let key = users.read_or_create(&[user]).await?.pop();
        let key = key.ok_or(SealError::NoKey)?;
        Ok(Some(self.sealer.clone().for_user(key)))
    }

    /// Returns the forms in which a member may be stored: as it is written, and every other one that opens.
    pub(crate) async fn member_forms(
        &self,
        name: &RecordName,
        member: &[u8],
    ) -> Result<MemberForms, StateError> {
        let place = Place::member(name);
        let written = self.to_store_at(place, member).await?.into_owned();
        let sealer = match self.is_excepted(name) {
            true => &self.plain,
            false => &self.sealer,
        };
        let key = match self.user(name) {
            // Created, where members are sealed, by what was written.
            Some((users, user)) => users.read(&[user]).await?.pop().flatten(),
            None => None,
        };
        let of_user = key.map(|key| sealer.clone().for_user(key));
        let sealer = of_user.as_ref().unwrap_or(sealer);
        if !sealer.has_other_forms(Kind::Member) {
            let others = Vec::new();
            return Ok(MemberForms { written, others });
        }
        let others = sealer.other_forms(member, place.binding())?;
        let mut others: Vec<_> = others.into_iter().map(Cow::into_owned).collect();
        others.retain(|form| *form != written);
        Ok(MemberForms { written, others })
    }

    /// Opens stored bytes. An error means that the key could not be looked up.
    pub(crate) async fn open(
        &self,
        name: &RecordName,
        stored: &[u8],
    ) -> Result<Opened, StateError> {
        self.open_at(Place::whole(name), stored).await
    }

    /// Opens the stored bytes of a value in this place. An error means that the key could not be looked up.
    pub(crate) async fn open_at(
        &self,
        place: Place<'_>,
        stored: &[u8],
    ) -> Result<Opened, StateError> {
        let attempt = self.attempt(place, stored).await?;
        // Under an excepted name a plain value is expected, and not counted.
        let is_expected =
            |it: &OpenOutcome| *it == OpenOutcome::Plain && self.is_excepted(place.name);
        if let Some(outcome) = attempt.outcome.filter(|it| !is_expected(it)) {
            self.counted.opened(outcome, 0, 1);
        }
        Ok(attempt.result)
    }

    /// Returns the last of the attempts that a value takes: at most one more after its key was looked up.
    async fn attempt(&self, place: Place<'_>, stored: &[u8]) -> Result<Attempt, StateError> {
        let header = Shape::of_header(stored);
        let name = place.name;
        let sealer = if self.is_excepted(name) {
            &self.plain
        } else {
            &self.sealer
        };
        let of_user = header.filter(|header| header.flags.per_user_key());
        if let (Some(header), Some((users, user))) = (of_user, self.user(name)) {
            let key = find_key(users, user, header.key).await?;
            let for_user = key.map(|key| sealer.clone().for_user(key));
            return Ok(self.once(for_user.as_ref().unwrap_or(sealer), place, stored));
        }
        let opened = self.once(sealer, place, stored);
        let (Some(ring), Opened::Failed(error)) = (&self.ring, &opened.result) else {
            return Ok(opened);
        };
        let has_learned = match error {
            OpenError::UnknownKey { id } if of_user.is_none() => ring.learn(*id).await,
            // A classic value names no key. Before it counts as damaged, and is moved to quarantine, it must be certain
            // that no other process has added the key that opens it.
            OpenError::Refused if header.is_none() => {
                let before = ring.ring().version();
                ring.refresh().await?.version() != before
            }
            _ => false,
        };
        if has_learned {
            return Ok(self.once(sealer, place, stored));
        }
        Ok(opened)
    }

    fn once(&self, sealer: &Sealer, place: Place<'_>, stored: &[u8]) -> Attempt {
        let since = self.counted.start_open_timer();
        let opened = sealer.open(stored, place.binding());
        self.counted.record_open_duration(since);
        Attempt {
            outcome: instrumented::open_outcome(stored, &opened),
            result: match opened {
                Ok(Some(opened)) => Opened::Value(opened.value.into_owned()),
                Ok(None) => Opened::Empty,
                Err(error) => Opened::Failed(error),
            },
        }
    }

    fn is_excepted(&self, name: &RecordName) -> bool {
        self.pattern.is_excepted(name.as_bytes())
    }

    fn user<'a>(&'a self, name: &'a RecordName) -> Option<(&'a UserKeys, &'a [u8])> {
        Some((self.users.as_ref()?, self.pattern.user(name.as_bytes())?))
    }
}

/// Returns the key of a user for a value under this key. If the value contradicts the cached key, the key is read again:
/// another process may have created one.
async fn find_key(
    users: &UserKeys,
    user: &[u8],
    id: KeyId,
) -> Result<Option<Arc<UserKey>>, UserKeyError> {
    let mut keys = match users.cached(user) {
        CacheLookup::Key(key) if key.id() == Some(id) => return Ok(Some(key)),
        CacheLookup::Key(_) | CacheLookup::Absent => users.reread(&[user]).await?,
        CacheLookup::Unknown => users.read(&[user]).await?,
    };
    Ok(keys.pop().flatten())
}
