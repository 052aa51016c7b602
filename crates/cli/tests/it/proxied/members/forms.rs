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
    // It may not remove members, which the script finds out: nothing is there twice.
    let mut direct = pair.redis.client();
    direct.cmd(&["ACL", "SETUSER", "ana", "+eval", "-srem", "-zrem"]);
    direct.cmd(&["SADD", "wa:s", "amatista"]);
    direct.cmd(&["ZADD", "wa:z", "1", "amatista"]);
    for refused in [
        &["SADD", "wa:s", "amatista", "x"][..],
        &["ZADD", "wa:z", "2", "amatista"],
    ] {
        let told = format!("-NOPERM {}: members may", refused[0]);
        let reply = wire.ask(refused);
        assert!(reply.starts_with(&told), "{reply:?}");
        assert_eq!(wire.ask(&["MULTI"]), "+OK\r\n");
        assert_eq!(wire.ask(refused), "+QUEUED\r\n");
        let reply = wire.ask(&["EXEC"]);
        assert!(reply.starts_with(&format!("*1\r\n{told}")), "{reply:?}");
    }
    assert_eq!(wire.ask(&["SCARD", "wa:s"]), ":1\r\n");
    assert_eq!(wire.ask(&["ZCARD", "wa:z"]), ":1\r\n");
}

#[test]
fn more_members_than_a_script_can_pass_on_are_written_as_one_command_does() {
    let pair = Pair::start("auto");
    let plain = RedisServer::start();
    let (mut through, mut direct) = (pair.wire(), Wire::tcp(plain.port()));
    // A few are there in plaintext.
    for mut client in [pair.redis.client(), plain.client()] {
        client.cmd(&["SADD", "wa:s", "17", "9000", "other"]);
        client.cmd(&["ZADD", "wa:z", "5", "17", "6", "9000"]);
        client.cmd(&["GEOADD", "wa:g", "1", "1", "17"]);
    }
    let members = || (0..9500).map(|number: usize| number.to_string());
    let with_score = |score: &str| {
        let pairs = members().flat_map(|member| [score.to_owned(), member]);
        pairs.collect::<Vec<_>>()
    };
    let with_position = |last: &str| {
        let triple = |member: String| {
            let latitude = if member == "9400" { last } else { "2.5" };
            ["1.25".to_owned(), latitude.to_owned(), member]
        };
        members().flat_map(triple).collect::<Vec<_>>()
    };
    let mut invalid = with_score("1");
    invalid[18_000] = "no-number".to_owned();
    let requests: Vec<(&str, Vec<String>)> = vec![
        ("SADD wa:s", members().collect()),
        ("SADD wa:s", members().collect()),
        ("SREM wa:s", members().step_by(2).chain(members()).collect()),
        ("ZADD wa:z", invalid),
        ("ZADD wa:z NX CH", with_score("1")),
        ("ZADD wa:z CH", with_score("2")),
        ("ZADD wa:z GT", with_score("3")),
        ("ZADD wa:z INCR", with_score("3")),
        ("ZADD wa:s", with_score("3")),
        ("ZREM wa:z", members().skip(1).collect()),
        ("GEOADD wa:g", with_position("89")),
        ("GEOADD wa:g CH", with_position("3.5")),
    ];
    for (head, words) in &requests {
        let request: Vec<&str> = head
            .split(' ')
            .chain(words.iter().map(String::as_str))
            .collect();
        assert_eq!(through.ask(&request), direct.ask(&request), "{head}");
        for count in [["SCARD", "wa:s"], ["ZCARD", "wa:z"], ["ZCARD", "wa:g"]] {
            assert_eq!(through.ask(&count), direct.ask(&count), "{head}");
        }
    }
    for request in [&["ZSCORE", "wa:z", "0"][..], &["GEOPOS", "wa:g", "9400"]] {
        assert_eq!(through.ask(request), direct.ask(request));
    }
}
