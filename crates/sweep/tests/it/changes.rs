//! Other writers at the worst moment: between a sweep's read and its write.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::FutureExt;
use waxseal_core::{Binding, Format};
use waxseal_stores::{Cursor, Expiry, MemoryStore, RecordStore, Slot};
use waxseal_sweep::{Event, Position, Tally};

use super::gate::{Call, Gate, Rule};
use super::records::{contents, plain, plain_store, record};
use super::{A, assert_adds_up, batches_of, damaged, envelope, migrate, run, sealer, sweep, whole};

/// Migrates 100 records while `other` changes the store before each replacement. Returns the counts and
/// the causes of the findings.
async fn against(
    store: Arc<MemoryStore>,
    other: impl Fn(usize, &MemoryStore) + Send + Sync + 'static,
) -> (Tally, Vec<String>) {
    let gate = Gate::new(store, move |call, before, store| {
        if call == Call::Replace {
            other(before, store);
        }
        Rule::Pass
    });
    let mut causes = Vec::new();
    let sweep = sweep(gate, migrate(), batches_of(500));
    let report = run(&sweep, Position::default(), &mut |event| {
        if let Event::Finding(finding) = event {
            causes.push(finding.cause.clone());
        }
    })
    .await;
    let tally = report.position.counts();
    assert_adds_up(&tally);
    (tally, causes)
}

/// The reference store never waits, so it can be written to from anywhere.
fn write(store: &MemoryStore, i: u64, value: &[u8]) {
    let name = record(i);
    let put = store.put(&name, &Slot::Whole, value, Expiry::Keep);
    put.now_or_never().expect("it does not wait").unwrap();
}

fn held(store: &MemoryStore, i: u64) -> Vec<u8> {
    let name = record(i);
    let held = store.get(&name, &Slot::Whole).now_or_never();
    held.expect("it does not wait")
        .unwrap()
        .expect("it is there")
}

fn open(stored: &[u8], i: u64) -> Vec<u8> {
    let sealer = sealer(Format::Sealed);
    let opened = sealer.open(stored, Binding::record(record(i).as_bytes()));
    opened.unwrap().expect("not empty").value.into_owned()
}

#[tokio::test]
async fn a_value_that_was_sealed_meanwhile_is_counted_as_raced_and_kept() {
    let store = plain_store(100).await;
    let newer = envelope(
        A,
        Format::Sealed,
        b"{}",
        Binding::record(record(3).as_bytes()),
    );
    let theirs = newer.clone();
    let (tally, causes) = against(store.clone(), move |_, store| write(store, 3, &theirs)).await;
    assert_eq!(
        (tally.done, tally.raced, tally.failed, causes.len()),
        (99, 1, 0, 0)
    );
    assert!(held(&store, 3) == newer);
}

#[tokio::test]
async fn a_value_that_was_written_plain_meanwhile_is_sealed_as_it_is_now() {
    let store = plain_store(100).await;
    let other = |before, store: &MemoryStore| {
        if before == 0 {
            write(store, 3, b"{\"newer\":true}");
        }
    };
    let (tally, _) = against(store.clone(), other).await;
    assert_eq!((tally.total, tally.done, tally.raced), (100, 100, 0));
    assert!(open(&held(&store, 3), 3) == b"{\"newer\":true}");
}

#[tokio::test]
async fn a_value_that_is_deleted_emptied_or_damaged_meanwhile_is_left_so() {
    let store = plain_store(100).await;
    let bad = damaged(envelope(A, Format::Sealed, b"{}", Binding::unbound()));
    let theirs = bad.clone();
    let other = move |_, store: &MemoryStore| {
        store.delete(&record(1)).now_or_never().unwrap().unwrap();
        write(store, 2, b"");
        write(store, 3, &theirs);
        store.delete(&record(4)).now_or_never().unwrap().unwrap();
        store.append(&record(4), &[plain(4)]).unwrap();
    };
    let (tally, causes) = against(store.clone(), other).await;
    assert_eq!(
        (tally.total, tally.done, tally.raced, tally.failed),
        (100, 96, 3, 1)
    );
    assert_eq!(causes, ["Failed to decrypt Redis data"]);
    assert!(held(&store, 2).is_empty() && held(&store, 3) == bad);
    assert_eq!(contents(&store).await.len(), 99);
}

#[tokio::test]
async fn a_value_that_changes_at_every_attempt_is_reported_and_not_changed() {
    let store = plain_store(100).await;
    let other = |before, store: &MemoryStore| {
        write(store, 3, format!("{{\"version\":{before}}}").as_bytes());
    };
    let (tally, causes) = against(store.clone(), other).await;
    assert_eq!((tally.total, tally.done, tally.failed), (100, 99, 1));
    assert_eq!(
        causes,
        ["changed by other writers again and again: skipped"]
    );
    assert!(held(&store, 3).starts_with(b"{\"version\":"));
}

#[tokio::test]
async fn elements_that_are_moved_by_pushes_while_they_are_replaced_are_sealed_once_each() {
    let store = Arc::new(MemoryStore::default());
    let element = |n: usize| format!("{{\"element\":{n}}}").into_bytes();
    let elements: Vec<_> = (0..1_200).map(element).collect();
    store.append(&record(0), &elements).unwrap();
    let pushed = AtomicBool::new(false);
    let other = move |_, store: &MemoryStore| {
        // A new head: the list is rewritten, one longer.
        if !pushed.swap(true, Ordering::Relaxed) {
            store.delete(&record(0)).now_or_never().unwrap().unwrap();
            store
                .append(&record(0), &[b"{\"head\":0}".to_vec()])
                .unwrap();
            store.append(&record(0), &elements).unwrap();
        }
    };
    let (tally, _) = against(store.clone(), other).await;
    assert_eq!((tally.total, tally.done, tally.failed), (1_201, 1_201, 0));
    let stored = contents(&store).await;
    assert_eq!(stored.len(), 1_201);
    for n in 0..=1_200 {
        let place = (record(0).as_bytes().to_vec(), format!("element {n}"));
        let expected = match n {
            0 => b"{\"head\":0}".to_vec(),
            n => element(n - 1),
        };
        assert!(open(&stored[&place].0, 0) == expected, "element {n}");
    }
}

/// Rewrites a list, as after pushes and pops of others.
fn rewrite(store: &MemoryStore, change: impl Fn(&mut Vec<Vec<u8>>)) {
    let name = record(0);
    let read = store
        .read_slots(&name, &Cursor::start(), usize::MAX)
        .now_or_never();
    let slots = read.expect("it does not wait").unwrap().slots;
    let mut elements: Vec<_> = slots.into_iter().map(|(_, element)| element).collect();
    change(&mut elements);
    store.delete(&name).now_or_never().unwrap().unwrap();
    store.append(&name, &elements).unwrap();
}

#[tokio::test]
async fn elements_that_move_to_pages_that_were_read_before_are_found_and_counted_once() {
    let element = |n: usize| format!("{{\"element\":{n}}}").into_bytes();
    // Before a page is read: a queue is consumed. Before a page is replaced: a new head.
    for (at, pages) in [(Call::ReadSlots, 4), (Call::Replace, 1)] {
        for length in [400, 1_700] {
            let store = Arc::new(MemoryStore::default());
            let elements: Vec<_> = (0..length).map(element).collect();
            store.append(&record(0), &elements).unwrap();
            let gate = Gate::new(store.clone(), move |call, before, store| {
                if call == at && (1..=pages).contains(&(before + usize::from(at == Call::Replace)))
                {
                    rewrite(store, |elements| match at {
                        Call::ReadSlots => drop(elements.drain(..7)),
                        _ => elements.insert(0, b"{\"head\":0}".to_vec()),
                    });
                }
                Rule::Pass
            });
            let sweep = sweep(gate, migrate(), batches_of(500));
            let tally = whole(&sweep).await;
            assert_adds_up(&tally);
            let held = contents(&store).await;
            assert!(
                held.values()
                    .all(|(value, _)| value.starts_with(&[0xF5, 0x57])),
                "{length}"
            );
            let values = held.values().map(|(value, _)| open(value, 0));
            let mut values: Vec<_> = values.collect();
            values.sort();
            values.dedup();
            assert_eq!(values.len(), held.len());
            assert_eq!(
                (tally.done, tally.failed),
                (length as u64 + u64::from(at == Call::Replace), 0)
            );
        }
    }
}
