//! The replies that are expected, in the order of their requests. A reply carries no name, so this order is the only
//! thing that tells which request it belongs to.

use std::collections::VecDeque;

use crate::pending::Pending;

/// Capacity beyond this number of entries is released when all replies have arrived.
const MAX_SPARE_CAPACITY: usize = 4096;

/// Expected replies, and answers of the proxy that wait for their turn among them.
#[derive(Default)]
pub(super) struct ReplyQueue {
    entries: VecDeque<Pending>,
    /// Bytes that the entries hold beyond their own size.
    entry_bytes: usize,
    /// Requests that went out since [`begin_count`](Self::begin_count).
    sent: usize,
    /// A request is under way that may wait on the server.
    may_be_blocked: bool,
}

impl ReplyQueue {
    /// True if no reply is expected.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The number of entries.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The entries in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Pending> {
        self.entries.iter()
    }

    /// The first entry.
    #[inline]
    pub(super) fn front(&self) -> Option<&Pending> {
        self.entries.front()
    }

    /// Adds the reply to a request of the client's.
    #[inline]
    pub(super) fn push(&mut self, pending: Pending) {
        self.sent = self.sent.saturating_add(1);
        self.entry_bytes = self.entry_bytes.saturating_add(pending.retained_bytes());
        self.entries.push_back(pending);
    }

    /// Adds an answer of the proxy's own, after the replies that are expected.
    pub(super) fn push_local(&mut self, answer: &[u8]) {
        self.entry_bytes = self.entry_bytes.saturating_add(answer.len());
        self.entries.push_back(Pending::Local(answer.into()));
    }

    /// Adds the reply to a request of the proxy's own, which the client neither sent nor gets an answer to.
    pub(super) fn push_internal(&mut self, fatal: bool) {
        self.entries.push_back(Pending::Internal { fatal });
    }

    /// Adds the reply to a request of the proxy's own that goes with one of the client's.
    pub(super) fn push_uncounted(&mut self, pending: Pending) {
        self.entry_bytes = self.entry_bytes.saturating_add(pending.retained_bytes());
        self.entries.push_back(pending);
    }

    /// Adds an entry in front: replies to a handshake, and further acknowledgements.
    pub(super) fn push_front(&mut self, pending: Pending) {
        self.entry_bytes = self.entry_bytes.saturating_add(pending.retained_bytes());
        self.entries.push_front(pending);
    }

    /// Takes the first entry.
    #[inline]
    pub(super) fn pop_front(&mut self) -> Option<Pending> {
        let pending = self.entries.pop_front()?;
        self.entry_bytes = self.entry_bytes.saturating_sub(pending.retained_bytes());
        Some(pending)
    }

    /// Takes back entries whose requests were not sent after all, so that `len` are left.
    pub(super) fn truncate(&mut self, len: usize) {
        while self.entries.len() > len {
            if let Some(pending) = self.entries.pop_back() {
                self.entry_bytes = self.entry_bytes.saturating_sub(pending.retained_bytes());
            }
        }
    }

    /// Starts to count requests.
    pub(super) fn begin_count(&mut self) {
        self.sent = 0;
    }

    /// Requests of the client's that went out since the count began.
    pub(super) fn sent(&self) -> usize {
        self.sent
    }

    /// A request went out that may wait on the server. It is under way until every reply has arrived, whatever was
    /// sent after it.
    pub(super) fn mark_blocked(&mut self) {
        self.may_be_blocked = true;
    }

    /// True if a request that was sent may be waiting on the server.
    pub(super) fn may_be_blocked(&self) -> bool {
        self.may_be_blocked && !self.entries.is_empty()
    }

    /// Every reply has arrived.
    pub(super) fn settle(&mut self) {
        if self.entries.capacity() > MAX_SPARE_CAPACITY {
            self.entries = VecDeque::new();
        }
        self.may_be_blocked = false;
    }

    /// Bytes that the entries hold beyond their own size: names and fields of their requests.
    pub(super) fn entry_bytes(&self) -> usize {
        self.entry_bytes
    }

    /// Bytes that are held for all entries.
    #[inline]
    pub(super) fn retained_bytes(&self) -> usize {
        let entries = self.entries.len().saturating_mul(size_of::<Pending>());
        self.entry_bytes.saturating_add(entries)
    }
}
