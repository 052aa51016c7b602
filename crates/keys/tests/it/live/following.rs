//! Polling the document: how often, and the behaviour while it is out of reach.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use waxseal_core::KeyId;
use waxseal_keys::{Change, Document, DocumentStore, KeyState, LiveRing, RingError, Settings};

use crate::document_stores::ObservedStore;
use crate::rings::{Clock, NOW, custodian, new_ring, options, with};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: u64 = 60_000;

async fn live() -> (Arc<ObservedStore>, LiveRing, Clock) {
    let custodian = custodian();
    let store = Arc::new(ObservedStore::default());
    let clock = Clock::at(NOW);
    let ring = new_ring(&custodian).await;
    let live = LiveRing::create(store.clone(), &ring, with(&custodian), options(&clock)).await;
    (store, live.unwrap(), clock)
}

#[tokio::test(start_paused = true)]
async fn of_a_hundred_concurrent_callers_one_polls_for_all() {
    let (store, live, _) = live().await;
    let before = store.reads();
    for polled in join_all((0..100).map(|_| live.refresh())).await {
        polled.unwrap();
    }
    assert_eq!(store.reads() - before, 1);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_key_is_looked_up_once_and_not_again_for_a_while() {
    let (store, live, _) = live().await;
    let id = KeyId::from_u32(7);
    let before = store.reads();
    assert!(
        join_all((0..100).map(|_| live.learn(id)))
            .await
            .iter()
            .all(|it| !it)
    );
    assert_eq!(store.reads() - before, 1);
    assert!(!live.learn(id).await);
    assert_eq!(store.reads() - before, 1);
    tokio::time::advance(10 * SECOND).await;
    assert!(!live.learn(id).await);
    assert_eq!(store.reads() - before, 2);
}

#[tokio::test(start_paused = true)]
async fn invented_key_ids_force_no_more_than_two_polls_a_second() {
    let (store, live, _) = live().await;
    let before = store.reads();
    let began = tokio::time::Instant::now();
    for id in 1..=20 {
        assert!(!live.learn(KeyId::from_u32(id)).await);
    }
    let polls = store.reads() - before;
    assert!(polls >= 1);
    assert!(began.elapsed() >= SECOND / 2 * (polls as u32 - 1));
}

#[tokio::test(start_paused = true)]
async fn a_key_that_another_process_added_is_learned_at_once() {
    let (store, one, clock) = live().await;
    let custodians = waxseal_keys::Custodians::default();
    // Without a custodian no key can be unwrapped.
    let other = LiveRing::open(store.clone(), custodians, options(&clock)).await;
    assert!(matches!(other.err(), Some(RingError::Custodian(_))));
    let sealing = one.ring().sealing().id;
    let updates = one.watch();
    one.change(&Change::Add {
        instead_of: sealing,
    })
    .await
    .unwrap();
    let pending = one.ring().in_state(KeyState::Pending).next().unwrap().id;
    assert!(one.learn(pending).await);
    assert!(updates.has_changed().unwrap());
}

#[tokio::test(start_paused = true)]
async fn an_unreachable_store_leaves_the_last_good_ring_in_use_and_is_reported() {
    let (store, live, _) = live().await;
    let ring = live.ring();
    store.store.set_out_of_reach(true);
    assert!(matches!(
        live.refresh().await.err(),
        Some(RingError::DocumentStore(_))
    ));
    tokio::time::advance(5 * SECOND).await;
    let degraded = live.degraded().unwrap();
    assert!(matches!(degraded.error, RingError::DocumentStore(_)));
    assert!(degraded.since >= 5 * SECOND);
    assert_eq!(live.ring().to_bytes(), ring.to_bytes());
    assert_eq!(live.keyring().current().sealing_id(), ring.sealing().id);
    store.store.set_out_of_reach(false);
    live.refresh().await.unwrap();
    assert!(live.degraded().is_none());
}

#[tokio::test(start_paused = true)]
async fn the_document_is_polled_every_interval_until_the_ring_is_dropped() {
    let (store, live, _) = live().await;
    let before = store.reads();
    tokio::time::sleep(Duration::from_secs(601)).await;
    let polls = store.reads() - before;
    assert!((10..=11).contains(&polls), "{polls}");
    drop(live);
    tokio::time::sleep(Duration::from_secs(60)).await;
    let after = store.reads();
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(store.reads(), after);
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_one_poll_does_not_end_the_polling() {
    let (store, live, _) = live().await;
    store.set_panics(true);
    tokio::time::sleep(Duration::from_secs(121)).await;
    store.set_panics(false);
    let before = store.reads();
    tokio::time::sleep(Duration::from_secs(121)).await;
    assert!(store.reads() > before);
    live.refresh().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_unreachable_ring_seals_until_its_key_may_be_destroyed() {
    let (store, live, clock) = live().await;
    let settings = Settings::default();
    assert!(live.is_confirmed());
    store.store.set_out_of_reach(true);
    clock.advance(settings.propagation_ms + 1);
    assert!(!live.is_confirmed());
    live.confirm().await.unwrap();
    clock.advance(settings.retention_ms - settings.propagation_ms - MINUTE);
    live.confirm().await.unwrap();
    clock.advance(MINUTE);
    assert!(
        matches!(live.confirm().await, Err(RingError::Lapsed { silent_s }) if silent_s >= 604_800)
    );
    store.store.set_out_of_reach(false);
    live.confirm().await.unwrap();
    assert!(live.is_confirmed());
}

#[tokio::test(start_paused = true)]
async fn a_late_answer_confirms_the_moment_of_the_request() {
    let (store, live, _) = live().await;
    let late = Settings::default().retention() + SECOND;
    store.set_delay(late);
    live.refresh().await.unwrap();
    // The document may have changed in the meantime.
    assert!(!live.is_confirmed());
    store.store.set_out_of_reach(true);
    store.set_delay(SECOND);
    assert!(matches!(
        live.confirm().await,
        Err(RingError::Lapsed { .. })
    ));
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_ten_minutes_off_stops_nothing() {
    let custodian = custodian();
    let store = Arc::new(ObservedStore::default());
    let ring = new_ring(&custodian).await;
    let right = LiveRing::create(
        store.clone(),
        &ring,
        with(&custodian),
        options(&Clock::at(NOW)),
    );
    let right = right.await.unwrap();
    for clock in [NOW - 10 * MINUTE, NOW + 10 * MINUTE] {
        let clock = Clock::at(clock);
        let other = LiveRing::open(store.clone(), with(&custodian), options(&clock)).await;
        let other = other.unwrap();
        assert!(other.is_confirmed());
        other.confirm().await.unwrap();
        let sealing = other.ring().sealing().id;
        other
            .change(&Change::Add {
                instead_of: sealing,
            })
            .await
            .unwrap();
        let pending = other
            .ring()
            .in_state(KeyState::Pending)
            .next()
            .unwrap()
            .clone();
        // The process whose clock is behind finds it too early, never too late.
        let promoted = right
            .change(&Change::Promote {
                id: pending.id,
                at_once: false,
            })
            .await;
        assert!(promoted.is_err());
        right
            .change(&Change::Promote {
                id: pending.id,
                at_once: true,
            })
            .await
            .unwrap();
        other.refresh().await.unwrap();
        assert_eq!(other.keyring().current().sealing_id(), pending.id);
    }
}

#[tokio::test(start_paused = true)]
async fn the_watch_of_a_pending_key_starts_over_after_a_loss_or_an_outage() {
    let (store, live, clock) = live().await;
    assert_eq!(live.pending_watched(), None);
    let before = store.store.read(&Document::Ring).await.unwrap();
    live.change(&Change::Add {
        instead_of: live.ring().sealing().id,
    })
    .await
    .unwrap();
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert!(live.pending_watched().unwrap() >= Duration::from_secs(600));
    // The store returned to the ring without it, and the key is restored.
    store.store.set(Document::Ring, before);
    live.refresh().await.unwrap();
    assert!(live.pending_watched().unwrap() < SECOND);
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert!(live.pending_watched().unwrap() >= Duration::from_secs(300));
    store.store.set_out_of_reach(true);
    clock.advance(3 * MINUTE);
    tokio::time::sleep(Duration::from_secs(1)).await;
    store.store.set_out_of_reach(false);
    live.refresh().await.unwrap();
    assert!(live.pending_watched().unwrap() < SECOND);
}
