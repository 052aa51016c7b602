//! A wrong key must never empty or spoil a database: every command refuses, and not one byte
//! changes.

use waxseal_core::Format;
use waxseal_testing::node::{self, ClassicSeal};
use waxseal_testing::{RedisServer, state_json, state_name};

use crate::program::{KEY, OTHER_KEY, Program};
use crate::records::{NAME, STATE, key_bytes, put, sealed, server_with_states};

const REFUSED: &str = "error: the key does not match this store\nhint: nothing was changed";

/// Every command that opens or seals in a store, each with what it reads from stdin.
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
        assert!(
            output.status == 2 && output.stderr.contains(REFUSED),
            "{command:?}: {output:?}"
        );
        assert_eq!(server.snapshot(), before, "{command:?}");
    }
}

#[test]
fn is_refused_by_every_command_where_there_is_a_canary() {
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
fn is_refused_even_where_nothing_but_the_canary_is_sealed() {
    let server = RedisServer::start();
    Program::at(&server).run(&["migrate"]).done();
    put(&server, NAME, STATE.as_bytes());
    assert_refused_by_all(&server);
}

#[test]
fn is_refused_by_every_command_where_node_sealed_without_a_canary() {
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
fn is_refused_where_sealed_values_without_a_canary_stand_among_many_other_records() {
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
fn is_refused_by_doctor_and_told_by_inspect() {
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
        let text = "error: no encryption key is configured\n\
                    hint: set REDIS_ENCRYPTION_KEY; waxseal key generate makes a key\n";
        assert!(
            output.stderr.ends_with(text),
            "{command:?}: {}",
            output.stderr
        );
        assert_eq!(server.snapshot(), before, "{command:?}");
    }
}
