//! Refusals are seen: in the log, in the metrics, on the status page and in what the client is told, each with the
//! line of the configuration that lets the request pass. It does: what frameworks keep beside their values works
//! with it. And `--trial`, which forwards everything and says so before.

use std::collections::BTreeSet;

use waxseal_core::Format;
use waxseal_testing::{Client, RedisServer};

use super::counts::{blocked_clients, happens, metric};
use super::wire::{Wire, request};
use super::{Pair, UPSTREAMS};
use crate::metrics::metrics;
use crate::program::{KEY, Program, wait_until};
use crate::proxy::Proxy;
use crate::records::{put, sealed};
use crate::status_page::Page;

const REFUSED: &str = "waxseal_refused_commands_total";
const TRIED: &str = "waxseal_trial_refusals_total";

const PATTERNS: [&str; 3] = ["PHPREDIS_SESSION:*", "rq:job:*", "app:*"];

/// The commands of frameworks on records of the patterns: a session and its lock, a job and what depends on it, a cache with
/// counters, tags and vectors. The script is not a published one.
const REQUESTS: [&[&str]; 18] = [
    &[
        "SET",
        "PHPREDIS_SESSION:k3v9f1_LOCK",
        "t0k",
        "NX",
        "PX",
        "90000",
    ],
    &["SET", "PHPREDIS_SESSION:k3v9f1", "cart|a:1"],
    &[
        "EVAL",
        "return redis.call('DEL', KEYS[1], 'x' .. ARGV[1])",
        "1",
        "PHPREDIS_SESSION:k3v9f1_LOCK",
        "t0k",
    ],
    &["HSET", "rq:job:9f12-41c7", "status", "queued"],
    &["PFADD", "rq:job:9f12-41c7:dependents", "77aa-12bc"],
    &["PFCOUNT", "rq:job:9f12-41c7:dependents"],
    &[
        "SUNIONSTORE",
        "rq:job:all:tags",
        "rq:job:9f12-41c7:tags",
        "rq:job:77aa-12bc:dependents",
    ],
    &["SET", "app:1:session:ana", "{\"v\":1}"],
    &["INCREX", "app:1:hits:5215512345678"],
    &["INCREX", "app:1:hits:5215587654321"],
    &["ZADD", "app:1:ratelimit", "1", "ana"],
    &["ZRANGEBYLEX", "app:1:ratelimit", "-", "+"],
    &["PFADD", "app:1:log", "x"],
    &["VADD", "app:events", "VALUES", "1", "1", "v"],
    &["BLMOVE", "app:events", "app:queue", "LEFT", "LEFT", "0.05"],
    &["RESTORE", "app:1:log", "0", "x"],
    &["GET", "app:1:session:ana"],
    &["FCALL", "f", "1", "app:{7}:lock"],
];

/// Sends them all; gives the errors of the proxy.
fn run(client: &mut Client) -> Vec<String> {
    let replies = REQUESTS.iter().map(|words| client.cmd(words).to_text());
    // The function is not known to the server.
    replies.filter(|it| it.starts_with("SEAL")).collect()
}

/// Compare and delete.
const RELEASE: &str = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) else return 0 end";

fn protect() -> Vec<&'static str> {
    let flags = PATTERNS.iter().flat_map(|it| ["--protect", *it]);
    flags
        .chain(["--workers", "1", "--format", "sealed"])
        .collect()
}

/// The `--except` flags that lines of a log name.
fn excepts(log: &str) -> BTreeSet<String> {
    let named = log.split("--except '").skip(1);
    named
        .map(|it| it.split('\'').next().unwrap().to_owned())
        .collect()
}

#[test]
fn every_refusal_is_reported_with_a_remedy_that_makes_the_program_work() {
    let redis = RedisServer::start();
    let proxy = Proxy::start(&redis, &protect());
    let mut client = proxy.client();
    client.cmd(&["CLIENT", "SETNAME", "worker-7"]);
    // Client libraries do so on every connection, and continue: no line of the log.
    client.cmd(&["CLIENT", "MAINT_NOTIFICATIONS", "ON"]);
    let refused = run(&mut client);
    assert_eq!(refused.len(), 12, "{refused:#?}");
    for error in &refused {
        assert!(error.contains("except = ["), "{error}");
    }
    let counted = metrics(proxy.admin_port());
    let sum = |labels: &[(&str, &str)]| counted.sum(REFUSED, labels);
    assert_eq!(sum(&[("pattern", "app:*"), ("command", "increx")]), 2.0);
    assert_eq!(sum(&[("pattern", "rq:job:*")]), 3.0);
    assert_eq!((sum(&[]), sum(&[("pattern", "none")])), (13.0, 1.0));
    let page = Page::of(proxy.admin_port());
    for setting in [
        "except = [&quot;rq:job:*:dependents&quot;]",
        "except = [&quot;app:*:hits:*&quot;]",
    ] {
        assert!(page.has(setting), "{setting}");
    }
    let lines = |log: &str| {
        log.lines()
            .filter(|line| line.contains("refused on "))
            .count()
    };
    // One for each command, pattern and reason; the second INCREX is counted.
    wait_until(|| lines(&proxy.said()) == 11);
    let log = proxy.stop().stderr;
    assert!(!log.contains("unknown_subcommand"), "{log}");
    let of_the_end = log
        .lines()
        .find(|line| line.contains("refused 1 time in the last "));
    assert!(
        of_the_end.is_some_and(|line| line.contains("INCREX")),
        "{log}"
    );
    for line in log.lines().filter(|line| line.contains("refused ")) {
        let is_whole = line.contains("WARN")
            && line.contains("client=\"127.0.0.1:")
            && line.contains("client_name=\"worker-7\"")
            && line.contains(":#")
            && line.contains("--except '");
        assert!(is_whole, "{line}");
    }
    for secret in ["k3v9f1", "9f12", "77aa", "ana", "t0k"] {
        assert!(!log.contains(secret), "{secret}: {log}");
    }

    let excepts = excepts(&log);
    let flags = excepts.iter().flat_map(|glob| ["--except", glob.as_str()]);
    let flags: Vec<_> = protect().into_iter().chain(flags).collect();
    let proxy = Proxy::start(&redis, &flags);
    redis.client().cmd(&["FLUSHALL"]);
    let refused = run(&mut proxy.client());
    assert!(refused.is_empty(), "{excepts:?}: {refused:#?}");
    // The values themselves are sealed, as before.
    let stored = redis
        .client()
        .cmd(&["GET", "PHPREDIS_SESSION:k3v9f1"])
        .to_text();
    assert!(!stored.contains("cart"), "{stored}");
    assert_eq!(metric(&proxy, REFUSED), 0.0);
    proxy.stop();
}

#[test]
fn refusals_without_a_pattern_are_reported_as_well() {
    for upstream in UPSTREAMS {
        let pair = Pair::with(upstream, &["--workers", "1"]);
        let mut wire = pair.wire();
        for words in [
            &["SYNC"][..],
            &["DEL", "waxseal:canary"],
            &["MULTI"],
            &["SUBSCRIBE", "c"],
        ] {
            wire.ask(words);
        }
        let abort = wire.ask(&["EXEC"]);
        assert!(
            abort.contains("because of: SEALREFUSED SUBSCRIBE inside a transaction"),
            "{abort:?}"
        );
        let has_lines = || {
            let log = pair.proxy.said();
            let told = |reason: &str, remedy: &str| {
                let is_told = |line: &str| line.contains(reason) && line.contains(remedy);
                log.lines().any(is_told)
            };
            told(
                "reason=\"replication\"",
                "connect the replica to the server itself",
            ) && told("reason=\"writes_own_record\"", "--allow-own-writes")
                && told("reason=\"in_transaction\"", "send it before MULTI")
        };
        assert!(happens(has_lines), "{upstream}: {}", pair.proxy.said());
        let none = metrics(pair.proxy.admin_port()).sum(REFUSED, &[("pattern", "none")]);
        assert_eq!(none, 3.0, "{upstream}");
        // A value that does not open is reported with its reader as well.
        let mut damaged = sealed(KEY, Format::Sealed, "wa:1", b"{}");
        *damaged.last_mut().unwrap() ^= 1;
        put(&pair.redis, "wa:1", &damaged);
        assert!(wire.ask(&["GET", "wa:1"]).starts_with("-SEALBROKEN"));
        let is_told = |line: &str| {
            line.contains("Failed to decrypt") && line.contains(" client=\"127.0.0.1:")
        };
        assert!(
            happens(|| pair.proxy.said().lines().any(is_told)),
            "{upstream}"
        );
        pair.proxy.stop();
    }
}

#[test]
fn a_digest_whose_text_never_comes_is_reported_and_a_script_with_too_large_a_value_is_counted() {
    let redis = RedisServer::start();
    let flags = ["--protect", "app:*", "--max-value", "65536"];
    let proxy = Proxy::start(&redis, &flags);
    let mut client = proxy.client();
    let digest = "1".repeat(40);
    let mut call = || client.cmd(&["EVALSHA", &digest, "1", "app:9f12:lock", "token"]);
    let refused = || metrics(proxy.admin_port()).sum(REFUSED, &[("command", "evalsha")]);
    assert!(call().to_text().starts_with("NOSCRIPT "));
    assert_eq!(refused(), 0.0);
    wait_until(|| {
        assert!(call().to_text().starts_with("NOSCRIPT "));
        refused() > 0.0
    });

    put(&redis, "app:big", &[b'x'; 200_000]);
    let reply = proxy
        .client()
        .cmd(&["EVAL", RELEASE, "1", "app:big", "token"]);
    assert!(reply.to_text().contains("larger than"), "{reply:?}");
    wait_until(|| metrics(proxy.admin_port()).sum("waxseal_replies_too_large_total", &[]) == 1.0);
    let log = proxy.stop().stderr;
    assert!(log.contains("except = [\"app:*:lock\"]"), "{log}");
    assert!(!log.contains("9f12"), "{log}");
}

fn trial(redis: &RedisServer, flags: &[&str]) -> Proxy {
    // Without a key.
    let flags: Vec<_> = protect()
        .into_iter()
        .chain(["--trial"])
        .chain(flags.iter().copied())
        .collect();
    Proxy::start_as(&Program::new(), redis, &flags)
}

#[test]
fn a_trial_forwards_everything_and_its_configuration_makes_the_program_work() {
    let redis = RedisServer::start();
    let proxy = trial(&redis, &[]);
    let mut client = proxy.client();
    let refused = run(&mut client);
    assert!(refused.is_empty(), "{refused:?}");
    let stored = redis
        .client()
        .cmd(&["GET", "PHPREDIS_SESSION:k3v9f1"])
        .to_text();
    assert_eq!(stored, "cart|a:1");
    assert_eq!(redis.client().cmd(&["EXISTS", "waxseal:canary"]).int(), 0);
    // It waits as a server does, and subscribes.
    let mut waiting = Wire::tcp(proxy.port());
    waiting.send(&request(&["BZPOPMIN", "app:1:ratelimit", "0"]));
    assert!(waiting.reply().contains("app:1:ratelimit"));
    waiting.send(&request(&["BZPOPMIN", "app:1:ratelimit", "0"]));
    wait_until(|| blocked_clients(&redis) == 1);
    assert_eq!(client.cmd(&["PING"]).to_text(), "PONG");
    client.cmd(&["ZADD", "app:1:ratelimit", "1", "eva"]);
    assert!(waiting.reply().contains("app:1:ratelimit"));
    assert!(client.cmd(&["SYNC"]).to_text().starts_with("SEALREFUSED"));

    let counted = metrics(proxy.admin_port());
    assert_eq!(counted.sum("waxseal_mode", &[("mode", "trial")]), 1.0);
    assert_eq!(counted.sum("waxseal_mode", &[("mode", "off")]), 0.0);
    assert_eq!(
        counted.sum(TRIED, &[("command", "increx"), ("pattern", "app:*")]),
        2.0
    );
    assert_eq!(counted.sum(REFUSED, &[]), 1.0);
    let page = Page::of(proxy.admin_port());
    assert!(page.has("Trial: commands that would be refused") && page.has("mode trial"));
    assert!(page.has("[[protect]]"));
    let output = proxy.stop();
    assert!(
        output.stderr.contains("this is a trial: nothing is sealed"),
        "{}",
        output.stderr
    );
    assert!(
        output
            .stderr
            .contains("would be refused without --trial on app:*: INCREX")
    );
    let report = output.text();
    for told in [
        "of which 12 would be refused",
        "  INCREX on app:*: makes the server compute on a sealed value",
        "Refused in this trial as well:\n          1  SYNC:",
        "Work unchanged:\n",
        "  GET on app:*",
    ] {
        assert!(report.contains(told), "{told} in\n{report}");
    }
    for secret in ["k3v9f1", "9f12", "ana", "eva"] {
        assert!(!report.contains(secret), "{report}");
    }

    let (_, configuration) = report.split_once("stay in plaintext:\n\n").unwrap();
    let program = Program::at(&redis).file("waxseal.toml", configuration);
    let proxy = Proxy::start_configured(&program, &["--workers", "1"]);
    redis.client().cmd(&["FLUSHALL"]);
    let refused = run(&mut proxy.client());
    assert!(refused.is_empty(), "{configuration}: {refused:#?}");
    proxy.stop();
}

#[test]
fn a_trial_that_is_ended_at_once_prints_its_report() {
    let redis = RedisServer::start();
    let proxy = trial(&redis, &[]);
    proxy.client().cmd(&["INCREX", "app:1:hits"]);
    let mut waiting = Wire::tcp(proxy.port());
    waiting.send(&request(&["BLPOP", "app:queue", "0"]));
    wait_until(|| blocked_clients(&redis) == 1);
    wait_until(|| Page::of(proxy.admin_port()).has("none is used in a trial"));
    let page = Page::of(proxy.admin_port());
    for advice in [
        "migrate seals",
        "ENABLE_REDIS_ENCRYPTION",
        "configure a key",
    ] {
        assert!(!page.has(advice), "{advice}");
    }
    proxy.signal("TERM");
    wait_until(|| proxy.said().contains("a second signal"));
    proxy.signal("TERM");
    let report = proxy.end().with_status(128 + 15).text();
    assert_eq!(report.matches("Trial of ").count(), 1, "{report}");
    assert!(report.contains("1 would be refused"), "{report}");
}

#[test]
fn a_trial_proposes_the_settings_of_flags_for_the_records_that_they_are_about() {
    let redis = RedisServer::start();
    let config = "[[protect]]\nrecords = \"wa:*\"\nformat = \"sealed\"\nexcept = [\"wa:lock:*\"]\n";
    let program = Program::at(&redis).file("waxseal.toml", config);
    let flags = "--trial --json --protect app:* --format classic --scripts forward";
    let proxy = Proxy::start_configured(&program, &flags.split(' ').collect::<Vec<_>>());
    let mut client = proxy.client();
    client.cmd(&["EVAL", "return 1", "1", "app:1"]);
    client.cmd(&["INCREX", "app:1:hits"]);
    let value = sealed(KEY, Format::Sealed, "app:ana", b"{}");
    put(&redis, "app:ana", &value);
    client.cmd(&["GET", "app:ana"]);
    let output = proxy.stop();
    // Nothing is sealed that scripts could see.
    assert!(!output.stderr.contains("scripts"), "{}", output.stderr);
    let report = output.json();
    assert_eq!(report["sealed_replies"], 1);
    assert_eq!(
        report["configuration"],
        "[[protect]]\nrecords = \"app:*\"\nformat = \"classic\"\nexcept = [\"app:*:hits\"]\nscripts = \"forward\"\n\n\
         [[protect]]\nrecords = \"wa:*\"\nformat = \"sealed\"\nexcept = [\"wa:lock:*\"]\n"
    );
}

#[test]
fn a_trial_says_when_it_says_nothing_and_does_not_start_before_sealed_values() {
    let redis = RedisServer::start();
    let proxy = trial(&redis, &[]);
    proxy.client().cmd(&["SET", "open:1", "x"]);
    let report = proxy.stop().text();
    assert!(
        report.contains("No request named a protected record"),
        "{report}"
    );

    let proxy = trial(&redis, &["--show-names", "--json"]);
    proxy.client().cmd(&["SET", "app:ana", "x"]);
    proxy.client().cmd(&["INCREX", "app:ana"]);
    let report = proxy.stop().json();
    let row = &report["would_be_refused"][0];
    assert_eq!(
        (&row["command"], &row["names"][0]),
        (&"increx".into(), &"app:ana".into())
    );
    assert_eq!(report["fine"][0]["count"], 1);
    // Nothing lets it pass: no block is to be pasted.
    assert_eq!(report["configuration"], "");

    let proxy = trial(&redis, &[]);
    put(
        &redis,
        "app:ana",
        &sealed(KEY, Format::Sealed, "app:ana", b"{}"),
    );
    proxy.client().cmd(&["GET", "app:ana"]);
    let told = proxy.stop();
    let report = told.text();
    assert!(
        report.contains("Warning: 1 reply held sealed values"),
        "{report}"
    );
    assert!(
        told.stderr
            .contains("a sealed value was given to an application"),
        "{}",
        told.stderr
    );
    let flags = [
        "proxy",
        "--listen",
        "127.0.0.1:0",
        "--trial",
        "--protect",
        "app:*",
    ];
    let program = Program::new().env("REDIS_URL", &redis.url());
    let text = "values under app:* are sealed already: a trial does not open values";
    program.run(&flags).failed(2, text);

    // Classic values name no key: only the right one tells that they are sealed, whatever plain values look like.
    redis.client().cmd(&["DEL", "app:ana"]);
    let classic = sealed(KEY, Format::Classic, "app:eva", b"{}");
    put(&redis, "app:eva", &classic);
    let text = "values under app:* may be sealed in the classic format";
    program.run(&flags).failed(2, text);
    let text = "values under app:* are sealed already";
    let program = program.env("REDIS_ENCRYPTION_KEY", KEY);
    program.run(&flags).failed(2, text);
    // Under an excepted name as well.
    let excepting = [&flags[..], &["--except", "app:e*"]].concat();
    program.run(&excepting).failed(2, text);
    let alone = ["proxy", "--protect", "app:*", "--show-names"];
    program.run(&alone).failed(64, "--trial");
}
