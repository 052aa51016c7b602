//! Documents of format 2: index keys, versions of the sealed format, settings of protected records; the
//! conversion to it and back, and processes that do not read it.

mod conversion;
mod documents;
mod envelopes;
mod former;
mod index_states;
mod members;
mod merges;
mod scopes;

use std::sync::Arc;

use waxseal_core::{EnvelopeVersion, KeyId};
use waxseal_keys::rotation::{Audit, Evidence};
use waxseal_keys::{
    ChangeError, Custodian, DocumentFormat, IndexKeyState, LiveRing, MemoryDocumentStore, Ring,
    Settings,
};

use crate::rings::{Clock, NOW, new_ring, options, with};

const FORCED: Evidence<'static> = Evidence {
    audit: None,
    force: true,
};
const NONE: Evidence<'static> = Evidence {
    audit: None,
    force: false,
};
const V2: EnvelopeVersion = EnvelopeVersion::V2;
const V3: EnvelopeVersion = EnvelopeVersion::V3;

/// A ring that was created in format 2: version 3 is written, version 2 accepted.
async fn created(custodian: &Arc<dyn Custodian>) -> Ring {
    let custodians = [custodian.clone()];
    let (format, settings) = (DocumentFormat::V2, Settings::default());
    let ring = Ring::create_in(format, "test", settings, &custodians, &[], NOW).await;
    ring.unwrap()
}

/// A ring that was converted to format 2.
async fn converted(custodian: &Arc<dyn Custodian>) -> Ring {
    let custodians = [custodian.clone()];
    let ring = new_ring(custodian).await;
    let ring = ring.with_format(DocumentFormat::V2, &custodians, NOW, NONE);
    ring.await.unwrap()
}

/// The ring in format 1 again.
async fn returned(ring: &Ring) -> Ring {
    let ring = ring.with_format(DocumentFormat::V1, &[], NOW, FORCED);
    ring.await.unwrap()
}

/// A ring with another index key, and the id of that key.
async fn with_pending(ring: &Ring, custodian: &Arc<dyn Custodian>) -> (Ring, KeyId) {
    let ring = ring
        .with_new_index_key(std::slice::from_ref(custodian), NOW)
        .await;
    let ring = ring.unwrap();
    let id = ring
        .index_keys_in(IndexKeyState::Pending)
        .next()
        .unwrap()
        .id;
    (ring, id)
}

/// The ring after changes that only make its version grow.
fn grown(ring: &Ring, changes: u64) -> Ring {
    let user = |number| format!("{number:064x}");
    (0..changes).fold(ring.clone(), |ring, number| {
        ring.with_erasure(&user(number), NOW)
    })
}

/// Asserts that the document of a ring opens with its custodian, and has as many index keys in use.
async fn assert_opens(ring: &Ring, custodian: &Arc<dyn Custodian>) {
    let opened = Ring::open(&ring.to_bytes(), "here", "test", &with(custodian), None).await;
    let opened = opened.unwrap();
    assert!(opened.is_same_as(ring));
    let ids = |ring: &Ring| {
        let keyring = ring.keyring().unwrap();
        let ids: Vec<_> = keyring.index_key_usage().map(|usage| usage.id).collect();
        ids
    };
    assert_eq!(ids(&opened), ids(ring));
}

fn states(ring: &Ring) -> Vec<(KeyId, IndexKeyState)> {
    let mut states: Vec<_> = ring
        .index_keys()
        .iter()
        .map(|it| (it.id, it.state))
        .collect();
    states.sort_by_key(|(id, _)| *id);
    states
}

fn sorted<const N: usize>(mut states: [(KeyId, IndexKeyState); N]) -> Vec<(KeyId, IndexKeyState)> {
    states.sort_by_key(|(id, _)| *id);
    states.to_vec()
}

/// An audit that began at this time and counted these values in each version.
fn audit(began_ms: u64, versions: &[(&str, u64)]) -> Audit {
    let versions = versions
        .iter()
        .map(|(version, count)| ((*version).to_owned(), *count));
    Audit {
        began_ms,
        versions: versions.collect(),
        ..Audit::default()
    }
}

/// The time after which no process acts as before a change.
fn lapse_ms() -> u64 {
    let settings = Settings::default();
    settings.settling_ms() + settings.retention_ms
}

/// A live ring, and the store of its document.
async fn live(
    ring: &Ring,
    custodian: &Arc<dyn Custodian>,
    clock: &Clock,
) -> (LiveRing, Arc<MemoryDocumentStore>) {
    let store = Arc::new(MemoryDocumentStore::default());
    let live = LiveRing::create(store.clone(), ring, with(custodian), options(clock)).await;
    (live.unwrap(), store)
}

#[track_caller]
fn refused<T>(result: Result<T, impl Into<waxseal_keys::RingError>>) -> ChangeError {
    match result.map_err(Into::into) {
        Ok(_) => panic!("it was not refused"),
        Err(waxseal_keys::RingError::Change(error)) => error,
        Err(error) => panic!("{error}"),
    }
}
