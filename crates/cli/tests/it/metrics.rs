//! The exact numbers that a running proxy counts: a load of known size passes through it, and the text of its admin address
//! is parsed strictly. The text contains no name, value, user or key id.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use waxseal_core::SecretKey;
use waxseal_metrics::TABLE;
use waxseal_testing::tools::on_path;
use waxseal_testing::{Client, RedisServer};

use self::exposition::Exposition;
use crate::program::{KEY, Program, shows_phone, wait_until};
use crate::proxy::{PROTECTED_MARKER, Proxy};

pub(crate) mod exposition;
mod movement;
mod server;

/// What the admin address answers: head and body.
#[track_caller]
pub(crate) fn admin(port: u16, path: &str) -> (String, String) {
    admin_as(port, path, "Host: waxseal\r\n")
}

/// The same with these headers.
#[track_caller]
pub(crate) fn admin_as(port: u16, path: &str, headers: &str) -> (String, String) {
    admin_request("GET", port, path, headers)
}

/// The same by another method, without a body.
#[track_caller]
pub(crate) fn admin_request(
    method: &str,
    port: u16,
    path: &str,
    headers: &str,
) -> (String, String) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let limit = Some(Duration::from_secs(30));
    stream.set_read_timeout(limit).unwrap();
    let request = format!("{method} {path} HTTP/1.1\r\n{headers}Connection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_ascii_lowercase(), body.to_owned())
}

/// What is counted, after everything was checked that is true of any such text.
#[track_caller]
pub(crate) fn metrics(port: u16) -> Exposition {
    let (head, text) = admin(port, "/metrics");
    assert!(head.starts_with("http/1.1 200"), "{head}");
    assert!(
        head.contains("content-type: text/plain; version=0.0.4"),
        "{head}"
    );
    let id = SecretKey::from_hex(KEY).unwrap().id().to_string();
    for secret in [PROTECTED_MARKER, "wa:1", "grupo", &id, &KEY[..8]] {
        assert!(!text.contains(secret), "{secret} shows in\n{text}");
    }
    assert!(!shows_phone(&text), "a record name shows in\n{text}");
    let read = Exposition::read(&text);
    for (name, kind) in &read.kinds {
        let metric = TABLE.iter().find(|metric| metric.name == name);
        let metric = metric.unwrap_or_else(|| panic!("{name} is not in the table"));
        assert_eq!(
            format!("{:?}", metric.kind).to_ascii_lowercase(),
            *kind,
            "{name}"
        );
    }
    for (name, labels, _) in &read.samples {
        // A histogram's samples have names that are longer; another metric's may be as well.
        let metrics = TABLE.iter().filter(|it| name.starts_with(it.name));
        let metric = metrics.max_by_key(|it| it.name.len()).unwrap();
        for (label, word) in labels.iter().filter(|(label, _)| *label != "le") {
            assert!(metric.allows(label, word), "{name} {label}={word}");
        }
    }
    promtool(&text);
    read
}

/// Prometheus' own judge.
fn promtool(text: &str) {
    let mut command = Command::new(on_path("promtool"));
    let started = command
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .spawn();
    let mut child = started.expect("start promtool");
    child
        .stdin
        .take()
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    assert!(child.wait().unwrap().success());
}

/// A client that knows how many bytes its requests are.
struct Counting {
    client: Client,
    sent: usize,
}

impl Counting {
    #[track_caller]
    fn cmd(&mut self, words: &[&str]) -> String {
        let words_len = words.iter().map(|word| {
            let digits = word.len().to_string().len();
            digits + word.len() + "$\r\n\r\n".len()
        });
        let head = "*\r\n".len() + words.len().to_string().len();
        self.sent += head + words_len.sum::<usize>();
        self.client.cmd(words).to_text()
    }
}

/// Labels and what they are.
type Selected = &'static [(&'static str, &'static str)];

/// What the load makes of each counter: the name behind `waxseal_`, labels that select, the sum.
const OF_THE_LOAD: [(&str, Selected, f64); 29] = [
    (
        "seals_total",
        &[("result", "ok"), ("format", "sealed")],
        43.0,
    ),
    ("seals_total", &[], 43.0),
    (
        "opens_total",
        &[("result", "ok"), ("format", "sealed")],
        43.0,
    ),
    ("opens_total", &[("result", "ok"), ("format", "plain")], 3.0),
    (
        "opens_total",
        &[("result", "refused"), ("format", "sealed")],
        1.0,
    ),
    ("opens_total", &[], 47.0),
    ("plain_values_total", &[("pattern", "WhatsApp state")], 3.0),
    ("plain_values_total", &[], 3.0),
    (
        "refused_commands_total",
        &[("command", "increx"), ("reason", "computes_on_value")],
        2.0,
    ),
    (
        "refused_commands_total",
        &[("command", "other"), ("reason", "unknown_command")],
        1.0,
    ),
    ("refused_commands_total", &[], 3.0),
    // Every sixteenth of a thread, beginning with the first; what is not there is no opening.
    ("seal_duration_seconds_count", &[], 3.0),
    ("open_duration_seconds_count", &[], 3.0),
    ("client_connections", &[], 1.0),
    ("client_connections_opened_total", &[], 1.0),
    ("client_connections_turned_away_total", &[], 0.0),
    ("client_connections_cut_total", &[], 0.0),
    // A command that is not known takes the client off its lane.
    ("upstream_connections", &[], 2.0),
    ("upstream_connections_opened_total", &[], 2.0),
    ("upstream_errors_total", &[], 0.0),
    ("upstream_connections_suspect", &[], 0.0),
    ("upstream_switches_total", &[], 0.0),
    ("server_errors_total", &[], 0.0),
    ("client_tls_failures_total", &[], 0.0),
    ("replies_too_large_total", &[], 0.0),
    ("decoys_opened_total", &[], 0.0),
    ("ready", &[], 1.0),
    ("keyring_version", &[], 0.0),
    ("quarantined_values_total", &[], 0.0),
];

/// A load of known size.
#[track_caller]
fn load(client: &mut Counting, redis: &RedisServer) {
    let value = format!("{{\"v\":\"{PROTECTED_MARKER}\"}}");
    for number in 0..40 {
        let name = format!("wa:52155{number:04}");
        assert_eq!(client.cmd(&["SET", &name, &value]), "OK");
        assert_eq!(client.cmd(&["GET", &name]), value);
    }
    client.cmd(&["HSET", "wa:grupo", "a", &value, "b", &value, "c", &value]);
    client.cmd(&["HGETALL", "wa:grupo"]);
    assert_eq!(client.cmd(&["SET", "open:1", &value]), "OK");
    assert_eq!(client.cmd(&["GET", "open:1"]), value);
    assert_eq!(client.cmd(&["GET", "wa:nothing"]), "");
    for _ in 0..2 {
        let refused = client.cmd(&["INCREX", "wa:521550001"]);
        assert!(refused.starts_with("SEALREFUSED INCREX"), "{refused}");
    }
    let refused = client.cmd(&["MODULE.WORD", "wa:521550001"]);
    assert!(refused.starts_with("SEALREFUSED"), "{refused}");
    // Past the proxy: a plain value, and an envelope in another place than its own.
    let mut direct = redis.client();
    direct.cmd(&["SET", "wa:plain", &value]);
    direct.cmd(&["COPY", "wa:521550001", "wa:moved"]);
    for _ in 0..3 {
        assert_eq!(client.cmd(&["GET", "wa:plain"]), value);
    }
    assert!(client.cmd(&["GET", "wa:moved"]).starts_with("SEALBROKEN"));
}

#[test]
fn each_counter_has_exactly_the_value_of_the_load() {
    let redis = RedisServer::start();
    let flags = ["--protect", "wa:*", "--format", "sealed", "--workers", "1"];
    let proxy = Proxy::start(&redis, &flags);
    let mut client = Counting {
        client: proxy.client(),
        sent: 0,
    };
    load(&mut client, &redis);
    let counted = metrics(proxy.admin_port());
    let sum = |name: &str, labels: &[(&str, &str)]| counted.sum(&format!("waxseal_{name}"), labels);
    for (name, labels, expected) in OF_THE_LOAD {
        assert_eq!(sum(name, labels), expected, "{name} {labels:?}");
    }
    let id = SecretKey::from_hex(KEY).unwrap().id().to_u32();
    let key = waxseal_keys::instrumented::key_name(id);
    let under = [("result", "ok"), ("key", key.as_str())];
    assert_eq!(sum("seals_total", &under), 43.0);
    let from_client = sum("received_bytes_total", &[("side", "client")]);
    assert_eq!(from_client, client.sent as f64);
    // Each envelope is longer than its value.
    assert!(sum("sent_bytes_total", &[("side", "upstream")]) > from_client);
    proxy.stop();
}

#[test]
fn plain_values_are_counted_even_if_they_are_refused() {
    let redis = RedisServer::start();
    let program = Program::at(&redis).env("ENABLE_REDIS_ENCRYPTION", "required");
    redis.client().cmd(&["SET", "wa:1", "{}"]);
    let flags = ["--protect", "wa:*"];
    let proxy = Proxy::start_as(&program, &redis, &flags);
    assert!(
        proxy
            .client()
            .cmd(&["GET", "wa:1"])
            .to_text()
            .contains("plaintext")
    );
    let counted = metrics(proxy.admin_port());
    assert_eq!(counted.sum("waxseal_plain_values_total", &[]), 1.0);
    let refused = [
        ("result", "plaintext"),
        ("format", "plain"),
        ("key", "none"),
    ];
    assert_eq!(counted.sum("waxseal_opens_total", &refused), 1.0);
    proxy.stop();
}

#[test]
fn accepted_closed_and_rejected_connections_are_counted() {
    let mut redis = RedisServer::start();
    let flags = [
        "--protect",
        "wa:*",
        "--max-connections",
        "2",
        "--upstream",
        "own",
    ];
    let proxy = Proxy::start(&redis, &flags);
    let port = proxy.admin_port();
    let mut clients = [proxy.client(), proxy.client()];
    for client in &mut clients {
        assert_eq!(client.cmd(&["PING"]).to_text(), "PONG");
    }
    assert!(
        proxy
            .client()
            .cmd(&["PING"])
            .to_text()
            .contains("max number")
    );
    for (metric, number) in [
        ("waxseal_client_connections", 2.0),
        ("waxseal_upstream_connections", 2.0),
        ("waxseal_client_connections_turned_away_total", 1.0),
    ] {
        wait_until(|| metrics(port).sum(metric, &[]) == number);
    }
    drop(clients);
    wait_until(|| metrics(port).sum("waxseal_client_connections", &[]) == 0.0);
    wait_until(|| metrics(port).sum("waxseal_upstream_connections", &[]) == 0.0);
    redis.kill();
    proxy.client().cmd(&["PING"]);
    let refused = [("kind", "refused")];
    wait_until(|| metrics(port).sum("waxseal_upstream_errors_total", &refused) == 1.0);
    let counted = metrics(port);
    assert_eq!(
        counted.sum("waxseal_client_connections_opened_total", &[]),
        3.0
    );
    // What was found out about the server counts for a second.
    wait_until(|| metrics(port).sum("waxseal_ready", &[]) == 0.0);
}
