//! Keys that are looked up while a sweep runs: those that others create meanwhile, damaged ones,
//! and unreachable ones.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::FutureExt;
use waxseal_core::Format;
use waxseal_stores::{Expiry, MemoryStore, RecordStore, Slot};
use waxseal_sweep::{
    Audit, Class, Event, Migrate, Position, Rotate, Stop, SweepError, SweepOptions,
};

use super::{assert_under_users, causes, get, here, mixed, record, user};
use crate::gate::{Call, Gate, Rule};
use crate::records::{plain, put};
use crate::rings::Shared;
use crate::{B, assert_adds_up, envelope, id, whole};

#[tokio::test]
async fn a_key_that_others_added_to_the_ring_is_learned() {
    let shared = Shared::default();
    let (first, another) = (shared.first().await, shared.another().await);
    let newer = first.rotate().await;
    assert!(another.ring.keyring().current().role(newer).is_none());
    let store = Arc::new(MemoryStore::default());
    let (name, value) = (record(0), plain(0));
    let sealed = first.sealer(Format::Sealed).seal(&value, here(&name));
    put(&store, &name, &Slot::Whole, &sealed.unwrap()).await;
    let audit = Audit::new(another.sealer(Format::Sealed), true);
    let (tally, _) = causes(&another.sweep(store.clone(), audit)).await;
    assert_eq!(tally.count(|class| class == Class::Sealed(newer)), 1);
    // A key that no ring holds is a finding.
    let unknown = envelope(B, Format::Sealed, &value, here(&name));
    put(&store, &name, &Slot::Whole, &unknown).await;
    let audit = Audit::new(another.sealer(Format::Sealed), true);
    let (tally, _) = causes(&another.sweep(store, audit)).await;
    let class = Class::UnknownKey(id(B));
    assert_eq!((tally.failed, tally.count(|it| it == class)), (1, 1));
}

#[tokio::test]
async fn a_user_key_that_others_created_meanwhile_is_read_again() {
    let shared = Shared::default();
    let (first, another) = (shared.first().await, shared.another().await);
    let name = record(0);
    assert!(another.users.read(&[&user(0)]).await.unwrap()[0].is_none());
    let sealed = first.seal(&user(0), &plain(0), here(&name)).await;
    let store = Arc::new(MemoryStore::default());
    put(&store, &name, &Slot::Whole, &sealed).await;
    let calls = shared.keys.calls();
    for _ in 0..2 {
        let audit = Audit::new(another.sealer(Format::Sealed), true);
        let tally = whole(&another.sweep(store.clone(), audit)).await;
        assert_eq!((tally.already, tally.failed), (1, 0));
    }
    assert_eq!(shared.keys.calls(), calls + 1);
}

#[tokio::test]
async fn a_value_that_others_sealed_for_its_user_meanwhile_is_kept() {
    let shared = Shared::default();
    let (first, another) = (shared.first().await, shared.another().await);
    let (name, store) = (record(0), Arc::new(MemoryStore::default()));
    put(&store, &name, &Slot::Whole, &plain(0)).await;
    // This process has read the key and is about to create it; the other one is faster.
    let theirs = first.seal(&user(0), b"{\"newer\":1}", here(&name)).await;
    let (written, new) = (AtomicBool::new(false), theirs.clone());
    let gate = Gate::new(store.clone(), move |call, _, store| {
        if call == Call::Replace && !written.swap(true, Ordering::SeqCst) {
            let name = record(0);
            let put = store.put(&name, &Slot::Whole, &new, Expiry::Keep);
            put.now_or_never().expect("it does not wait").unwrap();
        }
        Rule::Pass
    });
    let migrate = Migrate::new(another.sealer(Format::Sealed));
    let tally = whole(&another.sweep(gate, migrate)).await;
    assert_adds_up(&tally);
    assert_eq!((tally.total, tally.raced), (1, 1));
    assert!(get(&store, 0).await == theirs);
}

#[tokio::test]
async fn a_damaged_key_of_one_user_does_not_stop_the_others() {
    let shared = Shared::default();
    let process = shared.first().await;
    let store = mixed(&process, 50).await;
    let mut keys = shared.keys.backup();
    let broken = keys.get_mut(&process.users.record_name(&user(8))).unwrap();
    *broken.last_mut().unwrap() ^= 1;
    shared.keys.restore(keys);
    let another = shared.another().await;
    let rotate = Rotate::new(another.sealer(Format::Sealed));
    let (tally, found) = causes(&another.sweep(store, rotate)).await;
    assert_eq!((tally.done, tally.already, tally.failed), (50, 9, 1));
    assert_eq!(found, ["Failed to decrypt Redis data"]);
}

#[tokio::test(start_paused = true)]
async fn waits_for_keys_that_are_unreachable_as_for_the_store() {
    let shared = Shared::default();
    let process = shared.first().await;
    let store = mixed(&process, 50).await;
    shared.keys.set_out_of_reach(true);
    let another = shared.another().await;
    let sealer = another.sealer(Format::Sealed);
    let sweep = another.sweep(store.clone(), Migrate::new(sealer));
    let stop = Stop::default();
    let end = sweep.run(Position::default(), &stop, &mut |_| {}).await;
    let end = end.expect_err("it does not come to its end");
    assert!(matches!(end.error, SweepError::Users(_)), "{}", end.error);
    let keys = shared.keys.clone();
    let mut waits = 0;
    let mut watch = |event: Event<'_>| {
        if let Event::Waiting(error) = event {
            assert!(error.is_transient());
            keys.set_out_of_reach(false);
            waits += 1;
        }
    };
    let report = sweep.run(*end.position, &stop, &mut watch).await;
    let tally = report.expect("they came back").position.counts();
    assert_eq!((tally.total, tally.done, waits), (60, 50, 1));
    assert_eq!(
        sweep.options.reconnect_timeout,
        SweepOptions::default().reconnect_timeout
    );
    assert_under_users(&another, &store, 50).await;
}
