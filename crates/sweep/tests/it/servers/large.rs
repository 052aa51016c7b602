//! Hash and list records with thousands of values, and others that add to them meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use waxseal_core::Binding;
use waxseal_stores::{Expiry, RecordName, RecordStore, Slot};
use waxseal_sweep::SweepOptions;
use waxseal_testing::{Flavor, RedisServer, Reply};

use super::super::{assert_adds_up, migrate, sweep, whole};
use super::{connect, is_sealed, open, send, server};

const SERVERS: [Flavor; 2] = [Flavor::System, Flavor::Valkey];

fn element(n: u64) -> String {
    format!("{{\"element\":{n}}}")
}

/// All elements of `wa:list` as they are stored, and the values in them.
fn elements(server: &RedisServer) -> Vec<(bool, String)> {
    let stored = server
        .client()
        .cmd(&["LRANGE", "wa:list", "0", "-1"])
        .array();
    let place = Binding::record(b"wa:list");
    let value = |stored: Vec<u8>| {
        let value = String::from_utf8(open(&stored, place)).unwrap();
        (is_sealed(&stored), value)
    };
    stored
        .into_iter()
        .filter_map(Reply::bytes)
        .map(value)
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_field_of_a_large_hash_is_sealed_while_others_write_to_it() {
    for flavor in SERVERS {
        let server = server(flavor);
        let set = |n: u64| vec!["HSET".into(), "wa:hash".into(), format!("{n}"), element(n)];
        send(&server, &(0..2_000).map(set).collect::<Vec<_>>());
        let store = connect(&server).await;
        let ended = Arc::new(AtomicBool::new(false));
        let (writer, end) = (connect(&server).await, ended.clone());
        // Rewrites a hundred of the fields, and adds new ones.
        let writer = tokio::spawn(async move {
            let (name, mut round) = (RecordName::from("wa:hash"), 0);
            loop {
                for n in (0..100).chain(2_000 + round * 10..2_010 + round * 10) {
                    let field = Slot::Field(format!("{n}").into_bytes());
                    let value = element(n + 7 * round);
                    let put = writer.put(&name, &field, value.as_bytes(), Expiry::Keep);
                    put.await.unwrap();
                }
                if end.load(Ordering::Relaxed) {
                    return round;
                }
                round += 1;
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        });
        let tally = whole(&sweep(store.clone(), migrate(), SweepOptions::default())).await;
        ended.store(true, Ordering::Relaxed);
        let rounds = writer.await.unwrap();
        assert_adds_up(&tally);
        assert!(tally.total >= 2_000, "{tally:?}");
        assert_eq!(tally.failed, 0);
        let name = RecordName::from("wa:hash");
        for n in 0..2_000 {
            let field = format!("{n}").into_bytes();
            let stored = store
                .get(&name, &Slot::Field(field.clone()))
                .await
                .unwrap()
                .unwrap();
            let value = open(&stored, Binding::field(b"wa:hash", &field));
            // Those of the writer hold what it wrote last; all others are sealed.
            let expected = if n < 100 { n + 7 * rounds } else { n };
            assert_eq!(value, element(expected).into_bytes());
            assert!(n < 100 || is_sealed(&stored), "field {n} is not sealed");
        }
        let again = whole(&sweep(store, migrate(), SweepOptions::default())).await;
        assert_eq!(again.total, 2_000 + 10 * (rounds + 1));
        assert_eq!((again.raced, again.failed), (0, 0));
    }
}

/// Elements that one sweep may leave to the next where all move at every moment.
const MAX_LEFT: u64 = 10;

/// Pushes to one end of a list while it is migrated, and takes as many from the other end where
/// `takes` names the command for that; how many elements came.
async fn migrate_against(
    server: &RedisServer,
    pushes: &'static str,
    takes: Option<&'static str>,
) -> u64 {
    let ended = Arc::new(AtomicBool::new(false));
    let (stop, mut client) = (ended.clone(), server.client());
    let other = tokio::task::spawn_blocking(move || {
        let mut pushed = 0;
        while !stop.load(Ordering::Relaxed) {
            pushed += 1;
            let reply = client.cmd(&[pushes, "wa:list", &element(10_000 + pushed)]);
            assert_eq!(reply.error(), None);
            if let Some(takes) = takes {
                assert!(client.cmd(&[takes, "wa:list"]).bytes().is_some());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        pushed
    });
    let store = connect(server).await;
    let tally = whole(&sweep(store, migrate(), SweepOptions::default())).await;
    ended.store(true, Ordering::Relaxed);
    assert_adds_up(&tally);
    // An element that moves at each attempt is left to the next sweep.
    let most = if takes.is_some() { MAX_LEFT } else { 0 };
    assert!(tally.failed <= most, "{tally:?}");
    let pushed = other.await.unwrap();
    assert!(tally.done <= 2_000 + pushed, "{tally:?}");
    pushed
}

/// Two thousand plain elements.
fn list(flavor: Flavor) -> RedisServer {
    let server = server(flavor);
    let push = |n| vec!["RPUSH".to_owned(), "wa:list".to_owned(), element(n)];
    send(&server, &(0..2_000).map(push).collect::<Vec<_>>());
    server
}

#[tokio::test(flavor = "multi_thread")]
async fn every_element_of_a_large_list_is_sealed_while_others_push_to_it() {
    for (flavor, end) in SERVERS
        .into_iter()
        .flat_map(|s| [(s, "RPUSH"), (s, "LPUSH")])
    {
        let server = list(flavor);
        let pushed = migrate_against(&server, end, None).await;
        let held = elements(&server);
        let old = 0..2_000;
        let new = 10_001..10_001 + pushed;
        let expected: Vec<_> = match end {
            "RPUSH" => old.chain(new).map(element).collect(),
            _ => new.rev().chain(old).map(element).collect(),
        };
        // Nothing is lost, doubled or out of order.
        assert!(held.iter().map(|(_, value)| value).eq(&expected));
        // What was there before the sweep is sealed.
        let first = if end == "LPUSH" { pushed as usize } else { 0 };
        assert!(
            held[first..first + 2_000].iter().all(|(sealed, _)| *sealed),
            "{end}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_is_sealed_while_it_is_worked_off() {
    for (flavor, (pushes, takes)) in SERVERS
        .into_iter()
        .flat_map(|s| [(s, ("RPUSH", "LPOP")), (s, ("LPUSH", "RPOP"))])
    {
        let server = list(flavor);
        let pushed = migrate_against(&server, pushes, Some(takes)).await;
        let held = elements(&server);
        assert_eq!(held.len(), 2_000);
        // Elements that were there before the sweep have shorter values.
        let old = held
            .iter()
            .filter(|(_, value)| value.len() < element(10_000).len());
        assert_eq!(old.clone().count() as u64, 2_000_u64.saturating_sub(pushed));
        // Where they all move at every moment, one or the other may be left to the next sweep.
        let left = old.filter(|(sealed, _)| !sealed).count();
        assert!(
            left as u64 <= MAX_LEFT,
            "{pushes} {takes}: {left} were left out"
        );
        let store = connect(&server).await;
        whole(&sweep(store, migrate(), SweepOptions::default())).await;
        assert!(elements(&server).iter().all(|(sealed, _)| *sealed));
    }
}
