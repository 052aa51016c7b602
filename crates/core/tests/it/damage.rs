//! Every truncation and every flipped bit of an envelope is refused, and never taken for plain.

use serde::Deserialize;
use waxseal_core::{
    Binding, EnvelopeRules, EnvelopeVersion, Format, Mode, OpenError, PlainValues, Sealer,
};

use crate::{KEY, OTHER_KEY, STATE, sealer};

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

fn is_refused(sealer: &Sealer, stored: &[u8]) -> bool {
    matches!(
        sealer.open(stored, place()),
        Err(OpenError::Refused | OpenError::Malformed(_) | OpenError::UnknownKey { .. })
    )
}

/// True if these bytes are refused under the key if the classic format is written.
fn refused(key: &str, stored: &[u8]) -> bool {
    is_refused(&sealer(key, "", Mode::On, Format::Classic), stored)
}

/// Sealers of all modes, formats and kinds of plain values that accept plain values.
fn every_sealer(key: &str) -> Vec<Sealer> {
    let mut all = Vec::new();
    for mode in [Mode::Off, Mode::On] {
        for format in [Format::Classic, Format::Sealed] {
            for plain in [PlainValues::Json, PlainValues::Any] {
                all.push(sealer(key, "", mode, format).plain_values(plain));
            }
        }
    }
    all
}

fn envelopes() -> Vec<(&'static str, Vec<u8>)> {
    use EnvelopeVersion::{V2, V3};
    let seal = |format, write, armored| {
        let accept = V2;
        sealer(KEY, "", Mode::On, format)
            .rules(EnvelopeRules { write, accept })
            .armored(armored)
            .seal(STATE, place())
            .unwrap()
    };
    vec![
        ("classic", seal(Format::Classic, V2, false)),
        ("sealed", seal(Format::Sealed, V2, false)),
        ("armored", seal(Format::Sealed, V2, true)),
        ("sealed", seal(Format::Sealed, V3, false)),
        ("armored", seal(Format::Sealed, V3, true)),
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
fn every_flipped_bit_of_the_sealed_format_is_refused_whatever_is_configured() {
    let here = every_sealer(KEY);
    // Without the key, the envelope is still one.
    let elsewhere = every_sealer(OTHER_KEY);
    for (form, envelope) in envelopes().into_iter().skip(1) {
        for bit in 0..envelope.len() * 8 {
            let mut damaged = envelope.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            for sealer in here.iter().chain(&elsewhere) {
                assert!(is_refused(sealer, &damaged), "{form}, bit {bit}");
            }
        }
    }
}

#[test]
fn every_replaced_byte_of_the_header_is_refused_whatever_is_configured() {
    let sealers = every_sealer(KEY);
    for at in [1, 3] {
        let (_, envelope) = envelopes().remove(at);
        for at in 0..8 {
            for byte in 0..=u8::MAX {
                let mut damaged = envelope.clone();
                damaged[at] = byte;
                let unchanged = damaged == envelope;
                let refused = |sealer: &Sealer| is_refused(sealer, &damaged);
                assert!(
                    unchanged || sealers.iter().all(refused),
                    "byte {at}: {byte}"
                );
            }
        }
        // Magic, version and flags are lost, and the id of the key remains.
        let mut damaged = envelope;
        damaged[..4].copy_from_slice(b"xxxx");
        assert!(sealers.iter().all(|it| is_refused(it, &damaged)));
    }
}

#[test]
fn an_envelope_that_a_client_read_as_text_and_wrote_back_is_refused() {
    let sealers = every_sealer(KEY);
    let mut binary: Vec<Vec<u8>> = [1, 3].map(|at| envelopes().remove(at).1).to_vec();
    let rules = EnvelopeRules {
        write: EnvelopeVersion::V3,
        accept: EnvelopeVersion::V2,
    };
    let deterministic = sealers[7].clone().rules(rules);
    for len in [0, 1, 13, 60] {
        let value = vec![b'm'; len];
        let member = Binding::member(b"wa:waiting");
        binary.push(deterministic.seal_deterministic(&value, member).unwrap());
    }
    for envelope in binary {
        let latin: String = envelope.iter().copied().map(char::from).collect();
        for text in [String::from_utf8_lossy(&envelope).into_owned(), latin] {
            assert!(sealers.iter().all(|it| is_refused(it, text.as_bytes())));
        }
    }
}

#[test]
fn short_values_of_applications_are_not_taken_for_deterministic_envelopes() {
    let sealers = every_sealer(KEY);
    let tokens = (0..500u32).map(|at| format!("{at:04}-5f2Zq0PmXb7LrT9aWcY1dKgHsJv"));
    let binary = (0..500u32).map(|at| {
        let byte = |i: u32| (at.wrapping_mul(2_654_435_761).rotate_left(i) >> 7) as u8;
        (0..30).map(byte).collect::<Vec<u8>>()
    });
    let known = [
        &b"{\"a\":1,\"b\":[2,3],\"c\":null}"[..],
        // One of the four bytes is right, or two.
        b"\xf5abc-binary-value-of-a-client",
        b"\xf5\x00\x03\x00-binary-value-of-a-client",
        b"ab\x03\x11-binary-value-of-a-client",
    ];
    let known = known.into_iter().map(<[u8]>::to_vec);
    for value in tokens.map(String::into_bytes).chain(binary).chain(known) {
        for sealer in &sealers {
            let opened = sealer.open(&value, place());
            assert!(
                opened.is_ok_and(|it| *it.unwrap().value == *value),
                "{value:x?}"
            );
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
            // The remainder of a text form can be too short to be distinguished from a word: if sealing is required,
            // that is refused as well.
            if form == "sealed" && len >= 2 || len >= 43 {
                assert!(refused(KEY, cut), "{form}, cut to {len}");
            }
            if form == "sealed" && len >= 2 || form == "armored" && len >= 4 {
                let sealers = every_sealer(KEY);
                assert!(
                    sealers.iter().all(|it| is_refused(it, cut)),
                    "{form}, {len}"
                );
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
        assert!(refused(OTHER_KEY, stored.as_bytes()), "{name}");
    }
}
