//! The conversion of a ring to format 2, and back.

use std::collections::BTreeMap;

use waxseal_core::KeyId;
use waxseal_keys::rotation::{Audit, AuditGap, Evidence};
use waxseal_keys::{
    Change, ChangeError, Document, DocumentFormat, DocumentStore, FormerProcess, GuardedChange,
    IndexKeyState, KeyState, LiveRing, MemoryDocumentStore, ProtectedScope, Report, Reports, Ring,
    ScopeSettings, Settings,
};

use super::{
    FORCED, NONE, V2, V3, assert_opens, audit, converted, created, lapse_ms, live, refused,
    returned, with_pending,
};
use crate::rings::{Clock, NOW, custodian, new_ring, with};

const ID: &str = "0123456789abcdef";
/// The time after which a silent process counts as ended, with the default settings.
const GONE_MS: u64 = 30 * 60_000;

fn to_2(force: bool) -> Change {
    Change::Format {
        to: DocumentFormat::V2,
        force,
    }
}

fn set_reports(store: &MemoryDocumentStore, reports: &Reports) {
    store.set(Document::Reports, Some(reports.to_bytes()));
}

/// Reports of one process that reads this format.
fn reports(at: u64, reads: u32) -> Reports {
    let report = Report {
        what: "proxy".to_owned(),
        at,
        version: 1,
        reads,
        ..Report::default()
    };
    Reports {
        processes: BTreeMap::from([(ID.to_owned(), report)]),
        ..Reports::default()
    }
}

#[tokio::test]
async fn a_converted_ring_has_the_same_keys_and_an_index_key_that_writes() {
    let custodian = custodian();
    let scope = ProtectedScope::new("redis://a", "wa:*");
    let before = new_ring(&custodian).await;
    let before = before
        .with_protected_scopes(std::slice::from_ref(&scope))
        .unwrap()
        .unwrap();
    let ring = before
        .with_format(
            DocumentFormat::V2,
            std::slice::from_ref(&custodian),
            NOW,
            NONE,
        )
        .await
        .unwrap();
    assert_eq!(ring.format(), DocumentFormat::V2);
    assert_eq!(ring.version(), before.version() + 1);
    assert_eq!(ring.keys(), before.keys());
    assert_eq!(ring.user(b"u"), before.user(b"u"));
    assert_eq!(ring.protected_scopes(), [scope]);
    let writing = ring.writing().unwrap();
    assert_eq!(writing.state, IndexKeyState::Writing);
    assert_eq!(writing.activates, NOW + Settings::default().propagation_ms);
    let envelopes = ring.envelopes();
    assert_eq!((envelopes.write, envelopes.accept), (V2, V2));
    assert_eq!(envelopes.since, NOW);
    assert_opens(&ring, &custodian).await;
    for (ring, format) in [(&before, DocumentFormat::V1), (&ring, DocumentFormat::V2)] {
        let again = ring.with_format(format, &[], NOW, FORCED).await;
        assert_eq!(refused(again), ChangeError::Format(format));
    }
}

#[tokio::test]
async fn a_ring_created_in_format_2_writes_version_3_and_accepts_version_2() {
    let custodian = custodian();
    let ring = created(&custodian).await;
    let envelopes = ring.envelopes();
    assert_eq!((envelopes.write, envelopes.accept), (V3, V2));
    assert_eq!(ring.writing().unwrap().activates, NOW);
    assert_opens(&ring, &custodian).await;
    let keyring = ring.keyring().unwrap();
    assert_eq!(keyring.rules(), envelopes.rules());
    assert_eq!(keyring.domain(), b"test");
    // Also in format 1: version 3 that others wrote opens there.
    let ring = new_ring(&custodian).await;
    assert_eq!(ring.keyring().unwrap().domain(), b"test");
}

#[tokio::test]
async fn a_process_that_does_not_read_format_2_refuses_the_conversion_until_its_report_is_dropped()
{
    let (custodian, clock) = (custodian(), Clock::at(NOW));
    let (live, store) = live(&new_ring(&custodian).await, &custodian, &clock).await;
    let before = store.read(&Document::Ring).await.unwrap();
    set_reports(&store, &reports(NOW - 40_000, 1));
    let error = refused(live.change(&to_2(false)).await);
    let expected = ChangeError::FormerProcesses {
        format: DocumentFormat::V2,
        processes: vec![FormerProcess {
            id: ID.to_owned(),
            kind: "proxy".to_owned(),
            silent_s: 40,
        }],
        dropped_s: GONE_MS / 1000,
    };
    assert_eq!(error, expected);
    let text = error.to_string();
    for part in [ID, "proxy", "reported 40 s ago", "1800 s after"] {
        assert!(text.contains(part), "{text}");
    }
    assert_eq!(store.read(&Document::Ring).await.unwrap(), before);
    clock.advance(GONE_MS - 40_000);
    refused(live.change(&to_2(false)).await);
    clock.advance(1);
    live.change(&to_2(false)).await.unwrap();
    assert_eq!(live.ring().format(), DocumentFormat::V2);
}

#[tokio::test]
async fn a_process_that_reads_format_2_and_force_lift_the_refusal() {
    for (reads, force) in [(2, false), (3, false), (1, true)] {
        let (custodian, clock) = (custodian(), Clock::at(NOW));
        let (live, store) = live(&new_ring(&custodian).await, &custodian, &clock).await;
        set_reports(&store, &reports(NOW, reads));
        let version = live.change(&to_2(force)).await.unwrap().version();
        // Made already: whatever is reported since.
        set_reports(&store, &reports(NOW, 1));
        assert_eq!(live.change(&to_2(false)).await.unwrap().version(), version);
    }
}

#[tokio::test]
async fn version_3_is_not_written_while_a_former_process_reports() {
    let (custodian, clock) = (custodian(), Clock::at(NOW));
    let (live, store) = live(&converted(&custodian).await, &custodian, &clock).await;
    clock.advance(Settings::default().propagation_ms);
    let write_3 = |force| Change::Envelopes {
        write: V3,
        accept: V2,
        force,
    };
    set_reports(&store, &reports(live.now_ms(), 1));
    let error = refused(live.change(&write_3(false)).await);
    assert!(matches!(error, ChangeError::FormerProcesses { .. }));
    live.change(&write_3(true)).await.unwrap();
    assert_eq!(live.ring().envelopes().write, V3);
}

#[tokio::test]
async fn each_process_reports_that_it_reads_format_2() {
    let (custodian, clock) = (custodian(), Clock::at(NOW));
    let (live, store) = live(&new_ring(&custodian).await, &custodian, &clock).await;
    live.report(ID, "proxy", true).await.unwrap();
    let reports = live.reports().await.unwrap();
    let former = |reports: &Reports| {
        let settings = Settings::default();
        reports
            .not_reading(DocumentFormat::V2, NOW, &settings)
            .len()
    };
    assert_eq!((reports.processes[ID].reads, former(&reports)), (2, 0));
    // A former version writes the reports as it understands them.
    let bytes = store.read(&Document::Reports).await.unwrap().unwrap();
    let text = String::from_utf8(bytes).unwrap();
    assert!(text.contains(r#""reads":2,"#), "{text}");
    let rewritten = text.replace(r#""reads":2,"#, "");
    let reports = Reports::parse(Some(rewritten.as_bytes()));
    assert_eq!((reports.processes[ID].reads, former(&reports)), (1, 1));
}

#[test]
fn a_former_version_reads_the_reports_of_this_one() {
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct FormerScope {
        store: String,
        records: String,
    }
    #[derive(serde::Deserialize)]
    struct FormerAudit {
        uncovered: Vec<FormerScope>,
    }
    #[derive(serde::Deserialize)]
    struct FormerReports {
        audit: FormerAudit,
    }
    let scope = ProtectedScope::new("redis://a", "wa:*").with_settings(ScopeSettings {
        except: vec!["*_LOCK".to_owned()],
        ..ScopeSettings::default()
    });
    let mut reports = reports(NOW, 2);
    reports.audit = Some(Audit {
        uncovered: vec![scope],
        ..audit(NOW, &[("3", 1)])
    });
    let former: FormerReports = serde_json::from_slice(&reports.to_bytes()).unwrap();
    let scope = &former.audit.uncovered[0];
    assert_eq!((&*scope.store, &*scope.records), ("redis://a", "wa:*"));
}

#[tokio::test]
async fn the_return_to_format_1_leaves_destroyed_entries_and_nothing_else() {
    let custodian = custodian();
    let scope = ProtectedScope::new("redis://a", "wa:*").with_settings(ScopeSettings {
        except: vec!["*_LOCK".to_owned()],
        ..ScopeSettings::default()
    });
    let first = converted(&custodian).await;
    let first = first
        .with_protected_scopes(std::slice::from_ref(&scope))
        .unwrap()
        .unwrap();
    let (ring, second) = with_pending(&first, &custodian).await;
    let ring = ring.with_writing(second, NOW, true).unwrap();
    let (ring, _) = with_pending(&ring, &custodian).await;
    let returned = returned(&ring).await;
    assert_eq!(returned.format(), DocumentFormat::V1);
    assert_eq!(returned.index_keys(), []);
    assert_eq!(returned.protected_scopes(), [scope.bare()]);
    for key in ring.index_keys() {
        let entry = returned.entry(key.id).unwrap();
        assert_eq!(entry.state, KeyState::Destroyed);
        assert_eq!((entry.created, entry.changed), (key.created, NOW));
        assert_eq!((entry.wraps.len(), entry.adopted), (0, false));
    }
    let added = returned.keys().len() - ring.keys().len();
    assert_eq!(added, 3);
    assert_opens(&returned, &custodian).await;
    let document: serde_json::Value = serde_json::from_slice(&returned.to_bytes()).unwrap();
    let members: Vec<_> = document.as_object().unwrap().keys().collect();
    let of_format_1: serde_json::Value =
        serde_json::from_slice(&new_ring(&custodian).await.to_bytes()).unwrap();
    assert_eq!(
        members,
        of_format_1.as_object().unwrap().keys().collect::<Vec<_>>()
    );
    // Converted once more, it gets another index key.
    let again = returned
        .with_format(
            DocumentFormat::V2,
            std::slice::from_ref(&custodian),
            NOW,
            NONE,
        )
        .await
        .unwrap();
    let id = again.writing().unwrap().id;
    assert!(ring.index_entry(id).is_none());
    assert_opens(&again, &custodian).await;
}

#[tokio::test]
async fn the_return_to_format_1_waits_for_version_2_the_lapse_and_a_clean_audit() {
    let custodian = custodian();
    let ring = created(&custodian).await;
    let back = async |ring: &Ring, at, evidence| {
        let ring = ring.with_format(DocumentFormat::V1, &[], at, evidence);
        ring.await
    };
    for evidence in [NONE, FORCED] {
        let error = refused(back(&ring, NOW, evidence).await);
        assert_eq!(error, ChangeError::WritesVersion3);
    }
    let ring = ring.with_envelopes(V2, V2, NOW, FORCED).unwrap();
    let id = ring.writing().unwrap().id;
    let lapsed = ring.envelopes().since + lapse_ms();
    let change = GuardedChange::Format1;
    let clean = audit(lapsed, &[("2", 9), ("plain", 1)]);
    let evidence = |audit| Evidence {
        audit: Some(audit),
        force: false,
    };
    let early = refused(back(&ring, lapsed - 1, evidence(&clean)).await);
    assert_eq!(early, ChangeError::Unsettled { change, left_s: 1 });
    let under = |id: KeyId| BTreeMap::from([(id.to_string(), 3)]);
    let cases = [
        (audit(lapsed - 1, &[("2", 9)]), AuditGap::Missing),
        (
            audit(lapsed, &[("2", 9), ("3", 3)]),
            AuditGap::Version {
                version: V3,
                values: 3,
            },
        ),
        (
            Audit {
                quarantined: under(id),
                ..clean.clone()
            },
            AuditGap::Quarantined { id, values: 3 },
        ),
        (
            Audit {
                values: under(id),
                ..clean.clone()
            },
            AuditGap::InUse { id, values: 3 },
        ),
        (
            Audit {
                unseen: 1,
                ..clean.clone()
            },
            AuditGap::Unseen(1),
        ),
    ];
    for (audit, gap) in &cases {
        let error = refused(back(&ring, lapsed, evidence(audit)).await);
        let gap = gap.clone();
        assert_eq!(error, ChangeError::Unproven { change, gap });
    }
    let missing = refused(back(&ring, lapsed, NONE).await);
    let gap = AuditGap::Missing;
    assert_eq!(missing, ChangeError::Unproven { change, gap });
    assert!(back(&ring, lapsed, evidence(&clean)).await.is_ok());
    assert!(back(&ring, NOW, FORCED).await.is_ok());
}

#[tokio::test]
async fn settings_that_format_1_cannot_express_keep_format_2() {
    let custodian = custodian();
    let ring = converted(&custodian).await;
    let scope = ProtectedScope::new("redis://a", "wa:*").with_settings(ScopeSettings {
        group: Some("g".to_owned()),
        ..ScopeSettings::default()
    });
    let grouped = ring
        .with_protected_scopes(std::slice::from_ref(&scope))
        .unwrap()
        .unwrap();
    let back = grouped.with_format(DocumentFormat::V1, &[], NOW, FORCED);
    assert_eq!(
        refused(back.await),
        ChangeError::ScopeSettings {
            records: "\"wa:*\"".to_owned(),
            store: "redis://a".to_owned(),
            what: "document format 1",
        }
    );
    let plain = scope.bare().with_settings(ScopeSettings::default());
    let plain = grouped.with_protected_scope(&plain).unwrap().unwrap();
    returned(&plain).await;
    let released = grouped.without_protected_scope(&scope.bare()).unwrap();
    returned(&released).await;
}

#[tokio::test]
async fn a_live_ring_returns_to_format_1_and_a_process_that_reads_format_2_follows_it() {
    let (custodian, clock) = (custodian(), Clock::at(NOW));
    let (live, store) = live(&converted(&custodian).await, &custodian, &clock).await;
    let options = crate::rings::options(&clock);
    let other = LiveRing::open(store.clone(), with(&custodian), options);
    let other = other.await.unwrap();
    clock.advance(lapse_ms());
    let back = Change::Format {
        to: DocumentFormat::V1,
        force: false,
    };
    let error = refused(live.change(&back).await);
    assert!(matches!(error, ChangeError::Unproven { .. }), "{error}");
    let clean = audit(live.now_ms(), &[("2", 4)]);
    live.change_after_audit(&back, &clean).await.unwrap();
    let written = store.read(&Document::Ring).await.unwrap();
    for ring in [&other, &live] {
        ring.refresh().await.unwrap();
        assert_eq!(ring.ring().format(), DocumentFormat::V1);
        assert_eq!(ring.keyring().current().index_key_usage().count(), 0);
    }
    assert_eq!(store.read(&Document::Ring).await.unwrap(), written);
}

#[tokio::test]
async fn the_return_to_format_1_is_refused_once_members_may_be_under_an_index_key() {
    let (custodian, clock) = (custodian(), Clock::at(NOW));
    let (live, store) = live(&converted(&custodian).await, &custodian, &clock).await;
    clock.advance(lapse_ms());
    let back = |force| Change::Format {
        to: DocumentFormat::V1,
        force,
    };
    let clean = audit(live.now_ms(), &[("2", 4)]);
    let id = live.ring().writing().unwrap().id.to_string();
    let sealed = Reports {
        past_seals: BTreeMap::from([(id, 3)]),
        ..Reports::default()
    };
    for (reports, values, processes) in [(reports(live.now_ms(), 2), 0, 1), (sealed, 3, 0)] {
        set_reports(&store, &reports);
        let error = refused(live.change_after_audit(&back(false), &clean).await);
        assert_eq!(error, ChangeError::IndexKeysInUse { values, processes });
    }
    assert_eq!(live.ring().format(), DocumentFormat::V2);
    live.change(&back(true)).await.unwrap();
    assert_eq!(live.ring().format(), DocumentFormat::V1);
    // A process that has ended seals nothing.
    let (live, store) = self::live(&converted(&custodian).await, &custodian, &clock).await;
    set_reports(&store, &reports(live.now_ms() - GONE_MS - 1, 2));
    let back = live.change_after_audit(&back(false), &clean).await;
    assert_eq!(back.unwrap().format(), DocumentFormat::V1);
}
