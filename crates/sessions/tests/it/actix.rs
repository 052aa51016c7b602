//! The adapter for actix-session: its contract, and the sessions as Redis stores them.

use std::collections::HashMap;
use std::error::Error;
use std::sync::Arc;

use actix_session::storage::{LoadError, SaveError, SessionKey, SessionStore, UpdateError};
use actix_session::{Session, SessionMiddleware};
use actix_web::cookie::{Cookie, Key};
use actix_web::{App, HttpResponse, test, web};
use time::Duration;
use waxseal_core::{Format, Mode};
use waxseal_sessions::{ActixSessionStore, GuardError, OnRefused, Options, quarantine};
use waxseal_stores::{MemoryStore, RecordStore, RedisOptions};
use waxseal_testing::{Lines, RedisServer};

use crate::*;

const TTL: Duration = Duration::minutes(10);
const TTL_MS: u64 = 600_000;

async fn sessions(store: Arc<dyn RecordStore>) -> ActixSessionStore {
    sessions_with(store, OnRefused::Quarantine).await
}

async fn sessions_with(store: Arc<dyn RecordStore>, on_refused: OnRefused) -> ActixSessionStore {
    let options = Options::default().prefix("sess:").on_refused(on_refused);
    ActixSessionStore::start(store, usual_sealer(), options)
        .await
        .unwrap()
}

fn data(user: &str) -> HashMap<String, String> {
    HashMap::from([
        ("user".to_owned(), user.to_owned()),
        ("curp".to_owned(), MARK.to_owned()),
    ])
}

/// A session key as a cookie contains it.
fn session_key(text: &str) -> SessionKey {
    text.to_owned().try_into().unwrap()
}

/// The one session's record name.
fn session_name(server: &RedisServer) -> String {
    let snapshot = server.snapshot().only(|name| name.starts_with(b"sess:"));
    assert_eq!(snapshot.len(), 1);
    String::from_utf8(snapshot.records().keys().next().unwrap().clone()).unwrap()
}

fn texts_of_dyn(error: &dyn Error) -> String {
    let mut texts = format!("{error}\n{error:?}\n");
    if let Some(source) = error.source() {
        texts += &texts_of_dyn(source);
    }
    texts
}

#[tokio::test]
async fn a_session_is_saved_loaded_updated_and_deleted() {
    let store = sessions(Arc::new(MemoryStore::default())).await;
    let session = store.save(data("maria"), &TTL).await.unwrap();
    assert_eq!(session.as_ref().len(), 64);
    assert_eq!(store.load(&session).await.unwrap(), Some(data("maria")));

    let same = store
        .update(session_key(session.as_ref()), data("jorge"), &TTL)
        .await
        .unwrap();
    assert_eq!(same, session);
    assert_eq!(
        store.clone().load(&session).await.unwrap(),
        Some(data("jorge"))
    );

    store.delete(&session).await.unwrap();
    assert_eq!(store.load(&session).await.unwrap(), None);
    store.delete(&session).await.unwrap();
}

#[tokio::test]
async fn an_empty_session_is_not_a_missing_one() {
    let store = sessions(Arc::new(MemoryStore::default())).await;
    let session = store.save(HashMap::new(), &TTL).await.unwrap();
    assert_eq!(store.load(&session).await.unwrap(), Some(HashMap::new()));
}

#[tokio::test]
async fn every_saved_session_has_a_key_of_its_own() {
    let store = sessions(Arc::new(MemoryStore::default())).await;
    let one = store.save(data("maria"), &TTL).await.unwrap();
    let two = store.save(data("jorge"), &TTL).await.unwrap();
    assert_ne!(one, two);
    assert_eq!(store.load(&one).await.unwrap(), Some(data("maria")));
    assert_eq!(store.load(&two).await.unwrap(), Some(data("jorge")));
}

#[tokio::test]
async fn updating_a_deleted_session_saves_a_new_one_under_a_new_key() {
    let server = RedisServer::start();
    let store = sessions(connect(&server).await).await;
    let fixed = store
        .update(session_key("chosen-by-someone"), data("maria"), &TTL)
        .await
        .unwrap();
    assert_ne!(fixed.as_ref(), "chosen-by-someone");
    assert_eq!(
        store.load(&session_key("chosen-by-someone")).await.unwrap(),
        None
    );
    assert_eq!(store.load(&fixed).await.unwrap(), Some(data("maria")));
    let ttl: i64 = server
        .cli(&["TTL", &session_name(&server)])
        .parse()
        .unwrap();
    assert!((1..=600).contains(&ttl), "{ttl}");
}

#[tokio::test]
async fn a_session_has_the_lifetime_of_the_middleware() {
    let server = RedisServer::start();
    let store = sessions(connect(&server).await).await;
    let mut client = server.client();

    let before = server_time(&mut client);
    let session = store.save(data("maria"), &TTL).await.unwrap();
    let name = session_name(&server);
    let expires = expires_at(&mut client, &name);
    assert!((before + TTL_MS..=server_time(&mut client) + TTL_MS).contains(&expires));

    let before = server_time(&mut client);
    let session = store
        .update(session, data("jorge"), &(TTL * 2))
        .await
        .unwrap();
    let expires = expires_at(&mut client, &name);
    assert!((before + 2 * TTL_MS..=server_time(&mut client) + 2 * TTL_MS).contains(&expires));

    let stored = get(&mut client, &name);
    let before = server_time(&mut client);
    store.update_ttl(&session, &(TTL * 3)).await.unwrap();
    let expires = expires_at(&mut client, &name);
    assert!((before + 3 * TTL_MS..=server_time(&mut client) + 3 * TTL_MS).contains(&expires));
    assert_eq!(get(&mut client, &name), stored);
    assert_eq!(store.load(&session).await.unwrap(), Some(data("jorge")));
}

#[tokio::test]
async fn a_new_lifetime_for_a_deleted_session_does_not_restore_it() {
    let server = RedisServer::start();
    let store = sessions(connect(&server).await).await;
    let session = store.save(data("maria"), &TTL).await.unwrap();
    store.delete(&session).await.unwrap();
    let before = server.snapshot();
    store.update_ttl(&session, &TTL).await.unwrap();
    assert_eq!(server.snapshot(), before);
    assert_eq!(store.load(&session).await.unwrap(), None);
}

#[tokio::test]
async fn an_expired_session_is_none() {
    let server = RedisServer::start();
    let store = sessions(connect(&server).await).await;
    let session = store.save(data("maria"), &TTL).await.unwrap();
    for over in [Duration::ZERO, Duration::seconds(-5)] {
        store.update_ttl(&session, &over).await.unwrap();
        let gone = async {
            while store.load(&session).await.unwrap().is_some() {
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
        };
        within_a_minute(gone).await;
    }
}

#[tokio::test]
async fn stored_sessions_hold_neither_the_session_key_nor_the_data() {
    let server = uncompressed_server();
    for mode in [Mode::On, Mode::Off] {
        server.cli(&["FLUSHALL"]);
        let options = Options::default().prefix("sess:");
        let sealer = sealer(&KEY, mode, Format::Sealed);
        let store = ActixSessionStore::start(connect(&server).await, sealer, options)
            .await
            .unwrap();
        let session = store.save(data("maria"), &TTL).await.unwrap();
        let session = store.update(session, data("maria"), &TTL).await.unwrap();
        assert!(!is_stored_in(&server, session.as_ref()));
        // Plain if nothing is sealed: the search finds text that is there.
        assert_eq!(is_stored_in(&server, MARK), mode == Mode::Off);
        assert_eq!(is_stored_in(&server, "maria"), mode == Mode::Off);
        assert_eq!(session_name(&server).len(), "sess:".len() + 64);
    }
}

#[tokio::test]
async fn a_session_of_another_form_is_a_deserialization_error_that_does_not_show_it() {
    let server = RedisServer::start();
    let store = sessions(connect(&server).await).await;
    let session = store.save(data("maria"), &TTL).await.unwrap();
    let name = session_name(&server);
    for value in [
        format!("{{\"user\":[\"{MARK}\"]}}"),
        format!("\"{MARK}\""),
        "no JSON".into(),
    ] {
        let value = sealed(&KEY, Format::Sealed, &name, value.as_bytes());
        put(&mut server.client(), &name, &value);
        let error = store.load(&session).await.unwrap_err();
        assert!(matches!(error, LoadError::Deserialization(_)), "{error:?}");
        assert_reveals_nothing(&texts_of_dyn(&error));
        assert!(!texts_of_dyn(&error).contains(&name));
    }
}

#[tokio::test]
async fn a_session_that_does_not_open_is_treated_as_the_options_say() {
    let (lines, _guard) = Lines::capture(tracing::Level::TRACE);
    for on_refused in [OnRefused::Error, OnRefused::Absent, OnRefused::Quarantine] {
        let server = RedisServer::start();
        let redis = connect(&server).await;
        let store = sessions_with(redis.clone(), on_refused).await;
        let session = store.save(data("maria"), &TTL).await.unwrap();
        let name = session_name(&server);
        let mut client = server.client();
        let mut damaged = get(&mut client, &name).unwrap();
        *damaged.last_mut().unwrap() ^= 1;
        put(&mut client, &name, &damaged);
        let loaded = store.load(&session).await;
        match on_refused {
            // Not the error after which the middleware starts an empty session in its place.
            OnRefused::Error => {
                let error = loaded.unwrap_err();
                assert!(matches!(error, LoadError::Other(_)), "{error:?}");
                assert_reveals_nothing(&texts_of_dyn(&error));
                assert!(!texts_of_dyn(&error).contains(&name));
            }
            OnRefused::Absent | OnRefused::Quarantine => assert_eq!(loaded.unwrap(), None),
        }
        let moved = usize::from(on_refused == OnRefused::Quarantine);
        assert_eq!(quarantine::list(&*redis).await.unwrap().len(), moved);
        assert!(!lines.text().contains(&name));
        assert!(!lines.text().contains(session.as_ref()));
    }
    assert!(lines.text().contains("sess:#"));
    assert_reveals_nothing(&lines.text());
}

#[tokio::test]
async fn a_session_under_a_key_that_the_ring_lacks_is_not_overwritten() {
    let server = RedisServer::start();
    let store = sessions(connect(&server).await).await;
    let session = store.save(data("maria"), &TTL).await.unwrap();
    let name = session_name(&server);
    put(
        &mut server.client(),
        &name,
        &sealed(&OTHER_KEY, Format::Sealed, &name, b"{}"),
    );
    let before = server.snapshot();
    let error = store.load(&session).await.unwrap_err();
    assert!(matches!(error, LoadError::Other(_)), "{error:?}");
    assert_eq!(server.snapshot(), before);
}

#[tokio::test]
async fn a_session_copied_over_another_does_not_open() {
    let server = RedisServer::start();
    let store = sessions(connect(&server).await).await;
    let victim = store.save(data("maria"), &TTL).await.unwrap();
    let from = session_name(&server);
    let own = store.save(data("jorge"), &TTL).await.unwrap();
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
    assert_eq!(store.load(&own).await.unwrap(), None);
    assert_eq!(store.load(&victim).await.unwrap(), Some(data("maria")));
}

#[tokio::test]
async fn a_store_that_is_down_is_an_error_of_the_other_kind_for_every_operation() {
    let mut server = RedisServer::start();
    let quick = RedisOptions {
        retries: 1,
        ..RedisOptions::default()
    };
    let store = sessions(connect_with(&server.url(), quick).await).await;
    let session = store.save(data("maria"), &TTL).await.unwrap();
    server.kill();
    let load = within_a_minute(store.load(&session)).await.unwrap_err();
    let save = within_a_minute(store.save(data("maria"), &TTL))
        .await
        .unwrap_err();
    let again = session_key(session.as_ref());
    let update = within_a_minute(store.update(again, data("maria"), &TTL))
        .await
        .unwrap_err();
    let update_ttl = within_a_minute(store.update_ttl(&session, &TTL))
        .await
        .unwrap_err();
    let delete = within_a_minute(store.delete(&session)).await.unwrap_err();
    assert!(matches!(load, LoadError::Other(_)));
    assert!(matches!(save, SaveError::Other(_)));
    assert!(matches!(update, UpdateError::Other(_)));
    let all: [&dyn Error; 5] = [&load, &save, &update, update_ttl.as_ref(), delete.as_ref()];
    for error in all {
        let texts = texts_of_dyn(error);
        assert!(texts.contains("cannot be reached"), "{texts}");
        assert_reveals_nothing(&texts);
        assert!(!texts.contains(session.as_ref()));
    }
}

#[tokio::test]
async fn a_wrong_key_does_not_start() {
    let server = RedisServer::start();
    sessions(connect(&server).await)
        .await
        .save(data("maria"), &TTL)
        .await
        .unwrap();
    let before = server.snapshot();
    let options = Options::default().prefix("sess:");
    let sealer = sealer(&OTHER_KEY, Mode::On, Format::Sealed);
    let refused = ActixSessionStore::start(connect(&server).await, sealer, options).await;
    assert!(matches!(refused, Err(GuardError::WrongKey(_))));
    assert_eq!(server.snapshot(), before);
}

async fn count(session: Session) -> HttpResponse {
    let visits = session.get::<u32>("visits").unwrap().unwrap_or(0) + 1;
    session.insert("visits", visits).unwrap();
    HttpResponse::Ok().body(visits.to_string())
}

async fn login(session: Session) -> HttpResponse {
    session.renew();
    HttpResponse::Ok().finish()
}

async fn logout(session: Session) -> HttpResponse {
    session.purge();
    HttpResponse::Ok().finish()
}

/// One application for all requests: its middleware holds state per worker only.
macro_rules! request {
    ($store:expr, $secret:expr, $path:expr, $cookie:expr) => {{
        let middleware = SessionMiddleware::new($store.clone(), $secret.clone());
        let app = App::new()
            .wrap(middleware)
            .route("/count", web::get().to(count))
            .route("/login", web::get().to(login))
            .route("/logout", web::get().to(logout));
        let app = test::init_service(app).await;
        let mut request = test::TestRequest::get().uri($path);
        if let Some(cookie) = $cookie {
            let cookie: &Cookie<'static> = cookie;
            request = request.cookie(cookie.clone());
        }
        let response = test::call_service(&app, request.to_request()).await;
        assert!(response.status().is_success());
        let cookie = response.response().cookies().next().map(Cookie::into_owned);
        (cookie, test::read_body(response).await)
    }};
}

#[tokio::test]
async fn the_frameworks_own_middleware_works_on_it() {
    let server = RedisServer::start();
    let store = sessions(connect(&server).await).await;
    let secret = Key::generate();
    let (cookie, body) = request!(store, secret, "/count", None);
    assert_eq!(body, "1");
    let first = cookie.unwrap();
    let name = session_name(&server);
    let (cookie, body) = request!(store, secret, "/count", Some(&first));
    assert_eq!(body, "2");
    // Another cookie of the same session, since it is encrypted again.
    assert!(cookie.is_some());
    assert_eq!(session_name(&server), name);

    // A login changes the key, and the old one is no longer valid.
    let (cookie, _) = request!(store, secret, "/login", Some(&first));
    let second = cookie.unwrap();
    assert_ne!(session_name(&server), name);
    let (_, body) = request!(store, secret, "/count", Some(&second));
    assert_eq!(body, "3");
    let (_, body) = request!(store, secret, "/count", Some(&first));
    assert_eq!(body, "1");

    request!(store, secret, "/logout", Some(&second));
    let (_, body) = request!(store, secret, "/count", Some(&second));
    assert_eq!(body, "1");
}
