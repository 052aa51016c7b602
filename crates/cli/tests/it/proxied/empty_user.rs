//! Records of a pattern with `{user}` whose user is empty: `wa:` is protected as every other one, by
//! the proxy and by the commands that go over the store.

use serde_json::Value;
use waxseal_testing::RedisServer;

use super::UPSTREAMS;
use super::wire::{Raw, Wire, bulk};
use crate::program::Program;
use crate::proxy::Proxy;

const CONFIG: &str = "[[protect]]\nname = \"WhatsApp state\"\nrecords = \"wa:{user}\"\n\
                      format = \"sealed\"\nplain_values = \"json\"\n";
const VALUE: &str = r#"{"v":"amatista"}"#;

fn program_at(redis: &RedisServer) -> Program {
    Program::at(redis).file("waxseal.toml", CONFIG)
}

/// Total, sealed and plain values, as the audit counts them.
#[track_caller]
fn audited(program: &Program) -> [Value; 3] {
    let report = program.run(&["audit", "--json"]).done().json();
    let pattern = &report["patterns"][0];
    assert_eq!(pattern["records"], "wa:{user}", "{report}");
    ["total", "sealed", "plain"].map(|count| pattern[count].clone())
}

#[test]
fn a_record_with_an_empty_user_is_sealed_and_opened() {
    for upstream in UPSTREAMS {
        let redis = RedisServer::start();
        let flags = ["--protect", "wa:{user}", "--upstream", upstream];
        let proxy = Proxy::start(&redis, &flags);
        let mut wire = Wire::tcp(proxy.port());
        for name in ["wa:", "wa:1"] {
            assert_eq!(wire.ask(&["SET", name, VALUE]), "+OK\r\n", "{upstream}");
            let stored = redis.client().cmd(&["GET", name]).bytes().unwrap();
            assert!(!Raw(stored).contains("amatista"), "{upstream}: {name:?}");
            assert_eq!(wire.ask(&["GET", name]), *bulk(VALUE).as_str());
        }
        let refused = wire.ask(&["PFADD", "wa:", "x"]);
        assert!(refused.starts_with("-SEALREFUSED "), "{refused:?}");
        proxy.stop();
    }
}

#[test]
fn an_audit_counts_a_record_with_an_empty_user_that_the_proxy_sealed() {
    let redis = RedisServer::start();
    let program = program_at(&redis);
    let proxy = Proxy::start_as(&program, &redis, &[]);
    let mut wire = Wire::tcp(proxy.port());
    assert_eq!(wire.ask(&["SET", "wa:", VALUE]), "+OK\r\n");
    assert_eq!(audited(&program), [1, 1, 0].map(Value::from));
    proxy.stop();
}

#[test]
fn a_plain_record_with_an_empty_user_is_counted_and_migrated() {
    let redis = RedisServer::start();
    let program = program_at(&redis);
    redis.cli(&["SET", "wa:", VALUE]);
    assert_eq!(audited(&program), [1, 0, 1].map(Value::from));
    program.run(&["audit", "--require-clean"]).with_status(1);
    program.run(&["migrate"]).done();
    assert_eq!(audited(&program), [1, 1, 0].map(Value::from));
    let stored = redis.client().cmd(&["GET", "wa:"]).bytes().unwrap();
    assert!(!Raw(stored).contains("amatista"));
    let proxy = Proxy::start_as(&program, &redis, &[]);
    let mut wire = Wire::tcp(proxy.port());
    assert_eq!(wire.ask(&["GET", "wa:"]), *bulk(VALUE).as_str());
    proxy.stop();
}
