//! A copy of a keyring that is put back.

use std::fs;
use std::path::Path;

use waxseal_keys::{Change, Settings};
use waxseal_service::resources::Resources;
use waxseal_service::restoration::{Restoration, restore};

use super::World;

const STATES: &str = "[[protect]]\nrecords = \"wa:*\"\nformat = \"sealed\"\n";

async fn refusal(resources: &Resources, from: Option<&Path>) -> String {
    match restore(resources, from).await {
        Ok(_) => panic!("it was put back"),
        Err(failure) => failure.text().to_owned(),
    }
}

/// Puts a copy back, and returns the version of the keyring.
async fn restored(resources: &Resources, from: Option<&Path>) -> u64 {
    match restore(resources, from).await.unwrap() {
        Restoration::Done(live) => live.ring().version(),
        Restoration::Present { .. } => panic!("it was there"),
    }
}

#[tokio::test]
async fn a_lost_or_damaged_keyring_is_put_back_and_a_newer_one_is_not_overwritten() {
    let world = World::with_keyring(STATES);
    world.create_keyring(Settings::default()).await;
    let resources = world.open().await;
    let (place, old) = (world.path("keyring.json"), world.path("old.json"));
    fs::copy(&place, &old).unwrap();
    let ring = resources.opened_ring().unwrap().ring.clone();
    let first = ring.ring().version();
    let instead_of = ring.ring().sealing().id;
    let newer = ring.change(&Change::Add { instead_of }).await.unwrap();
    let present = fs::read(&place).unwrap();

    let there = restore(&resources, None).await.unwrap();
    assert!(
        matches!(there, Restoration::Present { ring, .. } if ring.version() == newer.version())
    );
    // This machine keeps a newer copy, which would be replaced at once.
    let text = refusal(&resources, Some(&old)).await;
    assert!(
        text.starts_with("this machine keeps a newer copy: "),
        "{text}"
    );
    fs::remove_file(world.path("copy.json")).unwrap();
    let text = refusal(&resources, Some(&old)).await;
    let versions = format!(
        "holds a keyring of version {}, and the copy has version {first}",
        newer.version()
    );
    assert!(text.ends_with(&versions), "{text}");
    assert_eq!(fs::read(&place).unwrap(), present);

    // What is damaged, or lost, is replaced.
    fs::write(&place, &present[..present.len() / 2]).unwrap();
    assert_eq!(restored(&resources, Some(&old)).await, first);
    fs::remove_file(&place).unwrap();
    assert_eq!(restored(&resources, None).await, first);
    assert_eq!(fs::read(&place).unwrap(), fs::read(&old).unwrap());
}

#[tokio::test]
async fn the_keyring_of_another_party_is_neither_overwritten_nor_put_back() {
    let world = World::with_keyring(STATES);
    let (place, foreign) = (world.path("keyring.json"), world.path("foreign.json"));
    world.create_keyring(Settings::default()).await;
    fs::rename(&place, &foreign).unwrap();
    fs::remove_file(world.path("copy.json")).unwrap();
    world.create_keyring(Settings::default()).await;
    let resources = Resources::read(&world.flags_with_store()).unwrap();
    let present = fs::read(&place).unwrap();
    let text = refusal(&resources, Some(&foreign)).await;
    assert!(
        text.starts_with("this machine keeps a copy of another keyring: "),
        "{text}"
    );
    fs::remove_file(world.path("copy.json")).unwrap();
    let text = refusal(&resources, Some(&foreign)).await;
    assert!(text.ends_with(" holds another keyring"), "{text}");
    // Not a keyring at all.
    refusal(&resources, Some(&world.path("custodian.key"))).await;
    assert_eq!(fs::read(&place).unwrap(), present);
    let text = refusal(&resources, None).await;
    assert!(
        text.ends_with("No such file or directory (os error 2)"),
        "{text}"
    );
}
