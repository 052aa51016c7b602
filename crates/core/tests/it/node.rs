//! The classic format against the `crypto` module of Node: each side opens the values that the other seals.

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde::Deserialize;
use waxseal_core::{Binding, Form, Format, Mode, OpenError};
use waxseal_testing::node::{self, ClassicSeal};

use crate::{KEY, OTHER_KEY, sealer};

const VALUES: usize = 1_000;

#[derive(Deserialize)]
struct Vectors {
    key_hex: String,
    valid: Vec<Valid>,
    refused: Vec<Refused>,
}

#[derive(Deserialize)]
struct Valid {
    name: String,
    iv_hex: String,
    value_hex: String,
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

fn unhex(hex: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(byte).collect()
}

fn key_bytes(hex: &str) -> [u8; 32] {
    unhex(hex).try_into().unwrap()
}

/// Values of 0 to 4,000 bytes, every byte possible.
fn random_values() -> Vec<Vec<u8>> {
    let mut runner = TestRunner::default();
    let values = prop::collection::vec(any::<u8>(), 0..=4_000);
    let next = |_| values.new_tree(&mut runner).unwrap().current();
    (0..VALUES).map(next).collect()
}

#[test]
fn node_opens_a_thousand_random_values_that_were_sealed_here() {
    let values = random_values();
    let sealer = sealer(KEY, "", Mode::On, Format::Classic);
    let seal = |value: &Vec<u8>| sealer.seal(value, Binding::unbound()).unwrap();
    let stored: Vec<_> = values
        .iter()
        .map(|value| String::from_utf8(seal(value)).expect("Base64 is text"))
        .collect();
    let opened = node::classic_open(&key_bytes(KEY), &stored);
    let expected: Vec<_> = values.into_iter().map(Some).collect();
    assert!(opened == expected);
    let opened = node::classic_open(&key_bytes(OTHER_KEY), &stored);
    assert!(opened.iter().all(Option::is_none));
}

#[test]
fn a_thousand_random_values_that_node_sealed_open_here() {
    let values = random_values();
    let key = key_bytes(KEY);
    let seal = |value| ClassicSeal {
        key: &key,
        iv: None,
        value,
    };
    let requests: Vec<_> = values.iter().map(|value| seal(value.as_slice())).collect();
    let stored = node::classic_seal(&requests);
    // With a binding or without: the classic format has none.
    let place = Binding::record(b"wa:5215512345678");
    let (ours, other) = (
        sealer(KEY, "", Mode::Required, Format::Sealed),
        sealer(OTHER_KEY, "", Mode::Required, Format::Classic),
    );
    for (value, stored) in values.iter().zip(&stored) {
        let opened = ours.open(stored.as_bytes(), place).unwrap().unwrap();
        assert!(opened.value == *value && matches!(opened.form, Form::Classic { .. }));
        assert!(other.open(stored.as_bytes(), place) == Err(OpenError::Refused));
    }
}

#[test]
fn node_returns_and_opens_every_vector() {
    let vectors = vectors();
    let key = key_bytes(&vectors.key_hex);
    let inputs: Vec<([u8; 16], Vec<u8>)> = vectors
        .valid
        .iter()
        .map(|valid| {
            let iv = unhex(&valid.iv_hex).try_into().unwrap();
            (iv, unhex(&valid.value_hex))
        })
        .collect();
    assert!(inputs.len() >= 8);
    let seal = |(iv, value)| ClassicSeal {
        key: &key,
        iv: Some(iv),
        value,
    };
    let requests: Vec<_> = inputs
        .iter()
        .map(|(iv, value)| seal((iv, value.as_slice())))
        .collect();
    let sealed = node::classic_seal(&requests);
    let opened = node::classic_open(&key, &sealed);
    for ((valid, (_, value)), (sealed, opened)) in vectors
        .valid
        .iter()
        .zip(&inputs)
        .zip(sealed.iter().zip(&opened))
    {
        assert_eq!(*sealed, valid.stored, "{}", valid.name);
        assert_eq!(opened.as_ref(), Some(value), "{}", valid.name);
    }
}

#[test]
fn values_that_node_refuses_are_refused_here() {
    let vectors = vectors();
    let stored: Vec<_> = vectors.refused.iter().map(|it| &it.stored).collect();
    assert!(!stored.is_empty());
    let opened = node::classic_open(&key_bytes(&vectors.key_hex), &stored);
    // In mode `on`, a value that is too short for an envelope would be plain.
    let sealer = sealer(&vectors.key_hex, "", Mode::Required, Format::Classic);
    for (refused, by_node) in vectors.refused.iter().zip(opened) {
        assert_eq!(by_node, None, "{}", refused.name);
        let here = sealer.open(refused.stored.as_bytes(), Binding::unbound());
        let expected = if refused.stored.len() < 43 {
            OpenError::Plaintext
        } else {
            OpenError::Refused
        };
        assert!(here == Err(expected), "{}", refused.name);
    }
}
