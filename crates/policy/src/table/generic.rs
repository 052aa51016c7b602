//! Records of any type. Commands on names and lifetimes are forwarded, and so are those that return sealed bytes;
//! commands that move a value to another name, or sort by values, are carried out by the proxy: envelopes are bound to their
//! name, and in no order.

use super::{Form, NameForm, Row, Timeout, container, form, keyless, names, pass, refuse};
use crate::names::{ALL, FIRST, FIRST_TWO, Names, SECOND};
use crate::refusal::Reason::MovesValue;

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
    // The records that the server evicts last.
    container("bless"),
    pass("bless|clear", SECOND),
    pass("bless|get", SECOND).reads(),
    names("bless|scan", NameForm::Scan),
    pass("bless|set", SECOND),
    container("object"),
    pass("object|encoding", SECOND).reads(),
    pass("object|freq", SECOND).reads(),
    pass("object|idletime", SECOND).reads(),
    pass("object|refcount", SECOND).reads(),
    keyless("object|help"),
    // They return names that the server chooses, and no values.
    names("keys", NameForm::Keys),
    names("randomkey", NameForm::RandomKey),
    names("scan", NameForm::Scan),
    names("clusterscan", NameForm::Scan),
    // They wait for replicas.
    keyless("wait").blocking(Timeout::Milliseconds(2)),
    keyless("waitaof").blocking(Timeout::Milliseconds(3)),
    form("copy", FIRST_TWO, Form::MoveRecord),
    refuse("migrate", Names::Migrate, MovesValue),
    form("rename", FIRST_TWO, Form::MoveRecord),
    form("renamenx", FIRST_TWO, Form::MoveRecord),
    refuse("restore", FIRST, MovesValue),
    refuse("restore-asking", FIRST, MovesValue),
    // It sorts by values, and returns or stores values of other records.
    form("sort", Names::Sort, Form::Sort),
    form("sort_ro", Names::Sort, Form::Sort).reads(),
];
