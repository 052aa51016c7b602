//! Checks of the format of new values. The default is the one of the Node.js guide, so that its bot can still read
//! them. It is the weaker one, so doctor says so.

use waxseal_core::Format;

use super::Findings;
use crate::resources::Resources;

pub(super) fn check(resources: &Resources, findings: &mut Findings) {
    if !resources.configuration.has_keys() || resources.configuration.protected.is_empty() {
        return;
    }
    let classic = resources.configuration.protected.iter();
    let classic = classic.filter(|it| it.format == Format::Classic);
    let classic: Vec<_> = classic.map(|it| it.pattern.shown()).collect();
    if classic.is_empty() {
        return findings.ok("format", "sealed: each value is bound to its record");
    }
    findings.warn(
        "format",
        format!(
            "{}: classic, the format of the Node.js guide: not bound to its record, so that a value \
             copied to another record is not noticed",
            classic.join(", ")
        ),
        "where nothing but Waxseal reads these records: format = \"sealed\" in waxseal.toml, then \
         waxseal migrate (docs/operate/operations.md, From classic to sealed)",
    );
}
