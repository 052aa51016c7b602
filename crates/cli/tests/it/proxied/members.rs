//! Sets, sorted sets and places through the proxy, against the replies of a server that is asked directly: in both
//! versions of the protocol, in both modes that seal, inside and outside of transactions.

use waxseal_testing::RedisServer;

use super::relay::Relay;
use super::wire::{Raw, Wire, contains};
use super::{Pair, UPSTREAMS};
use crate::program::{KEY, OLD_KEY, Program};
use crate::proxy::{PROTECTED_MARKER, Proxy};

/// Requests whose replies are the same to the byte.
const SAME: &str = "\
    SADD wa:s amatista a b c 12
    SADD wa:s amatista d
    SADD wa:s
    SCARD wa:s
    SISMEMBER wa:s amatista
    SISMEMBER wa:s none
    SISMEMBER wa:s a b
    SMISMEMBER wa:s a none 12
    SREM wa:s d none
    SREM wa:none a
    SRANDMEMBER wa:none
    SRANDMEMBER wa:none 3
    SPOP wa:none
    SPOP wa:none 3
    SMEMBERS wa:none
    SADD wa:one amatista
    SPOP wa:one
    SPOP wa:one 2
    SADD wa:one amatista
    SRANDMEMBER wa:one
    SRANDMEMBER wa:one 5
    SRANDMEMBER wa:one -3
    SUNION wa:one
    SINTER wa:one wa:one
    SDIFF wa:one wa:one
    SINTERCARD 1 wa:one LIMIT 4
    SUNIONSTORE wa:one wa:one
    SMOVE wa:one wa:one amatista
    SPOP wa:one 1
    ZADD wa:z 1 amatista 2.5 b -inf c
    ZADD wa:z XX CH INCR 1 amatista
    ZADD wa:z NX 7 amatista 8 d
    ZADD wa:z GT CH 1 d 9 b
    ZADD wa:z amatista 1
    ZADD wa:z 1
    ZADD wa:z NX XX 1 a
    ZADD wa:z NX
    ZCARD wa:z
    ZCOUNT wa:z -inf 5
    ZSCORE wa:z amatista
    ZSCORE wa:z none
    ZMSCORE wa:z amatista none c
    ZINCRBY wa:z 2.25 amatista
    ZINCRBY wa:z amatista amatista
    ZRANK wa:z amatista
    ZRANK wa:z none
    ZREVRANK wa:z b
    ZRANGE wa:z 0 -1
    ZRANGE wa:z 0 -1 WITHSCORES
    ZRANGE wa:z +inf -inf BYSCORE REV LIMIT 0 2 WITHSCORES
    ZRANGE wa:z a b
    ZREVRANGE wa:z 0 1 WITHSCORES
    ZRANGEBYSCORE wa:z (1 +inf LIMIT 0 2
    ZREVRANGEBYSCORE wa:z +inf -inf WITHSCORES
    ZRANGE wa:none 0 -1 WITHSCORES
    ZUNION 1 wa:z WITHSCORES
    ZINTER 2 wa:z wa:z AGGREGATE MAX WITHSCORES
    ZINTERCARD 1 wa:z
    ZDIFF 1 wa:z
    ZRANGESTORE wa:z wa:z 0 -1
    ZRANDMEMBER wa:none
    ZRANDMEMBER wa:none 2 WITHSCORES
    ZADD wa:one 5 amatista
    ZRANDMEMBER wa:one
    ZRANDMEMBER wa:one -2
    ZRANDMEMBER wa:one 1 WITHSCORES
    ZSCAN wa:one 0 MATCH ama*
    ZSCAN wa:one 0 MATCH b* COUNT 10
    SSCAN wa:s 0 MATCH ama*sta COUNT 100
    SSCAN wa:s 0 MATCH none
    SSCAN wa:s x MATCH none
    ZPOPMIN wa:z
    ZPOPMAX wa:z 2
    ZPOPMIN wa:none
    ZPOPMIN wa:none 2
    BZPOPMIN wa:none wa:z 1
    BZPOPMAX wa:none 0.01
    ZADD wa:z 1 amatista 2 b
    ZMPOP 2 wa:none wa:z MIN
    ZMPOP 1 wa:none MIN
    BZMPOP 1 2 wa:none wa:z MAX COUNT 5
    ZREM wa:one none amatista
    GEOADD wa:g 13.361389 38.115556 amatista 15.087269 37.502669 b
    GEOADD wa:g 13 38
    GEOADD wa:g amatista 38 amatista
    GEOPOS wa:g amatista none
    GEOHASH wa:g amatista
    GEODIST wa:g amatista b km
    GEODIST wa:g amatista none
    GEODIST wa:g amatista b amatista
    GEOSEARCH wa:g FROMMEMBER amatista BYRADIUS 300 km ASC
    GEOSEARCH wa:g FROMMEMBER none BYRADIUS 300 km ASC
    GEOSEARCH wa:g FROMLONLAT 15 37 BYBOX 400 400 km DESC WITHCOORD WITHDIST WITHHASH
    GEOSEARCH wa:g FROMLONLAT 15 37 BYRADIUS 400 km ASC WITHDIST COUNT 1
    GEORADIUS wa:g 15 37 300 km ASC
    GEORADIUSBYMEMBER wa:g amatista 300 km ASC WITHDIST
    GEORADIUSBYMEMBER_RO wa:g b 300 km ASC
    GEOSEARCHSTORE wa:g wa:g FROMMEMBER amatista BYRADIUS 300 km
    ZRANGE wa:g 0 -1 WITHSCORES
    SET wa:text amatista
    SADD wa:text amatista
    ZADD wa:text 1 amatista
    ZRANGE wa:text 0 -1
    SMEMBERS wa:text";

/// Requests whose replies have the same elements.
const ALIKE: &str = "\
    SMEMBERS wa:s
    SRANDMEMBER wa:s 9
    SUNION wa:s wa:s
    SSCAN wa:s 0 COUNT 100
    SSCAN wa:s 0 MATCH ?
    SPOP wa:s 9
    SMEMBERS wa:s";

/// A server that is asked directly, and another one through a proxy.
struct Both {
    direct: Wire,
    proxied: Wire,
}

impl Both {
    fn new(direct: &RedisServer, pair: &Pair, is_resp3: bool) -> Self {
        let (direct, proxied) = (Wire::tcp(direct.port()), pair.wire());
        match is_resp3 {
            false => Self { direct, proxied },
            true => Self {
                direct: direct.resp3(),
                proxied: proxied.resp3(),
            },
        }
    }

    #[track_caller]
    fn assert_same(&mut self, line: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        let expected = self.direct.ask(&words);
        assert_eq!(self.proxied.ask(&words), expected, "{line}");
    }

    #[track_caller]
    fn assert_alike(&mut self, line: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        let expected = sorted(&self.direct.ask(&words));
        assert_eq!(sorted(&self.proxied.ask(&words)), expected, "{line}");
    }

    #[track_caller]
    fn clear(&mut self) {
        self.direct.ask(&["FLUSHALL"]);
        self.proxied.ask(&["FLUSHALL"]);
    }
}

fn sorted(reply: &Raw) -> Vec<Vec<u8>> {
    let mut lines: Vec<Vec<u8>> = reply
        .0
        .split(|it| *it == b'\n')
        .map(<[u8]>::to_vec)
        .collect();
    lines.sort();
    lines
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim)
}

#[test]
fn members_are_those_that_were_written() {
    let direct = RedisServer::start();
    for (upstream, mode) in [("own", "on"), ("shared", "required"), ("auto", "on")] {
        let redis = RedisServer::start();
        let program = Program::at(&redis).env("ENABLE_REDIS_ENCRYPTION", mode);
        let flags = ["--protect", "wa:*", "--upstream", upstream];
        let proxy = Proxy::start_as(&program, &redis, &flags);
        let pair = Pair { redis, proxy };
        for is_resp3 in [false, true] {
            let mut both = Both::new(&direct, &pair, is_resp3);
            both.clear();
            lines(SAME).for_each(|line| both.assert_same(line));
            lines(ALIKE).for_each(|line| both.assert_alike(line));
        }
        let mut both = Both::new(&direct, &pair, true);
        both.clear();
        // A few hold a request that is refused when it is queued.
        for requests in lines(SAME).collect::<Vec<_>>().chunks(4) {
            both.assert_same("MULTI");
            requests.iter().for_each(|line| both.assert_same(line));
            both.assert_same("EXEC");
        }
        for line in [
            "SADD wa:s amatista",
            "ZADD wa:z 1 amatista",
            "GEOADD wa:g 1 2 amatista",
        ] {
            both.assert_same(line);
        }
        let mut direct = Wire::tcp(pair.redis.port());
        for request in [
            &["SMEMBERS", "wa:s"][..],
            &["ZRANGE", "wa:z", "0", "-1"],
            &["ZRANGE", "wa:g", "0", "-1"],
        ] {
            let stored = direct.ask(request);
            assert!(!stored.starts_with("*0") && !stored.contains(PROTECTED_MARKER));
        }
        pair.proxy.stop();
    }
}

#[test]
fn where_no_other_form_is_possible_no_member_goes_to_the_server_in_clear() {
    for upstream in UPSTREAMS {
        let redis = RedisServer::start();
        let relay = Relay::before(redis.port());
        let program = Program::at(&redis).env("ENABLE_REDIS_ENCRYPTION", "required");
        let flags = ["--protect", "wa:*", "--upstream", upstream];
        let proxy = Proxy::start_at(&program, &relay.url(), &flags);
        let mut wire = Wire::tcp(proxy.port());
        let requests = lines(SAME).chain(lines(ALIKE)).chain(WRONG.map(str::trim));
        for line in requests.filter(|line| !line.starts_with("SET ")) {
            wire.ask(&line.split(' ').collect::<Vec<_>>());
        }
        assert!(contains(&relay.seen(), b"GEOSEARCH"));
        assert!(
            !contains(&relay.seen(), PROTECTED_MARKER.as_bytes()),
            "{upstream}"
        );
        proxy.stop();
    }
}

/// Requests that servers refuse, with members in wrong places.
const WRONG: [&str; 10] = [
    "ZADD wa:z amatista",
    "ZADD wa:z amatista 1 b",
    "ZADD wa:z 1 b amatista",
    "ZINCRBY wa:z amatista",
    "ZRANK wa:z b amatista",
    "GEOADD wa:g 1 amatista 2",
    "GEODIST wa:g a b amatista km",
    "GEOSEARCH wa:g FROMMEMBER b amatista 1 km",
    "ZRANGE wa:z [amatista + BYLEX",
    "SSCAN wa:s 0 MATCH amatista",
];

#[test]
fn what_the_server_would_compare_or_sort_is_refused() {
    for upstream in UPSTREAMS {
        let pair = Pair::start(upstream);
        let mut wire = pair.wire();
        wire.ask(&["SADD", "wa:s", "amatista"]);
        for line in [
            "SUNION wa:s wa:t",
            "SUNION wa:s open:t",
            "SINTERCARD 2 wa:s open:t",
            "SUNIONSTORE open:t wa:s",
            "SMOVE wa:s wa:t amatista",
            "ZUNIONSTORE wa:z 1 open:z",
            "ZRANGESTORE wa:z open:z 0 -1",
            "ZRANGEBYLEX wa:z - +",
            "ZRANGE wa:z - + BYLEX",
            "ZLEXCOUNT wa:z - +",
            "GEOSEARCHSTORE wa:g open:g FROMLONLAT 1 2 BYRADIUS 3 km",
            "RENAME wa:s wa:t",
        ] {
            let words: Vec<&str> = line.split(' ').collect();
            assert!(wire.ask(&words).starts_with("-SEALREFUSED "), "{line}");
        }
        assert_eq!(wire.ask(&["SCARD", "wa:s"]), ":1\r\n");
    }
}

#[test]
fn a_member_that_does_not_open_is_an_error_and_others_that_were_popped_are_not_lost() {
    let pair = Pair::start("shared");
    let mut wire = pair.wire();
    wire.ask(&["SADD", "wa:s", "amatista"]);
    wire.ask(&["ZADD", "wa:z", "1", "amatista"]);
    wire.ask(&["SADD", "wa:other", "b"]);
    let mut direct = pair.redis.client();
    // An envelope of another record.
    for (from, to) in [("wa:other", "wa:s"), ("wa:other", "wa:z")] {
        let member = direct.cmd(&["SRANDMEMBER", from]).bytes().unwrap();
        match to {
            "wa:s" => direct.cmd(&[b"SADD", to.as_bytes(), &member]),
            _ => direct.cmd(&[b"ZADD", to.as_bytes(), b"2", &member]),
        };
    }
    assert!(wire.ask(&["SMEMBERS", "wa:s"]).starts_with("-SEALBROKEN "));
    assert!(
        wire.ask(&["ZRANGE", "wa:z", "0", "-1"])
            .starts_with("-SEALBROKEN ")
    );
    assert_eq!(
        wire.ask(&["ZRANGE", "wa:z", "0", "0"]),
        "*1\r\n$8\r\namatista\r\n"
    );
    let popped = wire.ask(&["SPOP", "wa:s", "2"]);
    assert!(popped.starts_with("*2\r\n"), "{popped:?}");
    assert!(
        popped.contains("$8\r\namatista\r\n") && popped.contains("-SEALBROKEN "),
        "{popped:?}"
    );
    let popped = wire.ask(&["ZPOPMIN", "wa:z", "2"]);
    assert!(
        popped.starts_with("*4\r\n$8\r\namatista\r\n$1\r\n1\r\n-SEALBROKEN "),
        "{popped:?}"
    );
}

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
            let (set, zset, geo) = (
                format!("wa:s:{name}"),
                format!("wa:z:{name}"),
                format!("wa:g:{name}"),
            );
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
    assert!(refused.starts_with(told), "{refused:?}");
}

#[test]
fn records_of_a_group_share_their_members_and_move() {
    let direct = RedisServer::start();
    for mode in ["on", "required"] {
        let redis = RedisServer::start();
        let config = "[[protect]]\nname = \"Tags\"\nrecords = \"wa:*\"\nformat = \"sealed\"\n\
                      write_version = 3\ngroup = \"tags\"\nbind = \"group\"\n";
        let program = Program::at(&redis)
            .keys(KEY, "")
            .env("ENABLE_REDIS_ENCRYPTION", mode)
            .file("waxseal.toml", config);
        let proxy = Proxy::start_as(&program, &redis, &[]);
        let pair = Pair { redis, proxy };
        for is_resp3 in [false, true] {
            let mut both = Both::new(&direct, &pair, is_resp3);
            both.clear();
            lines(GROUPED).for_each(|line| both.assert_same(line));
            for line in ["SUNION wa:s wa:t", "SINTER wa:s wa:u", "SMEMBERS wa:u"] {
                both.assert_alike(line);
            }
            let mut refused = pair.wire();
            for line in [
                "SUNION wa:s open:s",
                "RENAME wa:s open:s",
                "COPY open:s wa:s",
            ] {
                let words: Vec<&str> = line.split(' ').collect();
                assert!(refused.ask(&words).starts_with("-SEALREFUSED "), "{line}");
            }
        }
        pair.proxy.stop();
    }
}

/// Requests about several records of one group.
const GROUPED: &str = "\
    SADD wa:s amatista a b
    SADD wa:t amatista c
    SINTER wa:s wa:t
    SINTERCARD 2 wa:s wa:t
    SDIFF wa:t wa:s
    SUNIONSTORE wa:u wa:s wa:t
    SCARD wa:u
    SMOVE wa:u wa:v amatista
    SMOVE wa:u wa:v none
    SMEMBERS wa:v
    SISMEMBER wa:u amatista
    SADD wa:u amatista
    SINTERSTORE wa:w wa:s wa:t
    SDIFFSTORE wa:x wa:s wa:t
    SISMEMBER wa:x a
    ZADD wa:z 1 amatista 2 b
    ZADD wa:y 3 amatista 9 c
    ZUNIONSTORE wa:zu 2 wa:z wa:y WEIGHTS 1 2
    ZRANGE wa:zu 0 -1 WITHSCORES
    ZINTER 2 wa:z wa:y WITHSCORES
    ZINTER 2 wa:z wa:s WITHSCORES
    ZDIFFSTORE wa:zd 2 wa:z wa:y
    ZRANGE wa:zd 0 -1
    ZINTERCARD 2 wa:z wa:y
    ZRANGESTORE wa:zr wa:z 0 0
    ZRANGE wa:zr 0 -1 WITHSCORES
    GEOADD wa:g 13.361389 38.115556 amatista 15.087269 37.502669 b
    GEOSEARCHSTORE wa:h wa:g FROMMEMBER amatista BYRADIUS 300 km
    ZRANGE wa:h 0 -1
    GEORADIUS wa:g 15 37 300 km STORE wa:i
    GEOPOS wa:i amatista
    RENAME wa:v wa:v2
    SISMEMBER wa:v2 amatista
    RENAMENX wa:v2 wa:s
    COPY wa:v2 wa:v3
    SMEMBERS wa:v3
    SET wa:text amatista
    RENAME wa:text wa:text2
    GET wa:text2
    HSET wa:hash f amatista
    COPY wa:hash wa:hash2
    HGETALL wa:hash2
    RPUSH wa:l amatista two
    LMOVE wa:l wa:m LEFT RIGHT
    RPOPLPUSH wa:l wa:m
    BLMOVE wa:m wa:l RIGHT LEFT 1
    BRPOPLPUSH wa:none wa:l 0.01
    LRANGE wa:l 0 -1
    LRANGE wa:m 0 -1
    LMOVE wa:none wa:m LEFT RIGHT";

#[test]
fn elements_are_found_where_equal_ones_are_sealed_alike() {
    let (direct, redis) = (RedisServer::start(), RedisServer::start());
    let config = |members| {
        format!(
            "[[protect]]\nname = \"Queues\"\nrecords = \"wa:*\"\nformat = \"sealed\"\n\
             write_version = 3\nmembers = \"{members}\"\n"
        )
    };
    let program = |members| {
        let program = Program::at(&redis).keys(KEY, "");
        program.file("waxseal.toml", &config(members))
    };
    let random = Proxy::start_as(&program("random"), &redis, &[]);
    let mut wire = Wire::tcp(random.port());
    wire.ask(&["RPUSH", "wa:old", "amatista", "b"]);
    let refused = wire.ask(&["LREM", "wa:old", "0", "amatista"]);
    assert!(refused.starts_with("-SEALREFUSED LREM "), "{refused:?}");
    random.stop();
    let of_elements = program("deterministic");
    let proxy = Proxy::start_as(&of_elements, &redis, &[]);
    let mut both = Both {
        direct: Wire::tcp(direct.port()),
        proxied: Wire::tcp(proxy.port()),
    };
    // An element that was sealed at random is found when it has been resealed.
    assert_eq!(both.proxied.ask(&["LPOS", "wa:old", "amatista"]), "$-1\r\n");
    of_elements.run(&["rotate"]).done();
    assert_eq!(both.proxied.ask(&["LPOS", "wa:old", "amatista"]), ":0\r\n");
    // In plaintext on both sides.
    Wire::tcp(redis.port()).ask(&["RPUSH", "wa:l", "amatista", "amatista"]);
    both.direct.ask(&["RPUSH", "wa:l", "amatista", "amatista"]);
    lines(ELEMENTS).for_each(|line| both.assert_same(line));
    let stored = Wire::tcp(redis.port()).ask(&["LRANGE", "wa:l", "0", "-1"]);
    assert!(!stored.starts_with("*0") && !stored.contains(PROTECTED_MARKER));
    proxy.stop();
}

/// Requests that compare elements.
const ELEMENTS: &str = "\
    RPUSH wa:l b amatista c b
    LPOS wa:l amatista
    LPOS wa:l amatista RANK -1
    LPOS wa:l amatista COUNT 0 MAXLEN 0
    LPOS wa:l none
    LPOS wa:none b
    LINSERT wa:l BEFORE c amatista
    LINSERT wa:l AFTER none amatista
    LRANGE wa:l 0 -1
    LREM wa:l 1 amatista
    LREM wa:l -1 b
    LREM wa:l 0 none
    LRANGE wa:l 0 -1
    MULTI
    LREM wa:l 1 amatista
    RPUSH wa:l amatista d
    LPOS wa:l d
    EXEC
    LRANGE wa:l 0 -1
    SET wa:text amatista
    LREM wa:text 0 amatista";
