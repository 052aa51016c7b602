//! Where data keys come from. Custodians wrap them, a keyring document holds them wrapped, a live ring
//! follows the document, and rotation decides what becomes of each key and when. Keys of single users
//! stand beside them.
//!
//! Values are not seen here, and no database: a document and the keys of users lie in places that
//! others implement ([`DocumentStore`], [`UserKeyStore`]). What rotation decides is carried out above.

#[cfg(feature = "backup")]
mod backup;
mod clock;
#[cfg(feature = "conformance")]
pub mod conformance;
mod copy;
mod custodian;
mod document_store;
mod error;
pub mod instrumented;
mod keyring_document;
mod lease;
mod live;
mod offline;
mod receipt;
mod reports;
mod ring;
pub mod rotation;
pub mod secret_file;
mod settings;
mod signed;
mod state;
mod users;

#[cfg(feature = "backup")]
pub use backup::{
    About, Backup, BackupError, Identities, MOST_BYTES, MOST_SHARES, Recipients, Share, Split,
};
pub use clock::{ClockOffset, MAX_OFFSET, MAX_UNNOTICED_OFFSET};
#[cfg(feature = "awskms")]
pub use custodian::AwsKmsCustodian;
#[cfg(feature = "vault")]
pub use custodian::VaultCustodian;
pub use custodian::{
    Context, Custodian, Custodians, DEFAULT_VARIABLE, LocalCustodian, Variables, Wrapped,
    hung_custodians, is_variable, variables,
};
#[cfg(feature = "pkcs11")]
pub use custodian::{Pkcs11Custodian, Pkcs11Uri};
pub use document_store::{Document, DocumentStore, FileDocumentStore, MemoryDocumentStore};
pub use error::{ChangeError, CustodianError, DocumentError, DocumentStoreError, RingError};
pub use keyring_document::{Bytes, Entry, Erasure, ProtectedScope, Wrap};
pub use lease::{Candidate, LeaseAction};
pub use live::{Change, Degraded, LiveOptions, LiveRing};
pub use offline::Offline;
pub use receipt::Receipt;
pub use reports::{Report, Reports};
pub use ring::{Rewrap, Ring, WrongTime, test_custodian};
pub use settings::Settings;
pub use signed::{Signed, SignedError};
pub use state::KeyState;
pub use users::{
    CacheBounds, CacheLookup, MemoryUserKeys, StoredUserKey, UserChange, UserKeyError,
    UserKeyStore, UserKeys, UserStoreMark,
};
