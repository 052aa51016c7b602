//! Refusals: shares and files that do not open, secrets that others can read, exports without a recipient or
//! over something.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::{IDENTITY, export_in_shares, listing, recipient, secret_file, world};

#[test]
fn shares_that_do_not_open_it_are_distinguished() {
    let world = world();
    export_in_shares(&world);
    let words = ["export", "--shares", "3-of-5", "--out", "other"];
    world.ring(&words).done();
    let rehearse = |shares: &[&str]| {
        let words: Vec<_> = shares.iter().flat_map(|it| ["--share", it]).collect();
        world.ring(&[&["rehearse", "backup/backup.age"], &words[..]].concat())
    };
    let (first, third) = ("backup/share-1.txt", "backup/share-3.txt");
    rehearse(&[first, third, "other/share-5.txt"]).failed(2, "share 5 is of the backup ");
    rehearse(&[first, third]).failed(2, "2 of the 3 shares that are needed: 1 more is missing");
    rehearse(&[first, third, first]).failed(2, "share 1 was given twice");
    rehearse(&[first, third, "backup/backup.age"]).failed(2, "it is not a share of a backup");
    rehearse(&[first, "nowhere.txt"]).failed(64, "--share: ");
    let sheet = fs::read_to_string(world.program.path(third)).unwrap();
    let line = sheet.lines().find(|it| it.starts_with("2: ")).unwrap();
    secret_file(
        &world.program,
        "typed.txt",
        &sheet.replace(line, "2: 7777 7777 7777 7777"),
    );
    let said = rehearse(&[first, third, "typed.txt"]);
    let said = said.failed(2, "typed.txt: line 2 of the share is mistyped or damaged");
    assert!(
        said.stderr.contains("hint: compare it with the sheet"),
        "{}",
        said.stderr
    );
    assert!(!said.stderr.contains("7777"));
}

#[test]
fn files_that_are_no_backup_or_damaged_are_named() {
    let world = world();
    world
        .ring(&["export", "ring.age", "--recipient", recipient()])
        .done();
    secret_file(&world.program, "identity.txt", IDENTITY);
    let rehearse = |file: &str| world.ring(&["rehearse", file, "--identity", "identity.txt"]);
    rehearse("ring.age").done();
    rehearse("nowhere.age").failed(2, "the backup nowhere.age cannot be read");
    rehearse("ring.json").failed(2, "ring.json: it is not an age file");
    let text = fs::read_to_string(world.program.path("ring.age")).unwrap();
    fs::write(world.program.path("half.age"), &text[..text.len() / 2]).unwrap();
    rehearse("half.age").failed(2, "half.age: the backup is damaged");
    export_in_shares(&world);
    let said = rehearse("backup/backup.age");
    let said = said.failed(2, "the identity does not open this backup");
    assert!(said.stderr.contains("--share"), "{}", said.stderr);
}

#[test]
fn secrets_that_others_can_read_are_refused() {
    let world = world();
    export_in_shares(&world);
    secret_file(&world.program, "identity.txt", IDENTITY);
    for (flag, name) in [
        ("--share", "backup/share-1.txt"),
        ("--identity", "identity.txt"),
    ] {
        let mode = fs::Permissions::from_mode(0o644);
        fs::set_permissions(world.program.path(name), mode).unwrap();
        let said = world.ring(&["rehearse", "backup/backup.age", flag, name]);
        let said = said.failed(64, "is open to every user (mode 644)");
        assert!(said.stderr.contains("chmod 600"), "{}", said.stderr);
    }
}

#[test]
fn an_export_overwrites_nothing_and_is_for_its_owner_only() {
    let world = world();
    export_in_shares(&world);
    let directory = world.program.path("backup");
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&directory), 0o700);
    let before = listing(&directory);
    assert_eq!(before.len(), 6);
    assert!(before.keys().all(|path| mode(Path::new(path)) == 0o600));
    let words = ["export", "--shares", "3-of-5", "--out", "backup"];
    world
        .ring(&words)
        .failed(2, "exists: a backup overwrites nothing");
    assert_eq!(listing(&directory), before);
    // One that is in the way is enough, and nothing else is written.
    fs::create_dir(world.program.path("half")).unwrap();
    fs::write(world.program.path("half/share-4.txt"), "mine").unwrap();
    let words = ["export", "--shares", "3-of-5", "--out", "half"];
    world.ring(&words).failed(2, "half/share-4.txt exists");
    assert_eq!(listing(&world.program.path("half")).len(), 1);
    fs::write(world.program.path("ring.age"), "mine").unwrap();
    let words = ["export", "ring.age", "--recipient", recipient()];
    world.ring(&words).failed(2, "ring.age exists");
    assert_eq!(fs::read(world.program.path("ring.age")).unwrap(), b"mine");
    let words = ["export", "nowhere/ring.age", "--recipient", recipient()];
    world
        .ring(&words)
        .failed(2, "nowhere/ring.age cannot be written");
}

#[test]
fn an_export_says_to_whom() {
    let world = world();
    let secret = IDENTITY.lines().last().unwrap();
    world
        .ring(&["export", "a.age"])
        .failed(64, "no recipient is named");
    world.ring(&["export"]).failed(64, "required");
    let said = world.ring(&["export", "a.age", "--recipient", secret]);
    let said = said.failed(
        64,
        "--recipient number 1 is an age identity, which is a secret",
    );
    assert!(!said.stderr.contains(&secret[20..30]));
    let said = world.ring(&["export", "a.age", "--recipient", "age1x"]);
    said.failed(64, "--recipient number 1 is not an age recipient");
    for split in ["1-of-5", "5-of-3", "2-of-33", "3"] {
        let words = ["export", "--shares", split, "--out", "a"];
        world.ring(&words).failed(64, "--shares");
    }
    world
        .ring(&["export", "--shares", "3-of-5"])
        .failed(64, "--out");
    let file = format!("# ours\n{}\n", recipient());
    fs::write(world.program.path("recipients.txt"), file).unwrap();
    let words = [
        "export",
        "a.age",
        "--recipients-file",
        "recipients.txt",
        "--json",
    ];
    let told = world.ring(&words).done().json();
    assert_eq!(told["files"].as_array().unwrap().len(), 1);
    assert_eq!(told["check_value"], world.status()["check_value"]);
    fs::write(world.program.path("recipients.txt"), "# ours\nsomebody\n").unwrap();
    let words = ["export", "b.age", "--recipients-file", "recipients.txt"];
    let said = world.ring(&words);
    said.failed(64, "recipients.txt: line 2 is not an age recipient");
}
