//! Checks of the versions of the sealed format: which step towards the newest is possible next, and the command for it.

use waxseal_core::{EnvelopeVersion, Format};
use waxseal_keys::rotation::Audit;
use waxseal_keys::{DocumentFormat, LiveRing, Reports};
use waxseal_units::thousands;

use super::Findings;
use crate::Failure;
use crate::resources::{Resources, scopes};

const CHECK: &str = "versions";
/// The check of what the keyring records about protected records.
const SETTINGS: &str = "settings";

pub(super) async fn check(resources: &Resources, findings: &mut Findings) {
    if !resources.configuration.has_keyring() {
        return check_configured(resources, findings);
    }
    // The checks of the keyring have reported why it is not open.
    let Ok(opened) = resources.opened_ring() else {
        return;
    };
    let Ok(reports) = opened.ring.reports().await else {
        return;
    };
    check_ring(&opened.ring, &reports, findings);
    for difference in scopes::differences(resources) {
        findings.failure(SETTINGS, &Failure::from(difference));
    }
}

fn check_ring(live: &LiveRing, reports: &Reports, findings: &mut Findings) {
    let ring = live.ring();
    let envelopes = ring.envelopes();
    if ring.format() == DocumentFormat::V1 {
        let format = DocumentFormat::V2;
        let former = reports.not_reading(format, live.now_ms(), ring.settings());
        let found =
            "version 2 of the sealed format is written: the keyring's document is of format 1";
        if reports.processes.is_empty() || !former.is_empty() {
            findings.ok(CHECK, found);
        } else {
            let advice = "all processes that report read format 2: waxseal keyring configure --document-format 2";
            findings.recommend(CHECK, found, advice);
        }
        return;
    }
    match (envelopes.write, envelopes.accept) {
        (EnvelopeVersion::V2, _) => findings.recommend(
            CHECK,
            "version 2 of the sealed format is written, which does not bind a value to its kind and environment",
            "waxseal keyring configure --write-version 3",
        ),
        (EnvelopeVersion::V3, EnvelopeVersion::V3) => {
            findings.ok(CHECK, "version 3 of the sealed format is written, and it alone is accepted");
        }
        (EnvelopeVersion::V3, EnvelopeVersion::V2) => {
            let audit = reports.audit.as_ref();
            let audit = audit.filter(|audit| audit.began_ms >= envelopes.since);
            check_older(audit, findings);
        }
    }
}

/// Version 3 is written and version 2 accepted: what the last audit since then says about older values.
fn check_older(audit: Option<&Audit>, findings: &mut Findings) {
    let written = "version 3 of the sealed format is written, and version 2 is accepted";
    let older = audit.filter(|audit| !audit.versions.is_empty());
    let older = older.map(|audit| {
        audit
            .in_version(EnvelopeVersion::V2)
            .saturating_add(audit.in_classic())
    });
    match older {
        None => findings.recommend(
            CHECK,
            format!("{written}; no audit since then has counted older values"),
            "waxseal rotate reseals them, and waxseal audit --require-version 3 counts them; then waxseal keyring \
             configure --accept-version 3, which makes an audit of its own",
        ),
        Some(0) => findings.recommend(
            CHECK,
            format!("{written}; the last audit counted nothing older"),
            "waxseal keyring configure --accept-version 3",
        ),
        Some(older) => findings.recommend(
            CHECK,
            format!("{written}; the last audit counted {} older", thousands(older)),
            "waxseal rotate reseals them",
        ),
    }
}

/// The versions of patterns in the sealed format, as the configuration has them without a keyring.
fn check_configured(resources: &Resources, findings: &mut Findings) {
    let all = resources.configuration.all_protected();
    for protected in all.iter().filter(|it| it.format == Format::Sealed) {
        let records = protected.pattern.shown();
        let rules = protected.rules;
        match (rules.write, rules.accept) {
            (EnvelopeVersion::V2, _) => findings.recommend(
                CHECK,
                format!(
                    "{records}: version 2 of the sealed format is written, which does not bind a value to its kind"
                ),
                "write_version = 3 under its [[protect]], once no former version of waxseal reads these records",
            ),
            (EnvelopeVersion::V3, EnvelopeVersion::V2) => findings.recommend(
                CHECK,
                format!("{records}: version 3 of the sealed format is written, and version 2 is accepted"),
                "accept_version = 3, once waxseal audit --require-version 3 finds nothing older",
            ),
            (EnvelopeVersion::V3, EnvelopeVersion::V3) => findings.ok(
                CHECK,
                format!("{records}: version 3 of the sealed format is written, and it alone is accepted"),
            ),
        }
    }
}
