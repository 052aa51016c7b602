//! Counters that many processes and clients increment at once, through one proxy and through two: no increment is lost,
//! no number is given twice, and none is answered with an error.

use std::collections::BTreeSet;
use std::fs::File;
use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use waxseal_testing::{Application, Client, RedisServer};

use super::monitor::is_sealed;
use super::{from_environment, leave, server};
use crate::program::{KEY, Program};
use crate::proxy::Proxy;

const NAME: &str = "app:counter:visits";
const PROCESSES: u64 = 8;
/// Increments of each process.
const INCREMENTS: u64 = 100;
const CLIENTS: usize = 50;
/// Increments of each client in the short form.
const SHORT: usize = 20;

/// A proxy before a server that may have others.
#[track_caller]
fn proxy_before(redis: &RedisServer) -> Proxy {
    let program = Program::new().env("REDIS_ENCRYPTION_KEY", KEY);
    let flags = ["--protect", "app:*", "--format", "sealed"];
    Proxy::start_at(&program, &redis.url(), &flags)
}

/// Fails unless the counter is sealed and has this value through the proxy.
#[track_caller]
fn assert_counted(redis: &RedisServer, proxy: &Proxy, wanted: u64) {
    let through = proxy.client().cmd(&["GET", NAME]).to_text();
    assert_eq!(through, wanted.to_string());
    let stored = redis.client().cmd(&["GET", NAME]).bytes().unwrap();
    assert!(is_sealed(&stored), "the counter is in clear");
}

#[test]
fn eight_processes_count_to_eight_hundred() {
    let redis = server();
    let proxy = proxy_before(&redis);
    let program = Application::named("counters").python("counter.py");
    let output = TempDir::new().unwrap();
    let (port, times) = (proxy.port().to_string(), INCREMENTS.to_string());
    let start = |number: u64| -> Child {
        let stderr = File::create(output.path().join(number.to_string())).unwrap();
        program.start(&["127.0.0.1", &port, NAME, &times], stderr)
    };
    let began = Instant::now();
    let processes: Vec<_> = (0..PROCESSES).map(start).collect();
    for (number, mut process) in processes.into_iter().enumerate() {
        let status = process.wait().unwrap();
        let stderr = std::fs::read_to_string(output.path().join(number.to_string())).unwrap();
        assert!(status.success(), "{stderr}");
    }
    assert_counted(&redis, &proxy, PROCESSES * INCREMENTS);
    let seconds = began.elapsed().as_secs_f64();
    leave(
        "counter of eight processes",
        &format!("800 of 800 increments in {seconds:.1} s"),
    );
    proxy.stop();
}

/// The numbers that a client got, and the longest time for one.
struct Counted {
    numbers: Vec<u64>,
    longest: Duration,
}

/// Increments the counter so often, or until the end of the longer form.
fn count(port: u16, until: Option<Instant>) -> Counted {
    let mut client = Client::connect(port).unwrap();
    let mut numbers = Vec::new();
    let mut longest = Duration::ZERO;
    while until.map_or(numbers.len() < SHORT, |until| Instant::now() < until) {
        let asked = Instant::now();
        let reply = client.cmd(&["INCR", NAME]);
        longest = longest.max(asked.elapsed());
        assert!(reply.error().is_none(), "{reply:?}");
        numbers.push(reply.to_text().parse().unwrap());
    }
    Counted { numbers, longest }
}

#[test]
fn fifty_clients_count_exactly_through_two_proxies() {
    let redis = server();
    let proxies = [proxy_before(&redis), proxy_before(&redis)];
    let seconds = from_environment(super::SECONDS);
    let until = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let began = Instant::now();
    let counted: Vec<Counted> = thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let port = proxies[client % proxies.len()].port();
                scope.spawn(move || count(port, until))
            })
            .collect();
        let counted = clients.into_iter().map(|client| client.join().unwrap());
        counted.collect()
    });
    let seconds = began.elapsed().as_secs_f64();
    let numbers: BTreeSet<u64> = counted.iter().flat_map(|it| &it.numbers).copied().collect();
    let total: usize = counted.iter().map(|it| it.numbers.len()).sum();
    assert_eq!(numbers.len(), total, "a number was given twice");
    let total = u64::try_from(total).unwrap();
    assert_eq!(numbers.last(), Some(&total), "an increment was lost");
    for proxy in &proxies {
        assert_counted(&redis, proxy, total);
    }
    let longest = counted.iter().map(|it| it.longest).max().unwrap();
    let fewest = counted.iter().map(|it| it.numbers.len()).min().unwrap();
    leave(
        "counter of fifty clients",
        &format!(
            "{total} increments in {seconds:.1} s through two proxies, none lost; the longest took {} ms; \
             no client had fewer than {fewest}",
            longest.as_millis()
        ),
    );
    for proxy in proxies {
        proxy.stop();
    }
}
