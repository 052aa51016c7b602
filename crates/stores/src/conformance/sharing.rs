//! Several at once, and the store as a whole.

use std::sync::Arc;

use futures_util::future::join_all;

use super::Bench;
use crate::record::{Expiry, RecordName, Slot};
use crate::store::{Change, Move, MoveOutcome, Outcome, RecordStore};

const TASKS: u64 = 50;
/// Of each task that increments: the whole record, and a field.
const TURNS: u64 = 20;
const FIELD_TURNS: u64 = 4;

/// Increments the number in the slot, retrying until no other task was faster.
async fn increment(store: &dyn RecordStore, name: &RecordName, slot: &Slot) {
    loop {
        let before = store.get(name, slot).await.expect("a slot can be read");
        let text = before
            .as_deref()
            .map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        let number: u64 = text
            .as_deref()
            .unwrap_or("0")
            .parse()
            .expect("it holds a number");
        let after = (number + 1).to_string();
        let change = Change {
            name,
            slot,
            expected: before.as_deref(),
            value: after.as_bytes(),
            expiry: Expiry::Keep,
        };
        let outcomes = store.replace_if_unchanged(&[change]).await;
        if outcomes.expect("a slot can be changed") == [Outcome::Done] {
            return;
        }
        tokio::task::yield_now().await;
    }
}

pub(super) async fn concurrent_increments_lose_none(bench: &Bench<'_>) {
    let (string, hash) = (bench.name("string"), bench.name("hash"));
    let field = Slot::Field(b"counter".to_vec());
    bench.put_field(&hash, b"counter", b"0").await;
    let tasks = (0..TASKS).map(|_| {
        let store = Arc::clone(&bench.store);
        let (string, hash, field) = (string.clone(), hash.clone(), field.clone());
        tokio::spawn(async move {
            for turn in 0..TURNS {
                increment(&*store, &string, &Slot::Whole).await;
                if turn < FIELD_TURNS {
                    increment(&*store, &hash, &field).await;
                }
            }
        })
    });
    for task in join_all(tasks).await {
        task.expect("a task that increments finishes");
    }
    for (name, slot, turns) in [(&string, &Slot::Whole, TURNS), (&hash, &field, FIELD_TURNS)] {
        let expected = (TASKS * turns).to_string().into_bytes();
        let got = bench.slot(name, slot).await;
        assert_eq!(got, Some(expected), "of concurrent changes none is lost");
    }
}

pub(super) async fn one_of_many_moves_wins(bench: &Bench<'_>) {
    let from = bench.name("from");
    bench.put(&from, b"value", Expiry::Persistent).await;
    let tasks = (0..TASKS).map(|n| {
        let (store, from) = (Arc::clone(&bench.store), from.clone());
        let to = bench.name(format!("to {n}"));
        tokio::spawn(async move {
            let (expected, value) = (&b"value"[..], &b"moved"[..]);
            let step = Move {
                from: &from,
                expected,
                to: &to,
                value,
                expiry: Expiry::Keep,
            };
            store
                .move_if_unchanged(step)
                .await
                .expect("a record can be moved")
        })
    });
    let moved = join_all(tasks)
        .await
        .into_iter()
        .map(|task| task.expect("a move ends"));
    let won = moved.filter(|moved| *moved == MoveOutcome::Done).count();
    assert_eq!(won, 1, "of many who move one record one succeeds");
    let names: Vec<RecordName> = (0..TASKS).map(|n| bench.name(format!("to {n}"))).collect();
    let records = bench.store.read(&names).await.expect("records can be read");
    assert_eq!(
        records.iter().flatten().count(),
        1,
        "and there is one record in a new place"
    );
}

pub(super) async fn one_of_many_creations_wins(bench: &Bench<'_>) {
    let name = bench.name("record");
    let tasks = (0..TASKS).map(|n| {
        let (store, name) = (Arc::clone(&bench.store), name.clone());
        tokio::spawn(async move {
            let value = n.to_string();
            let change = Change {
                name: &name,
                slot: &Slot::Whole,
                expected: None,
                value: value.as_bytes(),
                expiry: Expiry::Keep,
            };
            let outcomes = store
                .replace_if_unchanged(&[change])
                .await
                .expect("it can be created");
            (value, outcomes == [Outcome::Done])
        })
    });
    let all = join_all(tasks)
        .await
        .into_iter()
        .map(|task| task.expect("a creation ends"));
    let won: Vec<String> = all
        .filter(|(_, won)| *won)
        .map(|(value, _)| value)
        .collect();
    assert_eq!(won.len(), 1, "of many who make one record one succeeds");
    let got = bench.get(&name).await;
    assert!(
        got == won.first().map(|value| value.clone().into_bytes()),
        "and its value stays"
    );
}

pub(super) async fn a_store_reports_its_status(bench: &Bench<'_>) {
    let store = &bench.store;
    assert_eq!(store.ping().await, Ok(()), "a store that is there answers");
    assert!(!store.location().is_empty(), "a store says where it is");
    for n in 0..20 {
        bench
            .put(&bench.name(format!("{n}")), b"value", Expiry::Persistent)
            .await;
    }
    let before = store.status().await.expect("a store tells its status");
    assert!(before.records >= 20, "a status counts the records");
    assert!(
        !before.generation.is_empty(),
        "a status reports the generation"
    );
    assert!(!before.server.is_empty(), "a status reports the server");
    let after = store.status().await.expect("a store tells its status");
    assert_eq!(
        before.generation, after.generation,
        "a generation lasts while the store runs"
    );
}
