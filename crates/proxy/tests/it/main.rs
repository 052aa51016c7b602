//! The proxy's engine between two byte queues: no socket, no server, no clock. Only tests of shared lanes, of the
//! shutdown and of sealed names use real servers.

mod broken;
mod computed;
mod decoys;
mod delays;
mod ending;
mod excepts;
mod keyed;
mod keys;
mod lanes;
mod lengths;
mod limits;
mod members;
mod messages;
mod moves;
mod names;
mod order;
mod pair;
mod panics;
mod properties;
mod redirections;
mod refusals;
mod replayed;
mod replayed_compared;
mod replayed_moves;
mod scripts;
mod silent;
mod sorting;
mod subscriptions;
mod transactions;
mod values;
