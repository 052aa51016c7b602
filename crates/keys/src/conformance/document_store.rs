//! The contract of [`DocumentStore`].

use std::sync::Arc;

use futures_util::future::join_all;
use waxseal_core::KeyId;

use super::MANY;
use crate::document_store::{Document, DocumentStore};

const DOCUMENTS: [Document; 3] = [Document::Ring, Document::Leader, Document::Reports];
/// The size of a ring of some thousand keys.
const LARGE: usize = 1 << 20;

/// Runs the suite on an empty store. `again` opens the same store a second time, as
/// another process would.
///
/// # Panics
///
/// With the sentence of the contract that the store violates.
pub async fn document_store(store: Arc<dyn DocumentStore>, again: Arc<dyn DocumentStore>) {
    assert!(!store.location().is_empty(), "a store reports its location");
    for document in &DOCUMENTS {
        absent_until_it_is_written(&*store, &*again, document).await;
    }
    documents_are_independent(&*store).await;
    for document in &DOCUMENTS {
        exact_bytes(&*store, &*again, document).await;
        one_of_many_wins(&store, &again, document).await;
    }
}

async fn absent_until_it_is_written(
    store: &dyn DocumentStore,
    again: &dyn DocumentStore,
    document: &Document,
) {
    let read = store.read(document).await.unwrap();
    assert_eq!(read, None, "{document:?} is absent before it is written");
    let replaced = store
        .replace(document, Some(b"something"), b"new")
        .await
        .unwrap();
    assert!(
        !replaced,
        "an absent document is not replaced if one is expected"
    );
    let replaced = store.replace(document, Some(b""), b"new").await.unwrap();
    assert!(!replaced, "absent is not the same as empty");
    assert_eq!(
        store.read(document).await.unwrap(),
        None,
        "a refused write changes nothing"
    );
    assert!(
        store.replace(document, None, b"first").await.unwrap(),
        "an absent document is written if none is expected"
    );
    let read = again.read(document).await.unwrap();
    assert_eq!(
        read.as_deref(),
        Some(&b"first"[..]),
        "another process reads what was written"
    );
    for wrong in [
        None,
        Some(&b"other"[..]),
        Some(b"firs"),
        Some(b"first "),
        Some(b""),
    ] {
        let replaced = again.replace(document, wrong, b"second").await.unwrap();
        assert!(
            !replaced,
            "a document that is not as expected is not replaced"
        );
    }
    let read = store.read(document).await.unwrap();
    assert_eq!(
        read.as_deref(),
        Some(&b"first"[..]),
        "a refused write changes nothing"
    );
    assert!(
        again
            .replace(document, Some(b"first"), b"second")
            .await
            .unwrap(),
        "a document that is as expected is replaced"
    );
    let read = store.read(document).await.unwrap();
    assert_eq!(
        read.as_deref(),
        Some(&b"second"[..]),
        "a replacement is read"
    );
}

async fn documents_are_independent(store: &dyn DocumentStore) {
    for (number, document) in DOCUMENTS.iter().enumerate() {
        let new = [number as u8];
        assert!(
            store
                .replace(document, Some(b"second"), &new)
                .await
                .unwrap()
        );
    }
    for (number, document) in DOCUMENTS.iter().enumerate() {
        let read = store.read(document).await.unwrap();
        assert_eq!(
            read,
            Some(vec![number as u8]),
            "documents do not affect each other"
        );
    }
}

async fn exact_bytes(store: &dyn DocumentStore, again: &dyn DocumentStore, document: &Document) {
    let every: Vec<u8> = (0..=u8::MAX).collect();
    let big: Vec<u8> = (0..LARGE).map(|store| (store % 251) as u8).collect();
    let line = b"\r\n \n".to_vec();
    for new in [every, big, line, b"{}".to_vec()] {
        let old = store.read(document).await.unwrap();
        assert!(store.replace(document, old.as_deref(), &new).await.unwrap());
        let read = again.read(document).await.unwrap();
        assert!(
            read == Some(new),
            "a document is read byte by byte as it was written"
        );
    }
}

async fn one_of_many_wins(
    store: &Arc<dyn DocumentStore>,
    again: &Arc<dyn DocumentStore>,
    document: &Document,
) {
    for _ in 0..3 {
        let old = store.read(document).await.unwrap();
        let contenders = (0..MANY).map(|number| {
            let store = if number % 2 == 0 { store } else { again }.clone();
            let (document, old) = (document.clone(), old.clone());
            let new = format!("{number} {}", KeyId::random()).into_bytes();
            tokio::spawn(async move {
                let won = store
                    .replace(&document, old.as_deref(), &new)
                    .await
                    .unwrap();
                won.then_some(new)
            })
        });
        let won = join_all(contenders).await;
        let won: Vec<_> = won.into_iter().filter_map(Result::unwrap).collect();
        assert_eq!(
            won.len(),
            1,
            "of many writers that expect the same, one succeeds"
        );
        let read = store.read(document).await.unwrap();
        assert_eq!(
            read.as_ref(),
            won.first(),
            "the winner's document is stored"
        );
    }
}
