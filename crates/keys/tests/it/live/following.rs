//! How a live ring looks at its document: how often, and what it goes by while it cannot.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use waxseal_core::KeyId;
use waxseal_keys::{Change, Document, DocumentStore, KeyState, LiveRing, RingError, Settings};

use crate::document_stores::Watched;
use crate::rings::{Clock, NOW, custodian, new_ring, options, with};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: u64 = 60_000;

async fn live() -> (Arc<Watched>, LiveRing, Clock) {
    let custodian = custodian();
    let store = Arc::new(Watched::default());
    let clock = Clock::at(NOW);
    let ring = new_ring(&custodian).await;
    let live = LiveRing::create(store.clone(), &ring, with(&custodian), options(&clock)).await;
    (store, live.unwrap(), clock)
}

#[tokio::test(start_paused = true)]
async fn of_a_hundred_who_ask_at_once_one_looks_for_all() {
    let (store, live, _) = live().await;
    let before = store.reads();
    for looked in join_all((0..100).map(|_| live.refresh())).await {
        looked.unwrap();
    }
    assert_eq!(store.reads() - before, 1);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_key_is_looked_for_once_and_not_again_for_a_while() {
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
async fn made_up_keys_force_no_more_than_two_looks_a_second() {
    let (store, live, _) = live().await;
    let before = store.reads();
    let began = tokio::time::Instant::now();
    for id in 1..=20 {
        assert!(!live.learn(KeyId::from_u32(id)).await);
    }
    let looks = store.reads() - before;
    assert!(looks >= 1);
    assert!(began.elapsed() >= SECOND / 2 * (looks as u32 - 1));
}

#[tokio::test(start_paused = true)]
async fn a_key_that_another_process_added_is_learned_at_once() {
    let (store, one, clock) = live().await;
    let custodians = waxseal_keys::Custodians::default();
    // Without a custodian nothing opens.
    let other = LiveRing::open(store.clone(), custodians, options(&clock)).await;
    assert!(matches!(other.err(), Some(RingError::Custodian(_))));
    let sealing = one.ring().sealing().id;
    let told = one.watch();
    one.change(&Change::Add {
        instead_of: sealing,
    })
    .await
    .unwrap();
    let pending = one.ring().in_state(KeyState::Pending).next().unwrap().id;
    assert!(one.learn(pending).await);
    assert!(told.has_changed().unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_place_out_of_reach_leaves_the_last_good_ring_in_use_and_is_told_of() {
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
async fn the_document_is_looked_at_every_interval_until_nobody_has_the_ring() {
    let (store, live, _) = live().await;
    let before = store.reads();
    tokio::time::sleep(Duration::from_secs(601)).await;
    let looks = store.reads() - before;
    assert!((10..=11).contains(&looks), "{looks}");
    drop(live);
    tokio::time::sleep(Duration::from_secs(60)).await;
    let after = store.reads();
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(store.reads(), after);
}

#[tokio::test(start_paused = true)]
async fn a_bug_that_one_look_meets_does_not_end_the_following() {
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
async fn a_ring_out_of_reach_seals_until_its_key_may_be_gone() {
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
async fn an_answer_that_is_heard_late_confirms_what_was_when_it_was_asked_for() {
    let (store, live, _) = live().await;
    let late = Settings::default().retention() + SECOND;
    store.set_late(late);
    live.refresh().await.unwrap();
    // Nobody knows what became of the document meanwhile.
    assert!(!live.is_confirmed());
    store.store.set_out_of_reach(true);
    store.set_late(SECOND);
    assert!(matches!(
        live.confirm().await,
        Err(RingError::Lapsed { .. })
    ));
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_ten_minutes_off_stops_nothing() {
    let custodian = custodian();
    let store = Arc::new(Watched::default());
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
        // The one whose clock is behind finds it too early, never too late.
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
async fn a_pending_key_is_watched_anew_once_the_place_had_lost_it_or_was_out_of_sight() {
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
    // Went back to the ring without it, and is put back.
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
