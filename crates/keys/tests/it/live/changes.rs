//! Changes by several processes at once.

use std::sync::Arc;

use futures_util::future::join_all;
use waxseal_core::SecretKey;
use waxseal_keys::{
    Change, ChangeError, DocumentStore, FileDocumentStore, KeyState, LiveRing, MemoryDocumentStore,
    ProtectedScope, Ring, RingError, Settings,
};

use crate::document_stores::ObservedStore;
use crate::rings::{Clock, NOW, custodian, new_ring, options, with};

#[tokio::test]
async fn of_several_processes_that_create_a_ring_one_succeeds_and_all_get_the_same() {
    for processes in [2, 5] {
        let directory = tempfile::tempdir().unwrap();
        let file = FileDocumentStore::new(directory.path().join("keyring.json"));
        let places: [Arc<dyn DocumentStore>; 2] =
            [Arc::new(MemoryDocumentStore::default()), Arc::new(file)];
        for store in places {
            let custodian = custodian();
            let create = async || {
                let ring = new_ring(&custodian).await;
                let (store, options) = (store.clone(), options(&Clock::at(NOW)));
                LiveRing::create(store, &ring, with(&custodian), options).await
            };
            let made = join_all((0..processes).map(|_| create())).await;
            let (mut created, mut ids) = (0, Vec::new());
            for one in made {
                match one {
                    Ok(live) => {
                        created += 1;
                        ids.push(live.ring().id().to_owned());
                    }
                    Err(RingError::Exists { version: 1, .. }) => {
                        let options = options(&Clock::at(NOW));
                        let live = LiveRing::open(store.clone(), with(&custodian), options).await;
                        ids.push(live.unwrap().ring().id().to_owned());
                    }
                    Err(error) => panic!("{error}"),
                }
            }
            ids.sort();
            ids.dedup();
            assert_eq!((created, ids.len()), (1, 1));
        }
    }
}

/// Several processes with the same ring.
async fn several(count: usize) -> Vec<LiveRing> {
    let custodian = custodian();
    let store = Arc::new(ObservedStore::default());
    let ring = new_ring(&custodian).await;
    let clock = Clock::at(NOW);
    let first = LiveRing::create(store.clone(), &ring, with(&custodian), options(&clock)).await;
    let mut rings = vec![first.unwrap()];
    while rings.len() < count {
        let next = LiveRing::open(store.clone(), with(&custodian), options(&clock)).await;
        rings.push(next.unwrap());
    }
    rings
}

#[tokio::test(start_paused = true)]
async fn forty_processes_that_begin_a_rotation_create_one_key() {
    let rings = several(40).await;
    let change = Change::Add {
        instead_of: rings[0].ring().sealing().id,
    };
    for changed in join_all(rings.iter().map(|ring| ring.change(&change))).await {
        let changed = changed.unwrap();
        assert_eq!((changed.version(), changed.keys().len()), (2, 2));
        assert_eq!(changed.in_state(KeyState::Pending).count(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn forty_concurrent_changes_are_all_applied() {
    let rings = several(40).await;
    let changes = rings.iter().zip(0..).map(|(ring, number)| async move {
        let protected_scope = ProtectedScope::new(format!("redis://{number}"), "wa:*");
        ring.change(&Change::Register(vec![protected_scope])).await
    });
    for changed in join_all(changes).await {
        changed.unwrap();
    }
    let ring = rings[0].refresh().await.unwrap();
    assert_eq!((ring.version(), ring.protected_scopes().len()), (41, 40));
}

#[tokio::test(start_paused = true)]
async fn a_superseded_leader_changes_nothing() {
    let rings = several(2).await;
    let (old, new) = (&rings[0], &rings[1]);
    let add = Change::Add {
        instead_of: old.ring().sealing().id,
    };
    let ring = new.change_as_leader(&add, 2).await.unwrap();
    let id = ring.in_state(KeyState::Pending).next().unwrap().id;
    let promote = Change::Promote { id, at_once: true };
    let refused = old.change_as_leader(&promote, 1).await.err();
    assert_eq!(refused, Some(ChangeError::Fenced.into()));
    assert_eq!(old.refresh().await.unwrap().to_bytes(), ring.to_bytes());
    old.change_as_leader(&promote, 3).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_change_that_is_applied_already_is_not_repeated() {
    let rings = several(1).await;
    let live = &rings[0];
    let old = live.ring().sealing().id;
    live.change(&Change::Add { instead_of: old }).await.unwrap();
    let id = live.ring().in_state(KeyState::Pending).next().unwrap().id;
    for change in [
        Change::Promote { id, at_once: true },
        Change::Archive(old),
        Change::Destroy(old),
        Change::Settings {
            settings: Settings::default(),
            at_once: false,
        },
    ] {
        let version = live.change(&change).await.unwrap().version();
        assert_eq!(
            live.change(&change).await.unwrap().version(),
            version,
            "{change:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_ring_of_a_thousand_old_keys_opens_with_each_of_them() {
    let custodian = custodian();
    let custodians = [custodian.clone()];
    let keys: Vec<_> = (0..1001).map(|_| SecretKey::generate().unwrap()).collect();
    let mut ring = Ring::create("test", Settings::default(), &custodians, &keys, NOW)
        .await
        .unwrap();
    // Only the oldest hundred, as each change rewrites the whole document.
    for key in &keys[901..] {
        ring = ring.with_archived(key.id(), NOW).unwrap();
    }
    let store = Arc::new(MemoryDocumentStore::default());
    let live = LiveRing::create(store, &ring, with(&custodian), options(&Clock::at(NOW))).await;
    let live = live.unwrap();
    assert_eq!(live.ring().in_state(KeyState::Archived).count(), 100);
    assert_eq!(live.ring().in_state(KeyState::DecryptOnly).count(), 900);
    let keyring = live.keyring().current();
    assert!(keys.iter().all(|key| keyring.role(key.id()).is_some()));
}
