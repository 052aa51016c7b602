//! The forms of members: recorded when a pass shows that there is one, and taken back by whatever can bring another.

use std::sync::Arc;

use waxseal_core::{Format, Kind, Mode, Sealer};
use waxseal_keys::{
    Change, DocumentFormat, MemberFinding, MemberForms, ProtectedScope, Reports, Ring,
    ScopeBinding, ScopeSettings,
};

use super::{FORCED, V3, converted, created, lapse_ms, live, returned, with_pending};
use crate::rings::{Clock, NOW, custodian, new_ring, with};

fn scope() -> ProtectedScope {
    ProtectedScope::new("redis://a", "wa:*")
}

fn registered(ring: &Ring) -> Ring {
    ring.with_protected_scopes(&[scope()]).unwrap().unwrap()
}

/// What a pass that began at this time found.
fn found(ring: &Ring, began_ms: u64, in_one_form: bool) -> MemberFinding {
    MemberFinding {
        scope: scope(),
        key: ring.writing().unwrap().id,
        began_ms,
        elements: false,
        in_one_form,
    }
}

fn in_one_form(ring: &Ring) -> Ring {
    let clean = found(ring, NOW, true);
    ring.with_member_findings(&[clean], NOW).unwrap()
}

fn forms(ring: &Ring) -> Option<MemberForms> {
    ring.protected_scope(&scope()).unwrap().members
}

/// True if sealers of these records look values of this kind up in other forms as well.
fn looks_for_others(ring: &Ring, kind: Kind) -> bool {
    let keyring = Arc::new(ring.keyring().unwrap());
    let sealer = Sealer::new(keyring, Mode::On, Format::Sealed).of_records(scope().sealer_name());
    sealer.has_other_forms(kind)
}

#[tokio::test]
async fn sealers_know_one_form_once_a_pass_has_found_no_other() {
    let custodian = custodian();
    let ring = registered(&created(&custodian).await);
    assert!(looks_for_others(&ring, Kind::Member));
    let ring = in_one_form(&ring);
    assert!(ring.has_one_form(&scope()));
    assert!(!looks_for_others(&ring, Kind::Member));
    // Elements of lists were not counted.
    assert!(looks_for_others(&ring, Kind::ListElement));
    let opened = Ring::open(&ring.to_bytes(), "here", "test", &with(&custodian), None).await;
    assert!(opened.unwrap().has_one_form(&scope()));
    // Registered again it stays, and the same finding changes nothing.
    assert!(ring.with_protected_scopes(&[scope()]).unwrap().is_none());
    let again = found(&ring, NOW + 1, true);
    assert!(
        ring.with_member_findings(std::slice::from_ref(&again), NOW + 1)
            .is_none()
    );
    let elements = MemberFinding {
        elements: true,
        ..again
    };
    let ring = ring.with_member_findings(&[elements], NOW + 1).unwrap();
    assert!(!looks_for_others(&ring, Kind::ListElement));
    // A process that writes plain values is told nothing: all sealed forms are others.
    let plain = Sealer::new(Arc::new(ring.keyring().unwrap()), Mode::Off, Format::Sealed);
    let plain = plain.of_records(scope().sealer_name());
    assert!(plain.has_other_forms(Kind::Member));
}

#[tokio::test]
async fn after_another_form_a_pass_must_begin_when_no_process_can_write_it() {
    let ring = registered(&created(&custodian()).await);
    let ring = in_one_form(&ring);
    let other = found(&ring, NOW, false);
    let ring = ring
        .with_member_findings(std::slice::from_ref(&other), NOW)
        .unwrap();
    assert_eq!(forms(&ring), Some(MemberForms::Several { since: NOW }));
    assert!(looks_for_others(&ring, Kind::Member));
    // The next one is not recorded at once: the document would change with each pass.
    assert!(
        ring.with_member_findings(std::slice::from_ref(&other), NOW + 1)
            .is_none()
    );
    let at = NOW + lapse_ms();
    let early = found(&ring, at - 1, true);
    assert!(ring.with_member_findings(&[early], at).is_none());
    let ring = ring
        .with_member_findings(&[found(&ring, at, true)], at)
        .unwrap();
    assert!(ring.has_one_form(&scope()));
}

#[tokio::test]
async fn a_new_index_key_takes_it_back_before_it_writes() {
    let custodian = custodian();
    let ring = in_one_form(&registered(&created(&custodian).await));
    let clean = found(&ring, NOW + 2 * lapse_ms(), true);
    let (ring, id) = with_pending(&ring, &custodian).await;
    assert_eq!(forms(&ring), Some(MemberForms::Several { since: NOW }));
    // Not while it is pending, and not for the key before.
    let late = NOW + 2 * lapse_ms();
    assert!(
        ring.with_member_findings(std::slice::from_ref(&clean), late)
            .is_none()
    );
    let ring = ring.with_writing(id, late, true).unwrap();
    assert!(ring.with_member_findings(&[clean], late).is_none());
    let at = late + lapse_ms();
    let early = found(&ring, at - 1, true);
    assert!(ring.with_member_findings(&[early], at).is_none());
    let ring = ring
        .with_member_findings(&[found(&ring, at, true)], at)
        .unwrap();
    assert!(ring.has_one_form(&scope()));
}

#[tokio::test]
async fn other_settings_take_it_back_and_processes_without_them_do_not_bring_it() {
    let ring = in_one_form(&registered(&created(&custodian()).await));
    let group = ScopeSettings {
        group: Some("g".to_owned()),
        bind: ScopeBinding::Group,
        ..ScopeSettings::default()
    };
    let grouped = scope().with_settings(group);
    let ring = ring.with_protected_scope(&grouped).unwrap().unwrap();
    assert_eq!(forms(&ring), None);
    let otherwise = found(&ring, NOW, true);
    assert!(ring.with_member_findings(&[otherwise], NOW).is_none());
    let alike = MemberFinding {
        scope: grouped,
        ..found(&ring, NOW, true)
    };
    assert!(ring.with_member_findings(&[alike], NOW).is_some());
}

#[tokio::test]
async fn a_merge_believes_in_one_form_only_if_nothing_was_lost() {
    let custodian = custodian();
    let common = registered(&created(&custodian).await);
    let winner = in_one_form(&common);
    assert!(winner.merged_with(&common, NOW).is_none());
    // Another form was found, and that was lost.
    let other = found(&common, NOW, false);
    let lost = common.with_member_findings(&[other], NOW).unwrap();
    let merged = winner.merged_with(&lost, NOW + 5).unwrap();
    assert_eq!(
        forms(&merged),
        Some(MemberForms::Several { since: NOW + 5 })
    );
    assert!(merged.merged_with(&lost, NOW + 5).is_none());
    // An index key was lost.
    let (lost, _) = with_pending(&common, &custodian).await;
    let merged = winner.merged_with(&lost, NOW + 5).unwrap();
    assert_eq!(
        forms(&merged),
        Some(MemberForms::Several { since: NOW + 5 })
    );
}

#[tokio::test]
async fn format_1_has_no_forms_of_members() {
    let custodian = custodian();
    let ring = registered(&new_ring(&custodian).await);
    let of_format_2 = registered(&converted(&custodian).await);
    let finding = found(&of_format_2, NOW, true);
    assert!(ring.with_member_findings(&[finding], NOW).is_none());
    let back = returned(&in_one_form(&of_format_2)).await;
    assert_eq!((back.format(), forms(&back)), (DocumentFormat::V1, None));
    let written = created(&custodian)
        .await
        .with_envelopes(V3, V3, NOW, FORCED);
    assert!(!written.unwrap().has_one_form(&scope()));
}

#[tokio::test]
async fn a_time_that_no_clock_can_have_written_is_corrected() {
    let ring = in_one_form(&registered(&created(&custodian()).await));
    let far = found(&ring, NOW, false);
    let ring = ring.with_member_findings(&[far], u64::MAX / 2).unwrap();
    let ring = ring.with_repaired_times(NOW).unwrap();
    assert_eq!(forms(&ring), Some(MemberForms::Several { since: NOW }));
}

#[tokio::test]
async fn one_form_is_not_recorded_while_a_process_may_write_others() {
    const ID: &str = "0123456789abcdef";
    let custodian = custodian();
    let clock = Clock::at(NOW);
    let (live, _) = live(&registered(&created(&custodian).await), &custodian, &clock).await;
    let clean = Change::Members(vec![found(&live.ring(), NOW, true)]);
    live.report(ID, "proxy", false).await.unwrap();
    assert!(!live.change(&clean).await.unwrap().has_one_form(&scope()));
    live.report(ID, "proxy", true).await.unwrap();
    let ring = live.change(&clean).await.unwrap();
    assert!(ring.has_one_form(&scope()));
    // It begins to write plain members: all processes must know first.
    let version = live.allow_several_forms(&[scope()]).await.unwrap();
    assert_eq!(version, Some(ring.version() + 1));
    assert!(!live.ring().has_one_form(&scope()));
    let knows = |reports: &Reports| {
        let settings = live.ring().settings().clone();
        reports.all_know(live.ring().version(), live.now_ms(), &settings)
    };
    assert!(!knows(&live.reports().await.unwrap()));
    live.report(ID, "proxy", true).await.unwrap();
    assert!(knows(&live.reports().await.unwrap()));
    assert_eq!(live.allow_several_forms(&[scope()]).await.unwrap(), None);
}
