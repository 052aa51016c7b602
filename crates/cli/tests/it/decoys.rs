//! Decoys: planting and listing them, and the report of every read of one: through the
//! proxy, whatever the command, and by `waxseal get`. Sweeps raise no alarm.

use std::fs;

use serde_json::Value;
use waxseal_core::Format;
use waxseal_testing::RedisServer;

use crate::metrics::metrics;
use crate::program::{KEY, Program};
use crate::proxy::{PROTECTED_MARKER, Proxy};
use crate::records::{get, opened, put, sealed};

const FIRST: &str = "wa:4915550001234";
const SECOND: &str = "wa:4915550005678";
const CONFIG: &str = "decoys = [\"wa:4915550001234\", \"wa:4915550005678\"]\n\
                      [[protect]]\nrecords = \"wa:*\"\nformat = \"sealed\"\nplain_values = \"json\"\n";
const ALARM: &str = "a decoy was opened";

fn program(redis: &RedisServer) -> Program {
    Program::at(redis).file("waxseal.toml", CONFIG)
}

/// The number of alarms in a log; checks that each has only a masked name.
#[track_caller]
fn alarms(log: &str) -> usize {
    assert!(!log.contains("491555"), "a name shows: {log}");
    let lines = log.lines().filter(|line| line.contains(ALARM));
    let lines: Vec<_> = lines.collect();
    for line in &lines {
        assert!(line.contains("ERROR") && line.contains("wa:#"), "{line}");
        assert!(line.contains("command="), "{line}");
    }
    lines.len()
}

fn forms(program: &Program) -> Vec<String> {
    let rows = program.run(&["decoy", "list", "--json"]).done().json();
    let rows = rows.as_array().unwrap().iter();
    rows.map(|row| row["form"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn planting_writes_absent_decoys_sealed_and_keeps_existing_records() {
    let redis = RedisServer::start();
    let program = program(&redis);
    put(&redis, SECOND, b"{\"mine\":1}");
    assert_eq!(forms(&program), ["absent", "plain"]);
    let report = program.run(&["decoy", "plant", "--json"]).done().json();
    assert_eq!(
        (&report["planted"], &report["there"]),
        (&1.into(), &1.into())
    );
    assert_eq!(report["decoys"][0]["planted"], true);
    assert_eq!(get(&redis, SECOND).unwrap(), b"{\"mine\":1}");
    let stored = get(&redis, FIRST).unwrap();
    let (format, value) = opened(KEY, FIRST, &stored).unwrap();
    assert_eq!(format, Format::Sealed);
    let value: Value = serde_json::from_slice(&value).unwrap();
    assert!(value["status"].is_string() && value["data"].is_object());
    assert_eq!(redis.client().cmd(&["TTL", FIRST]).int(), -1);
    assert_eq!(forms(&program), ["sealed", "plain"]);
    // Again: nothing is overwritten.
    let again = program.run(&["decoy", "plant"]).done();
    assert!(again.text().contains("0 planted, 2 there before"));
    assert_eq!(get(&redis, FIRST).unwrap(), stored);
    redis.client().cmd(&["DEL", FIRST, SECOND]);
    let program = program.file("state.json", "{\"of\":\"ours\"}");
    let flags = ["decoy", "plant", "--value", "state.json", "--ttl", "500"];
    let said = program.run(&flags).done().text();
    assert!(said.contains("planted  wa:#"), "{said}");
    for name in [FIRST, SECOND] {
        let stored = get(&redis, name).unwrap();
        assert_eq!(opened(KEY, name, &stored).unwrap().1, b"{\"of\":\"ours\"}");
        let ttl = redis.client().cmd(&["TTL", name]).int();
        assert!((1..=500).contains(&ttl), "{ttl}");
    }
    let listed = program.run(&["decoy", "list"]).done();
    assert_eq!(listed.text().matches("sealed   wa:#").count(), 2);
    assert_eq!(alarms(&listed.stderr), 0);
}

#[test]
fn a_client_that_opens_a_decoy_is_reported_whatever_the_command() {
    let redis = RedisServer::start();
    let program = program(&redis);
    program.run(&["decoy", "plant"]).done();
    let proxy = Proxy::start_as(&program, &redis, &["--workers", "1"]);
    let mut client = proxy.client();
    let value = format!("{{\"v\":\"{PROTECTED_MARKER}\"}}");
    client.cmd(&["SET", "wa:real", &value]);
    let opened = |by: &str| {
        let counted = metrics(proxy.admin_port());
        counted.sum("waxseal_decoys_opened_total", &[("by", by)])
    };
    // Commands that open nothing, or nothing of a decoy.
    for words in [
        &["GET", "wa:real"][..],
        &["MGET", "wa:real", "wa:none"],
        &["EXISTS", FIRST],
        &["TTL", SECOND],
        &["SCAN", "0"],
    ] {
        assert!(client.cmd(words).error().is_none(), "{words:?}");
    }
    assert_eq!((opened("proxy"), alarms(&proxy.said())), (0.0, 0));
    for (so_far, words) in (1..).zip([
        &["GET", FIRST][..],
        &["MGET", "wa:real", SECOND],
        &["STRLEN", FIRST],
        &["GETRANGE", FIRST, "0", "3"],
        &["GETEX", FIRST],
    ]) {
        assert!(client.cmd(words).error().is_none(), "{words:?}");
        assert_eq!(opened("proxy"), f64::from(so_far), "{words:?}");
        let said = proxy.said();
        assert_eq!(alarms(&said), so_far as usize, "{said}");
        let command = words[0].to_ascii_lowercase();
        assert!(
            said.contains(&format!("\"{command}\"")),
            "{command}: {said}"
        );
    }
    // Fields and elements count separately; a transaction reports its commands.
    client.cmd(&["DEL", FIRST, SECOND]);
    client.cmd(&["HSET", FIRST, "a", &value, "b", &value]);
    client.cmd(&["RPUSH", SECOND, &value, &value, &value]);
    client.cmd(&["MULTI"]);
    client.cmd(&["HGETALL", FIRST]);
    client.cmd(&["LRANGE", SECOND, "0", "-1"]);
    assert_eq!(client.cmd(&["EXEC"]).array().len(), 2);
    assert_eq!(opened("proxy"), 10.0);
    let said = proxy.said();
    assert_eq!(alarms(&said), 7);
    let mut told = said.lines().filter(|line| line.contains(ALARM));
    assert!(
        told.all(|line| line.contains(" client=\"127.0.0.1:")),
        "{said}"
    );
    assert!(
        said.contains("\"hgetall\"") && said.contains("\"lrange\""),
        "{said}"
    );
    proxy.stop();
}

#[test]
fn a_bulk_read_is_counted_whole_and_fills_no_log() {
    let redis = RedisServer::start();
    let names: Vec<_> = (0..30).map(|n| format!("\"wa:49155500{n:05}\"")).collect();
    let config = format!(
        "decoys = [{}]\n[[protect]]\nrecords = \"wa:*\"\n",
        names.join(", ")
    );
    let program = Program::at(&redis).file("waxseal.toml", &config);
    program.run(&["decoy", "plant"]).done();
    let proxy = Proxy::start_as(&program, &redis, &[]);
    let mut request = vec!["MGET".to_owned()];
    request.extend(names.iter().map(|name| name.replace('"', "")));
    assert_eq!(proxy.client().cmd(&request).array().len(), 30);
    let counted = metrics(proxy.admin_port());
    assert_eq!(counted.sum("waxseal_decoys_opened_total", &[]), 30.0);
    assert_eq!(alarms(&proxy.said()), 20);
    proxy.stop();
}

#[test]
fn get_reports_to_the_log_and_the_audit_log_and_sweeps_report_nothing() {
    const TRAIL_KEY: &str = "a3c15e0f7b29d846f0e1c2d3b4a5968778695a4b3c2d1e0f6c1f0a5be2d94738";
    let redis = RedisServer::start();
    let trail = "audit_log = \"file:audit.jsonl\"\naudit_log_key = \"env:TRAIL_KEY\"\n";
    let program = Program::at(&redis).file("waxseal.toml", &format!("{trail}{CONFIG}"));
    let state = program.path("state");
    let program = program
        .env("STATE_DIRECTORY", state.to_str().unwrap())
        .env("TRAIL_KEY", TRAIL_KEY);
    let planted = program.run(&["decoy", "plant"]).done();
    assert_eq!(alarms(&planted.stderr), 0);
    for words in [
        &["audit", "--deep"][..],
        &["migrate"],
        &["rotate"],
        &["inspect", FIRST],
        &["doctor"],
    ] {
        let output = program.run(words).done();
        assert_eq!(alarms(&output.stderr), 0, "{words:?}");
    }
    put(
        &redis,
        "wa:real",
        &sealed(KEY, Format::Sealed, "wa:real", b"{}"),
    );
    let plain = program.run(&["get", "wa:real"]).done();
    assert_eq!(alarms(&plain.stderr), 0);
    let output = program.run(&["get", FIRST]).done();
    assert_eq!(alarms(&output.stderr), 1);
    // A value from a dump is not reported, unless it is said to be of a decoy.
    let stored = get(&redis, FIRST).unwrap();
    for (name, expected) in [(FIRST, 1), ("wa:real", 0)] {
        let stored = match expected {
            0 => sealed(KEY, Format::Sealed, name, b"{}"),
            _ => stored.clone(),
        };
        let output = program
            .run_with(&["open", "--record", name], &stored)
            .done();
        assert_eq!(alarms(&output.stderr), expected, "{name}");
    }
    let log = fs::read_to_string(program.path("audit.jsonl")).unwrap();
    assert!(!log.contains("491555"), "{log}");
    let entries = log.lines().map(|line| serde_json::from_str(line).unwrap());
    let entries: Vec<Value> = entries.collect();
    let of = |action: &str| {
        let found = entries.iter().filter(|entry| entry["action"] == action);
        found.collect::<Vec<_>>()
    };
    let [begun, done] = of("decoy_plant")[..] else {
        panic!("{log}");
    };
    assert_eq!(begun["target"], "2 decoys");
    assert_eq!(done["details"]["planted"], 2);
    let [real, decoy] = of("get")[..] else {
        panic!("{log}");
    };
    assert_eq!(real["details"]["decoy"], Value::Null);
    assert_eq!(decoy["details"]["decoy"], true);
    assert_eq!(of("open")[0]["details"]["decoy"], true);
}

#[test]
fn a_decoy_that_matches_no_pattern_is_refused_without_its_name() {
    let redis = RedisServer::start();
    let config = CONFIG.replace("wa:4915550005678", "bot:4915550005678");
    let program = Program::at(&redis).file("waxseal.toml", &config);
    for words in [&["decoy", "plant"][..], &["audit"], &["proxy"]] {
        let output = program
            .run(words)
            .failed(64, "decoys: number 2 of the list (#");
        assert!(!output.stderr.contains("491555"), "{}", output.stderr);
    }
    // A pattern of a flag overrides those of the file: for a proxy, not for single records.
    let program = Program::at(&redis).file("waxseal.toml", CONFIG);
    let words = ["proxy", "--protect", "bot:*", "--listen", "127.0.0.1:0"];
    program
        .run(&words)
        .failed(64, "decoys: number 1 of the list (#");
    program.run(&["decoy", "list", "--protect", "bot:*"]).done();
    let many = vec!["\"wa:1\""; 1001].join(", ");
    let config = format!("decoys = [{many}]\n");
    let program = Program::at(&redis).file("waxseal.toml", &config);
    program.run(&["decoy", "list"]).failed(64, "at most 1000");
    let none = Program::at(&redis);
    none.run(&["decoy", "plant"])
        .failed(64, "no decoys are configured");
}

#[test]
fn doctor_warns_of_decoys_that_are_absent_or_plain() {
    let redis = RedisServer::start();
    let program = program(&redis);
    let decoys = || {
        let findings = program.run(&["doctor", "--json"]).done().json();
        let findings = findings.as_array().unwrap().iter();
        let mut found = findings.filter(|it| it["check"] == "decoys");
        let found = found.next().unwrap();
        format!("{} {}", found["grade"].as_str().unwrap(), found["found"])
    };
    let absent = "warning \"0 sealed, 0 plain, 0 damaged, 2 absent\"";
    assert_eq!(decoys(), absent);
    program.run(&["decoy", "plant"]).done();
    assert_eq!(decoys(), "ok \"2 sealed, 0 plain, 0 damaged, 0 absent\"");
    put(&redis, SECOND, b"{}");
    let plain = "warning \"1 sealed, 1 plain, 0 damaged, 0 absent\"";
    assert_eq!(decoys(), plain);
}

#[test]
fn a_decoy_of_a_user_with_a_key_is_planted_under_that_key() {
    let redis = RedisServer::start();
    let config = "keyring = \"file:ring.json\"\ndecoys = [\"wa:4915550001234\"]\n[[protect]]\n\
                  records = \"wa:{user}\"\nper_user_keys = true\n";
    let program = Program::at(&redis).file("waxseal.toml", config);
    let state = program.path("state");
    let program = program.env("STATE_DIRECTORY", state.to_str().unwrap());
    program.run(&["keyring", "init"]).done();
    program.run(&["decoy", "plant"]).done();
    assert_eq!(forms(&program), ["sealed"]);
    let report = program.run(&["inspect", FIRST, "--json"]).done().json();
    assert_eq!(report["values"][0]["key_state"], "user key");
    let proxy = Proxy::start_as(&program, &redis, &[]);
    assert!(
        proxy
            .client()
            .cmd(&["GET", FIRST])
            .to_text()
            .contains("status")
    );
    let counted = metrics(proxy.admin_port());
    assert_eq!(counted.sum("waxseal_decoys_opened_total", &[]), 1.0);
    assert_eq!(alarms(&proxy.said()), 1);
    proxy.stop();
}
