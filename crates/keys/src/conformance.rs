//! The suites that every store for a keyring, every store for users' keys and every custodian must pass:
//! their contracts, sentence by sentence. No implementation in particular is known here.
//!
//! A check panics with the sentence that was broken.

mod custodian;
mod document_store;
mod users;

pub use custodian::custodian;
pub use document_store::document_store;
pub use users::user_keys;

/// How many contend for one thing.
const MANY: usize = 40;
