//! Opened stores and keys.

use waxseal_core::Mode;
use waxseal_service::resources::{Resources, guard, keys, named, record_names};
use waxseal_sessions::CanaryState;
use waxseal_stores::{Cursor, Expiry, RecordName, RecordPattern, Slot};

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
async fn a_store_has_logical_names_where_some_are_sealed() {
    let sealed = "[[protect]]\nrecords = \"wa:*\"\nformat = \"sealed\"\nwrite_version = 3\nnames = \"sealed\"\n\
                  [[protect]]\nrecords = \"app:*\"\n";
    let world = World::new(sealed, &format!("REDIS_ENCRYPTION_KEY={KEY}\n"));
    let mut flags = world.flags_with_store();
    let names = |names: &[&str]| -> Vec<RecordName> {
        names.iter().map(|name| RecordName::from(*name)).collect()
    };
    for narrow in [vec![], vec!["wa:5*".to_owned()]] {
        flags.protect = narrow;
        let resources = Resources::open(&flags).await.unwrap();
        let stored = resources.stored_store().await.unwrap();
        assert!(stored.named().is_none());
        let store = record_names::open(&resources, stored.clone()).unwrap();
        for name in names(&["wa:5", "app:1"]) {
            let put = store.put(&name, &Slot::Whole, b"{}", Expiry::Persistent);
            put.await.unwrap();
        }
        let all = RecordPattern::parse("*").unwrap();
        let page = store.scan(&all, &Cursor::start(), 10).await.unwrap();
        assert_eq!(page.names.len(), 2);
        assert!(
            names(&["wa:5", "app:1"])
                .iter()
                .all(|it| page.names.contains(it))
        );
        let page = stored.scan(&all, &Cursor::start(), 10).await.unwrap();
        let is_sealed = |it: &RecordName| it.as_bytes().starts_with(b"wa:~9VcDE");
        assert_eq!(page.names.iter().filter(|it| is_sealed(it)).count(), 1);
        assert_eq!(page.names.len(), 2);
        let key = record_names::key_of(&resources, b"wa:5").unwrap();
        assert_eq!(key, keys::ids(&resources).first().copied());
        assert_eq!(record_names::key_of(&resources, b"app:1").unwrap(), None);
    }
    let world = World::new("[[protect]]\nrecords = \"wa:*\"\n", "");
    let resources = Resources::open(&world.flags_with_store()).await.unwrap();
    assert!(resources.open_store().await.unwrap().named().is_none());
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
