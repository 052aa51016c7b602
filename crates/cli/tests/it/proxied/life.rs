//! From the start to the end of the process: what it waits for, what it refuses to start with, what
//! it reports to its operator, and that it loses nothing when it is stopped.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use waxseal_testing::RedisServer;

use super::wire::{Wire, request};
use super::{Pair, UPSTREAMS};
use crate::program::{OTHER_KEY, Program, wait_until};

/// Status and body of what the admin address answers.
pub(super) fn admin(port: u16, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: waxseal\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, body.to_owned())
}

/// Number behind the last colon of a line that begins so.
fn port_said(text: &str, beginning: &str) -> Option<u16> {
    let line = text.split_inclusive('\n').filter(|it| it.ends_with('\n'));
    let line = line.rev().find_map(|line| line.strip_prefix(beginning))?;
    line.trim_end().rsplit_once(':')?.1.parse().ok()
}

#[test]
fn a_store_that_is_down_at_the_start_is_waited_for() {
    for upstream in UPSTREAMS {
        let mut redis = RedisServer::start();
        redis.kill();
        let mut running = Program::at(&redis).start(&[
            "proxy",
            "--listen",
            "127.0.0.1:0",
            "--admin",
            "127.0.0.1:0",
            "--protect",
            "wa:*",
            "--upstream",
            upstream,
        ]);
        let mut said = String::new();
        running.wait_until_stderr(|text| {
            said = text.to_owned();
            text.contains("waiting for the store before taking clients\n")
        });
        assert!(!said.contains("listening on"), "{said}");
        let admin_port = port_said(&said, "waxseal: admin on ").unwrap();
        assert_eq!(admin(admin_port, "/healthz"), (200, "ok\n".to_owned()));
        assert_eq!(admin(admin_port, "/readyz").0, 503);
        redis.restart();
        let mut port = None;
        running.wait_until_stderr(|text| {
            port = port_said(text, "waxseal: listening on ");
            port.is_some()
        });
        let mut wire = Wire::tcp(port.unwrap());
        assert_eq!(wire.ask(&["SET", "wa:1", "amatista"]), "+OK\r\n");
        wait_until(|| admin(admin_port, "/readyz").0 == 200);
        running.signal("TERM");
        running.end().done();
    }
}

#[test]
fn waiting_for_the_store_ends_when_stopped() {
    let mut redis = RedisServer::start();
    redis.kill();
    let mut running =
        Program::at(&redis).start(&["proxy", "--listen", "127.0.0.1:0", "--protect", "wa:*"]);
    running.wait_until_it_says("waiting for the store");
    running.signal("TERM");
    running.end().done();
}

#[test]
fn readiness_follows_the_store() {
    for upstream in UPSTREAMS {
        let mut pair = Pair::start(upstream);
        let port = pair.proxy.admin_port();
        assert_eq!(admin(port, "/readyz"), (200, "ready\n".to_owned()));
        // What was found out counts for a second.
        let refuses = |cause: &str| {
            let text = format!("the store cannot be used: {cause}\n");
            wait_until(|| admin(port, "/readyz") == (503, text.clone()));
        };
        pair.redis.kill();
        refuses("connection refused");
        assert_eq!(admin(port, "/healthz").0, 200);
        pair.redis.restart();
        wait_until(|| admin(port, "/readyz").0 == 200);
        pair.redis.stop_process();
        refuses("it does not answer in time");
        pair.redis.continue_process();
        wait_until(|| admin(port, "/readyz").0 == 200);
        pair.proxy.stop();
    }
}

#[test]
fn a_key_that_is_not_the_store_s_own_is_refused_at_the_start() {
    let pair = Pair::start("auto");
    assert_eq!(pair.wire().ask(&["SET", "wa:1", "amatista"]), "+OK\r\n");
    let url = pair.redis.url();
    let words = [
        "proxy",
        "--listen",
        "127.0.0.1:0",
        "--store",
        &url,
        "--protect",
        "wa:*",
    ];
    let other = Program::new().env("REDIS_ENCRYPTION_KEY", OTHER_KEY);
    let output = other.run(&words).with_status(2);
    assert!(!output.stderr.contains("listening on"), "{}", output.stderr);
    let none = Program::new().run(&words).with_status(64);
    assert!(none.stderr.contains("waxseal: error: "), "{}", none.stderr);
}

#[test]
fn a_proxy_that_protects_nothing_does_not_start() {
    let redis = RedisServer::start();
    let program = Program::at(&redis);
    let words = ["proxy", "--listen", "127.0.0.1:0"];
    program.run(&words).failed(64, "no record is protected");
    for wrong in [
        &["--protect", "wa:*", "--listen", "nonsense"][..],
        &["--protect", "wa:*", "--listen", "tls://127.0.0.1:0"],
        &["--protect", "wa:*", "--store", "file:states.waxseal"],
        &["--protect", "wa:*", "--upstream", "sometimes"],
        &["--protect", "wa:*", "--max-value", "0"],
        &["--protect", ""],
    ] {
        let output = program.run(&[&words[..], wrong].concat());
        assert_eq!(output.status, 64, "{wrong:?}: {}", output.stderr);
    }
}

#[test]
fn no_request_that_was_answered_is_lost_when_it_stops_under_load() {
    const CLIENTS: usize = 20;
    for upstream in UPSTREAMS {
        let pair = Pair::with(upstream, &["--grace", "20"]);
        let port = pair.proxy.port();
        let going = AtomicBool::new(false);
        let answered: i64 = std::thread::scope(|scope| {
            let clients: Vec<_> = (0..CLIENTS)
                .map(|client| {
                    let going = &going;
                    scope.spawn(move || count_up(port, client, going))
                })
                .collect();
            wait_until(|| going.load(Ordering::Relaxed));
            std::thread::sleep(Duration::from_millis(500));
            pair.proxy.signal("TERM");
            clients.into_iter().map(|it| it.join().unwrap()).sum()
        });
        pair.proxy.end().done();
        let count: i64 = pair.redis.cli(&["GET", "open:count"]).parse().unwrap();
        // What was sent and not answered may have been counted or not; what was answered was.
        assert!(answered > 1000, "{upstream}: {answered}");
        assert!(count >= answered, "{upstream}: {count} of {answered}");
        assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
    }
}

/// Counts up, some requests at a time, until the connection ends. How often that was answered.
fn count_up(port: u16, client: usize, going: &AtomicBool) -> i64 {
    let mut wire = Wire::tcp(port);
    let name = format!("wa:{client}");
    let requests = [
        request(&["INCR", "open:count"]),
        request(&["SET", &name, "amatista"]),
    ];
    let requests = requests.concat().repeat(5);
    let mut answered = 0;
    while wire.try_send(&requests).is_ok() {
        for number in 0..10 {
            let Ok(reply) = wire.try_reply() else {
                // No reply is torn: the connection ends between two.
                assert_eq!(wire.until_the_end(), b"");
                return answered;
            };
            if number % 2 == 0 {
                assert!(reply.starts_with(":"), "{reply:?}");
                answered += 1;
            } else {
                assert_eq!(reply, "+OK\r\n");
            }
        }
        going.store(true, Ordering::Relaxed);
    }
    answered
}

#[test]
fn what_is_under_way_comes_to_its_end_and_what_does_not_is_cut() {
    for upstream in UPSTREAMS {
        let pair = Pair::with(upstream, &["--grace", "10"]);
        let mut idle = pair.wire();
        assert_eq!(idle.ask(&["PING"]), "+PONG\r\n");
        let mut waiting = pair.wire();
        waiting.send(&request(&["BLPOP", "wa:queue", "1"]));
        let mut open = pair.wire();
        assert_eq!(open.ask(&["MULTI"]), "+OK\r\n");
        assert_eq!(open.ask(&["SET", "wa:1", "amatista"]), "+QUEUED\r\n");
        let admin_port = pair.proxy.admin_port();
        pair.proxy.signal("TERM");
        assert_eq!(idle.until_the_end(), b"");
        assert_eq!(admin(admin_port, "/readyz"), (503, "draining\n".to_owned()));
        assert_eq!(open.ask(&["EXEC"]), "*1\r\n+OK\r\n");
        assert_eq!(open.until_the_end(), b"");
        assert_eq!(waiting.until_the_end(), b"*-1\r\n");
        pair.proxy.end().done();

        let pair = Pair::with(upstream, &["--grace", "1"]);
        let mut waiting = pair.wire();
        waiting.send(&request(&["BLPOP", "wa:queue", "0"]));
        // It must have arrived before the end begins.
        std::thread::sleep(Duration::from_millis(200));
        pair.proxy.signal("TERM");
        let output = pair.proxy.end().with_status(1);
        assert!(
            output.stderr.contains("1 connection was cut"),
            "{}",
            output.stderr
        );
        assert_eq!(waiting.until_the_end(), b"");
    }
}
