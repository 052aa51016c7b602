//! The suites that every document store, every store of users' keys and every custodian must pass:
//! their contracts, sentence by sentence. No particular implementation is known here.
//!
//! A check panics with the sentence that was violated.

mod custodian;
mod document_store;
mod users;

pub use custodian::custodian;
pub use document_store::document_store;
pub use users::user_keys;

/// The number of contenders.
const MANY: usize = 40;
