//! The document's format, the versions of the sealed format, index keys and recorded settings: each step with what it
//! refuses, forward and back.

use waxseal_core::{EnvelopeVersion, Shape};
use waxseal_testing::RedisServer;

use super::{Lies, PLACES, World, configured, text};
use crate::program::{Output, Program, wait_until};
use crate::proxy::Proxy;
use crate::records::{NAME, STATE, get};

/// Times under which nothing has to be waited for long: no process is cut off.
const HASTY: [&str; 9] = [
    "init",
    "--rotate-every",
    "never",
    "--propagation",
    "400ms",
    "--refresh",
    "200ms",
    "--retain",
    "400ms",
];
const STATES: &str = "[[protect]]\nrecords = \"wa:*\"\nformat = \"sealed\"\n";

impl World {
    #[track_caller]
    fn hasty(lies: Lies) -> Self {
        let world = Self::with(lies, STATES);
        world.ring(&HASTY).done();
        world
    }

    /// Runs `keyring configure …` until what it has to wait for is over.
    #[track_caller]
    fn step(&self, words: &[&str]) -> Output {
        let mut last = None;
        wait_until(|| {
            let output = self.ring(&[&["configure"], words].concat());
            let waits = output.status == 2 && output.stderr.contains("has to wait");
            last = Some(output);
            !waits
        });
        last.unwrap().done()
    }

    #[track_caller]
    fn stored_version(&self, name: &str) -> EnvelopeVersion {
        let stored = get(&self.server, name).expect("it is there");
        Shape::of_header(&stored).expect("an envelope").version
    }

    #[track_caller]
    fn state_of_versions(&self) -> (u64, u64, u64) {
        let status = self.status();
        let number = |value: &serde_json::Value| value.as_u64().unwrap();
        let envelopes = &status["envelopes"];
        (
            number(&status["document_format"]),
            number(&envelopes["write"]),
            number(&envelopes["accept"]),
        )
    }

    #[track_caller]
    fn put_state(&self, name: &str) {
        let put = self.program.run_with(&["put", name], STATE.as_bytes());
        put.done();
    }
}

#[test]
fn version_3_is_reached_step_by_step_and_left_again() {
    for lies in PLACES {
        let world = World::hasty(lies);
        world.put_state(NAME);
        assert_eq!(world.state_of_versions(), (1, 2, 2));
        let needs =
            "the keyring document is of format 1: versions of the sealed format need format 2";
        world
            .ring(&["configure", "--write-version", "3"])
            .failed(2, needs);

        let said = world.step(&["--document-format", "2"]).text();
        assert!(said.contains("format 2; version 2 is written"), "{said}");
        assert!(
            said.contains("next: waxseal keyring configure --write-version 3"),
            "{said}"
        );
        assert_eq!(world.state_of_versions(), (2, 2, 2));
        let early = "must be written before it alone is accepted";
        world
            .ring(&["configure", "--accept-version", "3"])
            .failed(2, early);

        let said = world.step(&["--write-version", "3"]).text();
        assert!(
            said.contains("version 3 is written, version 2 and newer are accepted"),
            "{said}"
        );
        assert_eq!(world.stored_version(NAME), EnvelopeVersion::V2);
        let other = "wa:5215500000001";
        world.put_state(other);
        assert_eq!(world.stored_version(other), EnvelopeVersion::V3);
        assert_eq!(world.run(&["get", NAME]).done().text(), STATE);

        // An older value keeps the door open.
        let mut last = String::new();
        wait_until(|| {
            last = world
                .ring(&["configure", "--accept-version", "3"])
                .with_status(2)
                .stderr;
            !last.contains("has to wait")
        });
        assert!(
            last.contains("it counted 1 value in version 2 of the sealed format"),
            "{last}"
        );
        world.run(&["rotate"]).done();
        assert_eq!(world.stored_version(NAME), EnvelopeVersion::V3);
        world.run(&["audit", "--require-version", "3"]).done();
        let said = world.step(&["--accept-version", "3"]).text();
        assert!(said.contains("version 3 alone is accepted"), "{said}");
        assert_eq!(world.state_of_versions(), (2, 3, 3));
        for name in [NAME, other] {
            assert_eq!(world.run(&["get", name]).done().text(), STATE);
        }

        leave_version_3(&world, &[NAME, other]);
    }
}

/// From version 3 alone back to a document of format 1, with these records.
#[track_caller]
fn leave_version_3(world: &World, names: &[&str]) {
    let refused = world
        .ring(&["configure", "--write-version", "2"])
        .with_status(2);
    assert!(refused.stderr.contains("version 3"), "{}", refused.stderr);
    world.step(&["--accept-version", "2"]);
    world.step(&["--write-version", "2"]);
    let knows = "needs a clean audit: it counted 2 values in version 3 of the sealed format";
    let mut last = String::new();
    wait_until(|| {
        let output = world.ring(&["configure", "--document-format", "1"]);
        last = output.with_status(2).stderr;
        !last.contains("has to wait")
    });
    assert!(last.contains(knows), "{last}");
    world.run(&["rotate"]).done();
    world.step(&["--document-format", "1"]);
    assert_eq!(world.state_of_versions(), (1, 2, 2));
    for name in names {
        assert_eq!(world.stored_version(name), EnvelopeVersion::V2);
        assert_eq!(world.run(&["get", name]).done().text(), STATE);
    }
}

#[test]
fn a_new_ring_can_begin_with_version_3() {
    let world = World::with(Lies::InAFile, STATES);
    world
        .ring(&[&HASTY[..], &["--document-format", "2"]].concat())
        .done();
    assert_eq!(world.state_of_versions(), (2, 3, 2));
    world.put_state(NAME);
    assert_eq!(world.stored_version(NAME), EnvelopeVersion::V3);
    let status = world.ring(&["status"]).done().text();
    assert!(
        status.contains("document      format 2; version 3 is written"),
        "{status}"
    );
    assert!(status.contains("writing"), "{status}");
}

#[test]
fn running_processes_follow_the_versions_and_say_what_they_read() {
    let world = World::hasty(Lies::InTheServer);
    let proxy = Proxy::start_configured(&world.program, &[]);
    wait_until(|| {
        let status = world.status();
        let processes = status["processes"].as_array().unwrap();
        processes
            .iter()
            .any(|it| it["what"] == "proxy" && it["reads"] == 2)
    });
    world.step(&["--document-format", "2"]);
    world.step(&["--write-version", "3"]);
    let mut client = proxy.client();
    wait_until(|| {
        assert_eq!(client.cmd(&["SET", NAME, STATE]).to_text(), "OK");
        world.stored_version(NAME) == EnvelopeVersion::V3
    });
    assert_eq!(client.cmd(&["GET", NAME]).to_text(), STATE);
    proxy.stop();
}

/// A set has this member, under an index key: that is not destroyed before the member was rewritten.
#[track_caller]
fn a_member_keeps_its_key(world: &World, key: &str, sealed: &[u8]) {
    wait_until(|| {
        let output = world.ring(&["destroy", key]);
        assert_eq!(output.status, 2, "{}", output.stderr);
        let counted = format!("counted 1 value under key {key}");
        output.stderr.contains(&counted)
    });
    world.run(&["rotate"]).done();
    let members = world.run(&["get", "wa:1", "--members"]).done();
    assert_eq!(members.text(), "a member\n");
    let is_old = [&b"SISMEMBER"[..], b"wa:1", sealed];
    assert_eq!(world.server.client().cmd(&is_old).int(), 0);
}

#[test]
fn the_index_key_is_replaced_and_destroyed_by_its_own_commands() {
    let world = World::hasty(Lies::InAFile);
    let needs = "the keyring document is of format 1: index keys need format 2";
    world.ring(&["rotate-index"]).failed(2, needs);
    world.step(&["--document-format", "2"]);
    world.step(&["--write-version", "3"]);
    let index_keys = |state: &str| -> Vec<String> {
        let status = world.status();
        let keys = status["index_keys"].as_array().unwrap().clone();
        let matching = keys.into_iter().filter(|key| key["state"] == state);
        matching.map(|key| text(&key["id"])).collect()
    };
    let first = index_keys("writing").pop().unwrap();
    let seal = [
        "seal",
        "--record",
        "wa:1",
        "--kind",
        "member",
        "--deterministic",
        "--format",
        "sealed",
    ];
    let open = ["open", "--record", "wa:1", "--kind", "member"];
    let sealed = world.program.run_with(&seal, b"a member").done().stdout;
    assert_eq!(
        world.program.run_with(&seal, b"a member").done().stdout,
        sealed
    );

    let add = [&b"SADD"[..], b"wa:1", &sealed];
    assert_eq!(world.server.client().cmd(&add).int(), 1);
    let said = world.ring(&["rotate-index"]).done().text();
    let pending = index_keys("pending").pop().unwrap();
    assert!(
        said.contains(&format!("index key {pending} is pending")),
        "{said}"
    );
    wait_until(|| {
        world.ring(&["rotate-index"]).done();
        index_keys("writing") == [pending.as_str()]
    });
    assert_eq!(index_keys("reading"), [first.as_str()]);
    assert_ne!(
        world.program.run_with(&seal, b"a member").done().stdout,
        sealed
    );
    assert_eq!(
        world.program.run_with(&open, &sealed).done().text(),
        "a member"
    );

    let marked = format!("key {first} is an index key: it is only replaced by another one");
    world.ring(&["compromise", &first]).failed(2, &marked);
    let writes = format!("index key {pending} writes: another one must write first");
    world.ring(&["destroy", &pending]).failed(2, &writes);
    a_member_keeps_its_key(&world, &first, &sealed);
    wait_until(|| {
        let output = world.ring(&["destroy", &first]);
        let waits = output.status == 2 && output.stderr.contains("has to wait");
        assert!(waits || output.status == 0, "{}", output.stderr);
        !waits
    });
    assert_eq!(index_keys("destroyed"), [first.as_str()]);
    let said = world.ring(&["destroy", &first]).done().text();
    assert!(said.contains("is destroyed already"), "{said}");
    let gone = world.program.run_with(&open, &sealed);
    gone.failed(2, &format!("the value is sealed under key {first}"));
}

#[test]
fn a_process_that_is_configured_otherwise_than_the_keyring_records_does_not_start() {
    let world = World::hasty(Lies::InAFile);
    world.step(&["--document-format", "2"]);
    world.step(&["--write-version", "3"]);
    world.put_state(NAME);
    let with = |more: &str| {
        let configuration = format!("{STATES}{more}");
        let program = world.program.clone();
        configured(program, &world.server, Lies::InAFile, &configuration)
    };
    let group = "group = \"bots\"\nbind = \"group\"\n";
    let differing = with(group);
    let text = "the keyring records group = none for the records \"wa:*\"";
    differing.run_with(&["put", NAME], b"{}").failed(2, text);
    differing.run(&["rotate"]).failed(2, text);
    differing.run(&["keeper"]).failed(2, text);
    let proxy = differing.run(&["proxy", "--listen", "127.0.0.1:0"]);
    let proxy = proxy.failed(2, text);
    assert!(
        proxy.stderr.contains("waxseal keyring protect"),
        "{}",
        proxy.stderr
    );
    // What only reads is no process that others would have to agree with.
    assert_eq!(differing.run(&["get", NAME]).done().text(), STATE);

    let doctor = differing.run(&["doctor"]).with_status(1).text();
    assert!(
        doctor.contains("the keyring records group = none"),
        "{doctor}"
    );

    let unknown = differing.run(&["keyring", "protect", "--records", "sess:*"]);
    unknown.failed(64, "no [[protect]] has this pattern");
    let unregistered = with(&format!("{group}[[protect]]\nrecords = \"new:*\"\n"));
    let unregistered = unregistered.run(&["keyring", "protect", "--records", "new:*"]);
    unregistered.failed(2, "the keyring does not know of records new:* at ");
    let differing = with(group);
    let said = differing
        .run(&["keyring", "protect", "--records", "wa:*"])
        .done()
        .text();
    assert!(
        said.contains("the keyring records what waxseal.toml says about wa:*"),
        "{said}"
    );
    differing.run(&["rotate"]).done();
    let status = differing.run(&["keyring", "status"]).done().text();
    assert!(
        status.contains("group \"bots\"  bound to the group"),
        "{status}"
    );
    // The former file is the wrong one now.
    let former = with("");
    let text = "the keyring records group = \"bots\" for the records \"wa:*\"";
    former.run_with(&["put", NAME], b"{}").failed(2, text);
    let excepting = with(&format!("{group}except = [\"wa:*:lock\"]\n"));
    let text = "the keyring records except = []";
    excepting.run_with(&["put", NAME], b"{}").failed(2, text);
    // Back to version 2 is not possible while values are bound to a group.
    let bound = with(group);
    let refused = bound.run(&["keyring", "configure", "--write-version", "2"]);
    refused.failed(2, "have a group, a binding to it or sealed names");
}

#[test]
fn settings_of_version_3_and_of_processes_without_a_keyring_are_refused_with_what_to_do() {
    let world = World::with(Lies::InAFile, &format!("{STATES}write_version = 3\n"));
    let output = world
        .ring(&HASTY)
        .failed(64, "write_version of \"wa:*\": the keyring decides");
    assert!(
        output
            .stderr
            .contains("waxseal keyring configure --write-version 3"),
        "{}",
        output.stderr
    );
    let world = World::with(Lies::InAFile, &format!("domain = \"tests\"\n{STATES}"));
    world.ring(&HASTY).failed(
        64,
        "domain is configured, and a keyring: its environment is the domain",
    );
    // Bound to a group while version 2 is written.
    let world = World::with(
        Lies::InAFile,
        &format!("{STATES}group = \"bots\"\nbind = \"group\"\n"),
    );
    world.ring(&HASTY).done();
    let put = world.program.run_with(&["put", NAME], b"{}");
    put.failed(2, "have a group, a binding to it or sealed names: version 2 of the sealed format, which is written,");
}

#[test]
fn a_store_of_version_3_without_a_keyring_is_adopted_only_into_its_domain() {
    let server = RedisServer::start();
    let of_domain = |domain: &str| {
        let text = format!("domain = \"{domain}\"\n{STATES}write_version = 3\n");
        Program::at(&server).file("waxseal.toml", &text)
    };
    of_domain("tests")
        .run_with(&["put", NAME], STATE.as_bytes())
        .done();
    let program = |environment: &str| {
        let text =
            format!("environment = \"{environment}\"\nkeyring = \"file:ring.json\"\n{STATES}");
        let program = Program::at(&server).file("waxseal.toml", &text);
        let state = program.path("state");
        program.env("STATE_DIRECTORY", state.to_str().unwrap())
    };
    let other = program("production");
    let text = "records the domain \"tests\", and this process is configured for the domain \"production\"";
    other.run(&["keyring", "init"]).failed(2, text);
    let same = program("tests");
    let said = same.run(&["keyring", "init"]).done().text();
    assert!(said.contains("adopted"), "{said}");
    assert_eq!(same.run(&["get", NAME]).done().text(), STATE);
}
