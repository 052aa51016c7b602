//! The connection itself: its user, protocol and database. No record names.

use super::{EffectRule, NameForm, Names, Row, Treatment, container, keyless, names, row};
use crate::decision::Effect;
use crate::refusal::Reason;

/// Reads or changes the state of the connection.
const fn stateful(name: &'static str) -> Row {
    keyless(name).with(Effect::Connection)
}

pub(super) const ROWS: &[Row] = &[
    keyless("auth").counted(Effect::Auth, 2, 3),
    keyless("echo"),
    keyless("hello").with(Effect::Hello),
    keyless("ping"),
    keyless("quit").with(Effect::Quit),
    keyless("reset").counted(Effect::Reset, 1, 1),
    keyless("select").counted(Effect::Select, 2, 2),
    stateful("asking"),
    stateful("readonly"),
    stateful("readwrite"),
    container("client").with(Effect::Connection),
    stateful("client|caching"),
    // Of the capabilities of clients, only one concerns the proxy.
    row("client|capa", Names::None, Treatment::WithoutRedirect).with(Effect::Connection),
    stateful("client|getname"),
    stateful("client|getredir"),
    stateful("client|help"),
    stateful("client|id"),
    stateful("client|import-source"),
    keyless("client|info").with(Effect::ListClients),
    keyless("client|kill").with(Effect::KillClients),
    keyless("client|list").with(Effect::ListClients),
    // The server would redirect the client to another address, past the proxy. Clients send it unasked, and continue
    // without it if the server does not know it.
    row(
        "client|maint_notifications",
        Names::None,
        Treatment::RefuseAlways(Reason::UnknownSubcommand),
    ),
    stateful("client|no-evict"),
    stateful("client|no-touch"),
    stateful("client|pause"),
    // If prefixes overlap, Redis 7.0 answers with an error and then with `+OK`.
    names("client|tracking", NameForm::Tracking).with(Effect::Unsettled),
    names("client|trackinginfo", NameForm::TrackingInfo).with(Effect::Connection),
    stateful("client|unblock"),
    stateful("client|unpause"),
    Row {
        effect: EffectRule::ReplyMode,
        ..keyless("client|reply")
    },
    // Redis takes these for the request of a browser, and closes the connection.
    stateful("host:"),
    stateful("post"),
    // Only the label of the connection.
    keyless("client|setinfo").counted(Effect::Label, 4, 4),
    keyless("client|setname").counted(Effect::Label, 3, 3),
];
