//! Records in a server, written and checked without the program under test; and envelopes sealed and
//! opened in this process.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use waxseal_core::{Binding, Form, Format, Keyring, Mode, Sealer, SecretKey};
use waxseal_testing::{RedisServer, Reply, load_states, state_json, state_name};

use crate::program::KEY;

/// The record of a user, for tests with one record.
pub(crate) const NAME: &str = "wa:5215512345678";
/// A state for it.
pub(crate) const STATE: &str =
    r#"{"status":"showing_menu","data":{"domicilio":"Calle de la Ilusión 7"}}"#;

const HOUR: Duration = Duration::from_secs(3600);

/// A server with this many plain states.
pub(crate) fn server_with_states(count: u64) -> RedisServer {
    let server = RedisServer::start();
    load_states(&server, count, HOUR);
    server
}

/// An envelope as another process would have written it.
pub(crate) fn sealed(key: &str, format: Format, name: &str, value: &[u8]) -> Vec<u8> {
    let binding = Binding::record(name.as_bytes());
    sealer(key, format).seal(value, binding).unwrap()
}

pub(crate) fn sealer(key: &str, format: Format) -> Sealer {
    let keyring = Arc::new(Keyring::from_hex(key, "").unwrap());
    Sealer::new(keyring, Mode::On, format)
}

/// The value in an envelope, and its format. `None` if it is not an envelope, or does not open.
pub(crate) fn opened(key: &str, name: &str, stored: &[u8]) -> Option<(Format, Vec<u8>)> {
    let sealer = sealer(key, Format::Sealed);
    let opened = sealer.open(stored, Binding::record(name.as_bytes()));
    let opened = opened.ok().flatten()?;
    let format = match opened.form {
        Form::Plain => return None,
        Form::Classic { .. } => Format::Classic,
        Form::Sealed { .. } => Format::Sealed,
    };
    Some((format, opened.value.into_owned()))
}

/// Writes a record that lives for an hour.
pub(crate) fn put(server: &RedisServer, name: &str, value: &[u8]) {
    let reply = server
        .client()
        .cmd(&[b"SET", name.as_bytes(), value, b"EX", b"3600"]);
    assert_eq!(reply.to_text(), "OK");
}

pub(crate) fn get(server: &RedisServer, name: &str) -> Option<Vec<u8>> {
    server.client().cmd(&["GET", name]).bytes()
}

/// The stored values of the first states.
pub(crate) fn stored_states(server: &RedisServer, count: u64) -> Vec<Option<Vec<u8>>> {
    let commands: Vec<_> = (0..count)
        .map(|i| ["GET".to_owned(), state_name(i)])
        .collect();
    let replies = server.client().pipeline(&commands);
    replies.into_iter().map(Reply::bytes).collect()
}

/// The number of states that are sealed now, estimated from some of them.
pub(crate) fn share_sealed(server: &RedisServer, count: u64) -> f64 {
    let step = usize::try_from(count / 100).unwrap().max(1);
    let names: Vec<_> = (0..count).step_by(step).map(state_name).collect();
    let mut command = vec!["MGET".to_owned()];
    command.extend(names.iter().cloned());
    let stored = server.client().cmd(&command).array();
    let sealed = stored
        .into_iter()
        .filter_map(Reply::bytes)
        .filter(|stored| !stored.starts_with(b"{"));
    sealed.count() as f64 / names.len() as f64
}

/// Fails unless every state is sealed under this key, once, and opens to its plaintext.
#[track_caller]
pub(crate) fn assert_states_sealed(server: &RedisServer, count: u64, key: &str, format: Format) {
    for (i, stored) in (0..count).zip(stored_states(server, count)) {
        let stored = stored.unwrap_or_else(|| panic!("state {i} is gone"));
        let opened = opened(key, &state_name(i), &stored);
        let expected = Some((format, state_json(i).into_bytes()));
        assert!(opened == expected, "state {i} is not what it was");
    }
}

/// Fails unless every state is unchanged, or sealed once under the usual key.
#[track_caller]
pub(crate) fn assert_states_unharmed(server: &RedisServer, count: u64) {
    for (i, stored) in (0..count).zip(stored_states(server, count)) {
        let (stored, expected) = (stored.expect("it is there"), state_json(i).into_bytes());
        let opened = opened(KEY, &state_name(i), &stored);
        let value = opened.map_or(stored, |(_, value)| value);
        assert!(value == expected, "state {i} is not what it was");
    }
}

/// The expiry of each record in milliseconds, without Waxseal's own records.
pub(crate) fn expiries(server: &RedisServer) -> BTreeMap<Vec<u8>, Option<i64>> {
    let snapshot = server.snapshot();
    let records = snapshot.records().iter();
    records
        .filter(|(name, _)| !name.starts_with(b"waxseal:"))
        .map(|(name, record)| (name.clone(), record.expires_at_ms))
        .collect()
}

/// A key in the form that Node uses.
pub(crate) fn key_bytes(hex: &str) -> [u8; 32] {
    std::array::from_fn(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap())
}

/// The name of a key in texts.
pub(crate) fn key_id(hex: &str) -> String {
    SecretKey::from_hex(hex).ok().unwrap().id().to_string()
}
