//! One pass over all records of a pattern: migrate, rotate, decrypt and audit are four small tasks
//! on one loop.
//!
//! The loop scans, reads, asks the task for a verdict on each value, and replaces a value only if
//! it is still the one that was judged; the expiry stays. So a sweep can run while applications
//! write, twice, or two at once. It prints nothing and knows no server: the store does.

mod audit;
mod audit_quarantine;
mod batch;
mod decrypt;
mod expiries;
mod keys;
mod migrate;
mod options;
mod pace;

mod recent_names;
mod requests;
mod rotate;
mod sweep;
mod tally;
mod task;

pub use audit::Audit;
pub use audit_quarantine::AuditQuarantine;
pub use decrypt::Decrypt;
pub use expiries::Expiries;
pub use keys::Keys;
pub use migrate::Migrate;
pub use options::{Position, Stop, SweepOptions};
pub use rotate::Rotate;
pub use sweep::{Event, Interrupted, Report, Sweep, SweepError};
pub use tally::{Class, ExceptCounts, Finding, Group, Tally, ValueLocation};
pub use task::{Scope, Task, Value, Verdict};
