//! Names that anyone may have put into the store, before the sealer of names: whatever opens is a form of its name, a name
//! that is sealed opens, and not once it is damaged, cut or longer.
#![no_main]

use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use waxseal_core::{
    IndexKey, IndexKeyRole, KeyId, Keyring, NameError, NamePrefix, NameSealer, PadNames,
    PreparedNames, SecretKey,
};

const KEY: &str = "6c1f0a5be2d94738a1c05f3e7b9d2846f0e1d2c3b4a5968778695a4b3c2d1e0f";
const OLD_KEY: &str = "91d2c3b4a5968778695a4b3c2d1e0f6c1f0a5be2d94738a1c05f3e7b9d2846f0";
/// The characters of base64url, in their order.
const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static NAMES: LazyLock<PreparedNames> = LazyLock::new(|| {
    let index_key = |id: u32| {
        let bytes: [u8; 32] = std::array::from_fn(|at| at as u8 ^ id as u8);
        let key = SecretKey::from_bytes(&bytes).ok().unwrap();
        Arc::new(IndexKey::with_id(KeyId::from_u32(id), &key))
    };
    let ring = Keyring::from_hex(KEY, OLD_KEY).unwrap();
    let ring = ring.with_domain(*b"production").with_index_keys(vec![
        (index_key(1), IndexKeyRole::Reading),
        (index_key(2), IndexKeyRole::Writing),
    ]);
    NameSealer::new(Arc::new(ring), PREFIXES.clone()).load()
});

static PREFIXES: LazyLock<Vec<NamePrefix>> = LazyLock::new(|| {
    let pad = |multiple| PadNames::new(multiple).unwrap();
    let padded = NamePrefix::new(*b"wa:", pad(16)).with_former_pad(pad(1));
    vec![
        NamePrefix::new(*b"wa:", pad(1)),
        padded.clone(),
        padded.on_cluster().unwrap(),
        NamePrefix::new(*b"", pad(1)),
        NamePrefix::new(*b"bull:{q}:", pad(256))
            .on_cluster()
            .unwrap(),
    ]
});

// The first byte chooses the prefix, the second a position.
fuzz_target!(|input: &[u8]| {
    let [choice, position, input @ ..] = input else {
        return;
    };
    let prefix = usize::from(*choice) % PREFIXES.len();
    let readable = PREFIXES[prefix].prefix();
    check_stored(prefix, input);
    let rest = [readable, input].concat();
    check_stored(prefix, &rest);
    check_stored(prefix, &[readable, b"~", input].concat());
    // Any text of an envelope of a name.
    let text: Vec<u8> = input
        .iter()
        .map(|byte| BASE64[usize::from(byte % 64)])
        .collect();
    for tag in ["", "{06S}"] {
        check_stored(
            prefix,
            &[readable, b"~", tag.as_bytes(), b"9VcDE", &text].concat(),
        );
    }
    check_name(prefix, &rest, usize::from(*position));
});

fn form(prefix: usize, form: usize, name: &[u8]) -> Vec<u8> {
    let mut stored = Vec::new();
    NAMES
        .seal(prefix, form, name, &mut stored)
        .expect("it can be sealed");
    stored
}

fn check_stored(prefix: usize, stored: &[u8]) {
    let readable = PREFIXES[prefix].prefix();
    let may_be = PreparedNames::may_be_sealed(readable, stored);
    let mut name = b"before".to_vec();
    match NAMES.open(prefix, stored, &mut name) {
        Ok(key) => {
            assert!(may_be);
            assert_eq!(PreparedNames::key_of(&stored[readable.len()..]), Some(key));
            let name = &name[b"before".len()..];
            let mut forms = 0..NAMES.forms(prefix);
            assert!(forms.any(|at| form(prefix, at, name) == stored));
        }
        Err(error) => {
            assert_eq!(error == NameError::NotSealed, !may_be);
            assert_eq!(name, b"before");
        }
    }
}

fn check_name(prefix: usize, name: &[u8], position: usize) {
    for at in 0..NAMES.forms(prefix) {
        let stored = form(prefix, at, name);
        let mut opened = Vec::new();
        NAMES
            .open(prefix, &stored, &mut opened)
            .expect("what was sealed opens");
        assert_eq!(opened, name);
        check_stored(prefix, &stored);
        let position = position % stored.len();
        let mut flipped = stored.clone();
        flipped[position] ^= 1 << (position % 8);
        let longer = [&stored[..], &stored[..1]].concat();
        for damaged in [&flipped[..], &stored[..position], &longer] {
            assert!(NAMES.open(prefix, damaged, &mut Vec::new()).is_err());
        }
    }
}
