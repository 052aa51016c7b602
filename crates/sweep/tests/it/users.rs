//! Sweeps with keys of users and a ring that changes: which values are resealed under which key, which
//! stay, and how often keys are read.

mod lookups;

use std::sync::Arc;

use waxseal_core::{Binding, Format, KeyId, Shape};
use waxseal_stores::{MemoryStore, RecordName, RecordPattern, RecordStore, Slot};
use waxseal_sweep::{Audit, Class, Decrypt, Event, Migrate, Position, Rotate, Sweep, Tally};

use super::records::{contents, plain, put};
use super::rings::{Process, Shared};
use super::{A, assert_adds_up, envelope, id, run, whole};

fn user(i: u64) -> Vec<u8> {
    format!("52155000000{i:03}").into_bytes()
}

fn record(i: u64) -> RecordName {
    RecordName::from([b"wa:", &user(i)[..]].concat())
}

fn here(name: &RecordName) -> Binding<'_> {
    Binding::record(name.as_bytes())
}

async fn get(store: &MemoryStore, i: u64) -> Vec<u8> {
    let stored = store.get(&record(i), &Slot::Whole).await.unwrap();
    stored.expect("it is there")
}

/// Records that are plain, classic, sealed under the ring, sealed under the key of their user, and
/// hashes of two plain fields: a fifth each.
async fn mixed(process: &Process, count: u64) -> Arc<MemoryStore> {
    let store = MemoryStore::default();
    for i in 0..count {
        let (name, value) = (record(i), plain(i));
        let stored = match i % 5 {
            0 => value,
            1 => envelope(A, Format::Classic, &value, here(&name)),
            2 => process
                .sealer(Format::Sealed)
                .armored(i % 2 == 0)
                .seal(&value, here(&name))
                .unwrap(),
            3 => process.seal(&user(i), &value, here(&name)).await,
            _ => {
                for field in [&b"a"[..], b"b"] {
                    put(&store, &name, &Slot::Field(field.to_vec()), &value).await;
                }
                continue;
            }
        };
        put(&store, &name, &Slot::Whole, &stored).await;
    }
    Arc::new(store)
}

/// The user key that a value is under, if it is.
fn user_key(stored: &[u8]) -> Option<KeyId> {
    let header = Shape::of_header(stored)?;
    header.flags.per_user_key().then_some(header.key)
}

/// Asserts that every value in the store is under the key of its user, and opens to its plaintext.
async fn assert_under_users(process: &Process, store: &MemoryStore, count: u64) {
    let found = contents(store).await;
    for i in 0..count {
        let name = record(i);
        let keys = process.users.reread(&[&user(i)]).await.unwrap();
        let key = keys[0].clone().expect("the user has a key");
        let (id, sealer) = (key.id(), process.sealer(Format::Classic));
        let values = found.range((name.as_bytes().to_vec(), String::new())..);
        let values = values.take_while(|((of, _), _)| of == name.as_bytes());
        let mut met = 0;
        for ((_, slot), (stored, _)) in values {
            let place = match slot.strip_prefix("field ") {
                Some(field) => Binding::field(name.as_bytes(), field.as_bytes()),
                None => here(&name),
            };
            assert_eq!(user_key(stored), id, "{i} {slot}");
            assert!(sealer.open(stored, place).is_err(), "{i} {slot}");
            let opened = sealer.clone().for_user(key.clone()).open(stored, place);
            assert!(*opened.unwrap().unwrap().value == *plain(i), "{i} {slot}");
            met += 1;
        }
        assert_eq!(met, if i % 5 == 4 { 2 } else { 1 });
    }
}

async fn causes(sweep: &Sweep) -> (Tally, Vec<String>) {
    let mut causes = Vec::new();
    let mut watch = |event: Event<'_>| {
        if let Event::Finding(finding) = event {
            causes.push(finding.cause.clone());
        }
    };
    let report = run(sweep, Position::default(), &mut watch).await;
    let tally = report.position.counts();
    assert_adds_up(&tally);
    (tally, causes)
}

#[tokio::test]
async fn migrate_and_rotate_reseal_everything_of_a_user_under_the_key_of_the_user() {
    for format in [Format::Classic, Format::Sealed] {
        for rotates in [false, true] {
            let process = Shared::default().first().await;
            let store = mixed(&process, 50).await;
            let sealer = process.sealer(format);
            let sweep = || match rotates {
                true => process.sweep(store.clone(), Rotate::new(sealer.clone())),
                false => process.sweep(store.clone(), Migrate::new(sealer.clone())),
            };
            let tally = whole(&sweep()).await;
            assert_adds_up(&tally);
            assert_eq!((tally.total, tally.done, tally.already), (60, 50, 10));
            assert_under_users(&process, &store, 50).await;
            // An armored envelope stays armored.
            assert!(get(&store, 2).await.starts_with(b"ws2:"));
            let after = contents(&store).await;
            let tally = whole(&sweep()).await;
            assert_eq!((tally.total, tally.already), (60, 60));
            assert_eq!(contents(&store).await, after);
        }
    }
}

#[tokio::test]
async fn after_a_rotation_of_the_ring_only_the_records_of_the_keys_are_resealed() {
    let shared = Shared::default();
    let process = shared.first().await;
    let store = mixed(&process, 50).await;
    whole(&process.sweep(store.clone(), Migrate::new(process.sealer(Format::Sealed)))).await;
    let before = contents(&store).await;

    let newer = process.rotate().await;
    let rotate = || Rotate::new(process.sealer(Format::Sealed));
    let tally = whole(&process.sweep(store.clone(), rotate())).await;
    assert_eq!((tally.total, tally.already), (60, 60));
    assert_eq!(contents(&store).await, before);

    // The records of the keys in a store beside the canary.
    let own = Arc::new(MemoryStore::default());
    let canary = RecordName::from("waxseal:canary");
    let sealed = envelope(A, Format::Sealed, b"canary", here(&canary));
    put(&own, &canary, &Slot::Whole, &sealed).await;
    let backup = shared.keys.backup();
    for (name, stored) in &backup {
        put(&own, &RecordName::from(name.as_str()), &Slot::Whole, stored).await;
    }
    for (pattern, ordinary, count) in [
        ("waxseal:user:*", "*", 50),
        ("waxseal:canary", "waxseal*", 1),
    ] {
        let sweep = Sweep {
            pattern: RecordPattern::parse_own(pattern).unwrap(),
            ..process.sweep(own.clone(), rotate())
        };
        let tally = whole(&sweep).await;
        assert_eq!((tally.total, tally.done), (count, count), "{pattern}");
        // An ordinary pattern does not match them.
        let sweep = Sweep {
            pattern: RecordPattern::parse(ordinary).unwrap(),
            ..process.sweep(own.clone(), rotate())
        };
        assert_eq!(whole(&sweep).await.total, 0, "{ordinary}");
    }
    let mut rotated = backup.clone();
    for (name, stored) in &mut rotated {
        if !name.starts_with("waxseal:user:") {
            // The mark of the store is not an envelope.
            continue;
        }
        let read = own
            .get(&RecordName::from(name.as_str()), &Slot::Whole)
            .await;
        *stored = read.unwrap().unwrap();
        assert_eq!(Shape::of_header(stored).map(|it| it.key), Some(newer));
    }
    shared.keys.restore(rotated);
    assert_under_users(&shared.another().await, &store, 50).await;
}

#[tokio::test]
async fn the_keys_of_a_page_are_read_together_and_created_together() {
    let shared = Shared::default();
    let process = shared.first().await;
    let store = Arc::new(MemoryStore::default());
    for i in 0..40 {
        put(&store, &record(i), &Slot::Whole, &plain(i)).await;
    }
    // Nothing is under a user's key: no key is read to find that out.
    let audit = || Audit::new(process.sealer(Format::Sealed), true);
    whole(&process.sweep(store.clone(), audit())).await;
    assert_eq!(shared.keys.calls(), 0);
    // Four pages: read, and read and created for users without one.
    let migrate = || Migrate::new(process.sealer(Format::Sealed));
    assert_eq!(
        whole(&process.sweep(store.clone(), migrate())).await.done,
        40
    );
    assert_eq!(shared.keys.calls(), 4 * 3);
    whole(&process.sweep(store.clone(), audit())).await;
    whole(&process.sweep(store.clone(), migrate())).await;
    assert_eq!(shared.keys.calls(), 12);
    // A process that knows none of them yet.
    let another = shared.another().await;
    let audit = Audit::new(another.sealer(Format::Sealed), true);
    let tally = whole(&another.sweep(store.clone(), audit)).await;
    assert_eq!(tally.count(|class| class == Class::OfUser), 40);
    assert_eq!(shared.keys.calls(), 12 + 4);
}

#[tokio::test]
async fn a_dry_run_counts_what_would_be_done_and_creates_no_key() {
    let shared = Shared::default();
    let process = shared.first().await;
    let store = mixed(&process, 50).await;
    let (keys, before) = (shared.keys.backup(), contents(&store).await);
    for rotates in [false, true] {
        let sealer = process.sealer(Format::Classic);
        let mut sweep = match rotates {
            true => process.sweep(store.clone(), Rotate::new(sealer)),
            false => process.sweep(store.clone(), Migrate::new(sealer)),
        };
        sweep.options.dry_run = true;
        let tally = whole(&sweep).await;
        assert_eq!((tally.total, tally.done, tally.already), (60, 50, 10));
    }
    assert!(shared.keys.backup() == keys);
    assert_eq!(contents(&store).await, before);
}

#[tokio::test]
async fn an_audit_counts_values_of_users_and_of_erased_ones_apart() {
    let shared = Shared::default();
    let process = shared.first().await;
    let store = mixed(&process, 50).await;
    process.erase(&user(3)).await;
    // Erased and returned: the old value stays erased, the new one is the user's.
    process.erase(&user(8)).await;
    let renewed = process.users.read_or_create(&[&user(8)]).await.unwrap();
    assert!(user_key(&get(&store, 8).await) != renewed[0].id());
    // Under a key that does not exist.
    let lost = process.users.record_name(&user(13));
    let mut keys = shared.keys.backup();
    assert!(keys.remove(&lost).is_some());
    shared.keys.restore(keys);
    let another = shared.another().await;
    for (process, deep) in [(&another, false), (&another, true)] {
        let audit = Audit::new(process.sealer(Format::Sealed), deep);
        let (tally, found) = causes(&process.sweep(store.clone(), audit)).await;
        let count = |class| tally.count(|it| it == class);
        assert_eq!((tally.erased, count(Class::Erased)), (2, 2));
        // The value with the lost key is among them, and is a finding.
        assert_eq!((count(Class::OfUser), tally.failed), (8, 1));
        assert_eq!(found.len(), 1);
        assert!(
            found[0].contains("which is not in the keyring"),
            "{found:?}"
        );
        assert_eq!(count(Class::Plain), 30);
        assert_eq!(count(Class::Classic(id(A))), 10);
        assert_eq!(count(Class::Sealed(id(A))), 10);
    }
    // Another key would not open it: a sweep that seals creates none.
    let keys = shared.keys.backup();
    let rotate = Rotate::new(another.sealer(Format::Sealed));
    let sweep = another.sweep(store.clone(), rotate);
    let (tally, found) = causes(&sweep).await;
    assert_eq!((tally.failed, found.len()), (1, 1));
    assert!(!shared.keys.backup().contains_key(&lost));
    assert!(shared.keys.backup().len() > keys.len());
    // Without the keys of users, only the header is known.
    let audit = Audit::new(process.sealer(Format::Sealed), false);
    let mut sweep = process.sweep(store, audit);
    sweep.keys.users = None;
    let tally = whole(&sweep).await;
    assert_eq!(tally.count(|class| class == Class::OfUser), 60);
    assert_eq!((tally.erased, tally.failed), (0, 0));
}

#[tokio::test]
async fn a_sweep_does_not_restore_an_erased_user() {
    let shared = Shared::default();
    let process = shared.first().await;
    let store = mixed(&process, 5).await;
    for i in 0..5 {
        process.users.read_or_create(&[&user(i)]).await.unwrap();
        process.erase(&user(i)).await;
    }
    let (keys, before) = (shared.keys.backup(), contents(&store).await);
    let gone = "the user's key was destroyed";
    for rotates in [false, true] {
        let sealer = process.sealer(Format::Sealed);
        let sweep = match rotates {
            true => process.sweep(store.clone(), Rotate::new(sealer)),
            false => process.sweep(store.clone(), Migrate::new(sealer)),
        };
        // Values sealed for the user are erased as intended; the others should not exist.
        let (tally, found) = causes(&sweep).await;
        assert_eq!((tally.total, tally.erased, tally.failed), (6, 1, 5));
        assert_eq!(found, [gone; 4]);
    }
    assert_eq!(contents(&store).await, before);
    assert!(shared.keys.backup() == keys);
    let decrypt = Decrypt::new(process.sealer(Format::Sealed));
    let (tally, found) = causes(&process.sweep(store.clone(), decrypt)).await;
    assert_eq!((tally.done, tally.already, tally.failed), (2, 3, 1));
    assert_eq!(found, [gone]);
}

#[tokio::test]
async fn decrypt_opens_values_of_users_with_their_keys() {
    let shared = Shared::default();
    let process = shared.first().await;
    let store = mixed(&process, 50).await;
    let sealer = process.sealer(Format::Sealed);
    whole(&process.sweep(store.clone(), Migrate::new(sealer.clone()))).await;
    let tally = whole(&process.sweep(store.clone(), Decrypt::new(sealer))).await;
    assert_eq!((tally.total, tally.done), (60, 60));
    for i in (0..50).filter(|i| i % 5 != 4) {
        assert!(get(&store, i).await == plain(i));
    }
}
