//! Channels. Their names are not record names, and are in clear. Messages of protected channels are sealed.

use super::{Names, Row, Treatment, container, keyless, row};
use crate::decision::{Channels, Effect};

pub(super) const ROWS: &[Row] = &[
    row("publish", Names::None, Treatment::SealMessage),
    row("spublish", Names::None, Treatment::SealMessage),
    keyless("subscribe").at_least(Effect::Subscribe(Channels::Plain), 2),
    keyless("psubscribe").at_least(Effect::Subscribe(Channels::Patterns), 2),
    keyless("ssubscribe").at_least(Effect::Subscribe(Channels::Shards), 2),
    keyless("unsubscribe").with(Effect::Unsubscribe(Channels::Plain)),
    keyless("punsubscribe").with(Effect::Unsubscribe(Channels::Patterns)),
    keyless("sunsubscribe").with(Effect::Unsubscribe(Channels::Shards)),
    container("pubsub"),
    keyless("pubsub|channels"),
    keyless("pubsub|help"),
    keyless("pubsub|numpat"),
    keyless("pubsub|numsub"),
    keyless("pubsub|shardchannels"),
    keyless("pubsub|shardnumsub"),
];
