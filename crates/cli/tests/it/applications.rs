//! The proof that frameworks work behind the proxy with the recipes of `docs/proxy/applications`: a program of
//! each runs once with Redis alone and then through `waxseal proxy` with its recipe as the configuration.
//! It must print the same lines. What reaches the server is watched: no protected value in clear, not even
//! in a record that is gone in the end, and in clear exactly what the recipe excepts. It runs once more with all records
//! in one group, whose values are bound to the group and whose lists have elements that are found, and with sealed names:
//! no request names a record in clear.
//!
//! The run with Redis alone also shows that the checks can fail: there the same search finds the values.
//!
//! Then the program runs with the patterns of the recipe alone. What the proxy refuses must be in its log
//! with a line of configuration that helps, and with all of these lines applied the program works. So it does
//! with the configuration that the report of `waxseal proxy --trial` names.

mod counters;
mod locks;
mod monitor;
mod node;
mod python;
mod recipe;
mod relay;
mod remedies;
mod stored;
mod system;
mod trial;

use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use waxseal_testing::applications::Outcome;
use waxseal_testing::tools::workspace_root;
use waxseal_testing::{Application, ApplicationProgram, RedisServer};

use crate::metrics::admin;
use crate::metrics::exposition::Exposition;
use crate::program::Program;
use crate::proxy::{PROTECTED_MARKER, Proxy};
use monitor::{Monitor, Traffic};
use recipe::Recipe;
use stored::Stored;

/// A step of a program that waits for something gives up after so long.
const STEP_TIMEOUT: Duration = Duration::from_secs(40);
/// A program that takes so long hangs.
const LIMIT: Duration = Duration::from_secs(150);

/// Fails unless this program of the framework works with its recipe.
#[track_caller]
fn proves(application: Application, program: &ApplicationProgram) {
    let recipe = Recipe::of(application);
    let began = Instant::now();
    let wanted = run_directly(application, &recipe, program);
    let direct = began.elapsed();
    let began = Instant::now();
    let figures = run_with_recipe(application, &recipe, Mode::On, program, &wanted);
    let proxied = began.elapsed();
    let grouped = recipe.grouped();
    let named = grouped.named();
    // With sealed names everything else is as it is without them.
    let recipes = match is_long() {
        true => vec![&grouped, &named],
        false => vec![&named],
    };
    for recipe in recipes {
        run_with_recipe(application, recipe, Mode::Required, program, &wanted);
    }
    // Without the recipe nothing would be different.
    let rounds = if recipe.bare().text() == recipe.without_comments().text() {
        0
    } else {
        let (rounds, remedied) = remedies::prove(application, &recipe, program, &wanted);
        report_remedies(application, &remedied);
        if is_long() {
            trial::prove(application, &recipe, program, &wanted);
        }
        rounds
    };
    report(application, direct, proxied, &figures, rounds);
}

/// Fails unless a trial names a configuration with which this program works.
#[track_caller]
fn proves_trial(application: Application, program: &ApplicationProgram) {
    let recipe = Recipe::of(application);
    let wanted = run_directly(application, &recipe, program);
    trial::prove(application, &recipe, program, &wanted);
}

/// Records that a program leaves and its recipe does not protect, with the reason.
const UNPROTECTED: [(&str, &str, &str); 3] = [
    (
        "celery",
        "_kombu.binding*",
        "names of queues, which scripts delete",
    ),
    ("sidekiq", "attempts", "of the program's own"),
    ("sidekiq", "seen", "of the program's own"),
];

/// The variable that holds the duration of the longer forms.
const SECONDS: &str = "WAXSEAL_APPLICATIONS_SECONDS";

/// Returns whether `cargo xtask applications` runs the tests, in their longer forms.
fn is_long() -> bool {
    std::env::var_os(SECONDS).is_some()
}

/// A number from the environment, which only the longer form sets.
fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// The program with Redis alone; returns what it printed.
#[track_caller]
fn run_directly(application: Application, recipe: &Recipe, program: &ApplicationProgram) -> String {
    let redis = server();
    let monitor = Monitor::start(&redis);
    let outcome = program.run(redis.port(), STEP_TIMEOUT, LIMIT);
    assert_success("with Redis alone", &outcome);
    assert_versions(application, program, &outcome.stdout);
    let traffic = monitor.finish();
    assert!(
        traffic.in_clear(PROTECTED_MARKER, recipe).is_some(),
        "the program wrote no value that is to be sealed: the search for it would prove nothing"
    );
    let stored = Stored::read(&redis);
    assert!(stored.count_sealed(recipe) == 0, "sealed without a proxy");
    outcome.stdout
}

/// The program through the proxy with its recipe, whatever the proxy was to do.
#[track_caller]
fn run_with_recipe(
    application: Application,
    recipe: &Recipe,
    mode: Mode,
    program: &ApplicationProgram,
    wanted: &str,
) -> Figures {
    let how = format!("with\n{}", recipe.text());
    let (redis, proxy) = start_in(mode, recipe);
    let monitor = Monitor::start(&redis);
    let outcome = program.run(proxy.port(), STEP_TIMEOUT, LIMIT);
    let said = || format!("{how}; the proxy said\n{}", proxy.said());
    assert_success(&said(), &outcome);
    assert_same_lines(&said(), &outcome.stdout, wanted);
    let refused = refused(&proxy);
    assert!(refused.is_empty(), "refused {refused:?}; {}", said());

    let traffic = match mode {
        Mode::On => monitor.finish().without_preludes(),
        Mode::Required => monitor.finish(),
    };
    assert_sealed(application, recipe, &redis, &traffic);
    for except in recipe.excepts() {
        assert!(
            traffic.names(except),
            "no request named a record that `{except}` matches: the recipe says more than is needed"
        );
    }
    proxy.stop();
    Figures {
        sealed: traffic.sealed(),
        excepted: recipe.excepts().count(),
    }
}

/// Fails unless what the server was sent and what it stores are sealed as the recipe says.
#[track_caller]
fn assert_sealed(
    application: Application,
    recipe: &Recipe,
    redis: &RedisServer,
    traffic: &Traffic,
) {
    if let Some(command) = traffic.in_clear(PROTECTED_MARKER, recipe) {
        panic!(
            "{}: a value reached the server in clear: {command}\n{}",
            application.name(),
            recipe.text()
        );
    }
    if let Some(command) = traffic.name_in_clear(recipe) {
        panic!(
            "{}: a name reached the server in clear: {command}\n{}",
            application.name(),
            recipe.text()
        );
    }
    assert!(traffic.sealed() > 0, "nothing was sealed");
    let stored = Stored::read(redis);
    stored.assert_as(recipe);
    let unprotected = UNPROTECTED.iter().filter(|it| it.0 == application.name());
    stored.assert_covered(recipe, unprotected.map(|it| it.1));
}

/// The outcome of a run, for people.
struct Figures {
    /// Envelopes that were sent to the server.
    sealed: usize,
    /// Globs under `except`.
    excepted: usize,
}

fn server() -> RedisServer {
    // A compressed value could not be searched for.
    RedisServer::builder().arg("--rdbcompression", "no").start()
}

/// Whether plain values are accepted, and members are therefore looked for in clear as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    On,
    Required,
}

/// A proxy with this recipe as its configuration, and nothing else.
#[track_caller]
fn start(recipe: &Recipe) -> (RedisServer, Proxy) {
    start_in(Mode::On, recipe)
}

#[track_caller]
fn start_in(mode: Mode, recipe: &Recipe) -> (RedisServer, Proxy) {
    let redis = server();
    let program = Program::at(&redis).file("waxseal.toml", recipe.text());
    let program = match mode {
        Mode::On => program,
        Mode::Required => program.env("ENABLE_REDIS_ENCRYPTION", "required"),
    };
    let proxy = Proxy::start_configured(&program, &["--config", "waxseal.toml"]);
    (redis, proxy)
}

/// Requests of one kind that were refused.
#[derive(Debug)]
struct Refused {
    command: String,
    pattern: String,
    reason: String,
    count: u64,
}

impl Refused {
    /// Returns whether a line of the log is about such requests.
    fn is_in(&self, line: &str) -> bool {
        [
            format!("command=\"{}\"", self.command),
            format!("pattern=\"{}\"", self.pattern),
            format!("reason=\"{}\"", self.reason),
        ]
        .iter()
        .all(|field| line.contains(field))
    }
}

/// The proxy's refusals so far that concern protected records. What it refuses of any record and on any
/// server (`CLIENT MAINT_NOTIFICATIONS` of redis-py, which asks a server whether it knows it) has no pattern.
#[track_caller]
fn refused(proxy: &Proxy) -> Vec<Refused> {
    let all = all_refused(proxy).into_iter();
    all.filter(|it| it.pattern != "none").collect()
}

#[track_caller]
fn all_refused(proxy: &Proxy) -> Vec<Refused> {
    let (head, text) = admin(proxy.admin_port(), "/metrics");
    assert!(head.starts_with("http/1.1 200"), "{head}");
    let counted = Exposition::read(&text);
    let samples = counted.samples.iter();
    samples
        .filter(|(name, _, count)| name == "waxseal_refused_commands_total" && *count > 0.0)
        .map(|(_, labels, count)| {
            let label = |name: &str| labels.get(name).cloned().unwrap_or_default();
            Refused {
                command: label("command"),
                pattern: label("pattern"),
                reason: label("reason"),
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "a counter"
                )]
                count: *count as u64,
            }
        })
        .collect()
}

#[track_caller]
fn assert_success(how: &str, outcome: &Outcome) {
    let Outcome {
        status,
        stdout,
        stderr,
    } = outcome;
    assert!(
        outcome.succeeded(),
        "{how}: the program ended with {status:?}\n{stdout}\n{stderr}"
    );
}

/// The page names the versions that the program has found. What comes with the operating system has other versions
/// elsewhere: of that, only the names must be the page's.
#[track_caller]
fn assert_versions(application: Application, program: &ApplicationProgram, printed: &str) {
    let line = printed.lines().next().unwrap_or_default();
    let found: serde_json::Value = serde_json::from_str(line).unwrap_or_default();
    let compared = |versions: &str| {
        let is_number = |word: &&str| word.starts_with(|it: char| it.is_ascii_digit());
        let words = versions.split([' ', ',']).filter(|word| !word.is_empty());
        let kept = words.filter(|word| program.is_pinned() || !is_number(word));
        kept.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(
        compared(found["versions"].as_str().unwrap_or_default()),
        compared(&application.versions()),
        "the first line of the program and `versions:` of its page"
    );
}

/// Line by line, because a difference between two long texts is hard to see.
#[track_caller]
fn assert_same_lines(how: &str, seen: &str, wanted: &str) {
    for (number, (seen, wanted)) in seen.lines().zip(wanted.lines()).enumerate() {
        assert_eq!(seen, wanted, "line {}, {how}", number + 1);
    }
    assert_eq!(
        seen.lines().count(),
        wanted.lines().count(),
        "not as many lines, {how}"
    );
}

/// Leaves a line for the table of `cargo xtask applications`.
fn report(
    application: Application,
    direct: Duration,
    proxied: Duration,
    figures: &Figures,
    rounds: usize,
) {
    let mut line = String::new();
    write!(
        line,
        "direct {:.1} s, through the proxy {:.1} s; {} values sealed; {} globs excepted; without the \
         recipe {rounds} rounds of remedies",
        direct.as_secs_f64(),
        proxied.as_secs_f64(),
        figures.sealed,
        figures.excepted,
    )
    .unwrap();
    leave(application.name(), &line);
}

/// Leaves what came of the remedies, to be compared with the recipe.
fn report_remedies(application: Application, remedied: &Recipe) {
    leave(
        &format!("{}.remedies.toml", application.name()),
        remedied.text(),
    );
}

fn leave(name: &str, text: &str) {
    let directory = workspace_root().join("target/artefacts/applications");
    std::fs::create_dir_all(&directory).unwrap();
    std::fs::write(directory.join(name), text).unwrap();
}

#[test]
fn every_recipe_is_tested() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/applications");
    let entries = std::fs::read_dir(sources).unwrap();
    let texts = entries.map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap());
    let texts: String = texts.collect();
    for name in waxseal_testing::applications::all() {
        let mention = format!("Application::named(\"{name}\")");
        assert!(texts.contains(&mention), "no test runs {name}");
    }
}

/// Fails if the checks of the server hold after this request, which an application sends without a proxy.
#[track_caller]
fn check_after(request: &[&str]) {
    let application = Application::named("rq");
    let recipe = Recipe::of(application);
    let redis = server();
    let monitor = Monitor::start(&redis);
    let mut client = redis.client();
    client.cmd(&[&b"SET"[..], b"rq:job:1", b"\xf5\x57\x02 like an envelope"]);
    client.cmd(request);
    assert_sealed(application, &recipe, &redis, &monitor.finish());
}

#[test]
#[should_panic(expected = "a value reached the server in clear: GETSET")]
fn a_value_in_clear_would_be_noticed_even_where_it_is_not_stored() {
    check_after(&["GETSET", "rq:job:1", PROTECTED_MARKER]);
}

#[test]
#[should_panic(expected = "rq:job:2 is in clear")]
fn a_record_in_clear_would_be_noticed() {
    check_after(&["HSET", "rq:job:2", "data", "anything"]);
}

#[test]
#[should_panic(expected = "rq2:job is under no pattern of the recipe")]
fn a_record_that_no_pattern_covers_would_be_noticed() {
    check_after(&["SET", "rq2:job", "anything"]);
}

#[test]
#[should_panic(expected = "is in clear")]
fn a_member_in_clear_would_be_noticed() {
    check_after(&["SADD", "rq:job:2", "anything"]);
}
