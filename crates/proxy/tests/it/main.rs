//! The proxy's engine between two byte queues: no socket, no server, no clock.

mod broken;
mod lengths;
mod limits;
mod order;
mod pair;
mod properties;
mod silent;
mod subscriptions;
mod transactions;
mod values;
