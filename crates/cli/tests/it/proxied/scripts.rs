//! Scripts whose keys are not protected pass, and may write under a protected name that they make up.
//! The operator is told: scripts are counted, and a plain value that is read is logged. Scripts that take what is due from
//! a sorted set pass over protected ones.

use super::counts::{happens, metric};
use super::wire::bulk;
use super::{Pair, UPSTREAMS};

const SCRIPTS: &str = "waxseal_scripts_forwarded_total";
const LIBRARY: &str = "#!lua name=library\nredis.register_function{function_name='one',\
                       callback=function() return 1 end,flags={'no-writes'}}";
const ONE: &str = "return 1";
/// Its SHA-1.
const ONE_SHA: &str = "e0e1f9fabfc9d4800c877a703b823ac0578ff8db";

#[test]
fn scripts_that_pass_are_counted_and_refused_ones_are_not() {
    for upstream in UPSTREAMS {
        let pair = Pair::with(upstream, &["--workers", "1"]);
        let mut wire = pair.wire();
        let loaded = wire.ask(&["FUNCTION", "LOAD", LIBRARY]);
        assert_eq!(loaded, *bulk("library").as_str());
        assert_eq!(metric(&pair.proxy, SCRIPTS), 0.0, "{upstream}");
        for (number, words) in (1..).zip([
            &["EVAL", ONE, "0"][..],
            &["EVAL", ONE, "1", "open:1", "argument"],
            &["eval_ro", ONE, "0"],
            &["EVALSHA", ONE_SHA, "1", "open:1"],
            &["EVALSHA_RO", ONE_SHA, "0"],
            &["FCALL", "one", "0"],
            &["FCALL_RO", "one", "1", "open:1"],
        ]) {
            assert_eq!(wire.ask(words), ":1\r\n", "{upstream}: {words:?}");
            let counted = metric(&pair.proxy, SCRIPTS);
            assert_eq!(counted, f64::from(number), "{upstream}: {words:?}");
        }
        for words in [
            &["EVAL", ONE, "1", "wa:1"][..],
            &["FCALL", "one", "2", "open:1", "wa:1"],
        ] {
            assert!(wire.ask(words).starts_with("-SEALREFUSED "));
        }
        assert_eq!(metric(&pair.proxy, SCRIPTS), 7.0, "{upstream}");
        assert_eq!(wire.ask(&["MULTI"]), "+OK\r\n");
        assert_eq!(wire.ask(&["EVAL", ONE, "0"]), "+QUEUED\r\n");
        assert_eq!(wire.ask(&["EXEC"]), "*1\r\n:1\r\n");
        assert_eq!(metric(&pair.proxy, SCRIPTS), 8.0, "{upstream}");
        pair.proxy.stop();
    }
}

#[test]
fn a_plain_value_that_a_script_wrote_is_logged_when_it_is_read() {
    let write = "return redis.call('SET', 'wa:' .. 'made:' .. 'up', ARGV[1])";
    for upstream in UPSTREAMS {
        let pair = Pair::with(upstream, &["--workers", "1"]);
        let mut wire = pair.wire();
        assert_eq!(wire.ask(&["EVAL", write, "0", "amatista"]), "+OK\r\n");
        assert_eq!(wire.ask(&["GET", "wa:made:up"]), "$8\r\namatista\r\n");
        let is_warning = |line: &str| {
            line.contains("WARN") && line.contains("wa:*") && line.contains("plain value")
        };
        let warned = happens(|| pair.proxy.said().lines().any(is_warning));
        let log = pair.proxy.stop().stderr;
        assert!(warned, "{upstream}: {log}");
        for secret in ["made:up", "amatista"] {
            assert!(!log.contains(secret), "{upstream}: {log}");
        }
    }
}

/// As Sidekiq and huey take what is due.
const TAKE_ONE: &str = "local key, now = KEYS[1], ARGV[1]\n\
    local jobs = redis.call(\"zrangebyscore\", key, \"-inf\", now, \"limit\", 0, 1)\n\
    if jobs[1] then\n  redis.call(\"zrem\", key, jobs[1])\n  return jobs[1]\nend";
const TAKE_ALL: &str = "local unix_ts = tonumber(ARGV[1])\n\
    local res = redis.call('zrangebyscore', KEYS[1], '-inf', unix_ts)\n\
    if #res and redis.call('zremrangebyscore', KEYS[1], '-inf', unix_ts) == #res then\n    return res\nend";

#[test]
fn members_that_a_script_takes_by_their_scores_come_back_opened() {
    for upstream in UPSTREAMS {
        let pair = Pair::with(upstream, &["--workers", "1", "--format", "sealed"]);
        let mut wire = pair.wire();
        let mut add = vec!["ZADD", "wa:due"];
        add.extend("1 first 2 second 3 third 4 fourth 9 later".split(' '));
        assert_eq!(wire.ask(&add), ":5\r\n");
        let take = |script| ["EVAL", script, "1", "wa:due", "5"];
        assert_eq!(wire.ask(&take(TAKE_ONE)), *bulk("first").as_str());
        let digest = String::from_utf8(wire.ask(&["SCRIPT", "LOAD", TAKE_ONE]).0).unwrap();
        let digest = digest.lines().nth(1).unwrap().to_owned();
        assert_eq!(wire.ask(&["MULTI"]), "+OK\r\n");
        let by_digest = ["EVALSHA", &digest, "1", "wa:due", "5"];
        assert_eq!(wire.ask(&by_digest), "+QUEUED\r\n", "{upstream}");
        assert_eq!(wire.ask(&["EXEC"]), "*1\r\n$6\r\nsecond\r\n");
        let both = "*2\r\n$5\r\nthird\r\n$6\r\nfourth\r\n";
        assert_eq!(wire.ask(&take(TAKE_ALL)), both, "{upstream}");
        assert_eq!(wire.ask(&take(TAKE_ALL)), "*0\r\n");
        assert_eq!(wire.ask(&take(TAKE_ONE)), "$-1\r\n");
        assert_eq!(wire.ask(&["ZCARD", "wa:due"]), ":1\r\n");
        let refused = wire.ask(&["EVAL", TAKE_ONE, "1", "wa:due", "amatista"]);
        assert!(refused.starts_with("-SEALREFUSED "), "{refused:?}");
        pair.proxy.stop();
    }
}
