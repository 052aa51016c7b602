//! The sockets: listeners, upstream connections, and the tasks that move bytes between them.
//! [`Connection`](crate::Connection) knows what the bytes mean.
//!
//! Each worker is a thread with an event loop. A client stays on the worker that it was given to; workers share nothing
//! but the settings.

pub(crate) mod buffer;
pub(crate) mod client;
pub(crate) mod expiry;
pub(crate) mod health;
pub(crate) mod idle_pool;
pub(crate) mod lane;
pub(crate) mod linger;
pub(crate) mod listener;
pub(crate) mod reply_buffers;
pub(crate) mod socket;
pub(crate) mod tls;
pub(crate) mod upstream;
pub(crate) mod worker;
pub(crate) mod workers;
