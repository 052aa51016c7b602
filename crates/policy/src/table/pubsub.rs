//! Channels. Their names are not record names, and are in clear. Messages of protected channels are sealed.

use super::{NameForm, Names, Row, Treatment, container, keyless, names, row};
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
    names("pubsub|channels", NameForm::Channels),
    keyless("pubsub|help"),
    keyless("pubsub|numpat"),
    names("pubsub|numsub", NameForm::ChannelCounts),
    keyless("pubsub|shardchannels"),
    keyless("pubsub|shardnumsub"),
];
