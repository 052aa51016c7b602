//! Names that are excepted from a pattern: the effect of each task on their values, and the counts.

use std::sync::Arc;

use waxseal_core::{Binding, Format, Shape};
use waxseal_stores::{MemoryStore, RecordName, RecordPattern, RecordStore, Slot};
use waxseal_sweep::{Audit, Decrypt, ExceptCounts, Migrate, Rotate, Sweep, Tally, Task};

use super::records::{plain, put};
use super::rings::Shared;
use super::{A, B, C, batches_of, envelope, id, sealer, sweep, whole};

/// Base64 that an application which writes classic values would take for a damaged one.
const TOKEN: &[u8] = b"c2VjcmV0IHRva2VuIG9mIGEgbG9jayB0aGF0IGlzIGhlbGQgYnkgYSBwcm9jZXNzIHRoYXQ=";

fn pattern(text: &str) -> RecordPattern {
    let pattern = RecordPattern::parse(text).expect("a pattern");
    pattern.except(&["wa:*_LOCK"]).expect("an except")
}

fn name(text: &str) -> RecordName {
    RecordName::from(text)
}

/// Two records of the pattern, plain and under the older key, and five excepted values: two plain, one under
/// the sealing key, two under the older one.
async fn store() -> Arc<MemoryStore> {
    let store = MemoryStore::default();
    for (text, key, format) in [
        ("wa:1", None, Format::Sealed),
        ("wa:2", Some(B), Format::Sealed),
        ("wa:1_LOCK", None, Format::Sealed),
        ("wa:3_LOCK", Some(A), Format::Sealed),
        ("wa:4_LOCK", Some(B), Format::Sealed),
        ("wa:5_LOCK", Some(B), Format::Classic),
    ] {
        let (name, value) = (name(text), plain(1));
        let stored = key.map(|key| envelope(key, format, &value, Binding::record(name.as_bytes())));
        put(&store, &name, &Slot::Whole, &stored.unwrap_or(value)).await;
    }
    put(&store, &name("wa:token_LOCK"), &Slot::Whole, TOKEN).await;
    Arc::new(store)
}

fn over(store: &Arc<MemoryStore>, task: impl Task + 'static) -> Sweep {
    Sweep {
        pattern: pattern("wa:*"),
        ..sweep(store.clone(), Arc::new(task), batches_of(3))
    }
}

/// Applications write the classic format, so Base64 that does not open counts as damaged.
fn tried(task: fn(waxseal_core::Sealer) -> Box<dyn Task>) -> Box<dyn Task> {
    task(sealer(Format::Sealed))
}

async fn get(store: &MemoryStore, text: &str) -> Vec<u8> {
    let stored = store.get(&name(text), &Slot::Whole).await.expect("a store");
    stored.expect("it is there")
}

fn done(tally: &Tally) -> [u64; 4] {
    [tally.total, tally.done, tally.already, tally.failed]
}

#[tokio::test]
async fn migrate_skips_them_unread() {
    let store = store().await;
    let tally = whole(&over(&store, Migrate::new(sealer(Format::Sealed)))).await;
    let skipped = ExceptCounts {
        skipped: 5,
        ..ExceptCounts::default()
    };
    assert_eq!((done(&tally), tally.excepted), ([2, 1, 1, 0], skipped));
    assert_eq!(get(&store, "wa:1_LOCK").await, plain(1));
    let classic = get(&store, "wa:5_LOCK").await;
    assert!(Shape::of_header(&classic).is_none(), "it stays classic");
    assert!(Shape::of_header(&get(&store, "wa:1").await).is_some());
}

#[tokio::test]
async fn rotate_leaves_plain_ones_plain_and_nothing_under_an_older_key() {
    let store = store().await;
    let tally = whole(&over(&store, Rotate::new(sealer(Format::Sealed)))).await;
    let counted = ExceptCounts {
        plain: 2,
        sealed: 3,
        ..ExceptCounts::default()
    };
    assert_eq!((done(&tally), tally.excepted), ([5, 4, 1, 0], counted));
    assert_eq!(get(&store, "wa:token_LOCK").await, TOKEN);
    for text in ["wa:1", "wa:2", "wa:3_LOCK", "wa:4_LOCK", "wa:5_LOCK"] {
        let header = Shape::of_header(&get(&store, text).await);
        assert_eq!(header.map(|it| it.key), Some(id(A)), "{text}");
    }
}

#[tokio::test]
async fn audit_counts_plain_ones_apart_and_sealed_ones_under_their_keys() {
    let store = store().await;
    store
        .put(
            &name("wa:none_LOCK"),
            &Slot::Whole,
            b"",
            waxseal_stores::Expiry::Keep,
        )
        .await
        .expect("a store");
    for deep in [false, true] {
        let tally = whole(&over(&store, Audit::new(sealer(Format::Sealed), deep))).await;
        let counted = ExceptCounts {
            plain: 3,
            sealed: 3,
            ..ExceptCounts::default()
        };
        assert_eq!((done(&tally), tally.excepted), ([5, 0, 5, 0], counted));
        assert_eq!(tally.count(|class| class.key() == Some(id(B))), 3);
        assert_eq!(tally.count(|class| class == waxseal_sweep::Class::Plain), 1);
    }
    // Excepted values alone count as found.
    let store = MemoryStore::default();
    put(&store, &name("wa:1_LOCK"), &Slot::Whole, TOKEN).await;
    let tally = whole(&over(
        &Arc::new(store),
        Audit::new(sealer(Format::Sealed), true),
    ))
    .await;
    assert!(tally.total == 0 && tally.has_found_any());
}

#[tokio::test]
async fn decrypt_opens_all_or_only_them() {
    let store = store().await;
    let task = Decrypt::new(sealer(Format::Sealed)).only_excepted();
    let tally = whole(&over(&store, task)).await;
    assert_eq!(
        (tally.done, tally.excepted.sealed, tally.excepted.plain),
        (3, 3, 2)
    );
    for text in ["wa:1_LOCK", "wa:3_LOCK", "wa:4_LOCK", "wa:5_LOCK"] {
        assert_eq!(get(&store, text).await, plain(1), "{text}");
    }
    assert!(Shape::of_header(&get(&store, "wa:2").await).is_some());
    let tally = whole(&over(&store, Decrypt::new(sealer(Format::Sealed)))).await;
    assert_eq!((tally.done, tally.excepted.plain), (1, 5));
    assert_eq!(get(&store, "wa:2").await, plain(1));
}

#[tokio::test]
async fn no_task_fails_because_of_the_form_of_an_excepted_value() {
    let store = store().await;
    let classic = |sealer: waxseal_core::Sealer| {
        sealer.classifying_as(waxseal_core::Mode::Required, Format::Classic)
    };
    let expects_classic = || classic(sealer(Format::Classic));
    for task in [
        tried(|it| Box::new(Rotate::new(it))),
        tried(|it| Box::new(Audit::new(it, true))),
        tried(|it| Box::new(Decrypt::new(it))),
    ] {
        let mut over = over(&store, Audit::new(expects_classic(), true));
        over.task = Arc::from(task);
        assert_eq!(whole(&over).await.failed, 0);
    }
    assert_eq!(get(&store, "wa:token_LOCK").await, TOKEN);
    // The same bytes under a name that is not excepted are a finding.
    put(&store, &name("wa:token"), &Slot::Whole, TOKEN).await;
    let tally = whole(&over(&store, Audit::new(expects_classic(), true))).await;
    assert_eq!((tally.failed, tally.excepted.sealed), (1, 0));
}

#[tokio::test]
async fn no_user_gets_a_key_for_a_value_that_stays_plain() {
    let shared = Shared::default();
    let process = shared.first().await;
    let store = MemoryStore::default();
    put(&store, &name("wa:1_LOCK"), &Slot::Whole, TOKEN).await;
    let old = name("wa:2_LOCK");
    let sealed = process
        .seal(b"2_LOCK", b"held", Binding::record(old.as_bytes()))
        .await;
    put(&store, &old, &Slot::Whole, &sealed).await;
    let foreign = name("wa:3_LOCK");
    let sealed = envelope(C, Format::Sealed, b"x", Binding::record(foreign.as_bytes()));
    put(&store, &foreign, &Slot::Whole, &sealed).await;
    let store = Arc::new(store);
    let sweep = Sweep {
        pattern: pattern("wa:{user}"),
        ..process.sweep(store.clone(), Rotate::new(process.sealer(Format::Sealed)))
    };
    let tally = whole(&sweep).await;
    assert_eq!(
        (tally.failed, tally.excepted.plain, tally.excepted.sealed),
        (1, 1, 1)
    );
    let known = process
        .users
        .reread(&[b"1_LOCK"])
        .await
        .expect("keys of users");
    assert!(known.iter().all(Option::is_none), "a key was created");
    let decrypt = Decrypt::new(process.sealer(Format::Sealed)).only_excepted();
    let sweep = Sweep {
        pattern: pattern("wa:{user}"),
        ..process.sweep(store.clone(), decrypt)
    };
    assert_eq!(whole(&sweep).await.done, 1);
    assert_eq!(get(&store, "wa:2_LOCK").await, b"held");
}
