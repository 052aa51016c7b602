//! A process that reads format 1 alone, beside one that reads both: the document refuses it, and it never writes
//! over one of format 2.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use waxseal_keys::{
    Change, Custodian, Document, DocumentError, DocumentFormat, DocumentStore, DocumentStoreError,
    LiveRing, MemoryDocumentStore, RingError,
};
use waxseal_testing::Lines;

use super::{V2, V3};
use crate::rings::{Clock, NOW, custodian, new_ring, options, with};

const FORMAT_2: &str = "\"format\": 2,";
/// A format that this version does not know, as the former one did not know format 2.
const UNKNOWN: &str = "\"format\": 9,";

/// The store of documents as a former version sees it: format 2 is a format that it does not know.
struct FormerView {
    store: Arc<MemoryDocumentStore>,
    /// The number of times that it wrote over a document of format 2.
    overwritten: AtomicUsize,
}

#[async_trait]
impl DocumentStore for FormerView {
    fn location(&self) -> String {
        self.store.location()
    }

    async fn read(&self, document: &Document) -> Result<Option<Vec<u8>>, DocumentStoreError> {
        let bytes = self.store.read(document).await?;
        Ok(match document {
            Document::Ring => bytes.map(|bytes| renumbered(&bytes, FORMAT_2, UNKNOWN)),
            _ => bytes,
        })
    }

    async fn replace(
        &self,
        document: &Document,
        expected: Option<&[u8]>,
        new: &[u8],
    ) -> Result<bool, DocumentStoreError> {
        if *document != Document::Ring {
            return self.store.replace(document, expected, new).await;
        }
        let expected = expected.map(|bytes| renumbered(bytes, UNKNOWN, FORMAT_2));
        let is_format_2 = expected.as_ref().is_some_and(|bytes| is_format_2(bytes));
        let expected = expected.as_deref();
        let is_written = self.store.replace(document, expected, new).await?;
        let overwritten = usize::from(is_written && is_format_2);
        self.overwritten.fetch_add(overwritten, Ordering::SeqCst);
        Ok(is_written)
    }
}

fn renumbered(bytes: &[u8], from: &str, to: &str) -> Vec<u8> {
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    text.replacen(from, to, 1).into_bytes()
}

fn is_format_2(bytes: &[u8]) -> bool {
    String::from_utf8(bytes.to_vec())
        .unwrap()
        .contains(FORMAT_2)
}

struct World {
    store: Arc<MemoryDocumentStore>,
    view: Arc<FormerView>,
    new: LiveRing,
    former: LiveRing,
}

impl World {
    /// A ring of format 1, with a process of each version.
    async fn new(custodian: &Arc<dyn Custodian>) -> Self {
        let store = Arc::new(MemoryDocumentStore::default());
        let view = Arc::new(FormerView {
            store: store.clone(),
            overwritten: AtomicUsize::new(0),
        });
        let (ring, clock) = (new_ring(custodian).await, Clock::at(NOW));
        let new = LiveRing::create(store.clone(), &ring, with(custodian), options(&clock));
        let new = new.await.unwrap();
        let former = LiveRing::open(view.clone(), with(custodian), options(&clock));
        Self {
            former: former.await.unwrap(),
            store,
            view,
            new,
        }
    }

    async fn change_format(&self, to: DocumentFormat) {
        let change = Change::Format { to, force: true };
        self.new.change(&change).await.unwrap();
    }

    async fn document(&self) -> Vec<u8> {
        self.store.read(&Document::Ring).await.unwrap().unwrap()
    }

    async fn poll(&self, live: &LiveRing) -> Result<(), RingError> {
        tokio::time::sleep(Duration::from_millis(1)).await;
        live.refresh().await.map(drop)
    }
}

fn is_unknown(error: &RingError) -> bool {
    let error = match error {
        RingError::Document { error, .. } => error,
        _ => return false,
    };
    *error == DocumentError::Format(9)
}

#[tokio::test(start_paused = true)]
async fn a_former_process_stays_with_its_ring_and_changes_nothing() {
    let world = World::new(&custodian()).await;
    let known = world.former.ring();
    world
        .former
        .report("0123456789abcdef", "proxy", true)
        .await
        .unwrap();
    world.change_format(DocumentFormat::V2).await;
    let (log, captured) = Lines::capture(tracing::Level::INFO);
    for _ in 0..3 {
        let written = world.document().await;
        let error = world.poll(&world.former).await.unwrap_err();
        assert!(is_unknown(&error), "{error}");
        let error = world.former.change(&Change::Erase("ab".repeat(32))).await;
        assert!(is_unknown(&error.err().unwrap()));
        assert_eq!(world.document().await, written);
        // Others go on meanwhile.
        world.new.change(&Change::AddIndexKey).await.ok();
        world
            .new
            .change(&Change::Erase("cd".repeat(32)))
            .await
            .unwrap();
    }
    drop(captured);
    assert_eq!(world.former.ring().version(), known.version());
    assert!(world.former.degraded().is_some());
    assert_eq!(world.view.overwritten.load(Ordering::SeqCst), 0);
    let text = log.text();
    assert!(!text.contains("PUT BACK"), "{text}");
    assert!(text.contains("stays in use"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_copy_of_format_1_in_the_place_of_a_lost_document_is_replaced_by_format_2() {
    let world = World::new(&custodian()).await;
    world.change_format(DocumentFormat::V2).await;
    let write = (V3, V2);
    world
        .new
        .change(&Change::Envelopes {
            write: write.0,
            accept: write.1,
            force: true,
        })
        .await
        .unwrap();
    let newest = world.document().await;
    let index_key = world.new.ring().writing().unwrap().id;
    // Lost, and a former process is the first to notice.
    world.store.set(Document::Ring, None);
    world.poll(&world.former).await.unwrap();
    assert!(!is_format_2(&world.document().await));
    world.poll(&world.new).await.unwrap();
    assert_eq!(world.document().await, newest);
    // Also if the former one has made later changes meanwhile.
    world.store.set(Document::Ring, None);
    for user in 0..5 {
        let change = Change::Erase(format!("{user:064x}"));
        world.former.change(&change).await.unwrap();
    }
    assert!(world.former.ring().version() > world.new.ring().version());
    world.poll(&world.new).await.unwrap();
    let ring = world.new.ring();
    assert_eq!(ring.format(), DocumentFormat::V2);
    assert_eq!(ring.writing().unwrap().id, index_key);
    assert_eq!(ring.erasures().len(), 5);
    assert_eq!((ring.envelopes().write, ring.envelopes().accept), write);
    assert!(is_unknown(&world.poll(&world.former).await.unwrap_err()));
    assert_eq!(world.view.overwritten.load(Ordering::SeqCst), 0);
}

#[tokio::test(start_paused = true)]
async fn a_former_process_follows_again_after_the_return_to_format_1() {
    let world = World::new(&custodian()).await;
    world.change_format(DocumentFormat::V2).await;
    world.poll(&world.former).await.unwrap_err();
    world.change_format(DocumentFormat::V1).await;
    let written = world.document().await;
    let (log, captured) = Lines::capture(tracing::Level::INFO);
    for _ in 0..3 {
        for live in [&world.former, &world.new] {
            world.poll(live).await.unwrap();
            assert!(live.degraded().is_none());
        }
    }
    drop(captured);
    assert_eq!(world.document().await, written);
    assert!(!log.text().contains("PUT BACK"), "{}", log.text());
    assert_eq!(world.former.ring().version(), world.new.ring().version());
    world
        .former
        .change(&Change::Erase("ab".repeat(32)))
        .await
        .unwrap();
    world.poll(&world.new).await.unwrap();
    assert_eq!(world.new.ring().format(), DocumentFormat::V1);
    assert_eq!(world.new.ring().erasures().len(), 1);
}
