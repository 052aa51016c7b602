//! Sets, sorted sets and geo. Scores of different members are never equal, since the order of members
//! of equal score is that of their stored bytes.

use super::super::comparison::Comparison;
use super::{Feature, Reach, Row};

pub(super) const SETS: &[Row] = &[
    Row::new("SADD {t} <{m}>").often(),
    Row::new("SREM {t} <{m}>"),
    Row::new("SISMEMBER {t} {m}"),
    Row::new("SMISMEMBER {t} <{m}>"),
    Row::new("SMEMBERS {t}").unordered().often(),
    Row::new("SCARD {t}"),
    Row::new("SPOP {t} [{n}]").compared(Comparison::Taken("SREM")),
    Row::new("SRANDMEMBER {t} [{i}]").compared(Comparison::Sample("SMEMBERS")),
    Row::new("SMOVE {t} {t} {m}").within(Reach::Group),
    Row::new("(SINTER|SUNION|SDIFF) <{t}>")
        .unordered()
        .within(Reach::Group)
        .needs(&[Feature::Algebra])
        .often(),
    Row::new("(SINTERSTORE|SUNIONSTORE|SDIFFSTORE) {t} <{t}>")
        .within(Reach::Group)
        .needs(&[Feature::Algebra]),
    Row::new("SINTERCARD #<{t}> [LIMIT {n}]")
        .within(Reach::Group)
        .needs(&[Feature::Algebra]),
];

pub(super) const SORTED_SETS: &[Row] = &[
    Row::new("ZADD {z} [NX|XX|GT|LT] [CH] <{sm}>").often(),
    Row::new("ZADD {z} [NX|XX|GT|LT] INCR {sm}"),
    Row::new("ZINCRBY {z} {sm}"),
    Row::new("ZREM {z} <{m}>"),
    Row::new("ZSCORE {z} {m}"),
    Row::new("ZMSCORE {z} <{m}>"),
    Row::new("(ZRANK|ZREVRANK) {z} {m}"),
    Row::new("ZRANGE {z} {i} {i} [REV] [WITHSCORES]").often(),
    Row::new("ZRANGE {z} {sb} {sb} BYSCORE [REV] [LIMIT {n} {i}] [WITHSCORES]"),
    Row::new("ZREVRANGE {z} {i} {i} [WITHSCORES]"),
    Row::new("(ZRANGEBYSCORE|ZREVRANGEBYSCORE) {z} {sb} {sb} [WITHSCORES] [LIMIT {n} {i}]"),
    Row::new("ZCOUNT {z} {sb} {sb}"),
    Row::new("ZCARD {z}"),
    Row::new("(ZPOPMIN|ZPOPMAX) {z} [{n}]"),
    Row::new("ZMPOP #<{z}> (MIN|MAX) [COUNT {p}]"),
    Row::new("ZRANDMEMBER {z} [{i}]").compared(Comparison::Sample("ZRANGE")),
    Row::new("ZRANDMEMBER {z} {i} WITHSCORES").compared(Comparison::Sample("ZRANGE")),
    Row::new("ZREMRANGEBYRANK {z} {i} {i}").seldom(),
    Row::new("ZREMRANGEBYSCORE {z} {sb} {sb}").seldom(),
    Row::new("ZRANGESTORE {z} {z} {i} {i} [REV]").within(Reach::Group),
    Row::new("ZRANGESTORE {z} {z} {sb} {sb} BYSCORE").within(Reach::Group),
    Row::new("(ZUNION|ZINTER|ZDIFF) #<{z}> [WITHSCORES]")
        .within(Reach::Group)
        .needs(&[Feature::Algebra]),
    Row::new("(ZUNION|ZINTER) 2 {z} {z} [WEIGHTS 2 -3] [AGGREGATE MAX] [WITHSCORES]")
        .within(Reach::Group)
        .needs(&[Feature::Algebra]),
    Row::new("(ZUNIONSTORE|ZINTERSTORE) {z} 2 {z} {z} [WEIGHTS 2 3] [AGGREGATE (SUM|MIN|MAX)]")
        .within(Reach::Group)
        .needs(&[Feature::Algebra]),
    Row::new("ZDIFFSTORE {z} #<{z}>")
        .within(Reach::Group)
        .needs(&[Feature::Algebra]),
    Row::new("ZINTERCARD #<{z}> [LIMIT {n}]")
        .within(Reach::Group)
        .needs(&[Feature::Algebra]),
    Row::new("ZINTERSTORE {z} 2 {z} {t} WEIGHTS 1 0")
        .within(Reach::Group)
        .needs(&[Feature::Sets, Feature::Algebra]),
];

pub(super) const GEO: &[Row] = &[
    Row::new("GEOADD {g} [NX|XX] [CH] <{pm}>").often(),
    Row::new("GEOPOS {g} <{m}>"),
    Row::new("GEOHASH {g} <{m}>"),
    Row::new("GEODIST {g} {m} {m} [km]"),
    Row::new(
        "GEOSEARCH {g} FROMLONLAT 2.1 41.3 BYRADIUS {km} km (ASC|DESC) [COUNT {p}] \
         [WITHCOORD] [WITHDIST] [WITHHASH]",
    )
    .often(),
    Row::new("GEOSEARCH {g} FROMMEMBER {m} BYBOX {km} {km} km ASC [WITHDIST]"),
    Row::new("GEOSEARCHSTORE {g} {g} FROMLONLAT 2.1 41.3 BYRADIUS {km} km ASC [STOREDIST]")
        .within(Reach::Group),
    Row::new("GEORADIUS {g} 2.1 41.3 {km} km [WITHDIST] [COUNT {p}] ASC"),
    Row::new("GEORADIUSBYMEMBER {g} {m} {km} km [WITHCOORD] DESC"),
    Row::new("ZRANGE {g} {i} {i} [WITHSCORES]"),
    Row::new("ZREM {g} <{m}>"),
];
