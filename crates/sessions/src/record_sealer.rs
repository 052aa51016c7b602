//! Seals and opens the values of records under the ring as it is at that moment and, where users have
//! keys of their own, under that of the record's user. What becomes of a value that does not open is
//! not decided here.

use std::borrow::Cow;
use std::sync::Arc;

use waxseal_core::{Binding, KeyId, OpenError, SealError, Sealer, Shape, UserKey};
use waxseal_keys::{Cached, LiveRing, UserKeyError, UserKeys};
use waxseal_stores::{RecordName, RecordPattern};

use crate::error::StateError;

/// A sealer, and where keys are looked up that it does not hold.
pub(crate) struct RecordSealer {
    sealer: Sealer,
    ring: Option<LiveRing>,
    users: Option<UserKeys>,
    /// Names the user where users have keys.
    pattern: RecordPattern,
}

impl RecordSealer {
    pub(crate) fn new(
        sealer: Sealer,
        ring: Option<LiveRing>,
        users: Option<UserKeys>,
        pattern: RecordPattern,
    ) -> Self {
        Self {
            sealer,
            ring,
            users,
            pattern,
        }
    }

    /// The bytes to store for a value.
    pub(crate) async fn to_store<'v>(
        &self,
        name: &RecordName,
        value: &'v [u8],
    ) -> Result<Cow<'v, [u8]>, StateError> {
        if !self.sealer.mode().seals() {
            return Ok(Cow::Borrowed(value));
        }
        if let Some(ring) = &self.ring
            && !ring.is_confirmed()
        {
            ring.confirm().await?;
        }
        let binding = Binding::record(name.as_bytes());
        let envelope = match self.user(name) {
            Some((users, user)) => {
                let key = users.read_or_create(&[user]).await?.pop();
                let key = key.ok_or(SealError::NoKey)?;
                self.sealer.clone().for_user(key).seal(value, binding)?
            }
            None => self.sealer.seal(value, binding)?,
        };
        Ok(Cow::Owned(envelope))
    }

    /// Opens stored bytes (`None`: there are none). The outer error is one of looking for the key.
    pub(crate) async fn open(
        &self,
        name: &RecordName,
        stored: &[u8],
    ) -> Result<Result<Option<Vec<u8>>, OpenError>, StateError> {
        let header = Shape::of_header(stored);
        let of_user = header.filter(|header| header.flags.per_user_key());
        if let (Some(header), Some((users, user))) = (of_user, self.user(name)) {
            let key = find(users, user, header.key).await?;
            let sealer = key.map(|key| self.sealer.clone().for_user(key));
            return Ok(open(sealer.as_ref().unwrap_or(&self.sealer), name, stored));
        }
        let opened = open(&self.sealer, name, stored);
        let (Some(ring), Err(error)) = (&self.ring, &opened) else {
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
            return Ok(open(&self.sealer, name, stored));
        }
        Ok(opened)
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
        Cached::Key(key) if key.id() == Some(id) => return Ok(Some(key)),
        Cached::Key(_) | Cached::Absent => users.reread(&[user]).await?,
        Cached::Unknown => users.read(&[user]).await?,
    };
    Ok(found.pop().flatten())
}

fn open(sealer: &Sealer, name: &RecordName, stored: &[u8]) -> Result<Option<Vec<u8>>, OpenError> {
    let opened = sealer.open(stored, Binding::record(name.as_bytes()))?;
    Ok(opened.map(|opened| opened.value.into_owned()))
}
