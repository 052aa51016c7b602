//! The server, its cluster, its replicas, its access rules. Few of these commands name records; replication is
//! refused, because no requests and replies follow on such a connection.

use super::{
    Form, NameForm, Names, Row, Timeout, Treatment, container, form, keyless, names, pass, row,
};
use crate::decision::Effect;
use crate::names::{SECOND, at};
use crate::refusal::Reason;

/// The arguments of another request, after its command.
const FROM_THIRD: Names = at(3, -1, 1);
const FROM_FOURTH: Names = at(4, -1, 1);

/// Never sent.
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
    keyless("bgrewriteaof"),
    keyless("bgsave"),
    keyless("dbsize"),
    keyless("failover"),
    // Without ASYNC, newer servers answer when the memory is free.
    keyless("flushall").blocking(Timeout::Unstated),
    keyless("flushdb").blocking(Timeout::Unstated),
    keyless("info"),
    keyless("lastsave"),
    keyless("lolwut"),
    keyless("replicaof"),
    keyless("role"),
    keyless("save"),
    keyless("slaveof"),
    keyless("swapdb"),
    keyless("time"),
    keyless("trimslots"),
    keyless("monitor").counted(Effect::Monitor, 1, 1),
    // The connection ends with the server.
    keyless("shutdown").with(Effect::Connection),
    container("acl"),
    keyless("acl|cat"),
    keyless("acl|deluser"),
    form("acl|dryrun", FROM_FOURTH, Form::DryRun).reads(),
    keyless("acl|genpass"),
    keyless("acl|getuser"),
    keyless("acl|help"),
    keyless("acl|list"),
    keyless("acl|load"),
    keyless("acl|log"),
    keyless("acl|save"),
    keyless("acl|setuser"),
    keyless("acl|users"),
    keyless("acl|whoami"),
    container("cluster"),
    keyless("cluster|addslots"),
    keyless("cluster|addslotsrange"),
    keyless("cluster|bumpepoch"),
    keyless("cluster|cancelslotmigrations"),
    keyless("cluster|count-failure-reports"),
    keyless("cluster|countkeysinslot"),
    keyless("cluster|delslots"),
    keyless("cluster|delslotsrange"),
    keyless("cluster|failover"),
    keyless("cluster|flushslot"),
    keyless("cluster|flushslots"),
    keyless("cluster|forget"),
    names("cluster|getkeysinslot", NameForm::KeysInSlot),
    keyless("cluster|getslotmigrations"),
    keyless("cluster|help"),
    keyless("cluster|info"),
    pass("cluster|keyslot", SECOND).reads(),
    keyless("cluster|links"),
    keyless("cluster|meet"),
    keyless("cluster|migrateslots"),
    keyless("cluster|migration"),
    keyless("cluster|myid"),
    keyless("cluster|myshardid"),
    keyless("cluster|nodes"),
    keyless("cluster|replicas"),
    keyless("cluster|replicate"),
    keyless("cluster|reset"),
    keyless("cluster|saveconfig"),
    keyless("cluster|set-config-epoch"),
    // Valkey answers when its replicas have agreed.
    keyless("cluster|setslot").blocking(Timeout::Unstated),
    keyless("cluster|shards"),
    keyless("cluster|slaves"),
    keyless("cluster|slot-stats"),
    keyless("cluster|slots"),
    // The migration of slots to another server: another kind of stream.
    refuse_always("cluster|syncslots"),
    container("command"),
    keyless("command|count"),
    keyless("command|docs"),
    form("command|getkeys", FROM_THIRD, Form::GetKeys).reads(),
    form("command|getkeysandflags", FROM_THIRD, Form::GetKeys).reads(),
    keyless("command|help"),
    keyless("command|info"),
    keyless("command|list"),
    container("commandlog"),
    keyless("commandlog|get"),
    keyless("commandlog|help"),
    keyless("commandlog|len"),
    keyless("commandlog|reset"),
    container("backup"),
    keyless("backup|abort"),
    keyless("backup|cleanup"),
    keyless("backup|help"),
    keyless("backup|list"),
    keyless("backup|seal"),
    keyless("backup|start"),
    keyless("backup|status"),
    container("hotkeys"),
    keyless("hotkeys|get"),
    keyless("hotkeys|help"),
    keyless("hotkeys|reset"),
    keyless("hotkeys|start"),
    keyless("hotkeys|stop"),
    container("config"),
    keyless("config|get"),
    keyless("config|help"),
    keyless("config|resetstat"),
    keyless("config|rewrite"),
    keyless("config|set"),
    container("latency"),
    keyless("latency|doctor"),
    keyless("latency|graph"),
    keyless("latency|help"),
    keyless("latency|histogram"),
    keyless("latency|history"),
    keyless("latency|latest"),
    keyless("latency|reset"),
    container("memory"),
    keyless("memory|doctor"),
    keyless("memory|help"),
    keyless("memory|malloc-stats"),
    keyless("memory|purge"),
    keyless("memory|stats"),
    pass("memory|usage", SECOND).reads(),
    container("module"),
    keyless("module|help"),
    keyless("module|list"),
    keyless("module|load"),
    keyless("module|loadex"),
    keyless("module|unload"),
    container("slowlog"),
    keyless("slowlog|get"),
    keyless("slowlog|help"),
    keyless("slowlog|len"),
    keyless("slowlog|reset"),
    // Only those of its subcommands have rows that name records and return nothing but their sizes; all others are
    // treated as unknown commands.
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
    keyless("debug|sleep").with(Effect::Connection),
];
