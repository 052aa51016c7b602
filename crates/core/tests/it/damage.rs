//! Every truncation and every flipped bit of an envelope is refused, and never taken for plain.

use serde::Deserialize;
use waxseal_core::{Binding, Format, Mode, OpenError, PlainValues};

use crate::{KEY, STATE, sealer};

#[derive(Deserialize)]
struct Vectors {
    key_hex: String,
    valid: Vec<Valid>,
    refused: Vec<Refused>,
}

#[derive(Deserialize)]
struct Valid {
    name: String,
    stored: String,
}

#[derive(Deserialize)]
struct Refused {
    name: String,
    stored: String,
}

fn vectors() -> Vectors {
    serde_json::from_str(include_str!("../vectors/classic.json")).unwrap()
}

fn place() -> Binding<'static> {
    Binding::record(b"wa:5215512345678")
}

/// Whether these bytes are refused under the key, plain values being JSON and still accepted.
fn refused(key: &str, stored: &[u8]) -> bool {
    let on = sealer(key, "", Mode::On, Format::Sealed);
    matches!(
        on.open(stored, place()),
        Err(OpenError::Refused | OpenError::Malformed(_) | OpenError::UnknownKey { .. })
    )
}

fn envelopes() -> Vec<(&'static str, Vec<u8>)> {
    let seal = |format, armored| {
        sealer(KEY, "", Mode::On, format)
            .armored(armored)
            .seal(STATE, place())
            .unwrap()
    };
    vec![
        ("classic", seal(Format::Classic, false)),
        ("sealed", seal(Format::Sealed, false)),
        ("armored", seal(Format::Sealed, true)),
    ]
}

#[test]
fn every_flipped_bit_is_refused() {
    for (form, envelope) in envelopes() {
        for bit in 0..envelope.len() * 8 {
            let mut damaged = envelope.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(refused(KEY, &damaged), "{form}, bit {bit}");
        }
    }
}

#[test]
fn every_flipped_bit_of_the_vectors_is_refused() {
    let vectors = vectors();
    for Valid { name, stored } in vectors.valid.iter().filter(|v| v.stored.len() < 1_000) {
        for bit in 0..stored.len() * 8 {
            let mut damaged = stored.clone().into_bytes();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(refused(&vectors.key_hex, &damaged), "{name}, bit {bit}");
        }
    }
}

#[test]
fn every_truncation_is_refused() {
    for (form, envelope) in envelopes() {
        for len in 1..envelope.len() {
            let cut = &envelope[..len];
            // What is left of a text form can be too short to tell from a word: where sealing is
            // required that is refused as well.
            if form == "sealed" || len >= 43 {
                assert!(refused(KEY, cut), "{form}, cut to {len}");
            }
            let required = sealer(KEY, "", Mode::Required, Format::Sealed);
            assert!(
                required.open(cut, place()).is_err(),
                "{form}, cut to {len}, required"
            );
        }
    }
}

#[test]
fn every_defect_of_the_vectors_is_refused() {
    let vectors = vectors();
    assert!(vectors.refused.len() > 3);
    for Refused { name, stored } in vectors.refused {
        let required = sealer(&vectors.key_hex, "", Mode::Required, Format::Classic);
        assert!(required.open(stored.as_bytes(), place()).is_err(), "{name}");
        if stored.len() >= 43 {
            assert!(refused(&vectors.key_hex, stored.as_bytes()), "{name}");
        }
    }
}

#[test]
fn the_vectors_do_not_open_under_another_key() {
    for Valid { name, stored } in vectors().valid {
        assert!(refused(crate::OTHER_KEY, stored.as_bytes()), "{name}");
    }
}

#[test]
fn a_flipped_bit_behind_the_magic_is_refused_where_plain_values_can_be_anything() {
    let on = sealer(KEY, "", Mode::On, Format::Sealed).plain_values(PlainValues::Any);
    let envelope = on.seal(STATE, place()).unwrap();
    for bit in 16..envelope.len() * 8 {
        let mut damaged = envelope.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert!(on.open(&damaged, place()).is_err(), "bit {bit}");
    }
}
