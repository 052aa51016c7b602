//! The versions of the sealed format: what each change of them needs, what refuses it, and what lifts that.

use std::collections::BTreeMap;

use waxseal_core::{KeyId, SecretKey};
use waxseal_keys::rotation::{Audit, AuditGap, Evidence};
use waxseal_keys::{
    Change, ChangeError, DocumentFormat, GuardedChange, IndexKeyState, ProtectedScope, Ring,
    ScopeBinding, ScopeSettings, Settings,
};

use super::{
    FORCED, NONE, V2, V3, audit, converted, created, lapse_ms, live, refused, with_pending,
};
use crate::rings::{Clock, NOW, custodian, new_ring};

const SETTINGS_AT: u64 = NOW + 1_000_000_000;

fn evidence(audit: &Audit) -> Evidence<'_> {
    Evidence {
        audit: Some(audit),
        force: false,
    }
}

fn versions(ring: &Ring) -> (u8, u8) {
    let envelopes = ring.envelopes();
    (envelopes.write.as_u8(), envelopes.accept.as_u8())
}

/// A ring that accepts version 3 alone since this time.
async fn of_version_3(at: u64) -> Ring {
    let ring = created(&custodian()).await;
    ring.with_envelopes(V3, V3, at, FORCED).unwrap()
}

#[tokio::test]
async fn format_1_knows_version_2_alone() {
    let ring = new_ring(&custodian()).await;
    assert_eq!(versions(&ring), (2, 2));
    let what = "versions of the sealed format";
    for evidence in [NONE, FORCED] {
        let error = refused(ring.with_envelopes(V3, V2, NOW, evidence));
        assert_eq!(error, ChangeError::NeedsFormat2 { what });
    }
}

#[tokio::test]
async fn a_ring_that_adopts_keys_writes_version_2_until_that_is_changed() {
    let custodians = [custodian()];
    let key = SecretKey::generate().unwrap();
    for (adopted, write) in [(&[][..], 3), (std::slice::from_ref(&key), 2)] {
        let (format, settings) = (DocumentFormat::V2, Settings::default());
        let ring = Ring::create_in(format, "test", settings, &custodians, adopted, NOW).await;
        let ring = ring.unwrap();
        assert_eq!(versions(&ring), (write, 2));
        let changed = ring.with_envelopes(V3, V2, NOW, NONE).unwrap();
        assert_eq!(versions(&changed), (3, 2));
    }
}

#[tokio::test]
async fn version_3_is_written_once_every_process_has_the_index_key() {
    let ring = converted(&custodian()).await;
    assert_eq!(versions(&ring), (2, 2));
    let known = NOW + Settings::default().propagation_ms;
    let change = GuardedChange::WriteVersion3;
    let early = refused(ring.with_envelopes(V3, V2, known - 1, NONE));
    assert_eq!(early, ChangeError::Unsettled { change, left_s: 1 });
    let next = ring.with_envelopes(V3, V2, known, NONE).unwrap();
    assert_eq!((versions(&next), next.envelopes().since), ((3, 2), known));
    let forced = ring.with_envelopes(V3, V2, NOW, FORCED).unwrap();
    assert_eq!(versions(&forced), (3, 2));
    // The time of a change is later than that of the change before it, whatever clocks say.
    assert_eq!(forced.envelopes().since, NOW + 1);
}

#[tokio::test]
async fn what_is_written_is_accepted() {
    let ring = converted(&custodian()).await;
    for evidence in [NONE, FORCED] {
        let error = refused(ring.with_envelopes(V2, V3, SETTINGS_AT, evidence));
        assert_eq!(error, ChangeError::NotWritten);
    }
    // Never both at once: processes that have not seen it still write version 2.
    let clean = audit(u64::MAX, &[("3", 1)]);
    let error = refused(ring.with_envelopes(V3, V3, SETTINGS_AT, evidence(&clean)));
    assert_eq!(error, ChangeError::NotWritten);
    let forced = ring.with_envelopes(V3, V3, NOW, FORCED).unwrap();
    assert_eq!(versions(&forced), (3, 3));
}

#[tokio::test]
async fn version_3_alone_is_accepted_after_the_lapse_and_a_clean_audit() {
    let ring = created(&custodian()).await;
    let change = GuardedChange::AcceptVersion3;
    let lapsed = NOW + lapse_ms();
    let clean = audit(lapsed, &[("3", 7), ("plain", 1)]);
    let early = refused(ring.with_envelopes(V3, V3, lapsed - 1, evidence(&clean)));
    assert_eq!(early, ChangeError::Unsettled { change, left_s: 1 });
    let missing = ChangeError::Unproven {
        change,
        gap: AuditGap::Missing,
    };
    assert_eq!(refused(ring.with_envelopes(V3, V3, lapsed, NONE)), missing);
    let too_old = audit(lapsed - 1, &[("3", 7)]);
    let error = refused(ring.with_envelopes(V3, V3, lapsed, evidence(&too_old)));
    assert_eq!(error, missing);
    let next = ring
        .with_envelopes(V3, V3, lapsed, evidence(&clean))
        .unwrap();
    assert_eq!(versions(&next), (3, 3));
    assert_eq!(next.keyring().unwrap().rules(), next.envelopes().rules());
    let forced = ring.with_envelopes(V3, V3, NOW, FORCED).unwrap();
    assert_eq!(versions(&forced), (3, 3));
}

#[tokio::test]
async fn each_gap_of_an_audit_keeps_version_2_accepted() {
    let other = ProtectedScope::new("redis://other", "wb:*");
    let ring = created(&custodian()).await;
    let ring = ring
        .with_protected_scopes(std::slice::from_ref(&other))
        .unwrap()
        .unwrap();
    let lapsed = NOW + lapse_ms();
    let with = |change: fn(&mut Audit)| {
        let mut audit = audit(lapsed, &[("3", 7)]);
        change(&mut audit);
        audit
    };
    let cases = [
        (
            with(|it| {
                it.versions.insert("2".to_owned(), 12);
            }),
            AuditGap::Version {
                version: V2,
                values: 12,
            },
        ),
        (
            with(|it| {
                it.versions.insert("classic".to_owned(), 1);
            }),
            AuditGap::Classic(1),
        ),
        (with(|it| it.classic = true), AuditGap::ClassicWritten),
        (with(|it| it.unseen = 3), AuditGap::Unseen(3)),
        (
            with(|it| it.uncovered = vec![ProtectedScope::new("redis://other", "wb:*")]),
            AuditGap::Uncovered(Box::new(other)),
        ),
        (
            // As a former version reports it.
            with(|it| {
                it.versions.clear();
                it.values.insert("0000000a".to_owned(), 1);
            }),
            AuditGap::NoVersions,
        ),
    ];
    for (audit, gap) in cases {
        let error = refused(ring.with_envelopes(V3, V3, lapsed, evidence(&audit)));
        let change = GuardedChange::AcceptVersion3;
        assert_eq!(error, ChangeError::Unproven { change, gap });
    }
    // Records that the ring no longer knows need not be covered.
    let audit = with(|it| it.uncovered = vec![ProtectedScope::new("redis://gone", "wb:*")]);
    assert!(
        ring.with_envelopes(V3, V3, lapsed, evidence(&audit))
            .is_ok()
    );
}

#[tokio::test]
async fn version_2_is_written_again_once_every_process_accepts_it() {
    let ring = of_version_3(NOW).await;
    let at = SETTINGS_AT;
    for evidence in [NONE, FORCED] {
        let error = refused(ring.with_envelopes(V2, V3, at, evidence));
        assert_eq!(error, ChangeError::NotWritten);
    }
    let error = refused(ring.with_envelopes(V2, V2, at, NONE));
    assert_eq!(error, ChangeError::NotAccepted);
    // Accepting more is always allowed.
    let ring = ring.with_envelopes(V3, V2, at, NONE).unwrap();
    let settled = at + Settings::default().settling_ms();
    let early = refused(ring.with_envelopes(V2, V2, settled - 1, NONE));
    let change = GuardedChange::WriteVersion2;
    assert_eq!(early, ChangeError::Unsettled { change, left_s: 1 });
    let next = ring.with_envelopes(V2, V2, settled, NONE).unwrap();
    assert_eq!(versions(&next), (2, 2));
    let forced = of_version_3(NOW).await.with_envelopes(V2, V2, NOW, FORCED);
    assert_eq!(versions(&forced.unwrap()), (2, 2));
}

#[tokio::test]
async fn version_2_is_not_written_where_values_exist_in_version_3_alone() {
    let ring = created(&custodian()).await;
    let settings = ScopeSettings {
        group: Some("g".to_owned()),
        bind: ScopeBinding::Group,
        ..ScopeSettings::default()
    };
    let scope = ProtectedScope::new("redis://a", "wa:*").with_settings(settings);
    let ring = ring
        .with_protected_scopes(std::slice::from_ref(&scope))
        .unwrap()
        .unwrap();
    for evidence in [NONE, FORCED] {
        let error = refused(ring.with_envelopes(V2, V2, SETTINGS_AT, evidence));
        assert_eq!(
            error,
            ChangeError::ScopeSettings {
                records: "\"wa:*\"".to_owned(),
                store: "redis://a".to_owned(),
                what: "version 2 of the sealed format",
            }
        );
    }
    let plain = scope.with_settings(ScopeSettings::default());
    let ring = ring.with_protected_scope(&plain).unwrap().unwrap();
    assert!(ring.with_envelopes(V2, V2, SETTINGS_AT, NONE).is_ok());
}

#[tokio::test]
async fn an_index_key_is_destroyed_after_the_lapse_and_an_audit_that_found_nothing_under_it() {
    let custodian = custodian();
    let (ring, second) = with_pending(&created(&custodian).await, &custodian).await;
    let first = ring.writing().unwrap().id;
    let ring = ring.with_writing(second, NOW, true).unwrap();
    let lapsed = NOW + lapse_ms();
    let change = GuardedChange::DestroyIndexKey(first);
    let under = |id: KeyId| BTreeMap::from([(id.to_string(), 2)]);
    let clean = Audit {
        values: under(second),
        ..audit(lapsed, &[])
    };
    let destroy = |at, audit| ring.with_destroyed_index_key(first, at, evidence(audit));
    let early = refused(destroy(lapsed - 1, &clean));
    assert_eq!(early, ChangeError::Unsettled { change, left_s: 1 });
    let (id, values) = (first, 2);
    let used = Audit {
        values: under(first),
        ..clean.clone()
    };
    let quarantined = Audit {
        quarantined: under(first),
        ..clean.clone()
    };
    let unseen = Audit {
        unseen: 1,
        ..clean.clone()
    };
    let too_old = audit(lapsed - 1, &[]);
    for (audit, gap) in [
        (&too_old, AuditGap::Missing),
        (&used, AuditGap::InUse { id, values }),
        (&quarantined, AuditGap::Quarantined { id, values }),
        (&unseen, AuditGap::Unseen(1)),
    ] {
        let error = refused(destroy(lapsed, audit));
        assert_eq!(error, ChangeError::Unproven { change, gap });
    }
    let next = destroy(lapsed, &clean).unwrap();
    let state = next.index_entry(first).unwrap().state;
    assert_eq!(state, IndexKeyState::Destroyed);
}

#[tokio::test]
async fn a_live_ring_makes_each_change_and_repeats_none() {
    let (custodian, clock) = (custodian(), Clock::at(NOW));
    let ring = converted(&custodian).await;
    let (live, _store) = live(&ring, &custodian, &clock).await;
    clock.advance(Settings::default().propagation_ms);
    let (write, accept, force) = (V3, V2, false);
    let change = Change::Envelopes {
        write,
        accept,
        force,
    };
    let version = live.change(&change).await.unwrap().version();
    assert_eq!(live.change(&change).await.unwrap().version(), version);
    assert_eq!(live.keyring().current().rules().write, V3);
    clock.advance(lapse_ms());
    let change = Change::Envelopes {
        write,
        accept: V3,
        force,
    };
    assert!(matches!(
        refused(live.change(&change).await),
        ChangeError::Unproven { .. }
    ));
    let clean = audit(live.now_ms(), &[("3", 1)]);
    live.change_after_audit(&change, &clean).await.unwrap();
    assert_eq!(live.keyring().current().rules().accept, V3);

    let first = live.ring().writing().unwrap().id;
    let ring = live.change(&Change::AddIndexKey).await.unwrap();
    let id = ring
        .index_keys_in(IndexKeyState::Pending)
        .next()
        .unwrap()
        .id;
    let promote = Change::PromoteIndexKey { id, at_once: false };
    assert!(matches!(
        refused(live.change(&promote).await),
        ChangeError::EarlyIndexKey { .. }
    ));
    clock.advance(Settings::default().propagation_ms);
    let version = live.change(&promote).await.unwrap().version();
    assert_eq!(live.change(&promote).await.unwrap().version(), version);
    clock.advance(lapse_ms());
    let destroy = Change::DestroyIndexKey {
        id: first,
        force: false,
    };
    refused(live.change(&destroy).await);
    let clean = audit(live.now_ms(), &[]);
    let ring = live.change_after_audit(&destroy, &clean).await.unwrap();
    assert!(ring.index_entry(first).unwrap().wraps.is_empty());
    let version = ring.version();
    assert_eq!(live.change(&destroy).await.unwrap().version(), version);
    let compromise = Change::Compromise(id);
    let error = refused(live.change(&compromise).await);
    assert_eq!(error, ChangeError::IndexKey(id));
}
