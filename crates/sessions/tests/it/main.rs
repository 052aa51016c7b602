//! Sessions over real servers, and over the store in memory if the store does not matter.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::{Debug, Write as _};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use waxseal_core::{Binding, Format, Keyring, Mode, Sealer, SecretKey};
use waxseal_sessions::{GuardError, Options, StateManager};
use waxseal_stores::{RedisOptions, RedisStore, StoreUrl};
use waxseal_testing::{Client, RedisServer};

#[cfg(feature = "actix-session")]
mod actix;
mod collections;
mod decoys;
mod excepts;
mod guards;
mod logs;
mod manager;
mod mass_failure;
mod metrics;
mod names;
mod outage;
mod quarantine;
mod read_only;
mod right_key;
mod rings;
mod sealed_values;
#[cfg(feature = "tower-sessions")]
mod tower;
mod users;
mod versions;

const KEY: [u8; 32] = *b"\x6c\x1f\x0a\x5b\xe2\xd9\x47\x38\xa1\xc0\x5f\x3e\x7b\x9d\x28\x46\
    \xf0\xe1\xd2\xc3\xb4\xa5\x96\x87\x78\x69\x5a\x4b\x3c\x2d\x1e\x0f";
const OTHER_KEY: [u8; 32] = *b"\x01\x33\x57\x9b\xdf\x02\x46\x8a\xce\x13\x24\x35\x46\x57\x68\x79\
    \x8a\x9b\xac\xbd\xce\xdf\xe0\xf1\x12\x23\x34\x45\x56\x67\x78\x89";
/// Part of every state; it must not appear anywhere else.
const MARK: &str = "MUJD900101-mark";
const USER: &str = "5215512345678";
const NAME: &str = "wa:5215512345678";

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct State {
    status: String,
    data: BTreeMap<String, String>,
}

fn state(status: &str) -> State {
    let data = BTreeMap::from([("curp_rfc".to_owned(), MARK.to_owned())]);
    State {
        status: status.to_owned(),
        data,
    }
}

fn state_json(status: &str) -> Vec<u8> {
    serde_json::to_vec(&state(status)).unwrap()
}

fn keyring(key: &[u8; 32]) -> Keyring {
    Keyring::new(SecretKey::from_bytes(key).unwrap()).unwrap()
}

fn sealer(key: &[u8; 32], mode: Mode, format: Format) -> Sealer {
    Sealer::new(Arc::new(keyring(key)), mode, format)
}

fn usual_sealer() -> Sealer {
    sealer(&KEY, Mode::On, Format::Sealed)
}

/// An envelope under a key, as another process would have written it.
fn sealed(key: &[u8; 32], format: Format, name: &str, value: &[u8]) -> Vec<u8> {
    sealer(key, Mode::On, format)
        .seal(value, Binding::record(name.as_bytes()))
        .unwrap()
}

async fn connect(server: &RedisServer) -> Arc<RedisStore> {
    connect_with(&server.url(), RedisOptions::default()).await
}

async fn connect_with(url: &str, options: RedisOptions) -> Arc<RedisStore> {
    let StoreUrl::Redis(url) = StoreUrl::parse(url).unwrap() else {
        panic!("not a server")
    };
    Arc::new(RedisStore::connect(&url, options).await.unwrap())
}

async fn start(server: &RedisServer, sealer: Sealer) -> Result<StateManager, GuardError> {
    StateManager::start(connect(server).await, sealer, Options::default()).await
}

fn put(client: &mut Client, name: &str, value: &[u8]) {
    let reply = client.cmd(&[b"SET", name.as_bytes(), value, b"EX", b"3600"]);
    assert_eq!(reply.to_text(), "OK");
}

fn get(client: &mut Client, name: &str) -> Option<Vec<u8>> {
    client.cmd(&["GET", name]).bytes()
}

/// When a record expires, in milliseconds since the Unix epoch.
fn expires_at(client: &mut Client, name: &str) -> u64 {
    u64::try_from(client.cmd(&["PEXPIRETIME", name]).int()).expect("it expires")
}

/// The server's own clock, in milliseconds since the Unix epoch.
fn server_time(client: &mut Client) -> u64 {
    let parts = client.cmd(&["TIME"]).array();
    let number = |index: usize| parts[index].to_text().parse::<u64>().unwrap();
    number(0) * 1000 + number(1) / 1000
}

fn contains(haystack: &[u8], needle: &str) -> bool {
    haystack
        .windows(needle.len())
        .any(|window| window == needle.as_bytes())
}

/// Returns true if a text is anywhere in a server: in a name or in the `DUMP` of a record. The
/// server must not compress its dumps.
fn is_stored_in(server: &RedisServer, text: &str) -> bool {
    let compression = server.cli(&["CONFIG", "GET", "rdbcompression"]);
    assert_eq!(compression, "rdbcompression\nno");
    let snapshot = server.snapshot();
    let mut records = snapshot.records().iter();
    records.any(|(name, record)| contains(name, text) || contains(&record.dump, text))
}

fn uncompressed_server() -> RedisServer {
    RedisServer::builder().arg("--rdbcompression", "no").start()
}

/// All texts of an error.
fn texts_of<E: Error + Debug>(error: &E) -> String {
    let mut texts = format!("{error}\n{error:?}\n{error:#?}\n");
    let mut source = error.source();
    while let Some(cause) = source {
        writeln!(texts, "{cause}\n{cause:?}").unwrap();
        source = cause.source();
    }
    texts
}

/// Fails if a text reveals a value, a record name or the key.
#[track_caller]
fn assert_reveals_nothing(text: &str) {
    let hex = waxseal_core::hex::encode(&KEY);
    for secret in [MARK, USER, NAME, &hex, &format!("{KEY:?}")] {
        assert!(
            !text.to_lowercase().contains(&secret.to_lowercase()),
            "{secret} in: {text}"
        );
    }
}

/// Fails work that takes longer than a minute: it hangs.
async fn within_a_minute<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), work)
        .await
        .expect("it hangs")
}
