//! Sealed records: the ground under the state manager and the adapters. Values go in and come out
//! as bytes; the guards stand here, and here is decided what becomes of a value that cannot be
//! opened.

use std::borrow::Cow;
use std::sync::Arc;

use tracing::{info, warn};
use waxseal_core::{Binding, NameMask, OpenError, Sealer};
use waxseal_stores::{
    Change, Expiry, Lifetime, Outcome, RecordName, RecordPattern, RecordStore, Slot,
};

use crate::canary::{Canary, CanaryState, takes_no_writes};
use crate::error::{GuardError, StateError};
use crate::options::{OnRefused, Options};
use crate::quarantine;
use crate::window::Window;

/// How often a value that changed under our hands is read again.
const READS: u32 = 8;
/// How often a record that others keep writing is written over.
#[cfg(any(feature = "tower-sessions", feature = "actix-session"))]
const REWRITES: u32 = 100;

/// Records of one prefix, sealed on the way in and opened on the way out.
pub struct SealedRecords {
    store: Arc<dyn RecordStore>,
    sealer: Sealer,
    options: Options,
    /// For where there is no key to derive one from.
    own_mask: NameMask,
    window: Window,
    /// Whether the key is known to be the right one. Without that nothing is moved aside.
    key_checked: bool,
}

/// What a record held: the stored bytes, and the value that they opened to (empty: none, or none
/// to speak of).
pub(crate) struct Found {
    pub(crate) stored: Vec<u8>,
    pub(crate) value: Vec<u8>,
}

impl SealedRecords {
    /// Checks the key against the store, and starts.
    ///
    /// [`GuardError::WrongKey`] where what lies in the store was sealed under another key: then
    /// nothing has been changed, and the process must not go on.
    pub async fn start(
        store: Arc<dyn RecordStore>,
        sealer: Sealer,
        options: Options,
    ) -> Result<Self, GuardError> {
        let pattern = RecordPattern::parse(&format!("{}*", options.prefix))?;
        let canary = match &options.canary {
            Some(name) => Canary::named(store.clone(), RecordName::from(name.as_str())),
            None => Canary::of(store.clone()),
        };
        let patterns = std::slice::from_ref(&pattern);
        let state = if sealer.mode().seals() {
            canary.check_or_create(&sealer, patterns).await?
        } else {
            canary.check(&sealer, patterns).await?
        };
        if sealer.mode().seals() {
            info!("StateManager: Redis encryption enabled");
        } else {
            info!("StateManager: Redis encryption disabled");
        }
        let key_checked = state != CanaryState::Absent;
        if !key_checked && options.on_refused == OnRefused::Quarantine && sealer.mode().seals() {
            warn!("no canary could be written to the store: quarantine is switched off");
        }
        let own_mask = NameMask::random();
        Ok(Self {
            store,
            sealer,
            options,
            own_mask,
            window: Window::default(),
            key_checked,
        })
    }

    /// The store beneath.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn RecordStore> {
        &self.store
    }

    pub(crate) fn options(&self) -> &Options {
        &self.options
    }

    pub(crate) fn name(&self, rest: &str) -> RecordName {
        RecordName::from(format!("{}{rest}", self.options.prefix))
    }

    /// A record name as it may be shown.
    pub(crate) fn shown(&self, name: &RecordName) -> String {
        self.mask().show(&self.options.prefix, name.as_bytes())
    }

    pub(crate) async fn read(&self, name: &RecordName) -> Result<Option<Found>, StateError> {
        for _ in 0..READS {
            let Some(stored) = self.store.get(name, &Slot::Whole).await? else {
                return Ok(None);
            };
            let error = match self.sealer.open(&stored, Binding::record(name.as_bytes())) {
                Ok(opened) => {
                    self.window.opened();
                    let value = opened
                        .map(|opened| opened.value.into_owned())
                        .unwrap_or_default();
                    return Ok(Some(Found { stored, value }));
                }
                Err(error) => error,
            };
            if let Some(answer) = self.refused(name, &stored, error).await? {
                return answer;
            }
        }
        Err(StateError::Contended {
            record: self.shown(name),
            attempts: READS,
        })
    }

    pub(crate) async fn write(
        &self,
        name: &RecordName,
        value: &[u8],
        expiry: Expiry,
    ) -> Result<(), StateError> {
        let stored = self.to_store(name, value)?;
        Ok(self.store.put(name, &Slot::Whole, &stored, expiry).await?)
    }

    /// Writes a record if it still holds the expected stored bytes (`None`: if it is absent);
    /// whether it did.
    pub(crate) async fn write_if_unchanged(
        &self,
        name: &RecordName,
        expected: Option<&[u8]>,
        value: &[u8],
        expiry: Expiry,
    ) -> Result<bool, StateError> {
        let stored = self.to_store(name, value)?;
        self.replace_stored(name, expected, &stored, expiry).await
    }

    /// Writes a record only where there is one, whatever it holds; whether there was. Without a
    /// value its stored bytes stay as they are, and only the expiry is new.
    #[cfg(any(feature = "tower-sessions", feature = "actix-session"))]
    pub(crate) async fn rewrite(
        &self,
        name: &RecordName,
        value: Option<&[u8]>,
        expiry: Expiry,
    ) -> Result<bool, StateError> {
        let new = value.map(|value| self.to_store(name, value)).transpose()?;
        for _ in 0..REWRITES {
            let Some(there) = self.store.get(name, &Slot::Whole).await? else {
                return Ok(false);
            };
            let stored = new.as_deref().unwrap_or(&there);
            if self
                .replace_stored(name, Some(&there), stored, expiry)
                .await?
            {
                return Ok(true);
            }
        }
        Err(StateError::Contended {
            record: self.shown(name),
            attempts: REWRITES,
        })
    }

    pub(crate) async fn delete_if_unchanged(
        &self,
        name: &RecordName,
        expected: &[u8],
    ) -> Result<bool, StateError> {
        Ok(self.store.delete_if_unchanged(name, expected).await? == Outcome::Done)
    }

    pub(crate) async fn delete(&self, name: &RecordName) -> Result<bool, StateError> {
        Ok(self.store.delete(name).await?)
    }

    pub(crate) async fn exists(&self, name: &RecordName) -> Result<bool, StateError> {
        let lifetimes = self.store.lifetimes(std::slice::from_ref(name)).await?;
        Ok(lifetimes
            .first()
            .is_some_and(|lifetime| *lifetime != Lifetime::Absent))
    }

    async fn replace_stored(
        &self,
        name: &RecordName,
        expected: Option<&[u8]>,
        value: &[u8],
        expiry: Expiry,
    ) -> Result<bool, StateError> {
        let change = Change {
            name,
            slot: &Slot::Whole,
            expected,
            value,
            expiry,
        };
        let outcomes = self.store.replace_if_unchanged(&[change]).await?;
        Ok(outcomes.first() == Some(&Outcome::Done))
    }

    fn mask(&self) -> &NameMask {
        self.sealer
            .keyring()
            .map_or(&self.own_mask, |ring| ring.name_mask())
    }

    fn to_store<'v>(
        &self,
        name: &RecordName,
        value: &'v [u8],
    ) -> Result<Cow<'v, [u8]>, StateError> {
        Ok(self
            .sealer
            .to_store(value, Binding::record(name.as_bytes()))?)
    }

    /// What is answered for a value that did not open; `None`: read again, it has changed.
    async fn refused(
        &self,
        name: &RecordName,
        stored: &[u8],
        error: OpenError,
    ) -> Result<Option<Result<Option<Found>, StateError>>, StateError> {
        let record = self.shown(name);
        warn!(%record, cause = %error, "Failed to decrypt Redis data");
        let may_move = self.window.failed();
        let damaged = matches!(error, OpenError::Refused | OpenError::Malformed(_));
        match self.options.on_refused {
            // With the stored bytes, so that an update can write over them.
            OnRefused::Absent if damaged => {
                let stored = stored.to_vec();
                return Ok(Some(Ok(Some(Found {
                    stored,
                    value: Vec::new(),
                }))));
            }
            OnRefused::Quarantine if damaged && may_move && self.key_checked => {}
            OnRefused::Quarantine if damaged => {
                warn!(%record, "not moved to quarantine: too many values fail, or the key is unchecked");
                return Ok(Some(Err(StateError::Open { record, error })));
            }
            _ => return Ok(Some(Err(StateError::Open { record, error }))),
        }
        let when = (self.options.clock.now_ms(), self.options.keep_quarantined);
        let (store, mask) = (&*self.store, self.mask());
        match quarantine::move_aside(store, mask, name, stored, &error.to_string(), when).await {
            Ok(true) => {
                warn!(%record, "moved to quarantine");
                Ok(Some(Ok(None)))
            }
            Ok(false) => Ok(None),
            Err(store_error) if takes_no_writes(&store_error) => {
                warn!(%record, cause = %store_error, "not moved to quarantine");
                Ok(Some(Err(StateError::Open { record, error })))
            }
            Err(store_error) => Err(store_error.into()),
        }
    }
}
