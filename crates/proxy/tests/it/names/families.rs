//! Each family of commands: what a client gets from a server with plain names and through the proxy is the same, and the
//! server behind it has no such name.

use super::world::{Both, Values, World};

const STRINGS: &[&str] = &[
    "SET k:a 1",
    "GET k:a",
    "SET k:b two EX 1000",
    "MSET k:c 3 k:d 4",
    "MGET k:a k:none k:b k:c",
    "MSETNX k:d 1 k:e 2",
    "MSETNX k:e 2 k:f 3",
    "SETNX k:a x",
    "SETEX k:g 100 v",
    "GETSET k:a 5",
    "GETDEL k:f",
    "GETEX k:b PERSIST",
    "TTL k:b",
    "STRLEN k:b",
    "GETRANGE k:b 0 1",
    "SET k:a 7 GET",
    "INCR k:a",
    "INCRBY k:a 5",
    "DECR k:a",
    "INCRBYFLOAT k:a 1.5",
    "APPEND k:b more",
    "SETRANGE k:b 1 XX",
    "GET k:b",
    "LCS k:b k:c",
    "SET k:a 1 NX",
    "SET k:a 1 WRONG",
    "GET",
    "SETBIT k:bits 3 1",
    "GETBIT k:bits 3",
    "BITCOUNT k:bits",
];

const GENERIC: &[&str] = &[
    "EXISTS k:a k:b k:none k:a",
    "TYPE k:a",
    "TYPE k:none",
    "TOUCH k:a k:b k:none",
    "EXPIRE k:a 1000",
    "TTL k:a",
    "PERSIST k:a",
    "RENAME k:none k:x",
    "RENAME k:a k:moved",
    "GET k:moved",
    "GET k:a",
    "RENAMENX k:moved k:b",
    "RENAMENX k:moved k:a",
    "COPY k:a k:copied",
    "GET k:copied",
    "COPY k:a k:b REPLACE",
    "GET k:b",
    "OBJECT ENCODING k:none",
    "OBJECT REFCOUNT k:a",
    "DEL k:copied k:none",
    "UNLINK k:b k:c",
    "DBSIZE",
    "SORT k:none",
];

const HASHES: &[&str] = &[
    "HSET k:h a 1 b 2",
    "HGET k:h a",
    "HMGET k:h a none b",
    "HGETALL k:h",
    "HINCRBY k:h a 4",
    "HVALS k:h",
    "HKEYS k:h",
    "HSETNX k:h a 3",
    "HDEL k:h b",
    "HLEN k:h",
    "HEXISTS k:h a",
    "HSTRLEN k:h a",
    "HSCAN k:h 0",
    "RENAME k:h k:h2",
    "HGETALL k:h2",
    "GET k:h2",
];

const LISTS: &[&str] = &[
    "RPUSH k:l 3 1 2",
    "LRANGE k:l 0 -1",
    "LINDEX k:l 0",
    "LSET k:l 0 9",
    "LPOS k:l 1",
    "LINSERT k:l BEFORE 1 0",
    "LREM k:l 1 2",
    "LMOVE k:l k:l2 LEFT RIGHT",
    "LRANGE k:l2 0 -1",
    "RPOPLPUSH k:l k:l2",
    "LMPOP 2 k:none k:l2 LEFT COUNT 1",
    "LMPOP 1 k:none LEFT",
    "BLPOP k:none k:l2 k:l 1",
    "RPUSH k:l 3 1 2",
    "BRPOP k:l 1",
    "BLMPOP 1 2 k:none k:l RIGHT",
    "BLMOVE k:l k:l2 LEFT LEFT 1",
    "LPOP k:l2",
    "LLEN k:l2",
    "BLPOP k:l2 0.01",
    "RPUSH k:s 3 1 2",
    "SORT k:s",
    "SORT k:s DESC LIMIT 0 2",
    "SORT k:s STORE k:sorted",
    "LRANGE k:sorted 0 -1",
    "MSET w:1 30 w:2 20 w:3 10",
    "SORT k:s BY w:*",
    "SORT k:s BY w:* GET # GET w:*",
    "HSET o:1 f a",
    "HSET o:2 f b",
    "SORT k:s BY nosort GET o:*->f",
    "SORT k:s BY w:* GET w:* STORE k:sorted",
    "LRANGE k:sorted 0 -1",
    "SORT k:s UNKNOWN k:l",
    "RPUSH o:list 2 1 3",
    "SORT o:list BY w:* GET k:none* GET w:*",
    "SORT o:list BY nosort STORE k:sorted",
];

const SETS: &[&str] = &[
    "SADD k:set a b",
    "SISMEMBER k:set a",
    "SMISMEMBER k:set a none",
    "SCARD k:set",
    "SADD k:seta b c",
    "SADD k:setb b d",
    "SINTERCARD 2 k:seta k:setb",
    "SINTERSTORE k:setc k:seta k:setb",
    "SDIFF k:seta k:setb",
    "SUNIONSTORE k:setc k:seta k:setb",
    "SMEMBERS k:setc",
    "SREM k:set b",
    "SMEMBERS k:set",
    "SMOVE k:set k:set2 a",
    "SMEMBERS k:set2",
    "SPOP k:set2",
    "ZADD k:z 1 a 2 b 3 c",
    "ZADD k:z2 1 a",
    "ZUNIONSTORE k:z3 2 k:z k:z2 WEIGHTS 1 2",
    "ZRANGE k:z3 0 -1 WITHSCORES",
    "ZINTER 2 k:z k:z2 WITHSCORES",
    "ZRANGESTORE k:z3 k:z 0 1",
    "ZDIFF 2 k:z k:z2",
    "ZRANGE k:z 0 -1 WITHSCORES",
    "ZSCORE k:z b",
    "ZINCRBY k:z 5 a",
    "ZRANK k:z a",
    "ZMSCORE k:z a none",
    "ZPOPMIN k:z",
    "ZMPOP 2 k:none k:z MAX",
    "BZPOPMIN k:none k:z 1",
    "ZADD k:z 1 a 2 b",
    "BZMPOP 1 2 k:none k:z MIN COUNT 2",
    "BZPOPMAX k:z 0.01",
    "GEOADD k:geo 13.361389 38.115556 here",
    "GEOPOS k:geo here",
    "GEODIST k:geo here here",
];

const STREAMS: &[&str] = &[
    "XADD k:x 1-1 f v g w",
    "XADD k:x 2-1 f v2",
    "XADD k:y 1-1 f other",
    "XLEN k:x",
    "XRANGE k:x - +",
    "XREVRANGE k:x + - COUNT 1",
    "XREAD COUNT 1 STREAMS k:x k:y 0 0",
    "XREAD BLOCK 10 STREAMS k:x $",
    "XGROUP CREATE k:x g 0",
    "XREADGROUP GROUP g one STREAMS k:x >",
    "XREADGROUP GROUP g one STREAMS k:x 0",
    "XACK k:x g 1-1",
    "XPENDING k:x g",
    "XCLAIM k:x g two 0 2-1",
    "XAUTOCLAIM k:x g one 0 0",
    "XTRIM k:x MAXLEN 1",
    "XDEL k:x 2-1",
    "XGROUP DESTROY k:x g",
];

/// Requests whose errors quote a name.
const QUOTED: &[&str] = &[
    "XADD k:q 1-1 f v",
    "XREADGROUP GROUP none one STREAMS k:q >",
    "XREADGROUP GROUP none one STREAMS k:y k:q > >",
    "XREADGROUP GROUP none one STREAMS k:absent\\nline >",
    "XREADGROUP GROUP none one STREAMS k:ab\\0sent >",
    "XPENDING k:q none",
    "XPENDING k:absent none",
    "XCLAIM k:q none one 0 1-1",
    "XAUTOCLAIM k:q none one 0 0",
    "XGROUP DELCONSUMER k:q none one",
    "XGROUP SETID k:q none 0",
    "XGROUP DESTROY k:absent none",
    "XINFO CONSUMERS k:q none",
    "XINFO GROUPS k:q",
];

const TRANSACTIONS: &[&str] = &[
    "MULTI",
    "SET k:t 1",
    "GET k:t",
    "INCR k:t",
    "INCR k:t",
    "DEL k:none",
    "RENAME k:t k:t2",
    "GET k:t2",
    "EXEC",
    "GET k:t2",
    "WATCH k:t2",
    "MULTI",
    "INCR k:t2",
    "RPUSH k:tl a b",
    "LMOVE k:tl k:tl2 LEFT RIGHT",
    "LRANGE k:tl2 0 -1",
    "HSET k:th f 1",
    "HINCRBY k:th f 2",
    "XREADGROUP GROUP none one STREAMS k:q >",
    "BLPOP k:tl2 0",
    "EXEC",
    "GET k:t2",
    "MULTI",
    "SET k:t3 7",
    "INCR k:t3",
    "SET k:t3 9",
    "APPEND k:t3 0",
    "DEL k:t3",
    "INCR k:t3",
    "COPY k:t3 k:t4",
    "EXEC",
    "MGET k:t3 k:t4",
    "MULTI",
    "SET k:t3 1",
    "DISCARD",
    "GET k:t3",
    "MULTI",
    "LPUSH k:t3 x",
    "INCR k:t3",
    "EXEC",
];

/// What a lock's library sends to release it.
const RELEASE: &str = "EVAL if\\nredis.call(\"get\",KEYS[1])\\n==\\nARGV[1]\\nthen\\nreturn\\nredis.call(\"del\",KEYS[1])\\nelse\\nreturn\\n0\\nend 1 k:lock token";

const OTHERS: &[&str] = &[
    "SET k:lock token",
    RELEASE,
    RELEASE,
    "COMMAND GETKEYS SET k:1 v",
    "COMMAND GETKEYS DEL k:1 k:2 other",
    "COMMAND GETKEYS GET",
    "COMMAND GETKEYSANDFLAGS RENAME k:1 k:2",
    "COMMAND GETKEYS NOSUCH k:1",
    "ACL SETUSER someone on +get ~nothing:*",
    "ACL DRYRUN someone GET k:1",
    "ACL DRYRUN default GET k:1",
    "ACL DRYRUN someone SORT k:1",
    "KEYS k:*",
    "KEYS *",
    "KEYS k:nothing*",
    "KEYS k:a",
    "KEYS [kw]:?",
    "RANDOMKEY none",
    "EXPIREAT k:a 99999999999",
    "PEXPIRETIME k:a",
    "MOVE k:none 1",
    "DUMP k:none",
    "RESTORE k:r 0 junk",
    "FLUSHALL none",
];

fn run(both: &mut Both) {
    let families = [
        STRINGS,
        GENERIC,
        HASHES,
        LISTS,
        SETS,
        STREAMS,
        QUOTED,
        TRANSACTIONS,
        OTHERS,
    ];
    both.all_same(families.into_iter().flatten().copied());
}

#[test]
fn all_names_may_be_sealed() {
    for (is_resp3, values) in [(false, Values::Bound), (true, Values::InGroup)] {
        let world = World::with(&["*"], values);
        run(&mut world.both(is_resp3));
        let stored = world.stored_names();
        assert!(stored.len() > 10);
        let is_sealed = |name: &String| name.starts_with("~9VcDE");
        assert!(stored.iter().all(is_sealed), "{stored:?}");
    }
}

#[test]
fn names_behind_a_prefix_are_sealed_and_others_are_not() {
    for (is_resp3, values) in [(true, Values::Bound), (false, Values::InGroup)] {
        let world = World::with(&["k:*", "!w:*"], values);
        run(&mut world.both(is_resp3));
        for name in world.stored_names() {
            let is_sealed = name.starts_with("k:~9VcDE");
            assert!(is_sealed || !name.starts_with("k:"), "{name}");
        }
    }
}
