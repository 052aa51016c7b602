//! Requests of every kind, made by chance from a seed. None has a reply that depends on the time, on
//! chance, or on the order of a hash table: two servers that get the same give the same replies.

use std::collections::BTreeSet;

/// One line for each kind of request; what stands behind a semicolon follows on the same connection
/// without anything between. Words in braces are filled in: `{s}` the name of a string, `{h}` of a
/// hash, `{l}` list, `{t}` set, `{z}` sorted set, `{x}` stream, `{g}` places, `{p}` `HyperLogLog`, `{b}`
/// bits; `{v}` a short value, `{w}` any value, `{f}` a field, `{n}` a small number, `{any}` a name of any kind.
/// A line that begins with `=` always has as many arguments as here.
const LINES: &str = "\
APPEND {s} {w}
DECR {s}n
DECRBY {s}n {n}
GET {s}
GETDEL {s}
GETEX {s} PERSIST
GETRANGE {s} 0 {n}
GETSET {s} {w}
INCR {s}n
INCRBY {s}n {n}
INCRBYFLOAT {s}n 0.5
LCS {s} {s} LEN
LCS {s} {s} IDX WITHMATCHLEN
MGET {s} {s} {any}
MSET {s} {w} {s} {w}
MSETNX {s}m {v} {s}m2 {v}
PSETEX {s}ex 100000000 {v}
SET {s} {w}
SET {s} {v} GET
SET {s} {v} NX
SET {s} {v} EXAT 4102444800
SETEX {s}ex 100000 {v}
SETNX {s} {v}
SETRANGE {s} {n} {v}
STRLEN {s}
SUBSTR {s} 0 -1
HDEL {h} {f}
HEXISTS {h} {f}
HGET {h} {f}
HGETALL {h}
HINCRBY {h} {n} {n}
HINCRBYFLOAT {h} {n} 0.25
HKEYS {h}
HLEN {h}
HMGET {h} {f} {f} {f}
HMSET {h} {f} {v} {f} {v}
HRANDFIELD {h} 1000 WITHVALUES
HSCAN {h} 0 COUNT 1000
HSET {h} {f} {v} {f} {v}
HSETNX {h} {f} {v}
HSTRLEN {h} {f}
HVALS {h}
BLMOVE {l} {l} LEFT RIGHT 0.01
BLMPOP 0.01 2 {l} {l} LEFT COUNT 2
BLPOP {l} {l} 0.01
BRPOP {l} 0.01
BRPOPLPUSH {l} {l} 0.01
LINDEX {l} {n}
LINSERT {l} BEFORE {v} {v}
LLEN {l}
LMOVE {l} {l} RIGHT LEFT
LMPOP 2 {l} {l} RIGHT COUNT 3
LPOP {l}
LPOP {l} 2
LPOS {l} {v}
LPUSH {l} {v} {w}
LPUSHX {l} {v}
LRANGE {l} 0 -1
LREM {l} 1 {v}
LSET {l} 0 {w}
LTRIM {l} 0 20
RPOP {l}
RPOPLPUSH {l} {l}
RPUSH {l} {v} {v} {v}
RPUSHX {l} {v}
=SADD {t} {n} {n} {n}
SCARD {t}
SDIFF {t} {t}
SDIFFSTORE {t} {t} {t}
SINTER {t} {t}
SINTERCARD 2 {t} {t}
SINTERSTORE {t} {t} {t}
SISMEMBER {t} {n}
SMEMBERS {t}
SMISMEMBER {t} {n} {n}
SMOVE {t} {t} {n}
=SPOP {t} 1000
=SRANDMEMBER {t} 1000
SREM {t} {n}
SSCAN {t} 0 COUNT 1000
SUNION {t} {t}
SUNIONSTORE {t} {t} {t}
BZMPOP 0.01 1 {z} MAX
BZPOPMAX {z} 0.01
BZPOPMIN {z} {z} 0.01
ZADD {z} {n} {v} {n} {v}
ZADD {z} XX CH INCR {n} {v}
ZCARD {z}
ZCOUNT {z} -inf {n}
ZDIFF 2 {z} {z} WITHSCORES
ZDIFFSTORE {z} 2 {z} {z}
ZINCRBY {z} 1.5 {v}
ZINTER 2 {z} {z}
ZINTERCARD 2 {z} {z}
ZINTERSTORE {z} 2 {z} {z}
ZLEXCOUNT {z} - +
ZMPOP 1 {z} MIN COUNT 2
ZMSCORE {z} {v} {v}
ZPOPMAX {z}
ZPOPMIN {z} 2
ZRANDMEMBER {z} 1000 WITHSCORES
ZRANGE {z} 0 -1 WITHSCORES
ZRANGEBYLEX {z} - +
ZRANGEBYSCORE {z} -inf +inf LIMIT 0 5
ZRANGESTORE {z} {z} 0 -1
ZRANK {z} {v}
ZREM {z} {v}
ZREMRANGEBYLEX {z} [a [b
ZREMRANGEBYRANK {z} 20 30
ZREMRANGEBYSCORE {z} 30 40
ZREVRANGE {z} 0 {n}
ZREVRANGEBYLEX {z} + -
ZREVRANGEBYSCORE {z} +inf -inf WITHSCORES
ZREVRANK {z} {v}
ZSCAN {z} 0 COUNT 1000
ZSCORE {z} {v}
ZUNION 2 {z} {z} WEIGHTS 1 2 WITHSCORES
ZUNIONSTORE {z} 2 {z} {z}
XADD {x} NOMKSTREAM MAXLEN ~ 100 {n}-{n} {f} {v}
XADD {x} 9{n}-{n} {f} {v}
XACK {x} gr 1-1
XAUTOCLAIM {x} gr one 100000 0-0
XCLAIM {x} gr one 100000 1-1
XDEL {x} {n}-{n}
XGROUP CREATE {x} gr 0 MKSTREAM
XGROUP CREATECONSUMER {x} gr one
XGROUP DELCONSUMER {x} gr one
XGROUP DESTROY {x} gr
XGROUP SETID {x} gr 0
XGROUP HELP
XINFO GROUPS {x}
XINFO STREAM {x}
XINFO HELP
XLEN {x}
XPENDING {x} gr
XRANGE {x} - + COUNT 5
XREAD COUNT 3 STREAMS {x} 0
XREAD BLOCK 1 STREAMS {x} $
XREADGROUP GROUP gr two COUNT 1 STREAMS {x} >
XREVRANGE {x} + - COUNT 5
XSETID {x} 99999-1
XTRIM {x} MAXLEN 50
GEOADD {g} 13.361389 38.115556 {v} -99.1 19.4 {v}
GEODIST {g} {v} {v} km
GEOHASH {g} {v} {v}
GEOPOS {g} {v}
GEORADIUS {g} 15 37 20000 km ASC WITHCOORD WITHDIST
GEORADIUSBYMEMBER {g} {v} 20000 km ASC
GEORADIUS_RO {g} 15 37 200 km ASC
GEORADIUSBYMEMBER_RO {g} {v} 20000 km ASC
GEOSEARCH {g} FROMLONLAT 15 37 BYRADIUS 20000 km ASC WITHHASH
GEOSEARCHSTORE {g} {g} FROMLONLAT 15 37 BYBOX 400 400 km ASC
PFADD {p} {v} {v} {v}
PFCOUNT {p} {p}
PFMERGE {p} {p} {p}
BITCOUNT {b}
BITFIELD {b} SET u8 0 {n} GET u4 4
BITFIELD_RO {b} GET u8 0
BITOP XOR {b} {b} {b}
BITPOS {b} 1
GETBIT {b} {n}
SETBIT {b} {n} 1
COPY {any} {any} REPLACE
DEL {any}
DUMP {s}n
EXISTS {any} {any}
EXPIRE {any} 100000 GT
EXPIREAT {any} 4102444800
EXPIRETIME {any}
KEYS s1
MIGRATE 127.0.0.1 1 nothing-here 0 10
MOVE {any} 5
OBJECT ENCODING {any}
OBJECT FREQ {any}
OBJECT REFCOUNT {t}
OBJECT HELP
PERSIST {any}
PEXPIRE {any} 100000000 GT
PEXPIREAT {any} 4102444800000
PEXPIRETIME {any}
PTTL nothing-here
RENAME {any} {any}
RENAMENX {any} {any}
RESTORE {any}r 0 rubbish
SCAN 0 MATCH s1 COUNT 100000
SORT {l} ALPHA
SORT {t} DESC LIMIT 0 5
SORT_RO {l} ALPHA
TOUCH {any}
TTL {any}none
TYPE {any}
UNLINK {any}
WAIT 0 0
RANDOMKEY {any} wrong
SELECT 6;FLUSHDB;RANDOMKEY;SET only {v};RANDOMKEY;DBSIZE;SELECT 0
SELECT 99
SWAPDB 5 7
FLUSHDB ASYNC surplus
FLUSHALL surplus surplus
DBSIZE
EVAL 'return {1,redis.call(\"SET\",KEYS[1],ARGV[1]),redis.status_reply(\"FINE\")}' 1 {s} {v}
EVAL 'return redis.error_reply(\"MINE of my own\")' 0
EVAL_RO 'return redis.call(\"TYPE\",KEYS[1])' 1 {any}
EVAL 'redis.setresp(3); return {true,{double=0.5},{map={a=1}}}' 0
SCRIPT LOAD 'return ARGV[1]'
SCRIPT EXISTS e0e1f9fabfc9d4800c877a703b823ac0578ff8db 098e0f0d1448c0a81dafe820f66d460eb09263da
SCRIPT FLUSH
SCRIPT KILL
SCRIPT HELP
EVALSHA 098e0f0d1448c0a81dafe820f66d460eb09263da 0 {v}
EVALSHA_RO 098e0f0d1448c0a81dafe820f66d460eb09263da 0 {v}
FUNCTION LOAD REPLACE '#!lua name=lib\nredis.register_function{function_name=\"f\",callback=function(k,a) return a end,flags={\"no-writes\"}}'
FUNCTION LIST
FUNCTION STATS
FUNCTION DELETE lib
FUNCTION FLUSH
FUNCTION DUMP
FUNCTION RESTORE rubbish
FUNCTION KILL
FUNCTION HELP
FCALL f 1 {s} {v}
FCALL_RO f 0 {v}
MULTI;SET {s} {v};LRANGE {l} 0 -1;HGETALL {h};EXEC
MULTI;INCR {l};GET {s};EXEC
MULTI;GET;GET {s};EXEC
MULTI;SET {s} {v};DISCARD
MULTI;MULTI;WATCH {s};EXEC
WATCH {s};MULTI;GET {s};EXEC
WATCH {s};SET {s} {v};MULTI;GET {s};EXEC
WATCH {s};UNWATCH
EXEC
DISCARD
UNWATCH
SUBSCRIBE news;SUBSCRIBE more;UNSUBSCRIBE more;UNSUBSCRIBE news
PSUBSCRIBE n*;PING;PUNSUBSCRIBE n*
SSUBSCRIBE shard;SUNSUBSCRIBE shard
=UNSUBSCRIBE
=PUNSUBSCRIBE
=SUNSUBSCRIBE
PUBLISH nobody {v}
SPUBLISH nobody {v}
PUBSUB CHANNELS
PUBSUB NUMPAT
PUBSUB NUMSUB a b
PUBSUB SHARDCHANNELS
PUBSUB SHARDNUMSUB a
PUBSUB HELP
PING
PING {w}
ECHO {w}
AUTH default wrong-one
AUTH nobody wrong one too many
HELLO 9
CLIENT CACHING YES
CLIENT GETNAME
CLIENT GETREDIR
CLIENT HELP
CLIENT KILL ID 999999999
CLIENT NO-EVICT OFF
CLIENT REPLY ON
CLIENT REPLY MAYBE
CLIENT SETNAME somebody
CLIENT SETNAME 'a name'
CLIENT TRACKING OFF
CLIENT TRACKINGINFO
CLIENT UNBLOCK 999999999
CLIENT UNPAUSE
READONLY
READWRITE
ASKING
ACL CAT
ACL DELUSER nobody
ACL DRYRUN default GET {s}
ACL GETUSER default
ACL HELP
ACL LIST
=ACL LOG RESET
ACL SETUSER nobody on >x ~a* +get
ACL USERS
ACL WHOAMI
COMMAND COUNT
=COMMAND DOCS get
COMMAND GETKEYS MSET a 1 b 2
COMMAND GETKEYSANDFLAGS GET a
COMMAND HELP
COMMAND INFO get nothing
COMMAND LIST FILTERBY PATTERN xrange
CONFIG GET maxmemory-policy
CONFIG HELP
CONFIG RESETSTAT
CONFIG SET maxmemory-samples 5
CONFIG SET nothing-here 5
LATENCY GRAPH command
LATENCY HELP
LATENCY HISTORY command
LATENCY LATEST
LATENCY RESET
MEMORY HELP
MEMORY PURGE surplus
MEMORY USAGE nothing-here
MODULE HELP
MODULE LIST
SLOWLOG GET
SLOWLOG HELP
SLOWLOG LEN
SLOWLOG RESET
REPLICAOF NO surplus ONE
ROLE
TIME surplus
LASTSAVE surplus
INFO nothing-here
CLUSTER HELP
CLUSTER INFO
CLUSTER KEYSLOT {s}
CLUSTER MYID
CLUSTER NODES
CLUSTER SHARDS
CLUSTER SLOTS
DEBUG SLEEP 0
FAILOVER surplus surplus
NOSUCHCOMMAND {v} {v}
CLIENT NOSUCHSUBCOMMAND {v}
OBJECT NOSUCHSUBCOMMAND {v}
CLIENT
GET
SET {s}";

/// Containers: their second word says what is asked.
const CONTAINERS: [&str; 17] = [
    "ACL", "CLIENT", "CLUSTER", "COMMAND", "CONFIG", "DEBUG", "FUNCTION", "LATENCY", "MEMORY",
    "MODULE", "OBJECT", "PUBSUB", "SCRIPT", "SLOWLOG", "XGROUP", "XINFO", "SELECT",
];

/// One request.
pub(super) type Words = Vec<Vec<u8>>;

/// Numbers by chance, the same for the same seed (splitmix64).
pub(super) struct Chance(u64);

impl Chance {
    pub(super) fn seeded(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % bound as u64).unwrap()
    }

    fn one_in(&mut self, many: usize) -> bool {
        self.below(many) == 0
    }
}

/// All kinds of requests `rounds` times, each time in another order and with other arguments. What
/// must stay together is in one group.
pub(super) fn mix(seed: u64, rounds: usize) -> Vec<Vec<Words>> {
    let mut chance = Chance::seeded(seed);
    let mut groups = Vec::new();
    for _ in 0..rounds {
        let mut lines: Vec<&str> = LINES.lines().collect();
        for at in (1..lines.len()).rev() {
            lines.swap(at, chance.below(at + 1));
        }
        groups.extend(lines.into_iter().map(|line| group(line, &mut chance)));
    }
    groups
}

/// Names of commands and subcommands in a mix.
pub(super) fn names(groups: &[Vec<Words>]) -> BTreeSet<String> {
    let upper = |word: &Vec<u8>| String::from_utf8_lossy(word).to_uppercase();
    groups
        .iter()
        .flatten()
        .map(|words| {
            let first = upper(&words[0]);
            match words.get(1) {
                Some(second) if CONTAINERS.contains(&first.as_str()) && first != "SELECT" => {
                    format!("{first} {}", upper(second))
                }
                _ => first,
            }
        })
        .collect()
}

fn group(line: &str, chance: &mut Chance) -> Vec<Words> {
    let (as_it_is, line) = match line.strip_prefix('=') {
        Some(line) => (true, line),
        None => (false, line),
    };
    let mut group: Vec<Words> = requests(line)
        .into_iter()
        .map(|words| words.iter().map(|word| filled(word, chance)).collect())
        .collect();
    // Now and then a request with the wrong number of arguments; not where others count on it.
    if let [words] = group.as_mut_slice()
        && !as_it_is
        && chance.one_in(12)
    {
        match chance.below(2) {
            0 if words.len() > 2 => drop(words.pop()),
            _ => words.push(b"surplus".to_vec()),
        }
    }
    group
}

/// Words of each request of a line; single quotes hold a word together.
fn requests(line: &str) -> Vec<Vec<String>> {
    let mut requests = vec![vec![String::new()]];
    let mut quoted = false;
    for letter in line.chars() {
        let words = requests.last_mut().unwrap();
        match letter {
            '\'' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            ';' if !quoted => requests.push(vec![String::new()]),
            _ => words.last_mut().unwrap().push(letter),
        }
    }
    requests
}

fn filled(word: &str, chance: &mut Chance) -> Vec<u8> {
    // Scripts have braces of their own.
    if word.contains("return") || word.contains("function") {
        return word.as_bytes().to_vec();
    }
    let mut out = Vec::new();
    let mut rest = word;
    while let Some((before, behind)) = rest.split_once('{') {
        out.extend_from_slice(before.as_bytes());
        let (place, behind) = behind.split_once('}').unwrap();
        out.extend(place_filled(place, chance));
        rest = behind;
    }
    out.extend_from_slice(rest.as_bytes());
    out
}

fn place_filled(place: &str, chance: &mut Chance) -> Vec<u8> {
    const KINDS: [&str; 9] = ["s", "h", "l", "t", "z", "x", "g", "p", "b"];
    let number = chance.below(3);
    match place {
        "w" if chance.one_in(4) => (0..=255).collect(),
        "v" | "w" => match chance.below(6) {
            0 => Vec::new(),
            1 => b"line\r\nand *3\r\n$ more".to_vec(),
            2 => vec![b'x'; chance.below(60)],
            _ => format!("v{}", chance.below(9)).into_bytes(),
        },
        "n" => chance.below(40).to_string().into_bytes(),
        "f" => format!("f{}", chance.below(6)).into_bytes(),
        "any" => format!("{}{number}", KINDS[chance.below(KINDS.len())]).into_bytes(),
        // Now and then a record of another type.
        _ if chance.one_in(12) => {
            format!("{}{number}", KINDS[chance.below(KINDS.len())]).into_bytes()
        }
        kind => format!("{kind}{number}").into_bytes(),
    }
}
