//! Servers that refuse writes, and users without all rights.

use waxseal_testing::RedisServer;

use crate::program::Program;
use crate::records::{NAME, STATE, put, server_with_states};

fn with_user(rule: &str) -> (RedisServer, Program) {
    let server = RedisServer::builder().user_acl(rule).start();
    waxseal_testing::load_states(&server, 42, std::time::Duration::from_secs(3600));
    put(&server, NAME, STATE.as_bytes());
    let url = format!("redis://support:s3cret@127.0.0.1:{}", server.port());
    let program = Program::at(&server).env("REDIS_URL", &url);
    (server, program)
}

#[test]
fn a_replica_refuses_a_migration_and_answers_everything_else() {
    let primary = server_with_states(42);
    put(&primary, NAME, STATE.as_bytes());
    let replica = RedisServer::builder().replica_of(&primary).start();
    replica.wait_for_replica_link(&primary);
    let before = replica.snapshot();
    let program = Program::at(&replica);
    for command in [&["migrate"][..], &["rotate"]] {
        let output = program
            .run(command)
            .failed(2, "error: the store accepts no writes (READONLY)");
        assert!(
            output
                .stderr
                .contains("use its primary\nhint: nothing was lost")
        );
    }
    assert_eq!(replica.snapshot(), before);
    program.run(&["migrate", "--dry-run"]).done();
    Program::at(&primary).run(&["migrate"]).done();
    replica.wait_for_replica_link(&primary);
    program.run(&["audit", "--require-clean"]).done();
    assert_eq!(program.run(&["get", NAME]).done().text(), STATE);
}

#[test]
fn a_user_who_may_only_read_audits_and_gets_and_migrates_nothing() {
    let (server, program) = with_user("user support on >s3cret ~* +@read +@connection");
    let before = server.snapshot();
    let text = program.run(&["audit"]).done().text();
    assert!(text.contains("0 sealed, 43 plain"), "{text}");
    assert_eq!(program.run(&["get", NAME]).done().text(), STATE);
    let found = program.run(&["inspect", NAME]).done().text();
    assert!(found.contains("format   plain"), "{found}");
    for command in [&["migrate"][..], &["rotate"]] {
        let output = program
            .run(command)
            .failed(2, "error: the store refuses access (NOPERM)");
        let stderr = &output.stderr;
        assert!(
            stderr.contains("hint: give the user of the URL this right: ACL SETUSER USER +")
                && stderr.contains("; docs/operate/operations.md lists all that it needs"),
            "{stderr}"
        );
        assert!(!output.stderr.contains("s3cret"));
    }
    assert_eq!(server.snapshot(), before);
}

#[test]
fn a_user_without_rights_and_a_wrong_password_are_reported() {
    let (server, program) = with_user("user support on >s3cret");
    let before = server.snapshot();
    for command in [&["migrate"][..], &["audit"], &["get", NAME]] {
        program
            .run(command)
            .failed(2, "error: the store refuses access (NOPERM)");
    }
    let url = format!("redis://support:wr0ng@127.0.0.1:{}", server.port());
    let program = program.env("REDIS_URL", &url);
    let output = program
        .run(&["migrate"])
        .failed(2, "(WRONGPASS): user or password is wrong");
    assert!(!output.stderr.contains("wr0ng"));
    assert_eq!(server.snapshot(), before);
}

#[test]
fn a_server_that_wants_a_password_is_reported_and_served_with_it() {
    let server = RedisServer::builder().password("s3cret").start();
    waxseal_testing::load_states(&server, 42, std::time::Duration::from_secs(3600));
    let program = Program::at(&server);
    program
        .run(&["migrate"])
        .failed(2, "(NOAUTH): it requires a password");
    let url = format!("redis://:s3cret@127.0.0.1:{}", server.port());
    let output = program.env("REDIS_URL", &url).run(&["migrate"]).done();
    assert!(
        output
            .text()
            .contains("{ migrated: 42, failed: 0, total: 42 }")
    );
}

#[test]
fn servers_are_reached_by_tls_and_by_a_unix_socket() {
    let server = RedisServer::builder().tls().unix_socket().start();
    waxseal_testing::load_states(&server, 42, std::time::Duration::from_secs(3600));
    let tls = format!("{}?ca={}", server.tls_url(), server.ca_path().display());
    let unix = format!("unix:{}", server.unix_path().display());
    let program = Program::at(&server).env("REDIS_URL", &tls);
    program.run(&["migrate"]).done();
    let text = program
        .env("REDIS_URL", &unix)
        .run(&["audit", "--require-clean"])
        .done()
        .text();
    assert!(text.contains("42 sealed, 0 plain"), "{text}");
}

#[test]
fn no_log_level_shows_a_key_a_value_or_a_name() {
    let server = server_with_states(42);
    put(&server, NAME, STATE.as_bytes());
    put(&server, "wa:5215587654321", "Aa".repeat(32).as_bytes());
    server.cli(&["SADD", "wa:5215512341234", "a"]);
    let program = Program::at(&server);
    let sealed = ["--format", "sealed"];
    for (command, status) in [
        (&["migrate"][..], 1),
        (&[&["migrate"], &sealed[..]].concat(), 1),
        (&["audit", "--deep"], 1),
        (&["get", NAME], 0),
        (&["get", "wa:5215587654321"], 2),
        (&["get", "wa:5215512341234"], 2),
        (&["put", "wa:5215512341234"], 2),
        (&["put", "wa:5215512341234", "--replace"], 0),
        (&["inspect", "wa:5215587654321"], 1),
        (&["rotate"], 1),
        (&["decrypt", "--yes"], 1),
    ] {
        for format in ["text", "json"] {
            let log = ["--log", "trace", "--log-format", format];
            let output = program.run_with(&[command, &log].concat(), STATE.as_bytes());
            // Secrets are searched for in every run.
            assert_eq!(output.status, status, "{command:?}: {}", output.stderr);
        }
    }
}
