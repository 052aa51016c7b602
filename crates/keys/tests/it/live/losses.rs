//! Stores that lost the ring, or have another one.

use std::sync::Arc;
use std::time::Duration;

use waxseal_keys::{
    Change, Document, DocumentError, DocumentFormat, DocumentStore, FileDocumentStore, KeyState,
    LiveRing, MemoryDocumentStore, ProtectedScope, Ring, RingError, Settings,
};
use waxseal_testing::Lines;

use crate::rings::{Clock, NOW, custodian, new_ring, options, with};

const PUT_BACK: &str = "PUT BACK";

fn protected_scope(store: &str) -> Change {
    Change::Register(vec![ProtectedScope::new(store, "wa:*")])
}

/// Polls once more, at a later moment of a paused clock.
async fn poll(live: &LiveRing) -> Result<Arc<Ring>, RingError> {
    tokio::time::sleep(Duration::from_millis(1)).await;
    live.refresh().await
}

/// A live ring of version 2, and the document of version 1.
async fn live(store: Arc<dyn DocumentStore>) -> (LiveRing, Vec<u8>) {
    let custodian = custodian();
    let ring = new_ring(&custodian).await;
    let clock = Clock::at(NOW);
    let live = LiveRing::create(store, &ring, with(&custodian), options(&clock))
        .await
        .unwrap();
    live.change(&protected_scope("redis://a")).await.unwrap();
    (live, ring.to_bytes())
}

fn losses(newest: &[u8], older: Vec<u8>) -> Vec<(&'static str, Option<Vec<u8>>)> {
    let mut damaged = newest.to_vec();
    let store = damaged.len() / 2;
    damaged.truncate(store);
    let text = String::from_utf8(newest.to_vec()).unwrap();
    let changed = text
        .replace("\"version\": 2", "\"version\": 9")
        .into_bytes();
    vec![
        ("deleted", None),
        ("emptied", Some(Vec::new())),
        ("truncated", Some(damaged)),
        ("rolled back", Some(older)),
        ("changed", Some(changed)),
        ("something else", Some(b"+OK\r\n".to_vec())),
    ]
}

#[tokio::test(start_paused = true)]
async fn a_damaged_wrap_is_repaired_and_other_changes_are_kept() {
    let store = Arc::new(MemoryDocumentStore::default());
    let custodian = custodian();
    let (ring, options) = (new_ring(&custodian).await, options(&Clock::at(NOW)));
    let behind = LiveRing::create(store.clone(), &ring, with(&custodian), options.clone());
    let behind = behind.await.unwrap();
    behind.change(&protected_scope("redis://a")).await.unwrap();
    // Another process changes the ring, and then a wrap in it is damaged.
    let other = LiveRing::open(store.clone(), with(&custodian), options);
    let other = other.await.unwrap();
    other.change(&protected_scope("redis://b")).await.unwrap();
    let newest = store.read(&Document::Ring).await.unwrap().unwrap();
    let text = String::from_utf8(newest.clone()).unwrap();
    let at = text.rfind("\"wrapped\": \"").unwrap() + "\"wrapped\": \"".len();
    let mut damaged = newest.clone();
    damaged[at] = if damaged[at] == b'A' { b'B' } else { b'A' };
    store.set(Document::Ring, Some(damaged));
    let (log, captured) = Lines::capture(tracing::Level::INFO);
    poll(&behind).await.unwrap();
    drop(captured);
    let written = store.read(&Document::Ring).await.unwrap().unwrap();
    assert_eq!(
        written, newest,
        "with the change that the process had not seen"
    );
    assert_eq!(behind.ring().protected_scopes().len(), 2);
    let text = log.text();
    assert!(text.contains("wrapped keys that were damaged"), "{text}");
    assert!(text.contains(PUT_BACK), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_damaged_wrap_of_an_index_key_is_repaired() {
    let store = Arc::new(MemoryDocumentStore::default());
    let custodian = custodian();
    let (format, settings) = (DocumentFormat::V2, Settings::default());
    let custodians = [custodian.clone()];
    let ring = Ring::create_in(format, "test", settings, &custodians, &[], NOW).await;
    let (ring, options) = (ring.unwrap(), options(&Clock::at(NOW)));
    let live = LiveRing::create(store.clone(), &ring, with(&custodian), options.clone());
    let live = live.await.unwrap();
    let other = LiveRing::open(store.clone(), with(&custodian), options);
    let other = other.await.unwrap();
    other.change(&protected_scope("redis://b")).await.unwrap();
    let newest = store.read(&Document::Ring).await.unwrap().unwrap();
    let text = String::from_utf8(newest.clone()).unwrap();
    let wrapped = "\"wrapped\": \"";
    let index_keys = text.find("\"index_keys\"").unwrap();
    let at = index_keys + text[index_keys..].find(wrapped).unwrap() + wrapped.len();
    let mut damaged = newest.clone();
    damaged[at] = if damaged[at] == b'A' { b'B' } else { b'A' };
    store.set(Document::Ring, Some(damaged));
    let (log, captured) = Lines::capture(tracing::Level::INFO);
    poll(&live).await.unwrap();
    drop(captured);
    let written = store.read(&Document::Ring).await.unwrap();
    assert_eq!(written, Some(newest), "with the change of the other one");
    let text = log.text();
    assert!(text.contains("wrapped keys that were damaged"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn what_a_store_lost_is_restored_and_reported_as_an_error() {
    let store = Arc::new(MemoryDocumentStore::default());
    let (live, older) = live(store.clone()).await;
    let newest = store.read(&Document::Ring).await.unwrap().unwrap();
    for (what, bytes) in losses(&newest, older) {
        let (log, captured) = Lines::capture(tracing::Level::INFO);
        store.set(Document::Ring, bytes);
        poll(&live).await.unwrap();
        drop(captured);
        assert_eq!(
            store.read(&Document::Ring).await.unwrap().as_ref(),
            Some(&newest),
            "{what}"
        );
        let said = log.text();
        assert!(
            said.contains(PUT_BACK) && said.contains("ERROR"),
            "{what}: {said}"
        );
        // The log contains nothing of the document.
        for wrap in live.ring().keys().iter().flat_map(|key| &key.wraps) {
            let bytes = format!("{:?}", &wrap.wrapped.0[..4]);
            assert!(!said.contains(bytes.trim_matches(['[', ']'])), "{what}");
        }
    }
}

#[tokio::test]
async fn what_a_file_lost_is_restored_too() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keyring.json");
    let (live, older) = live(Arc::new(FileDocumentStore::new(&path))).await;
    let newest = std::fs::read(&path).unwrap();
    for (what, bytes) in losses(&newest, older) {
        match bytes {
            Some(bytes) => std::fs::write(&path, bytes).unwrap(),
            None => std::fs::remove_file(&path).unwrap(),
        }
        live.refresh().await.unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), newest, "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn another_ring_or_a_newer_format_is_never_replaced() {
    let store = Arc::new(MemoryDocumentStore::default());
    let (live, _) = live(store.clone()).await;
    let bytes = live.ring().to_bytes();
    let custodian = custodian();
    let settings = Settings::default;
    let custodians = [custodian.clone()];
    let production = Ring::create("production", settings(), &custodians, &[], NOW)
        .await
        .unwrap();
    let other = Ring::create("test", settings(), &custodians, &[], NOW)
        .await
        .unwrap();
    let newer = b"{\"format\": 3, \"rings\": []}".to_vec();
    for (what, found) in [
        ("other environment", production.to_bytes()),
        ("other ring", other.to_bytes()),
        ("newer format", newer),
    ] {
        store.set(Document::Ring, Some(found.clone()));
        let error = poll(&live).await.err().unwrap();
        let as_expected = match &error {
            RingError::Environment { found, .. } => found == "production",
            RingError::Custodian(_) | RingError::OtherRing { .. } => what == "other ring",
            RingError::Document { error, .. } => *error == DocumentError::Format(3),
            _ => false,
        };
        assert!(as_expected, "{what}: {error}");
        assert_eq!(
            store.read(&Document::Ring).await.unwrap(),
            Some(found),
            "{what}"
        );
        assert_eq!(live.ring().to_bytes(), bytes, "{what}");
        assert!(live.degraded().is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn another_ring_under_the_same_custodian_is_not_adopted() {
    let store = Arc::new(MemoryDocumentStore::default());
    let custodian = custodian();
    let ring = new_ring(&custodian).await;
    let clock = Clock::at(NOW);
    let live = LiveRing::create(store.clone(), &ring, with(&custodian), options(&clock)).await;
    let live = live.unwrap();
    let other = new_ring(&custodian).await.to_bytes();
    store.set(Document::Ring, Some(other.clone()));
    let error = poll(&live).await.err();
    assert!(
        matches!(error, Some(RingError::OtherRing { .. })),
        "{error:?}"
    );
    assert_eq!(store.read(&Document::Ring).await.unwrap(), Some(other));
}

#[tokio::test(start_paused = true)]
async fn keys_of_two_histories_are_merged() {
    let store = Arc::new(MemoryDocumentStore::default());
    let custodian = custodian();
    let ring = new_ring(&custodian).await;
    let clock = Clock::at(NOW);
    let one = LiveRing::create(store.clone(), &ring, with(&custodian), options(&clock)).await;
    let one = one.unwrap();
    let two = LiveRing::open(store.clone(), with(&custodian), options(&clock))
        .await
        .unwrap();
    let add = |live: &LiveRing| Change::Add {
        instead_of: live.ring().sealing().id,
    };
    // One write is lost before the other process has seen it, and the other process continues.
    one.change(&add(&one)).await.unwrap();
    poll(&one).await.unwrap();
    one.change(&protected_scope("redis://a")).await.unwrap();
    store.set(Document::Ring, Some(ring.to_bytes()));
    poll(&two).await.unwrap();
    two.change(&add(&two)).await.unwrap();
    let id = |live: &LiveRing| live.ring().in_state(KeyState::Pending).next().unwrap().id;
    let keys = [id(&one), id(&two)];
    for live in [&one, &two, &one] {
        poll(live).await.unwrap();
    }
    for live in [&one, &two] {
        for key in keys {
            assert!(live.keyring().current().role(key).is_some());
        }
    }
    assert_eq!(one.ring().to_bytes(), two.ring().to_bytes());
}
