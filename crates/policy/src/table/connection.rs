//! The connection itself: who speaks, in which protocol, in which database. No record names.

use super::{EffectRule, Row, container, nameless};
use crate::decision::Effect;

/// Asks for or changes what belongs to this one connection.
const fn own(name: &'static str) -> Row {
    nameless(name).with(Effect::Connection)
}

pub(super) const ROWS: &[Row] = &[
    nameless("auth").with(Effect::Auth),
    nameless("echo"),
    nameless("hello").with(Effect::Hello),
    nameless("ping"),
    nameless("quit").with(Effect::Quit),
    nameless("reset").with(Effect::Reset),
    nameless("select").with(Effect::Select),
    own("asking"),
    own("readonly"),
    own("readwrite"),
    container("client").with(Effect::Connection),
    own("client|caching"),
    own("client|capa"),
    own("client|getname"),
    own("client|getredir"),
    own("client|help"),
    own("client|id"),
    own("client|import-source"),
    own("client|info"),
    own("client|kill"),
    own("client|list"),
    own("client|no-evict"),
    own("client|no-touch"),
    own("client|pause"),
    own("client|tracking"),
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
    nameless("client|setinfo").with(Effect::Label),
    nameless("client|setname").with(Effect::Label),
];
