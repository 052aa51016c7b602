//! A ring goes over to other custodians: none of its keys is lost on any way, and processes that run
//! need neither the old nor the new one.

use std::sync::Arc;

use waxseal_keys::{
    Change, ChangeError, Custodian, CustodianError, Document, DocumentStore, LiveRing,
    MemoryDocumentStore, Rewrap, Ring, RingError, Settings,
};

use super::{Fickle, all, place_with_ring};
use crate::rings::{Clock, NOW, options};

async fn open(place: &Arc<MemoryDocumentStore>, custodians: &[&Arc<Fickle>]) -> LiveRing {
    let live = LiveRing::open(place.clone(), all(custodians), options(&Clock::at(NOW)));
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

async fn document(place: &MemoryDocumentStore) -> Vec<u8> {
    place.read(&Document::Ring).await.unwrap().unwrap()
}

#[tokio::test]
async fn a_ring_moves_to_another_custodian_and_the_old_one_opens_it_no_more() {
    let (old, new) = (Fickle::new("env:OLD"), Fickle::new("env:NEW"));
    let place = place_with_ring(&[&old]).await;
    let running = open(&place, &[&old]).await;
    let before = running.ring();
    let live = open(&place, &[&old, &new]).await;
    live.change(&to(&["env:NEW"])).await.unwrap();
    assert_eq!(custodians(&live), ["env:NEW"]);
    for key in live.ring().keys() {
        assert_eq!(key.wraps.len(), 1);
        assert_eq!(key.wraps[0].custodian, "env:NEW");
    }
    let opened = open(&place, &[&new]).await;
    assert_eq!(opened.ring().keys().len(), before.keys().len());
    assert_eq!(opened.ring().user(b"u"), before.user(b"u"));
    let error = LiveRing::open(place.clone(), all(&[&old]), options(&Clock::at(NOW))).await;
    assert!(matches!(
        error.err(),
        Some(RingError::Custodian(CustodianError::NotConfigured { .. }))
    ));
    // Who has the ring follows it all the same, and seals on.
    running.refresh().await.unwrap();
    assert!(running.degraded().is_none());
    assert_eq!(running.ring().version(), live.ring().version());
    assert!(running.is_confirmed());
    // Once more: nothing is left to do.
    let version = live.ring().version();
    live.change(&to(&["env:NEW"])).await.unwrap();
    assert_eq!(live.ring().version(), version);
}

#[tokio::test]
async fn the_last_custodian_stays_and_an_unknown_one_is_told() {
    let (one, two) = (Fickle::new("env:ONE"), Fickle::new("env:TWO"));
    let place = place_with_ring(&[&one]).await;
    let live = open(&place, &[&one, &two]).await;
    let before = document(&place).await;
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
    assert_eq!(document(&place).await, before);
}

#[tokio::test]
async fn a_custodian_is_given_up_only_once_another_was_seen_to_open_each_key() {
    let (one, two) = (Fickle::new("env:ONE"), Fickle::new("env:TWO"));
    let place = place_with_ring(&[&one, &two]).await;
    let live = open(&place, &[&one, &two]).await;
    let before = document(&place).await;
    two.go_down();
    let error = live.change(&remove(&["env:ONE"])).await.err();
    assert!(matches!(
        error,
        Some(RingError::Custodian(CustodianError::Unavailable { .. }))
    ));
    assert_eq!(document(&place).await, before);
    two.come_back();
    live.change(&remove(&["env:ONE"])).await.unwrap();
    assert_eq!(custodians(&live), ["env:TWO"]);
    open(&place, &[&two]).await;
}

#[tokio::test]
async fn a_custodian_that_fails_halfway_leaves_the_ring_as_it_was() {
    let (old, new) = (Fickle::new("env:OLD"), Fickle::new("env:NEW"));
    let place = place_with_ring(&[&old]).await;
    let live = open(&place, &[&old, &new]).await;
    let before = document(&place).await;
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
        // It may wrap, and unwraps something else than was wrapped.
        CustodianError::Refused { custodian },
    ] {
        new.fail(Some(error.clone()));
        let answer = live.change(&to(&["env:NEW"])).await.err();
        assert_eq!(answer, Some(RingError::Custodian(error)));
        assert_eq!(document(&place).await, before);
    }
    new.come_back();
    live.change(&to(&["env:NEW"])).await.unwrap();
}

#[tokio::test]
async fn keys_are_wrapped_anew_by_the_same_custodians() {
    let (one, two) = (Fickle::new("env:ONE"), Fickle::new("env:TWO"));
    let place = place_with_ring(&[&one, &two]).await;
    let live = open(&place, &[&one, &two]).await;
    let before = live.ring();
    let anew = Change::Rewrap(Rewrap {
        anew: true,
        ..Rewrap::default()
    });
    let after = live.change(&anew).await.unwrap();
    assert_eq!(custodians(&live), ["env:ONE", "env:TWO"]);
    for (before, after) in before.keys().iter().zip(after.keys()) {
        assert_eq!(before.id, after.id);
        for (before, after) in before.wraps.iter().zip(&after.wraps) {
            assert_eq!(before.custodian, after.custodian);
            assert_ne!(before.wrapped, after.wrapped);
        }
    }
    open(&place, &[&two]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_operators_at_once_end_in_one_of_both_and_in_a_ring_that_opens() {
    for round in 0..20 {
        let (one, two) = (Fickle::new("env:ONE"), Fickle::new("env:TWO"));
        let (three, four) = (Fickle::new("env:THREE"), Fickle::new("env:FOUR"));
        let place = place_with_ring(&[&one, &two]).await;
        let every = [&one, &two, &three, &four];
        let (a, b) = (open(&place, &every).await, open(&place, &every).await);
        let (first, second) = match round % 3 {
            0 => (to(&["env:THREE"]), to(&["env:FOUR"])),
            // Each gives up what the other one keeps: one of them must not.
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
        let opened = open(&place, &[holder.unwrap()]).await;
        assert_eq!(opened.ring().keys().len(), 4);
    }
}

#[tokio::test]
async fn a_process_without_the_new_custodian_keeps_its_ring_where_it_cannot_take_a_new_key() {
    let (old, new) = (Fickle::new("env:OLD"), Fickle::new("env:NEW"));
    let place = place_with_ring(&[&old]).await;
    let running = open(&place, &[&old]).await;
    let live = open(&place, &[&old, &new]).await;
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
    assert_eq!(document(&place).await, live.ring().to_bytes());
}

#[tokio::test]
async fn a_key_that_came_back_under_old_custodians_is_brought_over_as_well() {
    let (old, new) = (Fickle::new("env:OLD"), Fickle::new("env:NEW"));
    let place = place_with_ring(&[&old]).await;
    let first = open(&place, &[&old, &new]).await;
    let before = document(&place).await;
    let instead_of = first.ring().sealing().id;
    first.change(&Change::Add { instead_of }).await.unwrap();
    // The place loses that write, and another machine moves what is there.
    let now = document(&place).await;
    assert!(
        place
            .replace(&Document::Ring, Some(&now), &before)
            .await
            .unwrap()
    );
    let second = open(&place, &[&old, &new]).await;
    second.change(&to(&["env:NEW"])).await.unwrap();
    // The first one gives back what it lacks: a key that only the old one wraps.
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
    open(&place, &[&new]).await;
    // Without anything else, rewrap wraps each key by all that wrap any.
    second.change(&add(&["env:OLD"])).await.unwrap();
    second
        .change(&Change::Rewrap(Rewrap {
            anew: true,
            ..Rewrap::default()
        }))
        .await
        .unwrap();
    assert_eq!(second.ring().unevenly_wrapped(), []);
}

#[tokio::test]
async fn a_custodian_whose_wraps_do_not_open_gets_no_key() {
    let (good, bad) = (Fickle::new("env:GOOD"), Fickle::new("env:BAD"));
    let place = place_with_ring(&[&good]).await;
    let live = open(&place, &[&good, &bad]).await;
    let before = document(&place).await;
    bad.spoil(true);
    for change in [add(&["env:BAD"]), to(&["env:BAD"])] {
        let error = live.change(&change).await.err().unwrap();
        assert!(
            matches!(error, RingError::Custodian(CustodianError::Refused { .. })),
            "{error}"
        );
    }
    assert_eq!(document(&place).await, before);
    bad.spoil(false);
    live.change(&add(&["env:BAD"])).await.unwrap();
    let changed = document(&place).await;
    // Also where it wraps anew what it had.
    bad.spoil(true);
    let anew = Change::Rewrap(Rewrap {
        anew: true,
        ..Rewrap::default()
    });
    assert!(live.change(&anew).await.is_err());
    assert_eq!(document(&place).await, changed);
    // And where there is no ring yet.
    let wrapping: [Arc<dyn Custodian>; 1] = [bad.clone()];
    let made = Ring::create("test", Settings::default(), &wrapping, &[], NOW).await;
    assert!(made.is_err());
}
