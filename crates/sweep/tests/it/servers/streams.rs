//! Values of streams: they are judged and counted, and stay as they are.

use std::sync::Arc;

use waxseal_core::{Binding, Format};
use waxseal_sweep::{
    Audit, Class, Decrypt, Event, Position, Rotate, SweepOptions, Task, ValueLocation,
};
use waxseal_testing::{Flavor, RedisServer, Reply};

use super::super::{A, assert_adds_up, id, migrate, rotated, run, sealer, sweep, whole};
use super::{connect, is_sealed, open, send, server};

const ENTRIES: u64 = 1_000;

#[tokio::test]
async fn values_of_streams_are_counted_and_left_as_they_are() {
    for flavor in Flavor::ALL {
        let server = server(flavor);
        let sealer = sealer(Format::Sealed);
        let mut commands: Vec<Vec<Vec<u8>>> = Vec::new();
        for n in 1..=ENTRIES {
            let mut add = vec![b"XADD".to_vec(), b"wa:stream".to_vec()];
            add.extend([format!("{n}-0").into_bytes(), b"plain".to_vec()]);
            add.extend([b"{}".to_vec(), b"sealed".to_vec()]);
            let place = Binding::stream_field(b"wa:stream", b"sealed");
            add.push(sealer.seal(b"{}", place).unwrap());
            add.extend([b"empty".to_vec(), Vec::new()]);
            commands.push(add);
        }
        send(&server, &commands);
        let before = server.snapshot();
        let tasks: [(Arc<dyn Task>, u64); 3] = [
            (migrate(), ENTRIES),
            (Arc::new(Rotate::new(rotated())), 2 * ENTRIES),
            (Arc::new(Decrypt::new(sealer.clone())), ENTRIES),
        ];
        for (task, streams) in tasks {
            let sweep = sweep(connect(&server).await, task, SweepOptions::default());
            let tally = whole(&sweep).await;
            assert_adds_up(&tally);
            let found = (tally.total, tally.streams, tally.empty);
            assert_eq!(found, (3 * ENTRIES, streams, ENTRIES), "{flavor:?}");
            assert_eq!(before.changed_names(&server.snapshot()).len(), 0);
        }
        let audit = Arc::new(Audit::new(sealer, true));
        let audit = sweep(connect(&server).await, audit, SweepOptions::default());
        let tally = whole(&audit).await;
        for class in [Class::Plain, Class::Empty, Class::Sealed(id(A))] {
            let group = tally.groups[&(class, ValueLocation::StreamField)];
            assert_eq!(group.values, ENTRIES, "{flavor:?} {class:?}");
        }
    }
}

fn words(line: &str) -> Vec<String> {
    line.split(' ').map(str::to_owned).collect()
}

/// The ids of a stream and its values, opened.
fn opened(server: &RedisServer, name: &str) -> Vec<(String, Vec<Vec<u8>>)> {
    let entries = server.client().cmd(&["XRANGE", name, "-", "+"]).array();
    let entry = |entry: Reply| {
        let mut parts = entry.array().into_iter();
        let id = parts.next().unwrap().bytes().unwrap();
        let fields = parts.next().unwrap().array().into_iter();
        let fields: Vec<_> = fields.filter_map(Reply::bytes).collect();
        let (pairs, []) = fields.as_chunks::<2>() else {
            panic!("each field has a value");
        };
        let values = pairs
            .iter()
            .map(|[field, value]| open(value, Binding::stream_field(name.as_bytes(), field)));
        (String::from_utf8(id).unwrap(), values.collect())
    };
    entries.into_iter().map(entry).collect()
}

/// True if the first value of a stream is not sealed.
fn is_plain(server: &RedisServer, name: &str) -> bool {
    let entries = server.client().cmd(&["XRANGE", name, "-", "+"]).array();
    let entry = entries.into_iter().next().unwrap().array().pop().unwrap();
    let value = entry.array().into_iter().nth(1).and_then(Reply::bytes);
    !is_sealed(&value.unwrap())
}

/// What a stream tells of itself beside its entries.
fn info(server: &RedisServer, name: &str) -> Vec<Option<String>> {
    let info = server.cli(&["XINFO", "STREAM", name]);
    let lines: Vec<_> = info.lines().map(str::to_owned).collect();
    let facts = [
        "length",
        "last-generated-id",
        "entries-added",
        "max-deleted-entry-id",
    ];
    let facts = facts.map(|fact| {
        let at = lines.iter().position(|line| line == fact)?;
        lines.get(at + 1).cloned()
    });
    facts.to_vec()
}

fn rewriting() -> SweepOptions {
    SweepOptions {
        rewrite_streams: true,
        ..SweepOptions::default()
    }
}

#[tokio::test]
async fn a_stream_is_rewritten_with_its_ids_and_its_expiry() {
    for flavor in Flavor::ALL {
        let server = server(flavor);
        let mut commands = vec![words("XADD wa:stream 5-1 first {}")];
        for n in 1..=1_300 {
            commands.push(words(&format!(
                "XADD wa:stream 10-{n} n {n} twice a twice b"
            )));
        }
        commands.push(words("XADD wa:stream 99-7 last {}"));
        commands.push(words("XDEL wa:stream 99-7 10-3"));
        commands.push(words("PEXPIREAT wa:stream 4102444800123"));
        commands.push(words("XADD wa:lasting 1-1 n 1"));
        commands.push(words("XADD wa:grouped 1-1 n 1"));
        commands.push(words("XGROUP CREATE wa:grouped workers 0"));
        send(&server, &commands);
        let names = ["wa:stream", "wa:lasting"];
        let before = names.map(|name| (opened(&server, name), info(&server, name)));
        let grouped = |name: &[u8]| name == b"wa:grouped";
        let groups = server.snapshot().only(grouped);
        let decrypt: Arc<dyn Task> = Arc::new(Decrypt::new(sealer(Format::Sealed)));
        // The entry of the stream with a group stays plain.
        for (task, streams) in [(migrate(), 1), (decrypt, 0)] {
            let sweep = sweep(connect(&server).await, task, rewriting());
            let mut causes = Vec::new();
            let mut watch = |event: Event<'_>| {
                if let Event::Finding(finding) = event {
                    causes.push(finding.cause.clone());
                }
            };
            let report = run(&sweep, Position::default(), &mut watch).await;
            let tally = report.position.counts();
            assert_adds_up(&tally);
            assert_eq!(tally.streams, streams, "{flavor:?}");
            assert_eq!(tally.done, 1 + 3 * 1_299 + 1, "{flavor:?}");
            let has_group = "it has consumer groups, which a copy would lose: not rewritten";
            assert_eq!(causes.contains(&has_group.to_owned()), streams > 0);
            let now = names.map(|name| (opened(&server, name), info(&server, name)));
            assert_eq!(now, before, "{flavor:?}");
            let all = server.snapshot();
            assert_eq!(all.len(), 3, "{flavor:?}");
            let expires = |name| all.get(name).unwrap().expires_at_ms;
            assert_eq!(expires("wa:stream"), Some(4_102_444_800_123));
            assert_eq!(expires("wa:lasting"), None);
            assert_eq!(all.only(grouped), groups, "{flavor:?}");
            assert_eq!(is_plain(&server, "wa:lasting"), streams == 0, "{flavor:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_entry_that_is_added_meanwhile_is_lost() {
    let server = server(Flavor::System);
    let fill = (1..=3_000).map(|n| words(&format!("XADD wa:stream {n}-1 n {n}")));
    send(&server, &fill.collect::<Vec<_>>());
    let sweep = sweep(connect(&server).await, migrate(), rewriting());
    let sweeping = tokio::spawn(async move { whole(&sweep).await });
    // Each spoils one attempt at most, and there are more attempts.
    let mut client = server.client();
    for added in 3_001..=3_004 {
        let add = words(&format!("XADD wa:stream {added}-1 n {added}"));
        assert_eq!(client.cmd(&add).error(), None);
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let tally = sweeping.await.unwrap();
    assert_adds_up(&tally);
    assert_eq!(tally.streams, 0);
    let entries = opened(&server, "wa:stream");
    let expected = (1..=3_004).map(|n| (format!("{n}-1"), vec![n.to_string().into_bytes()]));
    assert!(entries.into_iter().eq(expected), "an entry is missing");
    assert_eq!(server.snapshot().len(), 1, "no copy is left");
}

#[tokio::test]
async fn entries_of_many_fields_are_read_to_the_end() {
    const FIELDS: usize = 3_000;
    let server = server(Flavor::System);
    let add = |n: usize| {
        let mut add = words(&format!("XADD wa:stream {n}-1"));
        add.extend((0..FIELDS).flat_map(|_| ["f".to_owned(), "v".to_owned()]));
        add
    };
    send(&server, &(1..=20).map(add).collect::<Vec<_>>());
    let sweep = sweep(connect(&server).await, migrate(), rewriting());
    let tally = whole(&sweep).await;
    assert_adds_up(&tally);
    assert_eq!((tally.done, tally.unseen), (20 * FIELDS as u64, 0));
    let entries = opened(&server, "wa:stream");
    assert!(entries.iter().all(|(_, values)| values.len() == FIELDS));
}
