//! Migrate, Rotate and Decrypt as pure tasks: from one stored value and its place to a verdict.

use waxseal_core::{Binding, Defect, Format, OpenError, SealError, Sealer, Shape};
use waxseal_stores::{RecordName, Slot};
use waxseal_sweep::{Class, Decrypt, Migrate, Rotate, Task, Value, Verdict};

use super::{A, B, C, damaged, envelope, id, sealer};

pub(super) const PLAIN: &[u8] = br#"{"status":"collecting_data","data":{"marca":"Brisa"}}"#;
const FORMATS: [Format; 2] = [Format::Classic, Format::Sealed];

/// A string record, a field of a hash record, an element of a list record.
pub(super) fn slots() -> [Slot; 3] {
    [
        Slot::Whole,
        Slot::Field(b"estado".to_vec()),
        Slot::Element(3),
    ]
}

pub(super) fn name() -> RecordName {
    RecordName::from("wa:5215512345678")
}

pub(super) fn binding<'a>(name: &'a RecordName, slot: &'a Slot) -> Binding<'a> {
    match slot {
        Slot::Field(field) => Binding::field(name.as_bytes(), field),
        Slot::Whole | Slot::Element(_) => Binding::record(name.as_bytes()),
        Slot::Member(_) | Slot::StreamField(_) => panic!("of version 3 only"),
    }
}

pub(super) fn judge(task: &impl Task, slot: &Slot, stored: &[u8]) -> Verdict {
    let name = name();
    let verdict = task.judge(&Value {
        name: &name,
        slot,
        stored,
        user: None,
        is_excepted: false,
    });
    verdict.expect("there is a key to seal with")
}

/// An envelope of [`PLAIN`] for this place.
pub(super) fn under(key: &str, format: Format, slot: &Slot) -> Vec<u8> {
    envelope(key, format, PLAIN, binding(&name(), slot))
}

pub(super) fn armored(key: &str, slot: &Slot) -> Vec<u8> {
    let keyring = waxseal_core::Keyring::from_hex(key, "").unwrap();
    let mode = waxseal_core::Mode::On;
    let sealer = Sealer::new(std::sync::Arc::new(keyring), mode, Format::Sealed).armored(true);
    sealer.seal(PLAIN, binding(&name(), slot)).unwrap()
}

fn replaced(verdict: Verdict) -> (Class, Vec<u8>) {
    match verdict {
        Verdict::Replace(class, new) => (class, new),
        other => panic!("it is not replaced: {other:?}"),
    }
}

/// Values that are wrong for every task.
#[track_caller]
fn assert_keeps_values_that_do_not_open(task: &impl Task) {
    for slot in slots() {
        assert_eq!(judge(task, &slot, b""), Verdict::Keep(Class::Empty));
        let refused = Verdict::Fault(Class::Unopenable, OpenError::Refused);
        for format in FORMATS {
            // Under a foreign key, and damaged.
            let mut bad = under(B, format, &slot);
            let last = bad.len() - 5;
            bad[last] = if bad[last] == b'A' { b'B' } else { b'A' };
            assert_eq!(judge(task, &slot, &bad), refused);
        }
        assert_eq!(
            judge(task, &slot, &under(C, Format::Classic, &slot)),
            refused
        );
        let elsewhere = Binding::record(b"wa:5215500000000");
        let moved = envelope(A, Format::Sealed, PLAIN, elsewhere);
        assert_eq!(judge(task, &slot, &moved), refused);
        for unknown in [under(C, Format::Sealed, &slot), armored(C, &slot)] {
            let error = OpenError::UnknownKey { id: id(C) };
            let verdict = Verdict::Fault(Class::UnknownKey(id(C)), error);
            assert_eq!(judge(task, &slot, &unknown), verdict);
        }
        let cut = &under(A, Format::Sealed, &slot)[..40];
        let malformed = OpenError::Malformed(Defect::Truncated);
        let verdict = Verdict::Fault(Class::Unopenable, malformed);
        assert_eq!(judge(task, &slot, cut), verdict);
    }
}

/// Returns true if an envelope opens in a place to the expected value.
fn opens(envelope: &[u8], place: Binding<'_>) -> bool {
    match sealer(Format::Sealed).open(envelope, place) {
        Ok(opened) => opened.is_some_and(|opened| *opened.value == *PLAIN),
        Err(_) => false,
    }
}

#[test]
fn every_task_keeps_values_that_are_empty_or_do_not_open() {
    for format in FORMATS {
        assert_keeps_values_that_do_not_open(&Migrate::new(sealer(format)));
        assert_keeps_values_that_do_not_open(&Rotate::new(sealer(format)));
        assert_keeps_values_that_do_not_open(&Decrypt::new(sealer(format)));
    }
}

#[test]
fn migrate_binds_an_envelope_to_its_record_and_field_but_not_to_its_place_in_a_list() {
    let task = Migrate::new(sealer(Format::Sealed));
    let (here, there) = (name(), RecordName::from("wa:5215500000000"));
    for slot in slots() {
        let (class, new) = replaced(judge(&task, &slot, PLAIN));
        assert_eq!(class, Class::Plain);
        assert!(Shape::of_header(&new).is_some_and(|header| header.key == id(A)));
        assert!(opens(&new, binding(&here, &slot)));
        assert!(!opens(&new, binding(&there, &slot)));
        let is_field = matches!(slot, Slot::Field(_));
        let other = Slot::Field(b"otro".to_vec());
        assert!(!opens(&new, binding(&here, &other)));
        assert_eq!(opens(&new, binding(&here, &Slot::Element(77))), !is_field);
        // A second pass has nothing to do.
        let keep = Verdict::Keep(Class::Sealed(id(A)));
        assert_eq!(judge(&task, &slot, &new), keep);
    }
}

#[test]
fn migrate_writes_the_format_and_the_armor_that_its_sealer_writes() {
    let slot = Slot::Whole;
    let classic = Migrate::new(sealer(Format::Classic));
    let (class, new) = replaced(judge(&classic, &slot, PLAIN));
    assert_eq!(
        (class, Shape::of(&new)),
        (Class::Plain, Shape::MaybeClassic)
    );
    assert!(opens(&new, binding(&name(), &slot)));
    let armored = Migrate::new(sealer(Format::Sealed).armored(true));
    let (_, new) = replaced(judge(&armored, &slot, PLAIN));
    assert!(new.starts_with(b"ws2:") && opens(&new, binding(&name(), &slot)));
}

#[test]
fn migrate_converts_classic_values_only_if_the_sealed_format_is_written() {
    for (slot, key) in slots().iter().flat_map(|slot| [(slot, A), (slot, B)]) {
        let old = under(key, Format::Classic, slot);
        let classic = Class::Classic(id(key));
        let stays = Migrate::new(sealer(Format::Classic));
        assert_eq!(judge(&stays, slot, &old), Verdict::Keep(classic));
        let (class, new) = replaced(judge(&Migrate::new(sealer(Format::Sealed)), slot, &old));
        assert_eq!(class, classic);
        assert!(Shape::of_header(&new).is_some_and(|header| header.key == id(A)));
        assert!(opens(&new, binding(&name(), slot)));
    }
}

#[test]
fn migrate_keeps_sealed_values_under_any_key_it_holds() {
    for (format, armor) in FORMATS.into_iter().flat_map(|f| [(f, false), (f, true)]) {
        let task = Migrate::new(sealer(format).armored(armor));
        for (slot, key) in slots().iter().flat_map(|slot| [(slot, A), (slot, B)]) {
            let keep = Verdict::Keep(Class::Sealed(id(key)));
            assert_eq!(judge(&task, slot, &under(key, Format::Sealed, slot)), keep);
            assert_eq!(judge(&task, slot, &armored(key, slot)), keep);
        }
    }
}

#[test]
fn without_a_key_nothing_is_sealed_and_the_pass_ends() {
    let name = name();
    let value = Value {
        name: &name,
        slot: &Slot::Whole,
        stored: PLAIN,
        user: None,
        is_excepted: false,
    };
    let keyless = || Sealer::without_keys();
    assert_eq!(Migrate::new(keyless()).judge(&value), Err(SealError::NoKey));
    assert_eq!(Rotate::new(keyless()).judge(&value), Err(SealError::NoKey));
    assert_eq!(
        Decrypt::new(keyless()).judge(&value),
        Ok(Verdict::Keep(Class::Plain))
    );
}

#[test]
fn rotate_keeps_the_sealed_format_and_the_armor_whatever_its_sealer_writes() {
    for (slot, format) in slots().iter().flat_map(|slot| FORMATS.map(|f| (slot, f))) {
        let task = Rotate::new(sealer(format));
        let (class, new) = replaced(judge(&task, slot, &under(B, Format::Sealed, slot)));
        assert_eq!(class, Class::Sealed(id(B)));
        let header = Shape::of_header(&new).expect("it is still sealed");
        assert_eq!((header.key, new.starts_with(b"ws2:")), (id(A), false));
        assert!(opens(&new, binding(&name(), slot)));

        let (class, new) = replaced(judge(&task, slot, &armored(B, slot)));
        assert_eq!(class, Class::Sealed(id(B)));
        let header = Shape::of_header(&new).expect("it is still sealed");
        assert_eq!((header.key, new.starts_with(b"ws2:")), (id(A), true));
        assert!(opens(&new, binding(&name(), slot)));
    }
}

#[test]
fn rotate_reseals_classic_and_plain_values_under_the_sealing_key() {
    for (slot, format) in slots().iter().flat_map(|slot| FORMATS.map(|f| (slot, f))) {
        let task = Rotate::new(sealer(format));
        let old = under(B, Format::Classic, slot);
        for (stored, was) in [(&old[..], Class::Classic(id(B))), (PLAIN, Class::Plain)] {
            let (class, new) = replaced(judge(&task, slot, stored));
            assert_eq!(class, was);
            assert!(opens(&new, binding(&name(), slot)));
            let now = match format {
                Format::Classic => Class::Classic(id(A)),
                Format::Sealed => Class::Sealed(id(A)),
            };
            assert_eq!(judge(&task, slot, &new), Verdict::Keep(now));
        }
    }
}

#[test]
fn rotate_keeps_values_under_the_sealing_key() {
    for slot in slots() {
        let task = Rotate::new(sealer(Format::Classic));
        let classic = under(A, Format::Classic, &slot);
        let keep = Verdict::Keep(Class::Classic(id(A)));
        assert_eq!(judge(&task, &slot, &classic), keep);
        for sealed in [under(A, Format::Sealed, &slot), armored(A, &slot)] {
            let keep = Verdict::Keep(Class::Sealed(id(A)));
            assert_eq!(judge(&task, &slot, &sealed), keep);
        }
        // If the sealed format is written, classic values are replaced.
        let lifted = replaced(judge(&Rotate::new(sealer(Format::Sealed)), &slot, &classic));
        assert_eq!(lifted.0, Class::Classic(id(A)));
        assert!(Shape::of_header(&lifted.1).is_some());
    }
}

#[test]
fn decrypt_restores_sealed_values_and_keeps_plain_ones() {
    let task = Decrypt::new(sealer(Format::Sealed));
    for (slot, key) in slots().iter().flat_map(|slot| [(slot, A), (slot, B)]) {
        let plain = |class| Verdict::Replace(class, PLAIN.to_vec());
        let classic = judge(&task, slot, &under(key, Format::Classic, slot));
        assert_eq!(classic, plain(Class::Classic(id(key))));
        for sealed in [under(key, Format::Sealed, slot), armored(key, slot)] {
            assert_eq!(judge(&task, slot, &sealed), plain(Class::Sealed(id(key))));
        }
        assert_eq!(judge(&task, slot, PLAIN), Verdict::Keep(Class::Plain));
    }
}

#[test]
fn an_envelope_that_was_damaged_anywhere_is_never_replaced() {
    let slot = Slot::Whole;
    let whole = under(A, Format::Sealed, &slot);
    assert!(opens(&whole, binding(&name(), &slot)) && damaged(whole.clone()) != whole);
    for at in 0..whole.len() {
        let mut bad = whole.clone();
        bad[at] ^= 0x10;
        for verdict in [
            judge(&Migrate::new(sealer(Format::Sealed)), &slot, &bad),
            judge(&Rotate::new(sealer(Format::Sealed)), &slot, &bad),
            judge(&Decrypt::new(sealer(Format::Sealed)), &slot, &bad),
        ] {
            assert!(
                matches!(verdict, Verdict::Fault(..)),
                "byte {at}: {verdict:?}"
            );
        }
    }
}
