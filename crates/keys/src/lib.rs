//! Data keys and their custody. Custodians wrap the keys, a keyring document holds them wrapped, a live ring
//! follows the document, and rotation decides which key changes its state and when. Keys of single users
//! are kept beside them.
//!
//! Values and databases are not known here: documents and the keys of users are in stores that others
//! implement ([`DocumentStore`], [`UserKeyStore`]). What rotation decides is carried out above.
//!
//! The modules form layers; each imports only from lower ones:
//!
//! | layer | modules |
//! |---|---|
//! | use | `users` (keys of single users), `instrumented` |
//! | following | `live` (polls, changes, freshness), `last_good` (the copy on this machine) |
//! | decisions | `rotation`, `lease`, `signed` and `receipt`, `backup` |
//! | ring | `ring` (the document with its keys unwrapped, and its changes) |
//! | documents | `keyring_document` (JSON), `document_format`, `settings`, `envelope_settings`, `protected_scope`, `state`, `index_state`, `reports`, `audit`, `error` |
//! | boundaries | `custodian` (wrapping keys), `document_store` |
//! | ground | `clock`, `bytes`, `secret_file`, `negative_cache`, `backoff`, `sync` |

mod audit;
mod backoff;
#[cfg(feature = "backup")]
mod backup;
mod bytes;
mod clock;
#[cfg(feature = "conformance")]
pub mod conformance;
mod custodian;
mod document_format;
mod document_store;
mod envelope_settings;
mod error;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod index_state;
pub mod instrumented;
mod key_id;
mod keyring_document;
mod last_good;
mod lease;
mod live;
mod member_forms;
mod negative_cache;
mod protected_scope;
mod receipt;
mod reports;
mod ring;
pub mod rotation;
pub mod secret_file;
mod settings;
mod signed;
mod state;
mod sync;
mod users;

pub use audit::{AuditGap, Evidence, MemberFinding};
#[cfg(feature = "backup")]
pub use backup::{
    About, Backup, BackupError, Identities, MAX_BACKUP_BYTES, MAX_SHARES, Recipients, Share, Split,
};
pub use bytes::Bytes;
pub use clock::{ClockOffset, MAX_OFFSET, MAX_UNNOTICED_OFFSET};
#[cfg(feature = "awskms")]
pub use custodian::AwsKmsCustodian;
#[cfg(feature = "vault")]
pub use custodian::VaultCustodian;
pub use custodian::{
    Context, Custodian, CustodianError, CustodianScheme, Custodians, DEFAULT_VARIABLE,
    LocalCustodian, Offline, Variables, Wrap, Wrapped, hung_custodians, is_variable, variables,
};
#[cfg(feature = "pkcs11")]
pub use custodian::{Pkcs11Custodian, Pkcs11Uri};
pub use document_format::{DocumentFormat, UnknownFormat};
pub use document_store::{
    Document, DocumentStore, DocumentStoreError, FileDocumentStore, MemoryDocumentStore,
};
pub use envelope_settings::EnvelopeSettings;
pub use error::{ChangeError, DocumentError, FormerProcess, GuardedChange, RingError};
pub use index_state::IndexKeyState;
pub use keyring_document::{Entry, Erasure, IndexEntry};
pub use lease::{Candidate, LeaseAction};
pub use live::{Change, Degraded, LiveOptions, LiveRing};
pub use member_forms::MemberForms;
pub use negative_cache::NegativeCache;
pub use protected_scope::{Difference, ProtectedScope, RecordNames, ScopeBinding, ScopeSettings};
pub use receipt::{Receipt, ReceiptNames};
pub use reports::{Report, Reports};
pub use ring::{Rewrap, Ring, WrongTime, test_custodian};
pub use settings::Settings;
pub use signed::{Signed, SignedError};
pub use state::KeyState;
pub use users::{
    CacheBounds, CacheLookup, Freshness, MemoryUserKeys, StoredUserKey, UserChange, UserKeyBatch,
    UserKeyError, UserKeyStore, UserKeys, UserStoreMark,
};
