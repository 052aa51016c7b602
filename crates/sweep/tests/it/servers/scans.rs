//! Exact counts although the server's table of names grows or shrinks under the scan.

use waxseal_stores::{Cursor, RecordPattern, RecordStore};
use waxseal_sweep::{Event, Position, SweepOptions, Tally};
use waxseal_testing::{Flavor, RedisServer};

use super::super::{batches_of, migrate, run, sweep, whole};
use super::{connect, fill, send, server};

/// Other records, so many at a time.
fn others(server: &RedisServer, command: &str, numbers: std::ops::Range<u64>) {
    let line = |n: u64| match command {
        "SET" => vec!["SET".to_owned(), format!("other:{n}"), "x".to_owned()],
        _ => vec![command.to_owned(), format!("other:{n}")],
    };
    send(server, &numbers.map(line).collect::<Vec<_>>());
}

/// Migrates `wa:*` in pages of so many, and does something to the server after each.
async fn while_busy(
    server: &RedisServer,
    batch: usize,
    mut meanwhile: impl FnMut(u64) + Send,
) -> Tally {
    let sweep = sweep(connect(server).await, migrate(), batches_of(batch));
    let mut page = 0;
    let mut watch = |event: Event<'_>| {
        if let Event::Progress { .. } = event {
            page += 1;
            meanwhile(page);
        }
    };
    let report = run(&sweep, Position::default(), &mut watch).await;
    assert!(report.complete && page > 3);
    report.position.counts()
}

fn exactly(count: u64) -> Tally {
    Tally {
        total: count,
        done: count,
        ..Tally::default()
    }
}

#[track_caller]
fn assert_exactly(tally: &Tally, count: u64) {
    assert_eq!(tally.versions.values().sum::<u64>(), count);
    let counted = Tally {
        groups: exactly(0).groups,
        versions: exactly(0).versions,
        ..tally.clone()
    };
    assert_eq!(counted, exactly(count));
}

#[tokio::test(flavor = "multi_thread")]
async fn forty_two_records_are_forty_two_while_the_keyspace_doubles_again_and_again() {
    for flavor in Flavor::ALL {
        let server = server(flavor);
        fill(&server, 42);
        let mut next = 0;
        let tally = while_busy(&server, 5, |_| {
            if next < 20_000 {
                others(&server, "SET", next..next + 1_000);
                next += 1_000;
            }
        });
        assert_exactly(&tally.await, 42);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn five_thousand_records_are_five_thousand_while_the_keyspace_doubles() {
    for flavor in Flavor::ALL {
        let server = server(flavor);
        fill(&server, 5_000);
        let mut next = 0;
        let tally = while_busy(&server, 100, |_| {
            if next < 15_000 {
                others(&server, "SET", next..next + 500);
                next += 500;
            }
        });
        assert_exactly(&tally.await, 5_000);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn records_are_counted_once_although_a_shrinking_keyspace_names_some_of_them_twice() {
    for flavor in Flavor::ALL {
        let server = server(flavor);
        fill(&server, 5_000);
        others(&server, "SET", 0..100_000);
        let tally = while_busy(&server, 100, |page| {
            if page == 400 {
                others(&server, "DEL", 0..100_000);
                // The server looks at its tables ten times a second, and moves on with each command.
                std::thread::sleep(std::time::Duration::from_secs(1));
                others(&server, "EXISTS", 0..20_000);
            }
        });
        assert_exactly(&tally.await, 5_000);
    }
}

#[tokio::test]
async fn one_literal_name_is_a_sweep_of_one_record_in_a_large_keyspace() {
    let server = server(Flavor::System);
    fill(&server, 5_000);
    let store = connect(&server).await;
    let pattern = RecordPattern::parse("wa:77").unwrap();
    let page = store
        .scan(&pattern, &Cursor::start(), 10_000)
        .await
        .unwrap();
    assert_eq!(page.names.len(), 1);
    let mut one = sweep(store, migrate(), SweepOptions::default());
    one.pattern = pattern;
    assert_exactly(&whole(&one).await, 1);
}
