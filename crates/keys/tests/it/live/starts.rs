//! Starts: with and without a last good copy, from stores that lost the ring or cannot be reached.

use std::path::Path;
use std::sync::Arc;

use waxseal_core::SecretKey;
use waxseal_keys::{
    Change, Custodian, Document, DocumentStore, LiveOptions, LiveRing, LocalCustodian,
    MemoryDocumentStore, ProtectedScope, RingError, Settings,
};

use crate::rings::{Clock, NOW, custodian, new_ring, options, with};

fn copied(path: &Path) -> LiveOptions {
    LiveOptions {
        copy: Some(path.to_owned()),
        ..options(&Clock::at(NOW))
    }
}

/// A ring of version 2 with a last good copy of it, and the document of version 1.
async fn ring_with_copy(
    path: &Path,
) -> (
    Arc<MemoryDocumentStore>,
    Arc<dyn Custodian>,
    Vec<u8>,
    Vec<u8>,
) {
    let (custodian, store) = (custodian(), Arc::new(MemoryDocumentStore::default()));
    let ring = new_ring(&custodian).await;
    let live = LiveRing::create(store.clone(), &ring, with(&custodian), copied(path))
        .await
        .unwrap();
    let scope = ProtectedScope::new("redis://a", "wa:*");
    live.change(&Change::Register(vec![scope])).await.unwrap();
    let newest = live.ring().to_bytes();
    assert_eq!(std::fs::read(path).unwrap(), newest);
    (store, custodian, ring.to_bytes(), newest)
}

#[tokio::test]
async fn a_start_detects_a_rollback_or_a_loss_by_the_copy_and_restores_the_ring() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("copy.json");
    let (store, custodian, older, newest) = ring_with_copy(&path).await;
    for found in [Some(older), None, Some(Vec::new())] {
        store.set(Document::Ring, found);
        let live = LiveRing::open(store.clone(), with(&custodian), copied(&path))
            .await
            .unwrap();
        assert_eq!(live.ring().version(), 2);
        assert_eq!(
            store.read(&Document::Ring).await.unwrap().as_ref(),
            Some(&newest)
        );
        assert!(live.is_confirmed());
    }
}

#[tokio::test]
async fn a_start_without_a_copy_and_without_a_ring_is_refused() {
    let (custodian, store) = (custodian(), Arc::new(MemoryDocumentStore::default()));
    let options = || options(&Clock::at(NOW));
    let error = LiveRing::open(store.clone(), with(&custodian), options())
        .await
        .err();
    assert!(matches!(error, Some(RingError::Missing { .. })));
    store.set_out_of_reach(true);
    let error = LiveRing::open(store, with(&custodian), options())
        .await
        .err();
    assert!(matches!(error, Some(RingError::DocumentStore(_))));
}

/// The same options, at a time after the copy was confirmed.
fn copied_after(path: &Path, ms: u64) -> LiveOptions {
    LiveOptions {
        copy: Some(path.to_owned()),
        ..options(&Clock::at(NOW + ms))
    }
}

#[tokio::test]
async fn a_start_from_the_copy_alone_opens_values_and_seals_only_while_the_copy_is_recent() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("copy.json");
    let (store, custodian, _, newest) = ring_with_copy(&path).await;
    let retention_ms = Settings::default().retention_ms;
    store.set_out_of_reach(true);
    for (age, seals) in [(retention_ms - 1, true), (retention_ms, false)] {
        let live = LiveRing::open(store.clone(), with(&custodian), copied_after(&path, age))
            .await
            .unwrap();
        assert_eq!(live.ring().to_bytes(), newest);
        assert!(!live.is_confirmed());
        let confirmed = live.confirm().await;
        assert_eq!(confirmed.is_ok(), seals, "{confirmed:?}");
        if !seals {
            assert!(matches!(confirmed, Err(RingError::Lapsed { .. })));
            store.set_out_of_reach(false);
            live.confirm().await.unwrap();
            assert!(live.is_confirmed());
        }
    }
}

#[tokio::test]
async fn a_copy_that_is_too_old_is_not_restored_automatically() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("copy.json");
    let (store, custodian, older, newest) = ring_with_copy(&path).await;
    let retention_ms = Settings::default().retention_ms;
    for found in [None, Some(older)] {
        store.set(Document::Ring, found.clone());
        let options = copied_after(&path, retention_ms);
        let error = LiveRing::open(store.clone(), with(&custodian), options)
            .await
            .err();
        assert!(
            matches!(error, Some(RingError::Outdated { version: 2, .. })),
            "{error:?}"
        );
        assert_eq!(store.read(&Document::Ring).await.unwrap(), found);
        assert_eq!(std::fs::read(&path).unwrap(), newest);
    }
}

#[tokio::test]
async fn a_process_with_an_old_ring_restores_the_newer_copy_of_its_machine() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("copy.json");
    let (store, custodian, ..) = ring_with_copy(&path).await;
    let open = || LiveRing::open(store.clone(), with(&custodian), copied(&path));
    let (behind, ahead) = (open().await.unwrap(), open().await.unwrap());
    let user = ahead.ring().user(b"some-user");
    ahead.change(&Change::Erase(user.clone())).await.unwrap();
    drop(ahead);
    store.set(Document::Ring, None);
    let ring = behind.refresh().await.unwrap();
    assert_eq!(ring.erasure(&user).unwrap().epoch, 1);
    let stored = store.read(&Document::Ring).await.unwrap().unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), stored);
    assert_eq!(ring.to_bytes(), stored);
}

#[tokio::test]
async fn a_wrong_secret_is_an_error_and_changes_neither_copy_nor_store() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("copy.json");
    let (store, custodian, _, newest) = ring_with_copy(&path).await;
    let secret = SecretKey::generate().unwrap();
    let wrong: Arc<dyn Custodian> =
        Arc::new(LocalCustodian::new(custodian.url(), &secret).unwrap());
    let error = LiveRing::open(store.clone(), with(&wrong), copied(&path))
        .await
        .err()
        .unwrap();
    assert!(matches!(error, RingError::Custodian(_)), "{error}");
    assert!(!format!("{error} {error:?}").contains(&secret.expose_hex()[..8]));
    assert_eq!(
        store.read(&Document::Ring).await.unwrap().as_ref(),
        Some(&newest)
    );
    // Nor does the store lose what the process cannot open.
    store.set(Document::Ring, None);
    let error = LiveRing::open(store.clone(), with(&wrong), copied(&path))
        .await
        .err();
    assert!(matches!(error, Some(RingError::Missing { .. })));
    assert_eq!(store.read(&Document::Ring).await.unwrap(), None);
    assert_eq!(std::fs::read(&path).unwrap(), newest);
}
