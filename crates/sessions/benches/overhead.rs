//! The cost of `StateManager` over plain `redis` calls with the same JSON on the same server: each
//! operation is timed alone, the two sides take turns, and the medians of many rounds are compared.
//!
//! `cargo bench -p waxseal-sessions --bench overhead`
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use serde_json::Value;
use waxseal_core::{Format, Keyring, Mode, Sealer, SecretKey};
use waxseal_sessions::{Options, StateManager};
use waxseal_stores::{RedisOptions, RedisStore, StoreUrl};
use waxseal_testing::{RedisServer, state_json_sized};

const ROUNDS: usize = 15;
const OPERATIONS: usize = 4_000;
const TTL: u64 = 3_600;
const USER: &str = "5215512345678";

/// Times of one side in one round, sorted.
struct Times(Vec<Duration>);

impl Times {
    fn micros(&self, share: f64) -> f64 {
        let last = self.0.len() - 1;
        self.0[(last as f64 * share).round() as usize].as_secs_f64() * 1e6
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let server = RedisServer::start();
    let key = || SecretKey::generate().expect("random");
    for (name, format) in [("sealed", Format::Sealed), ("classic", Format::Classic)] {
        let keyring = Arc::new(Keyring::new(key()).expect("a key"));
        let sealer = Sealer::new(keyring, Mode::Required, format);
        let StoreUrl::Redis(url) = StoreUrl::parse(&server.url()).expect("a URL") else {
            unreachable!("it is a redis URL")
        };
        server.cli(&["FLUSHALL"]);
        let store = RedisStore::connect(&url, RedisOptions::default())
            .await
            .expect("up");
        let ours = StateManager::start(Arc::new(store), sealer, Options::default());
        let ours = ours.await.expect("an empty store");
        let plain = plain_connection(&server).await;
        for bytes in [256, 1_024, 4_096] {
            let state: Value = serde_json::from_str(&state_json_sized(1, bytes)).expect("JSON");
            compare(name, bytes, &ours, &plain, &state).await;
        }
    }
}

async fn plain_connection(server: &RedisServer) -> MultiplexedConnection {
    let client = redis::Client::open(server.url()).expect("a URL");
    client.get_multiplexed_async_connection().await.expect("up")
}

async fn compare(
    format: &str,
    bytes: usize,
    ours: &StateManager,
    plain: &MultiplexedConnection,
    state: &Value,
) {
    let mut rounds = [Vec::new(), Vec::new(), Vec::new(), Vec::new()];
    // The first round warms up.
    for round in 0..=ROUNDS {
        let mut times = [(); 4].map(|()| Vec::with_capacity(OPERATIONS));
        for _ in 0..OPERATIONS {
            let started = Instant::now();
            plain_set(plain, state).await;
            times[0].push(started.elapsed());
            let started = Instant::now();
            ours.set(USER, state).await.expect("set");
            times[1].push(started.elapsed());
            let started = Instant::now();
            plain_get(plain).await;
            times[2].push(started.elapsed());
            let started = Instant::now();
            let got: Option<Value> = ours.get(USER).await.expect("get");
            times[3].push(started.elapsed());
            assert!(got.is_some(), "the state is there");
        }
        if round > 0 {
            for (side, mut times) in rounds.iter_mut().zip(times) {
                times.sort_unstable();
                side.push(Times(times));
            }
        }
    }
    for (operation, plain, ours) in [("set", 0, 1), ("get", 2, 3)] {
        let added = |share| added(&rounds[plain], &rounds[ours], share);
        let (p50, p99) = (added(0.5), added(0.99));
        println!(
            "{format:<8} {operation} {bytes:>5} B  plain p50 {:>6.1} us  added p50 {:>5.2} us \
             (min {:.2}, max {:.2})  plain p99 {:>6.1} us  added p99 {:>5.1} %",
            median(rounds[plain].iter().map(|t| t.micros(0.5))),
            median(p50.iter().copied()),
            p50.iter().copied().fold(f64::MAX, f64::min),
            p50.iter().copied().fold(f64::MIN, f64::max),
            median(rounds[plain].iter().map(|t| t.micros(0.99))),
            100.0 * median(p99.iter().copied())
                / median(rounds[plain].iter().map(|t| t.micros(0.99))),
        );
    }
}

/// By how many microseconds our side is slower, round by round.
fn added(plain: &[Times], ours: &[Times], share: f64) -> Vec<f64> {
    plain
        .iter()
        .zip(ours)
        .map(|(plain, ours)| ours.micros(share) - plain.micros(share))
        .collect()
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

async fn plain_set(connection: &MultiplexedConnection, state: &Value) {
    let json = serde_json::to_vec(state).expect("JSON");
    let mut set = redis::cmd("SET");
    set.arg(format!("plain:{USER}"))
        .arg(json)
        .arg("EX")
        .arg(TTL);
    let () = set.query_async(&mut connection.clone()).await.expect("set");
}

async fn plain_get(connection: &MultiplexedConnection) {
    let mut get = redis::cmd("GET");
    get.arg(format!("plain:{USER}"));
    let json: Vec<u8> = get.query_async(&mut connection.clone()).await.expect("get");
    let state: Value = serde_json::from_slice(&json).expect("JSON");
    std::hint::black_box(state);
}
