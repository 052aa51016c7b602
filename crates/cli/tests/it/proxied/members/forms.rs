//! Members that are stored in another form than the one that is written, and the prelude that changes it.

use waxseal_testing::RedisServer;

use super::super::{Pair, UPSTREAMS};
use super::Wire;
use crate::program::{KEY, OLD_KEY, Program};
use crate::proxy::Proxy;

/// A proxy in this mode, under this key and former ones.
fn proxy(redis: &RedisServer, mode: &str, keys: (&str, &str), flags: &[&str]) -> Proxy {
    let program = Program::at(redis)
        .keys(keys.0, keys.1)
        .env("ENABLE_REDIS_ENCRYPTION", mode);
    let flags = [&["--protect", "wa:*"], flags].concat();
    Proxy::start_as(&program, redis, &flags)
}

#[track_caller]
fn assert_replies(wire: &mut Wire, requests: &[(&str, &str)]) {
    for (line, expected) in requests {
        let words: Vec<&str> = line.split(' ').collect();
        assert_eq!(wire.ask(&words), *expected, "{line}");
    }
}

#[test]
fn a_member_that_is_stored_in_another_form_is_found_and_never_held_twice() {
    for upstream in UPSTREAMS {
        let redis = RedisServer::start();
        let before = proxy(&redis, "on", (OLD_KEY, ""), &[]);
        let after = proxy(&redis, "on", (KEY, OLD_KEY), &["--upstream", upstream]);
        let off = proxy(&redis, "off", (KEY, OLD_KEY), &["--upstream", upstream]);
        let mut direct = Wire::tcp(redis.port());
        // In plaintext, and under a former key.
        for (port, name) in [(redis.port(), "plain"), (before.port(), "former")] {
            let mut writer = Wire::tcp(port);
            let [set, zset, geo] = ["s", "z", "g"].map(|kind| format!("wa:{kind}:{name}"));
            writer.ask(&["SADD", &set, "amatista"]);
            writer.ask(&["EXPIRE", &set, "1000"]);
            writer.ask(&["ZADD", &zset, "5.25", "amatista", "7", "b"]);
            writer.ask(&["GEOADD", &geo, "13.361389", "38.115556", "amatista"]);
            let mut wire = Wire::tcp(after.port());
            assert_replies(
                &mut wire,
                &[
                    (&format!("SADD {set} amatista"), ":0\r\n"),
                    (&format!("SCARD {set}"), ":1\r\n"),
                    (&format!("SISMEMBER {set} amatista"), ":1\r\n"),
                    (
                        &format!("SMISMEMBER {set} amatista b"),
                        "*2\r\n:1\r\n:0\r\n",
                    ),
                    (&format!("ZSCORE {zset} amatista"), "$4\r\n5.25\r\n"),
                    (&format!("ZADD {zset} NX 9 amatista"), ":0\r\n"),
                    (&format!("ZRANK {zset} b"), ":1\r\n"),
                    (&format!("ZINCRBY {zset} 1 amatista"), "$4\r\n6.25\r\n"),
                    (&format!("ZCARD {zset}"), ":2\r\n"),
                    (&format!("ZREM {zset} b"), ":1\r\n"),
                    (
                        &format!("GEODIST {geo} amatista amatista"),
                        "$6\r\n0.0000\r\n",
                    ),
                ],
            );
            assert!(!wire.ask(&["TTL", &set]).starts_with(":-1"), "{name}");
            let stored = direct.ask(&["SMEMBERS", &set]);
            assert!(stored.starts_with("*1") && !stored.contains("amatista"));
            // In a transaction of the client's.
            writer.ask(&["SADD", &set, "c"]);
            assert_replies(
                &mut wire,
                &[
                    ("MULTI", "+OK\r\n"),
                    (&format!("SREM {set} c"), "+QUEUED\r\n"),
                    ("PING", "+QUEUED\r\n"),
                    (&format!("SADD {set} amatista c"), "+QUEUED\r\n"),
                    (&format!("SMEMBERS {zset}"), "+QUEUED\r\n"),
                ],
            );
            let executed = wire.ask(&["EXEC"]);
            assert!(
                executed.starts_with("*4\r\n:1\r\n+PONG\r\n:1\r\n-WRONGTYPE "),
                "{executed:?}"
            );
            // And back.
            let mut wire = Wire::tcp(off.port());
            assert_replies(
                &mut wire,
                &[
                    (&format!("SISMEMBER {set} amatista"), ":1\r\n"),
                    (&format!("SADD {set} c"), ":0\r\n"),
                    (&format!("SCARD {set}"), ":2\r\n"),
                ],
            );
            let stored = direct.ask(&["SMEMBERS", &set]);
            assert!(stored.contains("amatista"), "{stored:?}");
        }
    }
}

#[test]
fn a_prelude_leaves_no_trace_in_what_the_client_sees() {
    for upstream in UPSTREAMS {
        let pair = Pair::start(upstream);
        let mut direct = pair.redis.client();
        let mut wire = pair.wire();
        // Its EXEC does not end what the client watches.
        assert_replies(&mut wire, &[("WATCH wa:w", "+OK\r\n")]);
        direct.cmd(&["SADD", "wa:s", "amatista"]);
        assert_replies(
            &mut wire,
            &[
                ("SADD wa:s amatista b", ":1\r\n"),
                ("SISMEMBER wa:s amatista", ":1\r\n"),
            ],
        );
        direct.cmd(&["SET", "wa:w", "changed"]);
        assert_replies(
            &mut wire,
            &[
                ("MULTI", "+OK\r\n"),
                ("SADD wa:s c", "+QUEUED\r\n"),
                ("EXEC", "*-1\r\n"),
                ("SCARD wa:s", ":2\r\n"),
            ],
        );
        // A reply that is skipped is that of the request.
        wire.send(b"CLIENT REPLY SKIP\r\nSADD wa:s d\r\nSISMEMBER wa:s d\r\n");
        assert_eq!(wire.reply(), ":1\r\n");
        // Requests that follow at once are answered in order.
        let mut request = Vec::new();
        for number in 0..500 {
            request.extend(format!("SADD wa:p {number}\r\nSCARD wa:p\r\nMULTI\r\nSADD wa:p {number} x{number}\r\nEXEC\r\n").bytes());
        }
        wire.send(&request);
        for number in 0..500 {
            assert_eq!(wire.reply(), ":1\r\n");
            assert_eq!(wire.reply(), *format!(":{}\r\n", number * 2 + 1).as_str());
            let replies = [wire.reply(), wire.reply(), wire.reply()];
            assert_eq!(replies[0], "+OK\r\n");
            assert_eq!(replies[1], "+QUEUED\r\n");
            assert_eq!(replies[2], "*1\r\n:1\r\n");
        }
        // What is bound to another kind is not put into a list.
        direct.cmd(&["RPUSH", "wa:l", "amatista"]);
        assert!(
            wire.ask(&["SADD", "wa:l", "amatista"])
                .starts_with("-WRONGTYPE ")
        );
        assert_eq!(
            wire.ask(&["LRANGE", "wa:l", "0", "-1"]),
            "*1\r\n$8\r\namatista\r\n"
        );
        // Errors of the server reach the client in its words.
        assert!(wire.ask(&["SADD", "wa:w", "a"]).starts_with("-WRONGTYPE "));
        assert!(
            wire.ask(&["ZADD", "wa:z", "a", "b"])
                .starts_with("-ERR value is not a valid float")
        );
        assert!(
            wire.ask(&["SISMEMBER", "wa:s"])
                .starts_with("-ERR wrong number of arguments")
        );
    }
}

#[test]
fn a_user_who_may_not_run_the_prelude_is_told() {
    let pair = Pair::start("own");
    let mut wire = pair.wire();
    pair.redis.client().cmd(&[
        "ACL", "SETUSER", "ana", "on", "nopass", "~*", "+@all", "-eval",
    ]);
    assert_eq!(wire.ask(&["AUTH", "ana", "x"]), "+OK\r\n");
    let told = "-NOPERM SADD: members may still be stored in another form";
    let refused = wire.ask(&["SADD", "wa:s", "amatista"]);
    assert!(refused.starts_with(told), "{refused:?}");
    assert_eq!(wire.ask(&["MULTI"]), "+OK\r\n");
    let refused = wire.ask(&["SADD", "wa:s", "amatista"]);
    assert!(refused.starts_with(told), "{refused:?}");
    assert!(wire.ask(&["EXEC"]).starts_with("-EXECABORT "));
    assert_eq!(wire.ask(&["SCARD", "wa:s"]), ":0\r\n");
    // It may not remove members, which the script finds out.
    pair.redis
        .client()
        .cmd(&["ACL", "SETUSER", "ana", "+eval", "-srem"]);
    pair.redis.client().cmd(&["SADD", "wa:s", "amatista"]);
    let refused = wire.ask(&["SADD", "wa:s", "amatista"]);
    let told = "-NOPERM SADD: the command was carried out, but members may";
    assert!(refused.starts_with(told), "{refused:?}");
}
