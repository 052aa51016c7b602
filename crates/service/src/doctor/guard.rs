//! Checks of the key against the store: what the canary says, and what the sealed values say.

use std::sync::Arc;

use waxseal_sessions::{CanaryState, Sample};
use waxseal_stores::RecordStore;

use super::Findings;
use crate::Failure;
use crate::resources::{Resources, guard};

const CHECK: &str = "canary";
/// Keys that a finding names, at most.
const MAX_NAMED: usize = 4;

/// Fails if the key is not that of the store: then nothing more can be opened.
pub(super) async fn check(
    resources: &Resources,
    store: &Arc<dyn RecordStore>,
    findings: &mut Findings,
) -> Result<(), Failure> {
    let state = guard::compare_key(resources, store).await?;
    let sample = guard::survey(resources, store).await?;
    match state {
        CanaryState::Opens(id) => findings.ok(CHECK, format!("opens under key {id}")),
        CanaryState::Absent if sample.is_sealed() => {
            let found = match sample.opened {
                0 => "missing, and no sealed value of a sample opens".to_owned(),
                count => format!("missing, though {count} values of a sample open"),
            };
            let advice = "it was deleted, evicted or flushed, or never made: the next start of a proxy, or \
                          waxseal rotate, makes one";
            findings.warn(CHECK, found, advice);
        }
        CanaryState::Created | CanaryState::Repaired(_) | CanaryState::Absent => {
            findings.ok(CHECK, "none yet; the first use creates one");
        }
        CanaryState::Differs(of) => {
            let found = match of {
                Some(id) => {
                    format!("is sealed under key {id}, and the values open under other keys")
                }
                None => "does not open, and the values do".to_owned(),
            };
            let advice = "find out which process has another key; the next start of a proxy, or \
                          waxseal rotate, seals the canary again where most values open";
            findings.problem(CHECK, found, advice);
        }
    }
    check_foreign(&sample, findings);
    Ok(())
}

/// Reports values under unknown keys, which do not prevent a start while others open.
fn check_foreign(sample: &Sample, findings: &mut Findings) {
    let count = sample.under_unknown_keys();
    if count == 0 {
        return;
    }
    let ids = sample.unknown.keys().take(MAX_NAMED);
    let keys: Vec<_> = ids.map(ToString::to_string).collect();
    let named = match keys.is_empty() {
        true => "keys of users".to_owned(),
        false => keys.join(", "),
    };
    let found = format!(
        "of a sample {} open and {count} are under keys that are not configured ({named})",
        sample.opened,
    );
    let advice = "a process with another key wrote them, or they were planted; waxseal audit counts \
                  them by key";
    findings.problem("foreign keys", found, advice);
}
