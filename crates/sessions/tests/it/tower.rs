//! The adapter for tower-sessions: its contract, and the sessions as Redis stores them.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::json;
use time::OffsetDateTime;
use tower_sessions_core::session::{Id, Record};
use tower_sessions_core::session_store::Error;
use tower_sessions_core::{Expiry, Session, SessionStore};
use waxseal_core::{Format, Mode};
use waxseal_sessions::{GuardError, OnRefused, Options, TowerSessionStore, quarantine};
use waxseal_stores::{Clock, MemoryStore, RecordStore, RedisOptions};
use waxseal_testing::{Lines, RedisServer};

use crate::*;

async fn sessions(store: Arc<dyn RecordStore>) -> TowerSessionStore {
    sessions_with(store, OnRefused::Quarantine).await
}

async fn sessions_with(store: Arc<dyn RecordStore>, on_refused: OnRefused) -> TowerSessionStore {
    let options = Options::default().prefix("sess:").on_refused(on_refused);
    TowerSessionStore::start(store, usual_sealer(), options)
        .await
        .unwrap()
}

fn in_an_hour() -> OffsetDateTime {
    OffsetDateTime::now_utc() + Duration::from_secs(3600)
}

fn record(user: &str) -> Record {
    let data = HashMap::from([("user".to_owned(), json!({"name": user, "curp": MARK}))]);
    Record {
        id: Id::default(),
        data,
        expiry_date: in_an_hour(),
    }
}

/// The one session's record name.
fn session_name(server: &RedisServer) -> String {
    let snapshot = server.snapshot().only(|name| name.starts_with(b"sess:"));
    assert_eq!(snapshot.len(), 1);
    String::from_utf8(snapshot.records().keys().next().unwrap().clone()).unwrap()
}

#[tokio::test]
async fn a_session_is_created_loaded_saved_and_deleted() {
    let store = sessions(Arc::new(MemoryStore::default())).await;
    let mut session = record("maria");
    assert_eq!(store.load(&session.id).await.unwrap(), None);
    store.create(&mut session).await.unwrap();
    assert_eq!(
        store.load(&session.id).await.unwrap(),
        Some(session.clone())
    );

    session
        .data
        .insert("big".to_owned(), json!([u64::MAX, -1, 0.5, null, "ñandú"]));
    session.expiry_date += Duration::from_secs(60);
    store.save(&session).await.unwrap();
    assert_eq!(
        store.clone().load(&session.id).await.unwrap(),
        Some(session.clone())
    );

    store.delete(&session.id).await.unwrap();
    assert_eq!(store.load(&session.id).await.unwrap(), None);
    store.delete(&session.id).await.unwrap();
}

#[tokio::test]
async fn an_id_that_is_taken_is_replaced_and_nothing_is_overwritten() {
    let server = RedisServer::start();
    let memory: Arc<dyn RecordStore> = Arc::new(MemoryStore::default());
    let stores: [Arc<dyn RecordStore>; 2] = [memory, connect(&server).await];
    for store in stores {
        let store = sessions(store).await;
        let mut first = record("maria");
        store.create(&mut first).await.unwrap();
        let mut second = record("jorge");
        second.id = first.id;
        store.create(&mut second).await.unwrap();
        assert_ne!(second.id, first.id);
        assert_eq!(store.load(&first.id).await.unwrap(), Some(first));
        assert_eq!(store.load(&second.id).await.unwrap(), Some(second));
    }
}

#[tokio::test]
async fn a_session_that_ended_is_not_restored_by_a_late_save() {
    let server = RedisServer::start();
    let store = sessions(connect(&server).await).await;
    let mut session = record("maria");
    store.create(&mut session).await.unwrap();
    store.delete(&session.id).await.unwrap();
    let before = server.snapshot();
    store.save(&session).await.unwrap();
    assert_eq!(store.load(&session.id).await.unwrap(), None);
    assert_eq!(server.snapshot(), before);
}

#[tokio::test]
async fn a_session_expires_in_redis_at_its_expiry_date() {
    let server = RedisServer::start();
    let store = sessions(connect(&server).await).await;
    let mut session = record("maria");
    // Rounded up to a whole millisecond.
    session.expiry_date = session.expiry_date.replace_nanosecond(250_000_001).unwrap();
    store.create(&mut session).await.unwrap();
    let expected = u64::try_from(session.expiry_date.unix_timestamp()).unwrap() * 1000 + 251;
    let name = session_name(&server);
    assert_eq!(expires_at(&mut server.client(), &name), expected);
    assert_eq!(
        store.load(&session.id).await.unwrap(),
        Some(session.clone())
    );

    session.expiry_date = session.expiry_date.replace_nanosecond(0).unwrap();
    store.save(&session).await.unwrap();
    assert_eq!(expires_at(&mut server.client(), &name), expected - 251);
}

#[tokio::test]
async fn an_expired_session_is_none_whether_the_store_has_dropped_it_or_not() {
    let now = Arc::new(AtomicU64::new(1_700_000_000_000));
    let clock = {
        let now = now.clone();
        Clock::from_fn(move || now.load(Ordering::Relaxed))
    };
    for store_clock in [clock.clone(), Clock::from_fn(|| 1_700_000_000_000)] {
        now.store(1_700_000_000_000, Ordering::Relaxed);
        let options = Options::default().prefix("sess:").clock(clock.clone());
        let store = Arc::new(MemoryStore::new(store_clock));
        let store = TowerSessionStore::start(store, usual_sealer(), options)
            .await
            .unwrap();
        let mut session = record("maria");
        session.expiry_date = OffsetDateTime::from_unix_timestamp(1_700_000_060).unwrap();
        store.create(&mut session).await.unwrap();
        now.store(1_700_000_059_999, Ordering::Relaxed);
        assert_eq!(
            store.load(&session.id).await.unwrap(),
            Some(session.clone())
        );
        now.store(1_700_000_060_000, Ordering::Relaxed);
        assert_eq!(store.load(&session.id).await.unwrap(), None);
    }
}

#[tokio::test]
async fn a_session_that_expired_before_it_was_created_leaves_nothing() {
    let server = RedisServer::start();
    let store = sessions(connect(&server).await).await;
    let long_ago = [
        OffsetDateTime::UNIX_EPOCH,
        OffsetDateTime::from_unix_timestamp(-9).unwrap(),
    ];
    for expiry_date in long_ago {
        let mut session = Record {
            expiry_date,
            ..record("maria")
        };
        store.create(&mut session).await.unwrap();
        assert_eq!(store.load(&session.id).await.unwrap(), None);
        let mut session = record("jorge");
        store.create(&mut session).await.unwrap();
        session.expiry_date = expiry_date;
        store.save(&session).await.unwrap();
        assert_eq!(store.load(&session.id).await.unwrap(), None);
    }
    assert!(
        server
            .snapshot()
            .only(|name| name.starts_with(b"sess:"))
            .is_empty()
    );
}

#[tokio::test]
async fn stored_sessions_hold_neither_the_id_nor_the_data() {
    let server = uncompressed_server();
    let store = sessions(connect(&server).await).await;
    let mut session = record("maria");
    store.create(&mut session).await.unwrap();
    store.save(&session).await.unwrap();
    let (id, number) = (session.id.to_string(), session.id.0.to_string());
    for text in [MARK, "maria", &id, &number] {
        assert!(!is_stored_in(&server, text), "{text}");
    }
    let name = session_name(&server);
    assert_eq!(name.len(), "sess:".len() + 64);
    let hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    assert!(name.bytes().skip("sess:".len()).all(hex), "{name}");

    // If nothing is sealed the data is plain, and the id is still a secret.
    server.cli(&["FLUSHALL"]);
    let options = Options::default().prefix("sess:");
    let sealer = sealer(&KEY, Mode::Off, Format::Sealed);
    let store = TowerSessionStore::start(connect(&server).await, sealer, options)
        .await
        .unwrap();
    store.create(&mut session).await.unwrap();
    assert_eq!(store.load(&session.id).await.unwrap(), Some(session));
    assert!(is_stored_in(&server, MARK));
    assert!(!is_stored_in(&server, &id) && !is_stored_in(&server, &number));
}

#[tokio::test]
async fn a_session_copied_over_another_does_not_open() {
    let server = RedisServer::start();
    let redis = connect(&server).await;
    let store = sessions(redis.clone()).await;
    let mut victim = record("maria");
    store.create(&mut victim).await.unwrap();
    let from = session_name(&server);
    let mut own = record("jorge");
    store.create(&mut own).await.unwrap();
    let both = server.snapshot().only(|name| name.starts_with(b"sess:"));
    let to = both
        .records()
        .keys()
        .find(|name| **name != from.as_bytes())
        .unwrap();
    let copied = server
        .client()
        .cmd(&[b"COPY", from.as_bytes(), to, b"REPLACE"]);
    assert_eq!(copied.int(), 1);
    assert_eq!(store.load(&own.id).await.unwrap(), None);
    assert_eq!(store.load(&victim.id).await.unwrap(), Some(victim));
    assert_eq!(quarantine::list(&*redis).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_session_that_does_not_open_is_treated_as_the_options_say() {
    let (lines, _guard) = Lines::capture(tracing::Level::TRACE);
    for on_refused in [OnRefused::Error, OnRefused::Absent, OnRefused::Quarantine] {
        let server = RedisServer::start();
        let redis = connect(&server).await;
        let store = sessions_with(redis.clone(), on_refused).await;
        let mut session = record("maria");
        store.create(&mut session).await.unwrap();
        let name = session_name(&server);
        let mut client = server.client();
        let mut damaged = get(&mut client, &name).unwrap();
        *damaged.last_mut().unwrap() ^= 1;
        put(&mut client, &name, &damaged);
        let loaded = store.load(&session.id).await;
        match on_refused {
            OnRefused::Error => {
                let error = loaded.unwrap_err();
                assert!(matches!(error, Error::Decode(_)), "{error:?}");
                assert_reveals_nothing(&texts_of(&error));
                assert!(!texts_of(&error).contains(&name));
            }
            OnRefused::Absent | OnRefused::Quarantine => assert_eq!(loaded.unwrap(), None),
        }
        let moved = usize::from(on_refused == OnRefused::Quarantine);
        assert_eq!(quarantine::list(&*redis).await.unwrap().len(), moved);
        assert_eq!(get(&mut client, &name).is_some(), moved == 0);
        assert!(!lines.text().contains(&name));
        assert!(!lines.text().contains(&session.id.to_string()));
    }
    assert!(lines.text().contains("sess:#"));
    assert_reveals_nothing(&lines.text());
}

#[tokio::test]
async fn a_session_of_another_form_or_key_is_a_decoding_error_that_does_not_show_it() {
    let server = RedisServer::start();
    let store = sessions(connect(&server).await).await;
    let mut session = record("maria");
    store.create(&mut session).await.unwrap();
    let name = session_name(&server);
    let never = format!("{{\"data\":{{}},\"expires_at_ns\":{}}}", i128::MAX);
    let values = [
        sealed(
            &KEY,
            Format::Sealed,
            &name,
            format!("{{\"data\":\"{MARK}\"}}").as_bytes(),
        ),
        sealed(&KEY, Format::Sealed, &name, b"no JSON"),
        sealed(&KEY, Format::Sealed, &name, never.as_bytes()),
        sealed(&OTHER_KEY, Format::Sealed, &name, b"{}"),
    ];
    for value in values {
        put(&mut server.client(), &name, &value);
        let before = server.snapshot();
        let error = store.load(&session.id).await.unwrap_err();
        assert!(matches!(error, Error::Decode(_)), "{error:?}");
        assert_reveals_nothing(&texts_of(&error));
        assert!(!texts_of(&error).contains(&name));
        assert_eq!(server.snapshot(), before);
    }
}

#[tokio::test]
async fn a_store_that_is_down_is_a_backend_error_for_every_operation() {
    let mut server = RedisServer::start();
    let quick = RedisOptions {
        retries: 1,
        ..RedisOptions::default()
    };
    let store = sessions(connect_with(&server.url(), quick).await).await;
    let mut session = record("maria");
    store.create(&mut session).await.unwrap();
    server.kill();
    let errors = [
        within_a_minute(store.create(&mut session))
            .await
            .unwrap_err(),
        within_a_minute(store.save(&session)).await.unwrap_err(),
        within_a_minute(store.load(&session.id)).await.unwrap_err(),
        within_a_minute(store.delete(&session.id))
            .await
            .unwrap_err(),
    ];
    for error in errors {
        assert!(matches!(error, Error::Backend(_)), "{error:?}");
        assert_reveals_nothing(&texts_of(&error));
        assert!(!texts_of(&error).contains(&session.id.to_string()));
    }
}

#[tokio::test]
async fn a_wrong_key_does_not_start() {
    let server = RedisServer::start();
    let mut session = record("maria");
    sessions(connect(&server).await)
        .await
        .create(&mut session)
        .await
        .unwrap();
    for canary in [true, false] {
        if !canary {
            server.cli(&["DEL", "waxseal:canary"]);
        }
        let before = server.snapshot();
        let options = Options::default().prefix("sess:");
        let sealer = sealer(&OTHER_KEY, Mode::On, Format::Sealed);
        let refused = TowerSessionStore::start(connect(&server).await, sealer, options).await;
        assert!(matches!(refused, Err(GuardError::WrongKey(_))));
        assert_eq!(server.snapshot(), before);
    }
}

#[tokio::test]
async fn the_frameworks_own_session_works_on_it() {
    let server = RedisServer::start();
    let store = Arc::new(sessions(connect(&server).await).await);
    let expiry = Some(Expiry::OnInactivity(time::Duration::minutes(10)));
    let session = Session::new(None, store.clone(), expiry);
    session.insert("user", MARK).await.unwrap();
    session.save().await.unwrap();
    let id = session.id().unwrap();

    // The next request.
    let session = Session::new(Some(id), store.clone(), expiry);
    assert_eq!(
        session.get::<String>("user").await.unwrap().as_deref(),
        Some(MARK)
    );
    session.insert("step", 2).await.unwrap();
    session.save().await.unwrap();

    // A login changes the id, and the old one is no longer valid.
    session.cycle_id().await.unwrap();
    session.save().await.unwrap();
    let new_id = session.id().unwrap();
    assert_ne!(new_id, id);
    let old = Session::new(Some(id), store.clone(), expiry);
    assert_eq!(old.get::<String>("user").await.unwrap(), None);
    let session = Session::new(Some(new_id), store.clone(), expiry);
    assert_eq!(session.get::<u32>("step").await.unwrap(), Some(2));

    session.flush().await.unwrap();
    assert_eq!(store.load(&new_id).await.unwrap(), None);
    let left = server.snapshot().only(|name| name.starts_with(b"sess:"));
    assert!(left.is_empty());
}

#[tokio::test]
async fn its_debug_output_shows_the_location_without_credentials() {
    let server = RedisServer::builder().password("pw-secret").start();
    let url = server.url().replace("redis://", "redis://:pw-secret@");
    let store = sessions(connect_with(&url, RedisOptions::default()).await).await;
    let shown = format!("{store:?}");
    assert!(
        shown.contains(&format!("redis://127.0.0.1:{}", server.port())),
        "{shown}"
    );
    assert!(!shown.contains("pw-secret"), "{shown}");
}
