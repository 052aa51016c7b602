//! Measures the records a second that `waxseal migrate`, `rotate` and `audit` go through, beside Node.js
//! scripts and beside what the server can do at most, all in one run and in turns.
//!
//! `cargo bench -p waxseal-cli --bench migration [-- RECORDS ROUNDS]`
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

#[path = "migration/limit.rs"]
mod limit;
#[path = "migration/peers.rs"]
mod peers;

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use waxseal_testing::{Flavor, RedisServer, load_states};

const KEY: &str = "6c1f0a5be2d94738a1c05f3e7b9d2846f0e1d2c3b4a5968778695a4b3c2d1e0f";
const NEW_KEY: &str = "91d2c3b4a5968778695a4b3c2d1e0f6c1f0a5be2d94738a1c05f3e7b9d2846f0";
const TTL: Duration = Duration::from_secs(7_200);

/// A measurement: a name, and one pass over freshly loaded records that returns how many it went
/// through and how long that took.
struct Side {
    name: &'static str,
    pass: fn(&RedisServer, u64) -> (u64, Duration),
    rates: Vec<f64>,
    /// The server's CPU time a record, in microseconds.
    server_cpu: Vec<f64>,
}

impl Side {
    fn new(name: &'static str, pass: fn(&RedisServer, u64) -> (u64, Duration)) -> Self {
        Self {
            name,
            pass,
            rates: Vec::new(),
            server_cpu: Vec::new(),
        }
    }
}

fn main() {
    let mut numbers = std::env::args()
        .skip(1)
        .filter_map(|word| word.parse::<u64>().ok());
    let records = numbers.next().unwrap_or(200_000);
    let rounds = numbers.next().unwrap_or(5);
    peers::install();
    for flavor in [Flavor::System, Flavor::Valkey] {
        let mut sides = sides();
        for _ in 0..rounds {
            for side in &mut sides {
                let server = RedisServer::builder().flavor(flavor).start();
                load_states(&server, records, TTL);
                let before = cpu(&server);
                let (done, took) = (side.pass)(&server, records);
                assert!(done > 0, "{} went through nothing", side.name);
                side.rates.push(done as f64 / took.as_secs_f64());
                side.server_cpu
                    .push((cpu(&server) - before) * 1e6 / done as f64);
            }
        }
        print(flavor, records, rounds, &mut sides);
    }
}

fn sides() -> Vec<Side> {
    vec![
        Side::new("node, one await after another", peers::sequential),
        Side::new(
            "node, batches, compare-and-set, 2 in flight",
            peers::pipelined,
        ),
        Side::new("limit: SCAN + MGET only", limit::read_only),
        Side::new(
            "limit: compare-and-set by Lua, many a call",
            limit::compare_and_set,
        ),
        Side::new(
            "limit: the same, values as long as classic ones",
            limit::compare_and_set_longer,
        ),
        Side::new("waxseal migrate (classic)", |server, records| {
            waxseal(server, records, &["migrate"], &[])
        }),
        Side::new("waxseal migrate (sealed)", |server, records| {
            waxseal(server, records, &["migrate", "--format", "sealed"], &[])
        }),
        Side::new("waxseal rotate (sealed)", |server, records| {
            waxseal(server, records, &["migrate", "--format", "sealed"], &[]);
            let keys = [
                ("REDIS_ENCRYPTION_KEY", NEW_KEY),
                ("REDIS_ENCRYPTION_PREVIOUS_KEYS", KEY),
            ];
            waxseal(server, records, &["rotate"], &keys)
        }),
        Side::new("waxseal audit (sealed)", |server, records| {
            waxseal(server, records, &["migrate", "--format", "sealed"], &[]);
            waxseal(server, records, &["audit"], &[])
        }),
    ]
}

/// One run of the program, from its start to its end.
fn waxseal(
    server: &RedisServer,
    records: u64,
    arguments: &[&str],
    environment: &[(&str, &str)],
) -> (u64, Duration) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_waxseal"));
    command
        .args(arguments)
        .args(["--max-latency", "0", "--json"]);
    command
        .env("REDIS_ENCRYPTION_KEY", KEY)
        .env("REDIS_URL", server.url());
    command.envs(environment.iter().copied());
    let started = Instant::now();
    let output = command.output().expect("the program starts");
    let took = started.elapsed();
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let pattern = &report["patterns"][0];
    let done = pattern["done"]
        .as_u64()
        .or(pattern["sealed"].as_u64())
        .expect("a count");
    assert_eq!(
        done, records,
        "{arguments:?} did not go through all records"
    );
    (done, took)
}

/// The CPU time that the server has used, in seconds.
fn cpu(server: &RedisServer) -> f64 {
    let info = server.cli(&["INFO", "cpu"]);
    let used = |name: &str| {
        let line = info.lines().find_map(|line| line.strip_prefix(name));
        line.expect("INFO tells it")
            .trim()
            .parse::<f64>()
            .expect("seconds")
    };
    used("used_cpu_user:") + used("used_cpu_sys:")
}

fn print(flavor: Flavor, records: u64, rounds: u64, sides: &mut [Side]) {
    println!("\n{flavor:?}, {records} states with expiries, {rounds} rounds in turns");
    println!(
        "{:<46} {:>9} {:>9} {:>9}  server CPU",
        "records a second", "median", "min", "max"
    );
    for side in sides {
        let rates = &mut side.rates;
        rates.sort_by(f64::total_cmp);
        side.server_cpu.sort_by(f64::total_cmp);
        println!(
            "{:<46} {:>9.0} {:>9.0} {:>9.0}  {:.1} us",
            side.name,
            rates[rates.len() / 2],
            rates[0],
            rates[rates.len() - 1],
            side.server_cpu[rates.len() / 2]
        );
    }
}

/// A directory for what the benchmark installs for itself.
fn tools() -> PathBuf {
    waxseal_testing::tools::tools_directory().join("node")
}
