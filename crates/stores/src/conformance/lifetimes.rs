//! Expiry of records.

use std::time::Duration;

use super::Bench;
use crate::record::{Cursor, Expiry, Lifetime, RecordName, Slot};
use crate::store::{Change, Move, MoveOutcome, Outcome};

const HOUR: Duration = Duration::from_secs(3600);
/// A time far in the future, with a non-zero millisecond part.
const FAR: u64 = 4_102_444_800_123;
const VALUE: &[u8] = b"value";

pub(super) async fn a_new_record_gets_the_requested_expiry(bench: &Bench<'_>) {
    let name = bench.name("record");
    for (expiry, sentence) in [
        (
            Expiry::Keep,
            "a kept expiry of an absent record is read as none",
        ),
        (Expiry::Persistent, "persistent means no expiry"),
    ] {
        bench
            .store
            .delete(&name)
            .await
            .expect("a record can be deleted");
        bench.put(&name, b"value", expiry).await;
        assert_eq!(
            bench.lifetime(&name).await,
            Lifetime::Persistent,
            "{sentence}"
        );
    }
    bench.put(&name, b"value", Expiry::At(FAR)).await;
    assert_eq!(
        bench.lifetime(&name).await,
        Lifetime::Until(FAR),
        "a time is kept exactly"
    );

    // Two records, an hour apart, written one after the other: the store's own clock decides.
    let later = bench.name("later");
    bench.put(&name, b"value", Expiry::After(HOUR)).await;
    bench.put(&later, b"value", Expiry::After(2 * HOUR)).await;
    let apart = bench
        .expires_at(&later)
        .await
        .saturating_sub(bench.expires_at(&name).await);
    assert!(
        (3_600_000..3_660_000).contains(&apart),
        "a span counts from the time of the write, in milliseconds"
    );
    bench.put(&name, b"value", Expiry::Persistent).await;
    assert_eq!(
        bench.lifetime(&name).await,
        Lifetime::Persistent,
        "persistent removes an expiry"
    );
}

pub(super) async fn keep_preserves_the_expiry_to_the_millisecond(bench: &Bench<'_>) {
    let name = bench.name("record");
    bench.put(&name, b"value", Expiry::After(HOUR)).await;
    let expires_at = bench.expires_at(&name).await;
    bench.subject.pass(Duration::from_millis(5)).await;
    bench.put(&name, b"another", Expiry::Keep).await;
    assert_eq!(
        bench.expires_at(&name).await,
        expires_at,
        "a put that keeps the expiry keeps it to the millisecond"
    );
    let change = Change {
        name: &name,
        slot: &Slot::Whole,
        expected: Some(b"another"),
        value: b"a third",
        expiry: Expiry::Keep,
    };
    let done = bench.store.replace_if_unchanged(&[change]).await;
    assert_eq!(
        done,
        Ok(vec![Outcome::Done]),
        "an unchanged value is replaced"
    );
    assert_eq!(
        bench.expires_at(&name).await,
        expires_at,
        "a change that keeps the expiry keeps it as well"
    );
}

pub(super) async fn writing_a_slot_does_not_change_the_expiry(bench: &Bench<'_>) {
    let hash = bench.name("hash");
    bench.put_field(&hash, b"field", b"value").await;
    assert_eq!(
        bench.lifetime(&hash).await,
        Lifetime::Persistent,
        "a new hash has no expiry"
    );
    let field = Slot::Field(b"field".to_vec());
    let put = bench
        .store
        .put(&hash, &field, b"another", Expiry::After(HOUR))
        .await;
    assert_eq!(
        put,
        Ok(()),
        "a field can be written, whatever the expiry says"
    );
    assert_eq!(
        bench.lifetime(&hash).await,
        Lifetime::Persistent,
        "a field does not change the expiry"
    );
    let change = Change {
        name: &hash,
        slot: &field,
        expected: Some(b"another"),
        value: b"a third",
        expiry: Expiry::Keep,
    };
    let done = bench.store.replace_if_unchanged(&[change]).await;
    assert_eq!(
        done,
        Ok(vec![Outcome::Done]),
        "an unchanged field is replaced"
    );
    assert_eq!(
        bench.lifetime(&hash).await,
        Lifetime::Persistent,
        "a changed field does not change the expiry"
    );
}

pub(super) async fn an_expired_record_is_absent_for_every_read(bench: &Bench<'_>) {
    let [name] = expired(bench, ["record"]).await;
    assert!(
        bench.record(&name).await.is_none(),
        "an expired record is read as absent"
    );
    let lifetime = bench.lifetime(&name).await;
    assert_eq!(
        lifetime,
        Lifetime::Absent,
        "an expired record has no lifetime"
    );
    assert_eq!(
        bench.get(&name).await,
        None,
        "an expired record holds nothing"
    );
    let field = Slot::Field(b"field".to_vec());
    assert_eq!(bench.slot(&name, &field).await, None, "and has no type");
    let page = bench.store.read_slots(&name, &Cursor::start(), 10).await;
    let page = page.expect("the slots of an absent record can be read");
    assert!(
        page.slots.is_empty() && page.next.is_none(),
        "an expired record has no slots"
    );
}

pub(super) async fn an_expired_record_is_absent_for_every_write(bench: &Bench<'_>) {
    let suffixes = ["replaced", "made", "put", "hash"];
    let [replaced, created, put, hash] = expired(bench, suffixes).await;
    let change = |name, expected| Change {
        name,
        slot: &Slot::Whole,
        expected,
        value: b"new",
        expiry: Expiry::Keep,
    };
    let changes = [change(&replaced, Some(VALUE)), change(&created, None)];
    let outcomes = bench.store.replace_if_unchanged(&changes).await;
    let expected = vec![Outcome::Changed, Outcome::Done];
    assert_eq!(
        outcomes,
        Ok(expected),
        "an expired record is not replaced, and its name is free"
    );
    bench.put(&put, b"new", Expiry::Keep).await;
    bench.put_field(&hash, b"field", b"new").await;
    for name in [&created, &put, &hash] {
        let lifetime = bench.lifetime(name).await;
        assert_eq!(
            lifetime,
            Lifetime::Persistent,
            "the expiry of an expired record is not inherited"
        );
    }
}

pub(super) async fn an_expired_record_is_absent_for_every_removal(bench: &Bench<'_>) {
    let suffixes = ["unchanged", "deleted", "from", "to"];
    let [unchanged, deleted, from, to] = expired(bench, suffixes).await;
    let (store, elsewhere) = (&bench.store, bench.name("elsewhere"));
    let outcome = store.delete_if_unchanged(&unchanged, VALUE).await;
    assert_eq!(
        outcome,
        Ok(Outcome::Changed),
        "an expired record cannot be deleted"
    );
    assert_eq!(
        store.delete(&deleted).await,
        Ok(false),
        "there is nothing to delete"
    );

    let living = bench.name("living");
    bench.put(&living, VALUE, Expiry::Persistent).await;
    let step = Move {
        from: &from,
        expected: VALUE,
        to: &elsewhere,
        value: b"new",
        expiry: Expiry::Keep,
    };
    let moved = store.move_if_unchanged(step).await;
    assert_eq!(
        moved,
        Ok(MoveOutcome::Changed),
        "an expired record cannot be moved"
    );
    let step = Move {
        from: &living,
        to: &to,
        ..step
    };
    let moved = store.move_if_unchanged(step).await;
    assert_eq!(
        moved,
        Ok(MoveOutcome::Done),
        "the name of an expired record is free"
    );
    let lifetime = bench.lifetime(&to).await;
    assert_eq!(
        lifetime,
        Lifetime::Persistent,
        "the expiry of an expired record is not inherited"
    );
}

pub(super) async fn an_expiry_in_the_past_leaves_no_record(bench: &Bench<'_>) {
    let name = bench.name("record");
    bench.put(&name, b"old", Expiry::Persistent).await;
    bench.put(&name, b"new", Expiry::At(1_000)).await;
    assert_eq!(
        bench.get(&name).await,
        None,
        "a record whose expiry is past is absent at once"
    );

    bench.put(&name, b"old", Expiry::Persistent).await;
    bench
        .put(&name, b"new", Expiry::After(Duration::ZERO))
        .await;
    bench.subject.pass(Duration::from_millis(20)).await;
    assert_eq!(
        bench.get(&name).await,
        None,
        "a zero duration is one millisecond"
    );
}

pub(super) async fn lifetimes_are_in_the_order_of_the_names(bench: &Bench<'_>) {
    let names: Vec<RecordName> = (0..300).map(|n| bench.name(format!("{n}"))).collect();
    for (n, name) in (0_u64..).zip(&names) {
        match n % 3 {
            0 => {}
            1 => bench.put(name, b"value", Expiry::Persistent).await,
            _ => bench.put(name, b"value", Expiry::At(FAR + n)).await,
        }
    }
    let all = bench
        .store
        .lifetimes(&names)
        .await
        .expect("lifetimes can be read");
    assert_eq!(all.len(), names.len(), "there is one answer for each name");
    for (n, lifetime) in (0_u64..).zip(all) {
        let expected = match n % 3 {
            0 => Lifetime::Absent,
            1 => Lifetime::Persistent,
            _ => Lifetime::Until(FAR + n),
        };
        assert_eq!(
            lifetime, expected,
            "lifetimes come in the order of the names"
        );
    }
    let none = bench.store.lifetimes(&[]).await;
    assert_eq!(none, Ok(Vec::new()), "no names have no lifetimes");
}

/// String records that hold `value` and have already expired.
async fn expired<const N: usize>(bench: &Bench<'_>, suffixes: [&str; N]) -> [RecordName; N] {
    let names = suffixes.map(|suffix| bench.name(suffix));
    for name in &names {
        bench
            .put(name, b"value", Expiry::After(Duration::from_millis(50)))
            .await;
    }
    bench.subject.pass(Duration::from_millis(120)).await;
    names
}
