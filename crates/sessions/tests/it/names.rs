//! Sealed names of records: the application goes on with those that it knows, and the store has none of them.

use waxseal_core::{EnvelopeVersion, PadNames};
use waxseal_keys::{Change, DocumentFormat, ProtectedScope, RecordNames, ScopeSettings};
use waxseal_sessions::quarantine::{self, Restored};
use waxseal_sessions::{NameFault, OnRefused, SealedNames};
use waxseal_stores::{MemoryStore, RecordStore};

use crate::rings::Shared;
use crate::*;

const MARIA: &[u8] = b"maria@example.com";

fn names(scope: &str) -> SealedNames {
    SealedNames {
        scope: scope.to_owned(),
        pad: PadNames::default(),
    }
}

fn options() -> Options {
    Options::default().names(names("wa:{user}"))
}

async fn start_named(server: &RedisServer) -> StateManager {
    let states = StateManager::start(connect(server).await, usual_sealer(), options());
    states.await.unwrap()
}

/// The stored names of the records under the prefix.
fn stored_names(server: &RedisServer) -> Vec<Vec<u8>> {
    let snapshot = server.snapshot().only(|name| name.starts_with(b"wa:"));
    snapshot.records().keys().cloned().collect()
}

#[tokio::test]
async fn states_are_used_by_their_names_and_stored_under_others() {
    let server = uncompressed_server();
    let states = start_named(&server).await;
    states.set(USER, &state("confirming")).await.unwrap();
    assert_eq!(states.get(USER).await.unwrap(), Some(state("confirming")));
    assert!(states.exists(USER).await.unwrap());
    let change = |_: Option<State>| Some(state("done"));
    states.update(USER, change).await.unwrap();
    let stored = stored_names(&server);
    assert_eq!(stored.len(), 1);
    assert!(stored[0].starts_with(b"wa:~9VcDE"));
    let collections = states.collections().unwrap();
    let set = format!("online:{USER}");
    assert!(collections.add(&set, MARIA).await.unwrap());
    assert!(collections.contains(&set, MARIA).await.unwrap());
    let waiting = format!("waiting:{USER}");
    assert!(collections.add_scored(&waiting, MARIA, 1.5).await.unwrap());
    assert_eq!(collections.score(&waiting, MARIA).await.unwrap(), Some(1.5));
    let ranked = collections.range(&waiting, (0, -1)).await.unwrap();
    assert_eq!(ranked, [(MARIA.to_vec(), 1.5)]);
    assert!(collections.remove_scored(&waiting, MARIA).await.unwrap());
    let stream = format!("events:{USER}");
    let fields: [(&[u8], &[u8]); 1] = [(b"kind", b"login")];
    let id = collections.append(&stream, &fields, None).await.unwrap();
    let entries = collections.entries(&stream, None, 10).await.unwrap();
    assert_eq!((entries.len(), &entries[0].id), (1, &id));
    // Another process finds what this one wrote.
    let other = start_named(&server).await;
    assert_eq!(other.get(USER).await.unwrap(), Some(state("done")));
    assert_eq!(
        other.collections().unwrap().members(&set).await.unwrap(),
        [MARIA]
    );
    assert!(!is_stored_in(&server, USER));
    assert!(collections.delete_entry(&stream, &id).await.unwrap());
    assert!(states.clear(USER).await.unwrap());
    assert_eq!(states.get::<State>(USER).await.unwrap(), None);
}

#[tokio::test]
async fn an_excepted_name_stays_in_clear() {
    let server = RedisServer::start();
    let options = options().except(["wa:*:lock"]);
    let states = StateManager::start(connect(&server).await, usual_sealer(), options);
    let states = states.await.unwrap();
    states.set("1", &state("confirming")).await.unwrap();
    states.set("1:lock", &state("confirming")).await.unwrap();
    let stored = stored_names(&server);
    assert_eq!(stored.len(), 2);
    assert!(stored.contains(&b"wa:1:lock".to_vec()));
}

#[tokio::test]
async fn a_prefix_of_a_wider_scope_has_the_names_of_the_scope() {
    let server = RedisServer::start();
    start_named(&server)
        .await
        .set("temp:1", &state("a"))
        .await
        .unwrap();
    let options = options().prefix("wa:temp:");
    let part = StateManager::start(connect(&server).await, usual_sealer(), options);
    let part = part.await.unwrap();
    assert_eq!(part.get("1").await.unwrap(), Some(state("a")));
    let options = Options::default().names(names("wa:temp:*"));
    let refused = StateManager::start(connect(&server).await, usual_sealer(), options).await;
    let refused = refused.err().unwrap();
    assert_eq!(
        refused.to_string(),
        "names are sealed as those of wa:temp:*, which does not have all records that begin with \"wa:\""
    );
}

#[tokio::test]
async fn a_damaged_state_in_quarantine_is_known_by_its_name_and_stored_under_another() {
    let server = uncompressed_server();
    let options = options().on_refused(OnRefused::Quarantine);
    let states = StateManager::start(connect(&server).await, usual_sealer(), options);
    let states = states.await.unwrap();
    states.set(USER, &state("confirming")).await.unwrap();
    states.set("2", &state("confirming")).await.unwrap();
    let stored = stored_names(&server);
    let mut client = server.client();
    for name in &stored {
        client.cmd(&[&b"SETRANGE"[..], name, b"70", b"damaged"]);
    }
    assert_eq!(states.get::<State>(USER).await.unwrap(), None);
    assert_eq!(states.get::<State>("2").await.unwrap(), None);
    assert!(!is_stored_in(&server, USER));
    let store = &**states.store();
    let entries = quarantine::list(store).await.unwrap();
    let of_user = entries
        .iter()
        .find(|it| it.record.as_bytes() == NAME.as_bytes());
    let of_user = of_user.unwrap();
    assert!(of_user.is_named);
    let restored = quarantine::restore(store, of_user, 0).await.unwrap();
    assert_eq!(restored, Restored::Done);
    assert!(!is_stored_in(&server, USER));
    let names = stored_names(&server);
    assert!(names.len() == 1 && stored.contains(&names[0]));
    let left = quarantine::list(store).await.unwrap();
    assert!(quarantine::discard(store, &left[0]).await.unwrap());

    // Without the key its name does not open, and nothing is restored under another one.
    assert_eq!(states.get::<State>(USER).await.unwrap(), None);
    let other = server
        .snapshot()
        .only(|name| name.starts_with(b"waxseal:quarantine:"));
    let name = other.records().keys().next().unwrap().clone();
    let mut forged = name.clone();
    forged[40] = if forged[40] == b'A' { b'B' } else { b'A' };
    client.cmd(&[&b"RENAME"[..], &name, &forged]);
    let entries = quarantine::list(store).await.unwrap();
    assert!(!entries[0].is_named && entries[0].record.as_bytes().starts_with(b"wa:~9VcDE"));
    let restored = quarantine::restore(store, &entries[0], 0).await.unwrap();
    assert_eq!(restored, Restored::Unnamed);
    assert!(quarantine::discard(store, &entries[0]).await.unwrap());
}

#[tokio::test]
async fn names_in_clear_and_under_other_keys_are_refused_at_the_start() {
    let server = RedisServer::start();
    let start = async |key: &[u8; 32]| {
        let sealer = sealer(key, Mode::On, Format::Sealed);
        StateManager::start(connect(&server).await, sealer, options()).await
    };
    start(&KEY)
        .await
        .unwrap()
        .set("1", &state("a"))
        .await
        .unwrap();
    // Without the canary the names alone tell that the key is another one.
    server.client().cmd(&["DEL", "waxseal:canary"]);
    let refused = start(&OTHER_KEY).await.err().unwrap();
    assert!(
        matches!(
            refused,
            GuardError::Names {
                count: 1,
                fault: NameFault::OtherKeys,
                ..
            }
        ),
        "{refused}"
    );
    assert!(server.snapshot().get("waxseal:canary").is_none());
    server.client().cmd(&["SET", "wa:2", "{}"]);
    let refused = start(&KEY).await.err().unwrap();
    assert!(
        matches!(
            refused,
            GuardError::Names {
                count: 1,
                fault: NameFault::InClear,
                ..
            }
        ),
        "{refused}"
    );
    server.client().cmd(&["DEL", "wa:2"]);
    assert!(start(&KEY).await.is_ok());
    let padded = Options::default().names(SealedNames {
        pad: PadNames::new(16).unwrap(),
        ..names("wa:{user}")
    });
    let refused = StateManager::start(connect(&server).await, usual_sealer(), padded).await;
    let refused = refused.err().unwrap();
    assert!(
        matches!(
            refused,
            GuardError::Names {
                fault: NameFault::OtherKeys,
                ..
            }
        ),
        "{refused}"
    );
    let both = waxseal_core::hex::encode(&OTHER_KEY);
    let both = Keyring::from_hex(&both, &waxseal_core::hex::encode(&KEY)).unwrap();
    let both = Sealer::new(Arc::new(both), Mode::On, Format::Sealed);
    let refused = StateManager::start(connect(&server).await, both, options()).await;
    let refused = refused.err().unwrap();
    assert!(
        matches!(
            refused,
            GuardError::Names {
                count: 1,
                fault: NameFault::FormerKey,
                ..
            }
        ),
        "{refused}"
    );
}

#[tokio::test]
async fn names_are_stored_as_the_ring_records_or_nothing_starts() {
    let shared = Shared::default();
    let process = shared.first().await;
    let store = Arc::new(MemoryStore::default());
    let start = async |options: Options| {
        let options = options.ring(process.ring.clone());
        StateManager::start(store.clone(), process.sealer(Format::Sealed), options).await
    };
    let refused = start(options()).await.err().unwrap();
    assert!(refused.to_string().contains("needs format 2"), "{refused}");
    let format_2 = Change::Format {
        to: DocumentFormat::V2,
        force: true,
    };
    process.ring.change(&format_2).await.unwrap();
    start(options()).await.unwrap();
    let scope = |names, pad_names| {
        let settings = ScopeSettings {
            names,
            pad_names,
            ..ScopeSettings::default()
        };
        ProtectedScope::new(store.location(), "wa:{user}").with_settings(settings)
    };
    let write_version = Change::Envelopes {
        write: EnvelopeVersion::V3,
        accept: EnvelopeVersion::V2,
        force: true,
    };
    process.ring.change(&write_version).await.unwrap();
    let sealed = Change::Register(vec![scope(RecordNames::Sealed, Some(16))]);
    process.ring.change(&sealed).await.unwrap();
    let refused = start(Options::default()).await.err().unwrap();
    assert!(
        matches!(refused, GuardError::SealedNames { .. }),
        "{refused}"
    );
    let refused = start(Options::default().prefix("wa:web:"))
        .await
        .err()
        .unwrap();
    assert!(
        matches!(refused, GuardError::SealedNames { .. }),
        "{refused}"
    );
    let refused = start(options()).await.err().unwrap();
    assert!(
        matches!(
            refused,
            GuardError::PadNames {
                recorded: 16,
                configured: 1,
                ..
            }
        ),
        "{refused}"
    );
    let padded = SealedNames {
        pad: PadNames::new(16).unwrap(),
        ..names("wa:{user}")
    };
    let states = start(Options::default().names(padded)).await.unwrap();
    states.set(USER, &state("confirming")).await.unwrap();
    assert_eq!(states.get(USER).await.unwrap(), Some(state("confirming")));
    // Other records are not concerned.
    start(Options::default().prefix("app:")).await.unwrap();
    let refused = start(Options::default().prefix("app:").names(names("app:*"))).await;
    assert!(refused.is_ok());
    let plain = ProtectedScope::new(store.location(), "app:*");
    let plain = plain.with_settings(ScopeSettings::default());
    process
        .ring
        .change(&Change::Register(vec![plain]))
        .await
        .unwrap();
    let refused = start(Options::default().prefix("app:").names(names("app:*")));
    let refused = refused.await.err().unwrap();
    assert!(
        matches!(refused, GuardError::PlainNames { .. }),
        "{refused}"
    );
}

#[tokio::test]
async fn names_without_a_key_are_refused() {
    let store = Arc::new(MemoryStore::default());
    let refused = StateManager::start(store, Sealer::without_keys(), options()).await;
    assert!(matches!(refused.err().unwrap(), GuardError::Seal(_)));
}

#[cfg(feature = "tower-sessions")]
#[tokio::test]
async fn web_sessions_are_stored_under_sealed_names() {
    use std::collections::HashMap;

    use time::OffsetDateTime;
    use tower_sessions_core::SessionStore;
    use tower_sessions_core::session::{Id, Record};
    use waxseal_sessions::TowerSessionStore;

    let server = RedisServer::start();
    let options = Options::default().prefix("sess:").names(names("sess:*"));
    let store = TowerSessionStore::start(connect(&server).await, usual_sealer(), options);
    let store = store.await.unwrap();
    let mut session = Record {
        id: Id::default(),
        data: HashMap::new(),
        expiry_date: OffsetDateTime::now_utc() + Duration::from_secs(3600),
    };
    store.create(&mut session).await.unwrap();
    assert_eq!(
        store.load(&session.id).await.unwrap(),
        Some(session.clone())
    );
    let stored = server
        .snapshot()
        .only(|name| name.starts_with(b"sess:~9VcDE"));
    assert_eq!(stored.len(), 1);
    store.delete(&session.id).await.unwrap();
    assert_eq!(store.load(&session.id).await.unwrap(), None);
}

#[cfg(feature = "actix-session")]
#[tokio::test]
async fn actix_sessions_are_stored_under_sealed_names() {
    use std::collections::HashMap;

    use actix_session::storage::SessionStore;
    use waxseal_sessions::ActixSessionStore;

    let server = RedisServer::start();
    let options = Options::default().prefix("sess:").names(names("sess:*"));
    let store = ActixSessionStore::start(connect(&server).await, usual_sealer(), options);
    let store = store.await.unwrap();
    let data = HashMap::from([("user".to_owned(), "maria".to_owned())]);
    let lifetime = time::Duration::minutes(10);
    let key = store.save(data.clone(), &lifetime).await.unwrap();
    assert_eq!(store.load(&key).await.unwrap(), Some(data));
    let stored = server
        .snapshot()
        .only(|name| name.starts_with(b"sess:~9VcDE"));
    assert_eq!(stored.len(), 1);
}
