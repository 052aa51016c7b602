//! `StateManager`: a session store that seals what it writes and opens what it reads, over any store of records. The
//! adapters for web frameworks are built on the same sealed records.
//!
//! ```
//! use std::sync::Arc;
//! use waxseal_core::{Format, Keyring, Mode, Sealer};
//! use waxseal_sessions::{Options, StateManager};
//! use waxseal_stores::MemoryStore;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let hex = "6c1f0a5be2d94738a1c05f3e7b9d2846f0e1d2c3b4a5968778695a4b3c2d1e0f";
//! let keyring = Arc::new(Keyring::from_hex(hex, "")?);
//! let sealer = Sealer::new(keyring, Mode::On, Format::Sealed);
//! let states = StateManager::start(Arc::new(MemoryStore::default()), sealer, Options::default()).await?;
//!
//! states.set("5215512345678", &vec!["Nissan", "Sentra"]).await?;
//! let state: Option<Vec<String>> = states.get("5215512345678").await?;
//! assert_eq!(state.unwrap(), ["Nissan", "Sentra"]);
//! # Ok(())
//! # }
//! ```

#[cfg(feature = "actix-session")]
mod actix;
mod canary;
mod collections;
mod decoys;
mod error;
mod inspection;
mod manager;
mod names;
mod options;
pub mod quarantine;
mod record_sealer;
mod records;
#[cfg(any(feature = "tower-sessions", feature = "actix-session"))]
mod session_name;
#[cfg(feature = "tower-sessions")]
mod tower;
mod window;

#[cfg(feature = "actix-session")]
pub use actix::ActixSessionStore;
pub use canary::{Canary, CanaryState, GuardedRecords, Sample, SealedUnder};
pub use collections::SealedCollections;
pub use error::{GuardError, Mismatch, NameFault, StateError};
pub use inspection::{InspectedKey, Inspection, StoredFormat};
pub use manager::StateManager;
pub use names::SealedNames;
pub use options::{OnRefused, Options};
pub use records::SealedRecords;
#[cfg(feature = "tower-sessions")]
pub use tower::TowerSessionStore;
