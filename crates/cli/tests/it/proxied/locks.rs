//! Locks on protected records: taken with `SET … NX PX`, prolonged and released by the published scripts. The token is
//! sealed on the server, and a lock has one holder.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use waxseal_testing::{RedisServer, clients};

use super::counts::{happens, metric};
use super::wire::{Wire, bulk, request};
use super::{Pair, UPSTREAMS, proxy_before};
use crate::program::Program;
use crate::proxy::Proxy;

/// phpredis' text, and its digest.
const RELEASE: &str = r#"if redis.call("get",KEYS[1]) == ARGV[1] then return redis.call("del",KEYS[1]) else return 0 end"#;
const RELEASE_SHA: &str = "b70c2384248f88e6b75b9f89241a180f856ad852";
const EXTEND: &str = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('pexpire', KEYS[1], ARGV[2]) end";
/// Puts another envelope in the place of one, as a sweep does.
const REPLACE: &str = "if redis.call('get', KEYS[1]) == ARGV[1] then redis.call('set', KEYS[1], ARGV[2], 'KEEPTTL') return 1 end return 0";
const SHORT: Duration = Duration::from_millis(1);
const FREE: &str = "$-1\r\n";

fn take(wire: &mut Wire, token: &str) -> bool {
    wire.ask(&["SET", "wa:lock", token, "NX", "PX", "60000"]) == "+OK\r\n"
}

#[test]
fn a_lock_is_released_and_prolonged_by_its_token_alone() {
    for upstream in UPSTREAMS {
        let pair = Pair::with(upstream, &["--workers", "1", "--format", "sealed"]);
        for mut wire in [pair.wire(), pair.wire().resp3()] {
            let mut other = pair.wire();
            assert!(take(&mut wire, "amatista"), "{upstream}");
            assert!(!take(&mut other, "berilo"));
            let stored = pair
                .redis
                .client()
                .cmd(&["GET", "wa:lock"])
                .bytes()
                .unwrap();
            assert!(!stored.windows(8).any(|it| it == b"amatista"));
            for token in ["berilo", "", &String::from_utf8_lossy(&stored)] {
                assert_eq!(
                    other.ask(&["EVAL", RELEASE, "1", "wa:lock", token]),
                    ":0\r\n"
                );
                assert_eq!(
                    other.ask(&["EVALSHA", RELEASE_SHA, "1", "wa:lock", token]),
                    ":0\r\n"
                );
            }
            // The envelope itself is not the token.
            let envelope = [&b"EVAL"[..], RELEASE.as_bytes(), b"1", b"wa:lock", &stored];
            assert_eq!(other.ask(&envelope), ":0\r\n");
            assert_eq!(
                wire.ask(&["EVAL", EXTEND, "1", "wa:lock", "amatista", "5000000"]),
                ":1\r\n"
            );
            let lifetime = pair.redis.client().cmd(&["PTTL", "wa:lock"]).int();
            assert!(lifetime > 60_000, "{lifetime}");
            // Requests before and behind it keep their order.
            let words = ["EVAL", RELEASE, "1", "wa:lock", "amatista"];
            let get = request(&["GET", "wa:lock"]);
            wire.send(
                &[
                    &get[..],
                    &request(&words),
                    &get,
                    &request(&words),
                    &request(&["PING"]),
                ]
                .concat(),
            );
            assert_eq!(wire.reply(), *bulk("amatista").as_str());
            assert_eq!(wire.reply(), ":1\r\n");
            let none = wire.reply();
            assert!(none == FREE || none == "_\r\n");
            assert_eq!(wire.reply(), ":0\r\n");
            assert_eq!(wire.reply(), "+PONG\r\n");
        }
        assert_eq!(metric(&pair.proxy, "waxseal_refused_commands_total"), 0.0);
        assert_eq!(metric(&pair.proxy, "waxseal_scripts_forwarded_total"), 0.0);
        pair.proxy.stop();
    }
}

#[test]
fn a_script_is_known_by_its_digest_whatever_the_server_has() {
    for upstream in UPSTREAMS {
        let pair = Pair::with(upstream, &["--workers", "2"]);
        let mut wire = pair.wire();
        let mut other = pair.wire();
        assert!(take(&mut wire, "amatista"));
        // A published digest, before and after the text is there.
        let release = ["EVALSHA", RELEASE_SHA, "1", "wa:lock", "amatista"];
        assert!(wire.ask(&release).starts_with("-NOSCRIPT "), "{upstream}");
        assert_eq!(
            other.ask(&["SCRIPT", "LOAD", RELEASE]),
            *bulk(RELEASE_SHA).as_str()
        );
        assert_eq!(wire.ask(&release), ":1\r\n");
        assert_eq!(wire.ask(&["SCRIPT", "FLUSH"]), "+OK\r\n");
        assert!(wire.ask(&release).starts_with("-NOSCRIPT "), "{upstream}");
        // A text of the application's own: its digest is known once it has passed, for all clients.
        let own = format!("-- of upstream {upstream}\n{RELEASE}");
        let digest = pair.redis.cli(&["SCRIPT", "LOAD", &own]);
        let digest = digest.trim();
        assert!(take(&mut wire, "berilo"));
        let release = ["EVALSHA", digest, "1", "wa:lock", "berilo"];
        assert_eq!(
            wire.ask(&release),
            "-NOSCRIPT No matching script. Please use EVAL.\r\n"
        );
        assert_eq!(other.ask(&["SCRIPT", "LOAD", &own]), *bulk(digest).as_str());
        assert_eq!(wire.ask(&release), ":1\r\n");
        // Of a script that is not known the text makes no difference.
        let counts = "return redis.call('incr', KEYS[1])";
        let digest = pair.redis.cli(&["SCRIPT", "LOAD", counts]);
        let count = ["EVALSHA", digest.trim(), "1", "wa:count"];
        assert!(wire.ask(&count).starts_with("-NOSCRIPT "));
        let refused = wire.ask(&["EVAL", counts, "1", "wa:count"]);
        assert!(refused.starts_with("-SEALREFUSED EVAL "), "{upstream}");
        assert!(refused.contains("except"), "{upstream}");
        assert!(wire.ask(&count).starts_with("-SEALREFUSED EVALSHA "));
        pair.proxy.stop();
    }
}

#[test]
fn a_lock_has_one_holder_while_its_value_is_sealed_again_and_again() {
    for upstream in UPSTREAMS {
        let pair = Pair::with(upstream, &["--workers", "2"]);
        let is_held = AtomicBool::new(false);
        let done = AtomicU32::new(0);
        let (holders, rounds) = (6_u32, 12_u32);
        let mut resealed = 0;
        thread::scope(|scope| {
            for number in 0..holders {
                let (pair, is_held, done) = (&pair, &is_held, &done);
                scope.spawn(move || {
                    let mut wire = pair.wire();
                    let token = format!("holder {number}");
                    for _ in 0..rounds {
                        while !take(&mut wire, &token) {
                            thread::sleep(SHORT);
                        }
                        assert!(!is_held.swap(true, Ordering::SeqCst), "two holders");
                        thread::sleep(SHORT);
                        let extend = ["EVAL", EXTEND, "1", "wa:lock", &token, "60000"];
                        assert_eq!(wire.ask(&extend), ":1\r\n", "{token} has the lock");
                        is_held.store(false, Ordering::SeqCst);
                        let release = ["EVAL", RELEASE, "1", "wa:lock", &token];
                        assert_eq!(wire.ask(&release), ":1\r\n", "{token} has the lock");
                    }
                    done.fetch_add(1, Ordering::SeqCst);
                });
            }
            // What a rotation does: the same value in another envelope, if nothing has changed.
            let mut wire = pair.wire();
            let mut server = pair.redis.client();
            while done.load(Ordering::SeqCst) < holders {
                let Some(stored) = server.cmd(&["GET", "wa:lock"]).bytes() else {
                    continue;
                };
                server.cmd(&[b"SET", &b"wa:copy"[..], &stored]);
                let token = wire.ask(&["GET", "wa:copy"]);
                let token = token.0.splitn(3, |byte| *byte == b'\n').nth(1);
                let token = token.and_then(|line| line.strip_suffix(b"\r"));
                wire.ask(&[b"SET", &b"wa:copy"[..], token.expect("a token")]);
                let sealed = server.cmd(&["GET", "wa:copy"]).bytes().unwrap();
                let words = [
                    &b"EVAL"[..],
                    REPLACE.as_bytes(),
                    b"1",
                    b"wa:lock",
                    &stored,
                    &sealed,
                ];
                resealed += server.cmd(&words).int();
            }
        });
        assert!(resealed > 0, "{upstream}");
        assert_eq!(pair.wire().ask(&["GET", "wa:lock"]), FREE);
        pair.proxy.stop();
    }
}

#[test]
fn locks_of_redis_py_work() {
    for upstream in UPSTREAMS {
        let pair = Pair::start(upstream);
        let said = clients::python("locks.py", pair.proxy.port(), &["wa:lock", "4", "10"]);
        assert_eq!(said.trim(), "held by 1", "{upstream}");
        pair.proxy.stop();
    }
}

#[test]
fn what_a_script_cannot_be_run_on_is_an_error_that_says_why() {
    let redis = RedisServer::builder()
        .password("main")
        .user_acl("user proxy on >open-sesame ~* &* +@all")
        .user_acl("user few on >few ~* +eval +set +del")
        .start();
    let url = format!("redis://proxy:open-sesame@127.0.0.1:{}/", redis.port());
    let proxy = proxy_before(&url, "auto", &[]);
    let mut wire = Wire::tcp(proxy.port());
    let release = |name| ["EVAL", RELEASE, "1", name, "amatista"];
    wire.ask(&["RPUSH", "wa:list", "amatista"]);
    let answer = wire.ask(&release("wa:list"));
    assert!(answer.contains("WRONGTYPE"));
    assert_eq!(wire.ask(&["SET", "wa:1", "amatista"]), "+OK\r\n");
    let mut server = redis.client();
    server.cmd(&["AUTH", "main"]);
    let stored = server.cmd(&["GET", "wa:1"]).bytes().unwrap();
    server.cmd(&[&b"SET"[..], b"wa:2", &stored]);
    let answer = wire.ask(&release("wa:2"));
    // The default format is not bound to its record.
    assert!(answer == ":1\r\n", "{answer:?}");
    let mut damaged = stored.clone();
    let last = damaged.len() - 3;
    damaged[last] = if damaged[last] == b'A' { b'B' } else { b'A' };
    server.cmd(&[&b"SET"[..], b"wa:3", &damaged]);
    let answer = wire.ask(&release("wa:3"));
    assert!(answer.starts_with("-SEALBROKEN EVAL"), "{answer:?}");
    assert_eq!(server.cmd(&["EXISTS", "wa:3"]).int(), 1);
    assert_eq!(wire.ask(&["AUTH", "few", "few"]), "+OK\r\n");
    let answer = wire.ask(&release("wa:1"));
    assert!(answer.starts_with("-NOPERM EVAL: "), "{answer:?}");
    assert!(answer.contains("GET"));
    proxy.stop();
}

#[test]
fn unknown_scripts_are_forwarded_where_the_operator_says_so() {
    let write = "return redis.call('set', KEYS[1], ARGV[1])";
    let read = "return redis.call('get', KEYS[1])";
    for upstream in UPSTREAMS {
        let pair = Pair::with(upstream, &["--workers", "1", "--scripts", "forward"]);
        let mut wire = pair.wire();
        assert_eq!(wire.ask(&["SET", "wa:1", "amatista"]), "+OK\r\n");
        assert!(!wire.ask(&["EVAL", read, "1", "wa:1"]).contains("amatista"));
        assert!(take(&mut wire, "amatista"));
        assert_eq!(
            wire.ask(&["EVAL", RELEASE, "1", "wa:lock", "amatista"]),
            ":1\r\n"
        );
        assert_eq!(
            wire.ask(&["EVAL", write, "1", "wa:made", "berilo"]),
            "+OK\r\n"
        );
        assert_eq!(metric(&pair.proxy, "waxseal_scripts_forwarded_total"), 2.0);
        assert_eq!(wire.ask(&["GET", "wa:made"]), *bulk("berilo").as_str());
        let is_start = |line: &str| line.contains("unknown scripts are forwarded for wa:*");
        let is_warning = |line: &str| line.contains("plain value was read under wa:*");
        let told = happens(|| {
            let said = pair.proxy.said();
            said.lines().any(is_start) && said.lines().any(is_warning)
        });
        let log = pair.proxy.stop().stderr;
        assert!(told, "{upstream}: {log}");
        assert!(!log.contains("made") && !log.contains("berilo"), "{log}");
    }
}

#[test]
fn a_pattern_that_forwards_scripts_does_so_for_its_own_records() {
    let redis = RedisServer::start();
    let config = |word: &str| {
        format!(
            "[[protect]]\nrecords = \"wa:*\"\n\n[[protect]]\nrecords = \"queue:*\"\nscripts = \"{word}\"\n"
        )
    };
    let configured = |word| Program::at(&redis).file("waxseal.toml", &config(word));
    let program = configured("forward");
    let proxy = Proxy::start_as(&program, &redis, &[]);
    let mut wire = Wire::tcp(proxy.port());
    let one = |names: &[&str]| {
        let count = names.len().to_string();
        let mut words = vec!["EVAL", "return 1", &count];
        words.extend(names);
        words.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(wire.ask(&one(&["queue:1", "open:1"])), ":1\r\n");
    for names in [&["wa:1"][..], &["queue:1", "wa:1"]] {
        let answer = wire.ask(&one(names));
        assert!(answer.starts_with("-SEALREFUSED EVAL "), "{names:?}");
    }
    assert!(take(&mut wire, "amatista"));
    let release = ["EVAL", RELEASE, "1", "wa:lock", "amatista"];
    assert_eq!(wire.ask(&release), ":1\r\n");
    proxy.stop();
    let told = program.run(&["doctor"]).text();
    assert!(
        told.contains("queue:*: the proxy forwards unknown scripts"),
        "{told}"
    );
    let told = configured("refuse").run(&["doctor"]).text();
    assert!(!told.contains("forwards unknown scripts"), "{told}");
    let failed = configured("pass").run(&["doctor"]).text();
    let told = "waxseal.toml: [[protect]] records = \"queue:*\": scripts is one of refuse, forward, not pass";
    assert!(failed.contains(told), "{failed}");
}
