//! The contract of [`UserKeyStore`].

use std::sync::Arc;

use futures_util::future::join_all;
use waxseal_core::KeyId;

use super::MANY;
use crate::users::{UserChange, UserKeyStore};

/// Runs the suite, with names of its own.
///
/// # Panics
///
/// With the sentence of the contract that the store violates.
pub async fn user_keys(store: Arc<dyn UserKeyStore>) {
    assert!(!store.location().is_empty(), "a store reports its location");
    let run = KeyId::random();
    let names: Vec<String> = (0..4)
        .map(|number| format!("waxseal:user:{run}{number}"))
        .collect();
    assert!(
        store.read(&[]).await.unwrap().is_empty(),
        "no names have no records"
    );
    assert!(
        store.replace(&[]).await.unwrap().is_empty(),
        "no changes have no outcomes"
    );
    let read = store.read(&names).await.unwrap();
    assert_eq!(
        read,
        vec![None; 4],
        "a record that was not written is absent"
    );
    in_their_order(&*store, &names).await;
    each_by_itself(&*store, &names).await;
    one_of_many_wins(&store, &names[0]).await;
}

fn change(name: &str, expected: Option<&[u8]>, new: &[u8]) -> UserChange {
    UserChange {
        name: name.to_owned(),
        expected: expected.map(<[u8]>::to_vec),
        new: new.to_vec(),
    }
}

async fn in_their_order(store: &dyn UserKeyStore, names: &[String]) {
    let every: Vec<u8> = (0..=u8::MAX).collect();
    let changes = [
        change(&names[2], None, b"two"),
        change(&names[0], None, &every),
    ];
    assert_eq!(
        store.replace(&changes).await.unwrap(),
        [true, true],
        "absent records are written"
    );
    let read = store.read(names).await.unwrap();
    let expected = vec![Some(every), None, Some(b"two".to_vec()), None];
    assert!(
        read == expected,
        "records are read in the order of the names, byte by byte"
    );
    let twice = [names[2].clone(), names[1].clone(), names[2].clone()];
    let read = store.read(&twice).await.unwrap();
    let two = Some(b"two".to_vec());
    assert_eq!(read, [two.clone(), None, two], "a name may be repeated");
}

async fn each_by_itself(store: &dyn UserKeyStore, names: &[String]) {
    let changes = [
        change(&names[2], Some(b"wrong"), b"new"),
        change(&names[1], None, b"one"),
        change(&names[2], None, b"new"),
        change(&names[3], Some(b""), b"new"),
        change(&names[2], Some(b"two"), b"2"),
    ];
    let done = store.replace(&changes).await.unwrap();
    assert_eq!(
        done,
        [false, true, false, false, true],
        "each record is replaced if it is as expected, whatever the outcome of the others"
    );
    let read = store.read(&names[1..]).await.unwrap();
    let expected = [Some(b"one".to_vec()), Some(b"2".to_vec()), None];
    assert_eq!(read, expected, "a refused change changes nothing");
}

async fn one_of_many_wins(store: &Arc<dyn UserKeyStore>, name: &str) {
    let old = store.read(&[name.to_owned()]).await.unwrap().remove(0);
    let contenders = (0..MANY).map(|number| {
        let store = store.clone();
        let new = format!("{number}").into_bytes();
        let changes = [change(name, old.as_deref(), &new)];
        tokio::spawn(async move {
            let done = store.replace(&changes).await.unwrap();
            (done == [true]).then_some(new)
        })
    });
    let won = join_all(contenders).await;
    let won: Vec<_> = won.into_iter().filter_map(Result::unwrap).collect();
    assert_eq!(
        won.len(),
        1,
        "of many writers that expect the same, one succeeds"
    );
    let read = store.read(&[name.to_owned()]).await.unwrap();
    assert_eq!(
        read.first(),
        Some(&won.first().cloned()),
        "the winner's record is stored"
    );
}
