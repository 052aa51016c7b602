//! The limits that an operator sets: the rate, the latency of other clients, and how much is held at
//! a time. Time is turned by hand here: nothing is said about the speed of this machine.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::Instant;
use waxseal_core::SealError;
use waxseal_stores::{MemoryStore, RecordName, Slot};
use waxseal_sweep::{Class, Event, Position, Stop, SweepOptions, Task, Value, Verdict};

use super::gate::{Call, Gate, Rule, unavailable};
use super::records::{plain, plain_store, put, record};
use super::{batches_of, migrate, run, sweep, whole};

fn at_rate(rate: u32) -> SweepOptions {
    SweepOptions {
        max_rate: Some(rate),
        ..SweepOptions::default()
    }
}

/// When how many values were done.
async fn times(sweep: &waxseal_sweep::Sweep) -> Vec<(Duration, u64)> {
    let started = Instant::now();
    let mut times = Vec::new();
    let report = run(sweep, Position::default(), &mut |event| {
        if let Event::Progress { position, .. } = event {
            times.push((started.elapsed(), position.counts().total));
        }
    })
    .await;
    assert!(report.complete);
    times
}

/// At no time more than the rate allows since any time before, but for what is on its way.
fn assert_within(rate: u64, times: &[(Duration, u64)], on_its_way: u64) {
    for (index, (from, before)) in times.iter().enumerate() {
        for (until, total) in &times[index..] {
            let allowed = (*until - *from).as_secs_f64() * rate as f64;
            assert!(
                (total - before) as f64 <= allowed + on_its_way as f64,
                "{before} at {from:?}, {total} at {until:?}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_rate_is_kept_and_used() {
    for rate in [100, 250, 5_000] {
        let store = plain_store(1_000).await;
        let times = times(&sweep(store, migrate(), at_rate(rate))).await;
        assert_within(rate.into(), &times, u64::from(rate / 10).min(500) * 3);
        let (end, total) = *times.last().unwrap();
        assert_eq!(total, 1_000);
        let due = Duration::from_secs_f64(1_000.0 / f64::from(rate));
        assert!(end <= due, "{end:?} at {rate} a second");
        assert!(end >= due.mul_f64(0.5), "{end:?} at {rate} a second");
        // No rushes with long pauses in between.
        assert!(rate > 1_000 || times.len() >= 10, "{} batches", times.len());
    }
}

#[tokio::test(start_paused = true)]
async fn the_lowest_rate_of_all_is_a_value_a_second() {
    for rate in [0, 1] {
        let store = plain_store(20).await;
        let times = times(&sweep(store, migrate(), at_rate(rate))).await;
        assert_within(1, &times, 3);
        assert!(times.last().unwrap().0 >= Duration::from_secs(15));
    }
}

#[tokio::test(start_paused = true)]
async fn a_rate_counts_the_values_in_a_record() {
    let store = Arc::new(MemoryStore::default());
    for i in 0..20 {
        store.append(&record(i), &vec![plain(i); 100]).unwrap();
    }
    let times = times(&sweep(store, migrate(), at_rate(50))).await;
    assert_within(50, &times, 5 * 100 * 3);
    let (end, total) = *times.last().unwrap();
    assert_eq!(total, 2_000);
    assert!(end >= Duration::from_secs(20), "{end:?}");
}

#[tokio::test(start_paused = true)]
async fn time_in_which_the_store_was_away_is_not_made_up_for() {
    let started = Instant::now();
    let gate = Gate::new(plain_store(2_000).await, move |_, _, _| {
        match started.elapsed().as_secs() {
            5..35 => Rule::Refuse(unavailable()),
            _ => Rule::Pass,
        }
    });
    let times = times(&sweep(gate, migrate(), at_rate(100))).await;
    assert_eq!(times.last().unwrap().1, 2_000);
    let after: Vec<_> = times
        .into_iter()
        .filter(|(at, _)| at.as_secs() >= 35)
        .collect();
    assert!(after.len() > 10);
    assert_within(100, &after, 30);
}

#[tokio::test(start_paused = true)]
async fn a_sweep_that_waits_for_its_rate_stops_soon_when_it_is_told_to() {
    let store = Arc::new(MemoryStore::default());
    for i in 0..5 {
        store.append(&record(i), &vec![plain(i); 1_000]).unwrap();
    }
    let sweep = sweep(store, migrate(), at_rate(1));
    let (stop, started) = (Stop::default(), Instant::now());
    let halt = stop.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(60)).await;
        halt.stop();
    });
    let report = sweep
        .run(Position::default(), &stop, &mut |_| {})
        .await
        .unwrap();
    assert!(!report.complete);
    assert!(
        started.elapsed() < Duration::from_secs(62),
        "{:?}",
        started.elapsed()
    );
}

/// Reading takes a moment, so that time goes by; pings take longer from the 3rd to the 9th.
fn busy(store: Arc<MemoryStore>, ping: Duration) -> Arc<Gate> {
    Gate::new(store, move |call, before, _| match call {
        Call::Read => Rule::Delay(Duration::from_millis(20)),
        Call::Ping if (3..10).contains(&before) => Rule::Delay(ping),
        _ => Rule::Pass,
    })
}

#[tokio::test(start_paused = true)]
async fn a_sweep_slows_down_while_other_clients_wait_and_says_so() {
    for (limit, ping, slows) in [(50, 80, true), (50, 40, false), (0, 80, true)] {
        let gate = busy(plain_store(2_000).await, Duration::from_millis(ping));
        let mut options = batches_of(10);
        options.max_latency = Some(Duration::from_millis(limit));
        let (mut slowed, mut last) = (Vec::new(), Instant::now());
        let sweep = sweep(gate.clone(), migrate(), options);
        let mut longest = Duration::ZERO;
        let report = run(&sweep, Position::default(), &mut |event| {
            if let Event::Progress { slowed: now, .. } = event {
                slowed.push(now);
                longest = longest.max(last.elapsed());
                last = Instant::now();
            }
        })
        .await;
        assert!(report.complete);
        assert!(gate.calls(Call::Ping) > 10);
        assert_eq!(slowed.iter().any(|slowed| *slowed), slows, "{limit} ms");
        assert!(!slowed[0] && !slowed[slowed.len() - 1], "{limit} ms");
        // The pause doubled with each slow answer: 5 ms, and 320 ms at the seventh.
        assert_eq!(longest > Duration::from_millis(300), slows, "{longest:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_limit_on_latency_the_store_is_not_asked_for_it() {
    let gate = busy(plain_store(500).await, Duration::from_secs(1));
    let mut options = batches_of(10);
    options.max_latency = None;
    whole(&sweep(gate.clone(), migrate(), options)).await;
    assert_eq!(gate.calls(Call::Ping), 0);
}

/// Counts the values that are held: those that were read and not yet settled.
struct Holding(Arc<AtomicU64>);

impl Task for Holding {
    fn judge(&self, _: &Value<'_>) -> Result<Verdict, SealError> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(Verdict::Keep(Class::Plain))
    }
}

#[tokio::test(start_paused = true)]
async fn three_batches_at_most_are_held_at_a_time_however_slow_the_first_one_is() {
    let scanned = Arc::new(AtomicUsize::new(0));
    let count = scanned.clone();
    let gate = Gate::new(
        plain_store(1_000).await,
        move |call, before, _| match call {
            Call::Scan => {
                count.fetch_add(1, Ordering::Relaxed);
                Rule::Pass
            }
            // Each fourth batch is slow.
            Call::Read if before % 4 == 0 => Rule::Delay(Duration::from_secs(5)),
            _ => Rule::Pass,
        },
    );
    let judged = Arc::new(AtomicU64::new(0));
    let sweep = sweep(gate, Arc::new(Holding(judged.clone())), batches_of(10));
    let (mut settled, mut most) = (0, 0);
    let report = run(&sweep, Position::default(), &mut |event| {
        if let Event::Progress { position, .. } = event {
            let ahead = judged.load(Ordering::Relaxed) - (position.counts().total - 10);
            assert!(ahead <= 30, "{ahead} values are held");
            let batches = scanned.load(Ordering::Relaxed) - settled;
            assert!(batches <= 3, "{batches} batches are held");
            settled += 1;
            most = most.max(batches);
        }
    })
    .await;
    assert!(report.complete);
    assert_eq!(most, 3);
}

#[tokio::test]
async fn a_large_record_is_never_read_whole() {
    let store = Arc::new(MemoryStore::default());
    let (hash, list) = (RecordName::from("wa:hash"), RecordName::from("wa:list"));
    for n in 0..2_000 {
        let field = Slot::Field(format!("{n}").into_bytes());
        put(&store, &hash, &field, b"{}").await;
    }
    store.append(&list, &vec![b"{}".to_vec(); 2_000]).unwrap();
    let gate = Gate::new(store, |_, _, _| Rule::Pass);
    let tally = whole(&sweep(gate.clone(), migrate(), SweepOptions::default())).await;
    assert_eq!((tally.total, tally.done), (4_000, 4_000));
    assert!(gate.calls(Call::ReadSlots) >= 8);
    assert!(gate.calls(Call::Replace) >= 8);
}
