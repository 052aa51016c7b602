//! The sources of settings and their precedence.

use waxseal_core::Mode;
use waxseal_service::configuration::{Configuration, KeySettings, ValueSource};
use waxseal_service::failure::Kind;

use super::{KEY, World};

#[test]
fn flags_override_the_environment_which_overrides_the_file() {
    let file = "store = \"redis://file:1\"\nmode = \"off\"\n[[protect]]\nrecords = \"wa:*\"\n";
    let world = World::new(
        file,
        "ENABLE_REDIS_ENCRYPTION=required\nREDIS_URL=redis://variable:2\n",
    );
    let mut flags = world.flags();
    let configuration = Configuration::read(&flags).unwrap();
    assert_eq!(configuration.store.location(), "redis://variable:2");
    assert_eq!(configuration.mode, Mode::Required);
    assert_eq!(configuration.mode_source, ValueSource::Environment);

    flags.store = Some("redis://flag:3".to_owned());
    let configuration = Configuration::read(&flags).unwrap();
    assert_eq!(configuration.store.location(), "redis://flag:3");

    let world = World::new(file, "");
    let configuration = Configuration::read(&world.flags()).unwrap();
    assert_eq!(configuration.store.location(), "redis://file:1");
    assert_eq!(configuration.mode, Mode::Off);
    assert_eq!(configuration.mode_source, ValueSource::File);
}

#[test]
fn the_default_mode_depends_on_the_keys() {
    let without = Configuration::read(&World::new("", "").flags()).unwrap();
    assert!(matches!(without.keys, KeySettings::None));
    assert_eq!(without.mode, Mode::Off);
    assert!(!without.is_mode_set() && !without.has_keys());

    let world = World::new("", &format!("REDIS_ENCRYPTION_KEY={KEY}\n"));
    let with_key = Configuration::read(&world.flags()).unwrap();
    assert!(matches!(with_key.keys, KeySettings::Environment(_)));
    assert_eq!(with_key.mode, Mode::On);

    let world = World::new("keyring = \"file:/tmp/keyring.json\"\n", "");
    let with_ring = Configuration::read(&world.flags()).unwrap();
    assert!(with_ring.has_keyring());
    assert_eq!(with_ring.mode, Mode::On);
}

#[test]
fn a_trial_keeps_its_keys_apart() {
    let world = World::new("", &format!("REDIS_ENCRYPTION_KEY={KEY}\n"));
    let mut configuration = Configuration::read(&world.flags()).unwrap();
    configuration.begin_trial();
    assert!(configuration.is_trial() && !configuration.has_keys());
    assert_eq!(configuration.mode, Mode::Off);
    assert!(matches!(
        configuration.trial,
        Some(KeySettings::Environment(_))
    ));
}

#[test]
fn wrong_settings_are_a_failure_of_usage_with_a_hint() {
    let world = World::new("custodian = \"env:KEK\"\n", "");
    let failure = Configuration::read(&world.flags()).err().unwrap();
    assert_eq!(failure.kind(), Kind::Usage);
    assert_eq!(failure.text(), "custodian is configured, and no keyring");
    assert!(failure.advice().unwrap().contains("keyring ="));
}

#[test]
fn a_flag_does_not_change_what_the_file_says_about_its_records() {
    let world = World::new(
        "[[protect]]\nrecords = \"sess:*\"\nformat = \"sealed\"\n[[protect]]\nrecords = \"wa:*\"\n",
        "",
    );
    let mut flags = world.flags();
    flags.protect = vec!["sess:1*".to_owned()];
    let configuration = Configuration::read(&flags).unwrap();
    let protected = configuration.protected_records(b"sess:12").unwrap();
    assert_eq!(protected.format, waxseal_core::Format::Sealed);
    assert_eq!(configuration.protected.len(), 1);
    assert_eq!(configuration.all_protected().len(), 3);
    assert!(configuration.protected_records(b"wa:1").is_err());
}
