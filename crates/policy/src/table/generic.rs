//! Records of any kind. What works on names and lifetimes passes, and so does what shows the sealed bytes;
//! what brings a value under another name is refused, because its envelope is bound to the old one.

use super::{Row, Timeout, container, nameless, pass, refuse};
use crate::names::{ALL, FIRST, FIRST_TWO, Names, SECOND};
use crate::refusal::Reason::{ComparesValue, MovesValue};

pub(super) const ROWS: &[Row] = &[
    pass("del", ALL),
    pass("dump", FIRST).reads(),
    pass("exists", ALL).reads(),
    pass("expire", FIRST),
    pass("expireat", FIRST),
    pass("expiretime", FIRST).reads(),
    pass("move", FIRST),
    pass("persist", FIRST),
    pass("pexpire", FIRST),
    pass("pexpireat", FIRST),
    pass("pexpiretime", FIRST).reads(),
    pass("pttl", FIRST).reads(),
    pass("touch", ALL).reads(),
    pass("ttl", FIRST).reads(),
    pass("type", FIRST).reads(),
    pass("unlink", ALL),
    // What the server evicts last.
    container("bless"),
    pass("bless|clear", SECOND),
    pass("bless|get", SECOND).reads(),
    nameless("bless|scan"),
    pass("bless|set", SECOND),
    container("object"),
    pass("object|encoding", SECOND).reads(),
    pass("object|freq", SECOND).reads(),
    pass("object|idletime", SECOND).reads(),
    pass("object|refcount", SECOND).reads(),
    nameless("object|help"),
    // Names that a server finds by itself, and names only.
    nameless("keys"),
    nameless("randomkey"),
    nameless("scan"),
    nameless("clusterscan"),
    // They wait for replicas.
    nameless("wait").blocking(Timeout::Milliseconds(2)),
    nameless("waitaof").blocking(Timeout::Milliseconds(3)),
    refuse("copy", FIRST_TWO, MovesValue),
    refuse("migrate", Names::Migrate, MovesValue),
    refuse("rename", FIRST_TWO, MovesValue),
    refuse("renamenx", FIRST_TWO, MovesValue),
    refuse("restore", FIRST, MovesValue),
    refuse("restore-asking", FIRST, MovesValue),
    // Sorts by values, and shows values of other records.
    refuse("sort", Names::Sort, ComparesValue),
    refuse("sort_ro", Names::Sort, ComparesValue).reads(),
];
