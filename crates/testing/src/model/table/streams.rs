//! Streams. Ids are given, since those of a server are its clock's.

use super::super::comparison::Comparison;
use super::Row;

pub(super) const ENTRIES: &[Row] = &[
    Row::new("XADD {x} [NOMKSTREAM] [MAXLEN {p}|MAXLEN = {p}|MINID {id}] {next} <{f} {v}>").often(),
    Row::new("XADD {x} {next} <{f} {v}>").often(),
    Row::new("XRANGE {x} {xb} {xb} [COUNT {n}]").often(),
    Row::new("XREVRANGE {x} {xb} {xb} [COUNT {n}]"),
    Row::new("XLEN {x}"),
    Row::new("XDEL {x} <{id}>"),
    Row::new("XTRIM {x} (MAXLEN {p}|MINID {id})"),
    Row::new("XREAD [COUNT {p}] STREAMS {x} {id}").often(),
    Row::new("XREAD [COUNT {p}] STREAMS {x} {x} {id} 0"),
    Row::new("XGROUP CREATE {x} {cg} (0|$|{id}) [MKSTREAM]").often(),
    Row::new("XGROUP SETID {x} {cg} {id}"),
    Row::new("XGROUP DESTROY {x} {cg}").seldom(),
    Row::new("XGROUP DELCONSUMER {x} {cg} {c}").seldom(),
    Row::new("XREADGROUP GROUP {cg} {c} [COUNT {p}] [NOACK] STREAMS {x} (>|0|{id})").often(),
    Row::new("XREADGROUP GROUP {cg} {c} [COUNT {p}] STREAMS {x} {x} > 0"),
    Row::new("XACK {x} {cg} <{id}>"),
    Row::new("XPENDING {x} {cg}"),
    Row::new("XCLAIM {x} {cg} {c} 0 <{id}> [JUSTID]"),
    Row::new("XAUTOCLAIM {x} {cg} {c} 0 0 [COUNT {p}] [JUSTID]"),
    Row::new("XINFO STREAM {x}").compared(Comparison::Layout),
    Row::new("XINFO GROUPS {x}"),
    Row::new("XSETID {x} {next}").seldom(),
];
