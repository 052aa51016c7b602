//! Tests of what the server and the proxy report about themselves: connections, blocked clients, metrics.

use std::time::Duration;

use waxseal_testing::RedisServer;

use crate::metrics::admin;
use crate::metrics::exposition::Exposition;
use crate::program::{happens_within, wait_until};
use crate::proxy::Proxy;

/// Time enough for whatever a test waits for that may never happen.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Waits for something that may not happen; whether it did.
pub(super) fn happens(happened: impl FnMut() -> bool) -> bool {
    happens_within(TIMEOUT, happened)
}

/// A field of `INFO`.
#[track_caller]
pub(super) fn info(redis: &RedisServer, section: &str, field: &str) -> String {
    let info = redis.cli(&["INFO", section]);
    let mut fields = info.lines().filter_map(|line| line.trim().split_once(':'));
    let found = fields.find_map(|(name, value)| (name == field).then(|| value.to_owned()));
    found.unwrap_or_else(|| panic!("no {field} in {info}"))
}

/// Clients that wait at the server for something to happen.
#[track_caller]
pub(super) fn blocked_clients(redis: &RedisServer) -> usize {
    info(redis, "clients", "blocked_clients").parse().unwrap()
}

/// Connections at the server, without the one that asks.
#[track_caller]
pub(super) fn server_connections(redis: &RedisServer) -> usize {
    redis.cli(&["CLIENT", "LIST"]).lines().count() - 1
}

/// A metric of the proxy, summed over its labels.
#[track_caller]
pub(super) fn metric(proxy: &Proxy, name: &str) -> f64 {
    let (_, text) = admin(proxy.admin_port(), "/metrics");
    Exposition::read(&text).sum(name, &[])
}

/// Waits until the proxy has this many clients.
#[track_caller]
pub(super) fn wait_for_clients(proxy: &Proxy, count: u32) {
    wait_until(|| metric(proxy, "waxseal_client_connections") == f64::from(count));
}
