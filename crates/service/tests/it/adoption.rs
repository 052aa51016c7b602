//! The keys of the environment that a new keyring adopts, and the check before a key of a keyring is retired.

use waxseal_core::SecretKey;
use waxseal_keys::{Change, KeyState};
use waxseal_service::adoption::adopted;
use waxseal_service::resources::Resources;
use waxseal_service::retirement;
use waxseal_sweep::Stop;

use super::{KEY, World, put_state, quick};

const STATES: &str = "[[protect]]\nrecords = \"wa:*\"\nformat = \"sealed\"\n";

#[tokio::test]
async fn keys_are_adopted_only_where_something_is_sealed_under_them() {
    let other = KEY.replace('6', "7");
    let world = World::with_key(STATES);
    let resources = || Resources::read(&world.flags_with_store()).unwrap();
    assert!(adopted(&resources()).await.unwrap().is_empty());
    put_state(&resources()).await;
    let ids = |keys: Vec<SecretKey>| keys.iter().map(SecretKey::id).collect::<Vec<_>>();
    let own = SecretKey::from_hex(KEY).unwrap().id();
    assert_eq!(ids(adopted(&resources()).await.unwrap()), [own]);

    // With a newer key, the older one is adopted as well.
    let newer = SecretKey::from_hex(&other).unwrap().id();
    let variables = format!("REDIS_ENCRYPTION_KEY={other}\nREDIS_ENCRYPTION_PREVIOUS_KEYS={KEY}\n");
    world.write("variables", &variables);
    assert_eq!(ids(adopted(&resources()).await.unwrap()), [newer, own]);

    // A keyring that could not open what is there is not created.
    for variables in [format!("REDIS_ENCRYPTION_KEY={other}\n"), String::new()] {
        world.write("variables", &variables);
        let failure = adopted(&resources()).await.err().unwrap();
        let text = "this store is sealed under keys that the environment does not hold: ";
        assert!(failure.text().starts_with(text), "{failure:?}");
    }
}

#[tokio::test]
async fn a_key_with_values_is_not_retired() {
    let world = World::with_keyring(STATES);
    world.create_keyring(quick()).await;
    let resources = world.open().await;
    put_state(&resources).await;
    let ring = resources.opened_ring().unwrap().ring.clone();
    let old = ring.ring().sealing().id;
    let check = |id, state| {
        let resources = &resources;
        async move { retirement::check(resources, id, state, &Stop::default()).await }
    };
    let sealing = check(old, KeyState::Archived).await.unwrap_err();
    assert!(sealing.text().contains("seals"), "{sealing:?}");

    ring.change(&Change::Add { instead_of: old }).await.unwrap();
    let id = ring.ring().in_state(KeyState::Pending).next().unwrap().id;
    let promote = Change::Promote { id, at_once: true };
    ring.change(&promote).await.unwrap();
    let needed = loop {
        // Processes that have not seen the change may seal under it for a moment.
        let failure = check(old, KeyState::Archived).await.unwrap_err();
        if !failure.text().contains("may still seal under key") {
            break failure;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    };
    let text = format!("key {old} is still needed: ");
    assert!(needed.text().starts_with(&text), "{needed:?}");
    assert!(check(old, KeyState::Destroyed).await.is_err());
    assert_eq!(ring.ring().entry(old).unwrap().state, KeyState::DecryptOnly);
}
