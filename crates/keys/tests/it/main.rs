//! What the crate promises: documents, states, custodians, live rings, users' keys.

#[cfg(feature = "backup")]
mod backup;
mod conformance;
mod custody;
mod documents;
mod live;
mod lost_write;
mod places;
mod rings;
mod simulation;
mod states;
