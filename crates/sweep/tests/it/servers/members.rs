//! Members of sets and sorted sets: sealed, resealed and decrypted, each in one form, with its score.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use waxseal_core::{Binding, Format, Keyring, Mode, Sealer};
use waxseal_sweep::{
    Audit, Class, Decrypt, Event, Migrate, Position, Rotate, SweepOptions, Tally, Task,
    ValueLocation,
};
use waxseal_testing::{Flavor, RedisServer, Reply};

use super::super::{
    A, B, assert_adds_up, batches_of, id, migrate, rotated, run, sealer, sweep, whole,
};
use super::{connect, is_sealed, send, server};

/// A member for each number: longer ones, numbers, and one of no bytes.
fn member(n: u64) -> Vec<u8> {
    match n % 3 {
        _ if n == 0 => Vec::new(),
        0 => n.to_string().into_bytes(),
        // Base64 of the form of a classic value.
        1 => format!("dGhlIHF1aWNrIGJyb3duIGZveCBqdW1wcyBvdmVyIHRoZSBsYXp5IGRv{n:04}").into(),
        _ => format!("member {n}\r\n\u{e9}").into_bytes(),
    }
}

/// Sets and sorted sets of these numbers of members, which are kept in several encodings.
const SIZES: [u64; 3] = [1, 40, 1_500];

fn fill(server: &RedisServer) {
    let mut commands: Vec<Vec<Vec<u8>>> = Vec::new();
    for size in SIZES {
        for n in 0..size {
            let (set, sorted) = (format!("wa:set:{size}"), format!("wa:sorted:{size}"));
            let score = format!("{n}.25");
            commands.push(vec![b"SADD".to_vec(), set.into_bytes(), member(n)]);
            commands.push(vec![
                b"ZADD".to_vec(),
                sorted.into_bytes(),
                score.into_bytes(),
                member(n),
            ]);
        }
    }
    let numbers = (0..300).map(|n| n.to_string().into_bytes());
    let mut of_numbers = vec![b"SADD".to_vec(), b"wa:set:numbers".to_vec()];
    of_numbers.extend(numbers);
    commands.push(of_numbers);
    send(server, &commands);
}

const TOTAL: u64 = 2 * (1 + 40 + 1_500) + 300;

fn names(server: &RedisServer, of: &str) -> Vec<String> {
    let names = server
        .client()
        .cmd(&["KEYS", &format!("wa:{of}:*")])
        .array();
    let names = names.into_iter().filter_map(Reply::bytes);
    names.map(|name| String::from_utf8(name).unwrap()).collect()
}

/// The stored members of every record, with their scores.
fn stored(server: &RedisServer) -> BTreeMap<String, BTreeMap<Vec<u8>, Vec<u8>>> {
    let mut all = BTreeMap::new();
    for name in names(server, "set") {
        let members = server.client().cmd(&["SMEMBERS", &name]).array();
        let members = members.into_iter().filter_map(Reply::bytes);
        all.insert(name, members.map(|member| (member, Vec::new())).collect());
    }
    for name in names(server, "sorted") {
        let range = ["ZRANGE", &name, "0", "-1", "WITHSCORES"];
        let items = server.client().cmd(&range).array();
        let items: Vec<_> = items.into_iter().filter_map(Reply::bytes).collect();
        let (pairs, []) = items.as_chunks::<2>() else {
            panic!("each member has a score");
        };
        let pairs = pairs.iter().cloned();
        all.insert(name, pairs.map(|[member, score]| (member, score)).collect());
    }
    all
}

/// The same with each member opened.
fn opened(server: &RedisServer, sealer: &Sealer) -> BTreeMap<String, BTreeMap<Vec<u8>, Vec<u8>>> {
    let open = |(name, members): (String, BTreeMap<Vec<u8>, Vec<u8>>)| {
        let place = Binding::member(name.as_bytes());
        let members = members.into_iter().map(|(stored, score)| {
            assert!(is_sealed(&stored));
            let opened = sealer.open(&stored, place).expect("it opens");
            (opened.expect("a value").value.into_owned(), score)
        });
        let members = members.collect();
        (name, members)
    };
    stored(server).into_iter().map(open).collect()
}

fn values(tally: &Tally, class: Class, location: ValueLocation) -> u64 {
    let group = tally.groups.get(&(class, location));
    group.map_or(0, |group| group.values)
}

#[tokio::test]
async fn members_are_sealed_resealed_and_decrypted_with_their_scores() {
    for flavor in Flavor::ALL {
        let server = server(flavor);
        fill(&server);
        let before = stored(&server);
        let store = connect(&server).await;
        let (old, new) = (sealer(Format::Sealed), rotated());
        let rotate: Arc<dyn Task> = Arc::new(Rotate::new(new.clone()));
        for (task, opens) in [(migrate(), old), (rotate, new.clone())] {
            let sweep = sweep(store.clone(), task, SweepOptions::default());
            let tally = whole(&sweep).await;
            assert_eq!((tally.total, tally.done), (TOTAL, TOTAL), "{flavor:?}");
            assert_eq!(opened(&server, &opens), before, "{flavor:?}");
            let of_members = |tally: &Tally| (tally.members.written, tally.members.other);
            assert_eq!(of_members(&tally), (0, TOTAL), "{flavor:?}");
            let tally = whole(&sweep).await;
            assert_eq!((tally.total, tally.already), (TOTAL, TOTAL), "{flavor:?}");
            assert_eq!(of_members(&tally), (TOTAL, 0), "{flavor:?}");
        }
        let audit = Arc::new(Audit::new(new.clone(), false));
        let tally = whole(&sweep(store.clone(), audit, SweepOptions::default())).await;
        let class = Class::Sealed(id(B));
        let of_sets = values(&tally, class, ValueLocation::SetMember);
        let of_sorted_sets = values(&tally, class, ValueLocation::SortedSetMember);
        assert_eq!((of_sets, of_sorted_sets), (1_841, 1_541), "{flavor:?}");
        let decrypt = Arc::new(Decrypt::new(new));
        let tally = whole(&sweep(store, decrypt, SweepOptions::default())).await;
        assert_eq!((tally.total, tally.done), (TOTAL, TOTAL), "{flavor:?}");
        assert_eq!(stored(&server), before, "{flavor:?}");
    }
}

#[tokio::test]
async fn a_dry_run_counts_members_and_changes_nothing() {
    let server = server(Flavor::System);
    fill(&server);
    let before = server.snapshot();
    let options = SweepOptions {
        dry_run: true,
        ..SweepOptions::default()
    };
    let tally = whole(&sweep(connect(&server).await, migrate(), options)).await;
    assert_eq!((tally.total, tally.done), (TOTAL, TOTAL));
    assert_eq!(before.changed_names(&server.snapshot()).len(), 0);
}

#[tokio::test]
async fn a_member_that_is_there_in_several_forms_is_left_in_one() {
    for flavor in Flavor::ALL {
        let server = server(flavor);
        let place = |name: &'static [u8]| Binding::member(name);
        let forms = |name| {
            let form = |key| {
                let ring = Arc::new(Keyring::from_hex(key, "").unwrap());
                let sealer = Sealer::new(ring, Mode::On, Format::Sealed);
                sealer.seal(b"maria", place(name)).unwrap()
            };
            [b"maria".to_vec(), form(A), form(B)]
        };
        let mut commands = Vec::new();
        for (score, member) in forms(b"wa:sorted:1").into_iter().enumerate() {
            let score = score.to_string().into_bytes();
            let name = b"wa:sorted:1".to_vec();
            commands.push(vec![b"ZADD".to_vec(), name, score, member]);
        }
        for member in forms(b"wa:set:1") {
            commands.push(vec![b"SADD".to_vec(), b"wa:set:1".to_vec(), member]);
        }
        send(&server, &commands);
        let store = connect(&server).await;
        let rotate = Arc::new(Rotate::new(sealer(Format::Sealed)));
        let tally = whole(&sweep(store, rotate, SweepOptions::default())).await;
        assert_adds_up(&tally);
        assert_eq!((tally.done, tally.failed), (4, 0), "{flavor:?}");
        assert_eq!((tally.members.written, tally.members.other), (2, 4));
        let all = stored(&server);
        let [_, of_sorted, _] = forms(b"wa:sorted:1");
        let [_, of_set, _] = forms(b"wa:set:1");
        let sorted = BTreeMap::from([(of_sorted, b"1".to_vec())]);
        assert_eq!(all["wa:sorted:1"], sorted, "{flavor:?}");
        assert_eq!(all["wa:set:1"], BTreeMap::from([(of_set, Vec::new())]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_sweeps_and_an_application_lose_no_member() {
    for flavor in [Flavor::System, Flavor::Valkey] {
        let server = server(flavor);
        fill(&server);
        let mut expected = stored(&server);
        let sweeps = [1, 2].map(|_| async {
            let store = connect(&server).await;
            let sweep = sweep(store, migrate(), batches_of(50));
            tokio::task::spawn(async move { whole(&sweep).await })
                .await
                .unwrap()
        });
        let writer = async {
            let mut client = server.client();
            for n in 0..400 {
                let added = format!("added {n}").into_bytes();
                let add = [&b"SADD"[..], b"wa:set:1500", &added];
                assert_eq!(client.cmd(&add).error(), None);
                tokio::task::yield_now().await;
            }
        };
        let [one, two] = sweeps;
        let (one, two, ()) = tokio::join!(one, two, writer);
        for tally in [&one, &two] {
            assert_adds_up(tally);
            assert_eq!(tally.failed, 0, "{flavor:?}");
        }
        let last = sweep(connect(&server).await, migrate(), SweepOptions::default());
        whole(&last).await;
        let of_set = expected.get_mut("wa:set:1500").unwrap();
        of_set.extend((0..400).map(|n| (format!("added {n}").into_bytes(), Vec::new())));
        let now = opened(&server, &sealer(Format::Sealed));
        assert_eq!(now, expected, "{flavor:?}");
    }
}

#[tokio::test]
async fn members_are_skipped_while_old_versions_may_read_the_keyring() {
    let server = server(Flavor::System);
    send(
        &server,
        &[
            vec!["SADD", "wa:set:1", "maria"],
            vec!["SET", "wa:1", "{}"],
            vec!["XADD", "wa:stream", "1-1", "field", "{}"],
        ],
    );
    let before = server.snapshot();
    let ring = Keyring::from_hex(A, B).unwrap().with_old_readers(true);
    let sealer = Sealer::new(Arc::new(ring), Mode::On, Format::Sealed);
    let tasks: [Arc<dyn Task>; 2] = [
        Arc::new(Migrate::new(sealer.clone())),
        Arc::new(Rotate::new(sealer.clone())),
    ];
    for task in tasks {
        let mut causes = BTreeSet::new();
        let sweep = sweep(connect(&server).await, task, SweepOptions::default());
        let mut watch = |event: Event<'_>| {
            if let Event::Finding(finding) = event {
                causes.insert(finding.cause.clone());
            }
        };
        let report = run(&sweep, Position::default(), &mut watch).await;
        let tally = report.position.counts();
        let skipped = [("set".to_owned(), 1), ("stream".to_owned(), 1)];
        assert_eq!((tally.total, tally.skipped), (1, skipped.into()));
        let cause = "a set cannot be sealed before the keyring is of document format 2: skipped";
        assert!(causes.contains(cause), "{causes:?}");
    }
    let changed = before.changed_names(&server.snapshot());
    assert_eq!(changed, [b"wa:1".to_vec()]);
    // They are counted by whatever only reads.
    let audit = Arc::new(Audit::new(sealer, true));
    let audit = sweep(connect(&server).await, audit, SweepOptions::default());
    let tally = whole(&audit).await;
    assert_eq!(values(&tally, Class::Plain, ValueLocation::SetMember), 1);
    assert_eq!(values(&tally, Class::Plain, ValueLocation::StreamField), 1);
}

#[tokio::test]
async fn a_member_or_value_of_an_entry_that_does_not_open_is_told_and_left() {
    for flavor in [Flavor::System, Flavor::Redis80] {
        let server = server(flavor);
        let (old, new) = (sealer(Format::Sealed), rotated());
        // Of other records.
        let member = old
            .seal(b"maria", Binding::member(b"wa:set:other"))
            .unwrap();
        let value = old.seal(b"maria", Binding::stream_field(b"wa:other", b"f"));
        let value = value.unwrap();
        let words = |line: &str| -> Vec<Vec<u8>> {
            let word = |word: &str| match word {
                "MEMBER" => member.clone(),
                "VALUE" => value.clone(),
                word => word.as_bytes().to_vec(),
            };
            line.split(' ').map(word).collect()
        };
        send(
            &server,
            &[
                words("SADD wa:set:1 juan MEMBER"),
                words("ZADD wa:sorted:1 1 juan 7.5 MEMBER"),
                words("XADD wa:stream 1-1 f VALUE g juan"),
            ],
        );
        let entries = || server.client().cmd(&["XRANGE", "wa:stream", "-", "+"]);
        let entries_before = entries();
        let store = connect(&server).await;
        let tasks: [Arc<dyn Task>; 3] = [
            migrate(),
            Arc::new(Rotate::new(new.clone())),
            Arc::new(Decrypt::new(new)),
        ];
        for task in tasks {
            let name = task.name();
            let tally = whole(&sweep(store.clone(), task, SweepOptions::default())).await;
            assert_eq!((tally.total, tally.done, tally.failed), (6, 2, 3), "{name}");
            let stored = stored(&server);
            assert!(stored["wa:set:1"].contains_key(&member), "{name}");
            assert_eq!(stored["wa:sorted:1"][&member], b"7.5", "{name}");
            assert_eq!(stored["wa:set:1"].len() + stored["wa:sorted:1"].len(), 4);
            assert_eq!(entries(), entries_before, "{name}");
        }
    }
}
