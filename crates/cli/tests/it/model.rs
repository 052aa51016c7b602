//! Random requests of several clients, of which almost all are valid, to a server and through the
//! proxy: every reply is the same, and so is what is stored in the end, the protected part sealed.
//!
//! `waxseal_testing::model` has the requests and the comparison. The tests send a fixed number from a
//! fixed seed; `cargo xtask torture --model` sends them for longer, from any seed, and prints the
//! shortest history of a difference.

use std::time::Duration;

use waxseal_testing::model::{Feature, Model, Scope, run};
use waxseal_testing::{Flavor, RedisServer};

use crate::program::Program;
use crate::proxy::Proxy;

mod rotations;

use rotations::{Rotation, Rotations};

/// The seed of the short form.
const SEED: u64 = 1;
/// Requests of the short form, for each setting.
const REQUESTS: usize = 35_000;
/// The same where keys are rotated meanwhile, which is slow.
const ROTATING_REQUESTS: usize = 20_000;

/// One run.
struct Setting {
    /// Each has a seed of its own.
    number: u64,
    upstream: &'static str,
    flavor: Flavor,
    /// Values are there in clear before.
    plain: bool,
    /// Keys are rotated meanwhile.
    rotation: Option<Rotation>,
    /// Values are under keys of users.
    per_user: bool,
    /// Names of protected records are sealed.
    sealed_names: bool,
    requests: usize,
}

impl Setting {
    const fn new(number: u64, upstream: &'static str) -> Self {
        Self {
            number,
            upstream,
            flavor: Flavor::System,
            plain: false,
            rotation: None,
            per_user: false,
            sealed_names: false,
            requests: REQUESTS,
        }
    }

    const fn rotating(number: u64, rotation: Rotation) -> Self {
        let mut setting = Self::new(number, "auto");
        setting.rotation = Some(rotation);
        setting.requests = ROTATING_REQUESTS;
        setting
    }

    fn server(&self) -> RedisServer {
        RedisServer::builder().flavor(self.flavor).start()
    }

    fn has_ring(&self) -> bool {
        self.per_user
            || matches!(
                self.rotation,
                Some(Rotation::Key | Rotation::IndexKey | Rotation::OneForm)
            )
    }

    /// Values that are bound to their record, and values that are bound to a group.
    fn configuration(&self, user_keys: &str) -> String {
        let (records, grouped) = match self.per_user {
            true => ("r:{user}", "u:{user}:*"),
            false => ("r:*", "g:*"),
        };
        let each = match (self.per_user, self.has_ring()) {
            (true, _) => "per_user_keys = true\n",
            (false, true) => "",
            (false, false) => "write_version = 3\n",
        };
        let each = format!(
            "{each}format = \"sealed\"\nmembers = \"deterministic\"\nplain_values = \"any\"\n"
        );
        let names = if self.sealed_names {
            "names = \"sealed\"\n"
        } else {
            ""
        };
        let each = each + names;
        let mut text = String::new();
        if self.has_ring() {
            text += "environment = \"tests\"\nkeyring = \"file:ring.json\"\n";
            text += &format!("user_keys = \"{user_keys}\"\n");
        }
        text += &format!("[[protect]]\nrecords = \"{records}\"\n{each}");
        text += &format!(
            "[[protect]]\nrecords = \"{grouped}\"\ngroup = \"model\"\nbind = \"group\"\n{each}"
        );
        for scope in self.scopes() {
            if scope != Scope::Open {
                let prefix = scope.prefix();
                text += &format!("[[protect]]\nchannels = \"{prefix}*\"\ngroup = \"model\"\n");
            }
        }
        text
    }

    fn scopes(&self) -> [Scope; 3] {
        let group = if self.per_user {
            Scope::User
        } else {
            Scope::Group
        };
        [Scope::Record, group, Scope::Open]
    }

    /// What is asked for.
    fn asks_for(&self, feature: Feature) -> bool {
        match feature {
            Feature::FieldLifetimes => !matches!(self.flavor, Flavor::System | Flavor::Redis62),
            // A value in clear is not found by a sealed one.
            Feature::ListValues | Feature::GroupMoves => !self.plain,
            // Two forms of one member are two.
            Feature::Algebra => !self.plain && self.rotation.is_none(),
            _ => true,
        }
    }

    /// The model of these servers.
    fn model(&self, direct: &RedisServer, proxy: &Proxy, behind: &RedisServer) -> Model {
        let mut model = Model::new(direct.port(), proxy.port(), behind.port());
        model.seed = number("SEED").unwrap_or(SEED) * 10 + self.number;
        model.episode = number("EPISODE");
        model.limit = number("SECONDS").map(Duration::from_secs);
        model.requests = match model.limit {
            Some(_) => usize::MAX,
            None => number("REQUESTS").map_or(self.requests, |it| usize::try_from(it).unwrap()),
        };
        model.shrink = number("SHRINK") != Some(0);
        model.features.retain(|it| self.asks_for(*it));
        model.scopes = self.scopes().to_vec();
        model.other_forms = self.plain;
        model.in_clear = self.plain;
        model.swept = self.rotation.is_some();
        model.sealed_names = self.sealed_names;
        model
    }
}

/// A number from the environment.
fn number(name: &str) -> Option<u64> {
    let text = std::env::var(format!("WAXSEAL_MODEL_{name}")).ok();
    text.map(|it| it.parse().expect("a number"))
}

/// Plays one setting, and fails with the history of a difference.
fn compare(setting: &Setting) {
    let (direct, behind) = (setting.server(), setting.server());
    // The model empties the server: keys of users are elsewhere.
    let user_keys = RedisServer::start();
    let program =
        Program::at(&behind).file("waxseal.toml", &setting.configuration(&user_keys.url()));
    let program = match setting.has_ring() {
        true => rotations::with_ring(program),
        false => program,
    };
    let flags = ["--upstream", setting.upstream, "--workers", "1"];
    let mut model;
    let rotated;
    match setting.rotation {
        None => {
            let proxy = Proxy::start_configured(&program, &flags);
            model = setting.model(&direct, &proxy, &behind);
            play(setting, &model, &[&proxy]);
            proxy.stop();
            return;
        }
        Some(rotation) => {
            let [program, other] = rotation.programs(&program);
            let proxies = [&program, &other].map(|it| Proxy::start_configured(it, &flags));
            model = setting.model(&direct, &proxies[0], &behind);
            model.second = Some(proxies[1].port());
            let rotations = Rotations::begin(&program, rotation);
            // Until one was completed, whatever the machine is doing.
            loop {
                play(setting, &model, &[&proxies[0], &proxies[1]]);
                rotations.assert_going_on();
                if rotations.completed() > 0 {
                    break;
                }
                model.seed += 1_000_000;
            }
            rotated = rotations.end();
            for proxy in proxies {
                proxy.stop();
            }
            rotations::assert_nothing_is_left(&program);
        }
    }
    show(&format!(
        "model, setting {}: {rotated} rotations",
        setting.number
    ));
}

/// Plays the model, and fails with the history of a difference.
fn play(setting: &Setting, model: &Model, proxies: &[&Proxy]) {
    match run(model) {
        Ok(figures) => {
            show(&format!("model, setting {}: {figures:?}", setting.number));
            assert!(figures.transactions > 0, "no transaction was carried out");
            assert!(
                figures.errors * 4 < figures.requests,
                "most requests must be valid"
            );
        }
        Err(finding) => {
            let said: String = proxies.iter().map(|it| it.said()).collect();
            panic!("setting {}, {finding}\n{said}", setting.number)
        }
    }
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

#[test]
fn valid_requests_are_answered_as_without_a_proxy_where_values_are_under_keys_of_users() {
    compare(&Setting {
        per_user: true,
        requests: ROTATING_REQUESTS,
        ..Setting::new(6, "auto")
    });
}

#[test]
fn valid_requests_are_answered_as_without_a_proxy_where_names_are_sealed() {
    compare(&Setting {
        sealed_names: true,
        ..Setting::new(12, "auto")
    });
}

#[test]
fn valid_requests_are_answered_as_without_a_proxy_by_two_whose_keys_are_each_others_previous_ones()
{
    compare(&Setting::rotating(7, Rotation::PreviousKey));
}

#[test]
fn valid_requests_are_answered_as_without_a_proxy_while_the_key_of_a_ring_is_rotated() {
    compare(&Setting::rotating(8, Rotation::Key));
}

#[test]
fn valid_requests_are_answered_as_without_a_proxy_while_the_index_key_is_rotated() {
    compare(&Setting::rotating(9, Rotation::IndexKey));
}

#[test]
fn valid_requests_are_answered_as_without_a_proxy_while_keys_above_those_of_users_are_rotated() {
    compare(&Setting {
        per_user: true,
        ..Setting::rotating(10, Rotation::Key)
    });
}

#[test]
fn valid_requests_are_answered_as_without_a_proxy_while_members_are_found_in_one_form_and_in_others()
 {
    compare(&Setting::rotating(11, Rotation::OneForm));
}

#[test]
fn valid_requests_are_answered_as_without_a_proxy_where_names_and_values_are_those_of_users() {
    compare(&Setting {
        sealed_names: true,
        per_user: true,
        flavor: Flavor::Valkey,
        requests: ROTATING_REQUESTS,
        ..Setting::new(13, "own")
    });
}
