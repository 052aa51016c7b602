//! Sets, sorted sets and streams of the library, on a real server.

use waxseal_core::{Binding, Keyring, OpenError, Sealer};
use waxseal_keys::{Change, DocumentFormat};
use waxseal_sessions::{OnRefused, StateError};
use waxseal_stores::{MemoryStore, StoreError};
use waxseal_testing::{RedisServer, Reply};

use crate::rings::Shared;
use crate::*;

const MARIA: &[u8] = b"maria@example.com";
const SEALING: &str = "6c1f0a5be2d94738a1c05f3e7b9d2846f0e1d2c3b4a5968778695a4b3c2d1e0f";
const PREVIOUS: &str = "1c1f0a5be2d94738a1c05f3e7b9d2846f0e1d2c3b4a5968778695a4b3c2d1e0f";

/// The stored members of a set.
fn stored(server: &RedisServer, set: &str) -> Vec<Vec<u8>> {
    let members = server.client().cmd(&["SMEMBERS", set]).array();
    members.into_iter().filter_map(Reply::bytes).collect()
}

/// A sealer under the sealing key that these tests had before.
fn older() -> Sealer {
    let keyring = Keyring::from_hex(PREVIOUS, "").unwrap();
    Sealer::new(Arc::new(keyring), Mode::On, Format::Sealed)
}

async fn start(server: &RedisServer, mode: Mode) -> StateManager {
    let keyring = Arc::new(Keyring::from_hex(SEALING, PREVIOUS).unwrap());
    let sealer = Sealer::new(keyring, mode, Format::Sealed);
    let states = StateManager::start(connect(server).await, sealer, Options::default());
    states.await.unwrap()
}

#[tokio::test]
async fn members_of_a_set_are_sealed_and_found_in_every_form() {
    let server = RedisServer::start();
    let states = start(&server, Mode::On).await;
    let sets = states.collections().unwrap();
    // Of an application before Waxseal, and under the key before.
    server.cli(&["SADD", "wa:online", "maria@example.com"]);
    let place = Binding::member(b"wa:online");
    let old = older().seal(b"juan", place).unwrap();
    let add = [&b"SADD"[..], b"wa:online", &old];
    assert_eq!(server.client().cmd(&add).int(), 1);
    for member in [MARIA, b"juan"] {
        assert!(sets.contains("online", member).await.unwrap());
        assert!(!sets.add("online", member).await.unwrap());
    }
    assert!(sets.add("online", b"").await.unwrap());
    let all = stored(&server, "wa:online");
    assert_eq!(all.len(), 3);
    for member in &all {
        assert!(member.starts_with(&[0xF5, 0x57]) && *member != old);
    }
    let members = sets.members("online").await.unwrap();
    assert_eq!(members, [&b""[..], b"juan", MARIA]);
    assert!(sets.remove("online", MARIA).await.unwrap());
    assert!(!sets.remove("online", MARIA).await.unwrap());
    assert!(!sets.contains("online", MARIA).await.unwrap());
}

#[tokio::test]
async fn members_of_a_sorted_set_have_one_score() {
    let server = RedisServer::start();
    let states = start(&server, Mode::On).await;
    let sets = states.collections().unwrap();
    server.cli(&["ZADD", "wa:waiting", "7.5", "maria@example.com"]);
    assert_eq!(sets.score("waiting", MARIA).await.unwrap(), Some(7.5));
    assert!(!sets.add_scored("waiting", MARIA, 0.1).await.unwrap());
    assert!(sets.add_scored("waiting", b"juan", -1e300).await.unwrap());
    assert_eq!(sets.score("waiting", MARIA).await.unwrap(), Some(0.1));
    assert_eq!(sets.score("waiting", b"nobody").await.unwrap(), None);
    let range = sets.range("waiting", (0, -1)).await.unwrap();
    assert_eq!(range, [(b"juan".to_vec(), -1e300), (MARIA.to_vec(), 0.1)]);
    let plain = server.client().cmd(&["ZSCORE", "wa:waiting", "juan"]);
    assert_eq!(plain.bytes(), None);
    assert!(sets.remove_scored("waiting", b"juan").await.unwrap());
    assert_eq!(sets.members("waiting").await.unwrap(), [MARIA]);
}

#[tokio::test]
async fn values_of_a_stream_are_sealed_and_come_back_in_order() {
    let server = RedisServer::start();
    let states = start(&server, Mode::Required).await;
    let streams = states.collections().unwrap();
    let mut ids = Vec::new();
    for n in 0..20_u8 {
        let fields = [(&b"name"[..], MARIA), (b"n", &[n][..])];
        ids.push(streams.append("events", &fields, Some(100)).await.unwrap());
    }
    let dump = server.snapshot().get("wa:events").unwrap().dump.clone();
    assert!(!dump.windows(MARIA.len()).any(|bytes| bytes == MARIA));
    let first = streams.entries("events", None, 5).await.unwrap();
    assert_eq!(first.len(), 5);
    let after = Some(ids[4].as_str());
    let others = streams.entries("events", after, 100).await.unwrap();
    assert_eq!(others.len(), 15);
    assert_eq!(others[0].id, ids[5]);
    let fields = [(b"name".to_vec(), MARIA.to_vec()), (b"n".to_vec(), vec![5])];
    assert_eq!(others[0].fields, fields);
    assert!(streams.delete_entry("events", &ids[5]).await.unwrap());
    assert!(!streams.delete_entry("events", &ids[5]).await.unwrap());
}

async fn start_with(server: &RedisServer, on_refused: OnRefused) -> StateManager {
    let keyring = Arc::new(Keyring::from_hex(SEALING, PREVIOUS).unwrap());
    let sealer = Sealer::new(keyring, Mode::On, Format::Sealed);
    let options = Options::default().on_refused(on_refused);
    let states = StateManager::start(connect(server).await, sealer, options);
    states.await.unwrap()
}

/// Plants a member of another set.
async fn plant(
    states: &StateManager,
    server: &RedisServer,
    add: &[&[u8]],
    member: &[u8],
) -> Vec<u8> {
    let sets = states.collections().unwrap();
    sets.add("elsewhere", member).await.unwrap();
    let moved = stored(server, "wa:elsewhere").remove(0);
    sets.remove("elsewhere", member).await.unwrap();
    assert_eq!(server.client().cmd(&[add, &[&moved]].concat()).int(), 1);
    moved
}

#[tokio::test]
async fn a_member_that_does_not_open_is_left_out_or_an_error_and_stays() {
    for on_refused in [OnRefused::Quarantine, OnRefused::Absent, OnRefused::Error] {
        let server = RedisServer::start();
        let states = start_with(&server, on_refused).await;
        let sets = states.collections().unwrap();
        sets.add("one", MARIA).await.unwrap();
        sets.add_scored("line", MARIA, 1.5).await.unwrap();
        let moved = plant(&states, &server, &[b"SADD", b"wa:one"], b"juan").await;
        plant(&states, &server, &[b"ZADD", b"wa:line", b"1"], b"ana").await;
        // Again and again: it is one failure.
        for _ in 0..10 {
            let (members, line) = (sets.members("one").await, sets.range("line", (0, -1)).await);
            if on_refused == OnRefused::Error {
                for error in [members.unwrap_err(), line.unwrap_err()] {
                    let StateError::Open { record, error } = error else {
                        panic!("not {error}");
                    };
                    assert_eq!(error, OpenError::Refused);
                    assert!(record.starts_with("wa:#"), "{record}");
                }
                continue;
            }
            assert_eq!(members.unwrap(), [MARIA]);
            assert_eq!(line.unwrap(), [(MARIA.to_vec(), 1.5)]);
        }
        assert!(stored(&server, "wa:one").contains(&moved));
        assert_eq!(server.cli(&["ZCARD", "wa:line"]), "2");
        assert_eq!(server.cli(&["KEYS", "waxseal:quarantine:*"]), "");
    }
}

#[tokio::test]
async fn a_value_of_an_entry_that_does_not_open_keeps_no_other_from_being_read() {
    for on_refused in [OnRefused::Quarantine, OnRefused::Error] {
        let server = RedisServer::start();
        let states = start_with(&server, on_refused).await;
        let streams = states.collections().unwrap();
        let fields: [(&[u8], &[u8]); 2] = [(b"name", MARIA), (b"n", b"1")];
        let first = streams.append("events", &fields, None).await.unwrap();
        // One value under the field of the other one.
        let entry = server.client().cmd(&["XRANGE", "wa:events", "-", "+"]);
        let value = entry.array().remove(0).array().remove(1).array().remove(1);
        let value = value.bytes().unwrap();
        let good = server.client().cmd(&["XRANGE", "wa:events", "-", "+"]);
        let good = good.array().remove(0).array().remove(1).array().remove(3);
        let good = good.bytes().unwrap();
        let add = [
            &b"XADD"[..],
            b"wa:events",
            b"*",
            b"other",
            &value,
            b"n",
            &good,
        ];
        let second = server.client().cmd(&add).to_text();
        streams.append("events", &fields, None).await.unwrap();
        for _ in 0..10 {
            let entries = streams.entries("events", None, 10).await;
            if on_refused == OnRefused::Error {
                assert!(
                    matches!(entries, Err(StateError::Open { .. })),
                    "{entries:?}"
                );
                continue;
            }
            let entries = entries.unwrap();
            let ids: Vec<_> = entries.iter().map(|it| it.id.as_str()).collect();
            assert_eq!(ids[..2], [&first, &second]);
            assert_eq!(entries[1].fields, [(b"n".to_vec(), b"1".to_vec())]);
            assert_eq!(entries[2].fields.len(), 2);
        }
        assert_eq!(server.cli(&["XLEN", "wa:events"]), "3");
    }
}

#[tokio::test]
async fn where_many_members_do_not_open_the_key_is_doubted_and_none_is_left_out() {
    let server = RedisServer::start();
    let states = start_with(&server, OnRefused::Quarantine).await;
    let sets = states.collections().unwrap();
    for member in 0..6_u8 {
        plant(&states, &server, &[b"SADD", b"wa:one"], &[member]).await;
    }
    let error = sets.members("one").await.unwrap_err();
    assert!(matches!(error, StateError::Open { .. }), "{error}");
    assert_eq!(stored(&server, "wa:one").len(), 6);
}

#[tokio::test]
async fn members_are_not_sealed_under_a_ring_that_former_versions_read() {
    let (server, shared) = (RedisServer::start(), Shared::default());
    let process = shared.first().await;
    let store = connect(&server).await;
    let states = process.start(store, process.of_users()).await.unwrap();
    let sets = states.collections().unwrap();
    let added = sets.add(USER, MARIA).await;
    let Err(StateError::Seal(error)) = added else {
        panic!("a ring of format 1 seals no members");
    };
    assert!(error.to_string().contains("format 2"), "{error}");
    assert!(stored(&server, &format!("wa:{USER}")).is_empty());
}

#[tokio::test]
async fn a_store_that_cannot_hold_them_says_so() {
    let sealer = usual_sealer();
    let store = Arc::new(MemoryStore::default());
    let states = StateManager::start(store, sealer, Options::default());
    let states = states.await.unwrap();
    let error = states.collections().err().expect("it cannot");
    let StateError::Store(StoreError::Unsupported { .. }) = error else {
        panic!("not {error}");
    };
}

#[tokio::test]
async fn members_under_a_key_of_a_user_are_found_under_an_excepted_name() {
    let (server, shared) = (RedisServer::start(), Shared::default());
    let process = shared.first().await;
    let format_2 = Change::Format {
        to: DocumentFormat::V2,
        force: true,
    };
    process.ring.change(&format_2).await.unwrap();
    let before = process.start(connect(&server).await, process.of_users());
    let before = before.await.unwrap();
    let sets = before.collections().unwrap();
    assert!(sets.add(USER, MARIA).await.unwrap());
    assert!(sets.add_scored("7", MARIA, 1.5).await.unwrap());
    let options = process.of_users().except(["wa:5*", "wa:7"]);
    let states = process.start(connect(&server).await, options);
    let states = states.await.unwrap();
    let sets = states.collections().unwrap();
    assert!(sets.contains(USER, MARIA).await.unwrap());
    assert_eq!(sets.score("7", MARIA).await.unwrap(), Some(1.5));
    // Written as configured now, in one form.
    assert!(!sets.add(USER, MARIA).await.unwrap());
    assert_eq!(stored(&server, NAME), [MARIA]);
    assert!(!sets.contains(USER, b"juan").await.unwrap());
}
