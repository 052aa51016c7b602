//! The sockets: listeners, upstream connections, the tasks that move bytes between them. What the
//! bytes mean is [`Connection`](crate::Connection)'s business.
//!
//! Each worker is a thread with an event loop of its own. A client stays on the worker that it was
//! given to; nothing is shared between workers but the settings.

pub(crate) mod buffer;
pub(crate) mod client;
pub(crate) mod crew;
pub(crate) mod expiry;
pub(crate) mod farewell;
pub(crate) mod health;
pub(crate) mod lane;
pub(crate) mod listener;
pub(crate) mod reply_buffers;
pub(crate) mod socket;
pub(crate) mod spares;
pub(crate) mod upstream;
pub(crate) mod worker;
