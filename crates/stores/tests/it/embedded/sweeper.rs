//! Expired records are removed from the file, which is read without the store.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use redb::{Database, ReadableDatabase, ReadableTableMetadata, TableHandle};
use tempfile::TempDir;
use waxseal_stores::{Clock, EmbeddedStore, Expiry, RecordName, RecordStore, Slot};

use super::{name, open, put};

#[tokio::test]
async fn expired_records_are_removed_from_the_file() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("store");
    let time = Arc::new(AtomicU64::new(1_000));
    let clock = || {
        let time = Arc::clone(&time);
        Clock::from_fn(move || time.load(Ordering::Relaxed))
    };
    let store = EmbeddedStore::open(&path, clock()).unwrap();
    let names: Vec<RecordName> = (0..2500).map(name).collect();
    let mut puts = Vec::with_capacity(names.len());
    for (n, name) in (0..).zip(&names) {
        let expiry = if n < 2400 {
            Expiry::At(2_000 + n)
        } else {
            Expiry::Persistent
        };
        puts.push(store.put(name, &Slot::Whole, b"value", expiry));
    }
    futures_util::future::join_all(puts)
        .await
        .into_iter()
        .for_each(|put| put.unwrap());
    // One that would have expired is rewritten, and stays.
    put(&store, &names[0], b"kept").await;
    assert_eq!(store.remove_expired().await, Ok(0));
    time.store(10_000, Ordering::Relaxed);
    assert_eq!(store.status().await.unwrap().records, 101);
    // The sweeper may already have removed some.
    assert!(store.remove_expired().await.unwrap() <= 2399);
    assert_eq!(store.remove_expired().await, Ok(0));
    assert_eq!(store.status().await.unwrap().records, 101);
    drop(store);
    assert_eq!(
        rows(&path),
        [("expiries".to_owned(), 0), ("records".to_owned(), 101)]
    );
}

#[tokio::test]
async fn expired_records_are_removed_without_being_asked_for() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("store");
    let store = open(&path);
    let names: Vec<RecordName> = (0..2500).map(name).collect();
    let expiry = Expiry::After(Duration::from_millis(100));
    let puts = names
        .iter()
        .map(|name| store.put(name, &Slot::Whole, b"value", expiry));
    futures_util::future::join_all(puts)
        .await
        .into_iter()
        .for_each(|put| put.unwrap());
    put(&store, &name(9999), b"stays").await;
    let mut store = Some(store);
    for _ in 0..60 {
        tokio::time::sleep(Duration::from_millis(1200)).await;
        drop(store.take());
        if rows(&path) == [("expiries".to_owned(), 0), ("records".to_owned(), 1)] {
            return;
        }
        store = Some(open(&path));
    }
    panic!("expired records stay in the file");
}

/// The number of rows in each table of a closed store file.
fn rows(path: &Path) -> Vec<(String, u64)> {
    let database = Database::open(path).unwrap();
    let transaction = database.begin_read().unwrap();
    let len = |table: redb::UntypedTableHandle| {
        let name = table.name().to_owned();
        (
            name,
            transaction
                .open_untyped_table(table)
                .unwrap()
                .len()
                .unwrap(),
        )
    };
    transaction
        .list_tables()
        .unwrap()
        .map(len)
        .filter(|(name, _)| name != "meta")
        .collect()
}
