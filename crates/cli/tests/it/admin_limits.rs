//! The admin address under abuse, beside clients: neither can use up the descriptors of the other, every wait is limited, and
//! the store is not checked more often than necessary.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use waxseal_testing::{Client, RedisServer};

use crate::metrics::{admin, admin_as};
use crate::program::{Program, Running, wait_until};
use crate::proxy::Proxy;

/// No answer takes this long.
const LIMIT: Option<Duration> = Some(Duration::from_secs(60));
const FEW: &str = "ulimit -n 200";

/// A proxy with few descriptors: the process, the port for clients, the admin port.
#[track_caller]
fn start_with_few(server: &RedisServer, flags: &[&str]) -> (Running, u16, u16) {
    let words = [
        "proxy",
        "--protect",
        "wa:*",
        "--listen",
        "127.0.0.1:0",
        "--admin",
        "127.0.0.1:0",
    ];
    let words = [&words[..], flags].concat();
    let mut running = Program::at(server).start_after(FEW, &words);
    let (mut clients, mut admin) = (None, None);
    running.wait_until_stderr(|said| {
        let whole = said
            .split_inclusive('\n')
            .filter(|line| line.ends_with('\n'));
        for line in whole {
            let port = line
                .trim_end()
                .rsplit_once(':')
                .and_then(|it| it.1.parse().ok());
            if line.starts_with("waxseal: listening on ") {
                clients = port;
            } else if line.starts_with("waxseal: admin on ") {
                admin = port;
            }
        }
        clients.is_some() && admin.is_some()
    });
    (running, clients.unwrap(), admin.unwrap())
}

#[track_caller]
fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(LIMIT).unwrap();
    stream
}

#[track_caller]
fn assert_serves(port: u16) {
    let mut client = Client::connect(port).unwrap();
    assert_eq!(client.cmd(&["SET", "wa:1", "{}"]).to_text(), "OK");
    assert_eq!(client.cmd(&["GET", "wa:1"]).to_text(), "{}");
    // On a connection of its own.
    assert_eq!(client.cmd(&["WATCH", "wa:1"]).to_text(), "OK");
}

#[track_caller]
fn assert_answers(port: u16) {
    for path in ["/healthz", "/readyz", "/metrics"] {
        let (head, _) = admin(port, path);
        assert!(head.starts_with("http/1.1 200"), "{path}: {head}");
    }
    let (head, _) = admin_as(port, "/", "Host: localhost\r\n");
    assert!(head.starts_with("http/1.1 200"), "{head}");
}

/// Connections that a server was asked for since its start.
#[track_caller]
fn connections(server: &RedisServer) -> u64 {
    let info = server.cli(&["INFO", "stats"]);
    let mut lines = info.lines();
    let line = lines.find_map(|it| it.strip_prefix("total_connections_received:"));
    line.unwrap().trim().parse().unwrap()
}

#[test]
fn idle_connections_to_the_admin_address_take_no_descriptor_from_clients() {
    let server = RedisServer::start();
    let (mut running, clients, admin) = start_with_few(&server, &[]);
    let idle: Vec<_> = (0..311).map(|_| connect(admin)).collect();
    for _ in 0..20 {
        assert_serves(clients);
    }
    assert_answers(admin);
    // The same with requests that never end, and readers that never read.
    let slow: Vec<_> = (0..311)
        .map(|index| {
            let mut stream = connect(admin);
            let begun = match index % 3 {
                0 => "GET /metrics HTTP/1.1\r\nHost: ",
                1 => "GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n",
                _ => "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000000\r\n\r\nx",
            };
            // It may be closed again by now.
            let _ = stream.write_all(begun.as_bytes());
            stream
        })
        .collect();
    for _ in 0..20 {
        assert_serves(clients);
    }
    assert_answers(admin);
    drop((idle, slow));
    assert!(!running.has_ended());
    running.signal("TERM");
    running.end().done();
}

#[test]
fn clients_take_no_descriptor_from_the_admin_address() {
    let server = RedisServer::start();
    let (mut running, clients, admin) = start_with_few(&server, &["--upstream", "own"]);
    let mut served = 0;
    let mut open = Vec::new();
    for _ in 0..400 {
        let mut stream = connect(clients);
        stream.write_all(b"*1\r\n$4\r\nPING\r\n").unwrap();
        let mut answer = [0; 7];
        if stream.read_exact(&mut answer).is_ok() && &answer == b"+PONG\r\n" {
            served += 1;
        }
        open.push(stream);
    }
    // As many as there is room for, and the others are told.
    assert!((20..100).contains(&served), "{served}");
    assert_answers(admin);
    let told = running.said();
    assert!(told.contains("the limit of open files is 200"), "{told}");
    assert!(!told.contains("cannot be accepted"), "{told}");
    drop(open);
    wait_until(|| {
        let mut client = Client::connect(clients).unwrap();
        client
            .try_cmd(&["PING"])
            .is_ok_and(|it| it.to_text() == "PONG")
    });
    assert!(!running.has_ended());
    running.signal("TERM");
    running.end().done();
}

#[test]
fn a_file_limit_below_the_configured_connections_is_reported() {
    let server = RedisServer::start();
    let (running, clients, _) = start_with_few(&server, &["--max-connections", "5000"]);
    assert_serves(clients);
    let said = running.said();
    assert!(said.contains("warning: at most "), "{said}");
    assert!(
        said.contains("too low for --max-connections 5,000"),
        "{said}"
    );
    assert!(said.contains("LimitNOFILE="), "{said}");
}

/// As where something else in the process, or another process of the user, used them up.
#[test]
fn a_process_without_descriptors_survives_and_serves_again_once_it_has_some() {
    let server = RedisServer::start();
    let (mut running, clients, admin) = start_with_few(&server, &[]);
    assert_serves(clients);
    let pid = running.pid().to_string();
    let limit = |limit: &str| {
        let nofile = format!("--nofile={limit}:200");
        let set = Command::new("prlimit")
            .args(["--pid", &pid, &nofile])
            .status();
        assert!(set.expect("run prlimit (package util-linux)").success());
    };
    limit("3");
    let waiting: Vec<_> = (0..5).map(|_| (connect(clients), connect(admin))).collect();
    running.wait_until_stderr(|said| {
        said.contains("clients cannot be accepted")
            && said.contains("the admin address cannot accept a connection")
    });
    // It neither ends nor fills its log: one line each, in a minute.
    thread::sleep(Duration::from_secs(1));
    assert!(!running.has_ended());
    let said = running.said();
    assert!(said.matches("cannot be accepted").count() <= 2, "{said}");
    assert!(said.matches("cannot accept").count() <= 2, "{said}");
    limit("200");
    drop(waiting);
    assert_serves(clients);
    assert_answers(admin);
    assert!(!running.has_ended());
    running.signal("TERM");
    running.end().done();
}

#[test]
fn readiness_and_metrics_share_one_check_of_the_store() {
    let server = RedisServer::start();
    let proxy = Proxy::start(&server, &["--protect", "wa:*", "--count-every", "0"]);
    let port = proxy.admin_port();
    assert_answers(port);
    let (before, started) = (connections(&server), Instant::now());
    let askers: Vec<_> = (0..8)
        .map(|_| {
            thread::spawn(move || {
                for _ in 0..50 {
                    assert!(admin(port, "/readyz").0.starts_with("http/1.1 200"));
                    assert!(admin(port, "/metrics").0.starts_with("http/1.1 200"));
                }
            })
        })
        .collect();
    for asker in askers {
        asker.join().unwrap();
    }
    // One a second; the status page and the doctor have their own, and this test two.
    let most = 3 * started.elapsed().as_secs() + 12;
    let made = connections(&server) - before;
    assert!(made <= most, "{made} connections, {most} at most");
    proxy.stop();
}

#[test]
fn a_store_that_hangs_is_checked_once_at_a_time() {
    let server = RedisServer::start();
    let proxy = Proxy::start(&server, &["--protect", "wa:*", "--count-every", "0"]);
    let port = proxy.admin_port();
    let before = connections(&server);
    server.stop_process();
    let started = Instant::now();
    let askers: Vec<_> = (0..30)
        .map(|_| thread::spawn(move || admin(port, "/readyz").0))
        .collect();
    let heads: Vec<_> = askers.into_iter().map(|it| it.join().unwrap()).collect();
    server.continue_process();
    // One a second; the status page and the doctor have their own, and this test two.
    let most = 2 * started.elapsed().as_secs() + 10;
    let made = connections(&server) - before;
    assert!(made <= most, "{made} connections, {most} at most");
    assert!(
        heads.iter().all(|head| head.starts_with("http/1.1 503")),
        "{heads:?}"
    );
    wait_until(|| admin(port, "/readyz").0.starts_with("http/1.1 200"));
    proxy.stop();
}

#[test]
fn an_incomplete_request_is_ended() {
    let server = RedisServer::start();
    let proxy = Proxy::start(&server, &["--protect", "wa:*", "--count-every", "0"]);
    let port = proxy.admin_port();
    let mut begun = connect(port);
    begun
        .write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n")
        .unwrap();
    let mut never = connect(port);
    for stream in [&mut begun, &mut never] {
        let mut rest = Vec::new();
        match stream.read_to_end(&mut rest) {
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}"),
        }
    }
    proxy.stop();
}

#[test]
fn a_connection_answers_one_request_only() {
    let server = RedisServer::start();
    let proxy = Proxy::start(&server, &["--protect", "wa:*", "--count-every", "0"]);
    let port = proxy.admin_port();
    let healthz = "GET /healthz HTTP/1.1\r\nHost: x\r\n";
    let several = format!("{healthz}\r\n").repeat(100);
    let body = format!(
        "{healthz}Content-Length: 1000000000\r\n\r\n{}",
        "x".repeat(1000)
    );
    let chunks = format!("{healthz}Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n1\r\nx\r\n");
    for text in [several, body, chunks] {
        let mut stream = connect(port);
        stream.write_all(text.as_bytes()).unwrap();
        let mut answer = Vec::new();
        // What was not read of the request may reset the connection behind the answer.
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8(answer).unwrap().to_ascii_lowercase();
        assert_eq!(answer.matches("http/1.1 200").count(), 1, "{answer}");
        assert!(answer.contains("connection: close"), "{answer}");
    }
    proxy.stop();
}
