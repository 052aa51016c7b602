//! The start of a session store whose users have keys of their own: the guard of the ring and of the store of these keys.

use std::sync::Arc;

use waxseal_core::{Binding, Format};
use waxseal_keys::{CacheBounds, MemoryUserKeys, UserKeyError, UserKeys, UserStoreMark};
use waxseal_sessions::{GuardError, StateError};
use waxseal_stores::{MemoryStore, RecordName, RecordStore};
use waxseal_testing::Lines;

use super::{OTHER_USER, named, put_stored};
use crate::rings::{Process, Shared};
use crate::*;

#[tokio::test]
async fn with_users_keys_only_a_wrong_ring_does_not_start_even_without_a_canary() {
    let shared = Shared::default();
    let process = shared.first().await;
    let store = Arc::new(MemoryStore::default());
    let states = process.start(store.clone(), process.of_users());
    let states = states.await.unwrap();
    states.set(USER, &state("confirming")).await.unwrap();
    let canary = RecordName::from("waxseal:canary");
    assert!(store.delete(&canary).await.unwrap());
    // Another ring, which did not seal the existing keys.
    let wrong = Shared::default();
    wrong.keys.restore(shared.keys.backup());
    let wrong = wrong.first_with(&OTHER_KEY).await;
    let refused = wrong.start(store.clone(), wrong.of_users()).await;
    assert!(matches!(refused, Err(GuardError::WrongKey(_))));
    assert_eq!(store.status().await.unwrap().records, 1);
    let another = shared.another().await;
    let states = another.start(store.clone(), another.of_users());
    let states = states.await.unwrap();
    assert_eq!(states.get(USER).await.unwrap(), Some(state("confirming")));
    // A process that cannot judge them is not stopped by values under users' keys.
    assert!(store.delete(&canary).await.unwrap());
    another.start(store, another.follows()).await.unwrap();
}

#[tokio::test]
async fn logs_the_ring_and_its_sealing_key_at_the_start() {
    let process = Shared::default().first().await;
    let newer = process.rotate().await;
    let version = process.ring.ring().version();
    let (lines, _guard) = Lines::capture(tracing::Level::TRACE);
    let store = Arc::new(MemoryStore::default());
    process.start(store, process.of_users()).await.unwrap();
    let line = format!("StateManager: keyring version {version}, sealing key {newer}");
    let text = lines.text();
    let mut said = text.lines().filter(|said| said.contains("keyring version"));
    let said = said.next().unwrap_or_else(|| panic!("{text}"));
    assert!(said.contains(" INFO ") && said.ends_with(&line), "{said}");
    assert_reveals_nothing(&text);
}

#[cfg(all(feature = "tower-sessions", feature = "actix-session"))]
#[tokio::test]
async fn web_sessions_do_not_start_with_keys_of_users() {
    use waxseal_sessions::{ActixSessionStore, TowerSessionStore};

    let process = Shared::default().first().await;
    let store = Arc::new(MemoryStore::default());
    let sealer = || process.sealer(Format::Sealed);
    let actix = ActixSessionStore::start(store.clone(), sealer(), process.of_users()).await;
    let tower = TowerSessionStore::start(store.clone(), sealer(), process.of_users()).await;
    for error in [actix.err(), tower.err()] {
        let error = error.expect("refused");
        assert!(matches!(error, GuardError::Userless), "{error}");
    }
    assert_eq!(store.status().await.unwrap().records, 0);
    let follows = process.follows();
    TowerSessionStore::start(store.clone(), sealer(), follows.clone())
        .await
        .unwrap();
    ActixSessionStore::start(store, sealer(), follows)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_ring_starts_without_a_canary_after_the_keys_of_its_users_were_evicted() {
    let shared = Shared::default();
    let process = shared.first().await;
    let store = Arc::new(MemoryStore::default());
    let states = process.start(store.clone(), process.of_users());
    let states = states.await.unwrap();
    states.set(USER, &state("confirming")).await.unwrap();
    let canary = RecordName::from("waxseal:canary");
    // All keys of users, and the canary: only the value of another user is left.
    assert!(store.delete(&canary).await.unwrap());
    let mut evicted = shared.keys.backup();
    evicted.retain(|name, _| !name.starts_with("waxseal:user:"));
    assert_eq!(evicted.len(), 1, "the mark of the store");
    shared.keys.restore(evicted);
    let another = shared.another().await;
    let states = another.start(store.clone(), another.of_users());
    states.await.unwrap();
    assert!(store.delete(&canary).await.is_ok_and(|there| there));
    // However many there are: the mark shows that the ring is right.
    for user in 0..10 {
        let value = sealed_for_unknown_user(&process, user).await;
        put_stored(&store, &user.to_string(), &value).await;
    }
    let another = shared.another().await;
    let states = another.start(store.clone(), another.of_users());
    states.await.unwrap();
    assert!(store.delete(&canary).await.is_ok_and(|there| there));
}

/// A value under the key of a user that no store holds.
async fn sealed_for_unknown_user(process: &Process, user: usize) -> Vec<u8> {
    let elsewhere = Arc::new(MemoryUserKeys::default());
    let keys = UserKeys::new(elsewhere, process.ring.clone(), CacheBounds::default());
    keys.accept_store();
    let user = user.to_string();
    let key = keys
        .read_or_create(&[user.as_bytes()])
        .await
        .unwrap()
        .remove(0);
    let sealer = process.sealer(Format::Sealed).for_user(key);
    sealer
        .seal(b"{}", Binding::record(named(&user).as_bytes()))
        .unwrap()
}

#[tokio::test]
async fn a_store_of_users_keys_that_lost_them_is_refused_until_it_is_adopted() {
    let shared = Shared::default();
    let process = shared.first().await;
    let store = Arc::new(MemoryStore::default());
    let states = process.start(store.clone(), process.of_users());
    let states = states.await.unwrap();
    states.set(USER, &state("confirming")).await.unwrap();
    let before = shared.keys.backup();
    shared.keys.restore(Default::default());
    // A running process creates no new key there, and a new one does not start.
    let error = states
        .set(OTHER_USER, &state("confirming"))
        .await
        .unwrap_err();
    let lost = matches!(error, StateError::Users(UserKeyError::Lost { .. }));
    assert!(lost, "{error}");
    let another = shared.another().await;
    let refused = another.start(store.clone(), another.of_users()).await.err();
    let lost = matches!(refused, Some(GuardError::UsersLost { count: 1, .. }));
    assert!(lost, "{refused:?}");
    assert!(shared.keys.backup().is_empty(), "nothing is written");
    // A backup restores everything.
    shared.keys.restore(before.clone());
    states.set(OTHER_USER, &state("confirming")).await.unwrap();
    let states = another
        .start(store.clone(), another.of_users())
        .await
        .unwrap();
    assert_eq!(states.get(USER).await.unwrap(), Some(state("confirming")));
    // A backup from before there were marks is right as well, and is marked.
    let mut unmarked = before;
    unmarked.retain(|name, _| name.starts_with("waxseal:user:"));
    shared.keys.restore(unmarked);
    let late = shared.another().await;
    late.start(store.clone(), late.of_users()).await.unwrap();
    assert_eq!(late.users.mark().await.unwrap(), UserStoreMark::Present);
    // An operator accepts the loss of the keys.
    shared.keys.restore(Default::default());
    let last = shared.another().await;
    assert!(last.users.adopt_store().await.unwrap());
    let states = last.start(store.clone(), last.of_users()).await.unwrap();
    states.set(OTHER_USER, &state("confirming")).await.unwrap();
}

#[tokio::test]
async fn values_under_the_ring_say_nothing_about_a_store_of_users_keys() {
    let shared = Shared::default();
    let process = shared.first().await;
    let store = Arc::new(MemoryStore::default());
    let sealer = process.sealer(Format::Sealed);
    for number in 0..1_000 {
        let user = number.to_string();
        let sealed = sealer.seal(b"{}", Binding::record(named(&user).as_bytes()));
        put_stored(&store, &user, &sealed.unwrap()).await;
    }
    for user in 1_000..1_010 {
        let value = sealed_for_unknown_user(&process, user).await;
        put_stored(&store, &user.to_string(), &value).await;
    }
    let another = shared.another().await;
    let refused = another.start(store.clone(), another.of_users()).await.err();
    let lost = matches!(refused, Some(GuardError::UsersLost { count: 10, .. }));
    assert!(lost, "{refused:?}");
    assert!(shared.keys.backup().is_empty(), "nothing is written");
}
