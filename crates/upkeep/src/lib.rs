//! What keys decide, carried out over stores: the steps of a rotation by whichever process leads, and
//! the erasure of a user. Also the keyring documents and the keys of users as records of a store.
//!
//! When a step is due is decided in `waxseal-keys`; how records are gone through, in `waxseal-sweep`.

mod error;
mod forget;
mod keyring_records;
mod leader;
mod scope;
mod upkeep;

pub use error::UpkeepError;
pub use forget::{Traces, forget, rfc3339, traces};
pub use keyring_records::{RecordDocumentStore, RecordUserKeys};
pub use leader::Leader;
pub use scope::ScopeHandle;
pub use upkeep::{RotationEvent, Upkeep, process_id, user_key_scope};
