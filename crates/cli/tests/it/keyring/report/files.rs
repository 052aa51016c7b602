//! The files of a report: their owner, replacing, and refusals before anything is
//! counted.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;

/// An unreachable server: a refusal before it is used has another text.
const UNREACHABLE: &str = "redis://127.0.0.1:1";

#[test]
fn without_a_keyring_there_is_a_page_and_no_signed_report() {
    let server = RedisServer::start();
    put(&server, "wa:5215500000009", STATE.as_bytes());
    let program = Program::at(&server);
    let output = program.run(&["audit", "--report", "audit.json", "--store", UNREACHABLE]);
    let output = output.failed(64, "no keyring is configured");
    assert!(
        output
            .stderr
            .contains("hint: waxseal keyring init creates one"),
        "{}",
        output.stderr
    );
    let output = program.run(&["audit", "--html", "audit.html"]).done();
    let told = "waxseal: wrote audit.html, not signed: no keyring is configured\n";
    assert!(output.stderr.contains(told), "{}", output.stderr);
    let page = fs::read_to_string(program.path("audit.html")).unwrap();
    assert!(
        page.contains("Not signed") && !page.contains("<script"),
        "{page}"
    );
    assert!(page.contains("data-figure=\"plain\">1<"), "{page}");
    program
        .run(&["audit", "verify", "audit.html"])
        .failed(1, "the page holds no signed report");
}

#[test]
fn a_report_is_readable_by_its_owner_alone_and_replaces_nothing_unasked() {
    let world = mixed(Lies::InAFile);
    for (flag, name) in [("--report", "r.json"), ("--html", "r.html")] {
        let path = world.program.path(name);
        world.run(&["audit", flag, name]).done();
        let mode = path.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let before = fs::read(&path).unwrap();
        let output = world.run(&["audit", flag, name, "--store", UNREACHABLE]);
        let output = output.failed(2, "exists: a report overwrites nothing");
        assert!(output.stderr.contains("--force"), "{}", output.stderr);
        assert_eq!(fs::read(&path).unwrap(), before);
        // No report is lost to one that could not be written.
        let words = ["audit", flag, name, "--force", "--store", UNREACHABLE];
        world.run(&words).with_status(2);
        assert_eq!(fs::read(&path).unwrap(), before);
        fs::write(&path, "old").unwrap();
        world.run(&["audit", flag, name, "--force"]).done();
        world.run(&["audit", "verify", name]).done();
    }
    assert_eq!(unfinished(&world), 0);
}

#[test]
fn a_report_that_cannot_be_written_is_refused_before_anything_is_counted() {
    let world = mixed(Lies::InAFile);
    let away = ["--store", UNREACHABLE];
    for flag in ["--report", "--html"] {
        let run = |words: &[&str]| world.run(&[&["audit", flag], words, &away].concat());
        run(&["nowhere/report"]).failed(2, "nowhere/report cannot be written: ");
        run(&["state"]).failed(64, "state is not a regular file");
        symlink("elsewhere", world.program.path(flag)).unwrap();
        let link = format!("./{flag}");
        run(&[&link, "--force"]).failed(64, "is not a regular file");
    }
    let same = ["audit", "--report", "one", "--html", "one"];
    world
        .run(&[&same[..], &away].concat())
        .failed(64, "name the same file");
}

#[test]
fn a_disk_that_is_full_leaves_no_half_report() {
    let world = mixed(Lies::InAFile);
    let words = ["audit", "--report", "full.json", "--html", "full.html"];
    // Nothing longer than a block can be written, and that is an error and not a signal.
    let full = world
        .program
        .start_after("trap '' XFSZ; ulimit -f 1", &words);
    full.end().failed(2, "full.json cannot be written: ");
    for name in ["full.json", "full.html"] {
        assert!(!world.program.path(name).exists());
    }
    assert_eq!(unfinished(&world), 0);
}

#[test]
fn a_report_is_written_even_if_the_audit_fails() {
    let world = mixed(Lies::InAFile);
    let words = ["audit", "--require-clean", "--report", "audit.json"];
    world
        .run(&words)
        .failed(1, "there is plaintext under a protected pattern");
    let said = world.run(&["audit", "verify", "audit.json"]).done().text();
    assert!(said.contains("clean        no\n"), "{said}");
}

/// Files that do not have their names yet.
fn unfinished(world: &World) -> usize {
    let entries = fs::read_dir(world.program.directory()).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name());
    names
        .filter(|name| name.to_string_lossy().starts_with(".waxseal-"))
        .count()
}
