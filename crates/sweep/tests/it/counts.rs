//! The counts of a whole sweep over records of every kind, exactly; and that a dry run, an
//! audit and findings reveal nothing and change nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use waxseal_core::{Binding, Format};
use waxseal_stores::{MemoryStore, RecordName, RecordStore, Slot};
use waxseal_sweep::{
    Audit, Class, Decrypt, Event, Finding, Group, Position, Rotate, SweepOptions, Tally, Task,
    ValueLocation,
};

use super::gate::{Call, Gate, Rule};
use super::records::{self, FAR, contents, mixed_store, plain, record};
use super::{
    A, B, C, assert_adds_up, batches_of, damaged, envelope, id, migrate, run, sealer, sweep, whole,
};

/// Records; each tenth is of another kind, with this number of values.
const RECORDS: u64 = 5_000;
const TENTH: u64 = RECORDS / 10;
const VALUES: u64 = 15 * TENTH;

/// Counts in tenths of the records.
fn tenths(done: u64, already: u64, empty: u64, failed: u64) -> [u64; 6] {
    [15, done, already, empty, 0, failed].map(|count| count * TENTH)
}

fn numbers(tally: &Tally) -> [u64; 6] {
    assert_adds_up(tally);
    assert_eq!(tally.skipped, BTreeMap::new());
    let Tally {
        total,
        done,
        already,
        empty,
        raced,
        failed,
        ..
    } = *tally;
    [total, done, already, empty, raced, failed]
}

fn rotate() -> Arc<dyn Task> {
    Arc::new(Rotate::new(sealer(Format::Sealed)))
}

fn decrypt() -> Arc<dyn Task> {
    Arc::new(Decrypt::new(sealer(Format::Sealed)))
}

#[tokio::test]
async fn each_task_counts_every_value_once_and_finds_nothing_left_to_do_the_second_time() {
    for (task, first, second) in [
        (migrate(), tenths(6, 4, 2, 3), tenths(0, 10, 2, 3)),
        (rotate(), tenths(7, 3, 2, 3), tenths(0, 10, 2, 3)),
        (decrypt(), tenths(5, 5, 2, 3), tenths(0, 10, 2, 3)),
    ] {
        let store = mixed_store(RECORDS).await;
        let sweep = sweep(store, task, batches_of(64));
        assert_eq!(numbers(&whole(&sweep).await), first);
        assert_eq!(numbers(&whole(&sweep).await), second);
    }
}

#[tokio::test]
async fn what_is_migrated_rotated_and_decrypted_again_is_what_was_there_before() {
    let store = mixed_store(1_000).await;
    let before = contents(&store).await;
    for task in [migrate(), rotate(), decrypt()] {
        whole(&sweep(store.clone(), task, batches_of(50))).await;
    }
    let after = contents(&store).await;
    assert!(before.keys().eq(after.keys()));
    let mut faults = 0;
    for (place, (value, lifetime)) in &after {
        let (was, lived) = &before[place];
        assert_eq!(lifetime, lived);
        let is_plain = value.first().is_none_or(|byte| *byte == b'{');
        // Values that do not open are unchanged.
        assert!(is_plain || value == was);
        faults += u32::from(!is_plain);
        if was.first() == Some(&b'{') {
            assert!(value == was);
        }
    }
    assert_eq!(faults, 300);
}

#[tokio::test]
async fn only_records_of_the_pattern_are_touched_and_never_those_of_waxseal() {
    let store = records::plain_store(20).await;
    let others = [
        "lock:wa:1",
        "wb:1",
        "waxseal:canary",
        "waxseal:quarantine:wa:1",
    ];
    for name in others {
        records::put(&store, &RecordName::from(name), &Slot::Whole, &plain(1)).await;
    }
    assert_eq!(
        whole(&sweep(store.clone(), migrate(), batches_of(5)))
            .await
            .done,
        20
    );
    let mut everything = sweep(store.clone(), migrate(), batches_of(5));
    everything.pattern = waxseal_stores::RecordPattern::parse("*").unwrap();
    let tally = whole(&everything).await;
    assert_eq!((tally.total, tally.done, tally.already), (22, 2, 20));
    for name in &others[2..] {
        let stored = store.get(&RecordName::from(*name), &Slot::Whole).await;
        assert!(stored.unwrap().unwrap() == plain(1));
    }
}

#[tokio::test]
async fn a_dry_run_counts_the_same_and_writes_nothing() {
    for task in [migrate(), rotate(), decrypt()] {
        let store = mixed_store(1_000).await;
        let before = contents(&store).await;
        let gate = Gate::new(store.clone(), |_, _, _| Rule::Pass);
        let mut dry = sweep(gate.clone(), task, batches_of(64));
        dry.options.dry_run = true;
        let counted = whole(&dry).await;
        assert_eq!(gate.calls(Call::Replace), 0);
        assert!(contents(&store).await == before);
        dry.options.dry_run = false;
        assert_eq!(whole(&dry).await, counted);
        assert!(contents(&store).await != before);
    }
}

#[tokio::test]
async fn an_audit_counts_by_class_type_and_key_and_tells_when_an_older_key_is_done_with() {
    let store = mixed_store(RECORDS).await;
    let last = RecordName::from("wa:last");
    let old = envelope(B, Format::Classic, b"{}", Binding::unbound());
    let until = waxseal_stores::Expiry::At(FAR);
    store.put(&last, &Slot::Whole, &old, until).await.unwrap();
    let before = contents(&store).await;

    let audit = Arc::new(Audit::new(sealer(Format::Sealed), true));
    let tally = whole(&sweep(store.clone(), audit, SweepOptions::default())).await;
    assert_eq!(
        numbers(&tally),
        [VALUES + 1, 0, 10 * TENTH + 1, 2 * TENTH, 0, 3 * TENTH]
    );
    assert!(contents(&store).await == before);

    let values: BTreeMap<_, _> = tally
        .groups
        .iter()
        .map(|(of, group)| (*of, group.values))
        .collect();
    let (string, hash, list) = (
        ValueLocation::String,
        ValueLocation::HashField,
        ValueLocation::ListElement,
    );
    let expected = [
        ((Class::Plain, string), 2 * TENTH),
        ((Class::Plain, hash), TENTH),
        ((Class::Plain, list), 2 * TENTH),
        ((Class::Classic(id(A)), string), TENTH),
        ((Class::Classic(id(B)), string), 1),
        ((Class::Sealed(id(A)), string), TENTH),
        ((Class::Sealed(id(A)), hash), TENTH),
        ((Class::Sealed(id(A)), list), TENTH),
        ((Class::Sealed(id(B)), string), TENTH),
        ((Class::Empty, string), TENTH),
        ((Class::Empty, hash), TENTH),
        ((Class::Unopenable, string), TENTH),
        ((Class::Unopenable, list), TENTH),
        ((Class::UnknownKey(id(C)), string), TENTH),
    ];
    assert_eq!(values, expected.into_iter().collect());
    assert_eq!(tally.count(|class| class == Class::Plain), 5 * TENTH);

    let older = tally.groups[&(Class::Sealed(id(B)), string)];
    assert_eq!((older.last_expiry, older.without_expiry), (None, TENTH));
    assert_eq!(older.bytes, TENTH * 248);
    let expiring = Group {
        values: 1,
        bytes: old.len() as u64,
        first_expiry: Some(FAR),
        last_expiry: Some(FAR),
        without_expiry: 0,
    };
    assert_eq!(tally.groups[&(Class::Classic(id(B)), string)], expiring);
    let expiries: Vec<_> = tally.expiries[&id(B)].buckets().collect();
    assert_eq!(expiries, [(FAR - FAR % 60_000, 1)]);
    assert_eq!(tally.expiries.len(), 1);
    // Of what is under the sealing key it is not asked.
    let current = tally.groups[&(Class::Sealed(id(A)), string)];
    assert_eq!((current.last_expiry, current.without_expiry), (None, 0));
}

#[tokio::test]
async fn an_audit_asks_for_the_lifetimes_of_a_large_record_in_pages() {
    let store = Arc::new(MemoryStore::default());
    let name = record(0);
    for n in 0..2_000 {
        let field = format!("{n}").into_bytes();
        let place = Binding::field(name.as_bytes(), &field);
        let old = envelope(B, Format::Sealed, b"{}", place);
        records::put(&store, &name, &Slot::Field(field.clone()), &old).await;
    }
    let gate = Gate::new(store, |_, _, _| Rule::Pass);
    let audit = Arc::new(Audit::new(sealer(Format::Sealed), false));
    let tally = whole(&sweep(gate.clone(), audit, SweepOptions::default())).await;
    let group = tally.groups[&(Class::Sealed(id(B)), ValueLocation::HashField)];
    assert_eq!((group.values, group.without_expiry), (2_000, 2_000));
    assert_eq!(gate.calls(Call::Lifetimes), gate.calls(Call::ReadSlots));
    assert!(gate.calls(Call::Lifetimes) >= 4);
}

async fn findings(sweep: &waxseal_sweep::Sweep) -> (Tally, Vec<Finding>) {
    let mut found = Vec::new();
    let report = run(sweep, Position::default(), &mut |event| {
        if let Event::Finding(finding) = event {
            found.push(finding.clone());
        }
    })
    .await;
    (report.position.counts(), found)
}

#[tokio::test]
async fn findings_show_names_only_as_prefix_and_hash_and_no_value() {
    let store = mixed_store(1_000).await;
    let sweep = sweep(store, migrate(), batches_of(64));
    let (tally, found) = findings(&sweep).await;
    assert_eq!((tally.failed, found.len()), (300, 300));
    for finding in &found {
        let hash = finding
            .record
            .strip_prefix("wa:#")
            .expect("the prefix, and a mark");
        assert!(
            hash.len() == 8 && hash.chars().all(|c| c.is_ascii_hexdigit()),
            "{hash}"
        );
    }
    let shown = format!("{found:?}");
    assert!(!shown.contains("52155") && !shown.contains("status"));
    let unknown = format!(
        "the value is sealed under key {}, which is not in the keyring",
        id(C)
    );
    assert_eq!(
        found
            .iter()
            .filter(|finding| finding.cause == unknown)
            .count(),
        100
    );
    let refused = "Failed to decrypt Redis data";
    assert_eq!(
        found
            .iter()
            .filter(|finding| finding.cause == refused)
            .count(),
        200
    );
    // The same record is shown alike by the mask of the sweep.
    let damaged = sweep.mask.show("wa:", record(5).as_bytes());
    assert!(found.iter().any(|finding| finding.record == damaged));
}

#[tokio::test]
async fn a_record_full_of_damaged_values_is_one_finding_for_each_cause() {
    let store = Arc::new(MemoryStore::default());
    for i in 0..2 {
        let name = record(i);
        let mut elements = Vec::new();
        for n in 0..2_000 {
            let key = if n % 2 == 0 { A } else { C };
            let here = Binding::record(name.as_bytes());
            elements.push(damaged(envelope(key, Format::Sealed, b"{}", here)));
        }
        store.append(&name, &elements).unwrap();
    }
    let (tally, found) = findings(&sweep(store, migrate(), SweepOptions::default())).await;
    assert_eq!((tally.total, tally.failed, found.len()), (4_000, 4_000, 4));
}
