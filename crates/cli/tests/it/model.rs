//! Random requests of several clients, of which almost all are valid, to a server and through the
//! proxy: every reply is the same, and so is what is stored in the end, the protected part sealed.
//!
//! `waxseal_testing::model` has the requests and the comparison. The tests send a fixed number from a
//! fixed seed; `cargo xtask torture --model` sends them for longer, from any seed, and prints the
//! shortest history of a difference.

use std::time::Duration;

use waxseal_testing::model::{Feature, Model, run};
use waxseal_testing::{Flavor, RedisServer};

use crate::program::Program;
use crate::proxy::Proxy;

/// The seed of the short form.
const SEED: u64 = 1;
/// Requests of the short form, for each setting.
const REQUESTS: usize = 35_000;

/// What is not asked for yet.
const WITHOUT: &[Feature] = &[Feature::ComputedInTransactions];

/// Values that are bound to their record, and values that are bound to a group.
const CONFIGURATION: &str = r#"
[[protect]]
records = "r:*"
format = "sealed"
write_version = 3
members = "deterministic"
plain_values = "any"

[[protect]]
records = "g:*"
format = "sealed"
write_version = 3
group = "model"
bind = "group"
members = "deterministic"
plain_values = "any"

[[protect]]
channels = "r:*"
group = "model"

[[protect]]
channels = "g:*"
group = "model"
"#;

/// One run.
struct Setting {
    /// Each has a seed of its own.
    number: u64,
    upstream: &'static str,
    flavor: Flavor,
    /// Values are there in clear before.
    plain: bool,
    requests: usize,
}

impl Setting {
    const fn new(number: u64, upstream: &'static str) -> Self {
        Self {
            number,
            upstream,
            flavor: Flavor::System,
            plain: false,
            requests: REQUESTS,
        }
    }

    fn server(&self) -> RedisServer {
        RedisServer::builder().flavor(self.flavor).start()
    }
}

/// Plays one setting, and fails with the history of a difference.
fn compare(setting: &Setting) {
    let text = |name: &str| std::env::var(format!("WAXSEAL_MODEL_{name}")).ok();
    let number = |name: &str| text(name).map(|it| it.parse::<u64>().expect("a number"));
    let (direct, behind) = (setting.server(), setting.server());
    let program = Program::at(&behind).file("waxseal.toml", CONFIGURATION);
    let flags = ["--upstream", setting.upstream, "--workers", "1"];
    let proxy = Proxy::start_configured(&program, &flags);

    let mut model = Model::new(direct.port(), proxy.port(), behind.port());
    model.seed = number("SEED").unwrap_or(SEED) * 10 + setting.number;
    model.episode = number("EPISODE");
    model.limit = number("SECONDS").map(Duration::from_secs);
    model.requests = match model.limit {
        Some(_) => usize::MAX,
        None => setting.requests,
    };
    let lacks_lifetimes = matches!(setting.flavor, Flavor::System | Flavor::Redis62);
    model.features.retain(|it| match it {
        Feature::FieldLifetimes => !lacks_lifetimes,
        // A value in clear is not found by a sealed one, and two forms of one member are two for the algebra.
        Feature::ListValues | Feature::GroupMoves => !setting.plain,
        _ => !WITHOUT.contains(it),
    });
    model.other_forms = setting.plain;
    match run(&model) {
        Ok(figures) => {
            show(&format!("model, setting {}: {figures:?}", setting.number));
            assert!(figures.transactions > 0, "no transaction was carried out");
            assert!(
                figures.errors * 4 < figures.requests,
                "most requests must be valid"
            );
        }
        Err(finding) => panic!("setting {}, {finding}\n{}", setting.number, proxy.said()),
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
    compare(&Setting::new(0, "auto"));
}

#[test]
fn valid_requests_are_answered_as_without_a_proxy_over_shared_connections() {
    compare(&Setting::new(1, "shared"));
}

#[test]
fn valid_requests_are_answered_as_without_a_proxy_over_own_connections() {
    compare(&Setting::new(2, "own"));
}

#[test]
fn valid_requests_are_answered_as_without_a_proxy_where_values_are_in_clear() {
    compare(&Setting {
        plain: true,
        ..Setting::new(3, "auto")
    });
}

#[test]
fn valid_requests_are_answered_as_without_a_proxy_by_redis_8_0() {
    compare(&Setting {
        flavor: Flavor::Redis80,
        ..Setting::new(4, "auto")
    });
}

#[test]
fn valid_requests_are_answered_as_without_a_proxy_by_valkey() {
    compare(&Setting {
        flavor: Flavor::Valkey,
        ..Setting::new(5, "shared")
    });
}
