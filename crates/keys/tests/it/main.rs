//! The behaviour of the crate: documents, states, custodians, live rings, users' keys.

#[cfg(feature = "awskms")]
mod awskms;
#[cfg(feature = "backup")]
mod backup;
mod conformance;
#[cfg(any(feature = "awskms", feature = "pkcs11"))]
mod custodian_process;
mod custody;
mod document_stores;
mod documents;
mod format_2;
mod live;
mod lost_write;
#[cfg(feature = "pkcs11")]
mod pkcs11;
mod rings;
mod simulation;
mod states;
#[cfg(feature = "vault")]
mod vault;
