//! Sealing and resealing: the written form, its key, and the counts of keys.

use std::sync::Arc;

use proptest::prelude::*;
use waxseal_core::{
    Binding, Form, Format, KeyId, KeyRole, Keyring, Mode, OpenError, ResealOutcome, SealError,
    Sealer, SecretKey, Shape, UserKey,
};

use crate::{KEY, OLD_KEY, STATE, sealer};

fn place() -> Binding<'static> {
    Binding::field(b"sess:1", b"email")
}

#[test]
fn the_sealed_format_is_48_bytes_longer_than_its_value() {
    let sealer = sealer(KEY, "", Mode::On, Format::Sealed);
    assert_eq!(sealer.seal(STATE, place()).unwrap().len(), STATE.len() + 48);
    assert!(
        sealer
            .seal(STATE, place())
            .unwrap()
            .starts_with(&[0xF5, 0x57, 2, 3])
    );
    let armored = sealer.armored(true).seal(STATE, place()).unwrap();
    assert!(armored.starts_with(b"ws2:9VcC"));
    assert!(armored.is_ascii());
}

#[test]
fn sealing_twice_returns_different_bytes() {
    for format in [Format::Classic, Format::Sealed] {
        let sealer = sealer(KEY, "", Mode::On, format);
        assert_ne!(
            sealer.seal(STATE, place()).unwrap(),
            sealer.seal(STATE, place()).unwrap()
        );
    }
}

#[test]
fn values_are_stored_plain_only_in_mode_off() {
    for (mode, sealed) in [(Mode::Off, false), (Mode::On, true), (Mode::Required, true)] {
        let sealer = sealer(KEY, "", mode, Format::Classic);
        assert_eq!(&*sealer.to_store(STATE, place()).unwrap() != STATE, sealed);
    }
    assert_eq!(
        &*Sealer::without_keys().to_store(STATE, place()).unwrap(),
        STATE
    );
    assert_eq!(
        Sealer::without_keys().seal(STATE, place()),
        Err(SealError::NoKey)
    );
}

#[test]
fn seals_are_counted_for_each_key_and_format() {
    let ring = Arc::new(Keyring::from_hex(KEY, OLD_KEY).unwrap());
    let sealer = Sealer::new(ring.clone(), Mode::On, Format::Classic);
    sealer.seal(STATE, place()).unwrap();
    let sealer = sealer.format(Format::Sealed);
    sealer.seal(STATE, place()).unwrap();
    sealer.seal(STATE, place()).unwrap();
    let usage: Vec<_> = ring
        .usage()
        .map(|u| (u.role, u.classic_seals, u.sealed_seals))
        .collect();
    assert_eq!(
        usage,
        [(KeyRole::Sealing, 1, 2), (KeyRole::DecryptOnly, 0, 0)]
    );
}

#[test]
fn resealing_brings_every_form_under_the_sealing_key() {
    let old = sealer(OLD_KEY, "", Mode::On, Format::Classic);
    let old_sealed = old.clone().format(Format::Sealed);
    let stored = [
        STATE.to_vec(),
        old.seal(STATE, place()).unwrap(),
        old_sealed.seal(STATE, place()).unwrap(),
        old_sealed.armored(true).seal(STATE, place()).unwrap(),
    ];
    for format in [Format::Classic, Format::Sealed] {
        let now = sealer(KEY, OLD_KEY, Mode::On, format);
        let sealing = now.keyring().unwrap().sealing_id();
        for (kind, bytes) in stored.iter().enumerate() {
            let Ok(ResealOutcome::Replaced(new)) = now.reseal(bytes, place()) else {
                panic!("kind {kind} was not resealed");
            };
            let opened = now.open(&new, place()).unwrap().unwrap();
            assert_eq!(&*opened.value, STATE);
            assert_eq!(opened.form.key(), Some(sealing));
            // Binding and armor are kept.
            let kept = match opened.form {
                Form::Sealed { armored, .. } => armored == (kind == 3),
                _ => kind < 2 && format == Format::Classic,
            };
            assert!(kept, "kind {kind} became {:?}", opened.form);
            assert!(matches!(
                now.reseal(&new, place()),
                Ok(ResealOutcome::Current)
            ));
        }
    }
}

#[test]
fn resealing_a_value_that_does_not_open_changes_nothing() {
    let other = sealer(crate::OTHER_KEY, "", Mode::On, Format::Sealed);
    let stored = other.seal(STATE, place()).unwrap();
    assert!(
        sealer(KEY, OLD_KEY, Mode::On, Format::Sealed)
            .reseal(&stored, place())
            .is_err()
    );
}

proptest! {
    #[test]
    fn what_is_sealed_opens_to_the_same_value(
        value in proptest::collection::vec(any::<u8>(), 0..5_000),
        name in proptest::collection::vec(any::<u8>(), 0..600),
        classic in any::<bool>(),
        armored in any::<bool>(),
    ) {
        let format = if classic { Format::Classic } else { Format::Sealed };
        let sealer = sealer(KEY, "", Mode::Required, format).armored(armored);
        let stored = sealer.seal(&value, Binding::record(&name)).unwrap();
        let opened = sealer.open(&stored, Binding::record(&name)).unwrap().unwrap();
        prop_assert_eq!(&*opened.value, value.as_slice());
    }

    #[test]
    fn opening_any_bytes_never_panics(stored in proptest::collection::vec(any::<u8>(), 0..200)) {
        let sealer = sealer(KEY, OLD_KEY, Mode::On, Format::Sealed);
        let _ = sealer.open(&stored, place());
        let mut headed = vec![0xF5, 0x57, 2];
        headed.extend(&stored);
        prop_assert!(sealer.open(&headed, place()).is_err());
    }
}

#[test]
fn a_value_under_the_ring_is_resealed_under_the_users_key_even_if_both_have_one_id() {
    let ring = sealer(KEY, OLD_KEY, Mode::On, Format::Sealed);
    let id = ring.keyring().unwrap().sealing_id();
    let stored = ring.seal(STATE, place()).unwrap();
    let key = SecretKey::generate().unwrap();
    let users = ring.for_user(Arc::new(UserKey::live(id, &key).unwrap()));
    let Ok(ResealOutcome::Replaced(new)) = users.reseal(&stored, place()) else {
        panic!("left under the ring");
    };
    assert!(Shape::of_header(&new).unwrap().flags.per_user_key());
    assert!(matches!(
        users.reseal(&new, place()),
        Ok(ResealOutcome::Current)
    ));
}

#[test]
fn a_value_under_an_earlier_key_of_an_erased_user_is_erased_and_not_merely_unknown() {
    let ring = sealer(KEY, OLD_KEY, Mode::On, Format::Sealed);
    let user = |id| UserKey::live(KeyId::from_u32(id), &SecretKey::generate().unwrap()).unwrap();
    let before = ring.clone().for_user(Arc::new(user(1)));
    let stored = before.seal(STATE, place()).unwrap();
    let answer = |key| {
        let sealer = ring.clone().for_user(Arc::new(key));
        sealer.open(&stored, place()).map(|_| ())
    };
    let unknown = OpenError::UnknownKey {
        id: KeyId::from_u32(1),
    };
    assert_eq!(answer(user(2)), Err(unknown));
    let erased = Err(OpenError::Erased { at: 17 });
    assert_eq!(answer(user(2).after_erasure(17)), erased);
    assert_eq!(answer(UserKey::erased(17)), erased);
}
