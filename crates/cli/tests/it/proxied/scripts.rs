//! Scripts whose keys are not protected pass, and may write under a protected name that they make up.
//! The operator is told: scripts are counted, and a plain value that is read is logged.

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
