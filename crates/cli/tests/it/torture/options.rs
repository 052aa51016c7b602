//! The option words of commands, each with arguments that make it plausible. They are added to requests
//! by chance, also where the server does not expect them.

/// A command, and its options; words of one option are separated by blanks.
pub(super) const OPTIONS: &[(&str, &[&str])] = &[
    (
        "set",
        &[
            "EX 100000",
            "PX 100000000",
            "NX",
            "XX",
            "GET",
            "KEEPTTL",
            "IFEQ x",
            "PXAT 4102444800000",
        ],
    ),
    ("getex", &["EX 100000", "PERSIST", "EXAT 4102444800"]),
    ("lcs", &["LEN", "IDX", "MINMATCHLEN 1", "WITHMATCHLEN"]),
    ("hscan", &["NOVALUES", "MATCH f*", "COUNT 1000"]),
    ("sscan", &["MATCH *", "COUNT 1000"]),
    ("zscan", &["MATCH *", "COUNT 1000"]),
    ("scan", &["MATCH *", "COUNT 100000", "TYPE string"]),
    ("hrandfield", &["WITHVALUES"]),
    ("hgetex", &["EX 100000", "PERSIST", "FIELDS 1 f1"]),
    (
        "hsetex",
        &["FNX", "FXX", "EX 100000", "KEEPTTL", "FIELDS 1 f1 v"],
    ),
    ("lpos", &["RANK 1", "COUNT 1", "MAXLEN 5"]),
    ("lmpop", &["COUNT 2", "LEFT", "RIGHT"]),
    ("blmpop", &["COUNT 2", "LEFT", "RIGHT"]),
    (
        "sort",
        &[
            "BY nosort",
            "BY wa:s*",
            "GET #",
            "GET open:s*",
            "GET wa:s*",
            "LIMIT 0 5",
            "ALPHA",
            "DESC",
            "STORE wa:l1",
            "STORE open:l1",
        ],
    ),
    (
        "sort_ro",
        &[
            "BY nosort",
            "GET #",
            "GET wa:s*",
            "LIMIT 0 5",
            "ALPHA",
            "ASC",
        ],
    ),
    ("copy", &["DB 3", "REPLACE"]),
    (
        "migrate",
        &[
            "COPY",
            "REPLACE",
            "AUTH x",
            "AUTH2 default x",
            "KEYS wa:s0",
            "KEYS open:s0 wa:s1",
        ],
    ),
    ("restore", &["REPLACE", "ABSTTL", "IDLETIME 1", "FREQ 1"]),
    ("expire", &["NX", "XX", "GT", "LT"]),
    ("pexpire", &["NX", "XX", "GT", "LT"]),
    ("zadd", &["NX", "XX", "GT", "LT", "CH", "INCR"]),
    (
        "zrange",
        &["BYSCORE", "BYLEX", "REV", "LIMIT 0 5", "WITHSCORES"],
    ),
    ("zrangestore", &["BYSCORE", "BYLEX", "REV", "LIMIT 0 5"]),
    ("zunion", &["WEIGHTS 1 2", "AGGREGATE MAX", "WITHSCORES"]),
    ("zinter", &["WEIGHTS 1 2", "AGGREGATE MAX", "WITHSCORES"]),
    ("zunionstore", &["WEIGHTS 1 2", "AGGREGATE MAX"]),
    ("zinterstore", &["WEIGHTS 1 2", "AGGREGATE MIN"]),
    ("zmpop", &["COUNT 2", "MIN", "MAX"]),
    ("xadd", &["NOMKSTREAM", "MAXLEN ~ 10", "MINID 1", "LIMIT 5"]),
    (
        "xread",
        &["COUNT 2", "BLOCK 1", "STREAMS open:x0 0", "NOACK"],
    ),
    (
        "xreadgroup",
        &[
            "GROUP gr two",
            "COUNT 2",
            "BLOCK 1",
            "NOACK",
            "STREAMS open:x0 >",
            "CLAIM 5",
        ],
    ),
    (
        "xclaim",
        &["IDLE 5", "RETRYCOUNT 1", "FORCE", "JUSTID", "LASTID 1-1"],
    ),
    ("xautoclaim", &["COUNT 1", "JUSTID"]),
    ("xpending", &["IDLE 100000 - + 5", "- + 5 one"]),
    ("xgroup|create", &["MKSTREAM", "ENTRIESREAD 1"]),
    ("xinfo|stream", &["FULL", "COUNT 1"]),
    ("xtrim", &["LIMIT 5", "MINID 1"]),
    ("geoadd", &["NX", "XX", "CH"]),
    (
        "georadius",
        &[
            "WITHCOORD",
            "WITHDIST",
            "COUNT 2",
            "ANY",
            "ASC",
            "STORE wa:z1",
            "STOREDIST wa:z1",
            "STORE open:z1",
        ],
    ),
    (
        "georadiusbymember",
        &[
            "WITHHASH",
            "COUNT 2",
            "DESC",
            "STORE wa:z0",
            "STOREDIST wa:z0",
            "STOREDIST open:z0",
        ],
    ),
    ("geosearch", &["WITHCOORD", "COUNT 2 ANY", "ASC"]),
    ("geosearchstore", &["STOREDIST", "COUNT 2"]),
    ("bitfield", &["GET u8 0", "SET u8 0 1", "OVERFLOW WRAP"]),
    ("bitcount", &["BIT", "BYTE"]),
    (
        "client|tracking",
        &[
            "BCAST",
            "PREFIX open:",
            "PREFIX wa:",
            "NOLOOP",
            "OPTIN",
            "OPTOUT",
            "REDIRECT 999999999",
        ],
    ),
    ("client|reply", &["ON", "OFF", "SKIP"]),
    ("client|setinfo", &["LIB-NAME x", "LIB-VER 1"]),
    ("hello", &["2", "3", "AUTH default x", "SETNAME me"]),
    ("function|load", &["REPLACE"]),
    ("subscribe", &["more", "news"]),
    ("watch", &["wa:s0", "open:s0"]),
    ("select", &["0", "3"]),
];

/// The options of a command.
pub(super) fn of(command: &str) -> &'static [&'static str] {
    let found = OPTIONS.iter().find(|(name, _)| *name == command);
    found.map_or(&[], |(_, options)| options)
}

#[test]
fn options_belong_to_commands_of_the_policy() {
    for (command, _) in OPTIONS {
        let rows = waxseal_policy::table::rows();
        assert!(rows.iter().any(|row| row.name == *command), "{command}");
    }
}
