//! Sealed names of records: the application goes on with those that it knows, and the store has none of them.

use waxseal_core::{EnvelopeVersion, PadNames};
use waxseal_keys::{Change, DocumentFormat, ProtectedScope, RecordNames, ScopeSettings};
use waxseal_sessions::quarantine::{self, Restored};
use waxseal_sessions::{NameFault, OnRefused, SealedNames};
use waxseal_stores::{MemoryStore, RecordStore};

use crate::rings::{Process, Shared};
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

/// What stored names are, according to the refusal of a start.
#[track_caller]
fn fault(refused: Result<StateManager, GuardError>) -> NameFault {
    match refused.err().unwrap() {
        GuardError::Names { fault, .. } => fault,
        other => panic!("{other}"),
    }
}

async fn start_under(server: &RedisServer, sealer: Sealer) -> Result<StateManager, GuardError> {
    StateManager::start(connect(server).await, sealer, options()).await
}

#[tokio::test]
async fn names_under_which_nothing_is_found_are_refused_at_the_start() {
    let server = RedisServer::start();
    let states = start_named(&server).await;
    states.set("1", &state("a")).await.unwrap();
    // Without the canary the names alone tell that the key is another one.
    server.client().cmd(&["DEL", "waxseal:canary"]);
    let other = sealer(&OTHER_KEY, Mode::On, Format::Sealed);
    assert_eq!(
        fault(start_under(&server, other).await),
        NameFault::OtherKeys
    );
    assert!(server.snapshot().get("waxseal:canary").is_none());
    server.client().cmd(&["SET", "wa:2", "{}"]);
    let refused = start_under(&server, usual_sealer()).await;
    assert_eq!(fault(refused), NameFault::InClear);
    server.client().cmd(&["DEL", "wa:2"]);
    assert!(start_under(&server, usual_sealer()).await.is_ok());
    let padded = Options::default().names(SealedNames {
        pad: PadNames::new(16).unwrap(),
        ..names("wa:{user}")
    });
    let refused = StateManager::start(connect(&server).await, usual_sealer(), padded).await;
    assert_eq!(fault(refused), NameFault::OtherKeys);
    let hex = |key: &[u8; 32]| waxseal_core::hex::encode(key);
    let both = Keyring::from_hex(&hex(&OTHER_KEY), &hex(&KEY)).unwrap();
    let both = Sealer::new(Arc::new(both), Mode::On, Format::Sealed);
    assert_eq!(
        fault(start_under(&server, both).await),
        NameFault::FormerKey
    );
}

/// A ring that records the names of `wa:{user}` as these, and a store of its records.
async fn ring_that_records(pad_names: Option<u16>) -> (Process, Arc<MemoryStore>) {
    let process = Shared::default().first().await;
    let store = Arc::new(MemoryStore::default());
    process.ring.change(&FORMAT_2).await.unwrap();
    let write_version = Change::Envelopes {
        write: EnvelopeVersion::V3,
        accept: EnvelopeVersion::V2,
        force: true,
    };
    process.ring.change(&write_version).await.unwrap();
    let settings = ScopeSettings {
        names: match pad_names {
            Some(_) => RecordNames::Sealed,
            None => RecordNames::Plain,
        },
        pad_names,
        ..ScopeSettings::default()
    };
    let scope = ProtectedScope::new(store.location(), "wa:{user}").with_settings(settings);
    process
        .ring
        .change(&Change::Register(vec![scope]))
        .await
        .unwrap();
    (process, store)
}

const FORMAT_2: Change = Change::Format {
    to: DocumentFormat::V2,
    force: true,
};

impl Process {
    async fn start_over(
        &self,
        store: &Arc<MemoryStore>,
        options: Options,
    ) -> Result<StateManager, GuardError> {
        let options = options.ring(self.ring.clone());
        StateManager::start(store.clone(), self.sealer(Format::Sealed), options).await
    }
}

#[tokio::test]
async fn a_ring_of_format_1_seals_no_names() {
    let process = Shared::default().first().await;
    let store = Arc::new(MemoryStore::default());
    let refused = process.start_over(&store, options()).await.err().unwrap();
    assert!(refused.to_string().contains("needs format 2"), "{refused}");
    process.ring.change(&FORMAT_2).await.unwrap();
    process.start_over(&store, options()).await.unwrap();
}

#[tokio::test]
async fn names_are_stored_as_the_ring_records_or_nothing_starts() {
    let (process, store) = ring_that_records(Some(16)).await;
    let refusal = async |options: Options| {
        let refused = process.start_over(&store, options).await;
        refused.err().unwrap().to_string()
    };
    let in_clear = "the keyring records that the names of \"wa:{user}\" are sealed, and here they are in clear";
    assert_eq!(refusal(Options::default()).await, in_clear);
    assert_eq!(
        refusal(Options::default().prefix("wa:web:")).await,
        in_clear
    );
    assert_eq!(
        refusal(options()).await,
        "the keyring records that the names of \"wa:{user}\" are padded to a multiple of 16, and here it is 1"
    );
    let padded = SealedNames {
        pad: PadNames::new(16).unwrap(),
        ..names("wa:{user}")
    };
    let states = process.start_over(&store, Options::default().names(padded));
    let states = states.await.unwrap();
    states.set(USER, &state("confirming")).await.unwrap();
    assert_eq!(states.get(USER).await.unwrap(), Some(state("confirming")));
    // Other records are not concerned.
    let of_app = || Options::default().prefix("app:");
    process.start_over(&store, of_app()).await.unwrap();
    let sealed = process.start_over(&store, of_app().names(names("app:*")));
    sealed.await.unwrap();

    let (process, store) = ring_that_records(None).await;
    let refused = process.start_over(&store, options()).await.err().unwrap();
    assert_eq!(
        refused.to_string(),
        "the keyring records that the names of \"wa:{user}\" are in clear, and here they are sealed"
    );
    process
        .start_over(&store, Options::default())
        .await
        .unwrap();
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
