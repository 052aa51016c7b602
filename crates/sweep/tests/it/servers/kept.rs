//! The parts that a sweep must not change: expiries of records and fields to the millisecond.

use std::sync::Arc;

use waxseal_core::Format;
use waxseal_sweep::{Decrypt, Rotate, SweepOptions, Task};
use waxseal_testing::{Flavor, RedisServer, Reply};

use super::super::records::FAR;
use super::super::{batches_of, migrate, sealer, sweep, whole};
use super::{connect, send, server};

fn words(line: &str) -> Vec<String> {
    line.split(' ').map(str::to_owned).collect()
}

/// When each of these fields ends.
fn field_ends(server: &RedisServer, fields: u64) -> Vec<i64> {
    let ask = |n| words(&format!("HPEXPIRETIME wa:fields FIELDS 1 {n}"));
    let asked: Vec<_> = (0..fields).map(ask).collect();
    let replies = server.client().pipeline(&asked);
    replies
        .into_iter()
        .flat_map(Reply::array)
        .map(Reply::int)
        .collect()
}

fn tasks() -> [Arc<dyn Task>; 3] {
    let rotate = Rotate::new(sealer(Format::Classic));
    let decrypt = Decrypt::new(sealer(Format::Sealed));
    [migrate(), Arc::new(rotate), Arc::new(decrypt)]
}

#[tokio::test]
async fn every_record_ends_to_the_millisecond_when_it_did_before() {
    for flavor in Flavor::ALL {
        let server = server(flavor);
        let mut commands = Vec::new();
        for n in 0..1_500 {
            let until = FAR + n;
            match n % 15 {
                0 => commands.push(words(&format!("SET wa:{n} {{\"n\":{n}}}"))),
                1 => {
                    commands.push(words(&format!("HSET wa:{n} a {{}} b {{}}")));
                    commands.push(words(&format!("PEXPIREAT wa:{n} {until}")));
                }
                2 => {
                    commands.push(words(&format!("RPUSH wa:{n} {{}} {{}} []")));
                    commands.push(words(&format!("PEXPIREAT wa:{n} {until}")));
                }
                3 => commands.push(words(&format!("HSET wa:{n} a {{}}"))),
                _ => {
                    commands.push(words(&format!("SET wa:{n} {{\"n\":{n}}}")));
                    commands.push(words(&format!("PEXPIREAT wa:{n} {until}")));
                }
            }
        }
        send(&server, &commands);
        let before = server.snapshot();
        let store = connect(&server).await;
        for task in tasks() {
            let tally = whole(&sweep(store.clone(), task, batches_of(200))).await;
            assert_eq!((tally.total, tally.failed), (1_500 + 3 * 100, 0));
            let after = server.snapshot();
            assert_eq!(after.len(), 1_500);
            for (name, record) in before.records() {
                let now = after.get(name).expect("it is still there");
                assert_eq!(now.expires_at_ms, record.expires_at_ms);
            }
        }
        // Decrypted, they are to the byte what they were.
        let is_string = |name: &[u8]| {
            let number: u64 = std::str::from_utf8(&name[3..]).unwrap().parse().unwrap();
            !matches!(number % 15, 1..=3)
        };
        let changed = before
            .only(is_string)
            .changed_names(&server.snapshot().only(is_string));
        assert_eq!(changed.len(), 0);
    }
}

#[tokio::test]
async fn every_field_with_an_end_of_its_own_keeps_it() {
    let server = server(Flavor::Valkey);
    let mut commands = Vec::new();
    for n in 0..1_200 {
        commands.push(words(&format!("HSET wa:fields {n} {{\"n\":{n}}}")));
        if n % 3 > 0 {
            let until = FAR + n;
            commands.push(words(&format!("HPEXPIREAT wa:fields {until} FIELDS 1 {n}")));
        }
    }
    send(&server, &commands);
    let before = field_ends(&server, 1_200);
    assert_eq!(&before[..3], [-1, FAR as i64 + 1, FAR as i64 + 2]);
    let store = connect(&server).await;
    for task in tasks() {
        let tally = whole(&sweep(store.clone(), task, SweepOptions::default())).await;
        assert_eq!((tally.total, tally.failed), (1_200, 0));
        assert_eq!(field_ends(&server, 1_200), before);
    }
}

#[tokio::test]
async fn strings_that_are_no_text_are_sealed_and_come_back_byte_for_byte() {
    let server = server(Flavor::System);
    send(
        &server,
        &[
            words("PFADD wa:loglog a b c"),
            words("SETBIT wa:bits 7 1"),
            words("SETBIT wa:bits 0 1"),
        ],
    );
    let before = server.snapshot();
    let store = connect(&server).await;
    let tally = whole(&sweep(store.clone(), migrate(), SweepOptions::default())).await;
    assert_eq!((tally.total, tally.done, tally.failed), (2, 2, 0));
    assert_eq!(before.changed_names(&server.snapshot()).len(), 2);
    let tally = whole(&sweep(
        store,
        Arc::new(Decrypt::new(sealer(Format::Sealed))),
        SweepOptions::default(),
    ))
    .await;
    assert_eq!((tally.total, tally.done, tally.failed), (2, 2, 0));
    assert_eq!(before.changed_names(&server.snapshot()).len(), 0);
}
