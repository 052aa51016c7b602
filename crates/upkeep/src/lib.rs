//! What keys decide, carried out over stores: the steps of a rotation by whichever process leads, and
//! the erasure of a user. And the two keyring_records that are records of a store: that of a keyring document,
//! and that of the keys of users.
//!
//! When a step is due is decided in `waxseal-keys`; how records are gone through, in `waxseal-sweep`.

mod error;
mod forget;
mod leader;
mod keyring_records;
mod scope;
mod upkeep;

pub use error::UpkeepError;
pub use forget::{Traces, forget, rfc3339, traces};
pub use leader::Leader;
pub use keyring_records::{RecordDocumentStore, RecordUserKeys};
pub use scope::ScopeHandle;
pub use upkeep::{RotationEvent, Upkeep, process_id, user_key_scope};
