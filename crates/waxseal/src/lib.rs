//! Waxseal seals values stored in Redis and opens them when they are read.
//!
//! This crate re-exports what an application needs from the others: keys and the sealer (`core`),
//! record stores (`stores`), the session store (`sessions`), passes over all records
//! (`sweep`), and, for keys that are rotated automatically, keyrings ([`keys`]) and their
//! [`upkeep`].
//!
//! # A bot's conversation states
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use serde::{Deserialize, Serialize};
//! use waxseal::{Format, Keyring, Mode, Options, RedisOptions, RedisStore, Sealer, StateManager, StoreUrl};
//!
//! #[derive(Serialize, Deserialize)]
//! struct State {
//!     status: String,
//!     step: u32,
//! }
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // The application reads its own environment; the library takes the values.
//! let key = std::env::var("REDIS_ENCRYPTION_KEY")?;
//! let previous = std::env::var("REDIS_ENCRYPTION_PREVIOUS_KEYS").unwrap_or_default();
//! let mode: Mode = std::env::var("ENABLE_REDIS_ENCRYPTION").unwrap_or("on".to_owned()).parse()?;
//! let keyring = Arc::new(Keyring::from_hex(&key, &previous)?);
//! let sealer = Sealer::new(keyring, mode, Format::Sealed);
//!
//! let StoreUrl::Redis(url) = StoreUrl::parse("redis://127.0.0.1:6379")? else { unreachable!() };
//! let store = Arc::new(RedisStore::connect(&url, RedisOptions::default()).await?);
//!
//! // Refuses to start if the store was sealed under another key.
//! let states = StateManager::start(store, sealer, Options::default()).await?;
//! states.set("5215512345678", &State { status: "confirming".to_owned(), step: 7 }).await?;
//! let state: Option<State> = states.get("5215512345678").await?;
//! # Ok(())
//! # }
//! ```
//!
//! # With a keyring, and a key for each user
//!
//! ```no_run
//! use std::sync::Arc;
//! use std::time::{SystemTime, UNIX_EPOCH};
//!
//! use waxseal::keys::{CacheBounds, Custodians, FileDocumentStore, LiveOptions, LiveRing, UserKeys, variables};
//! use waxseal::upkeep::{ScopeHandle, RecordUserKeys, Upkeep};
//! use waxseal::sweep::Stop;
//! use waxseal::{Format, Mode, Options, RecordPattern, RedisOptions, RedisStore, Sealer, StateManager, StoreUrl};
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let StoreUrl::Redis(url) = StoreUrl::parse("redis://127.0.0.1:6379")? else { unreachable!() };
//! let store = Arc::new(RedisStore::connect(&url, RedisOptions::default()).await?);
//!
//! // Created once by `waxseal keyring init`. The ring follows its document from here on.
//! let custodian = Custodians::open("env:", &variables(|name| std::env::var(name).ok()))?;
//! let ring = LiveRing::open(
//!     Arc::new(FileDocumentStore::new("/etc/waxseal/keyring.json")),
//!     Custodians::default().with(custodian),
//!     LiveOptions {
//!         environment: "production".to_owned(),
//!         copy: Some("/var/lib/bot/keyring-copy.json".into()),
//!         opens_compromised: false,
//!         now_ms: Arc::new(|| {
//!             let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
//!             now.as_millis() as u64
//!         }),
//!     },
//! )
//! .await?;
//! let users = UserKeys::new(
//!     Arc::new(RecordUserKeys::new(store.clone())),
//!     ring.clone(),
//!     CacheBounds::default(),
//! );
//! let sealer = Sealer::new(ring.keyring(), Mode::On, Format::Sealed);
//! let options = Options::default().ring(ring.clone()).user_keys(users.clone());
//! let states = StateManager::start(store.clone(), sealer.clone(), options).await?;
//! states.set("5215512345678", "confirming").await?;
//!
//! // This process runs rotations, unless another one leads. `waxseal keeper` does the same.
//! let scope = ScopeHandle {
//!     store: store.clone(),
//!     pattern: RecordPattern::parse("wa:{user}")?,
//!     sealer,
//!     users: Some(users.clone()),
//!     names: None,
//! };
//! let upkeep = Upkeep::new(ring, "library", vec![scope], Some((users, store)))?;
//! let stop = Stop::default();
//! upkeep.run(&stop).await;
//! # Ok(())
//! # }
//! ```
//!
//! # The same in an embedded file
//!
//! ```
//! use std::sync::Arc;
//! use waxseal::{Clock, EmbeddedStore, Format, Keyring, Mode, Options, Sealer, SecretKey, StateManager};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = tempfile::tempdir()?;
//! # let path = directory.path().join("states.waxseal");
//! let store = Arc::new(EmbeddedStore::open(&path, Clock::system())?);
//! let keyring = Arc::new(Keyring::new(SecretKey::generate()?)?);
//! let sealer = Sealer::new(keyring, Mode::Required, Format::Sealed);
//! let states = StateManager::start(store, sealer, Options::default()).await?;
//!
//! for _ in 0..3 {
//!     // No concurrent update is lost: the write happens only if the record is unchanged.
//!     states.update("5215512345678", |count: Option<u32>| Some(count.unwrap_or(0) + 1)).await?;
//! }
//! assert_eq!(states.get::<u32>("5215512345678").await?, Some(3));
//! # Ok(())
//! # }
//! ```

/// Keyrings: custodians, the document, live rings, keys of single users.
pub use waxseal_keys as keys;
/// Running rotations, erasing users, keyrings and users' keys in records.
pub use waxseal_upkeep as upkeep;

pub use waxseal_core::{
    Binding, Defect, EnvelopeRules, EnvelopeVersion, Flags, Form, Format, Group, Header, IndexKey,
    IndexKeyRole, IndexKeyUsage, InvalidOption, KeyError, KeyFlaw, KeyId, KeyRole, KeyUsage,
    Keyring, KeyringError, Kind, Mode, NameMask, OldFormat, OpenError, OpenedValue, PadNames,
    PlainValues, ResealError, ResealOutcome, SealError, Sealer, SecretKey, Shape, SharedKeyring,
    UserKey,
};
#[cfg(feature = "actix-session")]
pub use waxseal_sessions::ActixSessionStore;
#[cfg(feature = "tower-sessions")]
pub use waxseal_sessions::TowerSessionStore;
pub use waxseal_sessions::{
    Canary, CanaryState, GuardError, GuardedRecords, Mismatch, NameFault, OnRefused, Options,
    Sample, SealedCollections, SealedNames, SealedRecords, SealedUnder, StateError, StateManager,
    quarantine,
};
pub use waxseal_stores::{
    Clock, ConnectionFault, Cursor, EmbeddedStore, Expiry, Lifetime, Matches, MemoryStore,
    Neighbor, Neighbors, RecordName, RecordPattern, RecordStore, RedisOptions, RedisStore, Slot,
    StoreError, StoreUrl, StreamEntry, UrlError,
};
/// Passes over all records: migrate, rotate, decrypt, audit.
pub use waxseal_sweep as sweep;
