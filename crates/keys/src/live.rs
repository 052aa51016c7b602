//! A live ring: the keyring as one process knows it. It follows the document, publishes each new keyring
//! to the sealers, keeps the last good ring on any error and reports it, and makes changes by
//! compare-and-set.
//!
//! ```text
//! every refresh interval, or when a value names an unknown key:
//!
//!   refresh ─► poll ─► read the document
//!                        unchanged            ─► confirmed
//!                        newer                ─► adopt, publish, store the copy, confirmed
//!                        missing, older, torn ─► restore from what is known, confirmed
//!                        anything else        ─► degraded: the last good ring stays in use
//! ```
//!
//! What to change, and when, is decided in `rotation` and by operators.

use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, Weak};

use arc_swap::ArcSwap;
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{debug, warn};
use waxseal_core::{KeyId, SharedKeyring};
use waxseal_log_limit::Reminder;

use crate::clock::ClockOffset;
use crate::custodian::{CustodianError, Custodians};
use crate::document_store::{Document, DocumentStore};
use crate::error::{ChangeError, RingError};
use crate::last_good::LastGoodCopy;
use crate::negative_cache::NegativeCache;
use crate::ring::Ring;

mod change;
mod change_format_2;
mod clock;
mod degraded;
mod follow;
mod freshness;
mod poll;
mod refresh;
mod reports;

pub use change::Change;
pub use degraded::Degraded;

use freshness::Moment;
use refresh::CompletedPoll;

/// Options for opening a ring.
#[derive(Clone)]
pub struct LiveOptions {
    /// The environment that this process is for: a ring of another one is refused.
    pub environment: String,
    /// The file of the last good copy. Without one, a rollback before a start goes unnoticed.
    pub copy: Option<PathBuf>,
    /// Opens values under compromised keys as well, to reseal them under another key.
    pub opens_compromised: bool,
    /// Returns the time, in milliseconds since the Unix epoch.
    pub now_ms: Arc<dyn Fn() -> u64 + Send + Sync>,
}

/// The ring as this process knows it. Cheap to clone.
#[derive(Clone)]
pub struct LiveRing(Arc<Inner>);

struct Inner {
    store: Arc<dyn DocumentStore>,
    custodians: Custodians,
    options: LiveOptions,
    copy: Option<LastGoodCopy>,
    keyring: SharedKeyring,
    /// Read for each value that is sealed: without a lock.
    known: ArcSwap<KnownRing>,
    updates: watch::Sender<Arc<Ring>>,
    /// Held during a poll, so that there is one at a time.
    last_poll: tokio::sync::Mutex<Option<CompletedPoll>>,
    unknown_keys: NegativeCache<KeyId>,
    last_error: Mutex<Reminder<RingError>>,
    started: Instant,
    /// When the document was confirmed last: milliseconds since `started`, and by the clock. The first
    /// does not run while a machine sleeps, the second can be changed. 0: never.
    confirmed: AtomicU64,
    confirmed_at: AtomicU64,
    /// The pending key, and since when (milliseconds since `started`) every poll of this process has
    /// found it in the document.
    watched: Mutex<Option<(KeyId, u64)>>,
    /// This process's clock compared with the server's.
    clock: Mutex<clock::Comparison>,
}

/// A ring and the bytes of its document: a change expects to find exactly these.
struct KnownRing {
    ring: Arc<Ring>,
    bytes: Vec<u8>,
}

type WeakInner = Weak<Inner>;

impl LiveRing {
    /// Opens the ring in a store, and follows it in the background until the last clone is dropped.
    /// Needs a runtime.
    ///
    /// If the store has lost the ring, or holds an older one than the last good copy, the copy is
    /// written back.
    pub async fn open(
        store: Arc<dyn DocumentStore>,
        custodians: Custodians,
        options: LiveOptions,
    ) -> Result<Self, RingError> {
        let copy = options.copy.clone().map(LastGoodCopy::at);
        let known = match &copy {
            Some(copy) => open_copy(copy, &custodians, &options.environment).await,
            None => None,
        };
        // Taken before the read: how long its answer takes to arrive is unknown.
        let (started, at) = (Instant::now(), (options.now_ms)());
        let found = store.read(&Document::Ring).await;
        let is_reached = found.is_ok();
        let usable_copy = known.as_ref().and(copy.as_ref());
        let copy_confirmed_at = usable_copy.and_then(LastGoodCopy::confirmed_at);
        let (ring, bytes, confirmed) = match (found, known) {
            (Ok(None), None) => {
                let location = store.location();
                return Err(RingError::Missing { location });
            }
            (Ok(Some(bytes)), None) => {
                let ring = open_document(&*store, &bytes, &custodians, &options, None).await?;
                (ring, bytes, true)
            }
            // Polled again below, with the copy as the known ring.
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
        let inner = Inner::new(store, custodians, options, copy, (ring, bytes), started)?;
        let this = Self(Arc::new(inner));
        if is_reached {
            // Before the poll: what it writes back contains times.
            this.0.keep_clock_compared().await;
        }
        // The copy is as good as it is recent.
        if let Some(at) = copy_confirmed_at {
            this.0.note_confirmed(Moment { since: 0, at });
        }
        if confirmed {
            this.0.note_confirmed(Moment { since: 0, at });
            this.0.store_copy().await;
        } else if let Err(error) = this.refresh().await
            && !matches!(error, RingError::DocumentStore(_))
        {
            return Err(error);
        }
        this.0.store_offline().await;
        follow::spawn(Arc::downgrade(&this.0));
        Ok(this)
    }

    /// Writes a new ring to a store that has none, and opens it.
    pub async fn create(
        store: Arc<dyn DocumentStore>,
        ring: &Ring,
        custodians: Custodians,
        options: LiveOptions,
    ) -> Result<Self, RingError> {
        check_clock_for_new_ring(&*store, &options).await?;
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

    /// The location of the document, without credentials.
    #[must_use]
    pub fn location(&self) -> String {
        self.0.store.location()
    }

    /// The store of the document.
    #[must_use]
    pub fn document_store(&self) -> &Arc<dyn DocumentStore> {
        &self.0.store
    }

    /// The keyring for sealers. It is updated in place.
    #[must_use]
    pub fn keyring(&self) -> SharedKeyring {
        self.0.keyring.clone()
    }

    /// The current ring.
    #[must_use]
    pub fn ring(&self) -> Arc<Ring> {
        self.0.known().ring.clone()
    }

    /// A receiver of each new ring.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Arc<Ring>> {
        self.0.updates.subscribe()
    }

    /// The time, in milliseconds since the Unix epoch.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.0.now_ms()
    }

    /// Asks each custodian of the ring whether it still unwraps it. For those that are not configured
    /// here the answer is [`CustodianError::NotConfigured`].
    pub async fn check_custodians(&self) -> Vec<(String, Result<(), CustodianError>)> {
        self.ring().check_custodians(&self.0.custodians).await
    }

    /// Keys that a custodian of this process wrapped and no longer unwraps, with the custodian's URL.
    /// Asks each custodian for each key.
    pub async fn refused_wraps(&self) -> Vec<(String, String)> {
        self.ring().refused_wraps(&self.0.custodians).await
    }
}

impl Inner {
    fn new(
        store: Arc<dyn DocumentStore>,
        custodians: Custodians,
        options: LiveOptions,
        copy: Option<LastGoodCopy>,
        (ring, bytes): (Ring, Vec<u8>),
        started: Instant,
    ) -> Result<Self, RingError> {
        let keyring = Arc::new(keyring(&ring, &options)?);
        let ring = Arc::new(ring);
        Ok(Self {
            store,
            custodians,
            options,
            copy,
            keyring: SharedKeyring::from(keyring),
            updates: watch::Sender::new(ring.clone()),
            known: ArcSwap::from_pointee(KnownRing { ring, bytes }),
            last_poll: tokio::sync::Mutex::new(None),
            unknown_keys: NegativeCache::default(),
            last_error: Mutex::new(Reminder::new(degraded::REMINDER_INTERVAL)),
            started,
            watched: Mutex::default(),
            clock: Mutex::default(),
            confirmed: AtomicU64::new(0),
            confirmed_at: AtomicU64::new(0),
        })
    }

    fn known(&self) -> Arc<KnownRing> {
        self.known.load_full()
    }

    fn now_ms(&self) -> u64 {
        (self.options.now_ms)()
    }
}

fn keyring(ring: &Ring, options: &LiveOptions) -> Result<waxseal_core::Keyring, RingError> {
    let keyring = ring.keyring()?;
    Ok(match options.opens_compromised {
        true => keyring.opening_compromised(),
        false => keyring,
    })
}

/// Checks this process's clock against the server's: a new ring contains the time of its first key.
async fn check_clock_for_new_ring(
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

async fn open_document(
    store: &dyn DocumentStore,
    bytes: &[u8],
    custodians: &Custodians,
    options: &LiveOptions,
    known: Option<&Ring>,
) -> Result<Ring, RingError> {
    let location = store.location();
    Ring::open(bytes, &location, &options.environment, custodians, known).await
}

/// Opens the last good copy; `None` if there is no usable one.
async fn open_copy(
    copy: &LastGoodCopy,
    custodians: &Custodians,
    environment: &str,
) -> Option<(Ring, Vec<u8>)> {
    let location = copy.location();
    let bytes = match copy.read().await {
        Ok(bytes) => bytes?,
        Err(error) => {
            warn!("the last good copy of the keyring cannot be read: {error}");
            return None;
        }
    };
    match Ring::open(&bytes, &location, environment, custodians, None).await {
        Ok(ring) => Some((ring, bytes)),
        // The document in the store needs the same custodians, and reports them.
        Err(RingError::Custodian(error)) => {
            debug!("the last good copy does not open: {error}");
            None
        }
        Err(error) => {
            warn!("the cached keyring is unusable: {error}");
            None
        }
    }
}
