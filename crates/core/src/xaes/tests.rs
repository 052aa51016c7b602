//! XAES-256-GCM against the vectors of its specification and against another implementation.

use serde::Deserialize;
use sha3::Shake128;
use sha3::digest::{ExtendableOutput, Update, XofReader};
use xaes_256_gcm::Xaes256Gcm;
use xaes_256_gcm::aead::{Aead, KeyInit, Payload};

use super::*;

#[derive(Deserialize)]
struct File {
    vectors: Vec<Vector>,
    accumulated: Accumulated,
}

#[derive(Deserialize)]
struct Vector {
    key: String,
    nonce_ascii: String,
    value_ascii: String,
    aad_ascii: String,
    derived_key: String,
    ciphertext_and_tag: String,
}

#[derive(Deserialize)]
struct Accumulated {
    iterations_10000: String,
    iterations_1000000: String,
}

fn published() -> File {
    serde_json::from_str(include_str!("../../tests/vectors/xaes-256-gcm.json")).unwrap()
}

fn unhex(hex: &str) -> Vec<u8> {
    (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
        .collect()
}

fn key_of(hex: &str) -> XaesKey {
    XaesKey::new(&unhex(hex).try_into().unwrap()).unwrap()
}

#[test]
fn the_published_vectors_pass() {
    for vector in published().vectors {
        let key = key_of(&vector.key);
        let nonce: [u8; NONCE_LEN] = vector.nonce_ascii.as_bytes().try_into().unwrap();
        let derived = key.derive(nonce.first_chunk().unwrap()).unwrap();
        assert_eq!(derived.as_slice(), unhex(&vector.derived_key));

        let mut sealed = vector.value_ascii.clone().into_bytes();
        let tag = key
            .seal_in_place(&nonce, vector.aad_ascii.as_bytes(), &mut sealed)
            .unwrap();
        let mut value = vec![0; sealed.len()];
        key.open_to(
            &nonce,
            vector.aad_ascii.as_bytes(),
            &sealed,
            &tag,
            &mut value,
        )
        .unwrap();
        assert_eq!(value, vector.value_ascii.as_bytes());
        sealed.extend_from_slice(&tag);
        assert_eq!(sealed, unhex(&vector.ciphertext_and_tag));
    }
}

/// Runs the accumulated test: random inputs from one SHAKE-128, ciphertexts into another.
fn accumulate(iterations: u32) -> Vec<u8> {
    let mut stream = Shake128::default().finalize_xof();
    let mut digest = Shake128::default();
    let mut read = |len: usize| {
        let mut bytes = vec![0; len];
        stream.read(&mut bytes);
        bytes
    };
    for _ in 0..iterations {
        let key = XaesKey::new(&read(32).try_into().unwrap()).unwrap();
        let nonce: [u8; NONCE_LEN] = read(24).try_into().unwrap();
        let len = usize::from(read(1)[0]);
        let mut value = read(len);
        let len = usize::from(read(1)[0]);
        let associated_data = read(len);
        let tag = key
            .seal_in_place(&nonce, &associated_data, &mut value)
            .unwrap();
        digest.update(&value);
        digest.update(&tag);
    }
    let mut result = vec![0; 32];
    digest.finalize_xof().read(&mut result);
    result
}

#[test]
fn the_accumulated_vector_of_ten_thousand_messages_passes() {
    assert_eq!(
        accumulate(10_000),
        unhex(&published().accumulated.iterations_10000)
    );
}

#[test]
fn the_accumulated_vector_of_a_million_messages_passes() {
    assert_eq!(
        accumulate(1_000_000),
        unhex(&published().accumulated.iterations_1000000)
    );
}

#[test]
fn another_implementation_agrees_at_every_length() {
    let bytes: Vec<u8> = (0..=255).collect();
    let key: [u8; 32] = bytes[7..39].try_into().unwrap();
    let (ours, theirs) = (XaesKey::new(&key).unwrap(), Xaes256Gcm::new(&key.into()));
    for len in 0..bytes.len() {
        let nonce: [u8; NONCE_LEN] = bytes[len % 200..len % 200 + NONCE_LEN].try_into().unwrap();
        let (msg, aad) = (&bytes[..len], &bytes[len..]);
        let mut sealed = msg.to_vec();
        let tag = ours.seal_in_place(&nonce, aad, &mut sealed).unwrap();
        sealed.extend_from_slice(&tag);
        assert_eq!(
            sealed,
            theirs.encrypt(&nonce.into(), Payload { msg, aad }).unwrap()
        );
    }
}
