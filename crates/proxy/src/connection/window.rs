//! How many requests of one client may be on a lane at once. Their replies come one behind the other,
//! and those of other clients behind them: as many are let on as have replies that may wait for the
//! client unread, by the size of the replies so far.

/// Requests before any reply has been seen.
const FIRST_REQUESTS: usize = 32;

/// Requests at most, however small the replies have been: the next ones may be large.
const MAX_REQUESTS: usize = 256;

/// How many requests may be on a lane, and what their replies amount to.
pub(super) struct Window {
    requests: usize,
    /// Bytes of a reply that has not ended.
    partial: usize,
    /// Bytes of a reply, as seen lately.
    reply: usize,
    /// Bytes of replies that may wait for the client.
    budget: usize,
}

impl Window {
    /// For replies of so many bytes at once.
    pub(super) fn new(budget: usize) -> Self {
        Self {
            requests: FIRST_REQUESTS,
            partial: 0,
            reply: 0,
            budget,
        }
    }

    /// How many requests may be without a reply.
    pub(super) fn requests(&self) -> usize {
        self.requests
    }

    /// So many bytes came, and so many replies ended with them.
    pub(super) fn observe(&mut self, bytes: usize, replies: usize) {
        let bytes = self.partial.saturating_add(bytes);
        let Some(reply) = bytes.checked_div(replies) else {
            self.partial = bytes;
            return;
        };
        self.partial = 0;
        let average = self.reply.saturating_mul(3).saturating_add(reply) / 4;
        self.reply = average.max(reply);
        let fitting = self.budget.checked_div(self.reply).unwrap_or(self.budget);
        // It opens step by step: the next replies may be larger than the last.
        let most = self.requests.saturating_mul(2).min(MAX_REQUESTS);
        self.requests = fitting.clamp(1, most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_with_small_replies_and_closes_with_large_ones() {
        let mut window = Window::new(1024 * 1024);
        assert_eq!(window.requests(), FIRST_REQUESTS);
        for _ in 0..20 {
            window.observe(320, 32);
        }
        assert_eq!(window.requests(), MAX_REQUESTS);
        window.observe(1024 * 1024, 4);
        assert_eq!(window.requests(), 4);
        window.observe(4 * 1024 * 1024, 1);
        assert_eq!(window.requests(), 1);
        // One large reply is forgotten after some small ones.
        for _ in 0..60 {
            window.observe(10, 1);
        }
        assert_eq!(window.requests(), MAX_REQUESTS);
        // A reply that comes in pieces counts as a whole.
        for _ in 0..4 {
            window.observe(256 * 1024, 0);
            assert_eq!(window.requests(), MAX_REQUESTS);
        }
        window.observe(10, 1);
        assert_eq!(window.requests(), 1);
    }
}
