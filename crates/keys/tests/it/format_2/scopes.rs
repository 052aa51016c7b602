//! Settings of protected records: recorded once, the same for all processes, replaced on purpose.

use waxseal_keys::{
    Change, ChangeError, Difference, ProtectedScope, RecordNames, Ring, ScopeBinding, ScopeSettings,
};

use super::{FORCED, V2, converted, created, live, refused};
use crate::rings::{Clock, NOW, custodian, new_ring};

fn scope(settings: ScopeSettings) -> ProtectedScope {
    ProtectedScope::new("redis://a", "wa:*").with_settings(settings)
}

fn excepts(except: &[&str]) -> ScopeSettings {
    ScopeSettings {
        except: except.iter().map(|it| (*it).to_owned()).collect(),
        ..ScopeSettings::default()
    }
}

fn registered(ring: &Ring, scope: &ProtectedScope) -> Ring {
    let ring = ring.with_protected_scopes(std::slice::from_ref(scope));
    ring.unwrap().unwrap()
}

#[tokio::test]
async fn format_1_records_no_settings_and_compares_none() {
    let ring = new_ring(&custodian()).await;
    let ring = registered(&ring, &scope(excepts(&["*_LOCK"])));
    assert_eq!(
        ring.protected_scopes(),
        [ProtectedScope::new("redis://a", "wa:*")]
    );
    let others = [
        scope(excepts(&[])),
        scope(ScopeSettings {
            group: Some("g".to_owned()),
            ..ScopeSettings::default()
        }),
    ];
    assert!(ring.with_protected_scopes(&others).unwrap().is_none());
    let error = refused(ring.with_protected_scope(&others[0]));
    let what = "settings of protected records";
    assert_eq!(error, ChangeError::NeedsFormat2 { what });
}

#[tokio::test]
async fn the_first_process_with_settings_records_them_after_a_conversion() {
    let custodian = custodian();
    let ring = registered(
        &converted(&custodian).await,
        &ProtectedScope::new("redis://a", "wa:*"),
    );
    let first = scope(excepts(&["b", "a", "b"]));
    let ring = registered(&ring, &first);
    let recorded = ring.protected_scope(&first).unwrap().settings.clone();
    assert_eq!(recorded, Some(excepts(&["a", "b"])));
    // The order does not matter; a process without settings agrees with all.
    let bare = first.bare();
    let same = [first, scope(excepts(&["a", "b"])), bare];
    assert!(ring.with_protected_scopes(&same).unwrap().is_none());
    assert_eq!(ring.protected_scopes().len(), 1);
    let ring = ring.without_protected_scope(&same[2]).unwrap();
    assert_eq!(ring.protected_scopes(), []);
}

#[tokio::test]
async fn a_process_with_other_settings_is_refused_with_what_differs() {
    let ring = created(&custodian()).await;
    let recorded = ScopeSettings {
        group: Some("g".to_owned()),
        ..excepts(&["*_LOCK", "wa:one"])
    };
    let ring = registered(&ring, &scope(recorded.clone()));
    let cases = [
        (
            excepts(&["*_LOCK"]),
            ("except", "[\"*_LOCK\", one record]", "[\"*_LOCK\"]"),
        ),
        (
            ScopeSettings {
                group: None,
                ..recorded.clone()
            },
            ("group", "\"g\"", "none"),
        ),
        (
            ScopeSettings {
                bind: ScopeBinding::Group,
                ..recorded.clone()
            },
            ("bind", "record", "group"),
        ),
        (
            ScopeSettings {
                names: RecordNames::Accept,
                ..recorded.clone()
            },
            ("names", "plain", "accept"),
        ),
    ];
    for (settings, (what, recorded, configured)) in cases {
        let error = refused(ring.with_protected_scopes(&[scope(settings.clone())]));
        let difference = Difference {
            what,
            recorded: recorded.to_owned(),
            configured: configured.to_owned(),
        };
        assert_eq!(
            error,
            ChangeError::Protected {
                records: "\"wa:*\"".to_owned(),
                store: "redis://a".to_owned(),
                difference: Box::new(difference),
            }
        );
        let text = error.to_string();
        for part in [what, recorded, configured, "redis://a", "\"wa:*\""] {
            assert!(text.contains(part), "{text}");
        }
        // Replaced on purpose, they are the recorded ones.
        let next = ring.with_protected_scope(&scope(settings.clone()));
        let next = next.unwrap().unwrap();
        let again = [scope(settings.clone())];
        assert!(next.with_protected_scopes(&again).unwrap().is_none());
        assert!(next.with_protected_scope(&again[0]).unwrap().is_none());
        assert_eq!(next.protected_scopes().len(), 1);
    }
}

#[tokio::test]
async fn settings_that_differ_in_names_of_single_records_alone_are_told_apart() {
    let ring = created(&custodian()).await;
    let ring = registered(&ring, &scope(excepts(&["wa:one"])));
    let error = refused(ring.with_protected_scopes(&[scope(excepts(&["wa:two"]))]));
    let text = error.to_string();
    assert!(text.contains("records except = [one record]"), "{text}");
    let configured = "configured with except = [one record] (other records)";
    assert!(text.contains(configured), "{text}");
    assert!(
        !text.contains("wa:one") && !text.contains("wa:two"),
        "{text}"
    );
}

#[tokio::test]
async fn values_bound_to_a_group_and_sealed_names_need_version_3() {
    let custodian = custodian();
    let settings = [
        ScopeSettings {
            group: Some("g".to_owned()),
            bind: ScopeBinding::Group,
            ..ScopeSettings::default()
        },
        ScopeSettings {
            names: RecordNames::Accept,
            ..ScopeSettings::default()
        },
    ];
    let written = created(&custodian).await;
    let not_written = written.with_envelopes(V2, V2, NOW, FORCED).unwrap();
    for settings in settings {
        let scope = scope(settings);
        for ring in [&new_ring(&custodian).await, &not_written] {
            let error = refused(ring.with_protected_scopes(std::slice::from_ref(&scope)));
            assert!(
                matches!(error, ChangeError::ScopeSettings { .. }),
                "{error}"
            );
        }
        refused(not_written.with_protected_scope(&scope));
        registered(&written, &scope);
    }
}

#[tokio::test]
async fn a_live_ring_replaces_settings_once() {
    let (custodian, clock) = (custodian(), Clock::at(NOW));
    let (live, _store) = live(&created(&custodian).await, &custodian, &clock).await;
    let register = Change::Register(vec![scope(excepts(&[]))]);
    let version = live.change(&register).await.unwrap().version();
    assert_eq!(live.change(&register).await.unwrap().version(), version);
    let other = scope(excepts(&["*_LOCK"]));
    let error = refused(live.change(&Change::Register(vec![other.clone()])).await);
    assert!(matches!(error, ChangeError::Protected { .. }));
    let protect = Change::Protect(other.clone());
    let version = live.change(&protect).await.unwrap().version();
    assert_eq!(live.change(&protect).await.unwrap().version(), version);
    live.change(&Change::Register(vec![other])).await.unwrap();
    refused(live.change(&register).await);
    let unregister = Change::Unregister(ProtectedScope::new("redis://a", "wa:*"));
    let ring = live.change(&unregister).await.unwrap();
    assert_eq!(ring.protected_scopes(), []);
}
