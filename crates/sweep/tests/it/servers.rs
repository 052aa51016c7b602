//! Sweeps on real servers: writes of other clients meanwhile, parts that must not change, and names
//! that a scan returns twice.

mod kept;
mod large;
mod live;
mod members;
mod refused;
mod scans;
mod streams;
mod users;

use std::sync::Arc;

use waxseal_core::{Binding, Format};
use waxseal_stores::{RedisOptions, RedisStore, StoreUrl};
use waxseal_testing::{Flavor, RedisServer};

use super::sealer;

fn server(flavor: Flavor) -> RedisServer {
    RedisServer::builder().flavor(flavor).start()
}

async fn connect(server: &RedisServer) -> Arc<RedisStore> {
    let StoreUrl::Redis(url) = StoreUrl::parse(&server.url()).expect("a URL") else {
        panic!("the URL is one of a Redis server");
    };
    let store = RedisStore::connect(&url, RedisOptions::default()).await;
    Arc::new(store.expect("the server is there"))
}

/// Commands that all succeed.
#[track_caller]
fn send<A: AsRef<[u8]>>(server: &RedisServer, commands: &[Vec<A>]) {
    for reply in server.client().pipeline(commands) {
        assert_eq!(reply.error(), None);
    }
}

/// Plain string records `wa:0` and on.
fn fill(server: &RedisServer, count: u64) {
    let set = |i| {
        vec![
            "SET".to_owned(),
            format!("wa:{i}"),
            format!("{{\"record\":{i}}}"),
        ]
    };
    send(server, &(0..count).map(set).collect::<Vec<_>>());
}

fn is_sealed(stored: &[u8]) -> bool {
    stored.starts_with(&[0xF5, 0x57])
}

/// Opens the stored bytes of a place, sealed or plain.
#[track_caller]
fn open(stored: &[u8], place: Binding<'_>) -> Vec<u8> {
    let opened = sealer(Format::Sealed).open(stored, place);
    opened
        .expect("it opens")
        .expect("not empty")
        .value
        .into_owned()
}
