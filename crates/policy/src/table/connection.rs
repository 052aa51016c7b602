//! The connection itself: who speaks, in which protocol, in which database. No record names.

use super::{EffectRule, Names, Row, Treatment, container, nameless, row};
use crate::decision::Effect;
use crate::refusal::Reason;

/// Asks for or changes what belongs to this one connection.
const fn own(name: &'static str) -> Row {
    nameless(name).with(Effect::Connection)
}

pub(super) const ROWS: &[Row] = &[
    nameless("auth").counted(Effect::Auth, 2, 3),
    nameless("echo"),
    nameless("hello").with(Effect::Hello),
    nameless("ping"),
    nameless("quit").with(Effect::Quit),
    nameless("reset").counted(Effect::Reset, 1, 1),
    nameless("select").counted(Effect::Select, 2, 2),
    own("asking"),
    own("readonly"),
    own("readwrite"),
    container("client").with(Effect::Connection),
    own("client|caching"),
    // Of what a client says that it can do, only one thing concerns the proxy.
    row("client|capa", Names::None, Treatment::WithoutRedirect).with(Effect::Connection),
    own("client|getname"),
    own("client|getredir"),
    own("client|help"),
    own("client|id"),
    own("client|import-source"),
    nameless("client|info").with(Effect::ListClients),
    nameless("client|kill").with(Effect::KillClients),
    nameless("client|list").with(Effect::ListClients),
    // The server would tell the client to go on at another address, past the proxy. Clients ask for it
    // of themselves, and do without it where the server does not know it.
    row(
        "client|maint_notifications",
        Names::None,
        Treatment::RefuseAlways(Reason::UnknownSubcommand),
    ),
    own("client|no-evict"),
    own("client|no-touch"),
    own("client|pause"),
    // Where prefixes overlap, Redis 7.0 answers an error and then `+OK`.
    nameless("client|tracking").with(Effect::Unsettled),
    own("client|trackinginfo"),
    own("client|unblock"),
    own("client|unpause"),
    Row {
        effect: EffectRule::ReplyMode,
        ..nameless("client|reply")
    },
    // Redis takes these for a browser's request, and closes the connection.
    own("host:"),
    own("post"),
    // Only what the connection is called.
    nameless("client|setinfo").counted(Effect::Label, 4, 4),
    nameless("client|setname").counted(Effect::Label, 3, 3),
];
