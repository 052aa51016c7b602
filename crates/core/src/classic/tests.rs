//! The classic format against values that Node created, and its AEAD against Wycheproof.

use serde::Deserialize;

use super::*;

#[derive(Deserialize)]
struct Node {
    key_hex: String,
    valid: Vec<Valid>,
}

#[derive(Deserialize)]
struct Valid {
    name: String,
    iv_hex: String,
    value_hex: String,
    stored: String,
}

#[derive(Deserialize)]
struct Wycheproof {
    tests: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Case {
    tc_id: u32,
    key: String,
    iv: String,
    aad: String,
    msg: String,
    ct: String,
    tag: String,
    result: String,
}

fn unhex(hex: &str) -> Vec<u8> {
    (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
        .collect()
}

#[test]
fn sealing_with_the_iv_of_node_returns_the_bytes_of_node() {
    let node: Node =
        serde_json::from_str(include_str!("../../tests/vectors/classic.json")).unwrap();
    let key = ClassicKey::new(&unhex(&node.key_hex).try_into().unwrap());
    assert!(!node.valid.is_empty());
    for Valid {
        name,
        iv_hex,
        value_hex,
        stored,
    } in node.valid
    {
        let value = unhex(&value_hex);
        let sealed = key
            .seal(&unhex(&iv_hex).try_into().unwrap(), &value)
            .unwrap();
        assert_eq!(sealed, stored.as_bytes(), "{name}");
        match open(stored.as_bytes(), std::iter::once(&key), |key| key) {
            ClassicValue::Opened { value: opened, .. } => assert_eq!(opened, value, "{name}"),
            ClassicValue::Refused | ClassicValue::OtherForm => panic!("{name} does not open"),
        }
    }
}

#[test]
fn base64_in_place_is_right_around_every_chunk_boundary() {
    let key = ClassicKey::new(&[7; 32]);
    for len in (0..70)
        .chain(CHUNK - 40..CHUNK + 40)
        .chain((2..6).flat_map(|chunks| chunks * CHUNK - 40..chunks * CHUNK))
    {
        let value = vec![b'v'; len];
        let stored = key.seal(&[9; 16], &value).unwrap();
        let mut raw = Raw::decode(&stored).unwrap();
        let decoded = STANDARD.decode_to_vec(&stored).unwrap();
        assert_eq!([&raw.prefix[..], &raw.text].concat(), decoded);
        assert_eq!(raw.prefix[..16], [9; 16]);
        key.open(&mut raw).expect("opens");
        assert_eq!(raw.text, value);
    }
}

#[test]
fn what_is_no_base64_of_at_least_32_bytes_does_not_decode() {
    let encode = |len: usize| STANDARD.encode_type::<Vec<u8>>(vec![b'v'; len]);
    for len in 0..32 {
        assert!(Raw::decode(&encode(len)).is_none(), "{len}");
    }
    for len in 32..60 {
        let stored = encode(len);
        assert!(Raw::decode(&stored).is_some(), "{len}");
        assert!(Raw::decode(&stored[..stored.len() - 1]).is_none(), "{len}");
        // Padding and invalid characters, at every position but the last.
        for at in 0..stored.len() - 4 {
            for stray in *b"=-_ \n{\0" {
                let mut damaged = stored.clone();
                damaged[at] = stray;
                assert!(Raw::decode(&damaged).is_none(), "{len}, {at}");
            }
        }
        if stored.ends_with(b"=") {
            let longer = [&stored[..], b"AAAA"].concat();
            assert!(Raw::decode(&longer).is_none(), "{len}");
        }
    }
}

#[test]
fn the_wycheproof_cases_with_ivs_of_128_bits_hold() {
    let file = include_str!("../../tests/vectors/wycheproof-aes-256-gcm.json");
    let mut seen = 0;
    for case in serde_json::from_str::<Wycheproof>(file).unwrap().tests {
        if case.iv.len() != 32 {
            continue;
        }
        let key = ClassicKey::new(&unhex(&case.key).try_into().unwrap()).0;
        let iv: [u8; 16] = unhex(&case.iv).try_into().unwrap();
        let tag: [u8; 16] = unhex(&case.tag).try_into().unwrap();
        let (aad, mut text) = (unhex(&case.aad), unhex(&case.ct));
        let opened = key
            .decrypt_inout_detached(&iv.into(), &aad, text.as_mut_slice().into(), &tag.into())
            .is_ok();
        assert_eq!(opened, case.result == "valid", "case {}", case.tc_id);
        if opened {
            assert_eq!(text, unhex(&case.msg), "case {}", case.tc_id);
        }
        seen += 1;
    }
    assert!(seen > 10, "only {seen} cases were run");
}

#[test]
fn a_wrong_key_or_tag_leaves_the_text_unchanged_for_the_next_key() {
    let (key, other) = (ClassicKey::new(&[7; 32]), ClassicKey::new(&[8; 32]));
    for len in [0, 1, 16, 1_000] {
        let value = vec![b'v'; len];
        let stored = key.seal(&[9; 16], &value).unwrap();
        let mut raw = Raw::decode(&stored).unwrap();
        let sealed = raw.text.clone();
        assert!(other.open(&mut raw).is_none());
        assert_eq!(raw.text, sealed);
        for bit in 0..128 {
            raw.prefix[IV_LEN + bit / 8] ^= 1 << (bit % 8);
            assert!(key.open(&mut raw).is_none());
            assert_eq!(raw.text, sealed);
            raw.prefix[IV_LEN + bit / 8] ^= 1 << (bit % 8);
        }
        key.open(&mut raw).expect("opens");
        assert_eq!(raw.text, value);
    }
}

#[test]
fn the_wycheproof_cases_with_ivs_of_96_bits_hold_for_the_aead_under_the_sealed_format() {
    use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
    let file = include_str!("../../tests/vectors/wycheproof-aes-256-gcm.json");
    let mut seen = [0, 0];
    for case in serde_json::from_str::<Wycheproof>(file).unwrap().tests {
        if case.iv.len() != 24 {
            continue;
        }
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &unhex(&case.key)).unwrap());
        let nonce = Nonce::try_assume_unique_for_key(&unhex(&case.iv)).unwrap();
        let mut text = unhex(&case.ct);
        text.extend(unhex(&case.tag));
        let opened = key.open_in_place(nonce, Aad::from(unhex(&case.aad)), &mut text);
        assert_eq!(
            opened.is_ok(),
            case.result == "valid",
            "case {}",
            case.tc_id
        );
        if let Ok(opened) = opened {
            assert_eq!(opened, unhex(&case.msg), "case {}", case.tc_id);
            seen[1] += 1;
        } else {
            seen[0] += 1;
        }
    }
    assert!(
        seen[0] > 0 && seen[1] > 0,
        "valid and invalid cases were run"
    );
}
