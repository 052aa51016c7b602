//! Applications that go on writing, and another sweep: no update is lost, and every value is counted
//! once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::task::JoinHandle;
use waxseal_core::{Binding, Format, Sealer};
use waxseal_stores::{Expiry, RecordName, RecordStore, Slot};
use waxseal_sweep::{Event, Position, Stop, SweepOptions};
use waxseal_testing::{Flavor, RedisServer};

use super::super::{assert_adds_up, batches_of, migrate, run, sealer, sweep, whole};
use super::{connect, fill, is_sealed, open, server};

const RECORDS: u64 = 3_000;
const SERVERS: [Flavor; 2] = [Flavor::System, Flavor::Valkey];

fn name(i: u64) -> RecordName {
    RecordName::from(format!("wa:{i}"))
}

/// An application that rewrites all records in turn, each with a newer version, and before each
/// write looks whether the last one is still there.
struct Writer {
    ended: Arc<AtomicBool>,
    writes: Arc<AtomicU64>,
    /// The version of each record that was written last.
    task: JoinHandle<Vec<u64>>,
}

impl Writer {
    /// Writes plain values, or with a sealer sealed ones.
    async fn start(server: &RedisServer, sealer: Option<Sealer>) -> Self {
        let store = connect(server).await;
        let (ended, writes) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicU64::new(0)),
        );
        let (end, count) = (ended.clone(), writes.clone());
        let task = tokio::spawn(async move {
            let mut versions = vec![0; RECORDS as usize];
            while !end.load(Ordering::Relaxed) {
                for (i, version) in (0..).zip(&mut versions) {
                    let name = name(i);
                    let place = Binding::record(name.as_bytes());
                    if *version > 0 {
                        let held = store.get(&name, &Slot::Whole).await.unwrap().unwrap();
                        assert_eq!(open(&held, place), value(i, *version));
                    }
                    *version += 1;
                    let mut stored = value(i, *version);
                    if let Some(sealer) = &sealer {
                        stored = sealer.seal(&stored, place).unwrap();
                    }
                    store
                        .put(&name, &Slot::Whole, &stored, Expiry::Keep)
                        .await
                        .unwrap();
                    count.fetch_add(1, Ordering::Relaxed);
                }
            }
            versions
        });
        Self {
            ended,
            writes,
            task,
        }
    }

    async fn end(self) -> Vec<u64> {
        self.ended.store(true, Ordering::Relaxed);
        self.task.await.expect("it met nothing unexpected")
    }
}

fn value(i: u64, version: u64) -> Vec<u8> {
    format!("{{\"record\":{i},\"version\":{version}}}").into_bytes()
}

/// Migrates until the writer has been through all records three times.
async fn migrate_against(server: &RedisServer, writer: Writer) -> Vec<u64> {
    let sweep = sweep(connect(server).await, migrate(), batches_of(100));
    while writer.writes.load(Ordering::Relaxed) < 3 * RECORDS && !writer.task.is_finished() {
        let tally = whole(&sweep).await;
        assert_adds_up(&tally);
        assert_eq!(tally.total, RECORDS);
        // Five changes of one value, each between a look and a replacement, are next to impossible.
        assert!(tally.failed * 100 <= tally.total, "{tally:?}");
    }
    writer.end().await
}

async fn assert_holds(server: &RedisServer, versions: &[u64], sealed: bool) {
    let store = connect(server).await;
    for (i, version) in (0..).zip(versions) {
        let name = name(i);
        let stored = store.get(&name, &Slot::Whole).await.unwrap().unwrap();
        let opened = open(&stored, Binding::record(name.as_bytes()));
        assert_eq!(
            opened,
            value(i, *version),
            "an update of record {i} was lost"
        );
        assert!(is_sealed(&stored) || !sealed);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_update_of_an_application_that_writes_plain_values_is_lost() {
    for flavor in SERVERS {
        let server = server(flavor);
        fill(&server, RECORDS);
        let writer = Writer::start(&server, None).await;
        let versions = migrate_against(&server, writer).await;
        assert_holds(&server, &versions, false).await;
        // Nobody writes any more: now all of it becomes sealed.
        let tally = whole(&sweep(
            connect(&server).await,
            migrate(),
            SweepOptions::default(),
        ))
        .await;
        assert_eq!((tally.total, tally.raced, tally.failed), (RECORDS, 0, 0));
        assert_holds(&server, &versions, true).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_update_of_an_application_that_seals_is_lost() {
    for flavor in SERVERS {
        let server = server(flavor);
        fill(&server, RECORDS);
        let writer = Writer::start(&server, Some(sealer(Format::Sealed))).await;
        let versions = migrate_against(&server, writer).await;
        assert_holds(&server, &versions, true).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_sweeps_at_once_replace_every_value_exactly_once() {
    for flavor in SERVERS {
        let server = server(flavor);
        fill(&server, 5_000);
        let one = sweep(connect(&server).await, migrate(), batches_of(50));
        let other = sweep(connect(&server).await, migrate(), batches_of(70));
        let (one, other) = tokio::join!(
            tokio::spawn(async move { whole(&one).await }),
            tokio::spawn(async move { whole(&other).await }),
        );
        let (one, other) = (one.unwrap(), other.unwrap());
        for tally in [&one, &other] {
            assert_adds_up(tally);
            assert_eq!((tally.total, tally.failed), (5_000, 0));
        }
        assert_eq!(one.done + other.done, 5_000);
        let store = connect(&server).await;
        for i in 0..5_000 {
            let stored = store.get(&name(i), &Slot::Whole).await.unwrap().unwrap();
            assert!(is_sealed(&stored));
            let opened = open(&stored, Binding::record(name(i).as_bytes()));
            assert_eq!(opened, format!("{{\"record\":{i}}}").into_bytes());
        }
        let third = whole(&sweep(store, migrate(), batches_of(500))).await;
        assert_eq!((third.total, third.already), (5_000, 5_000));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_and_started_again_is_gone_through_again_and_nothing_twice() {
    for flavor in SERVERS {
        let mut server = RedisServer::builder().flavor(flavor).append_only().start();
        fill(&server, RECORDS);
        let sweep = sweep(connect(&server).await, migrate(), batches_of(50));
        let (mut batches, mut waits, mut restarts) = (0, 0, 0);
        let mut watch = |event: Event<'_>| match event {
            Event::Progress { position, .. } => {
                assert_adds_up(&position.counts());
                batches += 1;
                if batches == 20 {
                    server.restart();
                }
            }
            Event::Waiting(_) => waits += 1,
            Event::Restarted => restarts += 1,
            Event::Finding(_) => {}
        };
        let report = run(&sweep, Position::default(), &mut watch).await;
        assert!(report.complete && waits > 0);
        assert_eq!(restarts, 1);
        let tally = report.position.counts();
        assert_adds_up(&tally);
        assert_eq!((tally.total, tally.failed, tally.raced), (RECORDS, 0, 0));
        // Three batches at most were replaced without an answer that said so.
        assert!(tally.already <= 150, "{tally:?}");
        let third = whole(&sweep).await;
        assert_eq!((third.total, third.already), (RECORDS, RECORDS));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_that_is_stopped_goes_on_from_its_position_on_the_same_server() {
    for flavor in SERVERS {
        let server = server(flavor);
        fill(&server, RECORDS);
        let (mut position, mut runs) = (Position::default(), 0);
        while !position.finished {
            let sweep = sweep(connect(&server).await, migrate(), batches_of(100));
            let stop = Stop::default();
            let halt = stop.clone();
            let mut watch = |event: Event<'_>| match event {
                Event::Restarted => panic!("it is the same server"),
                _ => halt.stop(),
            };
            position = sweep
                .run(position, &stop, &mut watch)
                .await
                .unwrap()
                .position;
            runs += 1;
        }
        assert!(runs > 5);
        let tally = position.counts();
        assert_eq!((tally.total, tally.done), (RECORDS, RECORDS));
    }
}
