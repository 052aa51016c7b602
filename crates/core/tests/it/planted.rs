//! Values that are copied to a place of another kind, group, record or environment: version 3 refuses them, version 2
//! does not know of some of these.

use std::sync::Arc;

use waxseal_core::{
    Binding, EnvelopeRules, EnvelopeVersion, Form, Format, Keyring, Kind, Mode, OpenError,
    SealError, Sealer, Shape,
};

use crate::{KEY, STATE};

const NAME: &[u8] = b"wa:5215512345678";
const FIELD: &[u8] = b"email";

fn sealer_in(domain: &str, write: EnvelopeVersion) -> Sealer {
    let ring = Keyring::from_hex(KEY, "").unwrap();
    let accept = EnvelopeVersion::V2;
    let ring = ring
        .with_rules(EnvelopeRules { write, accept })
        .with_domain(domain.as_bytes());
    Sealer::new(Arc::new(ring), Mode::Required, Format::Sealed)
}

fn sealer(write: EnvelopeVersion) -> Sealer {
    sealer_in("production", write)
}

/// One binding of each kind, for the same record and group.
fn bindings(seals_to_group: bool) -> [Binding<'static>; 7] {
    let in_group = |binding: Binding<'static>| binding.in_group(b"bot-states", seals_to_group);
    [
        in_group(Binding::record(NAME)),
        in_group(Binding::element(NAME)),
        in_group(Binding::field(NAME, FIELD)),
        in_group(Binding::member(NAME)),
        in_group(Binding::stream_field(NAME, FIELD)),
        Binding::message(b"bot-states"),
        in_group(Binding::record_name(NAME)),
    ]
}

#[test]
fn bindings_are_of_the_kind_that_they_are_named_for() {
    assert_eq!(bindings(true).map(|binding| binding.kind()), Kind::ALL);
    assert_eq!(Binding::unbound().kind(), Kind::String);
}

#[test]
fn a_value_of_version_3_does_not_open_as_another_kind() {
    let sealer = sealer(EnvelopeVersion::V3);
    for seals_to_group in [false, true] {
        let bindings = bindings(seals_to_group);
        for from in bindings {
            let stored = sealer.seal(STATE, from).unwrap();
            for to in bindings {
                let opened = sealer.open(&stored, to);
                let what = format!("{} as {}", from.kind(), to.kind());
                if from.kind() == to.kind() {
                    assert_eq!(&*opened.unwrap().unwrap().value, STATE, "{what}");
                } else {
                    assert_eq!(opened.err(), Some(OpenError::Refused), "{what}");
                }
            }
        }
    }
}

#[test]
fn a_list_element_of_version_2_opens_as_a_string() {
    let sealer = sealer(EnvelopeVersion::V2);
    let stored = sealer.seal(STATE, Binding::element(NAME)).unwrap();
    assert!(sealer.open(&stored, Binding::record(NAME)).is_ok());
    assert!(sealer.open(&stored, Binding::field(NAME, FIELD)).is_err());
    // Kinds that version 2 never had have no values in it.
    for later in [
        Binding::member(NAME),
        Binding::record_name(NAME),
        Binding::stream_field(NAME, FIELD),
    ] {
        assert!(sealer.open(&stored, later).is_err(), "{}", later.kind());
    }
    let field = sealer.seal(STATE, Binding::field(NAME, FIELD)).unwrap();
    assert!(
        sealer
            .open(&field, Binding::stream_field(NAME, FIELD))
            .is_err()
    );
    let unbound = sealer.seal(STATE, Binding::unbound()).unwrap();
    assert!(sealer.open(&unbound, Binding::message(b"g")).is_err());
}

#[test]
fn values_of_old_forms_do_not_open_as_kinds_that_only_version_3_has() {
    let ring = Arc::new(Keyring::from_hex(KEY, "").unwrap());
    for format in [Format::Classic, Format::Sealed] {
        let sealer = Sealer::new(ring.clone(), Mode::On, format);
        let stored = sealer.seal(STATE, Binding::record(NAME)).unwrap();
        for to in bindings(false) {
            let opened = sealer.open(&stored, to);
            let what = format!("{format:?} as {}", to.kind());
            if !to.kind().is_in_version_2() && format == Format::Sealed {
                assert_eq!(opened.err(), Some(OpenError::Refused), "{what}");
            } else if !to.kind().is_in_version_2() {
                // Base64 as any other: the bytes themselves.
                let opened = opened.unwrap().unwrap();
                assert_eq!(
                    (&*opened.value, opened.form),
                    (&stored[..], Form::Plain),
                    "{what}"
                );
            } else if format == Format::Classic {
                assert_eq!(&*opened.unwrap().unwrap().value, STATE, "{what}");
            }
        }
    }
}

#[test]
fn a_value_of_version_3_does_not_open_in_another_environment() {
    let here = sealer(EnvelopeVersion::V3);
    let old = sealer(EnvelopeVersion::V2);
    for binding in bindings(false).into_iter().chain(bindings(true)) {
        let stored = here.seal(STATE, binding).unwrap();
        for domain in ["staging", "", "productio", "production "] {
            let there = sealer_in(domain, EnvelopeVersion::V3);
            let opened = there.open(&stored, binding);
            assert_eq!(opened.err(), Some(OpenError::Refused), "{domain}");
        }
    }
    // Version 2 has no domain.
    let stored = old.seal(STATE, Binding::record(NAME)).unwrap();
    let there = sealer_in("staging", EnvelopeVersion::V3);
    assert!(there.open(&stored, Binding::record(NAME)).is_ok());
}

#[test]
fn a_value_that_is_bound_to_a_group_opens_in_every_record_of_it_and_in_no_other() {
    let sealer = sealer(EnvelopeVersion::V3);
    let to_group = Binding::record(NAME).in_group(b"bot-states", true);
    let stored = sealer.seal(STATE, to_group).unwrap();
    let flags = Shape::of_header(&stored).unwrap().flags;
    assert!(flags.bound_to_group() && !flags.bound_to_record());
    let other = Binding::record(b"wa:5215500000000");
    for (place, opens) in [
        (to_group, true),
        // New values are bound to the record: those of the group still open.
        (Binding::record(NAME).in_group(b"bot-states", false), true),
        (other.in_group(b"bot-states", true), true),
        (Binding::record(NAME), false),
        (Binding::record(NAME).in_group(b"other", true), false),
        (Binding::record(NAME).in_group(b"", true), false),
        (Binding::record(b"bot-states"), false),
    ] {
        assert_eq!(sealer.open(&stored, place).is_ok(), opens);
    }
    // The reverse: one that is bound to its record opens there alone, with the group or without.
    let stored = sealer.seal(STATE, Binding::record(NAME)).unwrap();
    let flags = Shape::of_header(&stored).unwrap().flags;
    assert!(!flags.bound_to_group() && flags.bound_to_record());
    assert!(sealer.open(&stored, to_group).is_ok());
    assert!(
        sealer
            .open(&stored, other.in_group(b"bot-states", true))
            .is_err()
    );
    // A group and a record of one name are not the same.
    let of_group = Binding::record(b"x").in_group(NAME, true);
    assert!(sealer.open(&stored, of_group).is_err());
}

#[test]
fn what_version_2_cannot_express_is_an_error_that_says_so() {
    let sealer = sealer(EnvelopeVersion::V2);
    for binding in bindings(true).into_iter().take(3) {
        let error = sealer.seal(STATE, binding).unwrap_err();
        assert!(matches!(error, SealError::NeedsVersion3 { .. }));
        let text = error.to_string();
        assert!(text.contains("needs version 3"), "{text}");
        assert!(text.contains("--write-version 3"), "{text}");
    }
    let error = sealer.seal_deterministic(b"e", Binding::element(NAME));
    assert!(matches!(error, Err(SealError::NeedsVersion3 { .. })));
    let elements = sealer.deterministic_elements(true);
    let error = elements.seal(b"e", Binding::element(NAME));
    assert!(matches!(error, Err(SealError::NeedsVersion3 { .. })));
}

#[test]
fn kinds_that_only_version_3_has_are_written_in_it_whatever_is_configured() {
    let classic = sealer(EnvelopeVersion::V2).format(Format::Classic);
    for sealer in [sealer(EnvelopeVersion::V2), classic] {
        for binding in bindings(true).into_iter().skip(3) {
            let stored = sealer.seal(STATE, binding).unwrap();
            let header = Shape::of_header(&stored).unwrap();
            assert_eq!(header.version, EnvelopeVersion::V3);
            // Values that are looked up are equal if their plaintext is.
            let is_looked_up = matches!(binding.kind(), Kind::Member | Kind::RecordName);
            assert_eq!(header.flags.deterministic(), is_looked_up);
            assert_eq!(sealer.seal(STATE, binding).unwrap() == stored, is_looked_up);
            assert_eq!(
                sealer.to_store(STATE, binding).unwrap() == stored,
                is_looked_up
            );
            let opened = sealer.open(&stored, binding).unwrap().unwrap();
            assert_eq!(&*opened.value, STATE);
            let resealed = sealer.reseal(&stored, binding).unwrap();
            assert!(resealed == waxseal_core::ResealOutcome::Current);
        }
    }
}

#[test]
fn kinds_that_old_processes_do_not_count_are_not_sealed_beside_them() {
    let ring = Keyring::from_hex(KEY, "").unwrap().with_old_readers(true);
    let sealer = Sealer::new(Arc::new(ring), Mode::On, Format::Sealed);
    for binding in bindings(false) {
        let kind = binding.kind();
        let sealed = sealer.to_store(STATE, binding);
        if kind.is_in_version_2() {
            assert!(sealed.is_ok());
            continue;
        }
        let error = sealed.unwrap_err();
        assert_eq!(error, SealError::NeedsFormat2 { kind });
        assert!(error.to_string().contains("--document-format 2"));
        if kind.is_deterministic() {
            let forms = sealer.deterministic_forms(STATE, binding);
            assert_eq!(forms.unwrap_err(), error);
        }
    }
}

#[test]
fn elements_that_are_looked_up_are_sealed_deterministically_on_request() {
    let random = sealer(EnvelopeVersion::V3);
    let looked_up = random.clone().deterministic_elements(true);
    let element = Binding::element(NAME);
    let before = random.seal(STATE, element).unwrap();
    let stored = looked_up.seal(STATE, element).unwrap();
    assert_eq!(looked_up.seal(STATE, element).unwrap(), stored);
    assert!(Shape::of_header(&stored).unwrap().flags.deterministic());
    // Both open, and resealing an element at random makes the form that is looked up.
    for sealer in [&random, &looked_up] {
        for stored in [&before, &stored] {
            assert_eq!(
                &*sealer.open(stored, element).unwrap().unwrap().value,
                STATE
            );
        }
    }
    let resealed = looked_up.reseal(&before, element).unwrap();
    assert!(resealed == waxseal_core::ResealOutcome::Replaced(stored));
    // Other kinds are sealed as before.
    let record = looked_up.seal(STATE, Binding::record(NAME)).unwrap();
    assert!(!Shape::of_header(&record).unwrap().flags.deterministic());
}

#[test]
fn version_3_has_no_unbound_values() {
    let sealer = sealer(EnvelopeVersion::V3);
    let error = sealer.seal(STATE, Binding::unbound()).unwrap_err();
    assert_eq!(error, SealError::Unbound);
    assert!(error.to_string().contains("name its record or its group"));
    // Old ones open where nothing is bound, as before.
    let stored = self::sealer(EnvelopeVersion::V2)
        .seal(STATE, Binding::unbound())
        .unwrap();
    assert!(sealer.open(&stored, Binding::unbound()).is_ok());
    assert!(sealer.open(&stored, Binding::record(NAME)).is_err());
    let to_group = Binding::unbound().in_group(b"bot-states", true);
    assert!(sealer.seal(STATE, to_group).is_ok());
}

#[test]
fn a_header_is_version_and_flags_of_what_was_sealed() {
    let sealer = sealer(EnvelopeVersion::V3);
    for (binding, flags) in [
        (Binding::record(NAME), 0x01),
        (Binding::element(NAME), 0x01),
        (Binding::field(NAME, FIELD), 0x03),
        (Binding::stream_field(NAME, FIELD), 0x03),
        (Binding::message(b"g"), 0x08),
        (Binding::field(NAME, FIELD).in_group(b"g", true), 0x0a),
        (Binding::field(NAME, FIELD).in_group(b"g", false), 0x03),
    ] {
        let stored = sealer.seal(STATE, binding).unwrap();
        assert_eq!(stored[..4], [0xF5, 0x57, 3, flags]);
        assert_eq!(stored.len(), STATE.len() + 48);
        let header = Shape::of_header(&stored).unwrap();
        assert_eq!(header.version, EnvelopeVersion::V3);
        assert_eq!(header.flags.bound_to_field(), flags & 2 != 0);
        assert!(!header.flags.deterministic() && !header.flags.per_user_key());
    }
}
