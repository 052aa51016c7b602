//! Names of records, through a proxy and by commands where names are sealed: at no moment has the server received or stored
//! one in clear, and nothing that it shows, and no log or metric, tells one.

use std::time::Duration;

use waxseal_testing::{Link, RedisServer};

use super::secrets::{LETTERS, NUMBER, SESSION, Search};
use super::types::{QUEUED, REQUESTS, files, words};
use crate::metrics::admin;
use crate::program::Program;
use crate::proxy::Proxy;

/// Requests that name records in other ways than those about values: `$U`, `$L`, `$S` are parts of names.
const NAMED: &[&str] = &[
    "SET wa:$U:1 one",
    "MSET wa:$U:2 two sess:$S:1 three",
    "MGET wa:$U:1 wa:$U:2 wa:$L:none",
    "EXISTS wa:$U:1 wa:$L:none sess:$S:1",
    "TYPE wa:$U:1",
    "EXPIRE wa:$U:1 1000",
    "OBJECT ENCODING wa:$U:1",
    "TOUCH wa:$U:1 wa:$U:2",
    "RENAME wa:$U:2 wa:$L:2",
    "COPY wa:$L:2 wa:$U:2",
    "SCAN 0 MATCH wa:$U* COUNT 100",
    "SCAN 0 MATCH wa:$U:1",
    "SCAN 0 MATCH *$S*",
    "KEYS wa:$U:*",
    "KEYS wa:$L:2",
    "RANDOMKEY",
    "SORT wa:$U:ids BY nosort GET wa:$U:*",
    "RPUSH sess:$S:queue a b c",
    "BLPOP sess:$S:none sess:$S:queue 1",
    "LMPOP 2 sess:$S:none sess:$S:queue LEFT",
    "LMOVE sess:$S:queue sess:$S:other LEFT RIGHT",
    "SADD wa:$U:t1 a b",
    "XADD sess:$S:x 1-1 a b",
    "XREAD COUNT 1 STREAMS sess:$S:x 0",
    "WATCH wa:$U:1",
    "UNWATCH",
    "UNLINK wa:$L:2",
    "DEL wa:$U:2 wa:$L:none",
    "set wa:$L:3 x",
    "GET wa:$L:3",
];

/// Requests that are refused, or answered with an error that names a record.
const FAILING: &[&str] = &[
    "LPUSH wa:$U:1 x",
    "XREADGROUP GROUP none one STREAMS sess:$S:x >",
    "EVAL return{} 1 wa:$U:1",
    "NONSENSE wa:$U:1",
    "RESTORE wa:$U:9 0 x",
    "GET wa:$U:1 x",
    "KEYS wa:$U:1 x",
];

const CONFIG: &str = "environment = \"tests\"\n\
    [[protect]]\nrecords = \"wa:*\"\nformat = \"sealed\"\nnames = \"sealed\"\nwrite_version = 3\n\
    plain_values = \"any\"\n\
    [[protect]]\nrecords = \"sess:*\"\nformat = \"sealed\"\nnames = \"sealed\"\nwrite_version = 3\n\
    plain_values = \"any\"\n";

fn named(line: &str) -> Vec<String> {
    let line = line.replace("$U", NUMBER).replace("$L", LETTERS);
    words(&line.replace("$S", SESSION))
}

/// The same for a line about values, whose records get the name of a user.
fn of_user(line: &str) -> Vec<String> {
    named(&line.replace("wa:", "wa:$U:"))
}

fn server() -> RedisServer {
    let builder = RedisServer::builder().append_only();
    builder
        .arg("rdbcompression", "no")
        .arg("slowlog-log-slower-than", "0")
        .arg("slowlog-max-len", "100000")
        .start()
}

fn program(redis: &RedisServer) -> Program {
    Program::at(redis)
        .env("ENABLE_REDIS_ENCRYPTION", "required")
        .file("waxseal.toml", CONFIG)
}

#[track_caller]
fn assert_silent(search: &Search, what: &str, bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Some(found) = search.found_in(&text) {
        panic!("{found} is in {what}");
    }
}

/// What the server has stored, and what it remembers of requests.
#[track_caller]
fn search_server(search: &Search, redis: &RedisServer, what: &str) {
    let mut behind = redis.client();
    behind.cmd(&["SAVE"]);
    assert_silent(search, what, &files(&mut behind));
    let slow = redis.cli(&["SLOWLOG", "GET", "-1"]);
    assert!(slow.lines().count() > 10, "the server logs nothing");
    assert_silent(search, "SLOWLOG", slow.as_bytes());
    let errors = redis.cli(&["ACL", "LOG"]);
    assert_silent(search, "ACL LOG", errors.as_bytes());
}

#[test]
fn no_name_reaches_the_server_in_clear_through_a_proxy() {
    let search = Search::new();
    for upstream in ["shared", "own"] {
        let redis = server();
        let mut monitor = Link::connect(redis.port());
        assert!(!monitor.ask(&["MONITOR"]).unwrap().is_error());
        let program = program(&redis);
        let proxy = Proxy::start_configured(&program, &["--upstream", upstream]);
        for hello in [&["PING"][..], &["HELLO", "3"]] {
            let mut client = Link::connect(proxy.port());
            assert!(!client.ask(hello).unwrap().is_error());
            let mut ask = |words: Vec<String>| {
                let reply = client.ask(&words).unwrap();
                assert!(!reply.is_error(), "{words:?}: {reply:?}");
            };
            ask(vec!["FLUSHALL".to_owned()]);
            REQUESTS.iter().for_each(|line| ask(of_user(line)));
            NAMED.iter().for_each(|line| ask(named(line)));
            for end in ["DISCARD", "EXEC"] {
                ask(vec!["MULTI".to_owned()]);
                QUEUED.iter().for_each(|line| ask(of_user(line)));
                ask(vec![end.to_owned()]);
            }
            for line in FAILING {
                let reply = client.ask(&named(line)).unwrap();
                assert!(reply.is_error(), "{line}: {reply:?}");
            }
        }
        let (_, metrics) = admin(proxy.admin_port(), "/metrics");
        assert_silent(&search, "the metrics", metrics.as_bytes());
        let output = proxy.stop();
        assert_silent(&search, "the log", output.stderr.as_bytes());
        search_server(&search, &redis, "the dump or the append-only file");
        redis.cli(&["ECHO", "the end"]);
        let mut requests = 0;
        loop {
            let request = monitor.reply(Duration::from_secs(5)).unwrap().text;
            assert_silent(&search, "a request", &request);
            if request.ends_with(b"\"the end\"") {
                break;
            }
            requests += 1;
        }
        assert!(requests > REQUESTS.len(), "the monitor saw nothing");
    }
}

#[test]
fn no_name_reaches_the_server_in_clear_by_commands() {
    let search = Search::new();
    let redis = server();
    let program = program(&redis);
    let (number, letters) = (format!("wa:{NUMBER}"), format!("wa:{LETTERS}"));
    for name in [&number, &letters] {
        program.run_with(&["put", name], b"{\"a\":1}").done();
    }
    assert!(
        program
            .run(&["get", &number])
            .done()
            .text()
            .contains("\"a\"")
    );
    // One value that does not open, so that commands report its record.
    let mut behind = redis.client();
    let stored = behind.cmd(&["KEYS", "wa:~*"]).array().remove(0).to_text();
    behind.cmd(&["SET", &stored, "damaged"]);
    let record = match program.run(&["get", &number]).status {
        0 => &letters,
        _ => &number,
    };
    for words in [
        &["migrate"][..],
        &["rotate"],
        &["audit"],
        &["doctor"],
        &["inspect", record],
        &["quarantine", "list"],
        &["decrypt", "--dry-run"],
        &["find", &stored],
    ] {
        let output = program.run(words);
        if words[0] != "find" {
            assert_silent(&search, &words.join(" "), output.text().as_bytes());
        }
        assert_silent(&search, &words.join(" "), output.stderr.as_bytes());
        assert!(
            [0, 1].contains(&output.status),
            "{words:?}: {}",
            output.stderr
        );
        let said = output.text() + &output.stderr;
        assert!(!said.is_empty(), "{words:?} says nothing");
    }
    assert!(behind.cmd(&["DBSIZE"]).int() >= 2);
    search_server(&search, &redis, "the dump or the append-only file");
}

#[test]
fn names_in_clear_would_be_found() {
    let search = Search::new();
    let redis = server();
    let mut client = redis.client();
    for line in NAMED.iter().take(10) {
        client.cmd(&named(line));
    }
    let found = search.found_in(&String::from_utf8_lossy(&files(&mut client)));
    assert!(found.is_some(), "the search finds nothing");
    assert!(
        search
            .found_in(&redis.cli(&["SLOWLOG", "GET", "-1"]))
            .is_some()
    );
}
