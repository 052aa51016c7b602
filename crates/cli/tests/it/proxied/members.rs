//! Sets, sorted sets and geo records through the proxy, against the replies of a server that is asked directly: in both
//! versions of the protocol, in both modes that seal, inside and outside of transactions.

mod bounds;
mod forms;
mod groups;

use waxseal_testing::RedisServer;

use super::relay::Relay;
use super::wire::{Raw, Wire, contains};
use super::{Pair, UPSTREAMS};
use crate::program::Program;
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
const WRONG: [&str; 20] = [
    "SMEMBERS wa:s amatista",
    "SCARD wa:s amatista",
    "SPOP wa:s amatista",
    "SRANDMEMBER wa:s amatista x",
    "ZRANGE wa:z [amatista [b",
    "ZCOUNT wa:z [amatista +",
    "ZRANDMEMBER wa:z amatista",
    "GEORADIUS wa:g 1 2 3 km FROMMEMBER amatista",
    "GEORADIUS wa:g amatista 2 3 km",
    "SSCAN wa:s 0 COUNT amatista",
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
