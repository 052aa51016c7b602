//! What the audit log holds of each command.

use serde_json::{Value, json};
use waxseal_core::{EnvelopeVersion, KeyId, SecretKey};
use waxseal_keys::Split;
use waxseal_service::audit_log::Operation;
use waxseal_service::recorded::{self, KeyringOperation};
use waxseal_service::resources::Resources;

use super::{KEY, World};

const PROTECTED: &str = "decoys = [\"wa:decoy\"]\n\
    [[protect]]\nname = \"States\"\nrecords = \"wa:*\"\nformat = \"sealed\"\n\
    [[protect]]\nname = \"One\"\nrecords = \"sess:5215512345678\"\nformat = \"sealed\"\n";

fn resources(world: &World) -> Resources {
    Resources::read(&world.flags_with_store()).unwrap()
}

/// The action, target and details of the entry of an operation.
fn entry(world: &World, resources: &Resources, operation: &Operation) -> Value {
    resources.trail.record(operation).unwrap();
    let entry = world.entries().pop().unwrap();
    assert_eq!(entry[2], "done");
    json!([entry[0], entry[1], entry[3]])
}

fn id() -> KeyId {
    SecretKey::from_hex(KEY).unwrap().id()
}

fn configure(at_once: bool, write_version: Option<EnvelopeVersion>) -> KeyringOperation<'static> {
    KeyringOperation::Configure {
        at_once,
        document_format: None,
        write_version,
        accept_version: None,
        force: false,
    }
}

#[test]
fn a_change_of_a_keyring_is_recorded_with_its_ring_and_what_was_confirmed() {
    let world = World::with_keyring(PROTECTED);
    let resources = resources(&world);
    let ring = format!("file:{}", world.path("keyring.json").display());
    let custodian = format!("file:{}", world.path("custodian.key").display());
    let named = ["pkcs11:token=a?pin-value=1234".to_owned()];
    let key = id().to_string();
    for (operation, expected) in [
        (
            KeyringOperation::Init {
                fresh: true,
                custodians: &[],
            },
            json!(["keyring_init", ring, {"fresh": true, "custodians": custodian}]),
        ),
        (
            KeyringOperation::Init {
                fresh: false,
                custodians: &named,
            },
            json!(["keyring_init", ring, {"fresh": false, "custodians": "pkcs11:token=a"}]),
        ),
        (KeyringOperation::Add, json!(["keyring_add", ring, {}])),
        (
            KeyringOperation::Promote {
                id: id(),
                now: true,
            },
            json!(["keyring_promote", key, {"ring": ring, "now": true}]),
        ),
        (
            KeyringOperation::Archive(id()),
            json!(["keyring_archive", key, {"ring": ring}]),
        ),
        (
            KeyringOperation::Destroy {
                id: id(),
                force: false,
            },
            json!(["keyring_destroy", key, {"ring": ring, "force": false}]),
        ),
        (
            KeyringOperation::Compromise(id()),
            json!(["keyring_compromise", key, {"ring": ring}]),
        ),
        (
            KeyringOperation::Restore {
                from_elsewhere: true,
            },
            json!(["keyring_restore", ring, {"from_elsewhere": true}]),
        ),
        (
            configure(true, None),
            json!(["keyring_configure", ring, {"at_once": true}]),
        ),
    ] {
        let operation = recorded::keyring(&resources, operation).unwrap();
        assert_eq!(entry(&world, &resources, &operation), expected);
    }
}

#[test]
fn repairs_and_released_records_are_recorded_and_no_name_of_a_record() {
    let world = World::with_keyring(PROTECTED);
    let resources = resources(&world);
    let ring = format!("file:{}", world.path("keyring.json").display());
    for (operation, expected) in [
        (
            configure(false, Some(EnvelopeVersion::V3)),
            json!(["keyring_configure", ring, {"at_once": false, "write_version": 3, "force": false}]),
        ),
        (
            KeyringOperation::Protect("sess:5215512345678"),
            json!(["keyring_protect", "one record", {"ring": ring}]),
        ),
        (
            KeyringOperation::RotateIndex { now: true },
            json!(["keyring_rotate_index", ring, {"now": true}]),
        ),
        (
            KeyringOperation::RepairTimes,
            json!(["keyring_repair_times", ring, {}]),
        ),
        (
            KeyringOperation::AdoptUsers,
            json!(["keyring_adopt_users", ring, {}]),
        ),
        (
            KeyringOperation::Release("sess:*"),
            json!(["keyring_release", "sess:*", {"ring": ring}]),
        ),
        (
            KeyringOperation::Release("sess:5215512345678"),
            json!(["keyring_release", "one record", {"ring": ring}]),
        ),
    ] {
        let operation = recorded::keyring(&resources, operation).unwrap();
        assert_eq!(entry(&world, &resources, &operation), expected);
    }
}

#[test]
fn backups_and_other_custodians_are_recorded_without_secrets() {
    let world = World::with_keyring(PROTECTED);
    let resources = resources(&world);
    let ring = format!("file:{}", world.path("keyring.json").display());
    let custodian = format!("file:{}", world.path("custodian.key").display());
    let urls = |url: &str| [url.to_owned()];
    let (to, add, remove) = (
        urls("vault:u:p@h"),
        urls("env:NAME"),
        urls("awskms:0a5be2d94738"),
    );
    for (operation, expected) in [
        (
            KeyringOperation::Export(Some(Split::new(3, 5).unwrap())),
            json!(["keyring_export", ring, {"to": "3-of-5 shares"}]),
        ),
        (
            KeyringOperation::Export(None),
            json!(["keyring_export", ring, {"to": "recipients"}]),
        ),
        (
            KeyringOperation::Import {
                shares: 3,
                custodians: &[],
            },
            json!(["keyring_import", ring, {"opened_with": "3 shares", "custodians": custodian}]),
        ),
        (
            KeyringOperation::Rehearse { shares: 0 },
            json!(["keyring_rehearse", "a backup", {"opened_with": "an identity"}]),
        ),
        (
            KeyringOperation::Rewrap {
                to: &to,
                add: &add,
                remove: &remove,
            },
            json!(["keyring_rewrap", ring, {"to": "vault:…", "add": "env:NAME", "remove": "awskms:…"}]),
        ),
    ] {
        let operation = recorded::keyring(&resources, operation).unwrap();
        assert_eq!(entry(&world, &resources, &operation), expected);
    }
}

#[test]
fn without_a_keyring_only_a_rehearsal_is_recorded() {
    let world = World::with_key(PROTECTED);
    let resources = resources(&world);
    let is_recorded = |operation| recorded::keyring(&resources, operation).is_some();
    assert!(is_recorded(KeyringOperation::Rehearse { shares: 2 }));
    for operation in [
        KeyringOperation::Add,
        KeyringOperation::Archive(id()),
        KeyringOperation::Release("wa:*"),
        KeyringOperation::Export(None),
    ] {
        assert!(!is_recorded(operation));
    }
}

#[test]
fn a_sweep_is_recorded_with_its_patterns_and_store() {
    let world = World::with_key(PROTECTED);
    let resources = resources(&world);
    let store = resources.configuration.store.location();
    let patterns = "wa:*, one record";
    for (operation, expected) in [
        (
            recorded::migrate(&resources, false),
            json!(["migrate", patterns, {"store": store}]),
        ),
        (
            recorded::rotate(&resources, true),
            json!(["rotate", patterns, {"store": store, "open_compromised": true}]),
        ),
        (
            recorded::decrypt(&resources, false, false),
            json!(["decrypt", patterns, {"store": store}]),
        ),
        (
            recorded::decrypt(&resources, true, false),
            json!(["decrypt", patterns, {"store": store, "excepted": true}]),
        ),
        (
            recorded::audit_report(&resources, true),
            json!(["audit_report", patterns, {"store": store, "deep": true}]),
        ),
        (
            recorded::decoy_plant(&resources),
            json!(["decoy_plant", "1 decoy", {"store": store}]),
        ),
        (
            recorded::forget(&resources),
            json!(["forget", "a user", {"store": store}]),
        ),
    ] {
        assert_eq!(entry(&world, &resources, &operation), expected);
    }
}
