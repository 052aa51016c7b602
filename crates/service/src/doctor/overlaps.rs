//! Checks for patterns that match the same names. Each name belongs to the most specific of them, which someone who
//! reads the configuration from top to bottom may not expect.

use waxseal_stores::RecordPattern;

use super::Findings;
use crate::resources::Resources;

pub(super) fn check(resources: &Resources, findings: &mut Findings) {
    let configured = resources.configuration.file.protect.iter();
    let parsed = configured.filter_map(|it| RecordPattern::parse(it.records.as_deref()?).ok());
    for pattern in RecordPattern::resolve(parsed.collect()) {
        let mut stronger = pattern.yields_to();
        if let Some(other) = stronger.find(|other| other.covers(&pattern)) {
            let records = pattern.shown();
            let text = match *other == pattern {
                true => format!("{records} is configured twice: the first [[protect]] decides"),
                false => format!(
                    "{records} protects nothing: its records belong to {}",
                    other.shown()
                ),
            };
            findings.warn("overlaps", text, "remove one of them from waxseal.toml");
        }
    }
    let all = resources.configuration.all_protected();
    for it in all.iter().filter(|it| it.per_user) {
        for other in it.pattern.yields_to() {
            findings.warn(
                "overlaps",
                format!(
                    "{} has keys of users, and some of its records belong to {}",
                    it.pattern.shown(),
                    other.shown()
                ),
                "values that a version before sealed there under keys of users do not open: see waxseal audit --deep, and \
                 use patterns that do not overlap",
            );
        }
    }
    for it in &all {
        for (except, owner) in it.pattern.excepts_without_effect() {
            let records = it.pattern.shown();
            findings.recommend(
                "overlaps",
                format!(
                    "the except {except} of {records} does not apply to names of {}, the more specific pattern",
                    owner.shown()
                ),
                "if these are to stay plain, too, except them there as well",
            );
        }
        let others: Vec<_> = it.pattern.yields_to().map(RecordPattern::shown).collect();
        if !others.is_empty() {
            findings.ok(
                "overlaps",
                format!(
                    "what {} and {} match belongs to the latter, the more specific",
                    it.pattern.shown(),
                    others.join(", ")
                ),
            );
        }
    }
}
