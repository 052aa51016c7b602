//! Channels. Their names are no record names, and messages are not stored: they pass in clear.

use super::{Row, container, nameless};
use crate::decision::{Channels, Effect};

pub(super) const ROWS: &[Row] = &[
    nameless("publish"),
    nameless("spublish"),
    nameless("subscribe").with(Effect::Subscribe(Channels::Plain)),
    nameless("psubscribe").with(Effect::Subscribe(Channels::Patterns)),
    nameless("ssubscribe").with(Effect::Subscribe(Channels::Shards)),
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
