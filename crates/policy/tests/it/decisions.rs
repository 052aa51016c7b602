//! The decision for each form of each command that carries values.

use waxseal_policy::{
    Action, Layout, RecordPattern, ReplyShape, RequestChange, decide, decide_early,
};

use crate::{decided, names, policy, shown, split};

fn assert_decides(cases: &[(&str, &str)]) {
    for (request, expected) in cases {
        assert_eq!(shown(&decided(request).action), *expected, "{request}");
    }
}

#[test]
fn a_name_that_matches_no_pattern_is_forwarded_in_every_form() {
    for request in [
        "GET log",
        "SET log v",
        "SET log v IFEQ x",
        "APPEND log v",
        "MSET log v lag w",
        "MSET log",
        "HSET log f v",
        "HSET log f",
        "LPUSH log v",
        "EVAL code 1 log wa:1",
        "SADD log wa:1",
        "RENAME log lag",
        "STRLEN log",
        "HVALS log",
        "LINSERT log BEFORE wa:1 v",
        "SET log wa:1",
        "HSET log wa:1 v",
        "GET waxseal:canary",
        "STRLEN waxseal:quarantine:wa:1",
    ] {
        assert_eq!(decided(request).action, Action::Forward, "{request}");
    }
    let everything = policy(&["*"]);
    let request: [&[u8]; 2] = [b"GET", b"waxseal:canary"];
    assert_eq!(decide(&everything, &request).action, Action::Forward);
    assert_eq!(decide(&everything, &[]).action, Action::Forward);
}

#[test]
fn strings_are_sealed_and_opened() {
    assert_decides(&[
        ("GET wa:1", "as it is -> value @1"),
        ("GETDEL wa:1", "as it is -> value @1"),
        ("GETEX wa:1", "as it is -> value @1"),
        ("GETEX wa:1 EX 60", "as it is -> value @1"),
        ("GETEX wa:1 PERSIST", "as it is -> value @1"),
        ("GETSET wa:1 v", "seal 2@1 -> value @1"),
        ("SET wa:1 v", "seal 2@1 -> as it is"),
        ("SETEX wa:1 60 v", "seal 3@1 -> as it is"),
        ("PSETEX wa:1 60000 v", "seal 3@1 -> as it is"),
        ("SETNX wa:1 v", "seal 2@1 -> as it is"),
    ]);
}

#[test]
fn set_accepts_every_option_in_any_order_and_case() {
    assert_decides(&[
        ("SET wa:1 v NX", "seal 2@1 -> as it is"),
        ("SET wa:1 v xx", "seal 2@1 -> as it is"),
        ("SET wa:1 v GET", "seal 2@1 -> value @1"),
        ("SET wa:1 v EX 60", "seal 2@1 -> as it is"),
        ("SET wa:1 v px 60000", "seal 2@1 -> as it is"),
        ("SET wa:1 v EXAT 4102444800", "seal 2@1 -> as it is"),
        ("SET wa:1 v PXAT 4102444800000", "seal 2@1 -> as it is"),
        ("SET wa:1 v KEEPTTL", "seal 2@1 -> as it is"),
        ("SET wa:1 v EX 60 NX GET", "seal 2@1 -> value @1"),
        ("SET wa:1 v get keepttl XX", "seal 2@1 -> value @1"),
        ("SET wa:1 v GET EX -1", "seal 2@1 -> value @1"),
        ("SET wa:1 GET GET", "seal 2@1 -> value @1"),
        ("SET wa:1 IFEQ", "seal 2@1 -> as it is"),
        ("SET wa:1 wa:2", "seal 2@1 -> as it is"),
        ("sEt wa:1 v", "seal 2@1 -> as it is"),
    ]);
}

#[test]
fn set_in_an_unknown_form_is_refused() {
    assert_decides(&[
        ("SET wa:1 v IFEQ w", "compute @1"),
        ("SET wa:1 v ifne w", "compute @1"),
        ("SET wa:1 v IFDEQ 0123", "compute @1"),
        ("SET wa:1 v EX 60 IFDNE 0123", "compute @1"),
        ("SET wa:1 v BLESSED", "refuse UnforeseenForm"),
        ("SET wa:1 v EX", "refuse UnforeseenForm"),
        ("SET wa:1 v EX NX", "refuse UnforeseenForm"),
        ("SET wa:1 v EX 1.5", "refuse UnforeseenForm"),
        ("SET wa:1 two words", "refuse UnforeseenForm"),
        ("SET wa:1 v ", "refuse UnforeseenForm"),
        ("SETEX wa:1 v 60", "seal 2@1 3@1 -> as it is"),
        ("SETEX wa:1 60 v w", "[2, 3, 4]  -> as it is"),
        ("PSETEX wa:1 v", "[2]  -> as it is"),
        ("SETNX wa:1 v w", "[2, 3]  -> as it is"),
        ("GETSET wa:1 v w", "[2, 3]  -> as it is"),
    ]);
}

#[test]
fn a_wrong_number_of_arguments_without_a_value_is_left_to_the_server() {
    for request in [
        "GET wa:1 wa:2",
        "GETDEL wa:1 wa:2",
        "SET wa:1",
        "SETEX wa:1",
        "SETNX wa:1",
        "GETSET wa:1",
        "HGET wa:1",
        "HGET wa:1 f g",
        "HGETALL wa:1 f",
        "HSET wa:1",
        "HVALS wa:1 f",
        "LPUSH wa:1",
        "LINDEX wa:1",
        "LRANGE wa:1 0",
        "LPOP wa:1 1 2",
        "STRLEN wa:1 wa:2",
        "GETRANGE wa:1 0",
        "GETRANGE wa:1 0 x",
        "HSTRLEN wa:1",
        "HSCAN wa:1",
        "HRANDFIELD wa:1",
        "HSETEX wa:1",
        "HGETEX wa:1",
        "HGETDEL wa:1",
        "LSET wa:1",
    ] {
        assert_eq!(decided(request).action, Action::Forward, "{request}");
    }
}

#[test]
fn lengths_and_ranges_are_those_of_the_whole_value() {
    assert_decides(&[
        ("STRLEN wa:1", "GET 1..2 -> length @1"),
        ("GETRANGE wa:1 0 -1", "GET 1..2 -> range 0..=-1 @1"),
        ("SUBSTR wa:1 -3 2", "GET 1..2 -> range -3..=2 @1"),
        ("HSTRLEN wa:1 f", "HGET 1..3 -> length @1/2"),
        ("HVALS wa:1", "HGETALL 1..2 -> only values @1/"),
    ]);
}

#[test]
fn several_names_are_treated_one_by_one() {
    assert_decides(&[
        ("MGET wa:1 log sess:2", "as it is -> each name"),
        ("MGET log lag", "forward"),
        ("MSET wa:1 v log w sess:2 x", "seal 2@1 6@5 -> as it is"),
        ("MSETNX log v wa:1 w", "seal 4@3 -> as it is"),
        ("MSET log wa:1", "forward"),
        ("MSET wa:1 v log", "[2, 3]  -> as it is"),
        ("MSET log v wa:1", "[2, 3]  -> as it is"),
        ("MSETEX 2 wa:1 v log w", "seal 3@2 -> as it is"),
        ("MSETEX 2 log v wa:1 w NX EX 60", "seal 5@4 -> as it is"),
        ("MSETEX 1 wa:1 v KEEPTTL XX", "seal 3@2 -> as it is"),
        ("MSETEX 1 wa:1 v w", "refuse UnforeseenForm"),
        ("MSETEX 2 wa:1 v", "refuse UnforeseenForm"),
        ("MSETEX x wa:1 v", "refuse UnforeseenForm"),
        ("MSETEX 1 wa:1 v EX soon", "refuse UnforeseenForm"),
        ("DEL wa:1 log", "forward"),
        ("RENAME log wa:1", "move Record plain to @2"),
        ("RENAME wa:1 log", "refuse MovesValue"),
        (
            "LMOVE log wa:1 LEFT RIGHT",
            "move Element { from: Left, to: Right } plain to @2#",
        ),
        (
            "RPOPLPUSH wa:1 wa:2",
            "move Element { from: Right, to: Left } sealed to @2#",
        ),
        ("COPY wa:1 wa:2 REPLACE", "move CopyReplacing sealed to @2"),
        ("LMOVE wa:1 wa:2 UP DOWN", "refuse UnforeseenForm"),
        ("BITOP AND wa:1 log lag", "refuse NotYetSealed(Bitmaps)"),
        ("SUNIONSTORE log wa:1 lag", "refuse MixesRecords"),
    ]);
}

#[test]
fn the_first_pattern_that_matches_a_name_decides() {
    let names = policy(&["sess:admin:*", "sess:*"]);
    for (name, index) in [("sess:admin:1", 0), ("sess:1", 1)] {
        let decision = decide(&names, &[b"GET", name.as_bytes()]);
        let Action::Transform(transform) = decision.action else {
            panic!("{name} is protected");
        };
        let ReplyShape::Record(location, Layout::Value) = transform.reply else {
            panic!("one value");
        };
        assert_eq!(location.pattern.index(), index);
        assert_eq!(transform.request, RequestChange::None);
        assert!(names.pattern(location.pattern).matches(name.as_bytes()));
    }
    let listed: Vec<_> = names
        .iter()
        .map(|(id, it)| (id.index(), it.as_str()))
        .collect();
    assert_eq!(listed, [(0, "sess:admin:*"), (1, "sess:*")]);
}

#[test]
fn hashes_are_sealed_field_by_field() {
    assert_decides(&[
        ("HSET wa:1 f v", "seal 3@1/2 -> as it is"),
        ("HSET wa:1 f v g w", "seal 3@1/2 5@1/4 -> as it is"),
        ("HMSET wa:1 f v", "seal 3@1/2 -> as it is"),
        ("HSETNX wa:1 f v", "seal 3@1/2 -> as it is"),
        ("HSET wa:1 f", "[2]  -> as it is"),
        ("HSET wa:1 f v g", "[2, 3, 4]  -> as it is"),
        ("HSETNX wa:1 f", "[2]  -> as it is"),
        ("HSETNX wa:1 f v w", "[2, 3, 4]  -> as it is"),
        ("HGET wa:1 f", "as it is -> value @1/2"),
        ("HMGET wa:1 f g", "as it is -> each @1/2 @1/3"),
        ("HGETALL wa:1", "as it is -> fields @1/"),
        ("HRANDFIELD wa:1", "forward"),
        ("HRANDFIELD wa:1 3", "forward"),
        ("HRANDFIELD wa:1 3 withvalues", "as it is -> fields @1/"),
        ("HRANDFIELD wa:1 3 WITHTIMES", "refuse UnforeseenForm"),
        ("HSCAN wa:1 0", "as it is -> scanned fields @1/"),
        (
            "HSCAN wa:1 0 MATCH f* COUNT 10",
            "as it is -> scanned fields @1/",
        ),
        (
            "HSCAN wa:1 0 MATCH NOVALUES",
            "as it is -> scanned fields @1/",
        ),
        ("HSCAN wa:1 0 NOVALUES", "forward"),
        ("HSCAN wa:1 0 COUNT 10 novalues", "forward"),
        ("HSCAN wa:1 0 SORTED", "refuse UnforeseenForm"),
        ("HDEL wa:1 f", "forward"),
        ("HKEYS wa:1", "forward"),
        ("HEXPIRE wa:1 60 FIELDS 1 f", "forward"),
        ("HINCRBY wa:1 f 1", "compute @1/2"),
        ("HIMPORT PREPARE set f g", "forward"),
        ("HIMPORT SET wa:1 set v w", "refuse FieldsNotInRequest"),
        ("HIMPORT SET log set v w", "forward"),
    ]);
}

#[test]
fn fields_with_lifetimes_are_sealed_and_opened() {
    assert_decides(&[
        ("HSETEX wa:1 FIELDS 1 f v", "seal 5@1/4 -> as it is"),
        (
            "HSETEX wa:1 FNX EX 60 FIELDS 2 f v g w",
            "seal 8@1/7 10@1/9 -> as it is",
        ),
        (
            "HSETEX wa:1 fields 1 f v keepttl fxx",
            "seal 5@1/4 -> as it is",
        ),
        (
            "HSETEX wa:1 NX FXX PXAT 4102444800000 FIELDS 1 f v",
            "seal 9@1/8 -> as it is",
        ),
        ("HSETEX wa:1 FIELDS 2 f v", "refuse UnforeseenForm"),
        ("HSETEX wa:1 FIELDS 1 f v w", "refuse UnforeseenForm"),
        ("HSETEX wa:1 FIELDS x f v", "refuse UnforeseenForm"),
        ("HSETEX wa:1 EX v FIELDS 1 f v", "refuse UnforeseenForm"),
        ("HSETEX wa:1 f v", "refuse UnforeseenForm"),
        (
            "HSETEX wa:1 FIELDS 1 f v FIELDS 1 g w",
            "refuse UnforeseenForm",
        ),
        ("HGETEX wa:1 FIELDS 2 f g", "as it is -> each @1/4 @1/5"),
        ("HGETEX wa:1 PERSIST FIELDS 1 f", "as it is -> each @1/5"),
        ("HGETEX wa:1 EX 60 FIELDS 1 f", "as it is -> each @1/6"),
        ("HGETEX wa:1 FIELDS 2 f", "refuse UnforeseenForm"),
        ("HGETDEL wa:1 FIELDS 2 f g", "as it is -> each @1/4 @1/5"),
        ("HGETDEL wa:1 f", "refuse UnforeseenForm"),
    ]);
}

#[test]
fn lists_are_sealed_element_by_element() {
    assert_decides(&[
        ("LPUSH wa:1 v", "seal 2@1# -> as it is"),
        ("RPUSH wa:1 v w x", "seal 2@1# 3@1# 4@1# -> as it is"),
        ("LPUSHX wa:1 v", "seal 2@1# -> as it is"),
        ("RPUSHX wa:1 v", "seal 2@1# -> as it is"),
        ("LSET wa:1 0 v", "seal 3@1# -> as it is"),
        ("LSET wa:1 v 0", "seal 2@1# 3@1# -> as it is"),
        ("LSET wa:1 0", "[2]  -> as it is"),
        ("LRANGE wa:1 0 -1", "as it is -> elements @1#"),
        ("LINDEX wa:1 0", "as it is -> value @1#"),
        ("LPOP wa:1", "as it is -> value @1#"),
        ("RPOP wa:1 2", "as it is -> elements @1#"),
        (
            "LMPOP 2 log wa:1 LEFT COUNT 2",
            "as it is -> popped ListElement",
        ),
        ("LMPOP 1 log LEFT", "forward"),
        ("BLMPOP 0 1 wa:1 RIGHT", "as it is -> popped ListElement"),
        ("BLPOP wa:1 0", "as it is -> popped ListElement"),
        ("BRPOP log wa:1 0", "as it is -> popped ListElement"),
        ("BRPOP log wa:1", "forward"),
        ("LLEN wa:1", "forward"),
        ("LTRIM wa:1 0 9", "forward"),
    ]);
}

#[test]
fn delex_is_forwarded_without_a_condition_only() {
    assert_decides(&[
        ("DELEX wa:1", "forward"),
        ("DELEX wa:1 IFEQ v", "compute @1"),
        ("DELEX log IFEQ v", "forward"),
    ]);
}

#[test]
fn commands_on_names_and_lifetimes_are_forwarded() {
    for request in [
        "DEL wa:1",
        "UNLINK wa:1",
        "EXISTS wa:1",
        "TYPE wa:1",
        "TOUCH wa:1",
        "EXPIRE wa:1 60",
        "PEXPIREAT wa:1 1 GT",
        "TTL wa:1",
        "PERSIST wa:1",
        "DUMP wa:1",
        "OBJECT ENCODING wa:1",
        "MEMORY USAGE wa:1",
        "MOVE wa:1 1",
        "WATCH wa:1",
        "DEBUG OBJECT wa:1",
        "SCAN 0 MATCH wa:*",
        "KEYS wa:1",
        "PUBLISH wa:1 v",
        "CLIENT SETNAME wa:1",
        "CLUSTER KEYSLOT wa:1",
        "BLESS SET wa:1 NO-EVICT",
    ] {
        assert_eq!(decided(request).action, Action::Forward, "{request}");
    }
}

#[test]
fn sort_is_carried_out_here_if_a_name_or_glob_may_be_protected() {
    assert_decides(&[
        ("SORT log", "forward"),
        ("SORT wa:1", "sort sealed"),
        ("SORT wa:1 DESC ALPHA LIMIT 0 9 BY x GET #", "sort sealed"),
        ("SORT log STORE wa:1", "sort plain to @3#"),
        ("SORT wa:1 STORE log STORE sess:2", "sort sealed to @5#"),
        ("SORT log STORE lag", "forward"),
        // What is protected does not become plain.
        ("SORT wa:1 STORE lag", "refuse MovesValue"),
        ("SORT wa:1 STORE sess:2 STORE lag", "refuse MovesValue"),
        ("SORT wa:1 GET x_* GET # STORE lag", "refuse MovesValue"),
        ("SORT log GET wa:* STORE lag", "refuse MovesValue"),
        ("SORT wa:1 GET x_* STORE lag", "sort sealed to plain @5"),
        ("SORT log BY wa:* GET # STORE lag", "sort plain to plain @7"),
        (
            "SORT log BY w_* GET # GET x:*->f LIMIT 0 9 ASC ALPHA",
            "forward",
        ),
        ("SORT log GET wa:*", "sort plain"),
        ("SORT log GET *", "sort plain"),
        ("SORT log BY w*", "sort plain"),
        ("SORT_RO log GET sess:1*->f", "sort plain"),
        ("SORT_RO log BY nosort", "forward"),
        ("SORT log NEW wa:1", "refuse UnforeseenForm"),
        ("SORT wa:1 NEW", "refuse UnforeseenForm"),
        // Servers refuse these.
        ("SORT wa:1 LIMIT 1", "sort sealed"),
        ("SORT wa:1 STORE", "sort sealed"),
        ("SORT wa:1 LIMIT 1 STORE lag", "sort sealed"),
    ]);
}

#[test]
fn a_glob_matches_what_its_literal_prefix_allows() {
    let names = policy(&["wa:{user}", "one", "*:end"]);
    let narrow = policy(&["wa:{user}", "one"]);
    for (glob, may) in [
        ("wa:*", true),
        ("w*", true),
        ("*", true),
        ("wa:1", true),
        ("wa:12*->f", true),
        ("o*", true),
        ("x*", false),
        ("wb:*", false),
        ("one", true),
        ("two", false),
        ("?a:1", true),
        ("[w]x", true),
        ("waxseal:*", false),
    ] {
        assert_eq!(narrow.may_match(glob.as_bytes()), may, "{glob}");
        // A pattern without a literal prefix matches everything but our own names.
        let wide = may || (glob.contains('*') && !glob.starts_with("waxseal:"));
        assert_eq!(names.may_match(glob.as_bytes()), wide, "{glob}");
    }
}

#[test]
fn an_unknown_command_must_not_name_a_protected_record() {
    for request in [
        "JSON.SET wa:1 $ v",
        "FUTURE x wa:1",
        "DEBUG POPULATE 9 wa:1",
        "OBJECT FUTURE wa:1",
        "client|reply wa:1",
        "xgroup|create x wa:1",
    ] {
        assert_eq!(
            shown(&decided(request).action),
            "refuse UnknownCommand",
            "{request}"
        );
    }
    for request in [
        "JSON.SET doc $ v",
        "wa:1",
        "OBJECT",
        "OBJECT FUTURE log",
        "CLIENT",
    ] {
        assert_eq!(decided(request).action, Action::Forward, "{request}");
    }
    let long = vec![b'x'; 100_000];
    let request: [&[u8]; 2] = [&long, b"wa:1"];
    assert_eq!(
        shown(&decide(&names(), &request).action),
        "refuse UnknownCommand"
    );
}

#[test]
fn a_request_inside_a_request_must_not_hold_a_value() {
    assert_decides(&[
        ("COMMAND GETKEYS LMPOP 1 wa:1 LEFT", "forward"),
        ("COMMAND GETKEYS GET wa:1", "forward"),
        ("COMMAND GETKEYS SET log v", "forward"),
        ("COMMAND GETKEYS SET wa:1 v", "refuse EmbedsRequest"),
        ("COMMAND GETKEYS MSET wa:1 v log", "refuse EmbedsRequest"),
        (
            "COMMAND GETKEYSANDFLAGS append wa:1 v",
            "refuse EmbedsRequest",
        ),
        ("ACL DRYRUN me SET wa:1 v", "refuse EmbedsRequest"),
        ("ACL DRYRUN me GET wa:1", "forward"),
        (
            "COMMAND GETKEYS SSCAN wa:s 0 MATCH ana*",
            "refuse EmbedsRequest",
        ),
        (
            "COMMAND GETKEYSANDFLAGS ZSCAN wa:z 0 COUNT 10 MATCH ana*",
            "refuse EmbedsRequest",
        ),
        (
            "ACL DRYRUN me SSCAN wa:s 0 MATCH ana*",
            "refuse EmbedsRequest",
        ),
        ("COMMAND GETKEYS SSCAN wa:s 0 COUNT 10", "forward"),
        ("ACL DRYRUN me SSCAN log 0 MATCH ana*", "forward"),
        (
            "COMMAND GETKEYS COMMAND GETKEYS GET wa:1",
            "refuse EmbedsRequest",
        ),
        ("COMMAND GETKEYS", "forward"),
    ]);
    let mut deep: Vec<&[u8]> = [&b"COMMAND"[..], b"GETKEYS"].repeat(100_000);
    deep.push(b"wa:1");
    assert_eq!(
        shown(&decide(&names(), &deep).action),
        "refuse EmbedsRequest"
    );
}

#[test]
fn entries_of_streams_are_sealed_field_by_field() {
    assert_decides(&[
        ("XADD wa:1 * f v", "seal 4@1:3 -> as it is"),
        ("XADD wa:1 * f v g w", "seal 4@1:3 6@1:5 -> as it is"),
        ("XADD wa:1 5-* f v", "seal 4@1:3 -> as it is"),
        ("xadd wa:1 nomkstream 1-2 f v", "seal 5@1:4 -> as it is"),
        ("XADD wa:1 MAXLEN 9 * f v", "seal 6@1:5 -> as it is"),
        ("XADD wa:1 MAXLEN = 9 * f v", "seal 7@1:6 -> as it is"),
        (
            "XADD wa:1 MINID ~ 9-1 LIMIT 5 * f v",
            "seal 9@1:8 -> as it is",
        ),
        ("XADD wa:1 KEEPREF * f v", "seal 5@1:4 -> as it is"),
        (
            "XADD wa:1 DELREF MAXLEN ~ 9 IDMP p * 7 f v",
            "seal 11@1:10 -> as it is",
        ),
        // The server answers with its errors.
        ("XADD wa:1 MAXLEN ~ x 7 f v", "seal 7@1:6 -> as it is"),
        ("XADD wa:1 - f v", "seal 4@1:3 -> as it is"),
        ("XADD wa:1", "forward"),
    ]);
    // Anything else could be a value, or move the values of the entry.
    assert_decides(&[
        ("XADD wa:1 *", "[2]  -> as it is"),
        ("XADD wa:1 * f", "[2, 3]  -> as it is"),
        ("XADD wa:1 7-1 f v g", "refuse UnforeseenForm"),
        ("XADD wa:1 MAXLEN 9 * f v g", "refuse UnforeseenForm"),
        ("XADD wa:1 * f v g", "[3, 4, 5]  -> as it is"),
        ("XADD wa:1 NEW * f v", "refuse UnforeseenForm"),
        ("XADD wa:1 1x f v", "refuse UnforeseenForm"),
        ("XADD wa:1 IDMP * f v", "refuse UnforeseenForm"),
        ("XADD wa:1 MAXLEN * f v", "refuse UnforeseenForm"),
        ("XADD wa:1 NOMKSTREAM f v", "refuse UnforeseenForm"),
        ("XADD wa:1 idmpauto p * f v", "refuse ComparesValue"),
        ("XADD log idmpauto p * f v", "forward"),
    ]);
}

#[test]
fn entries_of_streams_are_opened() {
    assert_decides(&[
        ("XRANGE wa:1 - +", "as it is -> entries @1:"),
        ("XREVRANGE wa:1 + - COUNT 2", "as it is -> entries @1:"),
        ("XRANGE wa:1 - + LIMIT 2", "refuse UnforeseenForm"),
        ("XRANGE wa:1 -", "forward"),
        ("XREAD STREAMS wa:1 0", "as it is -> streams"),
        (
            "XREAD COUNT 2 BLOCK 0 STREAMS log wa:1 0 $",
            "as it is -> streams",
        ),
        ("XREAD STREAMS log lag 0 0", "forward"),
        (
            "XREADGROUP GROUP STREAMS c NOACK STREAMS wa:1 >",
            "as it is -> streams",
        ),
        (
            "XREADGROUP GROUP g c CLAIM 5 STREAMS wa:1 >",
            "as it is -> streams",
        ),
        ("XREAD STREAMS wa:1 log 0", "as it is -> streams"),
        ("XCLAIM wa:1 g c 0 1-1", "as it is -> entries @1:"),
        ("XCLAIM wa:1 g c 0 1-1 justid", "as it is -> entries @1:"),
        (
            "XAUTOCLAIM wa:1 g c 0 0 COUNT 5",
            "as it is -> claimed entries @1:",
        ),
        ("XINFO STREAM wa:1", "as it is -> stream info @2:"),
        ("XINFO STREAM wa:1 FULL", "as it is -> stream info @2:"),
    ]);
}

#[test]
fn commands_on_streams_that_carry_no_values_are_forwarded() {
    for request in [
        "XACK wa:1 g 1-1",
        "XACKDEL wa:1 g KEEPREF IDS 1 1-1",
        "XCFGSET wa:1 IDMP-DURATION 5",
        "XDEL wa:1 1-1",
        "XDELEX wa:1 ACKED IDS 1 1-1",
        "XGROUP CREATE wa:1 g $ MKSTREAM",
        "XGROUP DELCONSUMER wa:1 g c",
        "XIDMPRECORD wa:1 p i 1-1",
        "XINFO GROUPS wa:1",
        "XINFO CONSUMERS wa:1 g",
        "XLEN wa:1",
        "XNACK wa:1 g FAIL IDS 1 1-1",
        "XPENDING wa:1 g - + 5",
        "XSETID wa:1 9-9",
        "XTRIM wa:1 MAXLEN ~ 5",
    ] {
        assert_eq!(decided(request).action, Action::Forward, "{request}");
    }
}

#[test]
fn messages_are_sealed_in_protected_channels_only() {
    let news = RecordPattern::parse("news:*").expect("a pattern");
    let names = names().channels(vec![news]);
    for (request, expected) in [
        ("PUBLISH news:1 hello", "seal 2@1 message -> as it is"),
        ("spublish news:1 hello", "seal 2@1 message -> as it is"),
        ("PUBLISH wa:1 hello", "forward"),
        ("PUBLISH news hello", "forward"),
        ("PUBLISH news:1", "forward"),
        ("PUBLISH news:1 hello again", "refuse UnforeseenForm"),
        ("PUBLISH wa:1 hello again", "forward"),
        ("SUBSCRIBE news:1", "forward"),
        ("GET news:1", "forward"),
        // In a request that embeds one, and in one that is not known.
        ("ACL DRYRUN me PUBLISH news:1 hello", "refuse EmbedsRequest"),
        (
            "COMMAND GETKEYS spublish news:1 hello",
            "refuse EmbedsRequest",
        ),
        ("COMMAND GETKEYS NEW news:1 hello", "refuse EmbedsRequest"),
        (
            "COMMAND GETKEYS ACL DRYRUN me PUBLISH news:1 hello",
            "refuse EmbedsRequest",
        ),
        ("ACL DRYRUN me PUBLISH news hello", "forward"),
        ("ACL DRYRUN me GET news:1", "forward"),
        ("NEW news:1 hello", "refuse UnknownCommand"),
        ("NEW news hello", "forward"),
    ] {
        let action = decide(&names, &split(request)).action;
        assert_eq!(shown(&action), expected, "{request}");
    }
    for (so_far, is_certain) in [
        ("PUBLISH", false),
        ("PUBLISH other", true),
        ("PUBLISH news:1", false),
        ("ACL DRYRUN", false),
        ("COMMAND GETKEYS", false),
    ] {
        let decision = decide_early(&names, &split(so_far), 3);
        assert_eq!(decision.is_some(), is_certain, "{so_far}");
    }
    assert_eq!(decided("PUBLISH news:1 hello").action, Action::Forward);
}
