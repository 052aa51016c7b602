//! What the crate promises: documents, states, custodians, live rings, users' keys.

#[cfg(feature = "awskms")]
mod awskms;
#[cfg(feature = "backup")]
mod backup;
mod conformance;
mod custody;
mod document_stores;
mod documents;
mod live;
mod lost_write;
#[cfg(feature = "pkcs11")]
mod pkcs11;
mod rings;
mod simulation;
mod states;
#[cfg(any(feature = "awskms", feature = "pkcs11"))]
mod talk;
#[cfg(feature = "vault")]
mod vault;
