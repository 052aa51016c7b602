//! Records that are deleted or moved only if they are unchanged.

use std::time::Duration;

use super::Bench;
use crate::record::{Expiry, Lifetime, RecordName};
use crate::store::{Move, MoveOutcome, Outcome};

const HOUR: Duration = Duration::from_secs(3600);
const OLD: &[u8] = b"old";
const NEW: &[u8] = b"new";

fn step<'a>(from: &'a RecordName, to: &'a RecordName) -> Move<'a> {
    Move {
        from,
        expected: OLD,
        to,
        value: NEW,
        expiry: Expiry::Keep,
    }
}

async fn moves(bench: &Bench<'_>, step: Move<'_>, expected: MoveOutcome, sentence: &str) {
    let moved = bench.store.move_if_unchanged(step).await;
    assert_eq!(moved, Ok(expected), "{sentence}");
}

pub(super) async fn a_record_is_deleted_only_with_the_expected_bytes(bench: &Bench<'_>) {
    let (name, hash) = (bench.name("record"), bench.name("hash"));
    let deleted = bench.store.delete_if_unchanged(&name, b"value").await;
    assert_eq!(
        deleted,
        Ok(Outcome::Changed),
        "an absent record is not deleted"
    );
    bench.put(&name, b"value", Expiry::Persistent).await;
    let deleted = bench.store.delete_if_unchanged(&name, b"other").await;
    assert_eq!(
        deleted,
        Ok(Outcome::Changed),
        "a record with other bytes is not deleted"
    );
    assert_eq!(
        bench.get(&name).await.as_deref(),
        Some(&b"value"[..]),
        "it is still there"
    );
    let deleted = bench.store.delete_if_unchanged(&name, b"value").await;
    assert_eq!(
        deleted,
        Ok(Outcome::Done),
        "a record with the expected bytes is deleted"
    );
    assert_eq!(bench.get(&name).await, None, "it is absent");
    bench.put_field(&hash, b"field", b"value").await;
    let deleted = bench.store.delete_if_unchanged(&hash, b"value").await;
    assert_eq!(
        deleted,
        Ok(Outcome::Changed),
        "a record of another type is not deleted"
    );
    assert_eq!(
        bench.kind(&hash).await.as_deref(),
        Some("hash"),
        "it is still there"
    );
}

pub(super) async fn a_record_moves_only_with_the_expected_bytes(bench: &Bench<'_>) {
    let [from, to, hash] = ["from", "to", "hash"].map(|expires_at| bench.name(expires_at));
    let (sentence, step) = ("an absent record does not move", step(&from, &to));
    moves(bench, step, MoveOutcome::Changed, sentence).await;
    bench.put(&from, b"other", Expiry::Persistent).await;
    let sentence = "a record with other bytes does not move";
    moves(bench, step, MoveOutcome::Changed, sentence).await;
    let left = bench.get(&from).await;
    assert_eq!(left.as_deref(), Some(&b"other"[..]), "{sentence}");
    bench.put_field(&hash, b"field", OLD).await;
    let sentence = "a record of another type does not move";
    moves(
        bench,
        Move {
            from: &hash,
            ..step
        },
        MoveOutcome::Changed,
        sentence,
    )
    .await;
    assert_eq!(
        bench.kind(&hash).await.as_deref(),
        Some("hash"),
        "{sentence}"
    );
    assert_eq!(
        bench.get(&to).await,
        None,
        "nothing was written under the new name"
    );

    bench.put(&from, OLD, Expiry::Persistent).await;
    let sentence = "a record with the expected bytes moves to a free name";
    moves(bench, step, MoveOutcome::Done, sentence).await;
    assert_eq!(bench.get(&from).await, None, "the old name is free");
    let moved = bench.get(&to).await;
    assert_eq!(moved.as_deref(), Some(NEW), "the new name is written");
}

pub(super) async fn a_record_moves_only_to_a_free_name(bench: &Bench<'_>) {
    let [from, to, hash] = ["from", "to", "hash"].map(|expires_at| bench.name(expires_at));
    bench.put(&from, OLD, Expiry::Persistent).await;
    bench.put(&to, b"of another", Expiry::Persistent).await;
    bench.put_field(&hash, b"field", OLD).await;
    for (to, sentence) in [
        (&to, "a record does not move onto another"),
        (&hash, "a record does not move onto one of another type"),
        (&from, "a record does not move onto itself"),
    ] {
        moves(bench, step(&from, to), MoveOutcome::Occupied, sentence).await;
        let left = bench.get(&from).await;
        assert_eq!(left.as_deref(), Some(OLD), "{sentence}");
    }
    let untouched = bench.get(&to).await;
    assert_eq!(
        untouched.as_deref(),
        Some(&b"of another"[..]),
        "the other is untouched"
    );
    let kind = bench.kind(&hash).await;
    assert_eq!(kind.as_deref(), Some("hash"), "the other is untouched");
}

pub(super) async fn a_moved_record_keeps_or_gets_its_expiry(bench: &Bench<'_>) {
    const END: u64 = 4_102_444_800_123;
    let cases = [
        (Expiry::Persistent, Expiry::Keep),
        (Expiry::At(END), Expiry::Keep),
        (Expiry::At(END), Expiry::Persistent),
        (Expiry::At(END), Expiry::At(END + 1000)),
        (Expiry::Persistent, Expiry::After(HOUR)),
    ];
    for (n, (before, expiry)) in cases.into_iter().enumerate() {
        let (from, to) = (
            bench.name(format!("from {n}")),
            bench.name(format!("to {n}")),
        );
        bench.put(&from, b"old", before).await;
        let step = Move {
            from: &from,
            expected: b"old",
            to: &to,
            value: b"new",
            expiry,
        };
        let moved = bench.store.move_if_unchanged(step).await;
        assert_eq!(moved, Ok(MoveOutcome::Done), "a record moves");
        match (before, expiry) {
            (Expiry::Persistent, Expiry::Keep) | (_, Expiry::Persistent) => {
                let sentence = "a record without expiry has none after the move";
                assert_eq!(
                    bench.lifetime(&to).await,
                    Lifetime::Persistent,
                    "{sentence}"
                );
            }
            // A server that works with the remaining time may be off by the script's running time.
            (_, Expiry::Keep) => {
                let off = bench.expires_at(&to).await.abs_diff(END);
                assert!(off <= 5, "a record keeps its expiry after the move");
            }
            (_, Expiry::At(expires_at)) => {
                assert_eq!(
                    bench.expires_at(&to).await,
                    expires_at,
                    "a record gets the requested expiry"
                );
            }
            (_, Expiry::After(_)) => {
                let expires_at = bench.expires_at(&to).await;
                assert!(
                    (1..END).contains(&expires_at),
                    "a record gets the requested duration"
                );
            }
        }
    }
}
