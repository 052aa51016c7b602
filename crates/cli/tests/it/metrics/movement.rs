//! Every metric of the table moves that can on one machine: a proxy with a keyring under load, a rotation in the middle,
//! and clients that make mistakes.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use waxseal_metrics::{Kind, TABLE};
use waxseal_testing::{Client, RedisServer};

use super::admin;
use super::exposition::{Exposition, Labels};
use crate::program::{Program, happens_within, wait_until};
use crate::proxy::Proxy;

/// Metrics that do not move here, and why.
const STILL: [(&str, &str); 17] = [
    ("waxseal_names_left_out_total", "no names are sealed"),
    ("waxseal_messages_dropped_total", "no channel is protected"),
    ("waxseal_trial_refusals_total", "the proxy is not a trial"),
    ("waxseal_client_tls_failures_total", "there is no TLS"),
    (
        "waxseal_upstream_errors_total",
        "the server stays reachable",
    ),
    (
        "waxseal_client_buffer_bytes",
        "the clients read their replies",
    ),
    (
        "waxseal_upstream_connections_suspect",
        "no reply of the server is late",
    ),
    (
        "waxseal_upstream_switches_total",
        "the server stays a primary",
    ),
    ("waxseal_ready", "the server stays reachable"),
    (
        "waxseal_keyring_trouble",
        "nothing is wrong with the keyring",
    ),
    (
        "waxseal_quarantined_values_total",
        "the library moves values to quarantine, a proxy does not",
    ),
    ("waxseal_mode", "the mode does not change"),
    (
        "waxseal_certificate_expiry_timestamp_seconds",
        "there is no TLS",
    ),
    ("waxseal_log_lines_lost_total", "the log is read"),
    ("waxseal_panics_total", "there is no panic"),
    (
        "waxseal_custodian_threads_hung",
        "the custodian is in the process",
    ),
    (
        "waxseal_keyring_clock_offset_seconds",
        "the server has the clock of this machine",
    ),
];

const CLIENTS: u64 = 4;
/// Requests that a client sends before it reads replies.
const PIPELINED: u64 = 16;
const RECORDS: u64 = 400;
/// The proxy accepts no more clients.
const MAX_CLIENTS: usize = 12;
/// Larger than the proxy accepts.
const TOO_LARGE: usize = 200 * 1024;

const CONFIGURATION: &str = "\
keyring = \"file:keyring.json\"
user_keys = \"file:users.waxseal\"
decoys = [\"s:decoy\"]

[[protect]]
name = \"States\"
records = \"s:*\"
format = \"sealed\"
plain_values = \"json\"

[[protect]]
name = \"Users\"
records = \"u:{user}\"
format = \"sealed\"
per_user_keys = true
plain_values = \"json\"
";

type Series = BTreeMap<Labels, f64>;

/// The metrics of the table through the readings of one process.
struct Movement(BTreeMap<&'static str, MetricMovement>);

/// One metric from its first reading to its last.
#[derive(Default)]
struct MetricMovement {
    first: Series,
    /// Its sum at the first reading and at the last; of a histogram the number of its samples.
    before: f64,
    after: f64,
    /// The lowest and the highest sum.
    lowest: f64,
    highest: f64,
    /// True if any of its series ever differed from the first reading. The sum of a gauge can stay the same while its
    /// series change: a key that goes from one state to another.
    has_moved: bool,
}

impl Movement {
    fn begin(first: &Exposition) -> Self {
        let begin = |metric: &'static waxseal_metrics::Metric| {
            let first = series(metric, first);
            let sum = first.values().sum();
            let movement = MetricMovement {
                first,
                before: sum,
                after: sum,
                lowest: sum,
                highest: sum,
                has_moved: false,
            };
            (metric.name, movement)
        };
        Self(TABLE.iter().copied().map(begin).collect())
    }

    fn record(&mut self, now: &Exposition) {
        for metric in TABLE {
            let movement = self.0.get_mut(metric.name).unwrap();
            let now = series(metric, now);
            let sum = now.values().sum();
            movement.after = sum;
            movement.lowest = movement.lowest.min(sum);
            movement.highest = movement.highest.max(sum);
            movement.has_moved |= differ(&movement.first, &now) || differ(&now, &movement.first);
        }
    }
}

fn series(metric: &waxseal_metrics::Metric, now: &Exposition) -> Series {
    let name = match metric.kind {
        Kind::Histogram => format!("{}_count", metric.name),
        Kind::Counter | Kind::Gauge => metric.name.to_owned(),
    };
    let samples = now.samples.iter().filter(|(it, ..)| *it == name);
    samples
        .map(|(_, labels, value)| (labels.clone(), *value))
        .collect()
}

/// True if one of these series differs from the others. One that is missing there counts as 0.
fn differ(these: &Series, those: &Series) -> bool {
    let mut these = these.iter();
    these.any(|(labels, value)| *value != those.get(labels).copied().unwrap_or_default())
}

fn state(index: u64) -> String {
    format!("{{\"step\":{index},\"name\":\"María Núñez\"}}")
}

fn name(index: u64) -> String {
    // Most records are under the ring, some under keys of their users.
    let kind = if index.is_multiple_of(8) { "u" } else { "s" };
    format!("{kind}:{index}")
}

/// Stops the load, even if the test fails: its threads would be waited for.
struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Reads plain records through the proxy, seals them by writing, and reads them again, until told to stop.
fn load(mut connection: Client, number: u64, stop: &AtomicBool, wrong: &AtomicU64) {
    let mut at = number * PIPELINED;
    while !stop.load(Ordering::Relaxed) {
        let indices: Vec<_> = (at..at + PIPELINED).map(|it| it % RECORDS).collect();
        let requests = indices.iter().flat_map(|index| {
            let (name, state) = (name(*index), state(*index));
            [
                vec!["GET".to_owned(), name.clone()],
                vec!["SET".to_owned(), name, state],
            ]
        });
        let replies = connection.pipeline(&requests.collect::<Vec<_>>());
        for (index, pair) in indices.iter().zip(replies.chunks(2)) {
            let is_right = pair[0].to_text() == state(*index) && pair[1].to_text() == "OK";
            wrong.fetch_add(u64::from(!is_right), Ordering::Relaxed);
        }
        at += CLIENTS * PIPELINED;
        thread::sleep(Duration::from_millis(5));
    }
}

/// Mistakes of clients: refused commands, a value that was moved, one that is sealed twice, one that is too large, an
/// opened decoy, too many clients, and one that stops in the middle of a request.
fn misuse(server: &RedisServer, port: u16) {
    let mut client = Client::connect(port).unwrap();
    let mut direct = server.client();
    client.cmd(&["SET", "s:home", "{}"]);
    for refused in [
        &["INCREX", "s:home"][..],
        &["BITOP", "NOT", "s:home", "s:home"],
    ] {
        assert!(client.cmd(refused).error().is_some(), "{refused:?}");
    }
    client.cmd(&["EVAL", "return 1", "0"]);
    // Computed on what was written last, which another writer has replaced.
    for number in ["1", "2"] {
        direct.cmd(&["SET", "s:number", number]);
        client.cmd(&["INCR", "s:number"]);
    }
    client.cmd(&["LPUSH", "open", "x"]);
    assert!(client.cmd(&["GET", "open"]).error().is_some());
    client.cmd(&["EXISTS", "s:decoy"]);
    client.cmd(&["GET", "s:decoy"]);
    let envelope = direct.cmd(&["GET", "s:home"]).bytes().unwrap();
    direct.cmd(&[b"SET".as_slice(), b"s:away".as_slice(), envelope.as_slice()]);
    assert!(client.cmd(&["GET", "s:away"]).error().is_some(), "moved");
    // As an application does that encrypts as well.
    client.cmd(&[b"SET".as_slice(), b"s:home".as_slice(), envelope.as_slice()]);
    let large = format!("{{\"v\":\"{}\"}}", "x".repeat(TOO_LARGE));
    direct.cmd(&["SET", "s:large", &large]);
    assert!(client.cmd(&["GET", "s:large"]).error().is_some(), "large");
    // A value that does not open would keep its key in use.
    direct.cmd(&["DEL", "s:away", "s:large"]);

    let clients = (0..MAX_CLIENTS).filter_map(|_| {
        let mut client = Client::connect(port).ok()?;
        let reply = client.try_cmd(&["PING"]).ok()?;
        (reply.to_text() == "PONG").then_some(client)
    });
    let accepted: Vec<_> = clients.collect();
    assert!(accepted.len() < MAX_CLIENTS, "no client was turned away");
    drop(accepted);
    hang(port);
}

/// Stops in the middle of a request, and is disconnected.
fn hang(port: u16) {
    wait_until(|| {
        let Ok(mut client) = Client::connect(port) else {
            return false;
        };
        client
            .try_cmd(&["PING"])
            .is_ok_and(|it| it.to_text() == "PONG")
    });
    wait_until(|| {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream
            .write_all(b"*1\r\n$4\r\nPING\r\n*3\r\n$3\r\nSET\r\n")
            .unwrap();
        let mut replies = Vec::new();
        // Ends when the proxy disconnects it.
        let _ = stream.read_to_end(&mut replies);
        replies.starts_with(b"+PONG")
    });
}

fn read(port: u16) -> Exposition {
    Exposition::read(&admin(port, "/metrics").1)
}

#[test]
fn every_metric_moves_that_can_move_on_one_machine() {
    let server = RedisServer::start();
    let mut direct = server.client();
    for index in 0..RECORDS {
        direct.cmd(&["SET", &name(index), &state(index)]);
    }
    let program = Program::at(&server).file("waxseal.toml", CONFIGURATION);
    let times = [
        "--propagation",
        "1s",
        "--refresh",
        "200ms",
        "--retain",
        "1s",
    ];
    let init = [&["keyring", "init"], &times[..]].concat();
    program.run(&init).done();
    // The proxy holds the file of users' keys while it runs.
    program.run(&["decoy", "plant"]).done();
    let most = MAX_CLIENTS.to_string();
    let flags = [
        "--count-every",
        "1",
        "--half-request",
        "1",
        "--max-value",
        "64KiB",
        "--max-connections",
        &most,
    ];
    let proxy = Proxy::start_configured(&program, &flags);
    let (port, admin_port) = (proxy.port(), proxy.admin_port());
    let mut movement = Movement::begin(&read(admin_port));

    let (stop, wrong) = (AtomicBool::new(false), AtomicU64::new(0));
    let is_retired = thread::scope(|scope| {
        for number in 0..CLIENTS {
            // Accepted before the clients that are too many.
            let mut client = proxy.client();
            client.cmd(&["PING"]);
            let (stop, wrong) = (&stop, &wrong);
            scope.spawn(move || load(client, number, stop, wrong));
        }
        let _stop = StopOnDrop(&stop);
        misuse(&server, port);
        program.run(&["keyring", "add"]).done();
        let has_all = |movement: &Movement| {
            let mut metrics = movement.0.iter();
            metrics.all(|(name, it)| it.has_moved || STILL.iter().any(|(still, _)| still == name))
        };
        let mut is_retired = false;
        happens_within(Duration::from_secs(90), || {
            let now = read(admin_port);
            movement.record(&now);
            let keys = |state| now.sum("waxseal_keyring_keys", &[("state", state)]);
            is_retired |= keys("archived") + keys("destroyed") > 0.0;
            is_retired && has_all(&movement)
        });
        is_retired
    });
    assert!(is_retired, "the old key was not retired");
    movement.record(&read(admin_port));
    assert_eq!(wrong.into_inner(), 0, "replies were wrong");
    let moved = movement.0.values().filter(|it| it.has_moved).count();
    assert!(moved > 30, "{moved} metrics moved");
    for (name, movement) in &movement.0 {
        let is_still = STILL.iter().any(|(still, _)| still == name);
        assert!(movement.has_moved || is_still, "{name} should have moved");
    }
    proxy.stop();
}

fn watch(texts: &[&str]) -> Movement {
    let texts: Vec<_> = texts.iter().map(|it| Exposition::read(it)).collect();
    let mut movement = Movement::begin(&texts[0]);
    texts[1..].iter().for_each(|it| movement.record(it));
    movement
}

fn of(kind: &str, name: &str, samples: &str) -> String {
    format!("# HELP {name} x\n# TYPE {name} {kind}\n{samples}")
}

#[test]
fn every_metric_is_followed_and_none_moves_without_a_change() {
    let ready = of("gauge", "waxseal_ready", "waxseal_ready 1\n");
    let movement = watch(&[&ready, &ready]);
    assert_eq!(movement.0.len(), TABLE.len());
    assert!(movement.0.values().all(|it| !it.has_moved));
}

#[test]
fn counters_are_summed_and_histograms_count_their_samples() {
    let seals = "waxseal_seals_total";
    let took = "waxseal_seal_duration_seconds";
    let first = of("counter", seals, &format!("{seals}{{result=\"ok\"}} 2\n"));
    let more = format!("{seals}{{result=\"ok\"}} 2\n{seals}{{result=\"left\"}} 3\n");
    let histogram = format!("{took}_bucket{{le=\"+Inf\"}} 7\n{took}_sum 0.5\n{took}_count 7\n");
    let second = of("counter", seals, &more) + &of("histogram", took, &histogram);
    let movement = watch(&[&first, &second]);
    let of = |name| &movement.0[name];
    assert_eq!((of(seals).before, of(seals).after), (2.0, 5.0));
    assert_eq!((of(took).before, of(took).after), (0.0, 7.0));
    assert!(of(seals).has_moved && of(took).has_moved);
}

#[test]
fn a_gauge_that_returned_to_its_value_has_moved() {
    let name = "waxseal_client_connections";
    let readings = ["4", "9", "1", "4"].map(|it| of("gauge", name, &format!("{name} {it}\n")));
    let movement = watch(&readings.each_ref().map(String::as_str));
    let gauge = &movement.0[name];
    assert_eq!((gauge.before, gauge.after), (4.0, 4.0));
    assert_eq!((gauge.lowest, gauge.highest), (1.0, 9.0));
    assert!(gauge.has_moved);
}

#[test]
fn a_gauge_moves_if_only_its_series_do_or_one_ends() {
    let name = "waxseal_keyring_keys";
    let keys = |pending, sealing| {
        let pending = format!("{name}{{state=\"pending\"}} {pending}\n");
        of(
            "gauge",
            name,
            &format!("{pending}{name}{{state=\"sealing\"}} {sealing}\n"),
        )
    };
    let movement = watch(&[&keys(1, 0), &keys(0, 1)]);
    let gauge = &movement.0[name];
    assert_eq!(
        (gauge.lowest, gauge.highest, gauge.has_moved),
        (1.0, 1.0, true)
    );
    assert!(watch(&[&keys(1, 0), "\n"]).0[name].has_moved);
}

#[test]
fn infinity_that_stays_does_not_move_and_a_new_series_at_0_does_not() {
    let name = "waxseal_keyring_next_step_seconds";
    let at = |value: &str| of("gauge", name, &format!("{name} {value}\n"));
    assert!(!watch(&[&at("+Inf"), &at("+Inf")]).0[name].has_moved);
    assert!(watch(&[&at("+Inf"), &at("12")]).0[name].has_moved);
    assert!(!watch(&["\n", &at("0")]).0[name].has_moved);
}
