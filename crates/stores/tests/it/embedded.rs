//! The embedded store passes the suite; and behaviour that is specific to a file.

mod damage;
mod limits;
mod sweeper;

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tempfile::TempDir;
use waxseal_stores::conformance::{self, Subject};
use waxseal_stores::{
    Clock, Cursor, EmbeddedStore, Expiry, Lifetime, Move, MoveOutcome, RecordName, RecordPattern,
    RecordStore, Slot, StoreError,
};

use crate::named;

struct Embedded(Arc<EmbeddedStore>);

#[async_trait]
impl Subject for Embedded {
    fn store(&self) -> Arc<dyn RecordStore> {
        Arc::clone(&self.0) as Arc<dyn RecordStore>
    }

    async fn make_list(&self, name: &RecordName, elements: Vec<Vec<u8>>) {
        self.0.append(name, &elements).await.unwrap();
    }
}

fn open(path: &Path) -> EmbeddedStore {
    EmbeddedStore::open(path, Clock::system()).unwrap()
}

fn refused(path: &Path) -> StoreError {
    EmbeddedStore::open(path, Clock::system())
        .err()
        .expect("the file is not opened")
}

fn name(n: usize) -> RecordName {
    RecordName::from(format!("record {n:05}"))
}

async fn put(store: &EmbeddedStore, name: &RecordName, value: &[u8]) {
    store
        .put(name, &Slot::Whole, value, Expiry::Persistent)
        .await
        .unwrap();
}

async fn get(store: &EmbeddedStore, name: &RecordName) -> Option<Vec<u8>> {
    store.get(name, &Slot::Whole).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn passes_the_suite() {
    let directory = TempDir::new().unwrap();
    let store = Arc::new(open(&directory.path().join("store")));
    conformance::run(&Embedded(store)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn passes_the_suite_under_logical_names() {
    let directory = TempDir::new().unwrap();
    let store = Arc::new(open(&directory.path().join("store")));
    named::run_suite(Embedded(store)).await;
}

#[tokio::test]
async fn passes_the_suite_on_a_single_thread() {
    let directory = TempDir::new().unwrap();
    let store = Arc::new(open(&directory.path().join("store")));
    conformance::run(&Embedded(store)).await;
}

#[tokio::test]
async fn keeps_data_and_expiry_over_reopening() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("store");
    let store = open(&path);
    let generation = store.status().await.unwrap().generation;
    put(&store, &name(0), b"value\x00\xff").await;
    let field = Slot::Field(b"field".to_vec());
    store
        .put(&name(1), &field, b"of a hash", Expiry::Persistent)
        .await
        .unwrap();
    store
        .append(&name(2), &[b"of a list".to_vec()])
        .await
        .unwrap();
    store
        .put(&name(3), &Slot::Whole, b"", Expiry::At(4_102_444_800_123))
        .await
        .unwrap();
    store
        .put(
            &name(4),
            &Slot::Whole,
            b"",
            Expiry::After(Duration::from_millis(1)),
        )
        .await
        .unwrap();
    drop(store);

    let store = open(&path);
    assert_eq!(store.status().await.unwrap().generation, generation);
    assert_eq!(get(&store, &name(0)).await, Some(b"value\x00\xff".to_vec()));
    assert_eq!(
        store.get(&name(1), &field).await,
        Ok(Some(b"of a hash".to_vec()))
    );
    assert_eq!(
        store.get(&name(2), &Slot::Element(0)).await,
        Ok(Some(b"of a list".to_vec()))
    );
    let lifetimes = store.lifetimes(&[name(0), name(3), name(4)]).await.unwrap();
    let expected = [
        Lifetime::Persistent,
        Lifetime::Until(4_102_444_800_123),
        Lifetime::Absent,
    ];
    assert_eq!(lifetimes, expected);
    assert_eq!(store.status().await.unwrap().records, 4);
}

#[tokio::test]
async fn an_empty_store_has_nothing_to_scan() {
    let directory = TempDir::new().unwrap();
    let store = open(&directory.path().join("store"));
    let all = RecordPattern::parse("*").unwrap();
    let page = store.scan(&all, &Cursor::start(), 10).await.unwrap();
    assert!(page.names.is_empty() && page.next.is_none() && page.examined == 0);
    assert_eq!(store.status().await.unwrap().records, 0);
    let bad = store
        .scan(&all, &Cursor::from_text("zz".to_owned()), 10)
        .await;
    assert!(matches!(bad, Err(StoreError::Other { .. })));
}

#[tokio::test]
async fn two_files_are_two_generations() {
    let directory = TempDir::new().unwrap();
    let (one, two) = (
        open(&directory.path().join("one")),
        open(&directory.path().join("two")),
    );
    let (one, two) = (one.status().await.unwrap(), two.status().await.unwrap());
    assert_ne!(one.generation, two.generation);
}

#[cfg(unix)]
#[test]
fn a_new_file_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;

    let directory = TempDir::new().unwrap();
    let path = directory.path().join("store");
    let store = open(&path);
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    assert_eq!(store.location(), format!("file:{}", path.display()));
}

#[test]
fn refuses_a_file_that_is_open_already() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("store");
    let store = open(&path);
    assert!(matches!(refused(&path), StoreError::InUse { .. }));
    drop(store);
    open(&path);
}

#[test]
fn a_missing_directory_is_reported_and_nothing_is_left_behind() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("missing").join("store");
    assert!(matches!(refused(&path), StoreError::Unavailable { .. }));
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[test]
fn an_empty_file_becomes_a_store() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("store");
    fs::write(&path, b"").unwrap();
    drop(open(&path));
    open(&path);
}

#[tokio::test]
async fn five_thousand_puts_at_once_are_all_durable() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("store");
    let store = Arc::new(open(&path));
    let tasks = (0..5000).map(|n| {
        let store = Arc::clone(&store);
        tokio::spawn(async move { put(&store, &name(n), n.to_string().as_bytes()).await })
    });
    for task in futures_util::future::join_all(tasks).await {
        task.unwrap();
    }
    drop(Arc::into_inner(store).unwrap());

    let store = open(&path);
    assert_eq!(store.status().await.unwrap().records, 5000);
    for n in 0..5000 {
        assert_eq!(
            get(&store, &name(n)).await,
            Some(n.to_string().into_bytes())
        );
    }
}

#[tokio::test]
async fn a_refused_change_does_not_affect_others_in_its_group() {
    let directory = TempDir::new().unwrap();
    let store = open(&directory.path().join("store"));
    let names = [name(0), name(1), name(2)];
    put(&store, &names[0], b"a string").await;
    let field = Slot::Field(b"field".to_vec());
    let (good, bad, also_good) = tokio::join!(
        store.put(&names[1], &Slot::Whole, b"value", Expiry::Persistent),
        store.put(&names[0], &field, b"value", Expiry::Persistent),
        store.put(&names[2], &Slot::Whole, b"value", Expiry::Persistent),
    );
    assert_eq!(
        (good, bad, also_good),
        (Ok(()), Err(StoreError::WrongType), Ok(()))
    );
    assert_eq!(get(&store, &names[0]).await, Some(b"a string".to_vec()));
    assert_eq!(store.status().await.unwrap().records, 3);
}

#[tokio::test]
async fn operations_of_a_group_see_each_other_in_order() {
    let directory = TempDir::new().unwrap();
    let store = open(&directory.path().join("store"));
    let (from, to) = (name(0), name(1));
    let step = Move {
        from: &from,
        expected: b"value",
        to: &to,
        value: b"moved",
        expiry: Expiry::Keep,
    };
    let (put, moved, deleted) = tokio::join!(
        store.put(&from, &Slot::Whole, b"value", Expiry::Persistent),
        store.move_if_unchanged(step),
        store.delete(&from),
    );
    assert_eq!(
        (put, moved, deleted),
        (Ok(()), Ok(MoveOutcome::Done), Ok(false))
    );
}
