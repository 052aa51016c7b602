//! Bounds on everything that a client or a server could make grow.

use std::time::Duration;

use waxseal_resp::{MAX_BULK_LEN, RequestLimits};

/// Maximum length of an argument that is held before it is known whether it must be: longer arguments of records that
/// are not protected are streamed.
const MAX_HELD: u64 = 1024 * 1024;

/// Bounds of one connection and of all of them.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Maximum bytes of one value to seal, and of one reply with values to open.
    pub value: usize,
    /// Maximum bytes of one request that must be held to its end: many names, many values.
    pub request: usize,
    /// Maximum number of requests of one connection that wait for their replies.
    pub pending: usize,
    /// Bytes waiting for a client or for the server above which no more are read: replies stay with the server, requests
    /// with the client.
    pub unread: usize,
    /// Maximum bytes waiting for one client: a client that reads too little is disconnected.
    pub client_buffer: usize,
    /// Maximum bytes waiting for all clients: beyond that the client with the most is disconnected.
    pub total_buffer: usize,
    /// Maximum number of client connections.
    pub connections: usize,
    /// Time limit for the remainder of a request, and for a TLS handshake.
    pub half_request: Duration,
    /// Delay of a reply of the server after which its connection is checked.
    pub stalled: Duration,
    /// Time limit for connecting to the server.
    pub connect: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            value: 64 * 1024 * 1024,
            request: 128 * 1024 * 1024,
            pending: 1024 * 1024,
            unread: 1024 * 1024,
            client_buffer: 512 * 1024 * 1024,
            total_buffer: 1024 * 1024 * 1024,
            connections: 10_000,
            half_request: Duration::from_secs(60),
            stalled: Duration::from_secs(5),
            connect: Duration::from_secs(5),
        }
    }
}

/// What moving one value takes, in parts of its length: it is held as it is stored and opened, and both forms are sent.
const MOVED_PARTS: usize = 6;

/// Bytes that may be held for the commands of one transaction, however small the limits are.
const MIN_TRANSACTION_BYTES: usize = 1024 * 1024;

impl Limits {
    /// Bytes that a transaction may take to move values.
    pub(crate) fn of_moves(&self) -> usize {
        self.value.saturating_mul(MOVED_PARTS)
    }

    /// Bytes that may be held for the commands of a transaction, and that may be sent for those of them that compute.
    pub(crate) fn of_transactions(&self) -> usize {
        self.request.max(MIN_TRANSACTION_BYTES)
    }

    pub(crate) fn of_requests(&self) -> RequestLimits {
        RequestLimits {
            argument: MAX_BULK_LEN,
            held: MAX_HELD.min(u64::try_from(self.value).unwrap_or(u64::MAX)),
            ..RequestLimits::default()
        }
    }
}
