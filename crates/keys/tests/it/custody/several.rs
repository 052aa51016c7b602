//! Any one custodian that answers is enough to start; one that is down is waited for once.

use waxseal_keys::{Change, CustodianError, LiveRing, RingError};

use super::{Fickle, all, place_with_ring};
use crate::rings::{Clock, NOW, options};

#[tokio::test]
async fn one_of_two_is_enough_to_start_and_the_other_is_asked_once() {
    let (one, two) = (Fickle::new("env:ONE"), Fickle::new("env:TWO"));
    let place = place_with_ring(&[&one, &two]).await;
    one.go_down();
    let before = one.calls();
    let options = options(&Clock::at(NOW));
    let live = LiveRing::open(place.clone(), all(&[&one, &two]), options.clone());
    let live = live.await.unwrap();
    assert_eq!(live.ring().keys().len(), 4);
    assert_eq!(one.calls() - before, 1, "not once for each key");
    two.go_down();
    let error = LiveRing::open(place, all(&[&one, &two]), options)
        .await
        .err();
    let Some(RingError::Custodian(error)) = error else {
        panic!("{error:?}");
    };
    assert!(error.is_passing());
    let text = error.to_string();
    assert!(
        text.contains("env:ONE") && text.contains("env:TWO"),
        "{text}"
    );
    // The one that runs goes on, and looks at its document.
    live.refresh().await.unwrap();
    assert!(live.trouble().is_none());
}

#[tokio::test]
async fn a_new_key_needs_all_of_them_and_waits_until_they_are_back() {
    let (one, two) = (Fickle::new("env:ONE"), Fickle::new("env:TWO"));
    let place = place_with_ring(&[&one, &two]).await;
    let live = LiveRing::open(place, all(&[&one, &two]), options(&Clock::at(NOW)));
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
async fn a_process_asks_its_custodian_at_the_start_and_for_new_keys_and_never_else() {
    let one = Fickle::new("env:ONE");
    let place = place_with_ring(&[&one]).await;
    let live = LiveRing::open(place.clone(), all(&[&one]), options(&Clock::at(NOW)));
    let live = live.await.unwrap();
    let other = LiveRing::open(place, all(&[&one]), options(&Clock::at(NOW)));
    let other = other.await.unwrap();
    let before = one.calls();
    for _ in 0..100 {
        live.refresh().await.unwrap();
    }
    assert_eq!(one.calls(), before);
    // A change that makes no key needs none either.
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
async fn a_custodian_that_refuses_is_not_taken_for_one_that_is_away() {
    let (one, two) = (Fickle::new("env:ONE"), Fickle::new("env:ONE"));
    let place = place_with_ring(&[&one]).await;
    // Of the same name with another secret.
    let error = LiveRing::open(place, all(&[&two]), options(&Clock::at(NOW))).await;
    let Err(RingError::Custodian(error)) = error else {
        panic!("it opened");
    };
    assert!(matches!(error, CustodianError::Refused { .. }), "{error}");
    assert!(!error.is_passing());
}

#[tokio::test]
async fn each_custodian_can_be_asked_whether_it_still_opens_the_ring() {
    let (one, two) = (Fickle::new("env:ONE"), Fickle::new("env:TWO"));
    let place = place_with_ring(&[&one, &two]).await;
    let live = LiveRing::open(place, all(&[&one]), options(&Clock::at(NOW)));
    let answers = live.await.unwrap().ask_custodians().await;
    assert_eq!(answers[0], ("env:ONE".to_owned(), Ok(())));
    assert!(matches!(
        answers[1].1,
        Err(CustodianError::NotConfigured { .. })
    ));
}
