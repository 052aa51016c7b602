//! Seals and opens the values of records under the ring as it is at that moment and, where users have
//! keys of their own, under that of the record's user. What becomes of a value that does not open is
//! not decided here.

use std::borrow::Cow;
use std::sync::Arc;

use waxseal_core::{Binding, KeyId, OpenError, SealError, Sealer, Shape, UserKey};
use waxseal_keys::{CacheLookup, LiveRing, UserKeyError, UserKeys, instrumented};
use waxseal_metrics::{OpenOutcome, SealOutcome, ValueMetrics};
use waxseal_stores::{RecordName, RecordPattern};

use crate::error::StateError;

/// A sealer, and where keys are looked up that it does not hold.
pub(crate) struct RecordSealer {
    sealer: Sealer,
    /// For names that are excepted from the pattern.
    plain: Sealer,
    ring: Option<LiveRing>,
    users: Option<UserKeys>,
    /// Names the user where users have keys.
    pattern: RecordPattern,
    counted: ValueMetrics,
}

/// What came of opening a value, and how it is counted if it stays so.
struct Attempt {
    result: Result<Option<Vec<u8>>, OpenError>,
    opening: Option<OpenOutcome>,
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

    /// The bytes to store for a value.
    pub(crate) async fn to_store<'v>(
        &self,
        name: &RecordName,
        value: &'v [u8],
    ) -> Result<Cow<'v, [u8]>, StateError> {
        if self.is_excepted(name) {
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
        let binding = Binding::record(name.as_bytes());
        let of_user = match self.user(name) {
            Some((users, user)) => {
                let key = users.read_or_create(&[user]).await?.pop();
                let key = key.ok_or(SealError::NoKey)?;
                Some(self.sealer.clone().for_user(key))
            }
            None => None,
        };
        let since = self.counted.start_seal_timer();
        let sealer = of_user.as_ref().unwrap_or(&self.sealer);
        let sealed = sealer.seal(value, binding).map(Cow::Owned);
        self.counted.record_seal_duration(since);
        self.counted
            .sealed(instrumented::seal_outcome(&sealed, sealer));
        Ok(sealed?)
    }

    /// Opens stored bytes (`None`: there are none). The outer error is one of looking for the key.
    pub(crate) async fn open(
        &self,
        name: &RecordName,
        stored: &[u8],
    ) -> Result<Result<Option<Vec<u8>>, OpenError>, StateError> {
        let attempt = self.attempt(name, stored).await?;
        // A plain value is what is expected of an excepted name.
        let is_expected = |it: &OpenOutcome| *it == OpenOutcome::Plain && self.is_excepted(name);
        if let Some(opening) = attempt.opening.filter(|it| !is_expected(it)) {
            self.counted.opened(opening, 0, 1);
        }
        Ok(attempt.result)
    }

    /// The last of the attempts that a value takes.
    async fn attempt(&self, name: &RecordName, stored: &[u8]) -> Result<Attempt, StateError> {
        let header = Shape::of_header(stored);
        let own = if self.is_excepted(name) {
            &self.plain
        } else {
            &self.sealer
        };
        let of_user = header.filter(|header| header.flags.per_user_key());
        if let (Some(header), Some((users, user))) = (of_user, self.user(name)) {
            let key = find(users, user, header.key).await?;
            let sealer = key.map(|key| own.clone().for_user(key));
            return Ok(self.once(sealer.as_ref().unwrap_or(own), name, stored));
        }
        let opened = self.once(own, name, stored);
        let (Some(ring), Err(error)) = (&self.ring, &opened.result) else {
            return Ok(opened);
        };
        let learned = match error {
            OpenError::UnknownKey { id } if of_user.is_none() => ring.learn(*id).await,
            // A classic value names no key. Before it counts as damaged, and is moved aside, it must
            // be certain that no other process added the key that opens it.
            OpenError::Refused if header.is_none() => {
                let before = ring.ring().version();
                ring.refresh().await?.version() != before
            }
            _ => false,
        };
        if learned {
            return Ok(self.once(own, name, stored));
        }
        Ok(opened)
    }

    fn once(&self, sealer: &Sealer, name: &RecordName, stored: &[u8]) -> Attempt {
        let since = self.counted.start_open_timer();
        let opened = sealer.open(stored, Binding::record(name.as_bytes()));
        self.counted.record_open_duration(since);
        Attempt {
            opening: instrumented::open_outcome(stored, &opened),
            result: opened.map(|opened| opened.map(|it| it.value.into_owned())),
        }
    }

    fn is_excepted(&self, name: &RecordName) -> bool {
        self.pattern.is_excepted(name.as_bytes())
    }

    fn user<'a>(&'a self, name: &'a RecordName) -> Option<(&'a UserKeys, &'a [u8])> {
        Some((self.users.as_ref()?, self.pattern.user(name.as_bytes())?))
    }
}

/// The key of a user for a value under this one. What is remembered of the user is not believed where
/// the value speaks against it: others may have made a key since.
async fn find(
    users: &UserKeys,
    user: &[u8],
    id: KeyId,
) -> Result<Option<Arc<UserKey>>, UserKeyError> {
    let mut found = match users.cached(user) {
        CacheLookup::Key(key) if key.id() == Some(id) => return Ok(Some(key)),
        CacheLookup::Key(_) | CacheLookup::Absent => users.reread(&[user]).await?,
        CacheLookup::Unknown => users.read(&[user]).await?,
    };
    Ok(found.pop().flatten())
}
