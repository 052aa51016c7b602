//! A ring changes its custodians: none of its keys is lost in any case, and running processes need neither
//! the old nor the new ones.

use std::sync::Arc;

use waxseal_keys::{
    Change, ChangeError, Custodian, CustodianError, Document, DocumentStore, LiveRing,
    MemoryDocumentStore, Rewrap, Ring, RingError, Settings,
};

use super::{Fickle, all, store_with_ring};
use crate::rings::{Clock, NOW, options};

async fn open(store: &Arc<MemoryDocumentStore>, custodians: &[&Arc<Fickle>]) -> LiveRing {
    let live = LiveRing::open(store.clone(), all(custodians), options(&Clock::at(NOW)));
    live.await.unwrap()
}

fn to(urls: &[&str]) -> Change {
    Change::Rewrap(Rewrap {
        add: owned(urls),
        only: true,
        ..Rewrap::default()
    })
}

fn add(urls: &[&str]) -> Change {
    Change::Rewrap(Rewrap {
        add: owned(urls),
        ..Rewrap::default()
    })
}

fn remove(urls: &[&str]) -> Change {
    Change::Rewrap(Rewrap {
        remove: owned(urls),
        ..Rewrap::default()
    })
}

fn owned(urls: &[&str]) -> Vec<String> {
    urls.iter().map(|url| (*url).to_owned()).collect()
}

fn custodians(live: &LiveRing) -> Vec<String> {
    live.ring().custodians().map(str::to_owned).collect()
}

async fn document(store: &MemoryDocumentStore) -> Vec<u8> {
    store.read(&Document::Ring).await.unwrap().unwrap()
}

#[tokio::test]
async fn a_ring_moves_to_another_custodian_and_the_old_one_no_longer_opens_it() {
    let (old, new) = (Fickle::new("env:OLD"), Fickle::new("env:NEW"));
    let store = store_with_ring(&[&old]).await;
    let running = open(&store, &[&old]).await;
    let before = running.ring();
    let live = open(&store, &[&old, &new]).await;
    live.change(&to(&["env:NEW"])).await.unwrap();
    assert_eq!(custodians(&live), ["env:NEW"]);
    for key in live.ring().keys() {
        assert_eq!(key.wraps.len(), 1);
        assert_eq!(key.wraps[0].custodian, "env:NEW");
    }
    let opened = open(&store, &[&new]).await;
    assert_eq!(opened.ring().keys().len(), before.keys().len());
    assert_eq!(opened.ring().user(b"u"), before.user(b"u"));
    let error = LiveRing::open(store.clone(), all(&[&old]), options(&Clock::at(NOW))).await;
    assert!(matches!(
        error.err(),
        Some(RingError::Custodian(CustodianError::NotConfigured { .. }))
    ));
    // A process with the ring follows it nevertheless, and continues to seal.
    running.refresh().await.unwrap();
    assert!(running.degraded().is_none());
    assert_eq!(running.ring().version(), live.ring().version());
    assert!(running.is_confirmed());
    // Repeated: nothing is left to do.
    let version = live.ring().version();
    live.change(&to(&["env:NEW"])).await.unwrap();
    assert_eq!(live.ring().version(), version);
}

#[tokio::test]
async fn the_last_custodian_cannot_be_removed_and_an_unknown_one_is_reported() {
    let (one, two) = (Fickle::new("env:ONE"), Fickle::new("env:TWO"));
    let store = store_with_ring(&[&one]).await;
    let live = open(&store, &[&one, &two]).await;
    let before = document(&store).await;
    let error = live.change(&remove(&["env:ONE"])).await.err();
    let last = ChangeError::LastCustodian("env:ONE".to_owned());
    assert_eq!(error, Some(RingError::Change(last)));
    let error = live.change(&remove(&["env:THREE"])).await.err();
    let unknown = ChangeError::NoCustodian("env:THREE".to_owned());
    assert_eq!(error, Some(RingError::Change(unknown)));
    let error = live.change(&to(&["env:THREE"])).await.err();
    assert!(matches!(
        error,
        Some(RingError::Custodian(CustodianError::NotConfigured { .. }))
    ));
    assert_eq!(document(&store).await, before);
}

#[tokio::test]
async fn a_custodian_is_removed_only_after_another_one_unwrapped_each_key() {
    let (one, two) = (Fickle::new("env:ONE"), Fickle::new("env:TWO"));
    let store = store_with_ring(&[&one, &two]).await;
    let live = open(&store, &[&one, &two]).await;
    let before = document(&store).await;
    two.go_down();
    let error = live.change(&remove(&["env:ONE"])).await.err();
    assert!(matches!(
        error,
        Some(RingError::Custodian(CustodianError::Unavailable { .. }))
    ));
    assert_eq!(document(&store).await, before);
    two.come_back();
    live.change(&remove(&["env:ONE"])).await.unwrap();
    assert_eq!(custodians(&live), ["env:TWO"]);
    open(&store, &[&two]).await;
}

#[tokio::test]
async fn a_custodian_that_fails_halfway_leaves_the_ring_unchanged() {
    let (old, new) = (Fickle::new("env:OLD"), Fickle::new("env:NEW"));
    let store = store_with_ring(&[&old]).await;
    let live = open(&store, &[&old, &new]).await;
    let before = document(&store).await;
    let custodian = "env:NEW".to_owned();
    for error in [
        CustodianError::Unavailable {
            custodian: custodian.clone(),
            cause: "rate-limited".to_owned(),
        },
        CustodianError::Denied {
            custodian: custodian.clone(),
            operation: "wrap",
            cause: "AccessDenied".to_owned(),
        },
        // It wraps, and unwraps something else than was wrapped.
        CustodianError::Refused { custodian },
    ] {
        new.fail(Some(error.clone()));
        let answer = live.change(&to(&["env:NEW"])).await.err();
        assert_eq!(answer, Some(RingError::Custodian(error)));
        assert_eq!(document(&store).await, before);
    }
    new.come_back();
    live.change(&to(&["env:NEW"])).await.unwrap();
}

#[tokio::test]
async fn wraps_are_renewed_by_the_same_custodians() {
    let (one, two) = (Fickle::new("env:ONE"), Fickle::new("env:TWO"));
    let store = store_with_ring(&[&one, &two]).await;
    let live = open(&store, &[&one, &two]).await;
    let before = live.ring();
    let renewal = Change::Rewrap(Rewrap {
        renew: true,
        ..Rewrap::default()
    });
    let after = live.change(&renewal).await.unwrap();
    assert_eq!(custodians(&live), ["env:ONE", "env:TWO"]);
    for (before, after) in before.keys().iter().zip(after.keys()) {
        assert_eq!(before.id, after.id);
        for (before, after) in before.wraps.iter().zip(&after.wraps) {
            assert_eq!(before.custodian, after.custodian);
            assert_ne!(before.wrapped, after.wrapped);
        }
    }
    open(&store, &[&two]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_concurrent_operators_one_wins_and_the_ring_opens() {
    for round in 0..20 {
        let (one, two) = (Fickle::new("env:ONE"), Fickle::new("env:TWO"));
        let (three, four) = (Fickle::new("env:THREE"), Fickle::new("env:FOUR"));
        let store = store_with_ring(&[&one, &two]).await;
        let every = [&one, &two, &three, &four];
        let (a, b) = (open(&store, &every).await, open(&store, &every).await);
        let (first, second) = match round % 3 {
            0 => (to(&["env:THREE"]), to(&["env:FOUR"])),
            // Each removes the custodian that the other one keeps: one of them must fail.
            1 => (remove(&["env:ONE"]), remove(&["env:TWO"])),
            _ => (add(&["env:THREE"]), remove(&["env:ONE"])),
        };
        let (first, second) = tokio::join!(a.change(&first), b.change(&second));
        let outcomes = [first.is_ok(), second.is_ok()];
        a.refresh().await.unwrap();
        let left = custodians(&a);
        match round % 3 {
            0 => assert!(left == ["env:THREE"] || left == ["env:FOUR"], "{left:?}"),
            1 => {
                assert_eq!(outcomes.iter().filter(|it| **it).count(), 1);
                assert_eq!(left.len(), 1);
            }
            _ => assert_eq!(left, ["env:TWO", "env:THREE"]),
        }
        let holder = every
            .into_iter()
            .find(|it| left[0] == Custodian::url(&***it));
        let opened = open(&store, &[holder.unwrap()]).await;
        assert_eq!(opened.ring().keys().len(), 4);
    }
}

#[tokio::test]
async fn a_process_without_the_new_custodian_keeps_its_ring_if_it_cannot_unwrap_a_new_key() {
    let (old, new) = (Fickle::new("env:OLD"), Fickle::new("env:NEW"));
    let store = store_with_ring(&[&old]).await;
    let running = open(&store, &[&old]).await;
    let live = open(&store, &[&old, &new]).await;
    live.change(&to(&["env:NEW"])).await.unwrap();
    running.refresh().await.unwrap();
    let known = running.ring().version();
    let instead_of = live.ring().sealing().id;
    live.change(&Change::Add { instead_of }).await.unwrap();
    let error = running.refresh().await.err();
    assert!(matches!(
        error,
        Some(RingError::Custodian(CustodianError::NotConfigured { .. }))
    ));
    assert_eq!(running.ring().version(), known, "the last good ring stays");
    assert!(running.degraded().is_some());
    assert_eq!(document(&store).await, live.ring().to_bytes());
}

#[tokio::test]
async fn a_key_that_was_restored_under_old_custodians_is_rewrapped_as_well() {
    let (old, new) = (Fickle::new("env:OLD"), Fickle::new("env:NEW"));
    let store = store_with_ring(&[&old]).await;
    let first = open(&store, &[&old, &new]).await;
    let before = document(&store).await;
    let instead_of = first.ring().sealing().id;
    first.change(&Change::Add { instead_of }).await.unwrap();
    // The store loses that write, and another machine rewraps what is left.
    let now = document(&store).await;
    assert!(
        store
            .replace(&Document::Ring, Some(&now), &before)
            .await
            .unwrap()
    );
    let second = open(&store, &[&old, &new]).await;
    second.change(&to(&["env:NEW"])).await.unwrap();
    // The first one restores what the store lacks: a key that only the old custodian wraps.
    first.refresh().await.unwrap();
    second.refresh().await.unwrap();
    assert_eq!(custodians(&second), ["env:NEW"]);
    let lacking = second.ring().unevenly_wrapped();
    assert!(
        lacking.iter().any(|(_, urls)| *urls == ["env:NEW"]),
        "{lacking:?}"
    );

    second.change(&to(&["env:NEW"])).await.unwrap();
    assert_eq!(second.ring().unevenly_wrapped(), []);
    open(&store, &[&new]).await;
    // Without arguments, rewrap wraps each key by all custodians of the ring.
    second.change(&add(&["env:OLD"])).await.unwrap();
    second
        .change(&Change::Rewrap(Rewrap {
            renew: true,
            ..Rewrap::default()
        }))
        .await
        .unwrap();
    assert_eq!(second.ring().unevenly_wrapped(), []);
}

#[tokio::test]
async fn a_custodian_whose_wraps_do_not_open_gets_no_key() {
    let (good, bad) = (Fickle::new("env:GOOD"), Fickle::new("env:BAD"));
    let store = store_with_ring(&[&good]).await;
    let live = open(&store, &[&good, &bad]).await;
    let before = document(&store).await;
    bad.spoil(true);
    for change in [add(&["env:BAD"]), to(&["env:BAD"])] {
        let error = live.change(&change).await.err().unwrap();
        assert!(
            matches!(error, RingError::Custodian(CustodianError::Refused { .. })),
            "{error}"
        );
    }
    assert_eq!(document(&store).await, before);
    bad.spoil(false);
    live.change(&add(&["env:BAD"])).await.unwrap();
    let changed = document(&store).await;
    // Also if it renews its own wraps.
    bad.spoil(true);
    let renewal = Change::Rewrap(Rewrap {
        renew: true,
        ..Rewrap::default()
    });
    assert!(live.change(&renewal).await.is_err());
    assert_eq!(document(&store).await, changed);
    // And if there is no ring yet.
    let wrapping: [Arc<dyn Custodian>; 1] = [bad.clone()];
    let made = Ring::create("test", Settings::default(), &wrapping, &[], NOW).await;
    assert!(made.is_err());
}

#[tokio::test]
async fn index_keys_move_to_another_custodian_with_all_others() {
    let (old, new) = (Fickle::new("env:OLD"), Fickle::new("env:NEW"));
    let store = store_with_ring(&[&old]).await;
    let live = open(&store, &[&old, &new]).await;
    let member = super::convert_and_seal(&live).await;
    let before = document(&store).await;
    live.change(&Change::AddIndexKey).await.unwrap();
    // The store loses that write, and another machine rewraps what is left.
    store.set(Document::Ring, Some(before));
    let other = open(&store, &[&old, &new]).await;
    other.change(&to(&["env:NEW"])).await.unwrap();
    for key in other.ring().index_keys() {
        let urls: Vec<_> = key.wraps.iter().map(|it| it.custodian.as_str()).collect();
        assert_eq!(urls, ["env:NEW"]);
    }
    let opened = open(&store, &[&new]).await;
    assert_eq!(super::open_member(&opened, &member), super::MEMBER);
    // The index key that the first one restores has the old wraps.
    live.refresh().await.unwrap();
    other.refresh().await.unwrap();
    let lacking = other.ring().unevenly_wrapped();
    let restored = other.ring().index_keys()[1].id.to_string();
    let uneven = |(key, urls): &(String, Vec<String>)| *key == restored && *urls == ["env:NEW"];
    assert!(lacking.iter().any(uneven), "{lacking:?}");
    other.change(&to(&["env:NEW"])).await.unwrap();
    assert_eq!(other.ring().unevenly_wrapped(), []);
    // A wrap that its custodian no longer unwraps is reported.
    assert_eq!(other.refused_wraps().await, []);
    new.fail(Some(CustodianError::Refused {
        custodian: "env:NEW".to_owned(),
    }));
    let refused = other.refused_wraps().await;
    let url = "env:NEW".to_owned();
    assert!(refused.contains(&(restored, url)), "{refused:?}");
}
