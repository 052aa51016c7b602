//! A server's limits on requests and replies, as far as its settings may be read: asked for only
//! where it matters, and never cached to refuse a request.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError, RwLock};

use redis::cmd;

use super::RedisStore;
use crate::error::StoreError;

/// The smallest value of these settings: smaller requests are sent without asking.
const MIN_LIMIT: u64 = 1 << 20;
/// The largest single value of a request or reply.
pub(super) const BULK: &str = "proto-max-bulk-len";
/// The unread bytes of one client.
const QUERY: &str = "client-query-buffer-limit";
/// The unread replies of one client.
const OUTPUT: &str = "client-output-buffer-limit";
/// Several replies may be in flight at once; each may have this share of the limit.
const SHARE_OF_OUTPUT: u64 = 6;

/// The limits of a server; unknown ones are `None`.
#[derive(Clone, Copy, Debug, Default)]
struct Limits {
    bulk: Option<u64>,
    query: Option<u64>,
    output: Option<u64>,
}

impl Limits {
    fn refusal(&self, bytes: u64) -> Option<StoreError> {
        let limits = [(BULK, self.bulk), (QUERY, self.query)].into_iter();
        let mut exceeded = limits.filter_map(|(setting, limit)| {
            let limit = limit.filter(|limit| bytes > *limit)?;
            Some(StoreError::TooLarge {
                bytes: Some(bytes),
                limit: Some((setting, limit)),
            })
        });
        exceeded.next()
    }
}

/// Replies are not split below this size after a loss.
const MIN_REPLY: u64 = 64 << 10;
/// Consecutive full replies after which larger ones are tried again. Each loss doubles it, so that
/// a real limit costs ever fewer connections.
const MIN_REPLIES: u32 = 16;

/// The known limits of a server.
#[derive(Default)]
pub(super) struct KnownLimits {
    known: RwLock<Option<Limits>>,
    replies: Mutex<ReplyLimit>,
}

/// The bytes of replies requested at once, since larger ones were lost. A connection can end for
/// any reason, so that this grows again.
struct ReplyLimit {
    bytes: u64,
    /// Replies of about this size since the limit changed.
    received: u32,
    /// Replies until it is raised.
    needed: u32,
}

impl Default for ReplyLimit {
    fn default() -> Self {
        Self {
            bytes: u64::MAX,
            received: 0,
            needed: MIN_REPLIES / 2,
        }
    }
}

impl ReplyLimit {
    fn lower(&mut self, lost: u64) {
        *self = Self {
            bytes: self.bytes.min((lost / 2).max(MIN_REPLY)),
            received: 0,
            needed: self.needed.saturating_mul(2),
        };
    }

    fn raise(&mut self, received: u64) {
        if received < self.bytes / 2 {
            return;
        }
        self.received = self.received.saturating_add(1);
        if self.received >= self.needed {
            self.bytes = self.bytes.saturating_mul(2);
            self.received = 0;
        }
    }
}

impl KnownLimits {
    fn get(&self) -> Option<Limits> {
        *self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, limits: Limits) {
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = Some(limits);
    }

    /// The connection ended while a reply of this size was due.
    pub(super) fn reply_lost(&self, bytes: u64) {
        self.with_replies(|limit| limit.lower(bytes));
    }

    /// A reply of this size was received.
    pub(super) fn reply_received(&self, bytes: u64) {
        self.with_replies(|limit| limit.raise(bytes));
    }

    fn with_replies<T>(&self, change: impl FnOnce(&mut ReplyLimit) -> T) -> T {
        change(&mut self.replies.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl RedisStore {
    /// Checks that the server accepts a value of this size, as far as its settings can be read: a
    /// value it does not accept ends the connection, and everything else in flight on it.
    pub(super) async fn check_fits(&self, bytes: usize) -> Result<(), StoreError> {
        let bytes = bytes as u64;
        if bytes < MIN_LIMIT {
            return Ok(());
        }
        let known = self.limits.get();
        if known.is_some_and(|known| known.refusal(bytes).is_none()) {
            return Ok(());
        }
        // The setting may have been raised since.
        let limits = self.fetch_limits().await?;
        limits.refusal(bytes).map_or(Ok(()), Err)
    }

    /// The bytes of replies to request at once, at most `requested`.
    pub(super) async fn reply_budget(&self, requested: u64, bytes: u64) -> Result<u64, StoreError> {
        let requested = requested.min(self.limits.with_replies(|limit| limit.bytes));
        let limits = match self.limits.get() {
            Some(limits) => limits,
            None if bytes < MIN_LIMIT => return Ok(requested),
            None => self.fetch_limits().await?,
        };
        let output = limits.output.unwrap_or(u64::MAX);
        Ok(requested.min(output / SHARE_OF_OUTPUT))
    }

    async fn fetch_limits(&self) -> Result<Limits, StoreError> {
        // One setting each: servers before 7.0 accept no more.
        let ask = |setting: &str| cmd("CONFIG").arg("GET").arg(setting).clone();
        let answers = self
            .link
            .send_all([BULK, QUERY, OUTPUT].map(ask).into())
            .await?;
        let mut settings = HashMap::new();
        for answer in answers {
            // An ACL may deny it, and a service may not have it.
            let pairs = answer
                .ok()
                .and_then(|pairs| redis::from_redis_value::<HashMap<String, String>>(pairs).ok());
            settings.extend(pairs.unwrap_or_default());
        }
        let number = |setting: &str| settings.get(setting)?.parse().ok();
        let limits = Limits {
            bulk: number(BULK),
            query: number(QUERY),
            output: settings.get(OUTPUT).and_then(|text| output_limit(text)),
        };
        self.limits.set(limits);
        Ok(limits)
    }
}

/// The smallest limit of normal clients in `normal 0 0 0 slave 268435456 67108864 60 …`; 0 means
/// none.
fn output_limit(text: &str) -> Option<u64> {
    let mut words = text.split_whitespace().skip_while(|word| *word != "normal");
    let limits = words.by_ref().skip(1).take(2);
    let limits = limits.filter_map(|word| word.parse().ok());
    limits.filter(|limit| *limit > 0).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_of_normal_clients_is_the_smallest_that_is_set() {
        for (text, limit) in [
            (
                "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60",
                None,
            ),
            (
                "normal 4194304 0 0 slave 268435456 67108864 60",
                Some(4_194_304),
            ),
            ("slave 1 2 3 normal 4194304 1000 10", Some(1_000)),
            ("", None),
        ] {
            assert_eq!(output_limit(text), limit, "{text}");
        }
    }

    #[test]
    fn replies_that_were_made_smaller_after_a_loss_grow_again_and_later_after_another() {
        let known = KnownLimits::default();
        let limit = || known.with_replies(|limit| limit.bytes);
        let receive =
            |replies: u32, bytes: u64| (0..replies).for_each(|_| known.reply_received(bytes));
        known.reply_lost(8 << 20);
        assert_eq!(limit(), 4 << 20);
        // Small ones prove nothing.
        receive(100, 1 << 20);
        receive(MIN_REPLIES - 1, 3 << 20);
        assert_eq!(limit(), 4 << 20);
        receive(1, 3 << 20);
        assert_eq!(limit(), 8 << 20);
        known.reply_lost(6 << 20);
        assert_eq!(limit(), 3 << 20);
        receive(MIN_REPLIES * 2 - 1, 3 << 20);
        assert_eq!(limit(), 3 << 20);
        receive(1, 3 << 20);
        assert_eq!(limit(), 6 << 20);
        known.reply_lost(1);
        assert_eq!(limit(), MIN_REPLY);
    }

    #[test]
    fn a_value_over_a_limit_is_refused_with_the_setting_that_limits_it() {
        let limits = Limits {
            bulk: Some(2_000_000),
            query: Some(3_000_000),
            output: None,
        };
        assert_eq!(limits.refusal(2_000_000), None);
        let refused = limits.refusal(2_000_001).expect("it is larger");
        assert_eq!(
            refused.to_string(),
            "the value is too large for the store (2000001 bytes): its proto-max-bulk-len is 2000000 bytes"
        );
    }
}
