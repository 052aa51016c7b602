//! Any custodian that answers is enough to start; one that is down is waited for once.

use std::time::Duration;

use tokio::time::Instant;
use waxseal_keys::{Change, CustodianError, LiveRing, Rewrap, RingError};
use waxseal_testing::Lines;

use super::{Fickle, all, store_with_ring};
use crate::rings::{Clock, NOW, options};

#[tokio::test]
async fn one_of_two_custodians_is_enough_to_start_and_the_other_is_called_once() {
    let (one, two) = (Fickle::new("env:ONE"), Fickle::new("env:TWO"));
    let store = store_with_ring(&[&one, &two]).await;
    one.go_down();
    let before = one.calls();
    let options = options(&Clock::at(NOW));
    let live = LiveRing::open(store.clone(), all(&[&one, &two]), options.clone());
    let live = live.await.unwrap();
    assert_eq!(live.ring().keys().len(), 4);
    assert_eq!(one.calls() - before, 1, "not once for each key");
    two.go_down();
    let error = LiveRing::open(store, all(&[&one, &two]), options)
        .await
        .err();
    let Some(RingError::Custodian(error)) = error else {
        panic!("{error:?}");
    };
    assert!(error.is_transient());
    let text = error.to_string();
    assert!(
        text.contains("env:ONE") && text.contains("env:TWO"),
        "{text}"
    );
    // A running process continues, and polls its document.
    live.refresh().await.unwrap();
    assert!(live.degraded().is_none());
}

#[tokio::test(start_paused = true)]
async fn while_one_custodian_hangs_the_other_is_called_and_no_key_waits_for_it_again() {
    let (one, two) = (Fickle::new("env:ONE"), Fickle::new("env:TWO"));
    let store = store_with_ring(&[&one, &two]).await;
    one.hang();
    let before = one.calls();
    let (log, captured) = Lines::capture(tracing::Level::INFO);
    let (began, options) = (Instant::now(), options(&Clock::at(NOW)));
    let live = LiveRing::open(store, all(&[&one, &two]), options);
    assert_eq!(live.await.unwrap().ring().keys().len(), 4);
    drop(captured);
    // By a paused clock, which advances only while all tasks wait.
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(one.calls() - before, 1);
    let text = log.text();
    assert!(text.contains("no answer within 2 s"), "{text}");
    assert!(
        text.contains("another custodian opens the keyring"),
        "{text}"
    );
}

#[tokio::test]
async fn a_wrap_that_no_longer_unwraps_is_reported_and_can_be_renewed_from_another() {
    let (one, two) = (Fickle::new("env:ONE"), Fickle::new("env:TWO"));
    let store = store_with_ring(&[&one, &two]).await;
    // The same URL with another key behind it.
    let exchanged = Fickle::new("env:ONE");
    let options = options(&Clock::at(NOW));
    let (log, captured) = Lines::capture(tracing::Level::INFO);
    let custodians = all(&[&exchanged, &two]);
    let live = LiveRing::open(store.clone(), custodians, options.clone())
        .await
        .unwrap();
    drop(captured);
    let text = log.text();
    assert!(text.contains("ERROR"), "{text}");
    assert!(text.contains("does not unwrap key"), "{text}");
    // Its own secret and four keys.
    assert_eq!(live.refused_wraps().await.len(), 5);
    // Not automatically: a machine with a wrong secret would destroy what others can unwrap.
    let again = Rewrap {
        renew: true,
        ..Rewrap::default()
    };
    assert!(live.change(&Change::Rewrap(again)).await.is_err());
    let url = vec!["env:ONE".to_owned()];
    let (remove, add) = (url.clone(), url);
    for (add, remove) in [(Vec::new(), remove), (add, Vec::new())] {
        let rewrap = Rewrap {
            add,
            remove,
            ..Rewrap::default()
        };
        live.change(&Change::Rewrap(rewrap)).await.unwrap();
    }
    assert_eq!(live.refused_wraps().await, []);
    let alone = LiveRing::open(store, all(&[&exchanged]), options).await;
    assert_eq!(alone.unwrap().ring().keys().len(), 4, "no key was dropped");
}

#[tokio::test]
async fn a_new_key_needs_all_custodians_and_waits_until_they_are_back() {
    let (one, two) = (Fickle::new("env:ONE"), Fickle::new("env:TWO"));
    let store = store_with_ring(&[&one, &two]).await;
    let live = LiveRing::open(store, all(&[&one, &two]), options(&Clock::at(NOW)));
    let live = live.await.unwrap();
    let change = Change::Add {
        instead_of: live.ring().sealing().id,
    };
    two.go_down();
    let version = live.ring().version();
    let error = live.change(&change).await.err();
    assert!(matches!(
        error,
        Some(RingError::Custodian(CustodianError::Unavailable { .. }))
    ));
    assert_eq!(live.ring().version(), version, "nothing was written");
    two.come_back();
    live.change(&change).await.unwrap();
    let pending = waxseal_keys::rotation::next_to_seal(&live.ring()).cloned();
    assert_eq!(pending.unwrap().wraps.len(), 2);
}

#[tokio::test]
async fn a_process_calls_its_custodian_at_the_start_and_for_new_keys_only() {
    let one = Fickle::new("env:ONE");
    let store = store_with_ring(&[&one]).await;
    let live = LiveRing::open(store.clone(), all(&[&one]), options(&Clock::at(NOW)));
    let live = live.await.unwrap();
    let other = LiveRing::open(store, all(&[&one]), options(&Clock::at(NOW)));
    let other = other.await.unwrap();
    let before = one.calls();
    for _ in 0..100 {
        live.refresh().await.unwrap();
    }
    assert_eq!(one.calls(), before);
    // A change that creates no key needs no custodian either.
    other.change(&Change::Erase("ab".repeat(32))).await.unwrap();
    live.refresh().await.unwrap();
    assert_eq!(live.ring().erasures().len(), 1);
    assert_eq!(one.calls(), before);
    let instead_of = other.ring().sealing().id;
    other.change(&Change::Add { instead_of }).await.unwrap();
    live.refresh().await.unwrap();
    assert_eq!(
        one.calls() - before,
        3,
        "one wrapped it and saw it come out, one unwrapped it"
    );
}

#[tokio::test]
async fn a_custodian_that_refuses_does_not_count_as_unreachable() {
    let (one, two) = (Fickle::new("env:ONE"), Fickle::new("env:ONE"));
    let store = store_with_ring(&[&one]).await;
    // The same URL with another secret.
    let error = LiveRing::open(store, all(&[&two]), options(&Clock::at(NOW))).await;
    let Err(RingError::Custodian(error)) = error else {
        panic!("it opened");
    };
    assert!(matches!(error, CustodianError::Refused { .. }), "{error}");
    assert!(!error.is_transient());
}

#[tokio::test]
async fn each_custodian_can_be_checked_for_the_ring() {
    let (one, two) = (Fickle::new("env:ONE"), Fickle::new("env:TWO"));
    let store = store_with_ring(&[&one, &two]).await;
    let live = LiveRing::open(store, all(&[&one]), options(&Clock::at(NOW)));
    let answers = live.await.unwrap().check_custodians().await;
    assert_eq!(answers[0], ("env:ONE".to_owned(), Ok(())));
    assert!(matches!(
        answers[1].1,
        Err(CustodianError::NotConfigured { .. })
    ));
}
