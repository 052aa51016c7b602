//! Backups: written, rehearsed and brought back on a machine that has nothing else, and what is refused.

mod refusals;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::SystemTime;

use waxseal_core::Format;
use waxseal_testing::RedisServer;

use super::{Lies, World, configured};
use crate::program::{OTHER_KEY, Output, Program};
use crate::records::{STATE, put, sealed};

/// An age identity for tests alone, as age-keygen writes it.
const IDENTITY: &str = include_str!("../../../../keys/tests/vectors/backup/identity.txt");
const NAMES: [&str; 3] = ["wa:5215512345678", "wa:5215587654321", "wa:other"];
const SHARES: [&str; 7] = [
    "backup/backup.age",
    "--share",
    "backup/share-5.txt",
    "--share",
    "backup/share-1.txt",
    "--share",
    "backup/share-3.txt",
];

fn recipient() -> &'static str {
    let mut lines = IDENTITY.lines();
    lines
        .find_map(|line| line.strip_prefix("# public key: "))
        .unwrap()
}

/// A ring of two keys, with a value under each.
fn world() -> World {
    let world = World::with_ring(Lies::InAFile);
    for (index, name) in NAMES.iter().enumerate() {
        world
            .program
            .run_with(&["put", name], STATE.as_bytes())
            .done();
        if index == 0 {
            world.ring(&["add"]).done();
            let pending = world.keys("pending").pop().unwrap();
            world.ring(&["promote", &pending, "--now"]).done();
        }
    }
    world
}

#[track_caller]
fn export_in_shares(world: &World) -> Output {
    let words = ["export", "--shares", "3-of-5", "--out", "backup"];
    world.ring(&words).done()
}

fn secret_file(program: &Program, name: &str, content: &str) {
    let path = program.path(name);
    fs::write(&path, content).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

/// A machine that knows the store and its own secret, and has these files of another.
fn another_machine(world: &World, files: &[&str]) -> Program {
    another_machine_for(world, files, &world.server)
}

fn another_machine_for(world: &World, files: &[&str], server: &RedisServer) -> Program {
    let program = Program::at(server).keys(OTHER_KEY, "");
    let program = configured(program, server, Lies::InAFile, "");
    fs::create_dir(program.path("backup")).unwrap();
    for file in files {
        fs::copy(world.program.path(file), program.path(file)).unwrap();
    }
    program
}

const TAKEN: [&str; 4] = [
    "backup/backup.age",
    "backup/share-1.txt",
    "backup/share-3.txt",
    "backup/share-5.txt",
];

#[track_caller]
fn keyring(program: &Program, words: &[&str], more: &[&str]) -> Output {
    program.run(&[&["keyring"], words, more].concat())
}

/// The keyring and all that this machine keeps of it are gone.
fn destroy(world: &World) {
    fs::remove_file(world.program.path("ring.json")).unwrap();
    fs::remove_dir_all(world.program.path("state")).unwrap();
    world.ring(&["status"]).failed(2, "there is no keyring at ");
}

#[track_caller]
fn assert_reads_all(program: &Program) {
    for name in NAMES {
        assert_eq!(program.run(&["get", name]).done().text(), STATE);
    }
    program.run(&["audit"]).done();
    let told = program.run(&["doctor"]).text();
    assert!(told.contains("opens under key"), "{told}");
}

/// Every file below a directory, with what is in it and when it was written.
fn listing(directory: &Path) -> BTreeMap<String, (Vec<u8>, SystemTime)> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let modified = path.metadata().unwrap().modified().unwrap();
        let content = match path.is_dir() {
            true => {
                found.extend(listing(&path));
                Vec::new()
            }
            false => fs::read(&path).unwrap(),
        };
        found.insert(path.display().to_string(), (content, modified));
    }
    found
}

#[test]
fn a_lost_keyring_comes_back_on_another_machine_from_three_shares() {
    let world = world();
    let before = world.status();
    let said = export_in_shares(&world);
    let check_value = before["check_value"].as_str().unwrap().to_owned();
    assert!(
        said.text()
            .contains(&format!("check value {check_value}\n"))
    );
    assert!(
        said.stderr
            .contains("were taken out of its custodians for a backup")
    );
    destroy(&world);
    let machine = another_machine(&world, &TAKEN);
    let told = keyring(&machine, &["rehearse"], &SHARES).done().text();
    for text in [
        "environment   tests\n",
        "keys          2; key ",
        &format!("check value   {check_value}\n"),
        "opens under key",
    ] {
        assert!(told.contains(text), "{text}: {told}");
    }
    let said = keyring(&machine, &["import"], &SHARES).done().text();
    assert!(
        said.contains("wrapped by env:REDIS_ENCRYPTION_KEY"),
        "{said}"
    );
    assert_reads_all(&machine);
    let status = keyring(&machine, &["status", "--json"], &[]).done().json();
    assert_eq!(status["ring"], before["ring"]);
    assert_eq!(status["receipt_key"], before["receipt_key"]);
    let version = before["version"].as_u64().unwrap();
    assert_eq!(status["version"].as_u64().unwrap(), version + 1);
    // The keyring lives on.
    keyring(&machine, &["add"], &[]).done();
    let again = keyring(&machine, &["import"], &SHARES);
    again.failed(2, "there is a keyring at file:");
}

#[test]
fn a_lost_keyring_comes_back_on_another_machine_from_an_age_identity() {
    let world = world();
    let words = ["export", "ring.age", "--recipient", recipient()];
    world.ring(&words).done();
    destroy(&world);
    let machine = another_machine(&world, &["ring.age"]);
    secret_file(&machine, "identity.txt", IDENTITY);
    let opening = ["ring.age", "--identity", "identity.txt"];
    keyring(&machine, &["rehearse"], &opening).done();
    keyring(&machine, &["import"], &opening).done();
    assert_reads_all(&machine);
}

#[test]
fn a_keyring_can_come_back_in_a_server() {
    let world = world();
    export_in_shares(&world);
    destroy(&world);
    let machine = another_machine(&world, &TAKEN);
    let machine = configured(machine, &world.server, Lies::InTheServer, "");
    keyring(&machine, &["import"], &SHARES).done();
    assert_reads_all(&machine);
    let again = keyring(&machine, &["import"], &SHARES);
    again.failed(2, "there is a keyring at redis://");
}

#[test]
fn other_custodians_can_be_named() {
    let world = world();
    export_in_shares(&world);
    destroy(&world);
    let machine = another_machine(&world, &TAKEN);
    secret_file(&machine, "kek", &format!("{OTHER_KEY}\n"));
    let url = format!("file:{}", machine.path("kek").display());
    let said = keyring(&machine, &["import", "--custodian", &url], &SHARES).done();
    assert!(said.text().contains(&url), "{}", said.text());
    keyring(&machine, &["status"], &[]).failed(2, "is not configured here");
}

#[test]
fn what_is_there_is_not_overwritten() {
    let world = world();
    export_in_shares(&world);
    let before = world.document();
    world
        .ring(&[&["import"][..], &SHARES].concat())
        .failed(2, "there is a keyring at file:");
    assert_eq!(world.document(), before);
    // Lost, and this machine knows a newer one than the backup.
    world.ring(&["add"]).done();
    world.set_document(None);
    let refused = world.ring(&[&["import"][..], &SHARES].concat());
    let refused = refused.failed(2, "this machine keeps a copy of a keyring");
    assert!(
        refused.stderr.contains("waxseal keyring restore"),
        "{}",
        refused.stderr
    );
    assert_eq!(world.document(), None);
    world.ring(&["restore"]).done();
}

#[test]
fn a_copy_that_is_as_old_as_the_backup_is_no_obstacle() {
    let world = world();
    export_in_shares(&world);
    world.set_document(None);
    world.ring(&[&["import"][..], &SHARES].concat()).done();
    assert_reads_all(&world.program);
}

#[test]
fn a_backup_of_another_environment_is_refused() {
    let world = world();
    export_in_shares(&world);
    let machine = another_machine(&world, &TAKEN);
    let config = "environment = \"prod\"\nkeyring = \"file:ring.json\"\n";
    let machine = machine.file("waxseal.toml", config);
    let said = keyring(&machine, &["import"], &SHARES);
    let said = said.failed(2, "the backup is of the environment \"tests\"");
    assert!(
        said.stderr.contains("hint: nothing was changed"),
        "{}",
        said.stderr
    );
    assert!(!machine.path("ring.json").exists());
    // It can be rehearsed everywhere.
    keyring(&machine, &["rehearse"], &SHARES).done();
}

#[test]
fn no_output_holds_a_share_or_a_key() {
    let world = world();
    let said = export_in_shares(&world);
    let rehearsed = world
        .ring(&[&["rehearse"][..], &SHARES, &["--json"]].concat())
        .done();
    for number in 1..=5 {
        let path = world.program.path(&format!("backup/share-{number}.txt"));
        let sheet = fs::read_to_string(path).unwrap();
        let lines = sheet
            .lines()
            .filter(|it| it.starts_with(['1', '2', '3', '4']));
        for line in lines.filter_map(|it| it.get(3..)) {
            for output in [&said, &rehearsed] {
                let told = format!("{}{}", output.text(), output.stderr);
                assert!(!told.contains(line), "{told}");
            }
        }
    }
}

#[test]
fn a_rehearsal_writes_nothing_and_needs_nothing() {
    let world = world();
    export_in_shares(&world);
    let machine = another_machine(&world, &TAKEN);
    let keys = || world.server.client().cmd(&["DBSIZE"]).to_text();
    let (before, records) = (listing(machine.directory()), keys());
    keyring(&machine, &["rehearse"], &SHARES).done();
    assert_eq!(listing(machine.directory()), before);
    assert_eq!(keys(), records);
    // Without a configuration, a custodian, a keyring or a store.
    fs::remove_file(machine.path("waxseal.toml")).unwrap();
    let machine = machine.without("REDIS_ENCRYPTION_KEY").without("REDIS_URL");
    let machine = machine.without("STATE_DIRECTORY");
    let before = listing(machine.directory());
    let told = keyring(&machine, &["rehearse"], &SHARES).done().text();
    assert!(told.contains("store         none is configured"), "{told}");
    let told = keyring(&machine, &["rehearse", "--json"], &SHARES)
        .done()
        .json();
    assert_eq!(
        (&told["keys"], &told["store"]),
        (&2.into(), &serde_json::Value::Null)
    );
    let store = ["--store", "redis://127.0.0.1:1"];
    let told = keyring(&machine, &["rehearse"], &[&SHARES[..], &store].concat()).done();
    assert!(
        told.text().contains("store         not asked: "),
        "{}",
        told.text()
    );
    let store = ["--store", "file:states.waxseal"];
    keyring(&machine, &["rehearse"], &[&SHARES[..], &store].concat()).done();
    assert_eq!(listing(machine.directory()), before);
}

#[test]
fn a_rehearsal_tells_whether_the_keys_are_those_of_the_store() {
    let world = world();
    export_in_shares(&world);
    let empty = RedisServer::start();
    let machine = another_machine_for(&world, &TAKEN, &empty);
    let told = keyring(&machine, &["rehearse"], &SHARES).done();
    assert!(told.text().contains("has no canary yet"), "{}", told.text());
    let other = World::with_ring(Lies::InAFile);
    other
        .program
        .run_with(&["put", "wa:1"], STATE.as_bytes())
        .done();
    let machine = another_machine_for(&world, &TAKEN, &other.server);
    let told = keyring(&machine, &["rehearse", "--json"], &SHARES);
    let told = told.failed(2, "its keys do not open this store");
    assert_eq!(told.json()["store"]["canary"], "differs");
}

#[test]
fn a_rehearsal_does_not_take_a_store_for_its_own_whose_canary_is_of_a_newer_key() {
    let world = world();
    world
        .program
        .run_with(&["put", "wa:1"], STATE.as_bytes())
        .done();
    export_in_shares(&world);
    let canary = "waxseal:canary";
    let newer = sealed(OTHER_KEY, Format::Sealed, canary, b"waxseal canary v1");
    put(&world.server, canary, &newer);
    let machine = another_machine(&world, &TAKEN);
    let told = keyring(&machine, &["rehearse", "--json"], &SHARES);
    let told = told.failed(2, "its keys open only a part of this store");
    assert_eq!(told.json()["store"]["canary"], "differs");
}
