//! Clients in Node: the programs are in `crates/testing/clients/node`.

use waxseal_testing::clients;

use super::{proves_drop_in, proves_drop_in_but_for};

#[test]
fn ioredis_cannot_tell_the_proxy_from_redis() {
    proves_drop_in(|port| clients::node("ioredis.mjs", port, &[]));
}

#[test]
fn node_redis_cannot_tell_the_proxy_from_redis() {
    proves_drop_in(|port| clients::node("node-redis.mjs", port, &["2"]));
}

#[test]
fn node_redis_with_resp3_cannot_tell_the_proxy_from_redis() {
    proves_drop_in(|port| clients::node("node-redis.mjs", port, &["3"]));
}

#[test]
fn express_sessions_in_connect_redis_cannot_tell_the_proxy_from_redis() {
    proves_drop_in(|port| clients::node("connect-redis.mjs", port, &[]));
}

#[test]
fn the_queues_of_bullmq_cannot_tell_the_proxy_from_redis() {
    // Times, tokens of workers, and how many jobs a clock has repeated.
    let varies = |name: &[u8]| name.starts_with(b"bull:");
    proves_drop_in_but_for(varies, |port| clients::node("bullmq.mjs", port, &[]));
}

#[test]
fn a_bot_cannot_tell_the_proxy_from_redis() {
    proves_drop_in(|port| clients::node("bot.mjs", port, &[]));
}
