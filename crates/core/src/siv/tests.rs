//! AES-SIV against the vectors of Wycheproof, and the library against those of RFC 5297, which has none for keys of
//! 512 bits.

use aes_siv::siv::Aes128Siv;
use serde::Deserialize;

use super::*;

#[derive(Deserialize)]
struct Wycheproof {
    tests: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Case {
    tc_id: u32,
    key: String,
    aad: String,
    msg: String,
    ct: String,
    result: String,
}

/// A case of Wycheproof, decoded.
pub(crate) struct Vector {
    pub(crate) id: u32,
    pub(crate) key: [u8; SIV_KEY_LEN],
    pub(crate) associated_data: Vec<u8>,
    pub(crate) value: Vec<u8>,
    pub(crate) iv: [u8; SIV_LEN],
    pub(crate) ciphertext: Vec<u8>,
    pub(crate) is_valid: bool,
}

pub(crate) fn wycheproof() -> Vec<Vector> {
    let cases = include_str!("../../tests/vectors/wycheproof-aes-siv-cmac.json");
    let cases = serde_json::from_str::<Wycheproof>(cases).unwrap().tests;
    let vectors = cases.into_iter().map(|case| {
        let sealed = unhex(&case.ct);
        let (iv, ciphertext) = sealed.split_first_chunk().unwrap();
        Vector {
            id: case.tc_id,
            key: unhex(&case.key).try_into().unwrap(),
            associated_data: unhex(&case.aad),
            value: unhex(&case.msg),
            iv: *iv,
            ciphertext: ciphertext.to_vec(),
            is_valid: case.result == "valid",
        }
    });
    vectors.collect()
}

fn unhex(hex: &str) -> Vec<u8> {
    (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
        .collect()
}

#[test]
fn the_wycheproof_cases_hold() {
    let mut seen = [0, 0];
    for case in wycheproof() {
        let key = SivKey::new(&case.key);
        let mut text = case.ciphertext.clone();
        let opened = key.open_in_place(&case.associated_data, &case.iv, &mut text);
        assert_eq!(opened.is_some(), case.is_valid, "case {}", case.id);
        // A refused ciphertext is left unchanged, so that nothing of its plaintext is shown.
        let expected = match case.is_valid {
            true => &case.value,
            false => &case.ciphertext,
        };
        assert_eq!(text, *expected, "case {}", case.id);
        let mut text = case.value;
        let iv = key.seal_in_place(&case.associated_data, &mut text).unwrap();
        let is_same = iv == case.iv && text == case.ciphertext;
        assert_eq!(is_same, case.is_valid, "case {}", case.id);
        seen[usize::from(case.is_valid)] += 1;
    }
    assert_eq!(seen, [108, 39]);
}

#[test]
fn the_vectors_of_rfc_5297_pass() {
    for (key, headers, value, sealed) in [
        (
            "fffefdfcfbfaf9f8f7f6f5f4f3f2f1f0f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff",
            vec!["101112131415161718191a1b1c1d1e1f2021222324252627"],
            "112233445566778899aabbccddee",
            "85632d07c6e8f37f950acd320a2ecc9340c02b9690c4dc04daef7f6afe5c",
        ),
        (
            "7f7e7d7c7b7a79787776757473727170404142434445464748494a4b4c4d4e4f",
            vec![
                "00112233445566778899aabbccddeeffdeaddadadeaddadaffeeddccbbaa99887766554433221100",
                "102030405060708090a0",
                "09f911029d74e35bd84156c5635688c0",
            ],
            "7468697320697320736f6d6520706c61696e7465787420746f20656e6372797074207573696e67205349562d414553",
            "7bdb6e3b432667eb06f4d14bff2fbd0fcb900f2fddbe404326601965c889bf17dba77ceb094fa663b7a3f748ba8af829\
             ea64ad544a272e9c485b62a3fd5c0d",
        ),
    ] {
        let key: [u8; 32] = unhex(key).try_into().unwrap();
        let headers: Vec<_> = headers.into_iter().map(unhex).collect();
        let mut text = unhex(value);
        let iv = Aes128Siv::new(&key.into())
            .encrypt_inout_detached(&headers, text.as_mut_slice().into())
            .unwrap();
        assert_eq!([&iv[..], &text].concat(), unhex(sealed));
    }
}

#[test]
fn threads_that_use_one_key_at_once_agree() {
    let key = SivKey::new(&std::array::from_fn(|at| at as u8));
    let seal = |value: &[u8]| {
        let mut text = value.to_vec();
        let iv = key.seal_in_place(b"here", &mut text).unwrap();
        (iv, text)
    };
    let values: Vec<Vec<u8>> = (0..60).map(|len| vec![b'v'; len]).collect();
    let expected: Vec<_> = values.iter().map(|value| seal(value)).collect();
    // More threads than can work at the same time.
    std::thread::scope(|scope| {
        for _ in 0..2 * SLOTS {
            scope.spawn(|| {
                for _ in 0..20 {
                    for ((iv, sealed), value) in expected.iter().zip(&values) {
                        assert_eq!((*iv, sealed.clone()), seal(value));
                        let mut text = sealed.clone();
                        key.open_in_place(b"here", iv, &mut text).unwrap();
                        assert_eq!(&text, value);
                    }
                }
            });
        }
    });
}
