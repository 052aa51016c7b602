//! The results of opening for each kind of stored bytes, in each mode.

use std::sync::Arc;

use waxseal_core::{
    Binding, DataKey, Defect, Form, Format, KeyRole, Keyring, Mode, NameMask, OpenError,
    PlainValues, Sealer, SecretKey, UserKey,
};

use crate::{KEY, OLD_KEY, OTHER_KEY, STATE, sealer};

const MODES: [Mode; 3] = [Mode::Off, Mode::On, Mode::Required];
const FORMATS: [Format; 2] = [Format::Classic, Format::Sealed];

fn place() -> Binding<'static> {
    Binding::record(b"wa:5215512345678")
}

fn answer(sealer: &Sealer, stored: &[u8]) -> Result<Option<(Vec<u8>, Form)>, OpenError> {
    let opened = sealer.open(stored, place())?;
    Ok(opened.map(|opened| (opened.value.into_owned(), opened.form)))
}

#[test]
fn a_sealed_value_under_a_known_key_opens_in_every_mode() {
    let id = SecretKey::from_hex(OLD_KEY).ok().unwrap().id();
    for armored in [false, true] {
        let stored = sealer(OLD_KEY, "", Mode::On, Format::Sealed)
            .armored(armored)
            .seal(STATE, place())
            .unwrap();
        for mode in MODES {
            let now = sealer(KEY, OLD_KEY, mode, Format::Classic);
            let expected = Some((STATE.to_vec(), Form::Sealed { key: id, armored }));
            assert_eq!(answer(&now, &stored), Ok(expected));
        }
    }
}

#[test]
fn the_error_of_a_value_under_an_unknown_key_has_its_id() {
    let id = SecretKey::from_hex(OTHER_KEY).ok().unwrap().id();
    let stored = sealer(OTHER_KEY, "", Mode::On, Format::Sealed)
        .seal(STATE, place())
        .unwrap();
    for mode in MODES {
        let now = sealer(KEY, OLD_KEY, mode, Format::Sealed);
        assert_eq!(answer(&now, &stored), Err(OpenError::UnknownKey { id }));
    }
    assert_eq!(
        answer(&Sealer::without_keys(), &stored),
        Err(OpenError::UnknownKey { id })
    );
}

#[test]
fn an_envelope_moved_to_another_record_is_refused() {
    let here = sealer(KEY, "", Mode::On, Format::Sealed);
    let (name, other) = (b"wa:1", b"wa:2");
    let places = [
        Binding::unbound(),
        Binding::record(name),
        Binding::record(other),
        Binding::field(name, b"email"),
        Binding::field(name, b"color"),
        Binding::field(other, b"email"),
        // The same bytes, divided differently into name and field.
        Binding::field(b"wa:1e", b"mail"),
    ];
    for (at, from) in places.iter().enumerate() {
        let envelope = here.seal(STATE, *from).unwrap();
        for (to, place) in places.iter().enumerate() {
            let opened = here.open(&envelope, *place);
            assert_eq!(opened.is_ok(), at == to, "from {at} to {to}");
            if at != to {
                assert_eq!(opened.err(), Some(OpenError::Refused));
            }
        }
    }
}

#[test]
fn a_classic_value_opens_under_any_of_the_keys() {
    let id = SecretKey::from_hex(OLD_KEY).ok().unwrap().id();
    let stored = sealer(OLD_KEY, "", Mode::On, Format::Classic)
        .seal(STATE, place())
        .unwrap();
    for mode in MODES {
        for format in FORMATS {
            let now = sealer(KEY, &format!("{OTHER_KEY},{OLD_KEY}"), mode, format);
            let expected = Some((STATE.to_vec(), Form::Classic { key: id }));
            assert_eq!(answer(&now, &stored), Ok(expected));
        }
    }
}

#[test]
fn base64_that_no_key_opens_is_refused_where_classic_is_written_and_plain_values_are_json() {
    let stored = sealer(OTHER_KEY, "", Mode::On, Format::Classic)
        .seal(STATE, place())
        .unwrap();
    for mode in MODES {
        let plain = match mode {
            Mode::Required => Err(OpenError::Plaintext),
            Mode::Off | Mode::On => Ok(Some((stored.clone(), Form::Plain))),
        };
        let classic = sealer(KEY, "", mode, Format::Classic);
        let expected = match mode {
            // It may have been written plain by this sealer.
            Mode::Off => plain.clone(),
            Mode::On | Mode::Required => Err(OpenError::Refused),
        };
        assert_eq!(answer(&classic, &stored), expected);
        let any = classic.clone().plain_values(PlainValues::Any);
        assert_eq!(answer(&any, &stored), plain);
        let sealed = sealer(KEY, "", mode, Format::Sealed);
        assert_eq!(answer(&sealed, &stored), plain);
        // A sweep classifies values as the applications do, whatever it writes itself.
        let sweep = sealed.classifying_as(Mode::On, Format::Classic);
        assert_eq!(answer(&sweep, &stored), Err(OpenError::Refused));
        let sweep = classic.classifying_as(Mode::Off, Format::Classic);
        assert_eq!(answer(&sweep, &stored), plain);
    }
    assert_eq!(
        answer(&Sealer::without_keys(), &stored),
        Err(OpenError::Refused)
    );
}

#[test]
fn base64_of_less_than_32_bytes_is_plain() {
    let short = b"dGVtcG9yYXJ5IHBhc3N3b3JkIDE=";
    let now = sealer(KEY, "", Mode::On, Format::Classic);
    assert_eq!(answer(&now, short), Ok(Some((short.to_vec(), Form::Plain))));
}

#[test]
fn a_plain_value_is_returned_unless_sealing_is_required() {
    for stored in [STATE, b"hello", b"0"] {
        for mode in [Mode::Off, Mode::On] {
            let now = sealer(KEY, "", mode, Format::Sealed);
            assert_eq!(
                answer(&now, stored),
                Ok(Some((stored.to_vec(), Form::Plain)))
            );
        }
        let now = sealer(KEY, "", Mode::Required, Format::Sealed);
        assert_eq!(answer(&now, stored), Err(OpenError::Plaintext));
    }
}

#[test]
fn an_empty_value_is_none_in_every_mode() {
    for mode in MODES {
        assert_eq!(
            answer(&sealer(KEY, "", mode, Format::Sealed), b""),
            Ok(None)
        );
    }
}

#[test]
fn the_error_of_a_value_of_an_erased_user_has_the_time() {
    let ring = || sealer(KEY, "", Mode::On, Format::Sealed);
    let user_key = SecretKey::generate().ok().unwrap();
    let live = Arc::new(UserKey::live(user_key.id(), &user_key).unwrap());
    let erased = Arc::new(UserKey::erased(1_763_386_800_000));

    let stored = ring().for_user(live.clone()).seal(STATE, place()).unwrap();
    let expected = Some((
        STATE.to_vec(),
        Form::Sealed {
            key: user_key.id(),
            armored: false,
        },
    ));
    assert_eq!(answer(&ring().for_user(live), &stored), Ok(expected));
    for mode in MODES {
        let now = sealer(KEY, "", mode, Format::Sealed);
        let gone = Err(OpenError::Erased {
            at: 1_763_386_800_000,
        });
        assert_eq!(answer(&now.clone().for_user(erased.clone()), &stored), gone);
        assert_eq!(
            answer(&now, &stored),
            Err(OpenError::UnknownKey { id: user_key.id() })
        );
    }
    assert!(ring().for_user(erased).seal(STATE, place()).is_err());
}

#[test]
fn the_defect_of_bytes_that_start_like_an_envelope_is_reported() {
    let now = sealer(KEY, "", Mode::On, Format::Sealed);
    let mut stored = now.seal(STATE, place()).unwrap();
    stored[2] = 9;
    assert_eq!(
        answer(&now, &stored),
        Err(OpenError::Malformed(Defect::Version(9)))
    );
    stored[2] = 2;
    stored[3] = 0x80;
    assert_eq!(
        answer(&now, &stored),
        Err(OpenError::Malformed(Defect::Flags(0x80)))
    );
    stored[3] = 1;
    assert_eq!(
        answer(&now, &stored[..40]),
        Err(OpenError::Malformed(Defect::Truncated))
    );
    assert_eq!(
        answer(&now, b"ws2:not base64"),
        Err(OpenError::Malformed(Defect::Armor))
    );
}

#[test]
fn the_keyring_of_the_environment_is_parsed_from_its_two_variables() {
    assert!(Keyring::from_hex(KEY, "").is_ok());
    assert!(Keyring::from_hex(KEY, &format!("{OLD_KEY} , {OTHER_KEY}")).is_ok());
    assert!(Keyring::from_hex("", OLD_KEY).is_err());
}

#[test]
fn a_classic_value_under_a_compromised_key_is_never_taken_for_plain() {
    let key = |hex| {
        let key = SecretKey::from_hex(hex).unwrap();
        Arc::new(DataKey::with_id(key.id(), &key).unwrap())
    };
    let old = sealer(OLD_KEY, "", Mode::On, Format::Classic);
    let stored = old.seal(STATE, place()).unwrap();
    let id = key(OLD_KEY).id();
    for plain in [PlainValues::Any, PlainValues::Json] {
        let others = vec![(key(OLD_KEY), KeyRole::Compromised)];
        let ring = Keyring::assemble(key(KEY), others, NameMask::random()).unwrap();
        let sealer = Sealer::new(Arc::new(ring), Mode::On, Format::Classic).plain_values(plain);
        assert_eq!(answer(&sealer, &stored), Err(OpenError::Compromised { id }));
    }
}
