//! Others that write, expire and migrate at the same time.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use waxseal_core::Format;
use waxseal_testing::{RedisServer, Reply, state_name};

use super::counts;
use crate::program::{KEY, Program};
use crate::records::{assert_states_sealed, expiries, opened, server_with_states};

#[test]
fn no_update_of_an_application_is_lost() {
    const RECORDS: u64 = 500;
    let server = RedisServer::start();
    let program = Program::at(&server);
    let names: Vec<_> = (0..RECORDS).map(state_name).collect();
    let value = |round: u64| format!("{{\"status\":\"confirming\",\"n\":{round}}}");
    let ended = AtomicBool::new(false);
    let (last, met) = thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut client = server.client();
            let mut round = 0;
            while !ended.load(Ordering::Relaxed) {
                round += 1;
                let write = |name: &String| ["SET".to_owned(), name.clone(), value(round)];
                let commands: Vec<_> = names.iter().map(write).collect();
                let replies = client.pipeline(&commands);
                assert!(replies.iter().all(|reply| reply.error().is_none()));
            }
            round
        });
        let mut met = 0;
        for _ in 0..20 {
            let output = program.run(&["migrate", "--json"]);
            // A record that changed at every attempt may stay plain, and is reported.
            let counts = counts(&output.with_status_of(&[0, 1]));
            assert_eq!(
                counts.total,
                counts.done + counts.already + counts.raced + counts.failed
            );
            met += counts.raced + counts.failed;
        }
        ended.store(true, Ordering::Relaxed);
        (writer.join().unwrap(), met)
    });
    assert!(
        last > 20 && met > 0,
        "they did not meet: {last} rounds, {met} conflicts"
    );
    let commands: Vec<_> = names.iter().map(|name| ["GET", name]).collect();
    for (name, reply) in names.iter().zip(server.client().pipeline(&commands)) {
        let stored = Reply::bytes(reply).unwrap();
        let found = match opened(KEY, name, &stored) {
            Some((_, value)) => value,
            None => stored,
        };
        assert_eq!(String::from_utf8(found).unwrap(), value(last));
    }
    program.run(&["migrate"]).done();
    program.run(&["audit", "--require-clean", "--deep"]).done();
}

#[test]
fn two_migrations_at_once_share_the_work() {
    const STATES: u64 = 10_000;
    let server = server_with_states(STATES);
    let before = expiries(&server);
    let program = Program::at(&server);
    let both = [0, 1].map(|_| program.start(&["migrate", "--json"]));
    let [one, two] = both.map(|run| counts(&run.end().done()));
    assert_eq!(one.done + two.done, STATES);
    for counts in [one, two] {
        assert_eq!(counts.done + counts.already + counts.raced, STATES);
        assert_eq!((counts.total, counts.failed), (STATES, 0));
    }
    assert_states_sealed(&server, STATES, KEY, Format::Classic);
    assert_eq!(expiries(&server), before);
}

#[test]
fn records_that_expire_in_between_do_no_harm() {
    const STATES: u64 = 4_000;
    let server = server_with_states(STATES);
    let mut client = server.client();
    let commands: Vec<_> = (0..STATES)
        .step_by(2)
        .map(|i| {
            [
                "PEXPIRE".to_owned(),
                state_name(i),
                (i % 1500 + 1).to_string(),
            ]
        })
        .collect();
    client.pipeline(&commands);
    let run = Program::at(&server).start(&["migrate", "--max-rate", "2000", "--json"]);
    let output = run.end().done();
    let counts = counts(&output);
    assert_eq!(counts.failed, 0);
    assert_eq!(counts.total, counts.done + counts.raced);
    assert_eq!(output.stderr, "");
    crate::program::wait_until(|| {
        let names: Vec<_> = (0..STATES).step_by(2).map(state_name).collect();
        let commands: Vec<_> = names.iter().map(|name| ["EXISTS", name]).collect();
        client
            .pipeline(&commands)
            .into_iter()
            .all(|it| it.int() == 0)
    });
    // The others are all sealed, and no expired record was restored.
    let left = server.snapshot();
    assert_eq!(left.len(), usize::try_from(STATES / 2).unwrap() + 1);
    Program::at(&server)
        .run(&["audit", "--require-clean", "--deep"])
        .done();
}
