//! The log: its lines, and the secrets that are never in them.

use std::sync::Arc;

use waxseal_core::{Format, Mode};
use waxseal_sessions::{OnRefused, Options, StateManager, quarantine};
use waxseal_stores::MemoryStore;
use waxseal_testing::{Lines, RedisServer};

use crate::*;

const ENABLED: &str = "StateManager: Redis encryption enabled";

#[tokio::test]
async fn logs_at_info_that_encryption_is_enabled_if_it_is() {
    for (mode, enabled) in [(Mode::On, true), (Mode::Required, true), (Mode::Off, false)] {
        let (lines, _guard) = Lines::capture(tracing::Level::TRACE);
        let store = Arc::new(MemoryStore::default());
        let sealer = sealer(&KEY, mode, Format::Classic);
        StateManager::start(store, sealer, Options::default())
            .await
            .unwrap();
        let text = lines.text();
        let said = text
            .lines()
            .filter(|line| line.contains(ENABLED))
            .collect::<Vec<_>>();
        assert_eq!(said.len(), usize::from(enabled), "{text}");
        assert!(
            said.iter()
                .all(|line| line.contains(" INFO ") && line.ends_with(ENABLED)),
            "{text}"
        );
    }
}

#[tokio::test]
async fn logs_no_such_line_with_a_wrong_key() {
    let server = RedisServer::start();
    start(&server, sealer(&OTHER_KEY, Mode::On, Format::Sealed))
        .await
        .unwrap();
    let (lines, _guard) = Lines::capture(tracing::Level::TRACE);
    assert!(start(&server, usual_sealer()).await.is_err());
    assert!(!lines.text().contains(ENABLED));
}

#[tokio::test]
async fn a_value_that_cannot_be_opened_is_logged_with_the_guides_words_and_a_masked_name() {
    let server = RedisServer::start();
    let states = start(&server, usual_sealer()).await.unwrap();
    put(
        &mut server.client(),
        NAME,
        &sealed(&KEY, Format::Sealed, "wa:x", MARK.as_bytes()),
    );
    let (lines, _guard) = Lines::capture(tracing::Level::TRACE);
    assert_eq!(states.get::<State>(USER).await.unwrap(), None);
    let text = lines.text();
    let line = text
        .lines()
        .find(|line| line.contains("Failed to decrypt Redis data"));
    let line = line.unwrap_or_else(|| panic!("{text}"));
    assert!(
        line.contains(" WARN ") && line.contains("record=wa:#"),
        "{line}"
    );
    assert!(text.contains("moved to quarantine"), "{text}");
    assert_reveals_nothing(&text);
}

/// All events of a state, with all errors.
async fn everything(server: &mut RedisServer) -> String {
    let mut client = server.client();
    let mut texts = String::new();
    put(
        &mut client,
        NAME,
        &sealed(&OTHER_KEY, Format::Sealed, NAME, &state_json("confirming")),
    );
    texts += &texts_of(&start(server, usual_sealer()).await.err().unwrap());
    assert_eq!(client.cmd(&["DEL", NAME]).int(), 1);
    for mode in [Mode::Off, Mode::On, Mode::Required] {
        for on_refused in [OnRefused::Quarantine, OnRefused::Error, OnRefused::Absent] {
            texts += &every_value(server, mode, on_refused).await;
        }
    }
    let states = start(server, usual_sealer()).await.unwrap();
    server.kill();
    texts += &texts_of(
        &within_a_minute(states.get::<State>(USER))
            .await
            .unwrap_err(),
    );
    texts
}

/// Every kind of stored value, read and updated.
async fn every_value(server: &RedisServer, mode: Mode, on_refused: OnRefused) -> String {
    let options = Options::default().on_refused(on_refused);
    let store = connect(server).await;
    let sealer = sealer(&KEY, mode, Format::Sealed);
    let states = StateManager::start(store.clone(), sealer, options)
        .await
        .unwrap();
    let (mut client, mut texts) = (server.client(), String::new());
    states.set(USER, &state("confirming")).await.unwrap();
    let values = [
        get(&mut client, NAME).unwrap(),
        state_json("confirming"),
        format!("\"{MARK}\"").into_bytes(),
        format!("{MARK} {USER}").into_bytes(),
        sealed(&KEY, Format::Sealed, "wa:x", &state_json("confirming")),
        sealed(&OTHER_KEY, Format::Sealed, NAME, &state_json("confirming")),
        sealed(&OTHER_KEY, Format::Classic, NAME, &state_json("confirming")),
        b"\xf5\x57".to_vec(),
        vec![],
    ];
    for value in values {
        put(&mut client, NAME, &value);
        texts.extend(
            states
                .get::<State>(USER)
                .await
                .err()
                .map(|error| texts_of(&error)),
        );
        texts.extend(
            states
                .get::<u32>(USER)
                .await
                .err()
                .map(|error| texts_of(&error)),
        );
        let updated = states.update(USER, |old: Option<State>| old).await;
        texts.extend(updated.err().map(|error| texts_of(&error)));
    }
    for entry in quarantine::list(&*store).await.unwrap() {
        texts += &format!("{entry:?}\n");
        quarantine::restore(&*store, &entry, 0).await.unwrap();
        quarantine::discard(&*store, &entry).await.unwrap();
    }
    client.cmd(&["DEL", NAME]);
    assert_eq!(client.cmd(&["RPUSH", NAME, MARK]).int(), 1);
    texts += &texts_of(&states.get::<State>(USER).await.unwrap_err());
    assert!(states.clear(USER).await.unwrap());
    texts
}

#[tokio::test]
async fn neither_logs_nor_errors_show_a_value_a_record_name_or_the_key() {
    let mut server = RedisServer::start();
    let (lines, _guard) = Lines::capture(tracing::Level::TRACE);
    let texts = everything(&mut server).await;
    let logged = lines.text();
    // Both contain the record, masked.
    assert!(texts.contains("wa:#") && logged.contains("wa:#"));
    assert!(texts.contains("does not have the expected form"));
    assert!(texts.contains("cannot be reached"));
    assert!(texts.contains("the key does not match this store"));
    assert_reveals_nothing(&texts);
    assert_reveals_nothing(&logged);
}
