//! One pass over all records of a pattern. Migrate, rotate, decrypt and audit are small tasks on the same loop.
//!
//! The loop scans, reads, asks the task for a verdict on each value, and replaces a value only if it has not changed
//! since; the expiry stays. So a sweep can run while applications write, and two sweeps can run at once. A [`Run`] is
//! one sweep after another over several patterns, with a checkpoint. Nothing is printed here, and what kind of server
//! the store is, only the store knows.

mod audit;
mod audit_quarantine;
mod batch;
mod checkpoint;
mod decrypt;
mod expiries;
mod keys;
mod migrate;
mod names;
mod options;
mod outage;
mod pace;
mod recent_names;
mod requests;
mod rotate;
mod run;
mod sweep;
mod tally;
mod task;

pub use audit::Audit;
pub use audit_quarantine::AuditQuarantine;
pub use checkpoint::{CheckpointError, CheckpointFile, RunIdentity};
pub use decrypt::Decrypt;
pub use expiries::Expiries;
pub use keys::Keys;
pub use migrate::Migrate;
pub use names::{NamesGoal, NamesPass, NamesScope};
pub use options::{Position, Stop, SweepOptions};
pub use rotate::Rotate;
pub use run::{Pass, RecordPass, Run, RunError};
pub use sweep::{Event, Interrupted, Report, Sweep, SweepError};
pub use tally::{
    Class, ExceptCounts, Finding, Group, MemberCounts, NameCounts, StoredVersion, Tally,
    ValueLocation,
};
pub use task::{Scope, Task, Value, Verdict};
