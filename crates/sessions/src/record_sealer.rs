//! Seals and opens the values of records under the current keyring or, where users have keys of their own, under the key
//! of the record's user. What happens to a value that does not open is decided in `records`.

use std::borrow::Cow;
use std::sync::Arc;

use waxseal_core::{Binding, KeyId, OpenError, SealError, Sealer, Shape, UserKey};
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

    /// Opens stored bytes. An error means that the key could not be looked up.
    pub(crate) async fn open(
        &self,
        name: &RecordName,
        stored: &[u8],
    ) -> Result<Opened, StateError> {
        let attempt = self.attempt(name, stored).await?;
        // Under an excepted name a plain value is expected, and not counted.
        let is_expected = |it: &OpenOutcome| *it == OpenOutcome::Plain && self.is_excepted(name);
        if let Some(outcome) = attempt.outcome.filter(|it| !is_expected(it)) {
            self.counted.opened(outcome, 0, 1);
        }
        Ok(attempt.result)
    }

    /// Returns the last of the attempts that a value takes: at most one more after its key was looked up.
    async fn attempt(&self, name: &RecordName, stored: &[u8]) -> Result<Attempt, StateError> {
        let header = Shape::of_header(stored);
        let sealer = if self.is_excepted(name) {
            &self.plain
        } else {
            &self.sealer
        };
        let of_user = header.filter(|header| header.flags.per_user_key());
        if let (Some(header), Some((users, user))) = (of_user, self.user(name)) {
            let key = find_key(users, user, header.key).await?;
            let for_user = key.map(|key| sealer.clone().for_user(key));
            return Ok(self.once(for_user.as_ref().unwrap_or(sealer), name, stored));
        }
        let opened = self.once(sealer, name, stored);
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
            return Ok(self.once(sealer, name, stored));
        }
        Ok(opened)
    }

    fn once(&self, sealer: &Sealer, name: &RecordName, stored: &[u8]) -> Attempt {
        let since = self.counted.start_open_timer();
        let opened = sealer.open(stored, Binding::record(name.as_bytes()));
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
