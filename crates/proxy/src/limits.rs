//! Everything that a client or a server could make grow, and how far it may.

use std::time::Duration;

use waxseal_resp::{MAX_BULK_LEN, RequestLimits};

/// Longest argument that is held while it is not known whether it must be: longer ones of records
/// that are not protected are streamed.
const HELD: u64 = 1024 * 1024;

/// Bounds of one connection and of all of them.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of one value to seal, and of one reply with values to open.
    pub value: usize,
    /// Bytes of one request that is held because its end decides: many names, many values.
    pub request: usize,
    /// Requests of one connection that wait for their replies.
    pub pending: usize,
    /// Bytes that wait for a client, or for the server, before more are left where they are: replies with the
    /// server, requests with the client.
    pub unread: usize,
    /// Bytes that may wait for one client which does not read: beyond that it is disconnected.
    pub client_buffer: usize,
    /// Bytes that may wait for all clients: beyond that the one that most waits for is disconnected.
    pub total_buffer: usize,
    /// Client connections.
    pub connections: usize,
    /// How long a request may stay half sent, and how long a TLS handshake may take.
    pub half_request: Duration,
    /// How late a reply of the server may be before its connection is checked.
    pub stalled: Duration,
    /// How long reaching the upstream may take.
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

impl Limits {
    pub(crate) fn of_requests(&self) -> RequestLimits {
        RequestLimits {
            argument: MAX_BULK_LEN,
            held: HELD.min(u64::try_from(self.value).unwrap_or(u64::MAX)),
            ..RequestLimits::default()
        }
    }
}
