//! Patterns that reach no record: nothing that matches is not the same as nothing that is plain.

use serde_json::Value;
use waxseal_testing::RedisServer;

use crate::program::Program;
use crate::records::{NAME, STATE, put, server_with_states};

/// A server with states in databases 3 and 8, and other records in database 0.
fn server_with_states_elsewhere() -> RedisServer {
    let server = RedisServer::start();
    for (database, name) in [("3", NAME), ("8", NAME), ("5", "counter")] {
        let mut client = server.client();
        assert_eq!(client.cmd(&["SELECT", database]).to_text(), "OK");
        assert_eq!(client.cmd(&["SET", name, STATE]).to_text(), "OK");
    }
    for record in ["lock:1", "lock:2", "hits"] {
        server.cli(&["SET", record, "1"]);
    }
    server
}

#[track_caller]
fn doctor(program: &Program, status: i32, check: &str) -> (String, String) {
    let report = program
        .run(&["doctor", "--json"])
        .with_status(status)
        .json();
    let findings = report.as_array().unwrap();
    let of_check: Vec<&Value> = findings.iter().filter(|it| it["check"] == check).collect();
    let grade = |it: &&Value| it["grade"].as_str().unwrap().to_owned();
    let grade = of_check.first().map(grade).unwrap_or_default();
    let said = of_check
        .iter()
        .map(|it| format!("{} {}\n", it["found"], it["advice"]));
    (grade, said.collect())
}

#[test]
fn an_audit_that_counts_nothing_while_records_are_there_is_not_clean() {
    let server = server_with_states_elsewhere();
    let program = Program::at(&server);
    let told = "no record matches wa:* though this database holds 3 records; databases 3 and 8 hold matches";
    let output = program.run(&["audit", "--require-clean"]).with_status(1);
    for text in [
        told,
        "waxseal: error: no record matches",
        "the database at the end of the store's URL",
    ] {
        assert!(output.stderr.contains(text), "{}", output.stderr);
    }
    let report = program
        .run(&["audit", "--require-clean", "--json"])
        .with_status(1)
        .json();
    assert_eq!(report["clean"], false);
    let unmatched = &report["unmatched"][0];
    assert_eq!(unmatched["records"], "wa:*");
    assert_eq!(unmatched["in_database"], 3);
    assert_eq!(unmatched["other_databases"], serde_json::json!([3, 8]));
    assert_eq!(unmatched["looked_everywhere"], true);
    // An audit without --require-clean only says so.
    let output = program.run(&["audit"]).done();
    assert!(output.stderr.contains(told), "{}", output.stderr);
    let right = program.env("REDIS_URL", &format!("{}3", server.url()));
    right.run(&["migrate"]).done();
    let output = right.run(&["audit", "--require-clean"]).done();
    assert!(!output.stderr.contains("warning"), "{}", output.stderr);
}

#[test]
fn an_empty_database_is_distinguished_from_one_where_nothing_matches() {
    let server = RedisServer::start();
    let program = Program::at(&server);
    let output = program.run(&["audit", "--require-clean"]).done();
    let told = "no record matches wa:*: this database holds no records of applications";
    assert!(output.stderr.contains(told), "{}", output.stderr);
    // Waxseal's own records are none of an application.
    program.run(&["migrate"]).done();
    program.run(&["audit", "--require-clean"]).done();
    server.cli(&["SET", "hits", "1"]);
    let told = "no record matches wa:* though this database holds 1 record";
    program.run(&["audit", "--require-clean"]).failed(1, told);
    // One of several patterns that matches something is counted; the other is reported.
    put(&server, NAME, STATE.as_bytes());
    program.run(&["migrate"]).done();
    let both = ["--protect", "wa:*", "--protect", "sess:*"];
    let output = program
        .run(&[&["audit", "--require-clean"], &both[..]].concat())
        .done();
    let told = "no record matches sess:* though this database holds 2 records";
    assert!(output.stderr.contains(told), "{}", output.stderr);
}

#[test]
fn sweeps_say_that_nothing_matches_and_what_looks_like_it() {
    let server = RedisServer::start();
    server.cli(&["SET", "WA:5215512345678", STATE]);
    let program = Program::at(&server);
    for command in [
        &["migrate"][..],
        &["migrate", "--dry-run"],
        &["rotate"],
        &["decrypt", "--yes"],
    ] {
        let output = program.run(command).done();
        let told = "no record matches wa:* though this database holds 1 record; 1 name begins with \"WA:\"";
        assert!(
            output.stderr.contains(told),
            "{command:?}: {}",
            output.stderr
        );
        let json = program.run(&[command, &["--json"]].concat()).done().json();
        assert_eq!(json["unmatched"][0]["in_database"], 1, "{command:?}");
    }
    let server = server_with_states(3);
    let output = Program::at(&server).run(&["migrate"]).done();
    assert!(!output.stderr.contains("no record"), "{}", output.stderr);
}

#[test]
fn a_user_who_may_not_look_elsewhere_is_told_what_is_not_known() {
    let server = server_with_states_elsewhere();
    for (rights, told) in [
        ("+info", "whether other databases hold matches is not known"),
        ("-info", "whether other databases hold matches is not known"),
    ] {
        let rules =
            format!("~wa:* ~waxseal:* -@all +ping +dbsize +scan +get +mget +type +exists {rights}");
        let mut command = vec!["ACL", "SETUSER", "few", "reset", "on", ">s3cret"];
        command.extend(rules.split_whitespace());
        assert_eq!(server.cli(&command), "OK");
        let url = format!("redis://few:s3cret@127.0.0.1:{}", server.port());
        let program = Program::at(&server).env("REDIS_URL", &url);
        let output = program.run(&["audit", "--require-clean"]).with_status(1);
        let told = format!("though this database holds 3 records; {told}");
        assert!(output.stderr.contains(&told), "{rights}: {}", output.stderr);
    }
    // A server with a single database has nothing elsewhere.
    let server = RedisServer::builder().arg("--databases", "1").start();
    server.cli(&["SET", "hits", "1"]);
    let output = Program::at(&server)
        .run(&["audit", "--require-clean"])
        .with_status(1);
    assert!(
        !output.stderr.contains("other databases"),
        "{}",
        output.stderr
    );
    // So has a file.
    let program = Program::with_file();
    program
        .run_with(&["put", "hits:1", "--protect", "hits:*"], b"1")
        .done();
    let output = program.run(&["audit", "--require-clean"]).with_status(1);
    let told = "no record matches wa:* though this database holds 1 record\n";
    assert!(output.stderr.contains(told), "{}", output.stderr);
}

#[test]
fn doctor_says_that_the_records_are_elsewhere() {
    let server = server_with_states_elsewhere();
    let program = Program::at(&server);
    let (grade, said) = doctor(&program, 1, "records");
    assert_eq!(grade, "problem");
    assert!(said.contains("databases 3 and 8 hold matches"), "{said}");
    let of_database = |number: &str| {
        let url = format!("{}{number}", server.url());
        program.clone().env("REDIS_URL", &url)
    };
    let (grade, said) = doctor(&of_database("3"), 0, "databases");
    assert!(
        grade == "ok" && said.contains("in other databases of this server: 8"),
        "{grade} {said}"
    );
    // Nothing matches anywhere, and other records are there.
    let other = RedisServer::start();
    other.cli(&["SET", "hits", "1"]);
    let (grade, said) = doctor(&Program::at(&other), 0, "records");
    assert!(
        grade == "warning" && said.contains("holds 1 record"),
        "{grade} {said}"
    );
    let (grade, said) = doctor(&Program::at(&RedisServer::start()), 0, "records");
    assert!(
        grade == "ok" && said.contains("no records of applications"),
        "{grade} {said}"
    );
}

#[test]
fn doctor_finds_a_few_records_among_many_others_and_looks_into_hashes_and_lists() {
    let server = RedisServer::start();
    let fill = "for i = 1, 20000 do redis.call('SET', 'other:' .. i, '1') end return 'OK'";
    server.cli(&["EVAL", fill, "0"]);
    server.cli(&["HSET", "wa:hash", "a", "{}"]);
    server.cli(&["RPUSH", "wa:list", "[]", "[]"]);
    let (grade, said) = doctor(&Program::at(&server), 0, "records");
    assert!(
        grade == "warning" && said.contains("0 sealed, 3 plain"),
        "{grade} {said}"
    );
    Program::at(&server).run(&["migrate"]).done();
    let (grade, said) = doctor(&Program::at(&server), 0, "records");
    assert!(
        grade == "ok" && said.contains("3 sealed, 0 plain"),
        "{grade} {said}"
    );
}

#[test]
fn a_deep_audit_with_values_that_do_not_open_fails() {
    let server = server_with_states(3);
    let program = Program::at(&server);
    program.run(&["migrate", "--format", "sealed"]).done();
    program.run(&["audit", "--deep"]).done();
    let name = waxseal_testing::state_name(1);
    server.cli(&["SETRANGE", &name, "50", "!!"]);
    let output = program.run(&["audit", "--deep"]).with_status(1);
    assert!(
        output.stderr.contains("error: 1 value does not open"),
        "{}",
        output.stderr
    );
    // Headers alone do not show it.
    program.run(&["audit"]).done();
}

#[test]
fn values_in_quarantine_are_reported_by_doctor() {
    let server = server_with_states(1);
    let name = "waxseal:quarantine:{wa:1}:19a91e2b6c07f1e2d3c";
    server.cli(&["SET", name, "x"]);
    let (grade, said) = doctor(&Program::at(&server), 0, "quarantine");
    assert!(
        grade == "warning" && said.contains("1 value is in quarantine"),
        "{grade} {said}"
    );
}

#[test]
fn doctor_and_audit_recommend_the_sealed_format_where_the_classic_one_is_written() {
    let server = server_with_states(3);
    let program = Program::at(&server);
    let (grade, said) = doctor(&program, 0, "format");
    assert_eq!(grade, "warning");
    for text in [
        "the format of the Node.js guide",
        "format = \\\"sealed\\\"",
        "From classic to sealed",
    ] {
        assert!(said.contains(text), "{said}");
    }
    program.run(&["migrate"]).done();
    let output = program.run(&["audit"]).done();
    let told = "hint: 3 values are in the classic format";
    assert!(output.stderr.contains(told), "{}", output.stderr);
    // Following the advice silences it, and what was classic still opens before and after.
    let program = program.file(
        "waxseal.toml",
        "[[protect]]\nrecords = \"wa:*\"\nformat = \"sealed\"\n",
    );
    let name = waxseal_testing::state_name(1);
    let state = waxseal_testing::state_json(1);
    assert_eq!(program.run(&["get", &name]).done().text(), state);
    program.run(&["migrate"]).done();
    assert_eq!(program.run(&["get", &name]).done().text(), state);
    let (grade, said) = doctor(&program, 0, "format");
    assert!(
        grade == "ok" && said.contains("bound to its record"),
        "{said}"
    );
    let output = program.run(&["audit", "--deep", "--require-clean"]).done();
    assert!(!output.stderr.contains("classic"), "{}", output.stderr);
}
