//! Starts: with and without a last good copy, from places that lost the ring or cannot be reached.

use std::path::Path;
use std::sync::Arc;

use waxseal_core::SecretKey;
use waxseal_keys::{
    Change, Custodian, LiveOptions, LiveRing, LocalCustodian, MemoryPlace, Paper, Place, RingError,
    Territory,
};

use crate::rings::{Clock, NOW, custodian, new_ring, options, with};

fn copied(path: &Path) -> LiveOptions {
    LiveOptions {
        copy: Some(path.to_owned()),
        ..options(&Clock::at(NOW))
    }
}

/// A ring of version 2 with a last good copy of it, and the document of version 1.
async fn kept(path: &Path) -> (Arc<MemoryPlace>, Arc<dyn Custodian>, Vec<u8>, Vec<u8>) {
    let (custodian, place) = (custodian(), Arc::new(MemoryPlace::default()));
    let ring = new_ring(&custodian).await;
    let live = LiveRing::create(place.clone(), &ring, with(&custodian), copied(path))
        .await
        .unwrap();
    let (store, records) = ("redis://a".to_owned(), "wa:*".to_owned());
    live.change(&Change::Enrol(vec![Territory { store, records }]))
        .await
        .unwrap();
    let newest = live.ring().to_bytes();
    assert_eq!(std::fs::read(path).unwrap(), newest);
    (place, custodian, ring.to_bytes(), newest)
}

#[tokio::test]
async fn a_start_notices_a_rollback_or_a_loss_by_the_copy_and_puts_the_ring_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("copy.json");
    let (place, custodian, older, newest) = kept(&path).await;
    for found in [Some(older), None, Some(Vec::new())] {
        place.set(Paper::Ring, found);
        let live = LiveRing::open(place.clone(), with(&custodian), copied(&path))
            .await
            .unwrap();
        assert_eq!(live.ring().version(), 2);
        assert_eq!(
            place.read(&Paper::Ring).await.unwrap().as_ref(),
            Some(&newest)
        );
        assert!(live.is_confirmed());
    }
}

#[tokio::test]
async fn a_start_without_a_copy_and_without_a_ring_is_refused() {
    let (custodian, place) = (custodian(), Arc::new(MemoryPlace::default()));
    let options = || options(&Clock::at(NOW));
    let error = LiveRing::open(place.clone(), with(&custodian), options())
        .await
        .err();
    assert!(matches!(error, Some(RingError::Missing { .. })));
    place.set_out_of_reach(true);
    let error = LiveRing::open(place, with(&custodian), options())
        .await
        .err();
    assert!(matches!(error, Some(RingError::Place(_))));
}

#[tokio::test]
async fn a_start_from_the_copy_alone_opens_values_and_seals_none() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("copy.json");
    let (place, custodian, _, newest) = kept(&path).await;
    place.set_out_of_reach(true);
    let live = LiveRing::open(place.clone(), with(&custodian), copied(&path))
        .await
        .unwrap();
    assert_eq!(live.ring().to_bytes(), newest);
    assert!(!live.is_confirmed());
    assert!(matches!(
        live.confirm().await,
        Err(RingError::Lapsed { .. })
    ));
    place.set_out_of_reach(false);
    live.confirm().await.unwrap();
    assert!(live.is_confirmed());
}

#[tokio::test]
async fn a_wrong_secret_is_an_error_and_leaves_copy_and_place_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("copy.json");
    let (place, custodian, _, newest) = kept(&path).await;
    let secret = SecretKey::generate().unwrap();
    let wrong: Arc<dyn Custodian> =
        Arc::new(LocalCustodian::new(custodian.url(), &secret).unwrap());
    let error = LiveRing::open(place.clone(), with(&wrong), copied(&path))
        .await
        .err()
        .unwrap();
    assert!(matches!(error, RingError::Custodian(_)), "{error}");
    assert!(!format!("{error} {error:?}").contains(&secret.expose_hex()[..8]));
    assert_eq!(
        place.read(&Paper::Ring).await.unwrap().as_ref(),
        Some(&newest)
    );
    // Nor does it make the place forget what it cannot open.
    place.set(Paper::Ring, None);
    let error = LiveRing::open(place.clone(), with(&wrong), copied(&path))
        .await
        .err();
    assert!(matches!(error, Some(RingError::Missing { .. })));
    assert_eq!(place.read(&Paper::Ring).await.unwrap(), None);
    assert_eq!(std::fs::read(&path).unwrap(), newest);
}
