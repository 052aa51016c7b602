//! The reference store passes the suite, with the system's clock and with one that the test
//! advances.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use waxseal_stores::conformance::{self, Subject};
use waxseal_stores::{Clock, Expiry, MemoryStore, RecordName, RecordStore, Slot};

use crate::named;

struct Memory {
    store: Arc<MemoryStore>,
    turned: Option<Arc<AtomicU64>>,
}

#[async_trait]
impl Subject for Memory {
    fn store(&self) -> Arc<dyn RecordStore> {
        Arc::clone(&self.store) as Arc<dyn RecordStore>
    }

    async fn make_list(&self, name: &RecordName, elements: Vec<Vec<u8>>) {
        self.store.append(name, &elements).unwrap();
    }

    async fn pass(&self, time: Duration) {
        match &self.turned {
            Some(clock) => {
                clock.fetch_add(time.as_millis() as u64, Ordering::Relaxed);
            }
            None => tokio::time::sleep(time).await,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn passes_the_suite() {
    conformance::run(&Memory {
        store: Arc::default(),
        turned: None,
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn passes_the_suite_under_logical_names() {
    let (store, turned) = (Arc::default(), None);
    named::run_suite(Memory { store, turned }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn passes_the_suite_with_a_clock_that_is_advanced() {
    let turned = Arc::new(AtomicU64::new(1_700_000_000_000));
    let clock = Arc::clone(&turned);
    let clock = Clock::from_fn(move || clock.load(Ordering::Relaxed));
    let store = Arc::new(MemoryStore::new(clock));
    conformance::run(&Memory {
        store,
        turned: Some(turned),
    })
    .await;
}

#[tokio::test]
async fn counts_only_records_that_have_not_expired() {
    let turned = Arc::new(AtomicU64::new(1_000));
    let clock = Arc::clone(&turned);
    let store = MemoryStore::new(Clock::from_fn(move || clock.load(Ordering::Relaxed)));
    for n in 0..3000 {
        let name = RecordName::from(format!("{n}"));
        let expiry = if n % 3 == 0 {
            Expiry::Persistent
        } else {
            Expiry::At(2_000)
        };
        store
            .put(&name, &Slot::Whole, b"value", expiry)
            .await
            .unwrap();
    }
    assert_eq!(store.status().await.unwrap().records, 3000);
    turned.store(1_999, Ordering::Relaxed);
    assert_eq!(store.status().await.unwrap().records, 3000);
    turned.store(2_000, Ordering::Relaxed);
    assert_eq!(store.status().await.unwrap().records, 1000);
}

#[tokio::test]
async fn each_store_is_a_generation_of_its_own() {
    let generation = async |store: MemoryStore| store.status().await.unwrap().generation;
    assert_ne!(
        generation(MemoryStore::default()).await,
        generation(MemoryStore::default()).await
    );
}
