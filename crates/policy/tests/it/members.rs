//! Members of sets, sorted sets and geo records; records of one group.

use waxseal_policy::{ProtectedNames, Scope, decide};

use crate::{decided, policy, shown, split};

fn assert_decides(requests: &[(&str, &str)]) {
    for (request, expected) in requests {
        assert_eq!(shown(&decided(request).action), *expected, "{request}");
    }
}

/// `a:*` and `b:*` are of one group, `c:*` of another one, `u:{user}` and `v:{user}` of one under users' keys, `w:*` of
/// that group under the ring's, `wa:*` of none.
fn grouped() -> ProtectedNames {
    let names = policy(&["a:*", "b:*", "c:*", "u:{user}", "v:{user}", "w:*", "wa:*"]);
    names.with_scopes(|index| Scope {
        group: [Some(0), Some(0), Some(1), Some(2), Some(2), Some(2), None][index],
        per_user: matches!(index, 3 | 4),
        deterministic_elements: index == 0,
    })
}

#[test]
fn every_member_of_a_set_is_sealed() {
    assert_decides(&[
        ("SADD wa:1 v", "seal 2@1* -> as it is"),
        ("SADD wa:1 v w", "seal 2@1* 3@1* -> as it is"),
        ("SADD wa:1", "forward"),
        ("SREM wa:1 v w", "seal 2@1* 3@1* -> as it is"),
        ("SISMEMBER wa:1 v", "seal 2@1* -> as it is"),
        // The server refuses it, and sees no member.
        ("SISMEMBER wa:1 v w", "seal 2@1* 3@1* -> as it is"),
        ("SMISMEMBER wa:1 v w", "seal 2@1* 3@1* -> as it is"),
        ("SMEMBERS wa:1", "as it is -> elements @1*"),
        ("SCARD wa:1", "forward"),
        ("SPOP wa:1", "as it is -> value @1*"),
        ("SPOP wa:1 3", "as it is -> elements @1*"),
        ("SRANDMEMBER wa:1", "as it is -> value @1*"),
        ("SRANDMEMBER wa:1 -3", "as it is -> elements @1*"),
        ("SSCAN wa:1 0", "as it is -> page @1*"),
        ("SSCAN wa:1 0 COUNT 5", "as it is -> page @1*"),
        (
            "SSCAN wa:1 0 MATCH v* COUNT 5",
            "without [3, 4] -> page @1* like 4",
        ),
        (
            "SSCAN wa:1 0 MATCH a COUNT 5 match b",
            "without [3, 4, 7, 8] -> page @1* like 8",
        ),
        ("SSCAN wa:1 0 MATCH", "refuse UnforeseenForm"),
        // What is no number is not sent in clear.
        ("SSCAN wa:1 v", "refuse UnforeseenForm"),
        ("SSCAN wa:1 0 COUNT v", "refuse UnforeseenForm"),
        ("SMEMBERS wa:1 v", "seal 2@1* -> as it is"),
        ("SCARD wa:1 v", "seal 2@1* -> as it is"),
        ("SPOP wa:1 v", "seal 2@1* -> as it is"),
        ("SRANDMEMBER wa:1 v 3", "seal 2@1* 3@1* -> as it is"),
        ("SSCAN wa:1 0 NOSCORES", "refuse UnforeseenForm"),
    ]);
}

#[test]
fn every_member_of_a_sorted_set_is_sealed_and_no_score() {
    assert_decides(&[
        ("ZADD wa:1 1 v", "seal 3@1* -> as it is"),
        ("ZADD wa:1 1 v -inf w", "seal 3@1* 5@1* -> as it is"),
        ("ZADD wa:1 NX CH 1e5 v", "seal 5@1* -> as it is"),
        ("ZADD wa:1 xx gt incr 0x1p3 v", "seal 6@1* -> as it is"),
        ("ZADD wa:1 1 nx", "seal 3@1* -> as it is"),
        // The server refuses these, and sees no member.
        ("ZADD wa:1 v w", "seal 2@1* 3@1* -> as it is"),
        ("ZADD wa:1 1", "seal 2@1* -> as it is"),
        ("ZADD wa:1 NEW 1 v", "seal 2@1* 3@1* 4@1* -> as it is"),
        ("ZADD wa:1 NX", "forward"),
        ("ZINCRBY wa:1 2 v", "seal 3@1* -> as it is"),
        ("ZINCRBY wa:1 v w", "seal 2@1* 3@1* -> as it is"),
        ("ZREM wa:1 v w", "seal 2@1* 3@1* -> as it is"),
        ("ZSCORE wa:1 v", "seal 2@1* -> as it is"),
        ("ZMSCORE wa:1 v w", "seal 2@1* 3@1* -> as it is"),
        ("ZRANK wa:1 v", "seal 2@1* -> as it is"),
        ("ZREVRANK wa:1 v withscore", "seal 2@1* -> as it is"),
        ("ZRANK wa:1 v w", "seal 2@1* 3@1* -> as it is"),
        ("ZCARD wa:1", "forward"),
        ("ZCOUNT wa:1 0 9", "forward"),
        ("ZREMRANGEBYSCORE wa:1 0 9", "forward"),
        ("ZREMRANGEBYRANK wa:1 0 9", "forward"),
        ("ZRANGE wa:1 0 -1", "as it is -> elements @1*"),
        ("ZRANGE wa:1 0 -1 WITHSCORES", "as it is -> scored @1*"),
        (
            "ZRANGE wa:1 (1 +inf BYSCORE rev LIMIT 0 5 withscores",
            "as it is -> scored @1*",
        ),
        ("ZRANGE wa:1 [a [b BYLEX", "refuse SortsMembers"),
        ("ZRANGE wa:1 0 -1 NEW", "refuse UnforeseenForm"),
        ("ZRANGE wa:1 [v [w", "seal 2@1* 3@1* -> as it is"),
        ("ZRANGE wa:1 0 -1 LIMIT v 1", "refuse UnforeseenForm"),
        ("ZCOUNT wa:1 [v (5", "seal 2@1* -> as it is"),
        ("ZCOUNT wa:1 (5 +inf", "forward"),
        ("ZREMRANGEBYSCORE wa:1 v w", "seal 2@1* 3@1* -> as it is"),
        // Servers read these up to the zero byte.
        ("ZREMRANGEBYSCORE wa:1 0 9\0x", "refuse UnforeseenForm"),
        ("ZCOUNT wa:1 (5\0 9", "refuse UnforeseenForm"),
        ("ZRANGEBYSCORE wa:1 -inf\0 9", "refuse UnforeseenForm"),
        ("ZPOPMIN wa:1 v", "seal 2@1* -> as it is"),
        ("ZRANDMEMBER wa:1 v", "seal 2@1* -> as it is"),
        ("ZREVRANGE wa:1 0 -1 WITHSCORES", "as it is -> scored @1*"),
        (
            "ZRANGEBYSCORE wa:1 0 9 LIMIT 0 1",
            "as it is -> elements @1*",
        ),
        ("ZREVRANGEBYSCORE wa:1 9 0", "as it is -> elements @1*"),
        ("ZRANGEBYLEX wa:1 - +", "refuse SortsMembers"),
        ("ZREMRANGEBYLEX wa:1 - +", "refuse SortsMembers"),
        ("ZLEXCOUNT wa:1 - +", "refuse SortsMembers"),
        ("ZPOPMIN wa:1", "as it is -> scored @1*"),
        ("ZPOPMAX wa:1 3", "as it is -> scored @1*"),
        ("BZPOPMIN log wa:1 0", "as it is -> popped Member"),
        ("ZMPOP 2 log wa:1 MIN COUNT 2", "as it is -> popped Member"),
        ("BZMPOP 0 1 wa:1 MAX", "as it is -> popped Member"),
        ("ZRANDMEMBER wa:1", "as it is -> value @1*"),
        ("ZRANDMEMBER wa:1 -2", "as it is -> elements @1*"),
        ("ZRANDMEMBER wa:1 2 WITHSCORES", "as it is -> scored @1*"),
        ("ZRANDMEMBER wa:1 2 NEW", "refuse UnforeseenForm"),
        ("ZSCAN wa:1 0", "as it is -> scored page @1*"),
        (
            "ZSCAN wa:1 0 NOSCORES MATCH v*",
            "without [4, 5] -> page @1* like 5",
        ),
    ]);
}

#[test]
fn places_are_members_of_sorted_sets() {
    assert_decides(&[
        ("GEOADD wa:1 13.3 38.1 v", "seal 4@1* -> as it is"),
        (
            "GEOADD wa:1 NX CH 1 2 v 3 4 w",
            "seal 6@1* 9@1* -> as it is",
        ),
        ("GEOADD wa:1 1 v 2", "seal 3@1* 4@1* -> as it is"),
        ("GEOADD wa:1 1 2", "seal 2@1* 3@1* -> as it is"),
        ("GEOPOS wa:1 v w", "seal 2@1* 3@1* -> as it is"),
        ("GEOHASH wa:1 v", "seal 2@1* -> as it is"),
        ("GEODIST wa:1 v w", "seal 2@1* 3@1* -> as it is"),
        ("GEODIST wa:1 v w km", "seal 2@1* 3@1* -> as it is"),
        ("GEODIST wa:1 v w x", "seal 2@1* 3@1* 4@1* -> as it is"),
        (
            "GEOSEARCH wa:1 FROMLONLAT 1 2 BYRADIUS 3 km ASC COUNT 2 ANY",
            "as it is -> elements @1*",
        ),
        (
            "GEOSEARCH wa:1 FROMMEMBER v BYBOX 3 4 km WITHDIST withcoord",
            "seal 3@1* -> first of each @1*",
        ),
        (
            "GEOSEARCH wa:1 FROMMEMBER v BYRADIUS 3 km NEW",
            "refuse UnforeseenForm",
        ),
        ("GEOSEARCH wa:1 FROMMEMBER", "refuse UnforeseenForm"),
        (
            "GEOSEARCH wa:1 FROMLONLAT v 2 BYRADIUS 3 km",
            "refuse UnforeseenForm",
        ),
        (
            "GEOSEARCH wa:1 FROMLONLAT 1 2 BYRADIUS 3 v",
            "refuse UnforeseenForm",
        ),
        ("GEORADIUS wa:1 v 2 3 km", "refuse UnforeseenForm"),
        (
            "GEORADIUS wa:1 1 2 3 km FROMMEMBER v",
            "refuse UnforeseenForm",
        ),
        ("GEORADIUSBYMEMBER wa:1 v w km", "refuse UnforeseenForm"),
        ("GEORADIUS wa:1 1 2 3 km", "as it is -> elements @1*"),
        (
            "GEORADIUS_RO wa:1 1 2 3 km WITHHASH",
            "as it is -> first of each @1*",
        ),
        (
            "GEORADIUSBYMEMBER wa:1 v 3 km DESC",
            "seal 2@1* -> elements @1*",
        ),
        (
            "GEORADIUSBYMEMBER wa:1 v 3 km STORE wa:1",
            "seal 2@1* -> as it is",
        ),
        (
            "GEORADIUSBYMEMBER wa:1 v 3 km STORE wa:2",
            "refuse MixesRecords",
        ),
        (
            "GEORADIUS log 1 2 3 km STOREDIST wa:1",
            "refuse MixesRecords",
        ),
        (
            "GEOSEARCHSTORE wa:1 log FROMLONLAT 1 2 BYRADIUS 3 km",
            "refuse MixesRecords",
        ),
        (
            "GEOSEARCHSTORE wa:1 wa:1 FROMMEMBER v BYRADIUS 3 km STOREDIST",
            "seal 4@1* -> as it is",
        ),
    ]);
}

#[test]
fn members_of_several_records_are_compared_only_within_a_group() {
    for (request, expected) in [
        ("SUNION a:1 b:1", "as it is -> elements @1*"),
        ("SUNION wa:1 wa:1", "as it is -> elements @1*"),
        ("SUNION wa:1", "as it is -> elements @1*"),
        ("SUNION wa:1 wa:2", "refuse MixesRecords"),
        ("SUNION a:1 c:1", "refuse MixesRecords"),
        ("SUNION a:1 log", "refuse MixesRecords"),
        ("SUNION log a:1", "refuse MixesRecords"),
        ("SUNION log lag", "forward"),
        ("SINTERCARD 2 a:1 b:1 LIMIT 5", "forward"),
        ("SINTERCARD 2 a:1 wa:1", "refuse MixesRecords"),
        ("SUNIONSTORE a:1 a:2 b:1", "forward"),
        ("SUNIONSTORE log a:2 b:1", "refuse MixesRecords"),
        ("ZUNIONSTORE a:1 2 a:2 b:1 WEIGHTS 1 2", "forward"),
        ("ZUNIONSTORE a:1 2 a:2 log", "refuse MixesRecords"),
        (
            "ZINTER 2 a:1 b:1 WEIGHTS 1 2 AGGREGATE MAX WITHSCORES",
            "as it is -> scored @2*",
        ),
        ("ZDIFF 2 a:1 b:1", "as it is -> elements @2*"),
        ("ZUNION 2 a:1 b:1 NEW", "refuse UnforeseenForm"),
        ("ZUNION x a:1 b:1", "refuse UnforeseenForm"),
        ("ZRANGESTORE a:1 b:1 0 9 BYSCORE", "forward"),
        ("ZRANGESTORE a:1 b:1 - + BYLEX", "refuse SortsMembers"),
        ("ZRANGESTORE a:1 wa:1 0 9", "refuse MixesRecords"),
        ("SMOVE a:1 b:1 v", "seal 3@1* -> as it is"),
        ("SMOVE wa:1 wa:1 v", "seal 3@1* -> as it is"),
        ("SMOVE wa:1 wa:2 v", "refuse MixesRecords"),
        (
            "GEOSEARCHSTORE a:1 b:1 FROMMEMBER v BYRADIUS 3 km",
            "seal 4@1* -> as it is",
        ),
        ("RENAME a:1 b:1", "forward"),
        ("RENAME wa:1 wa:1", "forward"),
        ("RENAMENX a:1 c:1", "move RecordToFreeName sealed to @2"),
        ("COPY a:1 b:1 REPLACE", "forward"),
        ("COPY a:1 log", "refuse MovesValue"),
        ("LMOVE a:1 b:1 LEFT RIGHT", "as it is -> value @1#"),
        ("BRPOPLPUSH a:1 b:1 0", "as it is -> value @1#"),
        ("RPOPLPUSH wa:1 wa:1", "as it is -> value @1#"),
        ("BLMOVE a:1 wa:1 LEFT RIGHT 0", "refuse MovesValue"),
    ] {
        let action = decide(&grouped(), &split(request)).action;
        assert_eq!(shown(&action), expected, "{request}");
    }
}

#[test]
fn records_under_keys_of_users_share_values_with_those_of_the_same_user() {
    for (request, expected) in [
        ("SUNION u:ana v:ana", "as it is -> elements @1*"),
        ("SUNION u:ana u:eva", "refuse MixesRecords"),
        ("SUNION u:ana w:ana", "refuse MixesRecords"),
        // An empty user is none: values are under the ring's key.
        ("SUNION u: w:ana", "as it is -> elements @1*"),
        ("RENAME u:ana v:ana", "forward"),
        ("RENAME u:ana v:eva", "move Record sealed to @2"),
    ] {
        let action = decide(&grouped(), &split(request)).action;
        assert_eq!(shown(&action), expected, "{request}");
    }
}

#[test]
fn elements_are_compared_where_equal_ones_are_sealed_alike() {
    for (request, expected) in [
        ("LREM a:1 0 v", "seal 3@1# -> as it is"),
        ("LREM a:1 v", "[2]  -> as it is"),
        ("LREM a:1 v v", "seal 2@1# 3@1# -> as it is"),
        ("LREM b:1 0 v", "refuse ComparesElement"),
        ("LPOS a:1 v", "seal 2@1# -> as it is"),
        (
            "LPOS a:1 v rank -1 COUNT 0 MAXLEN 10",
            "seal 2@1# -> as it is",
        ),
        ("LPOS a:1 v RANK w", "refuse UnforeseenForm"),
        ("LPOS a:1 v w", "refuse UnforeseenForm"),
        ("LPOS b:1 v", "refuse ComparesElement"),
        ("LINSERT a:1 before v w", "seal 3@1# 4@1# -> as it is"),
        ("LINSERT a:1 AT v w", "seal 2@1# 3@1# 4@1# -> as it is"),
        ("LINSERT b:1 BEFORE v w", "refuse ComparesElement"),
    ] {
        let action = decide(&grouped(), &split(request)).action;
        assert_eq!(shown(&action), expected, "{request}");
    }
}
