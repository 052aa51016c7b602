//! The erasure of users: of one, and of a list that is interrupted and repeated.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use waxseal_keys::{Receipt, Settings, Signed};
use waxseal_service::Failure;
use waxseal_service::erasure::list::{ListErasure, ListOptions, ListReport, Outcome};
use waxseal_service::erasure::{self, Eraser, TraceSummary};
use waxseal_service::resources::Resources;
use waxseal_service::values::stored::{self, Destination};
use waxseal_stores::{RecordName, Slot};

use super::World;

const USERS: &str =
    "[[protect]]\nrecords = \"wa:{user}\"\nformat = \"sealed\"\nper_user_keys = true\n";
const ANA: &str = "5215512345678";
const BEA: &str = "5215587654321";
const EVA: &str = "5215500000000";

async fn world() -> (World, Resources) {
    let world = World::with_keyring(USERS);
    world.create_keyring(Settings::default()).await;
    let resources = world.open().await;
    (world, resources)
}

async fn write(resources: &Resources, user: &str) {
    let destination = Destination {
        name: RecordName::from(format!("wa:{user}")),
        field: None,
        replaces: false,
        ttl: None,
    };
    let written = stored::put(resources, &destination, || Ok(b"a state".to_vec())).await;
    written.unwrap();
}

async fn is_there(resources: &Resources, user: &str) -> bool {
    let name = RecordName::from(format!("wa:{user}"));
    let place = Slot::Whole.into();
    stored::get(resources, &name, &place).await.is_ok()
}

/// The entries about erasures: the outcome and the details.
fn recorded(world: &World) -> Vec<Value> {
    let entries = world.entries().into_iter();
    entries
        .filter(|it| it[0] == "forget")
        .map(|it| json!([it[2], it[3]]))
        .collect()
}

async fn run(resources: &Resources, world: &World, options: ListOptions) -> ListReport {
    let (list, receipts) = (world.path("users"), world.path("receipts"));
    let erasure = ListErasure::open(resources, &list, Some(&receipts), options).await;
    let (erasure, mut reported) = (erasure.unwrap(), 0);
    let report = erasure.run(|_| {
        reported += 1;
        Ok(())
    });
    let report = report.await.unwrap();
    assert_eq!(reported, report.lines.len());
    report
}

fn results(report: &ListReport) -> Vec<(usize, Outcome)> {
    let lines = report.lines.iter();
    lines.map(|it| (it.line, it.result)).collect()
}

fn receipt(path: &Path, resources: &Resources) -> Receipt {
    let ring = resources.opened_ring().unwrap().ring.ring();
    Receipt::verify(&fs::read(path).unwrap(), Some(&ring.receipt_key())).unwrap()
}

#[tokio::test]
async fn an_erased_user_has_no_key_and_no_records_and_the_receipt_says_so() {
    let (_world, resources) = world().await;
    for user in [ANA, BEA] {
        write(&resources, user).await;
    }
    let eraser = Eraser::open(&resources).await.unwrap();
    let unknown = eraser.traces(EVA.as_bytes()).await.unwrap();
    assert!(unknown.is_unknown());
    let before = eraser.traces(ANA.as_bytes()).await.unwrap();
    let text = TraceSummary::from(&before).describe();
    assert_eq!(text, "the key, 1 record, 0 values in quarantine");

    let receipt = eraser.erase(ANA.as_bytes()).await.unwrap();
    assert!(receipt.key_destroyed);
    assert_eq!((receipt.records_deleted, receipt.erasure), (1, 1));
    let after = eraser.traces(ANA.as_bytes()).await.unwrap();
    assert!(after.is_gone() && !after.is_unknown());
    let text = TraceSummary::from(&after).describe();
    assert_eq!(
        text,
        "no key, 0 records, 0 values in quarantine; erased 1 time before"
    );
    assert!(!is_there(&resources, ANA).await);
    assert!(is_there(&resources, BEA).await);
}

#[tokio::test]
async fn a_list_that_was_interrupted_is_continued_by_the_same_command() {
    let (world, resources) = world().await;
    for user in [ANA, BEA, EVA] {
        write(&resources, user).await;
    }
    world.write("users", &format!("{ANA}\nnobody\n{BEA}\n{EVA}\n"));

    // A file is in the way of the second receipt: the user is erased, and the run ends there.
    let hash = |user: &str| {
        let ring = resources.opened_ring().unwrap().ring.ring();
        ring.user(user.as_bytes())
    };
    let obstacle = world.path(&format!("receipts/{}-1.json", hash(BEA)));
    fs::create_dir(world.path("receipts")).unwrap();
    fs::write(&obstacle, "a letter").unwrap();
    let report = run(&resources, &world, ListOptions::default()).await;
    assert_eq!(
        results(&report),
        [(1, Outcome::Erased), (2, Outcome::Unknown)]
    );
    let failure = report.failure.unwrap();
    let text = "line 3: the user is erased, and the receipt could not be written: ";
    assert!(failure.text().starts_with(text), "{failure:?}");
    assert!(!failure.text().contains(BEA));
    let hint = failure.advice().unwrap();
    assert!(
        hint.ends_with("what was done stays: the same command continues where this one stopped")
    );
    assert!(!is_there(&resources, BEA).await && is_there(&resources, EVA).await);
    assert_eq!(fs::read_to_string(&obstacle).unwrap(), "a letter");

    fs::remove_file(&obstacle).unwrap();
    let report = run(&resources, &world, ListOptions::default()).await;
    assert!(report.failure.is_none());
    assert_eq!(
        results(&report),
        [
            (1, Outcome::AlreadyErased),
            (2, Outcome::Unknown),
            (3, Outcome::Erased),
            (4, Outcome::Erased)
        ]
    );
    assert_eq!(report.count(Outcome::Erased), 2);
    assert_eq!(report.lines_with(Outcome::Unknown).collect::<Vec<_>>(), [2]);
    // The receipt that could not be written is replaced by one that counts one erasure more.
    let receipts = report.lines.iter().filter_map(|it| it.receipt.as_deref());
    let receipts: Vec<_> = receipts.map(|it| receipt(it, &resources)).collect();
    let found: Vec<_> = receipts
        .iter()
        .map(|it| (it.user.clone(), it.erasure, it.records_deleted))
        .collect();
    assert_eq!(
        found,
        [(hash(ANA), 1, 1), (hash(BEA), 2, 0), (hash(EVA), 1, 1)]
    );
    let report = run(&resources, &world, ListOptions::default()).await;
    assert_eq!(report.count(Outcome::AlreadyErased), 3);

    assert_recorded(&world, &resources, [hash(ANA), hash(BEA), hash(EVA)]);
    let log = fs::read_to_string(world.path("audit.jsonl")).unwrap();
    assert!(![ANA, BEA, EVA].iter().any(|user| log.contains(user)));
}

/// Each erasure is an operation: it begins with the line, and ends with the hash of the user.
fn assert_recorded(world: &World, resources: &Resources, [ana, bea, eva]: [String; 3]) {
    let begun = |line: usize| {
        let store = resources.configuration.store.location();
        json!(["begun", {"store": store, "line": line}])
    };
    let ended = |outcome: &str, hash: &str, erasure: u32, deleted: u64, error: Value| {
        let mut details =
            json!({"user_hash": hash, "erasure": erasure, "records_deleted": deleted});
        if !error.is_null() {
            details["error"] = error;
        }
        json!([outcome, details])
    };
    assert_eq!(
        recorded(world),
        [
            begun(1),
            ended("done", &ana, 1, 1, Value::Null),
            begun(3),
            ended("failed", &bea, 1, 1, json!("failed")),
            begun(3),
            ended("done", &bea, 2, 0, Value::Null),
            begun(4),
            ended("done", &eva, 1, 1, Value::Null),
        ]
    );
}

#[tokio::test]
async fn a_dry_run_shows_what_would_be_erased_and_changes_nothing() {
    let (world, resources) = world().await;
    write(&resources, ANA).await;
    world.write("users", &format!("{ANA}\nnobody\n"));
    let options = ListOptions {
        dry_run: true,
        ..ListOptions::default()
    };
    let report = run(&resources, &world, options).await;
    assert_eq!(
        results(&report),
        [(1, Outcome::WouldBeErased), (2, Outcome::Unknown)]
    );
    assert_eq!(
        serde_json::to_value(&report.lines[0]).unwrap(),
        json!({
            "line": 1, "result": "would_be_erased", "receipt": null, "records_deleted": null,
            "found": {"known": true, "key": true, "records": 1, "quarantined": 0, "erasures": 0},
        })
    );
    assert!(is_there(&resources, ANA).await && !world.path("receipts").exists());
    assert!(recorded(&world).is_empty());
    let options = ListOptions {
        even_if_unknown: true,
        ..options
    };
    let report = run(&resources, &world, options).await;
    assert_eq!(report.count(Outcome::WouldBeErased), 2);
}

#[tokio::test]
async fn nobody_is_erased_without_a_place_for_receipts_a_keyring_and_a_pattern_with_users() {
    let (world, resources) = world().await;
    write(&resources, ANA).await;
    world.write("users", &format!("{ANA}\n"));
    let open = |receipts| {
        let (list, resources) = (world.path("users"), &resources);
        async move {
            let options = ListOptions::default();
            let opened = ListErasure::open(resources, &list, receipts, options).await;
            opened.map(drop)
        }
    };
    let unnamed: Failure = open(None).await.unwrap_err();
    assert_eq!(
        unnamed.text(),
        "the receipts of several users are files, and no directory is named"
    );
    let not_a_directory = world.path("users");
    assert!(open(Some(not_a_directory.as_path())).await.is_err());
    assert!(is_there(&resources, ANA).await);

    let without_users = World::with_keyring("[[protect]]\nrecords = \"wa:*\"\n");
    let flags = without_users.flags_with_store();
    let failure = erasure::check(&Resources::read(&flags).unwrap()).unwrap_err();
    assert_eq!(
        failure.text(),
        "no protected pattern says who the user of a record is"
    );
    let without_keyring = World::with_key(USERS.replace("per_user_keys = true\n", "").as_str());
    let flags = without_keyring.flags_with_store();
    assert!(erasure::check(&Resources::read(&flags).unwrap()).is_err());
}
