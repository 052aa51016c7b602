//! Stored names that were changed, made up, or sealed for other records: none of them opens.

use std::sync::Arc;

use proptest::prelude::*;
use waxseal_core::{
    Binding, EnvelopeRules, EnvelopeVersion, Format, Keyring, Mode, NameError, NamePrefix,
    NameSealer, PreparedNames, SealError, Sealer,
};

use super::{NAME, names, on_cluster, opened, pad, plain_prefix, ring, sealed};
use crate::{KEY, OLD_KEY};

/// The stored name of this envelope behind `wa:`.
fn stored(envelope: &[u8]) -> Vec<u8> {
    let encoded = base64_simd::URL_SAFE_NO_PAD.encode_to_string(envelope);
    format!("wa:~{encoded}").into_bytes()
}

fn envelope(stored: &[u8]) -> Vec<u8> {
    let encoded = stored.strip_prefix(b"wa:~").unwrap();
    base64_simd::URL_SAFE_NO_PAD.decode_to_vec(encoded).unwrap()
}

fn value_sealer(ring: Keyring) -> Sealer {
    let rules = EnvelopeRules {
        write: EnvelopeVersion::V3,
        accept: EnvelopeVersion::V3,
    };
    Sealer::new(Arc::new(ring.with_rules(rules)), Mode::On, Format::Sealed)
}

#[test]
fn a_name_with_one_bit_changed_cut_or_longer_does_not_open() {
    for prefix in [
        plain_prefix(b"wa:"),
        on_cluster(b"wa:"),
        NamePrefix::new(*b"wa:", pad(16)),
    ] {
        let names = names(ring(), prefix);
        for name in [
            NAME,
            b"wa:",
            b"wa:a name that is longer than a block of AES",
        ] {
            let stored = sealed(&names, 0, name);
            for bit in 0..stored.len() * 8 {
                let mut changed = stored.clone();
                changed[bit / 8] ^= 1 << (bit % 8);
                assert!(opened(&names, &changed).is_err(), "{bit}");
            }
            for len in 0..stored.len() {
                assert!(opened(&names, &stored[..len]).is_err(), "{len}");
            }
            for byte in 0..=u8::MAX {
                let longer = [&stored[..], &[byte]].concat();
                assert!(opened(&names, &longer).is_err(), "{byte}");
            }
        }
    }
}

#[test]
fn every_bit_of_the_envelope_counts() {
    let names = names(ring(), plain_prefix(b"wa:"));
    let sound = envelope(&sealed(&names, 0, NAME));
    for bit in 0..sound.len() * 8 {
        let mut changed = sound.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let error = opened(&names, &stored(&changed)).unwrap_err();
        let is_expected = match (bit / 8, error) {
            // The first bits of the flags are in the characters that all sealed names begin with.
            (0..=3, NameError::NotSealed) => bit / 8 < 3 || bit % 8 > 1,
            (3, NameError::Malformed) => bit % 8 <= 1,
            (4..8, NameError::UnknownKey { .. }) | (8.., NameError::Refused) => true,
            _ => false,
        };
        assert!(is_expected, "bit {bit}: {error}");
    }
    // A text of one block or none that is cut has another synthetic IV.
    for len in 24..sound.len() {
        let error = opened(&names, &stored(&sound[..len])).unwrap_err();
        assert_eq!(error == NameError::Malformed, len == 24, "{len}: {error}");
    }
}

#[test]
fn base64_has_one_reading() {
    let names = names(ring(), plain_prefix(b"wa:"));
    for name in [NAME, b"wa:52155123456", b"wa:521551234567"] {
        let stored = sealed(&names, 0, name);
        let last = *stored.last().unwrap();
        let others = (0..=u8::MAX).filter(|byte| *byte != last);
        for byte in others {
            let mut changed = stored.clone();
            *changed.last_mut().unwrap() = byte;
            assert!(opened(&names, &changed).is_err());
        }
        for end in ["=", "==", "A", "\n", " ", "\0"] {
            let longer = [&stored[..], end.as_bytes()].concat();
            assert!(opened(&names, &longer).is_err(), "{end:?}");
        }
        let standard: Vec<u8> = stored
            .iter()
            .map(|byte| match byte {
                b'-' => b'+',
                b'_' => b'/',
                other => *other,
            })
            .collect();
        assert!(standard == stored || opened(&names, &standard).is_err());
    }
    // The spare bits of the last character: two of a text of one byte more, four of one of two.
    let spare = |name: &[u8], len: usize| {
        let stored = sealed(&names, 0, name);
        assert_eq!(envelope(&stored).len() % 3, len);
        let mut changed = stored;
        *changed.last_mut().unwrap() += 1;
        opened(&names, &changed)
    };
    assert_eq!(spare(b"wa:", 1), Err(NameError::Malformed));
    assert_eq!(spare(b"wa:1", 2), Err(NameError::Malformed));
}

#[test]
fn a_name_opens_only_for_its_prefix_domain_kind_and_key() {
    let here = names(ring(), plain_prefix(b"wa:"));
    let sound = sealed(&here, 0, NAME);
    let refused = |names: &PreparedNames| opened(names, &sound).unwrap_err();
    let staging = names(ring().with_domain(*b"staging"), plain_prefix(b"wa:"));
    assert_eq!(refused(&staging), NameError::Refused);
    let longer = names(ring(), plain_prefix(b"wa:~"));
    assert_eq!(refused(&longer), NameError::NotSealed);
    // The same envelope behind another prefix.
    let elsewhere = names(ring(), plain_prefix(b"wb:"));
    let planted = [b"wb", &sound[2..]].concat();
    assert_eq!(opened(&elsewhere, &planted), Err(NameError::Refused));
    let other = Keyring::from_hex(OLD_KEY, "").unwrap();
    let other = names(other.with_domain(*b"production"), plain_prefix(b"wa:"));
    assert!(matches!(refused(&other), NameError::UnknownKey { .. }));

    // A member of a record that is named as the prefix is, with the text of a name.
    let sealer = value_sealer(ring());
    let text = [&NAME[3..], &[0x80]].concat();
    let member = sealer.seal_deterministic(&text, Binding::member(b"wa:"));
    let member = member.unwrap();
    assert_eq!(member[..8], envelope(&sound)[..8]);
    assert_eq!(member.len(), envelope(&sound).len());
    // Not only another code: nothing of it is the same.
    assert_ne!(member[8..24], envelope(&sound)[8..24]);
    assert_ne!(member[24..], envelope(&sound)[24..]);
    assert_eq!(opened(&here, &stored(&member)), Err(NameError::Refused));
    // Other envelopes than those of names.
    for other in [
        sealer.seal(&text, Binding::record(b"wa:")),
        sealer.seal_deterministic(&text, Binding::record_name(b"wa:").in_group(b"g", true)),
    ] {
        let error = opened(&here, &stored(&other.unwrap())).unwrap_err();
        assert!(matches!(error, NameError::NotSealed | NameError::Malformed));
    }
}

#[test]
fn a_text_without_its_end_or_padded_otherwise_does_not_open() {
    let sealer = value_sealer(ring());
    let sealed = |text: &[u8]| {
        let binding = Binding::record_name(b"wa:");
        stored(&sealer.seal_deterministic(text, binding).unwrap())
    };
    let unpadded = names(ring(), plain_prefix(b"wa:"));
    let padded = names(ring(), NamePrefix::new(*b"wa:", pad(16)));
    assert_eq!(opened(&unpadded, &sealed(b"1\x80")).unwrap(), b"wa:1");
    let whole = b"1\x80\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    assert_eq!(opened(&padded, &sealed(whole)).unwrap(), b"wa:1");
    let refused = Err(NameError::OtherPadding);
    for text in [&b"1"[..], b"1\x81", b"\0", b"\0\0", b"1\x80\0", whole] {
        assert_eq!(opened(&unpadded, &sealed(text)), refused, "{text:?}");
    }
    let two_blocks = [&whole[..], &[0; 16]].concat();
    for text in [&b"1\x80"[..], &whole[..15], &two_blocks, &[0; 16]] {
        assert_eq!(opened(&padded, &sealed(text)), refused, "{text:?}");
    }
    // A text without any bytes is none.
    assert_eq!(opened(&unpadded, &sealed(b"")), Err(NameError::Malformed));
    // Longer than any name.
    let long = [&vec![b'n'; 65_534][..], &[0x80]].concat();
    assert_eq!(opened(&unpadded, &sealed(&long)), Err(NameError::Malformed));
    let longer = vec![0x80; 70_000];
    assert_eq!(
        opened(&unpadded, &sealed(&longer)),
        Err(NameError::Malformed)
    );
}

#[test]
fn a_tag_is_that_of_the_names_slot_and_only_on_a_cluster() {
    let (alone, cluster) = (
        names(ring(), plain_prefix(b"wa:")),
        names(ring(), on_cluster(b"wa:")),
    );
    let (untagged, tagged) = (sealed(&alone, 0, NAME), sealed(&cluster, 0, NAME));
    let wrong = Err(NameError::WrongTag);
    assert_eq!(opened(&cluster, &untagged), wrong);
    assert_eq!(opened(&alone, &tagged), wrong);
    for tag in ["{0cW}", "{000}", "{}}}}", "{\0\0\0}"] {
        let planted = [b"wa:~", tag.as_bytes(), &tagged[9..]].concat();
        assert_eq!(opened(&cluster, &planted), wrong, "{tag}");
    }
    // Another tag of the same slot.
    let number = waxseal_topology::slot(NAME);
    let mut texts = (0..1_000_000).map(|number| format!("{number:03}"));
    let other = texts.find(|it| it.len() > 3 && waxseal_topology::slot(it.as_bytes()) == number);
    let other = [b"wa:~{", other.unwrap().as_bytes(), b"}", &tagged[9..]].concat();
    assert_eq!(waxseal_topology::slot(&other), number);
    assert_eq!(opened(&cluster, &other), Err(NameError::NotSealed));
}

#[test]
fn errors_are_told_in_words_and_hold_no_name() {
    let names = names(ring(), plain_prefix(b"wa:"));
    let mut changed = sealed(&names, 0, NAME);
    *changed.last_mut().unwrap() ^= 4;
    let error = opened(&names, &changed).unwrap_err();
    assert_eq!(error.to_string(), "the name does not open");
    let too_long = vec![b'5'; 70_000];
    let error = names.seal(0, 0, &[b"wa:", &too_long[..]].concat(), &mut Vec::new());
    assert_eq!(error, Err(SealError::TooLong));
    assert!(!error.unwrap_err().to_string().contains("55"));
}

proptest! {
    #[test]
    fn what_opens_is_a_form_of_its_name(
        start in prop::sample::select(vec!["wa:~9VcDE", "wa:~{0cV}9VcDE", "wa:~", "wa:", ""]),
        rest in proptest::collection::vec(any::<u8>(), 0..80),
        name in proptest::collection::vec(any::<u8>(), 0..40),
        position in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let keys = Keyring::from_hex(KEY, OLD_KEY).unwrap();
        let prefix = NamePrefix::new(*b"wa:", pad(16)).with_former_pad(pad(1));
        let cluster = prefix.clone().on_cluster().unwrap();
        let sealer = NameSealer::new(Arc::new(keys), vec![prefix, cluster]);
        let names = sealer.load();
        let name = [b"wa:", &name[..]].concat();
        let made_up = [start.as_bytes(), &rest].concat();
        for prefix in 0..2 {
            let mut seen = vec![made_up.clone()];
            for form in 0..names.forms(prefix) {
                let mut stored = Vec::new();
                names.seal(prefix, form, &name, &mut stored).unwrap();
                let mut out = Vec::new();
                prop_assert!(names.open(prefix, &stored, &mut out).is_ok());
                prop_assert_eq!(&out, &name);
                let at = position.index(stored.len());
                stored[at] = byte;
                seen.push(stored);
            }
            for stored in seen {
                let mut out = Vec::new();
                let Ok(key) = names.open(prefix, &stored, &mut out) else {
                    prop_assert!(out.is_empty());
                    continue;
                };
                prop_assert!(PreparedNames::may_be_sealed(b"wa:", &stored));
                prop_assert_eq!(PreparedNames::key_of(&stored[3..]), Some(key));
                let forms = (0..names.forms(prefix)).map(|form| {
                    let mut again = Vec::new();
                    names.seal(prefix, form, &out, &mut again).map(|()| again)
                });
                let forms: Vec<_> = forms.map(Result::unwrap).collect();
                prop_assert!(forms.contains(&stored));
            }
        }
    }
}
