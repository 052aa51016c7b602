//! The upkeep of a keyring: every process reports how much it has sealed, one of them leads, and the leader carries
//! out the steps of the rotation that are due. Any process may end at any point; another one continues.

mod passes;
mod rotation;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tracing::{error, info};
use waxseal_core::KeyId;
use waxseal_keys::{Change, ChangeError, LiveRing, ProtectedScope, RingError, UserKeys};
use waxseal_log_limit::Reminder;
use waxseal_stores::{RecordPattern, RecordStore};
use waxseal_sweep::{Stop, SweepOptions};

pub use passes::member_finding;
pub use rotation::RotationEvent;

use crate::error::UpkeepError;
use crate::scope::ScopeHandle;

/// The records that hold the keys of users.
const USER_KEYS: &str = "waxseal:user:*";
/// The record that holds the canary of a store.
const CANARY: &str = "waxseal:canary";
/// An error that lasts is logged again after this time.
const LOG_INTERVAL: Duration = Duration::from_secs(300);
/// The time between two checks whether to stop.
const STOP_INTERVAL: Duration = Duration::from_millis(50);

/// Returns a random id for this process.
#[must_use]
pub fn process_id() -> String {
    format!("{}{}", KeyId::random(), KeyId::random())
}

/// The upkeep of a keyring and of all records that are sealed under it.
#[derive(Clone)]
pub struct Upkeep {
    ring: LiveRing,
    process: String,
    /// The kind of process: `proxy`, `keeper`, `library`.
    kind: &'static str,
    scopes: Vec<ScopeHandle>,
    /// Waxseal's own records that are sealed under the ring.
    internal: Vec<(Arc<dyn RecordStore>, RecordPattern)>,
    /// The store of the keys of users.
    user_keys: Option<Arc<dyn RecordStore>>,
    options: SweepOptions,
    /// New members are written plain by this process.
    writes_plain: bool,
}

impl Upkeep {
    /// The upkeep by this process. All records that are sealed under the ring should be among the scopes: no key is
    /// retired before all of them were counted.
    pub fn new(
        ring: LiveRing,
        kind: &'static str,
        scopes: Vec<ScopeHandle>,
        user_keys: Option<(UserKeys, Arc<dyn RecordStore>)>,
    ) -> Result<Self, UpkeepError> {
        let scopes = ScopeHandle::resolve(scopes);
        let mut internal = Vec::new();
        for scope in &scopes {
            let location = scope.store.location();
            let is_new = |(store, _): &(Arc<dyn RecordStore>, _)| store.location() != location;
            if internal.iter().all(is_new) {
                internal.push((scope.store.clone(), RecordPattern::parse_own(CANARY)?));
            }
        }
        let user_keys = user_keys.map(|(_, store)| store);
        if let Some(store) = &user_keys {
            internal.push((store.clone(), RecordPattern::parse_own(USER_KEYS)?));
        }
        Ok(Self {
            ring,
            process: process_id(),
            kind,
            scopes,
            internal,
            user_keys,
            options: SweepOptions::default(),
            writes_plain: false,
        })
    }

    /// Sets the options of its sweeps.
    #[must_use]
    pub fn options(mut self, options: SweepOptions) -> Self {
        self.options = options;
        self
    }

    /// The same for a process that writes new values plain: members can be in several forms while it runs.
    #[must_use]
    pub fn writing_plain(mut self, writes_plain: bool) -> Self {
        self.writes_plain = writes_plain;
        self
    }

    /// The keyring.
    #[must_use]
    pub fn ring(&self) -> &LiveRing {
        &self.ring
    }

    /// The random id of this process.
    #[must_use]
    pub fn process(&self) -> &str {
        &self.process
    }

    /// Registers the records that this process protects with the keyring, so that no leader retires a key before it
    /// has counted them. An error if some are configured otherwise than the ring has them: these are left as they are
    /// there, and all others are registered.
    pub async fn register(&self) -> Result<(), UpkeepError> {
        let mut protected_scopes: Vec<_> = self
            .scopes
            .iter()
            .map(ScopeHandle::protected_scope)
            .collect();
        if self.scopes.iter().any(|scope| scope.users.is_some()) {
            protected_scopes.extend(self.user_keys.as_ref().map(user_key_scope));
        }
        let ring = self.ring.ring();
        let mut differing = None;
        for scope in &mut protected_scopes {
            if let Err(error) = ring.with_protected_scopes(std::slice::from_ref(scope)) {
                // Their keys must not be retired, however they are configured.
                *scope = scope.bare();
                differing.get_or_insert(error);
            }
        }
        let registered = ring.with_protected_scopes(&protected_scopes);
        if !matches!(registered, Ok(None)) {
            let change = Change::Register(protected_scopes.clone());
            self.ring.change(&change).await?;
        }
        if self.writes_plain {
            self.ring.allow_several_forms(&protected_scopes).await?;
        }
        match differing {
            Some(error) => Err(UpkeepError::Configured(error)),
            None => Ok(()),
        }
    }

    /// Reports, and leads whenever no other process does, until told to stop.
    pub async fn run(&self, stop: &Stop) {
        tokio::join!(self.report(stop), self.lead(stop));
    }

    /// Reports and never leads, until told to stop.
    pub async fn follow(&self, stop: &Stop) {
        self.report(stop).await;
    }

    /// Reports once in each refresh interval of the ring.
    async fn report(&self, stop: &Stop) {
        let mut last_error = LastError::default();
        while !stop.is_stopped() {
            // Each time: a store that loses a write may lose this one.
            let mut outcome = self.register().await;
            let is_configured_otherwise = matches!(outcome, Err(UpkeepError::Configured(_)));
            let writes_one_form = !self.writes_plain && !is_configured_otherwise;
            let reported = self
                .ring
                .report(&self.process, self.kind, writes_one_form)
                .await;
            if let Err(error) = reported {
                outcome = Err(error.into());
            }
            if let Err(error) = outcome {
                let what = match error {
                    UpkeepError::Configured(_) => "configured otherwise than the keyring has it",
                    _ => "the keyring cannot be reported to",
                };
                last_error.log(what, &error);
            }
            let interval = self.ring.ring().settings().refresh();
            if wait(interval, stop).await.is_err() {
                return;
            }
        }
    }
}

/// The entry in the ring for a store of users' keys: these are sealed under it, wherever the records are.
#[must_use]
pub fn user_key_scope(store: &Arc<dyn RecordStore>) -> ProtectedScope {
    ProtectedScope::new(store.location(), USER_KEYS)
}

/// The last error that was logged. The same error is logged once, and again at intervals while it lasts.
struct LastError(Reminder<String>);

impl Default for LastError {
    fn default() -> Self {
        Self(Reminder::new(LOG_INTERVAL))
    }
}

impl LastError {
    fn log(&mut self, what: &str, error: &UpkeepError) {
        // Not an error: another process leads now.
        let is_led = matches!(
            error,
            UpkeepError::Led(_) | UpkeepError::Ring(RingError::Change(ChangeError::Fenced))
        );
        if is_led {
            info!("another process leads the rotation of the keyring");
            return;
        }
        let text = error.to_string();
        if self.0.record(text.clone(), Instant::now().into_std()) {
            error!("{what}: {text}");
        }
    }
}

/// Waits for this long. Returns an error if it is told to stop.
async fn wait(span: Duration, stop: &Stop) -> Result<(), UpkeepError> {
    let until = Instant::now() + span;
    while !stop.is_stopped() {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        sleep(left.min(STOP_INTERVAL)).await;
    }
    Err(UpkeepError::Stopped)
}
