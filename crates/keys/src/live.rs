//! A live ring: the ring as one process knows it. It follows the document, publishes each new keyring to
//! the sealers, keeps the last good ring on any error and says so, and makes changes by compare-and-set.
//!
//! What to change, and when, is decided in `rotation` and by operators.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tracing::{debug, error, info, warn};
use waxseal_core::{KeyId, SharedKeyring};

use crate::clock::ClockOffset;
use crate::copy::LastGood;
use crate::custodian::Custodians;
use crate::document_store::{Document, DocumentStore};
use crate::error::{ChangeError, CustodianError, RingError};
use crate::ring::Ring;
use crate::rotation;

mod change;
mod clock;
mod follow;
mod look;

pub use change::Change;

/// Between two looks that values with unknown keys force.
const FORCED_EVERY: Duration = Duration::from_millis(500);
/// How long an id that was looked for in vain is not looked for again.
const IN_VAIN: Duration = Duration::from_secs(10);
/// Ids that were looked for in vain, at most: whoever can write values can make them up.
const MOST_IN_VAIN: usize = 10_000;
/// How often degraded that lasts is told again.
const TOLD_EVERY: Duration = Duration::from_secs(300);

/// How a ring is opened.
#[derive(Clone)]
pub struct LiveOptions {
    /// The environment that this process is for: a ring of another one is refused.
    pub environment: String,
    /// Where the last good copy is kept; without one a rollback before a start goes unnoticed.
    pub copy: Option<PathBuf>,
    /// Whether values under compromised keys are opened: for bringing them under another key.
    pub opens_compromised: bool,
    /// Tells the time, in milliseconds since the Unix epoch.
    pub now_ms: Arc<dyn Fn() -> u64 + Send + Sync>,
}

/// The ring as this process knows it. Cheap to clone.
#[derive(Clone)]
pub struct LiveRing(Arc<Inner>);

struct Inner {
    store: Arc<dyn DocumentStore>,
    custodians: Custodians,
    options: LiveOptions,
    copy: Option<LastGood>,
    keyring: SharedKeyring,
    /// Looked at for each value that is sealed: without a lock.
    known: ArcSwap<Known>,
    told: watch::Sender<Arc<Ring>>,
    /// One look at a time.
    looking: tokio::sync::Mutex<Option<Looked>>,
    in_vain: Mutex<HashMap<KeyId, Instant>>,
    degraded: Mutex<Option<Told>>,
    began: Instant,
    /// When the document was confirmed last: milliseconds since `began`, and by the clock. The first
    /// does not run while a machine sleeps, the second can be turned. 0: never.
    confirmed: AtomicU64,
    confirmed_at: AtomicU64,
    /// The pending key, and since when (milliseconds since `began`) it lay in the store whenever this
    /// process looked.
    watched: Mutex<Option<(KeyId, u64)>>,
    /// This process's clock beside the server's.
    clock: Mutex<clock::Comparison>,
}

/// A moment, by both clocks.
#[derive(Clone, Copy)]
struct Moment {
    /// Milliseconds since `began`.
    since: u64,
    /// Milliseconds since the Unix epoch.
    at: u64,
}

/// A ring, and the document as it was read: what a change expects to find.
struct Known {
    ring: Arc<Ring>,
    bytes: Vec<u8>,
}

/// A look at the document that was taken.
struct Looked {
    began: Instant,
    result: Result<(), RingError>,
}

/// What is wrong with the document at present.
#[derive(Clone, Debug)]
pub struct Degraded {
    /// What.
    pub error: RingError,
    /// For how long.
    pub since: Duration,
}

struct Told {
    error: RingError,
    since: Instant,
    told: Instant,
}

impl LiveRing {
    /// Opens the ring that lies in a store, and follows it in the background until the last clone is
    /// dropped. Needs a runtime.
    ///
    /// Where the store has lost the ring, or holds an older one than the last good copy, the copy is
    /// put back.
    pub async fn open(
        store: Arc<dyn DocumentStore>,
        custodians: Custodians,
        options: LiveOptions,
    ) -> Result<Self, RingError> {
        let copy = options.copy.clone().map(LastGood::at);
        let known = match &copy {
            Some(copy) => last_good(copy, &custodians, &options.environment).await,
            None => None,
        };
        // From before the question: nobody knows how long the answer took to be heard.
        let (began, at) = (Instant::now(), (options.now_ms)());
        let found = store.read(&Document::Ring).await;
        let is_reached = found.is_ok();
        let kept = known.as_ref().and(copy.as_ref());
        let kept_at = kept.and_then(LastGood::confirmed_at);
        let (ring, bytes, confirmed) = match (found, known) {
            (Ok(None), None) => {
                let location = store.location();
                return Err(RingError::Missing { location });
            }
            (Ok(Some(bytes)), None) => {
                let ring = open(&*store, &bytes, &custodians, &options, None).await?;
                (ring, bytes, true)
            }
            // Looked at again below, with the copy as what is known.
            (Ok(_), Some((ring, bytes))) => (ring, bytes, false),
            (Err(error), Some((ring, bytes))) => {
                warn!(
                    "{error}: starting with the last good copy of the keyring (version {})",
                    ring.version()
                );
                (ring, bytes, false)
            }
            (Err(error), None) => return Err(error.into()),
        };
        let inner = Inner::new(store, custodians, options, copy, (ring, bytes), began)?;
        let this = Self(Arc::new(inner));
        if is_reached {
            // Before the document is looked at: what is put back holds times.
            this.0.keep_clock_compared().await;
        }
        // The copy is as good as it is young.
        if let Some(at) = kept_at {
            this.0.note_confirmed(Moment { since: 0, at });
        }
        if confirmed {
            this.0.note_confirmed(Moment { since: 0, at });
            this.0.keep_copy().await;
        } else if let Err(error) = this.refresh().await
            && !matches!(error, RingError::DocumentStore(_))
        {
            return Err(error);
        }
        this.0.keep_offline().await;
        follow::spawn(Arc::downgrade(&this.0));
        Ok(this)
    }

    /// Writes a new ring into a store where there is none, and opens it.
    pub async fn create(
        store: Arc<dyn DocumentStore>,
        ring: &Ring,
        custodians: Custodians,
        options: LiveOptions,
    ) -> Result<Self, RingError> {
        check_clock_of_new(&*store, &options).await?;
        if !store
            .replace(&Document::Ring, None, &ring.to_bytes())
            .await?
        {
            let location = store.location();
            let found = Self::open(store, custodians, options).await?;
            let version = found.ring().version();
            return Err(RingError::Exists { location, version });
        }
        Self::open(store, custodians, options).await
    }

    /// Where the document lies.
    #[must_use]
    pub fn location(&self) -> String {
        self.0.store.location()
    }

    /// The store where the document lies.
    #[must_use]
    pub fn document_store(&self) -> &Arc<dyn DocumentStore> {
        &self.0.store
    }

    /// The keyring, for sealers: they follow it by themselves.
    #[must_use]
    pub fn keyring(&self) -> SharedKeyring {
        self.0.keyring.clone()
    }

    /// The ring of this moment.
    #[must_use]
    pub fn ring(&self) -> Arc<Ring> {
        self.0.known().ring.clone()
    }

    /// Tells of each new ring.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Arc<Ring>> {
        self.0.told.subscribe()
    }

    /// The time, in milliseconds since the Unix epoch.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.0.now_ms()
    }

    /// What is wrong with the document at present: the last good ring is in use as long as something
    /// is.
    #[must_use]
    pub fn degraded(&self) -> Option<Degraded> {
        lock(&self.0.degraded).as_ref().map(|told| Degraded {
            error: told.error.clone(),
            since: told.since.elapsed(),
        })
    }

    /// For how long this process has seen the pending key in the document, without a longer gap and
    /// without having had to put it back: what a decision to let it seal goes by.
    #[must_use]
    pub fn pending_watched(&self) -> Option<Duration> {
        let (id, since) = (*lock(&self.0.watched))?;
        let ring = self.ring();
        let pending = rotation::next_to_seal(&ring)?;
        let watched = self.0.moment().since.saturating_sub(since);
        (pending.id == id).then(|| Duration::from_millis(watched))
    }

    /// Asks each custodian of the ring whether it still unwraps it: those that are not configured here
    /// answer [`CustodianError::NotConfigured`].
    pub async fn check_custodians(&self) -> Vec<(String, Result<(), CustodianError>)> {
        self.ring().ask_each(&self.0.custodians).await
    }

    /// Keys that a custodian of this process wrapped and does not unwrap any more, with the custodian's URL. Asks each
    /// custodian for each key.
    pub async fn refused_wraps(&self) -> Vec<(String, String)> {
        self.ring().refused_wraps(&self.0.custodians).await
    }

    /// Looks at the document now. Of several who ask at the same time, one looks for all.
    pub async fn refresh(&self) -> Result<Arc<Ring>, RingError> {
        self.0.refresh(Instant::now()).await?;
        Ok(self.ring())
    }

    /// Called when a value names a key that the ring does not hold: looks at the document, at most
    /// every half second, and for an id that was looked for in vain not again for a while. Whether the
    /// ring holds the key now.
    pub async fn learn(&self, id: KeyId) -> bool {
        let holds = || self.0.keyring.current().role(id).is_some();
        if holds() {
            return true;
        }
        let vain = lock(&self.0.in_vain).get(&id).map(Instant::elapsed);
        if vain.is_some_and(|since| since < IN_VAIN) {
            return false;
        }
        let asked = Instant::now();
        // The error was told; the last good ring stays.
        let looked = self.0.refresh_spaced(asked).await;
        if holds() {
            return true;
        }
        if looked.is_ok() {
            let mut in_vain = lock(&self.0.in_vain);
            if in_vain.len() >= MOST_IN_VAIN {
                in_vain.retain(|_, since| since.elapsed() < IN_VAIN);
            }
            if in_vain.len() < MOST_IN_VAIN {
                in_vain.insert(id, Instant::now());
            }
        }
        false
    }

    /// Whether the document was confirmed so recently that values can be sealed without asking.
    #[must_use]
    pub fn is_confirmed(&self) -> bool {
        let known = self.0.known.load();
        known.ring.settings().is_confirmed(self.0.silent_ms())
    }

    /// To be called before sealing where the ring is not confirmed, as after the process was suspended:
    /// looks at the document.
    ///
    /// A document that cannot be reached does not stop sealing, until it was out of reach for so long
    /// that the key may have been destroyed by others: then [`RingError::Lapsed`].
    pub async fn confirm(&self) -> Result<(), RingError> {
        // Known to be out of reach, and looked for in the background: nobody waits for it each time.
        let in_vain = !self.is_lapsed() && lock(&self.0.degraded).is_some();
        if self.is_confirmed() || in_vain || self.0.refresh_spaced(Instant::now()).await.is_ok() {
            return Ok(());
        }
        self.check_lapse()
    }

    /// The same, waiting no longer than `limit` for the document: one that does not come in time counts as
    /// out of reach. A custodian that hangs must not hold up sealing under a key that is known.
    pub async fn confirm_within(&self, limit: Duration) -> Result<(), RingError> {
        match tokio::time::timeout(limit, self.confirm()).await {
            Ok(confirmed) => confirmed,
            Err(_) => self.check_lapse(),
        }
    }

    fn is_lapsed(&self) -> bool {
        self.ring().settings().is_lapsed(self.0.silent_ms())
    }

    fn check_lapse(&self) -> Result<(), RingError> {
        let silent = self.0.silent_ms();
        if !self.is_lapsed() {
            return Ok(());
        }
        Err(RingError::Lapsed {
            silent_s: silent.map_or(u64::MAX, |silent| silent / 1000),
        })
    }
}

impl Inner {
    fn new(
        store: Arc<dyn DocumentStore>,
        custodians: Custodians,
        options: LiveOptions,
        copy: Option<LastGood>,
        (ring, bytes): (Ring, Vec<u8>),
        began: Instant,
    ) -> Result<Self, RingError> {
        let keyring = Arc::new(keyring(&ring, &options)?);
        let ring = Arc::new(ring);
        Ok(Self {
            store,
            custodians,
            options,
            copy,
            keyring: SharedKeyring::from(keyring),
            told: watch::Sender::new(ring.clone()),
            known: ArcSwap::from_pointee(Known { ring, bytes }),
            looking: tokio::sync::Mutex::new(None),
            in_vain: Mutex::default(),
            degraded: Mutex::default(),
            began,
            watched: Mutex::default(),
            clock: Mutex::default(),
            confirmed: AtomicU64::new(0),
            confirmed_at: AtomicU64::new(0),
        })
    }

    /// Looks at the document, unless somebody has begun to since `asked`.
    async fn refresh(&self, asked: Instant) -> Result<(), RingError> {
        let mut looking = self.looking.lock().await;
        if let Some(looked) = &*looking
            && looked.began >= asked
        {
            return looked.result.clone();
        }
        let began = Instant::now();
        let result = self.look().await;
        self.tell(result.as_ref().err());
        if result.is_ok() {
            self.keep_clock_compared().await;
        }
        if let (Ok(()), Some(copy)) = (&result, &self.copy) {
            copy.renew(self.now_ms(), false).await;
        }
        *looking = Some(Looked {
            began,
            result: result.clone(),
        });
        result
    }

    /// The same, no sooner than a while after the last look.
    async fn refresh_spaced(&self, asked: Instant) -> Result<(), RingError> {
        let last = self.looking.lock().await.as_ref().map(|it| it.began);
        if let Some(last) = last {
            sleep(FORCED_EVERY.saturating_sub(last.elapsed())).await;
        }
        self.refresh(asked).await
    }

    fn known(&self) -> Arc<Known> {
        self.known.load_full()
    }

    fn now_ms(&self) -> u64 {
        (self.options.now_ms)()
    }

    /// This moment.
    fn moment(&self) -> Moment {
        Moment {
            since: millis(self.began.elapsed()),
            at: self.now_ms(),
        }
    }

    /// The document was read, or written, after this moment. Not before now, when it is noted: between
    /// the question and the answer a process can be suspended for days.
    fn note_confirmed(&self, asked: Moment) {
        self.watch(asked);
        self.confirmed_at.store(asked.at, Ordering::Relaxed);
        self.confirmed
            .store(asked.since.saturating_add(1), Ordering::Release);
    }

    /// Watches the pending key, anew after the document was out of sight for too long.
    fn watch(&self, asked: Moment) {
        let ring = self.known().ring.clone();
        let bound = ring.settings().refresh_ms.saturating_mul(2);
        let is_gap = self.silent_ms().is_none_or(|silent| silent > bound);
        let pending = rotation::next_to_seal(&ring).map(|entry| entry.id);
        let mut watched = lock(&self.watched);
        if is_gap || watched.map(|(id, _)| id) != pending {
            *watched = pending.map(|id| (id, asked.since));
        }
    }

    /// For how long the document was not confirmed; `None`: never was.
    fn silent_ms(&self) -> Option<u64> {
        let confirmed = self.confirmed.load(Ordering::Acquire).checked_sub(1)?;
        let now = self.moment();
        let at = self.confirmed_at.load(Ordering::Relaxed);
        let by_clock = now.at.saturating_sub(at);
        Some(now.since.saturating_sub(confirmed).max(by_clock))
    }

    /// Says what is wrong, when it begins, now and then while it lasts, and when it is over.
    fn tell(&self, error: Option<&RingError>) {
        let mut degraded = lock(&self.degraded);
        let Some(error) = error else {
            if degraded.take().is_some() {
                info!("the keyring is in order again");
            }
            return;
        };
        let now = Instant::now();
        if let Some(told) = &mut *degraded
            && told.error == *error
        {
            if told.told.elapsed() < TOLD_EVERY {
                return;
            }
            told.told = now;
        } else {
            *degraded = Some(Told {
                error: error.clone(),
                since: now,
                told: now,
            });
        }
        error!(
            "{error}; the last good keyring (version {}) stays in use",
            self.known().ring.version()
        );
    }
}

fn keyring(ring: &Ring, options: &LiveOptions) -> Result<waxseal_core::Keyring, RingError> {
    let keyring = ring.keyring()?;
    Ok(match options.opens_compromised {
        true => keyring.opening_compromised(),
        false => keyring,
    })
}

/// A new ring holds the time of its first key: by a clock that the server's does not contradict.
async fn check_clock_of_new(
    store: &dyn DocumentStore,
    options: &LiveOptions,
) -> Result<(), RingError> {
    let asked = (options.now_ms)();
    let Some(server) = store.time_ms().await? else {
        return Ok(());
    };
    let offset = ClockOffset::from_round_trip(asked, server, (options.now_ms)());
    match offset.is_usable() {
        true => Ok(()),
        false => Err(ChangeError::Clock {
            location: store.location(),
            offset,
        }
        .into()),
    }
}

async fn open(
    store: &dyn DocumentStore,
    bytes: &[u8],
    custodians: &Custodians,
    options: &LiveOptions,
    known: Option<&Ring>,
) -> Result<Ring, RingError> {
    let location = store.location();
    Ring::open(bytes, &location, &options.environment, custodians, known).await
}

/// The last good copy, if there is one that opens.
async fn last_good(
    copy: &LastGood,
    custodians: &Custodians,
    environment: &str,
) -> Option<(Ring, Vec<u8>)> {
    let location = format!("file:{}", copy.path().display());
    let bytes = match copy.read().await {
        Ok(bytes) => bytes?,
        Err(error) => {
            warn!("the last good copy of the keyring cannot be read: {error}");
            return None;
        }
    };
    match Ring::open(&bytes, &location, environment, custodians, None).await {
        Ok(ring) => Some((ring, bytes)),
        // The document in the store needs the same custodians, and tells.
        Err(RingError::Custodian(error)) => {
            debug!("the last good copy does not open: {error}");
            None
        }
        Err(error) => {
            warn!("the last good copy is of no use: {error}");
            None
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

type Follower = Weak<Inner>;
