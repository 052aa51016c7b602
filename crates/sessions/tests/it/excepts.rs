//! States under names that are excepted from the pattern.

use waxseal_core::{Format, Mode};
use waxseal_sessions::{GuardError, Options, StateManager};
use waxseal_testing::RedisServer;

use crate::guards::CANARY;
use crate::*;

#[tokio::test]
async fn excepted_states_are_written_plain_and_opened_if_they_are_sealed() {
    let server = RedisServer::start();
    let mut client = server.client();
    put(
        &mut client,
        "wa:old:lock",
        &sealed(
            &KEY,
            Format::Sealed,
            "wa:old:lock",
            &state_json("confirming"),
        ),
    );
    for mode in [Mode::On, Mode::Required] {
        let options = Options::default().except(["wa:*:lock"]);
        let sealer = sealer(&KEY, mode, Format::Sealed);
        let states = StateManager::start(connect(&server).await, sealer, options)
            .await
            .unwrap();
        states.set("a:lock", &state("confirming")).await.unwrap();
        assert_eq!(
            get(&mut client, "wa:a:lock"),
            Some(state_json("confirming"))
        );
        assert_eq!(
            states.get("a:lock").await.unwrap(),
            Some(state("confirming"))
        );
        assert_eq!(
            states.get("old:lock").await.unwrap(),
            Some(state("confirming"))
        );
        states.set("a", &state("confirming")).await.unwrap();
        assert_ne!(get(&mut client, "wa:a"), Some(state_json("confirming")));
    }
    for except in ["other:*", "wa:*", "*", ""] {
        let options = Options::default().except([except]);
        let refused = StateManager::start(connect(&server).await, usual_sealer(), options).await;
        assert!(matches!(refused, Err(GuardError::Prefix(_))), "{except}");
    }
}

#[tokio::test]
async fn excepted_values_say_nothing_about_the_key() {
    let server = RedisServer::start();
    let mut client = server.client();
    let foreign = sealed(&OTHER_KEY, Format::Sealed, "wa:1:lock", b"{}");
    put(&mut client, "wa:1:lock", &foreign);
    let options = Options::default().except(["wa:*:lock"]);
    let states = StateManager::start(connect(&server).await, usual_sealer(), options).await;
    assert!(states.is_ok());
    let refused = start(&server, usual_sealer()).await;
    assert!(refused.is_ok(), "the canary is there by now");
    server.cli(&["DEL", CANARY]);
    let refused = start(&server, usual_sealer()).await;
    assert!(matches!(refused, Err(GuardError::WrongKey(_))));
}
