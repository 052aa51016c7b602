//! The subscriptions of a connection, as far as they are needed to distinguish messages from replies. In RESP2 both are
//! arrays, so the acknowledgements are counted as the server counts them.

use waxseal_policy::Channels;
use waxseal_resp::{Items, Kind};

/// The numbers of channels, patterns and shard channels that are subscribed to.
#[derive(Default)]
pub(crate) struct Subscriptions {
    channels: u64,
    patterns: u64,
    shards: u64,
}

/// The first words of messages.
const MESSAGES: [&[u8]; 3] = [b"message", b"pmessage", b"smessage"];

/// The first words of acknowledgements.
const ACKNOWLEDGEMENTS: [&[u8]; 6] = [
    b"subscribe",
    b"psubscribe",
    b"ssubscribe",
    b"unsubscribe",
    b"punsubscribe",
    b"sunsubscribe",
];

/// The first word of the acknowledgements of a subscription.
pub(crate) fn subscribe_acknowledgement(channels: Channels) -> &'static str {
    match channels {
        Channels::Plain => "subscribe",
        Channels::Patterns => "psubscribe",
        Channels::Shards => "ssubscribe",
    }
}

/// The first word of the acknowledgements of the end of a subscription.
pub(crate) fn unsubscribe_acknowledgement(channels: Channels) -> &'static str {
    match channels {
        Channels::Plain => "unsubscribe",
        Channels::Patterns => "punsubscribe",
        Channels::Shards => "sunsubscribe",
    }
}

/// True if an array that begins with this word is a message to a subscriber.
pub(crate) fn is_message(word: &[u8]) -> bool {
    MESSAGES.contains(&word)
}

/// True if an array that begins with this word acknowledges the begin or end of a subscription, which a server may also
/// send without being asked.
pub(crate) fn is_acknowledgement(word: &[u8]) -> bool {
    ACKNOWLEDGEMENTS.contains(&word)
}

/// The first words of a server's announcements of its maintenance. They name an address for the client to connect to:
/// past the proxy, where it would write in clear.
const MAINTENANCE: [&[u8]; 7] = [
    b"MOVING",
    b"MIGRATING",
    b"MIGRATED",
    b"SMIGRATING",
    b"SMIGRATED",
    b"FAILING_OVER",
    b"FAILED_OVER",
];

/// True if a push message that begins with this word would send the client to another server.
pub(crate) fn redirects_client(word: &[u8]) -> bool {
    MAINTENANCE
        .iter()
        .any(|known| known.eq_ignore_ascii_case(word))
}

impl Subscriptions {
    /// True if there are any.
    pub(crate) fn any(&self) -> bool {
        self.channels > 0 || self.patterns > 0 || self.shards > 0
    }

    /// The number of acknowledgements of a request to end all subscriptions of a kind.
    pub(crate) fn count_of_kind(&self, word: &str) -> usize {
        let count = match word {
            "unsubscribe" => self.channels,
            "punsubscribe" => self.patterns,
            _ => self.shards,
        };
        usize::try_from(count).unwrap_or(usize::MAX).max(1)
    }

    /// Counts an acknowledgement: `[word, channel, count]`. Returns `None` if it is not one.
    pub(crate) fn record(&mut self, acknowledgement: &[u8]) -> Option<()> {
        let mut items = Items::of(acknowledgement);
        match items.next().ok()??.kind {
            Kind::Array(3) | Kind::Push(3) => {}
            _ => return None,
        }
        let word = items.next().ok()??.text;
        items.skip().ok()?;
        let count = items.next().ok()??;
        let total: u64 = std::str::from_utf8(count.text).ok()?.parse().ok()?;
        // Channels and patterns are counted together, shard channels separately.
        match word {
            b"subscribe" => self.channels = total.checked_sub(self.patterns)?,
            b"psubscribe" => self.patterns = total.checked_sub(self.channels)?,
            b"unsubscribe" => self.channels = total.checked_sub(self.patterns)?,
            b"punsubscribe" => self.patterns = total.checked_sub(self.channels)?,
            b"ssubscribe" | b"sunsubscribe" => self.shards = total,
            _ => return None,
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acknowledgement(word: &str, count: u64) -> Vec<u8> {
        format!("*3\r\n${}\r\n{word}\r\n$1\r\nc\r\n:{count}\r\n", word.len()).into_bytes()
    }

    #[test]
    fn acknowledgements_are_counted_as_the_server_counts_them() {
        let mut subscriptions = Subscriptions::default();
        for (word, count, channels, patterns) in [
            ("subscribe", 1, 1, 0),
            ("subscribe", 2, 2, 0),
            ("psubscribe", 3, 2, 1),
            ("unsubscribe", 2, 1, 1),
            ("unsubscribe", 2, 1, 1),
            ("punsubscribe", 1, 1, 0),
        ] {
            subscriptions.record(&acknowledgement(word, count)).unwrap();
            assert_eq!(subscriptions.channels, channels);
            assert_eq!(subscriptions.patterns, patterns);
        }
        assert_eq!(subscriptions.count_of_kind("punsubscribe"), 1);
        assert!(subscriptions.any());
        subscriptions
            .record(&acknowledgement("unsubscribe", 0))
            .unwrap();
        assert!(!subscriptions.any());
        assert!(
            subscriptions
                .record(b"*2\r\n$4\r\npong\r\n$0\r\n\r\n")
                .is_none()
        );
    }
}
