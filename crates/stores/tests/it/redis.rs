//! The Redis store against real servers: Redis 7, Redis 6.2 and Valkey. That it keeps the contract
//! is the suite's business (`suite`); the rest is what only a server far away can do to a client.

mod access;
mod expiry;
mod faults;
mod limits;
mod secrecy;
mod suite;
mod swaps;
mod tls;

use std::future::Future;
use std::time::Duration;

use waxseal_stores::{
    Change, Expiry, Outcome, RecordName, RecordStore, RedisOptions, RedisStore, Slot, StoreError,
    StoreUrl,
};
use waxseal_testing::{Flavor, RedisServer};

/// Far longer than any call may take: a call that has not come back by then hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// Limits that let a test meet a failure soon, and are still long for a server on this machine.
fn short_limits() -> RedisOptions {
    RedisOptions {
        connect_timeout: Duration::from_secs(2),
        response_timeout: Duration::from_secs(2),
        retries: 1,
        first_pause: Duration::from_millis(10),
    }
}

fn server(flavor: Flavor) -> RedisServer {
    RedisServer::builder().flavor(flavor).start()
}

async fn try_connect(url: &str, options: RedisOptions) -> Result<RedisStore, StoreError> {
    let StoreUrl::Redis(url) = StoreUrl::parse(url).expect("the URL can be read") else {
        panic!("the URL is one of a Redis server");
    };
    in_time(RedisStore::connect(&url, options)).await
}

async fn connect(server: &RedisServer) -> RedisStore {
    let connected = try_connect(&server.url(), RedisOptions::default()).await;
    connected.expect("the server is there")
}

/// Why a connection is refused.
async fn refusal(url: &str) -> StoreError {
    let connected = try_connect(url, short_limits()).await;
    connected.err().expect("the server must not let this in")
}

/// A call that comes back, whatever it says.
async fn in_time<T>(call: impl Future<Output = T>) -> T {
    let ended = tokio::time::timeout(PATIENCE, call).await;
    ended.expect("no call of a store hangs")
}

/// Repeats a call until it succeeds: a store comes back by itself, but not at once.
async fn at_last<T, F: Future<Output = Result<T, StoreError>>>(call: impl Fn() -> F) -> T {
    let tries = async {
        loop {
            match call().await {
                Ok(answer) => return answer,
                Err(error) if error.is_transient() => {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                Err(error) => panic!("not a failure that passes by: {error}"),
            }
        }
    };
    in_time(tries).await
}

async fn put(store: &RedisStore, name: &RecordName, value: &[u8]) {
    let put = store.put(name, &Slot::Whole, value, Expiry::Never).await;
    assert_eq!(put, Ok(()));
}

async fn get(store: &RedisStore, name: &RecordName) -> Option<Vec<u8>> {
    let got = store.get(name, &Slot::Whole).await;
    got.expect("a string record can be read")
}

/// The change of a whole record that keeps its expiry.
fn swap<'a>(name: &'a RecordName, expected: &'a [u8], value: &'a [u8]) -> Change<'a> {
    Change {
        name,
        slot: &Slot::Whole,
        expected: Some(expected),
        value,
        expiry: Expiry::Keep,
    }
}

async fn swap_one(
    store: &RedisStore,
    name: &RecordName,
    expected: &[u8],
    value: &[u8],
) -> Result<Outcome, StoreError> {
    let outcomes = store
        .replace_if_unchanged(&[swap(name, expected, value)])
        .await?;
    assert_eq!(outcomes.len(), 1);
    Ok(outcomes[0])
}

fn is_unavailable<T>(answer: &Result<T, StoreError>) -> bool {
    matches!(answer, Err(StoreError::Unavailable { .. }))
}

/// Every call that changes something, each on a record of its own, and what it came to. For servers
/// that refuse changes: with [`Prepared::new`] all of them would succeed.
struct Prepared {
    whole: RecordName,
    hash: RecordName,
    list: RecordName,
    absent: RecordName,
}

impl Prepared {
    /// Makes the records through a client of their own.
    fn new(server: &RedisServer) -> Self {
        let mut client = server.client();
        client.cmd(&["SET", "wa:whole", "old", "PX", "3600000"]);
        client.cmd(&["HSET", "wa:hash", "field", "old"]);
        client.cmd(&["RPUSH", "wa:list", "old"]);
        let name = |text: &str| RecordName::from(text);
        Self {
            whole: name("wa:whole"),
            hash: name("wa:hash"),
            list: name("wa:list"),
            absent: name("wa:absent"),
        }
    }

    /// All calls that write a value, by name.
    async fn write(&self, store: &RedisStore) -> Vec<(&'static str, Result<(), StoreError>)> {
        let field = Slot::Field(b"field".to_vec());
        let element = Slot::Element(0);
        let put = async |name, slot| store.put(name, slot, b"new", Expiry::Keep).await;
        let change = async |name, slot, expected, expiry| {
            let change = Change {
                name,
                slot,
                expected,
                value: b"new",
                expiry,
            };
            store.replace_if_unchanged(&[change]).await.map(drop)
        };
        let (old, hour) = (Some(&b"old"[..]), Expiry::After(Duration::from_secs(3600)));
        let moved = store.move_if_unchanged(waxseal_stores::Move {
            from: &self.whole,
            expected: b"old",
            to: &self.absent,
            value: b"new",
            expiry: Expiry::Keep,
        });
        vec![
            ("move", moved.await.map(drop)),
            (
                "create",
                change(&self.absent, &Slot::Whole, None, Expiry::Keep).await,
            ),
            (
                "swap",
                change(&self.whole, &Slot::Whole, old, Expiry::Keep).await,
            ),
            (
                "swap for an hour",
                change(&self.whole, &Slot::Whole, old, hour).await,
            ),
            (
                "swap a field",
                change(&self.hash, &field, old, Expiry::Keep).await,
            ),
            (
                "swap an element",
                change(&self.list, &element, old, Expiry::Keep).await,
            ),
            ("put", put(&self.whole, &Slot::Whole).await),
            ("put a field", put(&self.hash, &field).await),
            ("put an element", put(&self.list, &element).await),
        ]
    }
}
