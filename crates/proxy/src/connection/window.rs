//! The number of requests of one client that may be on a lane at once. Their replies arrive one after the other, with
//! those of other clients behind them, so as many are admitted as have replies that may be buffered for the client, by
//! the size of its replies so far.

/// Requests before any reply has arrived.
const FIRST_REQUESTS: usize = 32;

/// The maximum, however small the replies have been: the next ones may be large.
const MAX_REQUESTS: usize = 256;

/// The bound on requests without a reply, and the sizes of replies that it is derived from.
pub(super) struct Window {
    requests: usize,
    /// Bytes of a reply that has not ended yet.
    partial: usize,
    /// The size of recent replies in bytes.
    reply: usize,
    /// Bytes of replies that may be buffered for the client.
    budget: usize,
}

impl Window {
    /// A window for so many bytes of buffered replies.
    pub(super) fn new(budget: usize) -> Self {
        Self {
            requests: FIRST_REQUESTS,
            partial: 0,
            reply: 0,
            budget,
        }
    }

    /// The number of requests that may be without a reply.
    pub(super) fn requests(&self) -> usize {
        self.requests
    }

    /// Accounts for bytes that arrived, and for the replies that ended with them.
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
        // It opens in steps: the next replies may be larger than the last ones.
        let max = self.requests.saturating_mul(2).min(MAX_REQUESTS);
        self.requests = fitting.clamp(1, max);
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
        // A reply that arrives in pieces counts as a whole.
        for _ in 0..4 {
            window.observe(256 * 1024, 0);
            assert_eq!(window.requests(), MAX_REQUESTS);
        }
        window.observe(10, 1);
        assert_eq!(window.requests(), 1);
    }
}
