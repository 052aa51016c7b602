//! Single values for an operator: those of records ([`stored`]), and those in envelopes that no store holds
//! ([`envelope`]).
//!
//! That a value is opened is recorded in the audit log before it is returned. If it cannot be recorded, it is not returned.

pub mod envelope;
pub mod stored;

use tracing::error;

use crate::Failure;
use crate::audit_log::Operation;
use crate::resources::Resources;

/// Records in the audit log that a value is opened for an operator. The value of a decoy raises an alarm.
fn record_opened(
    resources: &Resources,
    action: &'static str,
    shown: &str,
    is_decoy: bool,
) -> Result<(), Failure> {
    let operation = Operation::new(action, shown);
    if !is_decoy {
        return resources.trail.record(&operation);
    }
    // First of all: if it cannot be recorded, the value is refused, and the attempt counts nevertheless.
    error!(record = %shown, command = %format!("waxseal {action}"), "a decoy was opened");
    resources.trail.record(&operation.with("decoy", true))
}
