//! The audit log: who did what with keys and records. Each entry is chained to the one before by a
//! keyed hash under a key that is used for nothing else, so that entries cannot be changed,
//! inserted, removed or reordered unnoticed without the key.
//!
//! ```text
//! operation ──► Trail ──► entry N+1: {seq, actor, action, …, prev: mac of entry N, mac}
//!                           │
//!                           ├─► file     appended under the lock of FILE.state, which keeps the last entry
//!                           └─► syslog   one datagram; the last entry is kept in a state file
//! ```
//!
//! What is recorded is up to the caller, who also masks record names and leaves out values. There is no
//! command line, no configuration and no environment here.
#![cfg_attr(
    not(test),
    warn(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]

mod actor;
mod entries;
mod entry;
mod error;
mod file;
mod modes;
mod operation;
mod syslog;
mod trail;
mod verify;

pub use actor::Actor;
pub use entries::for_each_entry;
pub use entry::ChainKey;
pub use error::Error;
pub use file::{last_written, state_path};
pub use modes::ServiceStart;
pub use operation::{Details, Operation, Outcome};
pub use syslog::DEFAULT_SOCKET;
pub use trail::{OperationError, RecordError, Settings, Target, Trail, Warning};
pub use verify::{Break, BreakKind, ExpectedEntry, Verdict, VerifyError, verify};
