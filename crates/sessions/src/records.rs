//! Sealed records: the ground under the state manager and the adapters. Values go in and come out
//! as bytes; the guards stand here, and here is decided what becomes of a value that cannot be
//! opened.

use std::sync::Arc;

use tracing::{info, warn};
use waxseal_core::{NameMask, OpenError, Sealer};
use waxseal_metrics::Counter;
use waxseal_stores::{
    Change, Expiry, Lifetime, Outcome, RecordName, RecordPattern, RecordStore, Slot,
};

use crate::canary::{Canary, CanaryState, GuardedRecords, takes_no_writes};
use crate::decoys::Decoys;
use crate::error::{GuardError, StateError};
use crate::options::{OnRefused, Options};
use crate::quarantine;
use crate::record_sealer::RecordSealer;
use crate::window::Window;

/// How often a value that changed under our hands is read again.
const READS: u32 = 8;
/// How often a record that others keep writing is written over.
#[cfg(any(feature = "tower-sessions", feature = "actix-session"))]
const REWRITES: u32 = 100;

/// Records of one prefix, sealed on the way in and opened on the way out.
pub struct SealedRecords {
    store: Arc<dyn RecordStore>,
    sealer: RecordSealer,
    options: Options,
    mask: NameMask,
    window: Window,
    /// Whether the key is known to be the right one. Without that nothing is moved aside.
    key_checked: bool,
    quarantined: Counter,
    decoys: Decoys,
}

/// What a record held: the stored bytes, and the value that they opened to (empty: none, or none
/// to speak of).
pub(crate) struct Found {
    pub(crate) stored: Vec<u8>,
    pub(crate) value: Vec<u8>,
    /// When the user was erased whom the value was sealed for. There is no value then.
    pub(crate) erased: Option<u64>,
}

impl SealedRecords {
    /// Checks the key against the store, and starts.
    ///
    /// [`GuardError::WrongKey`] where the store was sealed under another key: then nothing has been
    /// changed, and the process must not go on.
    pub async fn start(
        store: Arc<dyn RecordStore>,
        sealer: Sealer,
        options: Options,
    ) -> Result<Self, GuardError> {
        let pattern = RecordPattern::of_prefix(&options.prefix, options.user_keys.is_some())?;
        let pattern = pattern.except(&options.excepts)?;
        // One of its own where there is no key to derive one from.
        let ring = sealer.keyring();
        let mask = ring.map_or_else(NameMask::random, |ring| ring.name_mask().clone());
        let decoys = Decoys::of(&options, &pattern, &mask)?;
        let canary = match &options.canary {
            Some(name) => Canary::named(store.clone(), RecordName::from(name.as_str())),
            None => Canary::of(store.clone()),
        };
        let canary = match &options.user_keys {
            Some(users) => canary.user_keys(users.clone()),
            None => canary,
        };
        let canary = match &options.ring {
            Some(ring) => canary.ring(ring.clone()),
            None => canary,
        };
        let sealer = sealer.only_json();
        let mut guarded = vec![GuardedRecords::from(pattern.clone())];
        guarded.extend(options.guarded.iter().cloned());
        let state = if sealer.mode().seals() {
            canary.check_or_create(&sealer, &guarded).await?
        } else {
            canary.check(&sealer, &guarded).await?
        };
        if sealer.mode().seals() {
            info!("StateManager: Redis encryption enabled");
        } else {
            info!("StateManager: Redis encryption disabled");
        }
        if let Some(ring) = &options.ring {
            let (version, sealing) = (ring.ring().version(), ring.keyring().current().sealing_id());
            info!("StateManager: keyring version {version}, sealing key {sealing}");
        }
        if let CanaryState::Differs(_) = state {
            warn!(
                "the canary of this store does not open, though its values do: find out which \
                process has another key"
            );
        }
        let key_checked = !matches!(state, CanaryState::Absent | CanaryState::Differs(_));
        if !key_checked && options.on_refused == OnRefused::Quarantine && sealer.mode().seals() {
            warn!("no canary could be written to the store: quarantine is switched off");
        }
        let (ring, users) = (options.ring.clone(), options.user_keys.clone());
        Ok(Self {
            store,
            sealer: RecordSealer::new(sealer, ring, users, pattern),
            options,
            mask,
            window: Window::default(),
            key_checked,
            quarantined: waxseal_metrics::quarantined_counter(),
            decoys,
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
        self.mask.show(&self.options.prefix, name.as_bytes())
    }

    pub(crate) async fn read(&self, name: &RecordName) -> Result<Option<Found>, StateError> {
        for _ in 0..READS {
            let Some(stored) = self.store.get(name, &Slot::Whole).await? else {
                return Ok(None);
            };
            let error = match self.sealer.open(name, &stored).await? {
                Ok(opened) => {
                    self.window.opened();
                    if opened.is_some() && self.decoys.is_one(name.as_bytes()) {
                        self.decoys.opened(|| self.shown(name));
                    }
                    let value = opened.unwrap_or_default();
                    return Ok(Some(Found {
                        stored,
                        value,
                        erased: None,
                    }));
                }
                // Nothing failed: it is as it shall be, and says nothing about the key.
                Err(OpenError::Erased { at }) => {
                    info!(record = %self.shown(name), "the state is of a user who was erased");
                    return Ok(Some(Found {
                        stored,
                        value: Vec::new(),
                        erased: Some(at),
                    }));
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
        let stored = self.sealer.to_store(name, value).await?;
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
        let stored = self.sealer.to_store(name, value).await?;
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
        let new = match value {
            Some(value) => Some(self.sealer.to_store(name, value).await?),
            None => None,
        };
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
                    erased: None,
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
        let (store, mask) = (&*self.store, &self.mask);
        match quarantine::move_aside(store, mask, name, stored, &error.to_string(), when).await {
            Ok(true) => {
                self.quarantined.increment(1);
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
