//! The contract of [`Place`].

use std::sync::Arc;

use futures_util::future::join_all;
use waxseal_core::KeyId;

use super::MANY;
use crate::place::{Paper, Place};

const PAPERS: [Paper; 3] = [Paper::Ring, Paper::Leader, Paper::Reports];
/// As large as a ring of some thousand keys.
const BIG: usize = 1 << 20;

/// Runs the suite on a place in which there is nothing yet. `again` opens the same place once more, as
/// another process would.
///
/// # Panics
///
/// With the sentence of the contract that the place breaks.
pub async fn place(place: Arc<dyn Place>, again: Arc<dyn Place>) {
    assert!(!place.location().is_empty(), "a place says where it is");
    for paper in &PAPERS {
        absent_until_it_is_written(&*place, &*again, paper).await;
    }
    papers_are_apart(&*place).await;
    for paper in &PAPERS {
        exact_bytes(&*place, &*again, paper).await;
        one_of_many_wins(&place, &again, paper).await;
    }
}

async fn absent_until_it_is_written(place: &dyn Place, again: &dyn Place, paper: &Paper) {
    let read = place.read(paper).await.unwrap();
    assert_eq!(read, None, "{paper:?} is absent before it is written");
    let replaced = place
        .replace(paper, Some(b"something"), b"new")
        .await
        .unwrap();
    assert!(
        !replaced,
        "what is absent is not replaced where something is expected"
    );
    let replaced = place.replace(paper, Some(b""), b"new").await.unwrap();
    assert!(!replaced, "absent is not the same as empty");
    assert_eq!(
        place.read(paper).await.unwrap(),
        None,
        "a refused write writes nothing"
    );
    assert!(
        place.replace(paper, None, b"first").await.unwrap(),
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
    let read = place.read(paper).await.unwrap();
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
    let read = place.read(paper).await.unwrap();
    assert_eq!(
        read.as_deref(),
        Some(&b"second"[..]),
        "a replacement is read"
    );
}

async fn papers_are_apart(place: &dyn Place) {
    for (number, paper) in PAPERS.iter().enumerate() {
        let new = [number as u8];
        assert!(place.replace(paper, Some(b"second"), &new).await.unwrap());
    }
    for (number, paper) in PAPERS.iter().enumerate() {
        let read = place.read(paper).await.unwrap();
        assert_eq!(
            read,
            Some(vec![number as u8]),
            "papers do not touch each other"
        );
    }
}

async fn exact_bytes(place: &dyn Place, again: &dyn Place, paper: &Paper) {
    let every: Vec<u8> = (0..=u8::MAX).collect();
    let big: Vec<u8> = (0..BIG).map(|place| (place % 251) as u8).collect();
    let line = b"\r\n \n".to_vec();
    for new in [every, big, line, b"{}".to_vec()] {
        let old = place.read(paper).await.unwrap();
        assert!(place.replace(paper, old.as_deref(), &new).await.unwrap());
        let read = again.read(paper).await.unwrap();
        assert!(
            read == Some(new),
            "a paper is read byte by byte as it was written"
        );
    }
}

async fn one_of_many_wins(place: &Arc<dyn Place>, again: &Arc<dyn Place>, paper: &Paper) {
    for _ in 0..3 {
        let old = place.read(paper).await.unwrap();
        let contenders = (0..MANY).map(|number| {
            let place = if number % 2 == 0 { place } else { again }.clone();
            let (paper, old) = (paper.clone(), old.clone());
            let new = format!("{number} {}", KeyId::random()).into_bytes();
            tokio::spawn(async move {
                let won = place.replace(&paper, old.as_deref(), &new).await.unwrap();
                won.then_some(new)
            })
        });
        let won = join_all(contenders).await;
        let won: Vec<_> = won.into_iter().filter_map(Result::unwrap).collect();
        assert_eq!(won.len(), 1, "of many who expect the same, one succeeds");
        let read = place.read(paper).await.unwrap();
        assert_eq!(
            read.as_ref(),
            won.first(),
            "what lies there is the winner's"
        );
    }
}
