//! A store that goes away, comes back, stays away or is full; a key that seals no more; a sweep that
//! is dropped. Time is turned by hand here.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::time::Instant;
use waxseal_core::SealError;
use waxseal_stores::{MemoryStore, StoreError};
use waxseal_sweep::{
    Event, Interrupted, Position, Stop, Sweep, SweepError, SweepOptions, Task, Value, Verdict,
};

use super::gate::{Call, Gate, Rule, unavailable};
use super::records::{assert_sealed, contents, plain, plain_store, record};
use super::{A, assert_adds_up, batches_of, id, migrate, run, sweep, whole};

const FULL: StoreError = StoreError::Full {
    what: "the server reached maxmemory",
};

/// The result of a sweep, its duration, and the number of waits.
async fn interrupted(sweep: &Sweep) -> (Interrupted, Duration, u32) {
    let (started, mut waits) = (Instant::now(), 0);
    let end = sweep
        .run(Position::default(), &Stop::default(), &mut |event| {
            waits += u32::from(matches!(event, Event::Waiting(_)));
        })
        .await;
    let end = end.expect_err("it cannot come to its end");
    (end, started.elapsed(), waits)
}

/// Goes on from there on a store without faults, and asserts that each value was counted once.
async fn assert_goes_on(store: Arc<MemoryStore>, from: Position, count: u64) {
    assert_adds_up(&from.counts());
    let report = run(
        &sweep(store.clone(), migrate(), batches_of(20)),
        from,
        &mut |_| {},
    )
    .await;
    let tally = report.position.counts();
    assert_eq!((tally.total, tally.done, tally.already), (count, count, 0));
    assert_sealed(&store, count).await;
}

#[tokio::test(start_paused = true)]
async fn a_store_that_goes_away_for_a_while_is_waited_for_and_no_count_is_lost() {
    let calls = [Call::Status, Call::Scan, Call::Read, Call::Replace];
    for (fails, at) in calls
        .into_iter()
        .flat_map(|call| [(call, 0), (call, 5), (call, 19)])
    {
        let store = plain_store(400).await;
        let gate = Gate::new(store.clone(), move |call, before, _| {
            if call == fails && (at..at + 4).contains(&before) {
                return Rule::Refuse(unavailable());
            }
            Rule::Pass
        });
        let sweep = sweep(gate.clone(), migrate(), batches_of(20));
        let mut waits = 0;
        let report = run(&sweep, Position::default(), &mut |event| {
            waits += u32::from(matches!(event, Event::Waiting(_)));
        })
        .await;
        let tally = report.position.counts();
        assert!(report.complete);
        assert_eq!(
            (tally.total, tally.done, tally.already),
            (400, 400, 0),
            "{fails:?} {at}"
        );
        // The state is asked for once, and once more after each fault.
        assert_eq!(waits > 0, gate.calls(fails) > at, "{fails:?} {at}");
        assert_sealed(&store, 400).await;
    }
}

#[tokio::test(start_paused = true)]
async fn hash_and_list_records_that_were_half_done_are_not_counted_twice() {
    let store = Arc::new(MemoryStore::default());
    for i in 0..15 {
        store
            .append(&record(i), &vec![b"{}".to_vec(); 1_200])
            .unwrap();
    }
    let gate = Gate::new(store, |call, before, _| {
        if call == Call::ReadSlots && [10, 29, 50].contains(&before) {
            return Rule::Refuse(unavailable());
        }
        Rule::Pass
    });
    let tally = whole(&sweep(gate.clone(), migrate(), batches_of(5))).await;
    assert!(gate.calls(Call::ReadSlots) > 50);
    assert_eq!(
        (tally.total, tally.done, tally.already),
        (18_000, 18_000, 0)
    );
}

#[tokio::test(start_paused = true)]
async fn a_replacement_whose_answer_was_lost_is_still_one_value() {
    let store = plain_store(400).await;
    let gate = Gate::new(store.clone(), |call, before, _| {
        if call == Call::Replace && before == 5 {
            return Rule::Lose(unavailable());
        }
        Rule::Pass
    });
    let tally = whole(&sweep(gate, migrate(), batches_of(20))).await;
    assert_adds_up(&tally);
    // The replacement of those was not confirmed: they are found as already done.
    assert_eq!((tally.total, tally.done, tally.already), (400, 380, 20));
    assert_sealed(&store, 400).await;
}

#[tokio::test(start_paused = true)]
async fn a_store_that_stays_away_interrupts_the_sweep_after_the_reconnect_timeout() {
    let calls = [Call::Status, Call::Scan, Call::Read, Call::Replace];
    for (fails, reconnect_timeout) in calls.into_iter().flat_map(|call| [(call, 0), (call, 30)]) {
        let store = plain_store(400).await;
        let started = Instant::now();
        let gate = Gate::new(store.clone(), move |call, before, _| match call {
            // Time goes by, so that it has begun when the store goes away.
            Call::Scan if before < 10 => Rule::Delay(Duration::from_millis(100)),
            _ if call == fails && started.elapsed() > Duration::from_millis(700) => {
                Rule::Refuse(unavailable())
            }
            Call::Read if before == 6 => Rule::Refuse(unavailable()),
            _ => Rule::Pass,
        });
        let mut options = batches_of(20);
        options.reconnect_timeout = Duration::from_secs(reconnect_timeout);
        let (end, took, waits) = interrupted(&sweep(gate, migrate(), options)).await;
        assert_eq!(end.error, SweepError::Store(unavailable()), "{fails:?}");
        assert!(waits > 0);
        assert!(took >= Duration::from_secs(reconnect_timeout), "{took:?}");
        assert!(
            took < Duration::from_secs(reconnect_timeout + 5),
            "{took:?}"
        );
        let counts = end.position.counts();
        assert!(counts.done > 0 && counts.done < 400, "{fails:?} {counts:?}");
        assert_goes_on(store, *end.position, 400).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_another_one_after_every_pass_ends_the_sweep_with_a_reason() {
    let gate = Gate::new(plain_store(10).await, |_, _, _| Rule::Pass);
    let sweep = sweep(gate.clone(), migrate(), batches_of(20));
    let mut watch = |event: Event<'_>| {
        if matches!(event, Event::Progress { .. }) {
            // Each has a generation of its own.
            let other = plain_store(10).now_or_never();
            gate.replace_store(other.expect("the reference store does not wait"));
        }
    };
    let stop = Stop::default();
    let end = sweep.run(Position::default(), &stop, &mut watch).await;
    let error = end.expect_err("it has no end").error;
    assert_eq!(error, SweepError::LostInEveryPass { passes: 8 });
    assert_eq!(
        error.to_string(),
        "the connection to the store was lost in each of 8 passes over its records, and the store does not tell \
         whether it was restarted (INFO)"
    );
}

#[tokio::test(start_paused = true)]
async fn a_store_that_was_never_there_is_waited_for_as_well() {
    let gate = Gate::new(plain_store(10).await, |_, _, _| Rule::Refuse(unavailable()));
    let (end, took, waits) = interrupted(&sweep(gate, migrate(), SweepOptions::default())).await;
    assert_eq!((end.error, waits), (SweepError::Store(unavailable()), 1));
    assert!(took >= SweepOptions::default().reconnect_timeout);
    assert_eq!(*end.position, Position::default());
}

#[tokio::test(start_paused = true)]
async fn a_sweep_that_waits_for_its_store_stops_when_it_is_told_to() {
    let gate = Gate::new(plain_store(10).await, |_, _, _| Rule::Refuse(unavailable()));
    let (stop, started) = (Stop::default(), Instant::now());
    let halt = stop.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(10)).await;
        halt.stop();
    });
    let sweep = sweep(gate, migrate(), SweepOptions::default());
    let report = sweep
        .run(Position::default(), &stop, &mut |_| {})
        .await
        .unwrap();
    assert!(!report.complete);
    assert!(started.elapsed() < Duration::from_secs(11));
}

#[tokio::test(start_paused = true)]
async fn a_full_store_interrupts_at_once_and_what_was_begun_comes_to_its_end() {
    let store = plain_store(400).await;
    let gate = Gate::new(store.clone(), |call, before, _| match (call, before) {
        (Call::Replace, 4) => Rule::Refuse(FULL),
        // Batches that are still at work when the store is full.
        (Call::Replace, 5..) => Rule::Delay(Duration::from_secs(3)),
        _ => Rule::Pass,
    });
    let sweep = sweep(gate.clone(), migrate(), batches_of(20));
    let (end, took, waits) = interrupted(&sweep).await;
    assert_eq!((end.error, waits), (SweepError::Store(FULL), 0));
    assert!(took < Duration::from_secs(4), "{took:?}");
    let counts = end.position.counts();
    // Four batches before the fault, and the two that were at work behind it.
    assert_eq!((counts.total, counts.done), (120, 120));
    let (left, calls) = (contents(&store).await, gate.calls(Call::Replace));
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(contents(&store).await == left && gate.calls(Call::Replace) == calls);
    assert_goes_on(store, *end.position, 400).await;
}

#[tokio::test(start_paused = true)]
async fn a_full_store_is_told_even_where_another_batch_was_cut_off_first() {
    let gate = Gate::new(plain_store(400).await, |call, before, _| {
        match (call, before) {
            (Call::Replace, 4) => Rule::Refuse(unavailable()),
            (Call::Replace, 5..) => Rule::Refuse(FULL),
            _ => Rule::Pass,
        }
    });
    let (end, _, waits) = interrupted(&sweep(gate, migrate(), batches_of(20))).await;
    assert_eq!((end.error, waits), (SweepError::Store(FULL), 0));
}

/// Migrates until the key has sealed so many values.
struct Exhausted(Arc<dyn Task>, AtomicU64);

impl Task for Exhausted {
    fn judge(&self, value: &Value<'_>) -> Result<Verdict, SealError> {
        if self.1.fetch_add(1, Ordering::Relaxed) >= 150 {
            return Err(SealError::KeyExhausted { id: id(A) });
        }
        self.0.judge(value)
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_that_seals_no_more_ends_the_sweep_and_another_key_goes_on() {
    let store = plain_store(400).await;
    let task = Arc::new(Exhausted(migrate(), AtomicU64::new(0)));
    let (end, _, waits) = interrupted(&sweep(store.clone(), task, batches_of(20))).await;
    let exhausted = SealError::KeyExhausted { id: id(A) };
    assert_eq!((end.error, waits), (SweepError::Seal(exhausted), 0));
    assert_eq!(end.position.counts().done, 140);
    assert_goes_on(store, *end.position, 400).await;
}

#[tokio::test(start_paused = true)]
async fn a_sweep_that_is_dropped_writes_no_more() {
    let store = plain_store(400).await;
    let gate = Gate::new(store.clone(), |call, _, _| match call {
        Call::Replace => Rule::Delay(Duration::from_secs(1)),
        _ => Rule::Pass,
    });
    let sweep = sweep(gate, migrate(), batches_of(20));
    let stop = Stop::default();
    let watch: &mut (dyn FnMut(Event<'_>) + Send) = &mut |_| {};
    let limit = Duration::from_millis(3_500);
    let dropped = tokio::time::timeout(limit, sweep.run(Position::default(), &stop, watch)).await;
    assert!(dropped.is_err());
    let left = contents(&store).await;
    assert!(left.values().any(|(value, _)| value.starts_with(&[0xF5])));
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(contents(&store).await == left);
}

/// Cannot judge one of the values.
struct Panics(Arc<dyn Task>);

impl Task for Panics {
    fn judge(&self, value: &Value<'_>) -> Result<Verdict, SealError> {
        assert!(value.stored != plain(77), "a defect of the task");
        self.0.judge(value)
    }
}

#[tokio::test]
#[should_panic(expected = "a defect of the task")]
async fn a_panic_in_a_task_is_not_hidden() {
    let task = Arc::new(Panics(migrate()));
    whole(&sweep(plain_store(100).await, task, batches_of(10))).await;
}

#[tokio::test]
async fn a_sweep_can_be_given_to_another_thread() {
    let store = plain_store(100).await;
    let sweep = sweep(store, migrate(), batches_of(10));
    let report = tokio::spawn(async move { whole(&sweep).await })
        .await
        .unwrap();
    assert_eq!(report.done, 100);
}
