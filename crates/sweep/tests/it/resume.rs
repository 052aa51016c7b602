//! Stopping, resuming, and starting again: each value is counted once, whatever happens in between.

use std::sync::Arc;

use futures_util::FutureExt;
use waxseal_stores::{Expiry, MemoryStore, RecordStore, Slot};
use waxseal_sweep::{Event, Position, Report, Stop, Sweep, Tally};

use super::gate::{Call, Gate, Rule, unavailable};
use super::records::{assert_sealed, mixed_store, plain_store, record};
use super::{assert_adds_up, batches_of, migrate, run, sweep, whole};

/// Runs until this many batches are done, and is then told to stop.
async fn run_for(sweep: &Sweep, from: Position, batches: usize) -> Report {
    let stop = Stop::default();
    let (mut left, halt) = (batches, stop.clone());
    let report = sweep
        .run(from, &stop, &mut |event| {
            if let Event::Progress { .. } = event {
                left = left.saturating_sub(1);
                if left == 0 {
                    halt.stop();
                }
            }
        })
        .await;
    report.expect("nothing interrupts it")
}

/// A position after a round trip through a checkpoint.
fn kept(position: &Position) -> Position {
    let text = serde_json::to_string(position).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// Copies the first records of one store into a new one.
async fn copy(from: &MemoryStore, count: u64) -> Arc<MemoryStore> {
    let store = MemoryStore::default();
    for i in 0..count {
        if let Some(value) = from.get(&record(i), &Slot::Whole).await.unwrap() {
            store
                .put(&record(i), &Slot::Whole, &value, Expiry::Persistent)
                .await
                .unwrap();
        }
    }
    Arc::new(store)
}

fn done_and_already(tally: &Tally) -> (u64, u64, u64) {
    assert_adds_up(tally);
    (tally.total, tally.done, tally.already)
}

#[tokio::test]
async fn a_sweep_that_is_stopped_returns_its_position_and_another_continues_from_there() {
    let store = mixed_store(1_000).await;
    let expected = whole(&sweep(mixed_store(1_000).await, migrate(), batches_of(20))).await;
    let sweep = sweep(store, migrate(), batches_of(20));
    let first = run_for(&sweep, Position::default(), 10).await;
    assert!(!first.complete && !first.position.finished);
    let counts = first.position.counts();
    assert_adds_up(&counts);
    assert!(counts.total > 0 && counts.total < expected.total);
    assert!((200..1_000).contains(&first.position.examined));
    assert!(!first.position.cursor.is_empty());

    let second = sweep
        .run(kept(&first.position), &Stop::default(), &mut |_| {})
        .await
        .unwrap();
    assert!(second.complete && second.position.finished);
    assert_eq!(second.position.examined, 1_000);
    let counts = second.position.counts();
    // The counts by class and by version are not kept in a checkpoint.
    let expected = Tally {
        groups: counts.groups.clone(),
        versions: counts.versions.clone(),
        ..expected
    };
    assert_eq!(counts, expected);
}

#[tokio::test]
async fn stopping_repeatedly_loses_nothing_and_counts_nothing_twice() {
    let store = plain_store(500).await;
    let sweep = sweep(store.clone(), migrate(), batches_of(10));
    let (mut position, mut runs) = (Position::default(), 0);
    loop {
        let report = run_for(&sweep, kept(&position), 1).await;
        position = report.position;
        runs += 1;
        assert!(runs < 100, "it does not come to an end");
        if report.complete {
            break;
        }
    }
    assert!(runs > 10);
    assert_eq!(done_and_already(&position.counts()), (500, 500, 0));
    assert_sealed(&store, 500).await;
}

#[tokio::test]
async fn a_sweep_that_was_told_to_stop_before_it_began_does_nothing() {
    let gate = Gate::new(plain_store(10).await, |_, _, _| Rule::Pass);
    let stop = Stop::default();
    stop.stop();
    let sweep = sweep(gate.clone(), migrate(), batches_of(5));
    let report = sweep
        .run(Position::default(), &stop, &mut |_| {})
        .await
        .unwrap();
    assert!(!report.complete);
    assert_eq!(
        (report.position.counts(), gate.calls(Call::Scan)),
        (Tally::default(), 0)
    );
}

#[tokio::test]
async fn the_end_of_a_sweep_is_not_taken_for_its_beginning() {
    let gate = Gate::new(plain_store(100).await, |_, _, _| Rule::Pass);
    let sweep = sweep(gate.clone(), migrate(), batches_of(10));
    let mut last = Position::default();
    let report = sweep
        .run(Position::default(), &Stop::default(), &mut |event| {
            if let Event::Progress { position, .. } = event {
                last = position.clone();
            }
        })
        .await;
    let report = report.unwrap();
    // The last checkpoint is the end, and says so.
    assert_eq!(kept(&last), kept(&report.position));
    assert!(last.finished && last.cursor.is_empty());
    let scans = gate.calls(Call::Scan);
    let again = sweep
        .run(kept(&last), &Stop::default(), &mut |_| {})
        .await
        .unwrap();
    assert!(again.complete);
    assert_eq!(done_and_already(&again.position.counts()), (100, 100, 0));
    assert_eq!(gate.calls(Call::Scan), scans);
}

#[tokio::test]
async fn a_position_of_a_sweep_that_had_not_finished_any_batch_is_a_beginning() {
    let store = plain_store(30).await;
    let old = r#"{"generation":"","cursor":"","examined":0,"tally":
        {"total":0,"done":0,"already":0,"empty":0,"raced":0,"failed":0,"skipped":{}}}"#;
    let position: Position = serde_json::from_str(old).unwrap();
    assert_eq!(position, Position::default());
    let sweep = sweep(store, migrate(), batches_of(10));
    let report = sweep
        .run(position, &Stop::default(), &mut |_| {})
        .await
        .unwrap();
    assert_eq!(done_and_already(&report.position.counts()), (30, 30, 0));
}

#[tokio::test]
async fn a_position_in_another_generation_of_the_store_starts_again_and_counts_nothing_twice() {
    let store = plain_store(500).await;
    let first = sweep(store.clone(), migrate(), batches_of(20));
    let position = run_for(&first, Position::default(), 8).await.position;
    let before = position.counts();
    assert!(before.done > 0 && before.done < 500);

    let other = copy(&store, 500).await;
    let second = sweep(other.clone(), migrate(), batches_of(20));
    let mut restarts = 0;
    let mut watch = |event: Event<'_>| match event {
        Event::Restarted => restarts += 1,
        Event::Progress { position, .. } => {
            assert!(position.counts().done >= before.done);
            assert_adds_up(&position.counts());
        }
        _ => {}
    };
    let report = run(&second, kept(&position), &mut watch).await;
    assert_eq!((restarts, report.complete), (1, true));
    assert_eq!(done_and_already(&report.position.counts()), (500, 500, 0));
    assert_sealed(&other, 500).await;
}

#[tokio::test]
async fn a_finished_position_in_another_generation_starts_again() {
    let first = sweep(plain_store(50).await, migrate(), batches_of(20));
    let finished = run(&first, Position::default(), &mut |_| {}).await.position;
    assert!(finished.finished);
    // As restored from a backup that is older than the sweep.
    let restored = plain_store(60).await;
    let second = sweep(restored.clone(), migrate(), batches_of(20));
    let report = run(&second, finished, &mut |_| {}).await;
    assert!(report.complete);
    assert_sealed(&restored, 60).await;
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_replaced_under_a_running_sweep_is_swept_from_the_beginning() {
    for fails in [Call::Scan, Call::Read, Call::Replace] {
        let first = plain_store(400).await;
        let gate = Gate::new(first.clone(), move |call, before, _| {
            if call == fails && before == 7 {
                return Rule::Refuse(unavailable());
            }
            Rule::Pass
        });
        let sweep = sweep(gate.clone(), migrate(), batches_of(20));
        let (mut second, mut restarts) = (None, 0);
        let mut watch = |event: Event<'_>| match event {
            Event::Waiting(_) => {
                // Writes until now have reached the new store.
                let copied = copy(&first, 400).now_or_never();
                let copied = copied.expect("the reference store does not wait");
                gate.replace_store(copied.clone());
                second = Some(copied);
            }
            Event::Restarted => restarts += 1,
            _ => {}
        };
        let report = run(&sweep, Position::default(), &mut watch).await;
        assert_eq!((restarts, report.complete), (1, true));
        assert_eq!(done_and_already(&report.position.counts()), (400, 400, 0));
        assert_sealed(&second.expect("it went away"), 400).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_replaced_between_two_calls_is_detected_at_the_end() {
    let first = plain_store(400).await;
    let gate = Gate::new(first.clone(), |_, _, _| Rule::Pass);
    let sweep = sweep(gate.clone(), migrate(), batches_of(20));
    let (mut second, mut restarts) = (None, 0);
    let mut watch = |event: Event<'_>| match event {
        Event::Progress { position, .. } if second.is_none() && position.tally.done >= 100 => {
            // As restored from a backup of before the sweep: nothing in it is sealed, and no call fails.
            let restored = plain_store(400).now_or_never();
            let restored = restored.expect("the reference store does not wait");
            gate.replace_store(restored.clone());
            second = Some(restored);
        }
        Event::Restarted => restarts += 1,
        _ => {}
    };
    let report = run(&sweep, Position::default(), &mut watch).await;
    assert_eq!((restarts, report.complete), (1, true));
    assert_sealed(&second.expect("it was replaced"), 400).await;
}
