//! A wrong key must never empty or damage a database: every command refuses, and not one byte
//! changes.

use waxseal_core::Format;
use waxseal_testing::node::{self, ClassicSeal};
use waxseal_testing::{RedisServer, state_json, state_name};

use crate::program::{KEY, OTHER_KEY, Program};
use crate::proxy::Proxy;
use crate::records::{NAME, STATE, get, key_bytes, key_id, put, sealed, server_with_states};

const REFUSED: &str = "error: the key does not match this store: it is sealed under ";

/// Every command that opens or seals in a store, each with its stdin.
const COMMANDS: [(&[&str], &str); 9] = [
    (&["migrate"], ""),
    (&["migrate", "--format", "sealed"], ""),
    (&["migrate", "--dry-run"], ""),
    (&["rotate"], ""),
    (&["decrypt", "--yes"], ""),
    (&["audit"], ""),
    (&["audit", "--deep", "--json"], ""),
    (&["get", NAME], ""),
    (&["put", NAME], "{}"),
];

#[track_caller]
fn assert_refused_by_all(server: &RedisServer) {
    let before = server.snapshot();
    let program = Program::at(server).keys(OTHER_KEY, "");
    for (command, input) in COMMANDS {
        let output = program.run_with(command, input.as_bytes());
        let remedy = format!(
            "; configured is key {}\nhint: nothing was changed",
            key_id(OTHER_KEY)
        );
        assert!(
            output.status == 2
                && output.stderr.contains(REFUSED)
                && output.stderr.contains(&remedy),
            "{command:?}: {output:?}"
        );
        assert_eq!(server.snapshot(), before, "{command:?}");
    }
}

#[test]
fn is_refused_by_every_command_if_there_is_a_canary() {
    for format in ["classic", "sealed"] {
        let server = server_with_states(100);
        put(&server, NAME, STATE.as_bytes());
        Program::at(&server)
            .run(&["migrate", "--format", format])
            .done();
        assert_refused_by_all(&server);
    }
}

#[test]
fn is_refused_even_if_only_the_canary_is_sealed() {
    let server = RedisServer::start();
    Program::at(&server).run(&["migrate"]).done();
    put(&server, NAME, STATE.as_bytes());
    assert_refused_by_all(&server);
}

#[test]
fn is_refused_by_every_command_if_node_sealed_without_a_canary() {
    let key = key_bytes(KEY);
    let values: Vec<_> = (0..42).map(state_json).collect();
    let seal = |value| ClassicSeal {
        key: &key,
        iv: None,
        value,
    };
    let requests: Vec<_> = values.iter().map(|value| seal(value.as_bytes())).collect();
    let server = RedisServer::start();
    for (i, stored) in (0..).zip(node::classic_seal(&requests)) {
        put(&server, &state_name(i), stored.as_bytes());
    }
    let own = node::classic_seal(&[seal(STATE.as_bytes())]);
    put(&server, NAME, own[0].as_bytes());
    assert_refused_by_all(&server);
}

#[test]
fn is_refused_if_sealed_values_without_a_canary_are_among_many_other_records() {
    let server = RedisServer::start();
    let mut client = server.client();
    for i in 0..5_000 {
        client.cmd(&["SET", &format!("bull:{i}"), "1"]);
    }
    for i in 0..3 {
        let name = state_name(i);
        put(
            &server,
            &name,
            &sealed(KEY, Format::Sealed, &name, state_json(i).as_bytes()),
        );
    }
    assert_refused_by_all(&server);
}

#[test]
fn is_refused_by_doctor_and_shown_by_inspect() {
    let server = server_with_states(3);
    put(&server, NAME, STATE.as_bytes());
    Program::at(&server)
        .run(&["migrate", "--format", "sealed"])
        .done();
    let before = server.snapshot();
    let program = Program::at(&server).keys(OTHER_KEY, "");
    let text = program.run(&["doctor"]).with_status(1).text();
    assert!(
        text.contains("problem  canary         the key does not match this store"),
        "{text}"
    );
    let text = program.run(&["inspect", NAME]).with_status(1).text();
    assert!(
        text.contains("(unknown)") && text.contains("not in the keyring"),
        "{text}"
    );
    assert_eq!(server.snapshot(), before);
}

#[test]
fn no_key_at_all_is_refused_with_a_hint() {
    let server = server_with_states(3);
    put(&server, NAME, STATE.as_bytes());
    Program::at(&server).run(&["migrate"]).done();
    let before = server.snapshot();
    let program = Program::at(&server).without("REDIS_ENCRYPTION_KEY");
    for (command, input) in COMMANDS {
        let output = program.run_with(command, input.as_bytes());
        assert_eq!(output.status, 64, "{command:?}: {}", output.stderr);
        let text = format!(
            "error: no encryption key is configured\nhint: set REDIS_ENCRYPTION_KEY; this store is \
             sealed already, under key {}: find that key",
            key_id(KEY)
        );
        assert!(
            output.stderr.contains(&text) && !output.stderr.contains("key generate"),
            "{command:?}: {}",
            output.stderr
        );
        assert_eq!(server.snapshot(), before, "{command:?}");
    }
}

#[test]
fn with_a_key_of_the_wrong_length_the_hint_names_the_key_of_the_store() {
    let server = server_with_states(3);
    put(&server, NAME, STATE.as_bytes());
    let short = Program::at(&server).keys(&KEY[1..], "");
    let text = short.run(&["migrate"]).with_status(64).stderr;
    assert!(
        text.contains("characters: waxseal key generate creates them"),
        "{text}"
    );
    Program::at(&server).run(&["migrate"]).done();
    let proxy = ["proxy", "--protect", "wa:*", "--listen", "127.0.0.1:0"];
    let commands = COMMANDS.iter().map(|(command, _)| *command);
    for command in commands.chain([
        &proxy[..],
        &["seal"],
        &["open"],
        &["doctor"],
        &["inspect", NAME],
    ]) {
        let output = short.run_with(command, b"");
        let text = output.stderr.clone() + &String::from_utf8_lossy(&output.stdout);
        let found = format!(
            "this store is sealed already, under key {}: find that key",
            key_id(KEY)
        );
        assert!(
            text.contains("Invalid encryption key length (got 63 characters, a key has 64)")
                && text.contains(&found)
                && !text.contains("key generate"),
            "{command:?}: {text}"
        );
    }
    let none = Program::at(&server).without("REDIS_ENCRYPTION_KEY");
    let text = none.run(&["doctor"]).with_status(1).text();
    assert!(
        text.contains("this store is sealed already") && !text.contains("key generate"),
        "{text}"
    );
    let text = none
        .env("ENABLE_REDIS_ENCRYPTION", "on")
        .run(&proxy)
        .with_status(64)
        .stderr;
    assert!(
        text.contains("this store is sealed already") && !text.contains("key generate"),
        "{text}"
    );
}

#[test]
fn where_the_store_cannot_be_asked_both_remedies_are_reported() {
    let program = Program::new().env("REDIS_URL", "redis://127.0.0.1:1");
    let text = program.run(&["migrate"]).with_status(64).stderr;
    assert!(
        text.contains("find the key that sealed it") && text.contains("waxseal key generate"),
        "{text}"
    );
    let file = Program::with_file().without("REDIS_ENCRYPTION_KEY");
    let text = file.run(&["migrate"]).with_status(64).stderr;
    assert!(
        text.ends_with("waxseal key generate creates a key\n"),
        "{text}"
    );
    assert!(!file.path("states.waxseal").exists());
}

#[test]
fn after_a_flush_the_right_key_starts_anyway_and_seals_the_canary_again() {
    let server = server_with_states(5);
    put(&server, NAME, STATE.as_bytes());
    let (right, wrong) = (
        Program::at(&server),
        Program::at(&server).keys(OTHER_KEY, ""),
    );
    let sealed_format = ["migrate", "--format", "sealed"];
    right.run(&sealed_format).done();
    // The first to start on the empty store seals a canary.
    server.cli(&["FLUSHDB"]);
    wrong.run(&["migrate"]).done();
    for i in 0..5 {
        let name = state_name(i);
        let stored = sealed(KEY, Format::Sealed, &name, state_json(i).as_bytes());
        put(&server, &name, &stored);
    }
    put(
        &server,
        NAME,
        &sealed(KEY, Format::Sealed, NAME, STATE.as_bytes()),
    );
    let canary = || get(&server, "waxseal:canary").unwrap();
    let foreign = canary();
    let text = right.run(&["doctor"]).with_status(1).text();
    assert!(
        text.contains(&format!(
            "canary         is sealed under key {}",
            key_id(OTHER_KEY)
        )),
        "{text}"
    );
    let output = right.run(&["get", NAME]).done();
    assert!(
        output
            .stderr
            .contains("warning: the canary of this store is sealed under key")
    );
    assert_eq!((output.text().as_str(), canary()), (STATE, foreign.clone()));
    let output = right.run(&sealed_format).done();
    assert!(
        output.stderr.contains("it was sealed again, under key"),
        "{}",
        output.stderr
    );
    assert_ne!(canary(), foreign);
    assert_refused_by_all(&server);
    // A canary that was evicted is sealed again as well.
    server.cli(&["DEL", "waxseal:canary"]);
    assert_refused_by_all(&server);
    right.run(&sealed_format).done();
    assert!(get(&server, "waxseal:canary").is_some());
}

#[test]
fn envelopes_of_unknown_keys_among_those_that_open_are_findings_of_doctor() {
    let server = server_with_states(5);
    put(&server, NAME, STATE.as_bytes());
    let program = Program::at(&server);
    program.run(&["migrate", "--format", "sealed"]).done();
    put(
        &server,
        "wa:planted",
        &sealed(OTHER_KEY, Format::Sealed, "wa:planted", b"{}"),
    );
    for canary in [true, false] {
        if !canary {
            server.cli(&["DEL", "waxseal:canary"]);
        }
        assert_eq!(program.run(&["get", NAME]).done().text(), STATE);
        let text = program.run(&["doctor"]).with_status(1).text();
        let found = format!(
            "1 are under keys that are not configured ({})",
            key_id(OTHER_KEY)
        );
        assert!(
            text.contains("problem  foreign keys") && text.contains(&found),
            "{text}"
        );
    }
}

#[test]
fn a_flush_through_a_proxy_shuts_out_the_other_key_and_not_the_right_one() {
    let server = RedisServer::start();
    let (right, wrong) = (
        Program::at(&server),
        Program::at(&server).keys(OTHER_KEY, ""),
    );
    for format in ["classic", "sealed"] {
        let flags = ["--protect", "wa:*", "--format", format];
        let proxy = Proxy::start_as(&right, &server, &flags);
        let mut client = proxy.client();
        client.cmd(&["FLUSHDB"]);
        // A proxy with another key starts on the empty store, and does not once there are values.
        Proxy::start_as(&wrong, &server, &flags).stop();
        client.cmd(&["SET", NAME, STATE]);
        client.cmd(&["SET", "wa:2", STATE]);
        drop(client);
        proxy.stop();
        let proxy = Proxy::start_as(&right, &server, &flags);
        assert!(
            proxy.said().contains("it was sealed again, under key"),
            "{}",
            proxy.said()
        );
        let value = proxy.client().cmd(&["GET", NAME]).bytes();
        assert_eq!(value.as_deref(), Some(STATE.as_bytes()));
        proxy.stop();
        for canary in [true, false] {
            if !canary {
                server.cli(&["DEL", "waxseal:canary"]);
            }
            let command = [&["proxy", "--listen", "127.0.0.1:0"][..], &flags].concat();
            wrong.run(&command).failed(2, REFUSED);
        }
    }
}

#[test]
fn a_pattern_that_is_typed_does_not_hide_the_other_records_from_the_guard() {
    let (right, wrong) = (["put", "--protect", "x:*", "x:1"], OTHER_KEY);
    for configured in [false, true] {
        let server = RedisServer::start();
        let name = if configured { "sess:1" } else { NAME };
        let program = || {
            let program = Program::at(&server);
            if configured {
                let text = "[[protect]]\nrecords = \"sess:*\"\n";
                std::fs::write(program.path("waxseal.toml"), text).unwrap();
            }
            program
        };
        put(&server, name, &sealed(KEY, Format::Sealed, name, b"{}"));
        let before = server.snapshot();
        let output = program().keys(wrong, "").run_with(&right, b"{}");
        output.failed(2, REFUSED);
        assert_eq!(server.snapshot(), before);
        let foreign = sealed(
            OTHER_KEY,
            Format::Sealed,
            "waxseal:canary",
            b"waxseal canary v1",
        );
        put(&server, "waxseal:canary", &foreign);
        program().run_with(&right, b"{}").done();
        assert!(get(&server, "x:1").is_some());
    }
}

#[test]
fn a_user_with_rights_to_the_records_of_a_flag_is_not_stopped_by_the_others() {
    let server = RedisServer::builder()
        .user_acl("user sessions on >s3cret ~x:* ~waxseal:* +@all")
        .start();
    put(&server, NAME, STATE.as_bytes());
    let url = format!("redis://sessions:s3cret@127.0.0.1:{}", server.port());
    let program = Program::at(&server).env("REDIS_URL", &url);
    let put = ["put", "--protect", "x:*", "x:1"];
    program.run_with(&put, b"{}").done();
}

#[test]
fn doctor_warns_of_sealed_values_without_a_canary() {
    let server = server_with_states(3);
    let program = Program::at(&server);
    program.run(&["migrate"]).done();
    server.cli(&["DEL", "waxseal:canary"]);
    let text = program.run(&["doctor"]).text();
    assert!(
        text.contains("warning  canary         missing, though "),
        "{text}"
    );
}

#[test]
fn without_a_key_few_classic_values_among_plain_ones_give_no_hint_to_create_one() {
    let server = server_with_states(10);
    put(
        &server,
        NAME,
        &sealed(KEY, Format::Classic, NAME, STATE.as_bytes()),
    );
    let program = Program::at(&server).without("REDIS_ENCRYPTION_KEY");
    let output = program.run(&["migrate"]);
    assert!(
        output.stderr.contains("this store is sealed already")
            && !output.stderr.contains("key generate"),
        "{}",
        output.stderr
    );
}

#[test]
fn a_name_without_its_prefix_does_not_make_a_store() {
    let program = Program::with_file();
    let output = program.run(&["get", "5215512345678"]);
    assert_eq!(output.status, 64, "{}", output.stderr);
    assert!(!program.path("states.waxseal").exists());
}
