//! Version 3 of the sealed format in the library: kinds, groups and domains of states, and the canary of both versions.

use std::sync::Arc;

use waxseal_core::{
    Binding, EnvelopeRules, EnvelopeVersion, Format, Group, Keyring, Mode, OpenError, Sealer, Shape,
};
use waxseal_sessions::{GuardError, OnRefused, Options, StateError, StateManager, quarantine};
use waxseal_stores::RecordStore;
use waxseal_testing::RedisServer;

use crate::{KEY, NAME, State, USER, connect, get, keyring, put, start, state, state_json};
use EnvelopeVersion::{V2, V3};

fn with_domain(rules: EnvelopeRules, domain: &str) -> Sealer {
    let keyring: Keyring = keyring(&KEY)
        .with_rules(rules)
        .with_domain(domain.as_bytes());
    Sealer::new(Arc::new(keyring), Mode::On, Format::Sealed)
}

fn sealer(write: EnvelopeVersion, accept: EnvelopeVersion) -> Sealer {
    with_domain(EnvelopeRules { write, accept }, "")
}

async fn strict(server: &RedisServer, sealer: Sealer) -> StateManager {
    let options = Options::default().on_refused(OnRefused::Error);
    let store = connect(server).await;
    StateManager::start(store, sealer, options).await.unwrap()
}

#[tokio::test]
async fn a_list_element_that_is_planted_as_a_state_opens_in_version_2_alone() {
    for (version, opens) in [(V2, true), (V3, false)] {
        let server = RedisServer::start();
        let manager = strict(&server, sealer(version, version)).await;
        let element = Binding::element(NAME.as_bytes());
        let element = sealer(version, V2)
            .seal(&state_json("planted"), element)
            .unwrap();
        put(&mut server.client(), NAME, &element);
        match manager.get::<State>(USER).await {
            Ok(found) => assert!(opens && found == Some(state("planted"))),
            Err(StateError::Open { error, .. }) => {
                assert!(!opens, "version {version}");
                assert_eq!(error, OpenError::Refused);
            }
            Err(error) => panic!("{error}"),
        }
        // What the manager itself writes is a string.
        manager.set(USER, &state("new")).await.unwrap();
        let stored = get(&mut server.client(), NAME).unwrap();
        assert_eq!(Shape::of_header(&stored).unwrap().version, version);
        let here = sealer(version, V2).open(&stored, Binding::record(NAME.as_bytes()));
        assert_eq!(&*here.unwrap().unwrap().value, state_json("new"));
    }
}

#[tokio::test]
async fn an_older_state_is_an_error_and_never_moved_if_version_3_alone_is_accepted() {
    let server = RedisServer::start();
    let old = start(&server, sealer(V2, V2)).await.unwrap();
    old.set(USER, &state("old")).await.unwrap();
    let before = get(&mut server.client(), NAME);
    // Quarantine is what a manager does with values that do not open.
    let manager = start(&server, sealer(V3, V3)).await.unwrap();
    let refused = manager.get::<State>(USER).await;
    let is_refused = matches!(
        &refused,
        Err(StateError::Open {
            error: OpenError::Version { .. },
            ..
        })
    );
    assert!(is_refused, "{refused:?}");
    assert_eq!(get(&mut server.client(), NAME), before);
}

#[tokio::test]
async fn states_of_a_group_open_in_each_of_its_records() {
    let server = RedisServer::start();
    let in_group = |seals| {
        let group = Some(Group::new(b"states", seals));
        sealer(V3, V2).in_group(group)
    };
    let bound = start(&server, in_group(true)).await.unwrap();
    bound.set(USER, &state("one")).await.unwrap();
    let mut client = server.client();
    client.cmd(&["RENAME", NAME, "wa:5215500000001"]);
    let member = strict(&server, in_group(false)).await;
    let found = member.get::<State>("5215500000001").await.unwrap();
    assert_eq!(found, Some(state("one")));
    let alone = strict(&server, sealer(V3, V2)).await;
    assert!(alone.get::<State>("5215500000001").await.is_err());
    // Bound to the record by what is written next.
    member.set("5215500000001", &state("two")).await.unwrap();
    let found = alone.get::<State>("5215500000001").await.unwrap();
    assert_eq!(found, Some(state("two")));
}

#[tokio::test]
async fn the_canary_records_the_domain_and_stays_readable_for_former_versions() {
    let server = RedisServer::start();
    let v3 = EnvelopeRules {
        write: V3,
        accept: V2,
    };
    start(&server, with_domain(v3, "production")).await.unwrap();
    let canary = get(&mut server.client(), "waxseal:canary").unwrap();
    assert_eq!(Shape::of_header(&canary).unwrap().version, V2);
    let other = start(&server, with_domain(v3, "staging")).await.err();
    let Some(GuardError::OtherDomain {
        recorded,
        configured,
    }) = other
    else {
        panic!("{other:?}");
    };
    assert_eq!(recorded, "the domain \"production\"");
    assert_eq!(configured, "the domain \"staging\"");
    start(&server, with_domain(v3, "production")).await.unwrap();

    // Without a domain and in version 2 it is as former versions write and read it.
    let server = RedisServer::start();
    start(&server, sealer(V2, V2)).await.unwrap();
    let canary = get(&mut server.client(), "waxseal:canary").unwrap();
    let opened = sealer(V2, V2).open(&canary, Binding::record(b"waxseal:canary"));
    assert_eq!(&*opened.unwrap().unwrap().value, b"waxseal canary v1");
    // It is replaced once values are bound to a domain, even to none.
    start(&server, sealer(V3, V2)).await.unwrap();
    let other = start(&server, with_domain(v3, "production")).await.err();
    assert!(
        matches!(other, Some(GuardError::OtherDomain { .. })),
        "{other:?}"
    );
}

#[tokio::test]
async fn values_in_quarantine_tell_whether_they_would_open() {
    let server = RedisServer::start();
    let manager = start(&server, sealer(V2, V2)).await.unwrap();
    manager.set(USER, &state("here")).await.unwrap();
    // An envelope of another record.
    let moved = sealer(V2, V2).seal(b"{}", Binding::record(b"wa:other"));
    put(&mut server.client(), NAME, &moved.unwrap());
    assert_eq!(manager.get::<State>(USER).await.unwrap(), None);
    let store: Arc<dyn RecordStore> = connect(&server).await;
    let entries = quarantine::list(&*store).await.unwrap();
    let [entry] = &entries[..] else {
        panic!("{} values in quarantine", entries.len());
    };
    assert!(entry.is_older_than(V3) && !entry.is_older_than(V2));
}
