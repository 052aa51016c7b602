//! Values that the server compares or moves: in records of one group, and elements of lists that are sealed alike.

use waxseal_testing::RedisServer;

use super::super::Pair;
use super::{Both, Wire, lines};
use crate::program::{KEY, Program};
use crate::proxy::{PROTECTED_MARKER, Proxy};

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
            for line in ["SUNION wa:s open:s", "RENAME wa:s open:s"] {
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
