//! `demo`: the main job on an empty machine, without a trace afterwards.

use std::fs;

use crate::program::{Output, Program};
use crate::records::server_with_states;

/// Its parts, and a line of each that only shows when the part did its work.
const PARTS: [(&str, &str); 6] = [
    ("1. Plain conversation states", "300 states written to "),
    ("2. Migrate", "  migrated: 300, failed: 0, in "),
    (
        "3. Read back through StateManager",
        "  300 of 300 states opened and parsed in ",
    ),
    (
        "4. Someone changes one byte",
        "  StateManager answers: none",
    ),
    ("5. Rotate to a new key", "  rotated: 299, failed: 0, in "),
    ("6. What it cost", " us to seal, "),
];

#[track_caller]
fn assert_shows_every_part(output: &Output) {
    let text = output.text();
    let mut tail = text.as_str();
    for (title, line) in PARTS {
        for part in [title, line] {
            let at = tail.find(part);
            let at = at.unwrap_or_else(|| panic!("no «{part}» in {text}\n{}", output.stderr));
            tail = &tail[at..];
        }
    }
    assert!(
        text.contains("{\"currentField\":"),
        "it shows a plain state"
    );
    assert!(text.contains("  moved to quarantine, "), "{text}");
    assert!(
        text.contains("  299 of 300 states opened and parsed"),
        "{text}"
    );
}

#[test]
fn needs_no_server_shows_every_part_and_leaves_nothing_behind() {
    let program = Program::new();
    fs::create_dir(program.path("tmp")).unwrap();
    fs::create_dir(program.path("empty")).unwrap();
    let tmp = program.path("tmp");
    let program = program.env("TMPDIR", tmp.to_str().unwrap());
    let output = program.run(&["demo", "--states", "300"]).done();
    assert_shows_every_part(&output);
    assert!(output.text().contains("\nDone in "));
    assert_eq!(fs::read_dir(&tmp).unwrap().count(), 0);
    assert_eq!(fs::read_dir(program.directory()).unwrap().count(), 2);
}

#[test]
fn on_a_server_it_leaves_the_records_exactly_as_they_were() {
    let server = server_with_states(100);
    let program = Program::at(&server);
    // With a canary of a store in use, and some values in it sealed.
    program.run(&["migrate"]).done();
    let before = server.snapshot();
    let output = Program::new()
        .run(&["demo", "--states", "300", "--store", &server.url()])
        .done();
    assert_shows_every_part(&output);
    assert!(
        output
            .text()
            .contains("Everything that the demo wrote is removed.")
    );
    assert_eq!(server.snapshot(), before);
    program.run(&["audit", "--deep", "--require-clean"]).done();
}

#[test]
fn stopped_in_the_middle_it_cleans_up_as_well() {
    let server = server_with_states(100);
    let before = server.snapshot();
    let program = Program::new();
    for signal in ["INT", "TERM"] {
        let demo = program.start(&["demo", "--states", "50000", "--store", &server.url()]);
        crate::program::wait_until(|| server.cli(&["DBSIZE"]).parse::<u64>().unwrap() > 5_000);
        demo.signal(signal);
        demo.end().failed(2, "error: stopped by a signal");
        assert_eq!(server.snapshot(), before);
    }
}

#[test]
fn without_its_server_it_says_so() {
    let output = Program::new().run(&["demo", "--store", "redis://127.0.0.1:1"]);
    output.failed(2, "cannot be reached: the connection is refused\nhint: ");
}

#[test]
fn a_proxy_under_load_rotates_its_key_and_leaves_the_server_as_it_was() {
    let server = server_with_states(20);
    let before = server.snapshot();
    let words = ["demo", "--proxy", "--seconds", "6", "--store"];
    let output = Program::new().run(&[&words[..], &[&server.url()]].concat());
    let output = output.done();
    let text = output.text();
    for part in [
        "status page: http://127.0.0.1:",
        "Load: ",
        "\nFailed or wrong: 0\n",
        "\nKey rotated under this load: the old one was retired after ",
        "\nClients read {\"",
        "\nThe server stores ",
        "\nEverything that the demo wrote is removed.\n",
    ] {
        assert!(text.contains(part), "no «{part}» in {text}");
    }
    assert_eq!(text.lines().count(), 7, "{text}");
    assert_eq!(server.snapshot(), before);
}

#[test]
fn a_proxy_on_a_database_that_is_sealed_already_is_refused() {
    let server = server_with_states(5);
    Program::at(&server).run(&["migrate"]).done();
    let before = server.snapshot();
    let output = Program::new().run(&["demo", "--proxy", "--store", &server.url()]);
    output.failed(64, "error: this database is sealed already");
    assert_eq!(server.snapshot(), before);
    let output = Program::new().run(&["demo", "--proxy"]);
    output.failed(64, "error: demo --proxy needs a Redis server");
}
