//! The decisions of `waxseal-keys`, carried out over stores: the steps of a rotation, by the process that leads, and
//! the erasure of a user. Also the stores of a keyring and of users' keys that are records of a [`RecordStore`].
//!
//! `waxseal-keys` decides when a step is due; `waxseal-sweep` goes through the records.
//!
//! [`RecordStore`]: waxseal_stores::RecordStore

mod error;
mod forget;
mod keyring_records;
mod leader;
mod scope;
mod upkeep;

pub use error::UpkeepError;
pub use forget::{
    ListedUser, ReceiptDirectory, ReceiptError, Traces, UserListError, find_traces, forget,
    parse_user_list, read_user_list, rfc3339,
};
pub use keyring_records::{RecordDocumentStore, RecordUserKeys};
pub use leader::{Leader, Leadership};
pub use scope::{ScopeHandle, SealedNames, protected_scope};
pub use upkeep::{RotationEvent, Upkeep, member_finding, process_id, user_key_scope};
