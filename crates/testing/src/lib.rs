//! Real servers and sample data for the tests of every other crate: Redis processes that end with
//! their owner, services that hold keys (a PKCS#11 token, AWS KMS, a Vault) and a relay that
//! injects failures into their traffic, a certificate authority for TLS, Node as the reference for
//! the classic format, published clients in Node and Python, synthetic conversation states, and a model that compares any
//! proxy with a server without one.
//!
//! Knows nothing of Waxseal but how its envelopes begin: no key, no store. What a test expects of Waxseal is part
//! of that test. Every server here is real; nothing is a mock.

pub mod applications;
pub mod bao;
pub mod chance;
pub mod client;
pub mod clients;
mod http;
pub mod http_relay;
pub mod lines;
pub mod link;
pub mod model;
pub mod moto;
pub mod network;
pub mod node;
mod process;
pub mod redis_server;
pub mod reply_tree;
pub mod skew;
pub mod snapshot;
pub mod softhsm;
pub mod states;
pub mod tls;
pub mod tools;

pub use applications::{Application, ApplicationProgram};
pub use bao::Bao;
pub use chance::Chance;
pub use client::{Client, Reply};
pub use http_relay::{Behaviour, HttpRelay};
pub use lines::Lines;
pub use link::{Link, Silence};
pub use moto::Moto;
pub use network::Network;
pub use redis_server::{Builder, RedisServer, free_port};
pub use reply_tree::ReplyTree;
pub use skew::Skew;
pub use snapshot::{Snapshot, StoredRecord};
pub use states::{load_states, state_json, state_json_sized, state_name};
pub use tls::Certificates;
pub use tools::Flavor;
