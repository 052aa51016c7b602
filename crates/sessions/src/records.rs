//! Sealed records, on which the state manager and the adapters are built: values in and out as bytes. The guards are
//! here, and the decision about a value that cannot be opened.

use std::sync::Arc;

use tracing::{info, warn};
use waxseal_core::{NameMask, OpenError, Sealer};
use waxseal_metrics::Counter;
use waxseal_stores::{
    Change, Expiry, Lifetime, Outcome, RecordName, RecordPattern, RecordStore, Slot,
};

use crate::canary::{Canary, CanaryState, GuardedRecords, is_write_refused};
use crate::decoys::Decoys;
use crate::error::{GuardError, StateError};
use crate::options::{OnRefused, Options};
use crate::record_sealer::{Opened, RecordSealer};
use crate::window::Window;
use crate::{names, quarantine};

/// Attempts to read a value that changes before it is moved to quarantine.
const MAX_READS: u32 = 8;
/// Attempts to overwrite a record that others keep writing.
#[cfg(any(feature = "tower-sessions", feature = "actix-session"))]
const MAX_REWRITES: u32 = 100;

/// Records of one prefix, sealed on the way in and opened on the way out.
pub struct SealedRecords {
    store: Arc<dyn RecordStore>,
    sealer: RecordSealer,
    options: Options,
    mask: NameMask,
    window: Window,
    /// True if the key is known to be the right one. Otherwise nothing is moved to quarantine.
    is_key_checked: bool,
    quarantined: Counter,
    decoys: Decoys,
}

/// A record that was read: the stored bytes, and the value that they opened to.
pub(crate) struct StoredState {
    pub(crate) stored: Vec<u8>,
    /// Empty if there is no value: the record is empty, does not open, or belongs to an erased user.
    pub(crate) value: Vec<u8>,
    /// The time at which the user of the value was erased.
    pub(crate) erased: Option<u64>,
}

/// The decision about a value that does not open.
enum OnFailure {
    /// Return this state, or none.
    Return(Option<StoredState>),
    /// Read the record again: it has changed.
    Reread,
}

impl SealedRecords {
    /// Checks the key against the store, and starts.
    ///
    /// Returns [`GuardError::WrongKey`] if the store was sealed under another key: then nothing has been changed, and the
    /// process must not continue.
    pub async fn start(
        store: Arc<dyn RecordStore>,
        sealer: Sealer,
        options: Options,
    ) -> Result<Self, GuardError> {
        let pattern = RecordPattern::with_prefix(&options.prefix, options.user_keys.is_some())?;
        let pattern = pattern.except(&options.excepts)?;
        // A random mask if there is no key to derive one from.
        let ring = sealer.keyring();
        let mask = ring.map_or_else(NameMask::random, |ring| ring.name_mask().clone());
        let decoys = Decoys::new(&options, &pattern, &mask)?;
        let store = names::open(store, &sealer, &options, &pattern)?;
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
        let mut guarded = vec![GuardedRecords {
            group: sealer.group().cloned(),
            ..GuardedRecords::from(pattern.clone())
        }];
        guarded.extend(options.guarded.iter().cloned());
        let state = if sealer.mode().seals() {
            canary.check_or_create(&sealer, &guarded).await?
        } else {
            canary.check(&sealer, &guarded).await?
        };
        if let Some(named) = store.named() {
            names::check_sample(named, std::slice::from_ref(&pattern), true).await?;
            info!("StateManager: record names are sealed");
        }
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
        let is_key_checked = !matches!(state, CanaryState::Absent | CanaryState::Differs(_));
        if !is_key_checked && options.on_refused == OnRefused::Quarantine && sealer.mode().seals() {
            warn!("no canary could be written to the store: quarantine is switched off");
        }
        let (ring, users) = (options.ring.clone(), options.user_keys.clone());
        Ok(Self {
            store,
            sealer: RecordSealer::new(sealer, ring, users, pattern),
            options,
            mask,
            window: Window::default(),
            is_key_checked,
            quarantined: waxseal_metrics::quarantined_counter(),
            decoys,
        })
    }

    /// The store of the records, with the names that the application knows.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn RecordStore> {
        &self.store
    }

    pub(crate) fn sealer(&self) -> &RecordSealer {
        &self.sealer
    }

    pub(crate) fn options(&self) -> &Options {
        &self.options
    }

    pub(crate) fn name(&self, suffix: &str) -> RecordName {
        RecordName::from(format!("{}{suffix}", self.options.prefix))
    }

    /// Returns a record name as it may be shown: masked.
    pub(crate) fn shown(&self, name: &RecordName) -> String {
        self.mask.show(&self.options.prefix, name.as_bytes())
    }

    pub(crate) async fn read(&self, name: &RecordName) -> Result<Option<StoredState>, StateError> {
        for _ in 0..MAX_READS {
            let Some(stored) = self.store.get(name, &Slot::Whole).await? else {
                return Ok(None);
            };
            let error = match self.sealer.open(name, &stored).await? {
                opened @ (Opened::Value(_) | Opened::Empty) => {
                    self.window.record_success();
                    let value = match opened {
                        Opened::Value(value) => {
                            if self.decoys.contains(name.as_bytes()) {
                                self.decoys.report(|| self.shown(name));
                            }
                            value
                        }
                        _ => Vec::new(),
                    };
                    return Ok(Some(StoredState {
                        stored,
                        value,
                        erased: None,
                    }));
                }
                // Not a failure: the value is erased as intended, and says nothing about the key.
                Opened::Failed(OpenError::Erased { at }) => {
                    info!(record = %self.shown(name), "the state is of a user who was erased");
                    return Ok(Some(StoredState {
                        stored,
                        value: Vec::new(),
                        erased: Some(at),
                    }));
                }
                Opened::Failed(error) => error,
            };
            match self.on_failure(name, &stored, error).await? {
                OnFailure::Return(state) => return Ok(state),
                OnFailure::Reread => {}
            }
        }
        Err(StateError::Contended {
            record: self.shown(name),
            attempts: MAX_READS,
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

    /// Writes a record if it still holds the expected stored bytes (`None`: if it is absent). Returns true if it did.
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

    /// Overwrites a record if it exists, whatever it holds. Returns true if it did. Without a value only the expiry is
    /// changed.
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
        for _ in 0..MAX_REWRITES {
            let Some(current) = self.store.get(name, &Slot::Whole).await? else {
                return Ok(false);
            };
            let stored = new.as_deref().unwrap_or(&current);
            if self
                .replace_stored(name, Some(&current), stored, expiry)
                .await?
            {
                return Ok(true);
            }
        }
        Err(StateError::Contended {
            record: self.shown(name),
            attempts: MAX_REWRITES,
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

    /// Records that a value beside others was opened.
    pub(crate) fn record_success(&self) {
        self.window.record_success();
    }

    /// Decides about a member, or a value in an entry of a stream, that did not open: it is left out of what is read, and
    /// stays where it is, since a copy elsewhere could not be put back as it was. `Err` where what is read must fail instead.
    pub(crate) fn leave_out(
        &self,
        name: &RecordName,
        stored: &[u8],
        error: OpenError,
    ) -> Result<(), StateError> {
        let record = self.shown(name);
        warn!(%record, cause = %error, "Failed to decrypt Redis data");
        let is_alone = self.window.record_lasting_failure(stored);
        let leaves_out = match self.options.on_refused {
            OnRefused::Error => false,
            OnRefused::Absent => is_damaged(&error),
            OnRefused::Quarantine => is_damaged(&error) && is_alone && self.is_key_checked,
        };
        if leaves_out {
            warn!(%record, "left out of what is read; it stays in its record");
            Ok(())
        } else {
            Err(StateError::Open { record, error })
        }
    }

    /// Decides about a value that did not open, and moves it to quarantine if that is chosen and safe.
    async fn on_failure(
        &self,
        name: &RecordName,
        stored: &[u8],
        error: OpenError,
    ) -> Result<OnFailure, StateError> {
        let record = self.shown(name);
        warn!(%record, cause = %error, "Failed to decrypt Redis data");
        let may_move = self.window.record_failure();
        let is_damaged = is_damaged(&error);
        match self.options.on_refused {
            // With the stored bytes, so that an update can replace them.
            OnRefused::Absent if is_damaged => {
                return Ok(OnFailure::Return(Some(StoredState {
                    stored: stored.to_vec(),
                    value: Vec::new(),
                    erased: None,
                })));
            }
            OnRefused::Quarantine if is_damaged && may_move && self.is_key_checked => {}
            OnRefused::Quarantine if is_damaged => {
                warn!(%record, "not moved to quarantine: too many values fail, or the key is unchecked");
                return Err(StateError::Open { record, error });
            }
            _ => return Err(StateError::Open { record, error }),
        }
        let when = (self.options.clock.now_ms(), self.options.keep_quarantined);
        let (store, mask) = (&*self.store, &self.mask);
        match quarantine::move_aside(store, mask, name, stored, &error.to_string(), when).await {
            Ok(true) => {
                self.quarantined.increment(1);
                warn!(%record, "moved to quarantine");
                Ok(OnFailure::Return(None))
            }
            Ok(false) => Ok(OnFailure::Reread),
            Err(store_error) if is_write_refused(&store_error) => {
                warn!(%record, cause = %store_error, "not moved to quarantine");
                Err(StateError::Open { record, error })
            }
            Err(store_error) => Err(store_error.into()),
        }
    }
}

/// True for a value that was tampered with, moved or cut off: neither its key nor its form is missing.
fn is_damaged(error: &OpenError) -> bool {
    matches!(error, OpenError::Refused | OpenError::Malformed(_))
}
