//! The contract of [`DocumentStore`].

use std::sync::Arc;

use futures_util::future::join_all;
use waxseal_core::KeyId;

use super::MANY;
use crate::document_store::{Document, DocumentStore};

const PAPERS: [Document; 3] = [Document::Ring, Document::Leader, Document::Reports];
/// As large as a ring of some thousand keys.
const BIG: usize = 1 << 20;

/// Runs the suite on a store in which there is nothing yet. `again` opens the same store once more, as
/// another process would.
///
/// # Panics
///
/// With the sentence of the contract that the store breaks.
pub async fn document_store(store: Arc<dyn DocumentStore>, again: Arc<dyn DocumentStore>) {
    assert!(!store.location().is_empty(), "a place says where it is");
    for paper in &PAPERS {
        absent_until_it_is_written(&*store, &*again, paper).await;
    }
    papers_are_apart(&*store).await;
    for paper in &PAPERS {
        exact_bytes(&*store, &*again, paper).await;
        one_of_many_wins(&store, &again, paper).await;
    }
}

async fn absent_until_it_is_written(
    store: &dyn DocumentStore,
    again: &dyn DocumentStore,
    paper: &Document,
) {
    let read = store.read(paper).await.unwrap();
    assert_eq!(read, None, "{paper:?} is absent before it is written");
    let replaced = store
        .replace(paper, Some(b"something"), b"new")
        .await
        .unwrap();
    assert!(
        !replaced,
        "what is absent is not replaced where something is expected"
    );
    let replaced = store.replace(paper, Some(b""), b"new").await.unwrap();
    assert!(!replaced, "absent is not the same as empty");
    assert_eq!(
        store.read(paper).await.unwrap(),
        None,
        "a refused write writes nothing"
    );
    assert!(
        store.replace(paper, None, b"first").await.unwrap(),
        "what is absent is written where nothing is expected"
    );
    let read = again.read(paper).await.unwrap();
    assert_eq!(
        read.as_deref(),
        Some(&b"first"[..]),
        "others read what was written"
    );
    for wrong in [
        None,
        Some(&b"other"[..]),
        Some(b"firs"),
        Some(b"first "),
        Some(b""),
    ] {
        let replaced = again.replace(paper, wrong, b"second").await.unwrap();
        assert!(!replaced, "what is not as expected is not replaced");
    }
    let read = store.read(paper).await.unwrap();
    assert_eq!(
        read.as_deref(),
        Some(&b"first"[..]),
        "a refused write leaves what is there"
    );
    assert!(
        again
            .replace(paper, Some(b"first"), b"second")
            .await
            .unwrap(),
        "what is as expected is replaced"
    );
    let read = store.read(paper).await.unwrap();
    assert_eq!(
        read.as_deref(),
        Some(&b"second"[..]),
        "a replacement is read"
    );
}

async fn papers_are_apart(store: &dyn DocumentStore) {
    for (number, paper) in PAPERS.iter().enumerate() {
        let new = [number as u8];
        assert!(store.replace(paper, Some(b"second"), &new).await.unwrap());
    }
    for (number, paper) in PAPERS.iter().enumerate() {
        let read = store.read(paper).await.unwrap();
        assert_eq!(
            read,
            Some(vec![number as u8]),
            "papers do not touch each other"
        );
    }
}

async fn exact_bytes(store: &dyn DocumentStore, again: &dyn DocumentStore, paper: &Document) {
    let every: Vec<u8> = (0..=u8::MAX).collect();
    let big: Vec<u8> = (0..BIG).map(|store| (store % 251) as u8).collect();
    let line = b"\r\n \n".to_vec();
    for new in [every, big, line, b"{}".to_vec()] {
        let old = store.read(paper).await.unwrap();
        assert!(store.replace(paper, old.as_deref(), &new).await.unwrap());
        let read = again.read(paper).await.unwrap();
        assert!(
            read == Some(new),
            "a paper is read byte by byte as it was written"
        );
    }
}

async fn one_of_many_wins(
    store: &Arc<dyn DocumentStore>,
    again: &Arc<dyn DocumentStore>,
    paper: &Document,
) {
    for _ in 0..3 {
        let old = store.read(paper).await.unwrap();
        let contenders = (0..MANY).map(|number| {
            let store = if number % 2 == 0 { store } else { again }.clone();
            let (paper, old) = (paper.clone(), old.clone());
            let new = format!("{number} {}", KeyId::random()).into_bytes();
            tokio::spawn(async move {
                let won = store.replace(&paper, old.as_deref(), &new).await.unwrap();
                won.then_some(new)
            })
        });
        let won = join_all(contenders).await;
        let won: Vec<_> = won.into_iter().filter_map(Result::unwrap).collect();
        assert_eq!(won.len(), 1, "of many who expect the same, one succeeds");
        let read = store.read(paper).await.unwrap();
        assert_eq!(
            read.as_ref(),
            won.first(),
            "what lies there is the winner's"
        );
    }
}
