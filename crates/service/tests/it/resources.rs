//! Opened stores and keys.

use waxseal_core::Mode;
use waxseal_service::resources::{Resources, guard, keys, named};
use waxseal_sessions::CanaryState;

use super::{KEY, World};

#[tokio::test]
async fn the_key_is_compared_with_the_store_before_it_is_used() {
    let variables = format!("REDIS_ENCRYPTION_KEY={KEY}\n");
    let world = World::new("[[protect]]\nrecords = \"wa:*\"\n", &variables);
    {
        let resources = Resources::open(&world.flags_with_store()).await.unwrap();
        let store = resources.open_store().await.unwrap();
        let state = guard::check_key_and_mark(&resources, &store).await;
        assert!(matches!(state.unwrap(), CanaryState::Created));
        let state = guard::check_key(&resources, &store).await;
        assert!(matches!(state.unwrap(), CanaryState::Opens(_)));
        let protected = &resources.configuration.protected[0];
        let sealer = keys::record_sealer(&resources, protected, Mode::On, b"wa:1", true).await;
        assert!(sealer.is_ok());
    }
    let other = KEY.replace('6', "7");
    let world_of_other = World::new(
        "[[protect]]\nrecords = \"wa:*\"\n",
        &format!("REDIS_ENCRYPTION_KEY={other}\n"),
    );
    let mut flags = world_of_other.flags();
    flags.store = world.flags_with_store().store;
    let resources = Resources::open(&flags).await.unwrap();
    let store = resources.open_store().await.unwrap();
    assert!(guard::check_key(&resources, &store).await.is_err());
}

#[tokio::test]
async fn a_command_that_needs_keys_fails_without_them() {
    let world = World::new("", "");
    let resources = Resources::open(&world.flags_with_store()).await.unwrap();
    let failure = keys::current(&resources).err().unwrap();
    assert!(failure.text().contains("no encryption key is configured"));
    assert!(resources.opened_ring().is_err());
}

#[tokio::test]
async fn a_name_without_its_prefix_is_a_failure() {
    let world = World::new("[[protect]]\nrecords = \"wa:*\"\n", "");
    let resources = Resources::open(&world.flags_with_store()).await.unwrap();
    let failure = named::protected_records(&resources, b"5215512345678").await;
    let failure = failure.err().unwrap();
    assert_eq!(failure.text(), "this record matches no protected pattern");
}

#[tokio::test]
async fn a_custodian_stays_open_and_one_that_failed_is_tried_again() {
    let world = World::new("", "");
    let custodian = world.path("custodian.key");
    world.write(
        "waxseal.toml",
        &format!(
            "keyring = \"file:{}\"\ncustodian = [\"file:{}\"]\n",
            world.path("keyring.json").display(),
            custodian.display()
        ),
    );
    let resources = Resources::read(&world.flags_with_store()).unwrap();
    let keyring = resources.configuration.keyring().unwrap();
    assert!(resources.custodians(keyring).is_err());
    world.write("custodian.key", KEY);
    assert!(resources.custodians(keyring).is_ok());

    // It was opened: a process that retries does not open it again, and another configuration of it shares it.
    std::fs::remove_file(&custodian).unwrap();
    assert!(resources.custodians(keyring).is_ok());
    let url = format!("file:{}", custodian.display());
    let more = keyring.and_custodians(&["env:ABSENT".to_owned(), url.clone()]);
    assert_eq!(more.urls(), [url, "env:ABSENT".to_owned()]);
    assert!(resources.custodians(&more).is_ok());
    let others = keyring.with_custodians(&["env:ABSENT".to_owned()]);
    assert!(resources.custodians(&others).is_err());

    // Another process has opened nothing.
    let resources = Resources::read(&world.flags_with_store()).unwrap();
    let keyring = resources.configuration.keyring().unwrap();
    assert!(resources.custodians(keyring).is_err());
}
