//! Channels. Their names are no record names, and messages are not stored: they pass in clear.

use super::{Row, container, nameless};
use crate::decision::{Channels, Effect};

pub(super) const ROWS: &[Row] = &[
    nameless("publish"),
    nameless("spublish"),
    nameless("subscribe").at_least(Effect::Subscribe(Channels::Plain), 2),
    nameless("psubscribe").at_least(Effect::Subscribe(Channels::Patterns), 2),
    nameless("ssubscribe").at_least(Effect::Subscribe(Channels::Shards), 2),
    nameless("unsubscribe").with(Effect::Unsubscribe(Channels::Plain)),
    nameless("punsubscribe").with(Effect::Unsubscribe(Channels::Patterns)),
    nameless("sunsubscribe").with(Effect::Unsubscribe(Channels::Shards)),
    container("pubsub"),
    nameless("pubsub|channels"),
    nameless("pubsub|help"),
    nameless("pubsub|numpat"),
    nameless("pubsub|numsub"),
    nameless("pubsub|shardchannels"),
    nameless("pubsub|shardnumsub"),
];
