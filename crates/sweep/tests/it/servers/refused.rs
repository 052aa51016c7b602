//! Records that a server does not take or give, or that grow under the sweep: each is one failed record, and
//! the rest goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use waxseal_core::{Binding, Format};
use waxseal_sweep::{
    Audit, Event, Migrate, Position, Report, Stop, SweepError, SweepOptions, Tally, Task,
};
use waxseal_testing::{Client, RedisServer};

use super::super::{A, assert_adds_up, batches_of, envelope, migrate, sealer, sweep};
use super::{connect, fill, is_sealed, send, server};

/// The counts and the causes of the findings of a whole sweep.
async fn swept(server: &RedisServer, task: Arc<dyn Task>) -> (Tally, Vec<String>) {
    let sweep = sweep(connect(server).await, task, batches_of(100));
    let mut causes = Vec::new();
    let mut watch = |event: Event<'_>| match event {
        Event::Finding(finding) => causes.push((finding.record.clone(), finding.cause.clone())),
        Event::Waiting(error) => panic!("nothing is to be waited for: {error}"),
        _ => {}
    };
    let stop = Stop::default();
    let ended = sweep.run(Position::default(), &stop, &mut watch);
    let Report { position, complete } = ended.await.expect("it comes to its end");
    assert!(complete);
    let tally = position.counts();
    assert_adds_up(&tally);
    // A pass that starts again tells them again.
    causes.sort();
    causes.dedup();
    (tally, causes.into_iter().map(|(_, cause)| cause).collect())
}

fn server_with(settings: &[(&str, &str)], missing: &[&str]) -> RedisServer {
    let mut builder = RedisServer::builder();
    for (name, value) in settings {
        builder = builder.arg(name, value);
    }
    builder.without(missing).start()
}

fn json_of(bytes: usize) -> String {
    format!("{{\"big\":\"{}\"}}", "x".repeat(bytes))
}

/// Servers that show their limits or not, and whether they were restarted or not.
const TELLING: [&[&str]; 3] = [&[], &["CONFIG"], &["CONFIG", "INFO"]];

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_is_too_large_once_sealed_is_one_failed_record() {
    for missing in TELLING {
        let server = server_with(&[("proto-max-bulk-len", "1mb")], missing);
        fill(&server, 300);
        let big = json_of(800_000);
        send(
            &server,
            &[vec!["SET", "wa:big", &big], vec!["SET", "wa:big2", &big]],
        );
        send(
            &server,
            &[vec!["HSET", "wa:hash", "big", &big, "small", "{}"]],
        );
        let task = Arc::new(Migrate::new(sealer(Format::Classic)));
        let (tally, causes) = swept(&server, task).await;
        assert_eq!(
            (tally.total, tally.done, tally.failed),
            (304, 301, 3),
            "{missing:?}"
        );
        assert_eq!(causes.len(), 3, "{causes:?}");
        for cause in causes {
            assert!(cause.contains("proto-max-bulk-len"), "{missing:?}: {cause}");
        }
        assert_eq!(server.cli(&["GET", "wa:big"]), big);
        assert_eq!(server.cli(&["HGET", "wa:hash", "big"]), big);
        assert_ne!(server.cli(&["HGET", "wa:hash", "small"]), "{}");
        // Large as it is, in the other format it fits.
        let (tally, _) = swept(&server, migrate()).await;
        assert_eq!((tally.done, tally.failed), (304, 0), "{missing:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_cannot_be_read_is_one_failed_record_and_others_are_read_a_few_at_a_time() {
    for missing in TELLING {
        let limit = [("client-output-buffer-limit", "normal 2mb 0 0")];
        let server = server_with(&limit, missing);
        fill(&server, 100);
        let (some, big) = (json_of(100_000), json_of(3_000_000));
        let names: Vec<_> = (0..100).map(|n| format!("wa:some:{n}")).collect();
        let set = |name: &String| vec!["SET".to_owned(), name.clone(), some.clone()];
        send(&server, &names.iter().map(set).collect::<Vec<_>>());
        send(&server, &[vec!["SET", "wa:big", &big]]);
        let field = |n: usize| {
            vec![
                "HSET".to_owned(),
                "wa:hash".to_owned(),
                n.to_string(),
                some.clone(),
            ]
        };
        send(&server, &(0..50).map(field).collect::<Vec<_>>());
        let (tally, causes) = swept(&server, migrate()).await;
        assert_eq!(
            (tally.total, tally.done, tally.failed),
            (251, 250, 1),
            "{missing:?} {causes:?}"
        );
        assert_eq!((tally.unseen, causes.len()), (1, 1), "{causes:?}");
        assert!(
            causes[0].contains("client-output-buffer-limit"),
            "{causes:?}"
        );
        // Nobody may take it for a record without values.
        let audit = Arc::new(Audit::new(sealer(Format::Sealed), false));
        let (tally, _) = swept(&server, audit).await;
        assert_eq!(
            (tally.already, tally.failed, tally.unseen),
            (250, 1, 1),
            "{missing:?}"
        );
    }
}

/// Pushes sealed elements to the head of a list, faster than anybody reads it.
fn grow(mut client: Client, element: &[u8], ended: &AtomicBool) {
    let mut push = vec![b"LPUSH".to_vec(), b"wa:list".to_vec()];
    push.extend(vec![element.to_vec(); 500]);
    while !ended.load(Ordering::Relaxed) {
        client.pipeline(&vec![push.clone(); 4]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_grows_faster_than_the_sweep_is_unfinished_and_the_rest_goes_on() {
    let server = server(waxseal_testing::Flavor::System);
    fill(&server, 50);
    let push = ["RPUSH", "wa:list", "{\"old\":1}"];
    send(&server, &vec![push.to_vec(); 100]);
    let ended = Arc::new(AtomicBool::new(false));
    let (client, stop) = (server.client(), ended.clone());
    let growing = std::thread::spawn(move || {
        let element = envelope(A, Format::Sealed, b"{}", Binding::record(b"wa:list"));
        grow(client, &element, &stop);
    });
    let mut reader = server.client();
    while reader.cmd(&["LLEN", "wa:list"]).int() <= 100 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let (tally, causes) = swept(&server, migrate()).await;
    ended.store(true, Ordering::Relaxed);
    growing.join().unwrap();
    assert_eq!((tally.failed, tally.unseen), (1, 1), "{causes:?}");
    assert!(
        causes[0].starts_with("it grows faster than it can be read"),
        "{causes:?}"
    );
    let stored = server.client().cmd(&["GET", "wa:49"]).bytes().unwrap();
    assert!(is_sealed(&stored));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_takes_no_writes_for_a_while_is_waited_for_and_one_that_stays_so_is_told() {
    let server = server(waxseal_testing::Flavor::System);
    fill(&server, 2_000);
    let mut admin = server.client();
    admin.cmd(&["CONFIG", "SET", "min-replicas-to-write", "1"]);
    let options = SweepOptions {
        reconnect_timeout: Duration::from_millis(300),
        ..batches_of(100)
    };
    let unfinished = sweep(connect(&server).await, migrate(), options);
    let (mut waits, stop) = (0, Stop::default());
    let mut watch = |event: Event<'_>| waits += u32::from(matches!(event, Event::Waiting(_)));
    let ended = unfinished.run(Position::default(), &stop, &mut watch).await;
    let error = ended.expect_err("nothing can be written").error;
    assert!(matches!(&error, SweepError::Store(error) if error.to_string().contains("NOREPLICAS")));
    assert_eq!(waits, 1);
    let sweep = sweep(connect(&server).await, migrate(), batches_of(100));
    let mut watch = |event: Event<'_>| {
        if let Event::Waiting(_) = event {
            admin.cmd(&["CONFIG", "SET", "min-replicas-to-write", "0"]);
        }
    };
    let ended = sweep.run(Position::default(), &stop, &mut watch).await;
    let tally = ended.expect("it takes writes again").position.counts();
    assert_eq!((tally.total, tally.done), (2_000, 2_000));
}

/// A server that is demoted in the middle, and comes back as a primary under the same address.
#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_is_demoted_in_the_middle_is_waited_for() {
    let server = server(waxseal_testing::Flavor::System);
    fill(&server, 2_000);
    let mut admin = server.client();
    let sweep = sweep(connect(&server).await, migrate(), batches_of(50));
    let (mut pages, mut waits) = (0, 0);
    let mut watch = |event: Event<'_>| match event {
        Event::Progress { .. } => {
            pages += 1;
            if pages == 5 {
                admin.cmd(&["REPLICAOF", "127.0.0.1", "1"]);
            }
        }
        Event::Waiting(_) => {
            waits += 1;
            admin.cmd(&["REPLICAOF", "NO", "ONE"]);
        }
        _ => {}
    };
    let ended = sweep
        .run(Position::default(), &Stop::default(), &mut watch)
        .await;
    let tally = ended.expect("it is a primary again").position.counts();
    assert_eq!(
        (tally.total, tally.done + tally.already, tally.failed),
        (2_000, 2_000, 0)
    );
    assert_eq!(waits, 1);
}
