//! In which format new values are written. The default is the one of the Node.js guide, so that its bot goes
//! on reading what is written; it is the weaker one, and that must be said.

use waxseal_core::Format;

use super::Findings;
use crate::setup::Setup;

pub(super) fn check(setup: &Setup, findings: &mut Findings) {
    if !setup.has_keys() || setup.protected.is_empty() {
        return;
    }
    let classic = setup.protected.iter();
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
