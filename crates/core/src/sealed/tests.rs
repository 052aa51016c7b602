//! The vectors of the sealed format, made here with their nonces.

use serde::Deserialize;

use super::*;
use waxseal_kinds::Kind;

use crate::envelope;
use crate::index_key::{DerivedKeys, KeyUse};
use crate::key::SecretKey;

#[derive(Deserialize)]
struct Vectors {
    domain: String,
    data_key: Key,
    index_key: Key,
    user_key: Key,
    siv_keys: std::collections::BTreeMap<String, String>,
    envelopes: Vec<Vector>,
}

#[derive(Deserialize)]
struct Key {
    key_hex: String,
}

#[derive(Deserialize)]
struct Vector {
    name: String,
    kind: String,
    under: String,
    record: Option<String>,
    group: Option<String>,
    field: Option<String>,
    value_hex: String,
    nonce_hex: Option<String>,
    stored_hex: String,
}

fn vectors() -> Vectors {
    serde_json::from_str(include_str!("../../tests/vectors/envelopes.json")).unwrap()
}

fn unhex(hex: &str) -> Vec<u8> {
    (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
        .collect()
}

impl Vector {
    fn binding(&self) -> Binding<'_> {
        let record = self.record.as_deref().map(str::as_bytes);
        let field = self.field.as_deref().unwrap_or_default().as_bytes();
        let kind = Kind::ALL.into_iter().find(|it| it.as_str() == self.kind);
        let binding = match (kind.unwrap(), record) {
            (Kind::String, Some(record)) => Binding::record(record),
            (Kind::ListElement, Some(record)) => Binding::element(record),
            (Kind::HashField, Some(record)) => Binding::field(record, field),
            (Kind::Member, Some(record)) => Binding::member(record),
            (Kind::StreamField, Some(record)) => Binding::stream_field(record, field),
            (Kind::RecordName, Some(record)) => Binding::record_name(record),
            (Kind::Message, _) => Binding::message(b""),
            (_, _) => Binding::unbound(),
        };
        match self.group.as_deref() {
            Some(group) => binding.in_group(group.as_bytes(), true),
            None => binding,
        }
    }
}

#[test]
fn sealing_with_the_nonce_of_a_vector_returns_its_bytes() {
    let vectors = vectors();
    let mut seen = 0;
    for it in &vectors.envelopes {
        let Some(nonce) = &it.nonce_hex else { continue };
        let key = match &*it.under {
            "data key" => &vectors.data_key,
            _ => &vectors.user_key,
        };
        let key = XaesKey::new(&unhex(&key.key_hex).try_into().unwrap()).unwrap();
        let stored = unhex(&it.stored_hex);
        let (header, _) = envelope::split(&stored).unwrap();
        let place = Place {
            binding: &it.binding(),
            domain: vectors.domain.as_bytes(),
        };
        let nonce = unhex(nonce).try_into().unwrap();
        let made = seal(&key, header, &nonce, place, &unhex(&it.value_hex));
        assert_eq!(made, Some(stored), "{}", it.name);
        seen += 1;
    }
    assert_eq!(seen, 34);
}

#[test]
fn keys_of_aes_siv_are_derived_as_the_vectors_have_it() {
    let vectors = vectors();
    let uses = [
        ("member", KeyUse::Member),
        ("name", KeyUse::Name),
        ("list element", KeyUse::ListElement),
        ("user", KeyUse::User),
    ];
    for (name, expected) in &vectors.siv_keys {
        let (parent, of_use) = name.split_once(": ").unwrap();
        let parent = match parent {
            "index key" => &vectors.index_key,
            "data key" => &vectors.data_key,
            _ => &vectors.user_key,
        };
        let parent = SecretKey::from_hex(&parent.key_hex).ok().unwrap();
        let (label, of_use) = uses.into_iter().find(|(it, _)| *it == of_use).unwrap();
        let derived = parent.derive_pair(&format!("waxseal index key v1 {label}"));
        assert_eq!(derived.as_slice(), unhex(expected), "{name}");
        // The prepared key is the one of these bytes.
        let (mut ours, mut theirs) = (*b"value", *b"value");
        let prepared = DerivedKeys::of(&parent);
        let iv = prepared.key(of_use).seal_in_place(b"", &mut ours);
        let key = SivKey::new(&derived);
        assert_eq!(iv, key.seal_in_place(b"", &mut theirs), "{name}");
        assert_eq!(ours, theirs, "{name}");
    }
    assert_eq!(vectors.siv_keys.len(), 7);
}
