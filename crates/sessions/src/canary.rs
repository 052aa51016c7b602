//! The guard against a wrong key: on first use with a store a canary record is sealed, and every
//! later start opens it before anything else is touched.
//!
//! Where there is no canary yet, what already lies under the protected names is asked: a store
//! whose values do not open under the key is not the store for this key.

use std::sync::Arc;

use waxseal_core::{Binding, Form, KeyId, OpenError, Sealer, Shape};
use waxseal_keys::UserKeys;
use waxseal_stores::{
    Change, Cursor, Expiry, Held, Outcome, RecordName, RecordPattern, RecordStore, Slot, StoreError,
};

use crate::error::GuardError;

const NAME: &str = "waxseal:canary";
const VALUE: &[u8] = b"waxseal canary v1";

/// How much of a store without a canary is looked at: enough to meet protected records among many
/// others, and bounded.
const PAGES: usize = 100;
const PAGE: usize = 1000;
const SAMPLE: usize = 20;
/// More unopenable values than this in the sample speak against the key, whatever else is there.
const STRAY: usize = 5;

/// The canary of one store.
pub struct Canary {
    store: Arc<dyn RecordStore>,
    name: RecordName,
    users: Option<UserKeys>,
}

/// What was found out about the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CanaryState {
    /// The canary opens under this key.
    Opens(KeyId),
    /// There was none; now there is one.
    Created,
    /// There is none, and none was written (not asked for, or the store takes no writes).
    Absent,
}

impl Canary {
    /// The canary of this store.
    #[must_use]
    pub fn of(store: Arc<dyn RecordStore>) -> Self {
        Self::named(store, RecordName::from(NAME))
    }

    /// A canary under a name of one's own, where several applications with keys of their own share
    /// a store.
    #[must_use]
    pub fn named(store: Arc<dyn RecordStore>, name: RecordName) -> Self {
        Self {
            store,
            name,
            users: None,
        }
    }

    /// The same canary where users have keys of their own: in a sample, what is under these is opened
    /// with them. Without, it says nothing about the key.
    #[must_use]
    pub fn user_keys(mut self, users: UserKeys) -> Self {
        self.users = Some(users);
        self
    }

    /// Checks the key against the canary, or where there is none against a sample of the records
    /// that are meant by the patterns. Writes nothing.
    pub async fn check(
        &self,
        sealer: &Sealer,
        patterns: &[RecordPattern],
    ) -> Result<CanaryState, GuardError> {
        if let Some(stored) = self.store.get(&self.name, &Slot::Whole).await? {
            return self.opens(sealer, &stored);
        }
        for pattern in patterns {
            self.check_sample(sealer, pattern).await?;
        }
        Ok(CanaryState::Absent)
    }

    /// Checks the key, and seals a canary where there is none and the sealer holds a key.
    pub async fn check_or_create(
        &self,
        sealer: &Sealer,
        patterns: &[RecordPattern],
    ) -> Result<CanaryState, GuardError> {
        let state = self.check(sealer, patterns).await?;
        if state != CanaryState::Absent || sealer.keyring().is_none() {
            return Ok(state);
        }
        match self.write(sealer, None).await {
            Ok(Outcome::Done) => Ok(CanaryState::Created),
            // Another process was faster: its canary decides.
            Ok(Outcome::Changed) => match self.store.get(&self.name, &Slot::Whole).await? {
                Some(stored) => self.opens(sealer, &stored),
                None => Ok(CanaryState::Absent),
            },
            Err(GuardError::Store(error)) if takes_no_writes(&error) => Ok(CanaryState::Absent),
            Err(error) => Err(error),
        }
    }

    /// Seals the canary anew under the sealing key, after everything else has been.
    pub async fn renew(&self, sealer: &Sealer) -> Result<CanaryState, GuardError> {
        let Some(stored) = self.store.get(&self.name, &Slot::Whole).await? else {
            return Ok(CanaryState::Absent);
        };
        let state = self.opens(sealer, &stored)?;
        let sealing = sealer.keyring().map(|ring| ring.sealing_id());
        if sealing.is_some_and(|id| state != CanaryState::Opens(id)) {
            self.write(sealer, Some(&stored)).await?;
        }
        Ok(state)
    }

    /// Takes the canary away, where it opens under these keys: the store is left in plaintext.
    pub async fn remove(&self, sealer: &Sealer) -> Result<(), GuardError> {
        if let Some(stored) = self.store.get(&self.name, &Slot::Whole).await? {
            self.opens(sealer, &stored)?;
            self.store.delete_if_unchanged(&self.name, &stored).await?;
        }
        Ok(())
    }

    async fn write(&self, sealer: &Sealer, expected: Option<&[u8]>) -> Result<Outcome, GuardError> {
        let value = sealer.seal(VALUE, Binding::record(self.name.as_bytes()))?;
        let change = Change {
            name: &self.name,
            slot: &Slot::Whole,
            expected,
            value: &value,
            expiry: Expiry::Never,
        };
        let outcomes = self.store.replace_if_unchanged(&[change]).await?;
        Ok(outcomes.first().copied().unwrap_or(Outcome::Changed))
    }

    fn opens(&self, sealer: &Sealer, stored: &[u8]) -> Result<CanaryState, GuardError> {
        if sealer.keyring().is_none() {
            return Err(GuardError::NoKey);
        }
        match sealer.open(stored, Binding::record(self.name.as_bytes())) {
            Ok(Some(opened)) if opened.form != Form::Plain && &*opened.value == VALUE => opened
                .form
                .key()
                .map(CanaryState::Opens)
                .ok_or(GuardError::WrongKey),
            Err(OpenError::Compromised { id }) => Err(GuardError::Compromised(id)),
            _ => Err(GuardError::WrongKey),
        }
    }

    async fn check_sample(
        &self,
        sealer: &Sealer,
        pattern: &RecordPattern,
    ) -> Result<(), GuardError> {
        let mut seen = Sample::default();
        let mut cursor = Cursor::start();
        for _ in 0..PAGES {
            let page = self.store.scan(pattern, &cursor, PAGE).await?;
            let mut names = page.names;
            names.retain(|name| pattern.matches(name.as_bytes()));
            names.truncate(SAMPLE);
            let held = self.store.read(&names).await?;
            for (name, held) in names.iter().zip(held) {
                if let Some(Held::String(stored)) = held {
                    self.note(sealer, pattern, (name, &stored), &mut seen)
                        .await?;
                }
            }
            match page.next {
                Some(next) if seen.total() < SAMPLE => cursor = next,
                _ => break,
            }
        }
        match (seen.speaks_against_the_key(), sealer.keyring()) {
            (false, _) => Ok(()),
            (true, None) => Err(GuardError::NoKey),
            (true, Some(_)) => Err(GuardError::WrongKey),
        }
    }

    /// Notes what one value says, opened with the key of its user where it is under such a key.
    async fn note(
        &self,
        sealer: &Sealer,
        pattern: &RecordPattern,
        (name, stored): (&RecordName, &[u8]),
        seen: &mut Sample,
    ) -> Result<(), GuardError> {
        if !Shape::of_header(stored).is_some_and(|header| header.flags.per_user_key()) {
            seen.note(sealer, name, stored);
            return Ok(());
        }
        let (Some(users), Some(user)) = (&self.users, pattern.user(name.as_bytes())) else {
            return Ok(());
        };
        match users.read(&[user]).await?.pop().flatten() {
            Some(key) => seen.note(&sealer.clone().for_user(key), name, stored),
            None => seen.note(sealer, name, stored),
        }
        Ok(())
    }
}

/// Whether a store that answers reads refuses every write.
pub(crate) fn takes_no_writes(error: &StoreError) -> bool {
    matches!(
        error,
        StoreError::ReadOnly { .. } | StoreError::Denied { .. } | StoreError::Full { .. }
    )
}

/// What the values of a sample said about the key.
#[derive(Default)]
struct Sample {
    opened: usize,
    plain: usize,
    /// Does not open: sealed under another key, or damaged.
    refused: usize,
    /// Sealed under a key that the ring does not have.
    foreign: usize,
}

impl Sample {
    fn note(&mut self, sealer: &Sealer, name: &RecordName, stored: &[u8]) {
        match sealer.open(stored, Binding::record(name.as_bytes())) {
            Ok(Some(opened)) if opened.form == Form::Plain => self.plain += 1,
            // A key that the ring knows and does not open with is no other store's.
            Ok(Some(_)) | Err(OpenError::Compromised { .. }) => self.opened += 1,
            Ok(None) | Err(OpenError::Erased { .. }) => {}
            Err(OpenError::Plaintext) => self.plain += 1,
            Err(OpenError::UnknownKey { .. }) => self.foreign += 1,
            Err(_) if matches!(Shape::of(stored), Shape::Plain | Shape::Empty) => self.plain += 1,
            Err(_) => self.refused += 1,
        }
    }

    fn total(&self) -> usize {
        self.opened + self.plain + self.refused + self.foreign
    }

    /// One damaged value among others says nothing; nothing but unopenable ones says it all.
    fn speaks_against_the_key(&self) -> bool {
        self.opened == 0
            && (self.foreign > 0 || self.refused > STRAY || (self.refused > 0 && self.plain == 0))
    }
}
