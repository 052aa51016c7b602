//! Records that get other names, if these are free.

use std::sync::Arc;

use futures_util::future::join_all;

use super::{Bench, Collection};
use crate::record::{Expiry, Lifetime, Record, RecordName, Slot, StreamEntry};
use crate::store::RenameOutcome;

/// The number of records that are renamed at once.
const MANY: usize = 1_000;
const TASKS: usize = 8;
/// An expiry, in milliseconds since the Unix epoch.
const END: u64 = 4_102_444_800_123;

impl Bench<'_> {
    async fn rename(&self, renames: &[(RecordName, RecordName)]) -> Vec<RenameOutcome> {
        let outcomes = self.store.rename_absent(renames).await;
        let outcomes = outcomes.unwrap_or_else(|error| panic!("records can be renamed: {error}"));
        assert_eq!(
            outcomes.len(),
            renames.len(),
            "each renaming has an outcome"
        );
        outcomes
    }

    async fn rename_one(&self, from: &RecordName, to: &RecordName) -> RenameOutcome {
        let outcomes = self.rename(&[(from.clone(), to.clone())]).await;
        outcomes.first().copied().unwrap_or(RenameOutcome::Absent)
    }

    /// Everything that a record holds, in an order of its own.
    async fn contents(&self, name: &RecordName) -> (Option<Record>, Vec<Vec<u8>>) {
        let record = self.record(name).await;
        let mut values = Vec::new();
        if record.as_ref().is_some_and(Record::has_slots) {
            let slots = self.slots(name, 10).await.into_iter();
            values = slots
                .map(|(slot, value)| [format!("{slot:?} ").into_bytes(), value].concat())
                .collect();
        }
        values.sort();
        (record, values)
    }
}

pub(super) async fn a_record_of_any_type_is_renamed_as_it_is(bench: &Bench<'_>) {
    let values = || vec![b"one".to_vec(), b"two".to_vec()];
    let mut names = Vec::new();
    let name = bench.name("string");
    bench.put(&name, b"value", Expiry::Persistent).await;
    names.push(name);
    let name = bench.name("hash");
    for field in [b"one", b"two"] {
        bench.put_field(&name, field, b"value").await;
    }
    names.push(name);
    let name = bench.name("list");
    bench.subject.make_list(&name, values()).await;
    names.push(name);
    let scores = ["1.5", "-2"].map(str::to_owned);
    let entry = StreamEntry {
        id: "1-1".to_owned(),
        fields: vec![(b"field".to_vec(), b"value".to_vec())],
    };
    for (kind, collection) in [
        ("set", Collection::Set(values())),
        (
            "sorted set",
            Collection::SortedSet(values().into_iter().zip(scores).collect()),
        ),
        ("stream", Collection::Stream(vec![entry])),
    ] {
        let name = bench.name(kind);
        if bench.subject.make(&name, collection).await {
            names.push(name);
        }
    }
    for from in names {
        let to = RecordName::from([from.as_bytes(), b", renamed"].concat());
        let before = bench.contents(&from).await;
        assert!(before.0.is_some(), "the record was made");
        let outcome = bench.rename_one(&from, &to).await;
        assert_eq!(
            outcome,
            RenameOutcome::Moved,
            "a record of any type is renamed"
        );
        assert!(bench.record(&from).await.is_none(), "the old name is free");
        let after = bench.contents(&to).await;
        assert!(before == after, "a renamed record holds what it held");
        assert_eq!(
            bench.lifetime(&to).await,
            Lifetime::Persistent,
            "a record without expiry has none under its new name"
        );
    }
}

pub(super) async fn a_renamed_record_keeps_its_expiry(bench: &Bench<'_>) {
    let (from, to) = (bench.name("from"), bench.name("to"));
    bench.put(&from, b"value", Expiry::At(END)).await;
    let outcome = bench.rename_one(&from, &to).await;
    assert_eq!(
        outcome,
        RenameOutcome::Moved,
        "a record with an expiry is renamed"
    );
    assert_eq!(bench.expires_at(&to).await, END, "it keeps its expiry");
    assert_eq!(
        bench.lifetime(&from).await,
        Lifetime::Absent,
        "the old name is free"
    );
}

pub(super) async fn a_record_is_renamed_only_to_a_free_name(bench: &Bench<'_>) {
    let [from, string, hash] = ["from", "string", "hash"].map(|name| bench.name(name));
    bench.put(&from, b"mine", Expiry::At(END)).await;
    bench.put(&string, b"of another", Expiry::Persistent).await;
    bench.put_field(&hash, b"field", b"of another").await;
    for (to, sentence) in [
        (&string, "a record is not renamed onto another"),
        (&hash, "a record is not renamed onto one of another type"),
        (&from, "a record is not renamed onto itself"),
    ] {
        let outcome = bench.rename_one(&from, to).await;
        assert_eq!(outcome, RenameOutcome::Occupied, "{sentence}");
        let left = bench.get(&from).await;
        assert_eq!(left.as_deref(), Some(&b"mine"[..]), "{sentence}");
        assert_eq!(bench.expires_at(&from).await, END, "{sentence}");
    }
    let untouched = bench.get(&string).await;
    assert_eq!(
        untouched.as_deref(),
        Some(&b"of another"[..]),
        "the other is untouched"
    );
    assert_eq!(
        bench.kind(&hash).await.as_deref(),
        Some("hash"),
        "the other is untouched"
    );
}

pub(super) async fn an_absent_record_is_not_renamed(bench: &Bench<'_>) {
    let [from, free, taken] = ["from", "free", "taken"].map(|name| bench.name(name));
    bench.put(&taken, b"of another", Expiry::Persistent).await;
    for to in [&free, &taken, &from] {
        let outcome = bench.rename_one(&from, to).await;
        assert_eq!(
            outcome,
            RenameOutcome::Absent,
            "an absent record is not renamed"
        );
    }
    assert_eq!(
        bench.get(&free).await,
        None,
        "nothing is written under the new name"
    );
    let untouched = bench.get(&taken).await;
    assert_eq!(
        untouched.as_deref(),
        Some(&b"of another"[..]),
        "the other is untouched"
    );
}

pub(super) async fn a_thousand_records_are_renamed_individually(bench: &Bench<'_>) {
    let mut renames = Vec::new();
    for n in 0..MANY {
        let (from, to) = (
            bench.name(format!("from {n}")),
            bench.name(format!("to {n}")),
        );
        if n % 3 != 0 {
            bench
                .put(&from, n.to_string().as_bytes(), Expiry::Persistent)
                .await;
        }
        if n % 5 == 0 {
            bench.put(&to, b"of another", Expiry::Persistent).await;
        }
        renames.push((from, to));
    }
    for (n, outcome) in bench.rename(&renames).await.into_iter().enumerate() {
        let expected = match (n % 3 != 0, n % 5 == 0) {
            (false, _) => RenameOutcome::Absent,
            (true, true) => RenameOutcome::Occupied,
            (true, false) => RenameOutcome::Moved,
        };
        assert_eq!(outcome, expected, "each renaming is judged individually");
    }
    let slot = Slot::Whole;
    for (n, (from, to)) in renames.iter().enumerate() {
        let was_moved = n % 3 != 0 && n % 5 != 0;
        let number = n.to_string().into_bytes();
        if was_moved {
            assert!(
                bench.slot(to, &slot).await == Some(number),
                "it is under its new name"
            );
        } else if n % 3 != 0 {
            assert!(
                bench.slot(from, &slot).await == Some(number),
                "it is where it was"
            );
        }
    }
    // The same once more: what was renamed is absent under its old name.
    for outcome in bench.rename(&renames).await {
        assert_ne!(outcome, RenameOutcome::Moved, "a record is renamed once");
    }
}

pub(super) async fn one_of_many_renamings_wins(bench: &Bench<'_>) {
    let to = bench.name("to");
    for n in 0..TASKS {
        let from = bench.name(format!("from {n}"));
        bench
            .put(&from, n.to_string().as_bytes(), Expiry::Persistent)
            .await;
    }
    let tasks = (0..TASKS).map(|n| {
        let (store, rename) = (
            Arc::clone(&bench.store),
            [(bench.name(format!("from {n}")), to.clone())],
        );
        tokio::spawn(async move {
            let outcome = store.rename_absent(&rename).await;
            outcome.expect("a record can be renamed")
        })
    });
    let ended = join_all(tasks).await.into_iter();
    let ended: Vec<_> = ended.map(|task| task.expect("a renaming ends")).collect();
    let winners = ended.iter().enumerate();
    let winners = winners.filter(|(_, outcome)| **outcome == [RenameOutcome::Moved]);
    let winners: Vec<_> = winners.map(|(n, _)| n).collect();
    let [winner] = winners[..] else {
        panic!("of many records that are renamed alike one is");
    };
    let won = bench.get(&to).await;
    assert!(
        won == Some(winner.to_string().into_bytes()),
        "and it is the one that says so"
    );
}
