//! Checks for patterns whose scripts are forwarded: such a script reads sealed values and writes plain ones.

use super::Findings;
use crate::resources::Resources;

pub(super) fn check(resources: &Resources, findings: &mut Findings) {
    let forwarding = resources
        .configuration
        .protected
        .iter()
        .filter(|it| it.forwards_scripts);
    let shown: Vec<_> = forwarding.map(|it| it.pattern.shown()).collect();
    // In a trial nothing is sealed yet.
    if !shown.is_empty() && !resources.configuration.is_trial() {
        findings.warn(
            "scripts",
            format!(
                "{}: the proxy forwards unknown scripts: they see sealed values, and what they write is plain",
                shown.join(", ")
            ),
            "right where scripts treat values as opaque bytes; waxseal audit counts what they wrote, waxseal migrate seals \
             it; else remove scripts = \"forward\" from waxseal.toml",
        );
    }
}
