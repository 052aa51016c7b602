//! Changes that are carried out only if the record is unchanged.

use std::time::Duration;

use super::Bench;
use crate::record::{Expiry, Lifetime, RecordName, Slot};
use crate::store::{Change, Outcome};

const HOUR: Duration = Duration::from_secs(3600);

fn change<'a>(
    name: &'a RecordName,
    slot: &'a Slot,
    expected: Option<&'a [u8]>,
    value: &'a [u8],
) -> Change<'a> {
    Change {
        name,
        slot,
        expected,
        value,
        expiry: Expiry::Keep,
    }
}

async fn outcome(bench: &Bench<'_>, change: Change<'_>) -> Outcome {
    let outcomes = bench.store.replace_if_unchanged(&[change]).await;
    match outcomes.as_deref() {
        Ok([outcome]) => *outcome,
        Ok(_) => panic!("there is one outcome for each change"),
        Err(error) => panic!("a change that is not carried out is not an error: {error}"),
    }
}

pub(super) async fn a_change_needs_the_expected_bytes(bench: &Bench<'_>) {
    let name = bench.name("record");
    let whole = &Slot::Whole;
    let result = outcome(bench, change(&name, whole, Some(b"old"), b"new")).await;
    assert_eq!(
        result,
        Outcome::Changed,
        "a record that is absent is not replaced"
    );
    assert_eq!(bench.get(&name).await, None, "and not created either");

    bench.put(&name, b"old", Expiry::Persistent).await;
    for wrong in [&b"other"[..], b"", b"ol", b"old ", b"OLD"] {
        let result = outcome(bench, change(&name, whole, Some(wrong), b"new")).await;
        assert_eq!(
            result,
            Outcome::Changed,
            "other bytes than the expected are not replaced"
        );
        assert_eq!(
            bench.get(&name).await.as_deref(),
            Some(&b"old"[..]),
            "nothing was changed"
        );
    }
    let result = outcome(bench, change(&name, whole, Some(b"old"), b"new\x00\xff")).await;
    assert_eq!(result, Outcome::Done, "the expected bytes are replaced");
    assert_eq!(
        bench.get(&name).await.as_deref(),
        Some(&b"new\x00\xff"[..]),
        "by the new ones"
    );

    let empty = bench.name("empty");
    bench.put(&empty, b"", Expiry::Persistent).await;
    let result = outcome(bench, change(&empty, whole, Some(b""), b"new")).await;
    assert_eq!(result, Outcome::Done, "an empty value can be expected");

    let hash = bench.name("hash");
    bench.put_field(&hash, b"field", b"old").await;
    let set = bench.name("set");
    let others = if bench.make_set(&set).await {
        vec![&hash, &set]
    } else {
        vec![&hash]
    };
    for other in others {
        let result = outcome(bench, change(other, whole, Some(b"old"), b"new")).await;
        assert_eq!(
            result,
            Outcome::Changed,
            "a record of another type is not replaced"
        );
        let kind = bench.kind(other).await;
        assert_ne!(kind.as_deref(), Some("string"), "and keeps its type");
    }
}

pub(super) async fn a_creation_needs_an_absent_record(bench: &Bench<'_>) {
    let (name, hash) = (bench.name("record"), bench.name("hash"));
    let whole = &Slot::Whole;
    let result = outcome(bench, change(&name, whole, None, b"first")).await;
    assert_eq!(result, Outcome::Done, "an absent record is created");
    assert_eq!(
        bench.lifetime(&name).await,
        Lifetime::Persistent,
        "a kept expiry of an absent record is read as none"
    );
    let result = outcome(bench, change(&name, whole, None, b"second")).await;
    assert_eq!(
        result,
        Outcome::Changed,
        "an existing record is not created again"
    );
    assert_eq!(
        bench.get(&name).await.as_deref(),
        Some(&b"first"[..]),
        "nothing was changed"
    );
    bench.put_field(&hash, b"field", b"value").await;
    let result = outcome(bench, change(&hash, whole, None, b"second")).await;
    assert_eq!(
        result,
        Outcome::Changed,
        "a record of another type exists too"
    );

    let ending = bench.name("ending");
    let timed = Change {
        expiry: Expiry::After(HOUR),
        ..change(&ending, whole, None, b"first")
    };
    assert_eq!(
        outcome(bench, timed).await,
        Outcome::Done,
        "an absent record is created with an expiry"
    );
    bench.expires_at(&ending).await;
}

pub(super) async fn a_change_of_a_slot_needs_the_slot_and_its_bytes(bench: &Bench<'_>) {
    let (hash, list, string) = (bench.name("hash"), bench.name("list"), bench.name("string"));
    let absent = bench.name("absent");
    bench.put_field(&hash, b"field", b"old").await;
    bench.put_field(&hash, b"other", b"stays").await;
    bench
        .subject
        .make_list(&list, vec![b"stays".to_vec(), b"old".to_vec()])
        .await;
    bench.put(&string, b"old", Expiry::Persistent).await;
    let (field, element) = (Slot::Field(b"field".to_vec()), Slot::Element(1));
    let refused = [
        (&hash, Slot::Field(b"none".to_vec())),
        (&hash, element.clone()),
        (&list, Slot::Element(2)),
        (&list, Slot::Element(0)),
        (&list, field.clone()),
        (&string, field.clone()),
        (&string, element.clone()),
        (&absent, field.clone()),
        (&absent, Slot::Element(0)),
    ];
    for (name, slot) in &refused {
        let result = outcome(bench, change(name, slot, Some(b"old"), b"new")).await;
        assert_eq!(
            result,
            Outcome::Changed,
            "a slot that does not hold the bytes is not replaced"
        );
    }
    assert!(
        bench.record(&absent).await.is_none(),
        "no record was created"
    );
    for (name, slot) in [(&hash, &field), (&list, &element)] {
        let result = outcome(bench, change(name, slot, Some(b"other"), b"new")).await;
        assert_eq!(
            result,
            Outcome::Changed,
            "a slot with other bytes is not replaced"
        );
        let result = outcome(bench, change(name, slot, Some(b"old"), b"new")).await;
        assert_eq!(
            result,
            Outcome::Done,
            "a slot with the expected bytes is replaced"
        );
        assert_eq!(
            bench.slot(name, slot).await.as_deref(),
            Some(&b"new"[..]),
            "by the new ones"
        );
    }
    let other = Slot::Field(b"other".to_vec());
    for (name, slot) in [(&hash, &other), (&list, &Slot::Element(0))] {
        let got = bench.slot(name, slot).await;
        assert_eq!(
            got.as_deref(),
            Some(&b"stays"[..]),
            "other slots are unchanged"
        );
    }
}

pub(super) async fn a_change_keeps_or_sets_the_expiry(bench: &Bench<'_>) {
    let name = bench.name("record");
    bench.put(&name, b"0", Expiry::At(4_102_444_800_123)).await;
    let steps = [
        (
            Expiry::Keep,
            Some(Lifetime::Until(4_102_444_800_123)),
            "keep preserves the expiry",
        ),
        (
            Expiry::At(4_102_444_800_456),
            Some(Lifetime::Until(4_102_444_800_456)),
            "a time is set",
        ),
        (Expiry::After(HOUR), None, "a span is set"),
        (
            Expiry::Persistent,
            Some(Lifetime::Persistent),
            "persistent removes the expiry",
        ),
        (
            Expiry::Keep,
            Some(Lifetime::Persistent),
            "keep adds no expiry",
        ),
    ];
    for (n, (expiry, expected, sentence)) in (0_u8..).zip(steps) {
        let (old, new) = ([b'0' + n], [b'1' + n]);
        let step = Change {
            expiry,
            ..change(&name, &Slot::Whole, Some(&old), &new)
        };
        assert_eq!(outcome(bench, step).await, Outcome::Done, "{sentence}");
        match expected {
            Some(lifetime) => assert_eq!(bench.lifetime(&name).await, lifetime, "{sentence}"),
            None => assert!(
                bench.expires_at(&name).await < 4_102_444_800_123,
                "{sentence}"
            ),
        }
    }
}

pub(super) async fn a_thousand_changes_are_judged_individually(bench: &Bench<'_>) {
    let names: Vec<RecordName> = (0..1000).map(|n| bench.name(format!("{n}"))).collect();
    let field = Slot::Field(b"field".to_vec());
    for (n, name) in names.iter().enumerate() {
        match n % 5 {
            0 => {
                let expires_at = Expiry::At(4_102_444_800_000 + n as u64);
                bench.put(name, b"old", expires_at).await;
            }
            1 => bench.put(name, b"changed", Expiry::Persistent).await,
            2 => bench.put_field(name, b"field", b"old").await,
            _ => {}
        }
    }
    let batch = names.iter().enumerate().map(|(n, name)| match n % 5 {
        2 => change(name, &field, Some(b"old"), b"new"),
        4 => change(name, &Slot::Whole, None, b"new"),
        _ => change(name, &Slot::Whole, Some(b"old"), b"new"),
    });
    let batch: Vec<Change<'_>> = batch.collect();
    let outcomes = bench
        .store
        .replace_if_unchanged(&batch)
        .await
        .expect("a batch can be changed");
    assert_eq!(
        outcomes.len(),
        names.len(),
        "there is one outcome for each change"
    );
    for (n, (name, outcome)) in names.iter().zip(outcomes).enumerate() {
        let (expected, value) = match n % 5 {
            0 | 4 => (Outcome::Done, Some(&b"new"[..])),
            1 => (Outcome::Changed, Some(&b"changed"[..])),
            2 => (Outcome::Done, Some(&b"new"[..])),
            _ => (Outcome::Changed, None),
        };
        assert_eq!(
            outcome, expected,
            "outcomes come in the order of the changes"
        );
        let slot = if n % 5 == 2 { &field } else { &Slot::Whole };
        let got = bench.slot(name, slot).await;
        assert_eq!(
            got.as_deref(),
            value,
            "each change of a batch is judged individually"
        );
        if n % 5 == 0 {
            let expires_at = Lifetime::Until(4_102_444_800_000 + n as u64);
            assert_eq!(
                bench.lifetime(name).await,
                expires_at,
                "a batch keeps every expiry"
            );
        }
    }
    let none = bench.store.replace_if_unchanged(&[]).await;
    assert_eq!(none, Ok(Vec::new()), "no changes have no outcomes");
}
