//! Random requests of several clients, of which almost all are valid, to a server and through the
//! proxy: every reply is the same, and so is what is stored in the end, the protected part sealed.
//!
//! `waxseal_testing::model` has the requests and the comparison. The tests send a fixed number from a
//! fixed seed; `cargo xtask torture --model` sends them for longer, from any seed, and prints the
//! shortest history of a difference.

use std::time::Duration;

use waxseal_testing::RedisServer;
use waxseal_testing::model::{Feature, Model, run};

use crate::program::Program;
use crate::proxy::Proxy;

/// The seed of the short form.
const SEED: u64 = 1;
/// Requests of the short form, for each setting.
const REQUESTS: usize = 50_000;

/// What is not asked for: the proxy refuses it, or the server does not know it.
const WITHOUT: &[Feature] = &[
    Feature::Computed,
    Feature::ComputedFields,
    Feature::FieldLifetimes,
    Feature::ListValues,
    Feature::Sets,
    Feature::SortedSets,
    Feature::Geo,
    Feature::Streams,
    Feature::GroupMoves,
    Feature::RecordMoves,
];

/// Values that are bound to their record, and values that are bound to a group.
const CONFIGURATION: &str = r#"
[[protect]]
records = "r:*"
format = "sealed"
write_version = 3
plain_values = "any"

[[protect]]
records = "g:*"
format = "sealed"
write_version = 3
group = "model"
bind = "group"
plain_values = "any"
"#;

/// Plays one setting, and fails with the history of a difference.
fn compare(setting: u64, upstream: &str, plain: bool) {
    let text = |name: &str| std::env::var(format!("WAXSEAL_MODEL_{name}")).ok();
    let number = |name: &str| text(name).map(|it| it.parse::<u64>().expect("a number"));
    let (direct, behind) = (RedisServer::start(), RedisServer::start());
    let program = Program::at(&behind).file("waxseal.toml", CONFIGURATION);
    let flags = ["--upstream", upstream, "--workers", "1"];
    let proxy = Proxy::start_configured(&program, &flags);

    let mut model = Model::new(direct.port(), proxy.port(), behind.port());
    model.seed = number("SEED").unwrap_or(SEED) * 10 + setting;
    model.episode = number("EPISODE");
    model.limit = number("SECONDS").map(Duration::from_secs);
    model.requests = if model.limit.is_some() {
        usize::MAX
    } else {
        REQUESTS
    };
    model.features.retain(|it| !WITHOUT.contains(it));
    model.plain = plain;
    match run(&model) {
        Ok(figures) => {
            show(&format!("model, setting {setting}: {figures:?}"));
            assert!(figures.transactions > 0, "no transaction was carried out");
        }
        Err(finding) => panic!("setting {setting}, {finding}\n{}", proxy.said()),
    }
    proxy.stop();
}

#[expect(
    clippy::print_stderr,
    reason = "figures are for the caller of the chore"
)]
fn show(text: &str) {
    eprintln!("{text}");
}

#[test]
fn valid_requests_are_answered_as_without_a_proxy_over_lanes_and_own_connections() {
    compare(0, "auto", false);
}

#[test]
fn valid_requests_are_answered_as_without_a_proxy_over_shared_connections() {
    compare(1, "shared", false);
}

#[test]
fn valid_requests_are_answered_as_without_a_proxy_over_own_connections() {
    compare(2, "own", false);
}

#[test]
fn valid_requests_are_answered_as_without_a_proxy_where_values_are_in_clear() {
    compare(3, "auto", true);
}
