//! The pass over names: which records get which names, what is left where it is and reported, and that it can be continued.

use std::sync::Arc;

use waxseal_core::{Keyring, NameMask, PadNames};
use waxseal_kinds::NameForms;
use waxseal_named::{NameTable, NamedPattern};
use waxseal_policy::ProtectedNames;
use waxseal_stores::{
    Cursor, Expiry, Lifetime, MemoryStore, RecordName, RecordPattern, RecordStore, RedisOptions,
    RedisStore, RedisUrl, Slot, StoreUrl,
};
use waxseal_sweep::{
    Event, Finding, NamesGoal, NamesPass, NamesScope, Position, RecordPass, Report, Stop,
    SweepOptions, Tally,
};
use waxseal_testing::{Flavor, RedisServer};

use super::gate::{Call, Gate, Rule, unavailable};
use super::{A, B, C, batches_of, id};

const END: u64 = 4_102_444_800_123;

fn patterns() -> Vec<RecordPattern> {
    let pattern = |text| RecordPattern::parse(text).unwrap();
    let wa = pattern("wa:{user}").except(&["wa:lock:*"]).unwrap();
    vec![wa, pattern("app:*:state"), pattern("cart:*")]
}

/// The names of `wa:{user}` but its locks, and of `app:*:state`. Those of `cart:*` are in clear.
fn table(key: &str, former: &str, pad: u16) -> NameTable {
    let keyring = Arc::new(Keyring::from_hex(key, former).unwrap());
    let pad = PadNames::new(pad).unwrap();
    let table = NameTable::new(
        Arc::new(ProtectedNames::new(patterns())),
        keyring,
        |index| (index < 2).then_some(NamedPattern { pad }),
    );
    table.unwrap().unwrap()
}

fn stored(table: &NameTable, logical: &str) -> RecordName {
    RecordName::from(table.stored(logical.as_bytes()).unwrap().unwrap())
}

fn pass(
    store: Arc<dyn RecordStore>,
    names: &NameTable,
    pattern: usize,
    goal: NamesGoal,
    options: SweepOptions,
) -> NamesPass {
    let scope = NamesScope::Pattern(names.protected().iter().nth(pattern).unwrap().1.clone());
    NamesPass::new(store, names, scope, goal, NameMask::random(), options).unwrap()
}

async fn run(
    pass: &NamesPass,
    from: Position,
    watch: &mut (dyn FnMut(Event<'_>) + Send),
) -> Report {
    let report = pass.run(from, &Stop::default(), watch).await;
    report.expect("nothing interrupts it")
}

/// A whole pass, with its findings.
async fn whole(pass: &NamesPass) -> (Tally, Vec<Finding>) {
    let mut findings = Vec::new();
    let report = run(pass, Position::default(), &mut |event| {
        if let Event::Finding(finding) = event {
            findings.push(finding.clone());
        }
    })
    .await;
    assert!(report.complete);
    (report.position.counts(), findings)
}

async fn put(store: &dyn RecordStore, name: &RecordName, value: &str) {
    let put = store.put(name, &Slot::Whole, value.as_bytes(), Expiry::At(END));
    put.await.unwrap();
}

async fn get(store: &dyn RecordStore, name: &RecordName) -> Option<String> {
    let value = store.get(name, &Slot::Whole).await.unwrap();
    value.map(|value| String::from_utf8(value).unwrap())
}

/// All names, in their order.
async fn all_names(store: &dyn RecordStore) -> Vec<RecordName> {
    let (all, own) = (
        RecordPattern::parse("*").unwrap(),
        RecordPattern::parse_own("waxseal:*").unwrap(),
    );
    let mut names = Vec::new();
    for pattern in [all, own] {
        let mut cursor = Cursor::start();
        loop {
            let page = store.scan(&pattern, &cursor, 100).await.unwrap();
            names.extend(page.names);
            match page.next {
                Some(next) => cursor = next,
                None => break,
            }
        }
    }
    names.sort();
    names.dedup();
    names
}

fn done_already_failed(tally: &Tally) -> (u64, u64, u64) {
    assert_eq!(tally.total, tally.done + tally.already + tally.failed);
    (tally.done, tally.already, tally.failed)
}

/// Seals the names of a store, and gives them back.
async fn seals_and_opens(store: Arc<dyn RecordStore>) {
    let names = table(A, "", 1);
    for n in 0..250 {
        put(
            &*store,
            &RecordName::from(format!("wa:{n}")),
            &n.to_string(),
        )
        .await;
    }
    for other in ["wa:lock:1", "app:1:state", "app:1:other", "cart:1", "wb:1"] {
        put(&*store, &RecordName::from(other), other).await;
    }
    let before = all_names(&*store).await;
    let seal = |goal| pass(store.clone(), &names, 0, goal, batches_of(20));

    let (tally, findings) = whole(&seal(NamesGoal::Seal)).await;
    assert_eq!(
        (done_already_failed(&tally), findings),
        ((250, 0, 0), vec![])
    );
    assert_eq!((tally.names.plain, tally.names.all_sealed()), (250, 0));
    for n in 0..250 {
        let name = stored(&names, &format!("wa:{n}"));
        assert_eq!(get(&*store, &name).await, Some(n.to_string()));
        let lifetimes = store.lifetimes(&[name]).await.unwrap();
        assert_eq!(lifetimes, [Lifetime::Until(END)]);
    }
    for other in ["wa:lock:1", "app:1:state", "app:1:other", "cart:1", "wb:1"] {
        let value = get(&*store, &RecordName::from(other)).await;
        assert_eq!(value.as_deref(), Some(other), "it keeps its name");
    }
    assert_eq!(all_names(&*store).await.len(), before.len());

    let (tally, _) = whole(&seal(NamesGoal::Seal)).await;
    assert_eq!(done_already_failed(&tally), (0, 250, 0));
    assert_eq!(tally.names.sealed, [(id(A), 250)].into());
    let (tally, _) = whole(&seal(NamesGoal::Open)).await;
    assert_eq!(done_already_failed(&tally), (250, 0, 0));
    assert!(
        all_names(&*store).await == before,
        "every name is as it was"
    );
}

#[tokio::test]
async fn names_are_sealed_and_given_back_and_records_stay_as_they_are() {
    seals_and_opens(Arc::new(MemoryStore::default())).await;
}

#[tokio::test]
async fn servers_rename_like_the_reference_store() {
    for flavor in Flavor::ALL {
        let server = RedisServer::builder().flavor(flavor).start();
        let StoreUrl::Redis(url) = StoreUrl::parse(&server.url()).unwrap() else {
            panic!("the URL is one of a server");
        };
        let store = connect(&url).await;
        seals_and_opens(Arc::new(store)).await;
    }
}

async fn connect(url: &RedisUrl) -> RedisStore {
    let store = RedisStore::connect(url, RedisOptions::default()).await;
    store.expect("the server is there")
}

#[tokio::test]
async fn names_under_a_former_key_or_of_another_length_get_the_written_form() {
    let store = Arc::new(MemoryStore::default());
    let former = [table(B, "", 1), table(A, "", 16), table(B, "", 64)];
    for (n, table) in former.iter().enumerate() {
        put(&*store, &stored(table, &format!("wa:{n}")), &n.to_string()).await;
    }
    let names = table(A, B, 1);
    put(&*store, &stored(&names, "wa:9"), "9").await;
    let count = pass(store.clone(), &names, 0, NamesGoal::Count, batches_of(2));
    let (tally, findings) = whole(&count).await;
    assert_eq!((done_already_failed(&tally), findings), ((0, 4, 0), vec![]));
    assert_eq!(tally.names.sealed, [(id(A), 2), (id(B), 2)].into());
    assert_eq!(tally.names.former, 3);

    let seal = pass(store.clone(), &names, 0, NamesGoal::Seal, batches_of(2));
    let (tally, _) = whole(&seal).await;
    assert_eq!(done_already_failed(&tally), (3, 1, 0));
    for n in [0, 1, 2, 9] {
        let name = stored(&names, &format!("wa:{n}"));
        assert_eq!(get(&*store, &name).await, Some(n.to_string()));
    }
    let (tally, _) = whole(&count).await;
    assert_eq!(tally.names.sealed, [(id(A), 4)].into());
    assert_eq!(tally.names.former, 0);
}

/// A name that was sealed before `app:*:state` was all that is protected behind its prefix.
fn foreign() -> RecordName {
    let protected = ProtectedNames::new(vec![RecordPattern::parse("app:*").unwrap()]);
    let keyring = Arc::new(Keyring::from_hex(A, "").unwrap());
    let wider = NameTable::new(Arc::new(protected), keyring, |_| {
        Some(NamedPattern {
            pad: PadNames::default(),
        })
    });
    stored(&wider.unwrap().unwrap(), "app:1:other")
}

#[tokio::test]
async fn what_cannot_be_renamed_is_reported_and_left_where_it_is() {
    let store = Arc::new(MemoryStore::default());
    let (names, unknown) = (table(A, "", 1), table(C, "", 1));
    let mut junk = stored(&names, "wa:3").as_bytes().to_vec();
    junk.pop();
    let foreign = foreign();
    let too_long = format!("wa:{}", "5".repeat(70_000));
    for (name, value) in [
        (RecordName::from("wa:1"), "plain"),
        (stored(&names, "wa:1"), "sealed"),
        (RecordName::from(junk), "junk"),
        (stored(&unknown, "wa:4"), "unknown"),
        (RecordName::from(too_long), "too long"),
        (foreign, "foreign"),
        (RecordName::from("wa:2"), "moves"),
    ] {
        put(&*store, &name, value).await;
    }
    let before = all_names(&*store).await;
    for (goal, dry_run) in [(NamesGoal::Count, false), (NamesGoal::Seal, true)] {
        let options = SweepOptions {
            dry_run,
            ..batches_of(3)
        };
        let pass = pass(store.clone(), &names, 0, goal, options);
        let (tally, findings) = whole(&pass).await;
        assert_eq!(findings.len(), 4, "{goal:?}");
        assert_eq!((tally.names.plain, tally.names.occupied), (3, 1));
        assert!(all_names(&*store).await == before, "nothing is renamed");
    }
    let seal = pass(store.clone(), &names, 0, NamesGoal::Seal, batches_of(3));
    let (tally, findings) = whole(&seal).await;
    assert_eq!(done_already_failed(&tally), (1, 1, 4));
    let counts = &tally.names;
    assert_eq!((counts.junk, counts.foreign, counts.unknown_key), (1, 0, 1));
    assert_eq!((counts.occupied, counts.plain), (1, 3));
    assert_eq!(counts.unusable, [(id(C), 1)].into());
    let mut causes: Vec<_> = findings.iter().map(|it| it.cause.as_str()).collect();
    causes.sort_unstable();
    assert_eq!(
        causes,
        [
            "its name has the form of a sealed one and does not open",
            "its name is sealed under a key that is not known",
            "its name is too long to seal",
            "there is another record under the other form of its name: neither was changed",
        ]
    );
    assert!(findings.iter().all(|it| it.record.starts_with("wa:#")));
    assert_eq!(
        get(&*store, &RecordName::from("wa:1")).await.as_deref(),
        Some("plain")
    );
    let sealed = get(&*store, &stored(&names, "wa:1")).await;
    assert_eq!(sealed.as_deref(), Some("sealed"));

    let other = pass(store.clone(), &names, 1, NamesGoal::Seal, batches_of(3));
    let (tally, findings) = whole(&other).await;
    assert_eq!((tally.names.foreign, findings.len()), (1, 1));
    assert_eq!(
        all_names(&*store).await.len(),
        before.len(),
        "nothing is lost"
    );
}

/// Renames 50 records through a store with these rules, and asserts that all have their new names.
async fn all_are_renamed(
    rules: impl Fn(Call, usize, &MemoryStore) -> Rule + Send + Sync + 'static,
) {
    let store = Arc::new(MemoryStore::default());
    for n in 0..50 {
        put(&*store, &RecordName::from(format!("wa:{n}")), "state").await;
    }
    let names = table(A, "", 1);
    let gate = Gate::new(store.clone(), rules);
    let seal = pass(gate, &names, 0, NamesGoal::Seal, batches_of(10));
    let (tally, findings) = whole(&seal).await;
    assert_eq!((tally.total, tally.failed, findings.len()), (50, 0, 0));
    assert_eq!(tally.done + tally.already, 50);
    for n in 0..50 {
        let name = stored(&names, &format!("wa:{n}"));
        assert!(get(&*store, &name).await.is_some(), "wa:{n}");
    }
}

#[tokio::test]
async fn a_page_whose_names_were_not_given_is_worked_on_again() {
    // Of three calls one is not carried out, and of one the answer is lost.
    all_are_renamed(|call, before, _| match (call, before % 3) {
        (Call::Rename, 0) => Rule::Refuse(unavailable()),
        (Call::Rename, 1) => Rule::Lose(unavailable()),
        _ => Rule::Pass,
    })
    .await;
}

#[tokio::test]
async fn a_pass_that_is_stopped_is_continued_and_renames_each_record_once() {
    let store = Arc::new(MemoryStore::default());
    for n in 0..200 {
        put(
            &*store,
            &RecordName::from(format!("wa:{n}")),
            &n.to_string(),
        )
        .await;
    }
    let names = table(A, "", 1);
    let seal = pass(store.clone(), &names, 0, NamesGoal::Seal, batches_of(10));
    let (mut position, mut runs) = (Position::default(), 0);
    loop {
        let stop = Stop::default();
        let halt = stop.clone();
        let report = seal
            .run(position, &stop, &mut |event| {
                if let Event::Progress { .. } = event {
                    halt.stop();
                }
            })
            .await
            .unwrap();
        runs += 1;
        assert!(runs < 100, "it comes to an end");
        let kept = serde_json::to_string(&report.position).unwrap();
        position = serde_json::from_str(&kept).unwrap();
        if report.complete {
            break;
        }
    }
    assert!(runs > 10);
    assert_eq!(position.counts().done, 200);
    for n in 0..200 {
        let name = stored(&names, &format!("wa:{n}"));
        assert_eq!(get(&*store, &name).await, Some(n.to_string()));
    }
}

#[tokio::test]
async fn names_within_names_of_the_quarantine_are_renamed_alike() {
    let store = Arc::new(MemoryStore::default());
    let names = table(A, B, 1);
    let quarantine = |name: &[u8]| {
        RecordName::from([&b"waxseal:quarantine:{"[..], name, b"}:18c0ffee"].concat())
    };
    let former = stored(&table(B, "", 1), "wa:2");
    let junk = [former.as_bytes(), b"!"].concat();
    for name in [b"wa:1", former.as_bytes(), b"wa:lock:1", b"cart:1", &junk] {
        put(&*store, &quarantine(name), "value").await;
    }
    let before = all_names(&*store).await;
    let pass = |goal| {
        let (scope, mask) = (NamesScope::Quarantine, NameMask::random());
        NamesPass::new(store.clone(), &names, scope, goal, mask, batches_of(2)).unwrap()
    };
    let (tally, findings) = whole(&pass(NamesGoal::Seal)).await;
    assert_eq!((done_already_failed(&tally), findings), ((2, 0, 0), vec![]));
    for name in ["wa:1", "wa:2"] {
        let name = quarantine(stored(&names, name).as_bytes());
        assert!(get(&*store, &name).await.is_some());
    }
    let (tally, _) = whole(&pass(NamesGoal::Open)).await;
    assert_eq!(done_already_failed(&tally), (2, 0, 0));
    for name in [&b"wa:1"[..], b"wa:2", b"wa:lock:1", b"cart:1", &junk] {
        assert!(get(&*store, &quarantine(name)).await.is_some());
    }
    assert_eq!(all_names(&*store).await.len(), before.len());
}

#[tokio::test]
async fn a_name_that_was_excepted_after_it_had_been_sealed_is_given_back() {
    let store = Arc::new(MemoryStore::default());
    let names = table(A, "", 1);
    let all = NameTable::new(
        Arc::new(ProtectedNames::new(vec![
            RecordPattern::parse("wa:{user}").unwrap(),
        ])),
        Arc::new(Keyring::from_hex(A, "").unwrap()),
        |_| {
            Some(NamedPattern {
                pad: PadNames::default(),
            })
        },
    );
    let sealed = stored(&all.unwrap().unwrap(), "wa:lock:7");
    put(&*store, &sealed, "lock").await;
    let seal = pass(store.clone(), &names, 0, NamesGoal::Seal, batches_of(2));
    let (tally, _) = whole(&seal).await;
    assert_eq!(
        (done_already_failed(&tally), tally.names.foreign),
        ((1, 0, 0), 1)
    );
    let lock = get(&*store, &RecordName::from("wa:lock:7")).await;
    assert_eq!(lock.as_deref(), Some("lock"));
}
