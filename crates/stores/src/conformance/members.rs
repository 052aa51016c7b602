//! Members of sets and sorted sets: reading them, and replacing one by another. A store that cannot
//! hold them says so.

use std::collections::BTreeMap;

use super::{Bench, Collection};
use crate::error::StoreError;
use crate::record::{Expiry, Lifetime, Record, RecordName, Slot};
use crate::store::{Change, Outcome};

/// A record of each type that has members.
struct Collections {
    set: RecordName,
    sorted: RecordName,
}

impl Collections {
    /// Creates both with these members, with scores from 0.5 on. `None` if the store cannot hold
    /// them.
    async fn make(bench: &Bench<'_>, members: &[Vec<u8>]) -> Option<Self> {
        let (set, sorted) = (bench.name("set"), bench.name("sorted set"));
        let of_set = Collection::Set(members.to_vec());
        let scored = (0..).zip(members);
        let scored = scored.map(|(n, member)| (member.clone(), format!("{n}.5")));
        let of_sorted = Collection::SortedSet(scored.collect());
        let has_made = bench.subject.make(&set, of_set).await;
        assert_eq!(
            bench.subject.make(&sorted, of_sorted).await,
            has_made,
            "a store that can hold sets can hold sorted sets"
        );
        has_made.then_some(Self { set, sorted })
    }

    fn both(&self) -> [&RecordName; 2] {
        [&self.set, &self.sorted]
    }
}

fn change<'a>(name: &'a RecordName, slot: &'a Slot, old: &'a [u8], new: &'a [u8]) -> Change<'a> {
    Change {
        name,
        slot,
        expected: Some(old),
        value: new,
        expiry: Expiry::Keep,
    }
}

async fn replace(bench: &Bench<'_>, name: &RecordName, old: &[u8], new: &[u8]) -> Outcome {
    let slot = Slot::Member(old.to_vec());
    let change = change(name, &slot, old, new);
    let outcomes = bench.store.replace_if_unchanged(&[change]).await;
    match outcomes.as_deref() {
        Ok([outcome]) => *outcome,
        Ok(_) => panic!("there is one outcome for each change"),
        Err(error) => panic!("a change that is not carried out is not an error: {error}"),
    }
}

async fn members(bench: &Bench<'_>, name: &RecordName) -> Vec<Vec<u8>> {
    let slots = bench.slots(name, 100).await.into_iter();
    let mut members: Vec<Vec<u8>> = slots.map(|(_, member)| member).collect();
    members.sort();
    members.dedup();
    members
}

pub(super) async fn members_come_in_pages_and_one_by_one(bench: &Bench<'_>) {
    let member = |n: u32| [&n.to_be_bytes()[..], b"\xff\r\n"].concat();
    let mut expected: Vec<Vec<u8>> = (0..3000).map(member).collect();
    expected.push(Vec::new());
    expected.sort();
    let Some(made) = Collections::make(bench, &expected).await else {
        return;
    };
    for (name, record) in [(&made.set, Record::Set), (&made.sorted, Record::SortedSet)] {
        assert!(
            bench.record(name).await == Some(record),
            "a record with members is read with its type"
        );
        for count in [100, 10_000] {
            let mut read = BTreeMap::new();
            for (slot, value) in bench.slots(name, count).await {
                assert!(slot == Slot::Member(value.clone()), "a member is its value");
                read.insert(value, ());
            }
            assert!(
                read.into_keys().eq(expected.clone()),
                "no member is missing"
            );
        }
        let there = Slot::Member(member(7));
        let got = bench.slot(name, &there).await;
        assert_eq!(got, Some(member(7)), "the value of a member is the member");
        let absent = bench.slot(name, &Slot::Member(b"absent".to_vec())).await;
        assert_eq!(absent, None, "a member that is not there has no value");
        let count = bench.store.slot_count(name).await;
        assert!(
            matches!(count, Ok(None | Some(3001))),
            "members are counted, or not reported"
        );
    }
}

pub(super) async fn a_member_is_replaced_only_if_it_is_there(bench: &Bench<'_>) {
    let (old, stays) = (b"old".to_vec(), b"stays".to_vec());
    let absent = bench.name("absent");
    let result = replace(bench, &absent, b"old", b"new").await;
    assert_eq!(result, Outcome::Changed, "an absent record has no member");
    assert!(
        bench.record(&absent).await.is_none(),
        "no record was created"
    );
    let string = bench.name("string");
    bench.put(&string, b"old", Expiry::Persistent).await;
    let result = replace(bench, &string, b"old", b"new").await;
    assert_eq!(result, Outcome::Changed, "nor has a string");
    let Some(made) = Collections::make(bench, &[old, stays.clone()]).await else {
        return;
    };
    for name in made.both() {
        let result = replace(bench, name, b"other", b"new").await;
        assert_eq!(result, Outcome::Changed, "another member is not replaced");
        let result = replace(bench, name, b"old", b"new\x00\xff").await;
        assert_eq!(result, Outcome::Done, "a member that is there is replaced");
        let expected = [b"new\x00\xff".to_vec(), stays.clone()];
        assert_eq!(
            members(bench, name).await,
            expected,
            "by the new one, and no other is"
        );
        let result = replace(bench, name, b"old", b"new").await;
        assert_eq!(result, Outcome::Changed, "the old one is gone");
        let result = replace(bench, name, b"stays", b"stays").await;
        assert_eq!(result, Outcome::Done, "a member can be replaced by itself");
        assert_eq!(
            members(bench, name).await,
            expected,
            "and stays where it was"
        );
    }
}

pub(super) async fn a_replaced_member_keeps_its_score_and_the_record_its_expiry(bench: &Bench<'_>) {
    for score in [
        "-inf",
        "0.1",
        "12345678901234567000",
        "-1.7976931348623157e+308",
        "0",
    ] {
        let name = bench.name(format!("of {score}"));
        let only = Collection::SortedSet(vec![(b"old".to_vec(), score.to_owned())]);
        if !bench.subject.make(&name, only).await {
            return;
        }
        let before = bench.subject.score(&name, b"old").await;
        assert!(before.is_some(), "a member has a score");
        // The only member: the record must not be gone in between.
        let result = replace(bench, &name, b"old", b"new").await;
        assert_eq!(result, Outcome::Done, "the only member is replaced");
        let after = bench.subject.score(&name, b"new").await;
        assert_eq!(after, before, "a replaced member keeps its score");
    }
    let set = bench.name("set");
    bench.make_set(&set).await;
    let expires_at = Lifetime::Until(4_102_444_800_123);
    bench.subject.expire_at(&set, 4_102_444_800_123).await;
    assert_eq!(bench.lifetime(&set).await, expires_at, "it has an expiry");
    let result = replace(bench, &set, b"member", b"new").await;
    assert_eq!(result, Outcome::Done, "the only member is replaced");
    assert_eq!(
        bench.lifetime(&set).await,
        expires_at,
        "the record keeps its expiry"
    );
}

pub(super) async fn a_member_that_is_there_in_both_forms_is_left_in_the_new_one(bench: &Bench<'_>) {
    let both = [b"old".to_vec(), b"new".to_vec()];
    let Some(made) = Collections::make(bench, &both).await else {
        return;
    };
    let score = bench.subject.score(&made.sorted, b"new").await;
    for name in made.both() {
        let result = replace(bench, name, b"old", b"new").await;
        assert_eq!(result, Outcome::Done, "the old form is removed");
        assert_eq!(
            members(bench, name).await,
            [b"new".to_vec()],
            "a member is there once"
        );
    }
    let kept = bench.subject.score(&made.sorted, b"new").await;
    assert_eq!(kept, score, "the form that stays keeps its score");
}

pub(super) async fn a_thousand_members_are_judged_individually(bench: &Bench<'_>) {
    let all: Vec<Vec<u8>> = (0..1000).map(|n| format!("{n:04}").into_bytes()).collect();
    let Some(made) = Collections::make(bench, &all).await else {
        return;
    };
    for name in made.both() {
        let slots: Vec<Slot> = (0..1500)
            .map(|n| Slot::Member(format!("{n:04}").into_bytes()))
            .collect();
        let new: Vec<Vec<u8>> = (0..1500).map(|n| format!("new {n:04}").into()).collect();
        let changes = slots.iter().zip(&new).map(|(slot, new)| {
            let Slot::Member(old) = slot else {
                panic!("they are members");
            };
            change(name, slot, old, new)
        });
        let changes: Vec<_> = changes.collect();
        let outcomes = bench.store.replace_if_unchanged(&changes).await;
        let outcomes = outcomes.expect("a batch can be changed");
        assert_eq!(outcomes.len(), 1500, "there is one outcome for each change");
        let (there, absent) = outcomes.split_at(1000);
        assert!(
            there.iter().all(|it| *it == Outcome::Done),
            "members that are there are replaced"
        );
        assert!(
            absent.iter().all(|it| *it == Outcome::Changed),
            "the others are not"
        );
        assert!(
            members(bench, name).await == new[..1000],
            "each by the one that belongs to it"
        );
    }
}

pub(super) async fn a_member_is_not_written_in_its_place(bench: &Bench<'_>) {
    let name = bench.name("record");
    let slot = Slot::Member(b"member".to_vec());
    let put = bench.store.put(&name, &slot, b"new", Expiry::Keep).await;
    assert!(
        matches!(put, Err(StoreError::Unsupported { .. })),
        "a member has no place to write to"
    );
    assert!(bench.record(&name).await.is_none(), "nothing was written");
}
