//! The Redis store against real servers: Redis 7, Redis 6.2 and Valkey. The contract is covered by
//! the suite (`suite`); the other modules cover what only a remote server can do to a client.

mod access;
mod commands;
mod expiry;
mod faults;
mod limits;
mod neighbors;
mod secrecy;
mod streams;
mod suite;
mod swaps;
mod tls;

use std::future::Future;
use std::time::Duration;

use waxseal_stores::{
    Change, Expiry, Move, MoveOutcome, Outcome, RecordName, RecordStore, RedisOptions, RedisStore,
    Slot, StoreError, StoreUrl,
};
use waxseal_testing::{Flavor, RedisServer};

/// Far longer than any call may take: a call that has not returned by then hangs.
const CALL_TIMEOUT: Duration = Duration::from_secs(60);

/// Limits that let a test encounter a failure soon, and are still long for a server on this
/// machine.
fn short_limits() -> RedisOptions {
    RedisOptions {
        connect_timeout: Duration::from_secs(2),
        response_timeout: Duration::from_secs(2),
        retries: 1,
        first_pause: Duration::from_millis(10),
    }
}

/// For a server that answers: a busy machine may take seconds to do so.
fn generous_limits() -> RedisOptions {
    RedisOptions {
        connect_timeout: Duration::from_secs(60),
        response_timeout: Duration::from_secs(60),
        ..short_limits()
    }
}

pub(crate) fn server(flavor: Flavor) -> RedisServer {
    RedisServer::builder().flavor(flavor).start()
}

async fn try_connect(url: &str, options: RedisOptions) -> Result<RedisStore, StoreError> {
    let StoreUrl::Redis(url) = StoreUrl::parse(url).expect("the URL can be read") else {
        panic!("the URL is one of a Redis server");
    };
    in_time(RedisStore::connect(&url, options)).await
}

pub(crate) async fn connect(server: &RedisServer) -> RedisStore {
    let connected = try_connect(&server.url(), generous_limits()).await;
    connected.expect("the server is there")
}

/// The error of a refused connection.
async fn refusal(url: &str) -> StoreError {
    let connected = try_connect(url, short_limits()).await;
    connected.err().expect("the server must not let this in")
}

/// Awaits a call that must return, whatever its result.
async fn in_time<T>(call: impl Future<Output = T>) -> T {
    let ended = tokio::time::timeout(CALL_TIMEOUT, call).await;
    ended.expect("no call of a store hangs")
}

/// Repeats a call until it succeeds: a store reconnects on its own, but not at once.
async fn retry_until_ok<T, F: Future<Output = Result<T, StoreError>>>(call: impl Fn() -> F) -> T {
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
    let put = store
        .put(name, &Slot::Whole, value, Expiry::Persistent)
        .await;
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

/// Records of every type, and every call that writes one: each on its own record or slot.
struct Prepared {
    whole: RecordName,
    hash: RecordName,
    list: RecordName,
    absent: RecordName,
}

impl Prepared {
    /// The number of records created.
    const COUNT: u64 = 6;

    /// Creates the records through a separate client.
    fn new(server: &RedisServer) -> Self {
        let mut client = server.client();
        for name in ["wa:whole", "wa:moving", "wa:hourly", "wa:put"] {
            client.cmd(&["SET", name, "old", "PX", "3600000"]);
        }
        client.cmd(&["HSET", "wa:hash", "swapped", "old", "put", "old"]);
        client.cmd(&["RPUSH", "wa:list", "old", "old"]);
        Self {
            whole: "wa:whole".into(),
            hash: "wa:hash".into(),
            list: "wa:list".into(),
            absent: "wa:absent".into(),
        }
    }

    /// Makes all the calls, and returns for each whether it wrote.
    async fn write(&self, store: &RedisStore) -> Vec<(&'static str, Result<bool, StoreError>)> {
        let swap = async |name, slot, expected, expiry| {
            let change = Change {
                name,
                slot,
                expected,
                value: b"new",
                expiry,
            };
            let outcomes = store.replace_if_unchanged(&[change]).await?;
            Ok(outcomes == [Outcome::Done])
        };
        let put = async |name, slot| {
            let put = store.put(name, slot, b"new", Expiry::Keep).await;
            put.map(|()| true)
        };
        let (moving, moved_to) = ("wa:moving".into(), "wa:moved".into());
        let moved = store.move_if_unchanged(Move {
            from: &moving,
            expected: b"old",
            to: &moved_to,
            value: b"new",
            expiry: Expiry::Keep,
        });
        let moved = moved.await.map(|moved| moved == MoveOutcome::Done);
        let (old, keep) = (Some(&b"old"[..]), Expiry::Keep);
        let hour = Expiry::After(Duration::from_secs(3600));
        let (whole, hourly) = (&Slot::Whole, &"wa:hourly".into());
        let [swapped, written] = ["swapped", "put"].map(|field| Slot::Field(field.into()));
        let [first, second] = [0, 1].map(Slot::Element);
        vec![
            ("move", moved),
            ("create", swap(&self.absent, whole, None, keep).await),
            ("swap", swap(&self.whole, whole, old, keep).await),
            ("swap for an hour", swap(hourly, whole, old, hour).await),
            ("swap a field", swap(&self.hash, &swapped, old, keep).await),
            ("swap an element", swap(&self.list, &first, old, keep).await),
            ("put", put(&"wa:put".into(), whole).await),
            ("put a field", put(&self.hash, &written).await),
            ("put an element", put(&self.list, &second).await),
        ]
    }
}
