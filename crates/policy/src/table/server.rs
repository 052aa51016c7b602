//! The server, its cluster, its replicas, its access rules. Almost nothing here names a record; replication
//! is refused, because what follows on such a connection is no longer requests and replies.

use super::{Form, Names, Row, Timeout, Treatment, container, form, nameless, pass, row};
use crate::decision::Effect;
use crate::names::{SECOND, at};
use crate::refusal::Reason;

/// The arguments of another request, behind its command word.
const FROM_THIRD: Names = at(3, -1, 1);
const FROM_FOURTH: Names = at(4, -1, 1);

/// Never sent, whatever it names.
const fn refuse_always(name: &'static str) -> Row {
    row(
        name,
        Names::None,
        Treatment::RefuseAlways(Reason::Replication),
    )
}

pub(super) const ROWS: &[Row] = &[
    refuse_always("psync"),
    refuse_always("replconf"),
    refuse_always("sync"),
    nameless("bgrewriteaof"),
    nameless("bgsave"),
    nameless("dbsize"),
    nameless("failover"),
    // Without ASYNC, newer servers answer when the memory is free.
    nameless("flushall").blocking(Timeout::Unstated),
    nameless("flushdb").blocking(Timeout::Unstated),
    nameless("info"),
    nameless("lastsave"),
    nameless("lolwut"),
    nameless("replicaof"),
    nameless("role"),
    nameless("save"),
    nameless("slaveof"),
    nameless("swapdb"),
    nameless("time"),
    nameless("trimslots"),
    nameless("monitor").counted(Effect::Monitor, 1, 1),
    // The connection ends with the server.
    nameless("shutdown").with(Effect::Connection),
    container("acl"),
    nameless("acl|cat"),
    nameless("acl|deluser"),
    form("acl|dryrun", FROM_FOURTH, Form::DryRun).reads(),
    nameless("acl|genpass"),
    nameless("acl|getuser"),
    nameless("acl|help"),
    nameless("acl|list"),
    nameless("acl|load"),
    nameless("acl|log"),
    nameless("acl|save"),
    nameless("acl|setuser"),
    nameless("acl|users"),
    nameless("acl|whoami"),
    container("cluster"),
    nameless("cluster|addslots"),
    nameless("cluster|addslotsrange"),
    nameless("cluster|bumpepoch"),
    nameless("cluster|cancelslotmigrations"),
    nameless("cluster|count-failure-reports"),
    nameless("cluster|countkeysinslot"),
    nameless("cluster|delslots"),
    nameless("cluster|delslotsrange"),
    nameless("cluster|failover"),
    nameless("cluster|flushslot"),
    nameless("cluster|flushslots"),
    nameless("cluster|forget"),
    nameless("cluster|getkeysinslot"),
    nameless("cluster|getslotmigrations"),
    nameless("cluster|help"),
    nameless("cluster|info"),
    nameless("cluster|keyslot"),
    nameless("cluster|links"),
    nameless("cluster|meet"),
    nameless("cluster|migrateslots"),
    nameless("cluster|migration"),
    nameless("cluster|myid"),
    nameless("cluster|myshardid"),
    nameless("cluster|nodes"),
    nameless("cluster|replicas"),
    nameless("cluster|replicate"),
    nameless("cluster|reset"),
    nameless("cluster|saveconfig"),
    nameless("cluster|set-config-epoch"),
    // Valkey answers when its replicas have agreed.
    nameless("cluster|setslot").blocking(Timeout::Unstated),
    nameless("cluster|shards"),
    nameless("cluster|slaves"),
    nameless("cluster|slot-stats"),
    nameless("cluster|slots"),
    // Slots on their way to another server: a stream of another kind.
    refuse_always("cluster|syncslots"),
    container("command"),
    nameless("command|count"),
    nameless("command|docs"),
    form("command|getkeys", FROM_THIRD, Form::GetKeys).reads(),
    form("command|getkeysandflags", FROM_THIRD, Form::GetKeys).reads(),
    nameless("command|help"),
    nameless("command|info"),
    nameless("command|list"),
    container("commandlog"),
    nameless("commandlog|get"),
    nameless("commandlog|help"),
    nameless("commandlog|len"),
    nameless("commandlog|reset"),
    container("backup"),
    nameless("backup|abort"),
    nameless("backup|cleanup"),
    nameless("backup|help"),
    nameless("backup|list"),
    nameless("backup|seal"),
    nameless("backup|start"),
    nameless("backup|status"),
    container("hotkeys"),
    nameless("hotkeys|get"),
    nameless("hotkeys|help"),
    nameless("hotkeys|reset"),
    nameless("hotkeys|start"),
    nameless("hotkeys|stop"),
    container("config"),
    nameless("config|get"),
    nameless("config|help"),
    nameless("config|resetstat"),
    nameless("config|rewrite"),
    nameless("config|set"),
    container("latency"),
    nameless("latency|doctor"),
    nameless("latency|graph"),
    nameless("latency|help"),
    nameless("latency|histogram"),
    nameless("latency|history"),
    nameless("latency|latest"),
    nameless("latency|reset"),
    container("memory"),
    nameless("memory|doctor"),
    nameless("memory|help"),
    nameless("memory|malloc-stats"),
    nameless("memory|purge"),
    nameless("memory|stats"),
    pass("memory|usage", SECOND).reads(),
    container("module"),
    nameless("module|help"),
    nameless("module|list"),
    nameless("module|load"),
    nameless("module|loadex"),
    nameless("module|unload"),
    container("slowlog"),
    nameless("slowlog|get"),
    nameless("slowlog|help"),
    nameless("slowlog|len"),
    nameless("slowlog|reset"),
    // Of its subcommands those have rows that name records and show nothing of them but measures; any
    // other is treated as an unknown command.
    container("debug").with(Effect::Connection),
    pass("debug|digest-value", at(2, -1, 1))
        .reads()
        .with(Effect::Connection),
    pass("debug|htstats-key", SECOND)
        .reads()
        .with(Effect::Connection),
    pass("debug|object", SECOND)
        .reads()
        .with(Effect::Connection),
    pass("debug|sdslen", SECOND)
        .reads()
        .with(Effect::Connection),
    nameless("debug|sleep").with(Effect::Connection),
];
