//! Files that are not stores, and stores with corrupted bytes.

use std::fs;

use redb::{Database, ReadableDatabase, ReadableTableMetadata, TableDefinition};
use tempfile::TempDir;
use waxseal_stores::{Clock, EmbeddedStore, RecordName, RecordStore, StoreError};

use super::{name, open, put, refused};

#[test]
fn refuses_a_file_that_is_not_a_store_and_leaves_it_unchanged() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("store");
    for garbage in [&b"x"[..], b"not a store\n", &[0; 100_000], &[0xff; 4096]] {
        fs::write(&path, garbage).unwrap();
        assert!(matches!(refused(&path), StoreError::Damaged { .. }));
        assert!(fs::read(&path).unwrap() == garbage);
    }
    assert!(matches!(
        refused(directory.path()),
        StoreError::Damaged { .. }
    ));
}

#[test]
fn refuses_a_database_of_another_application() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("store");
    let table = TableDefinition::<&str, u64>::new("of something else");
    let database = Database::create(&path).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction
        .open_table(table)
        .unwrap()
        .insert("one", 1)
        .unwrap();
    transaction.commit().unwrap();
    drop(database);
    assert!(matches!(refused(&path), StoreError::Damaged { .. }));
    let database = Database::open(&path).unwrap();
    let transaction = database.begin_read().unwrap();
    assert_eq!(transaction.open_table(table).unwrap().len().unwrap(), 1);
}

/// Damage causes an error at most, never a crash: whichever byte of the file has changed.
#[tokio::test(flavor = "multi_thread")]
async fn returns_an_error_where_the_file_is_damaged() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("store");
    let store = open(&path);
    for n in 0..400 {
        put(&store, &name(n), &vec![n as u8; 40 * (n % 7)]).await;
    }
    drop(store);
    let whole = fs::read(&path).unwrap();
    let mut damaged = 0;
    for page in (0..whole.len()).step_by(4096) {
        let mut bytes = whole.clone();
        let end = whole.len().min(page + 4096);
        bytes[page..end]
            .iter_mut()
            .step_by(5)
            .for_each(|byte| *byte ^= 0x5a);
        fs::write(&path, &bytes).unwrap();
        match EmbeddedStore::open(&path, Clock::system()) {
            Err(StoreError::Damaged { .. }) => damaged += 1,
            Err(other) => panic!("a damaged file is reported as damaged: {other}"),
            Ok(store) => {
                let names: Vec<RecordName> = (0..400).map(name).collect();
                match store.read(&names).await {
                    Ok(records) => assert_eq!(records.len(), names.len()),
                    Err(StoreError::Damaged { .. }) => damaged += 1,
                    Err(other) => panic!("a damaged page is reported as damaged: {other}"),
                }
            }
        }
    }
    assert!(damaged > 0, "some of the damage was detected");
}
