//! Records of every kind in the reference store, and its contents afterwards.

use std::collections::BTreeMap;
use std::sync::Arc;

use waxseal_core::{Binding, Format};
use waxseal_stores::{
    Cursor, Expiry, Lifetime, MemoryStore, Record, RecordName, RecordPattern, RecordStore, Slot,
};
use waxseal_testing::{state_json_sized, state_name};

use super::{A, B, C, damaged, envelope, sealer};

/// A time far ahead, in milliseconds since the Unix epoch.
pub(super) const FAR: u64 = 4_102_444_800_000;

/// Every value by record and slot, with the record's lifetime.
pub(super) type Contents = BTreeMap<(Vec<u8>, String), (Vec<u8>, Lifetime)>;

pub(super) fn plain(i: u64) -> Vec<u8> {
    state_json_sized(i, 200).into_bytes()
}

pub(super) fn record(i: u64) -> RecordName {
    RecordName::from(state_name(i))
}

pub(super) async fn put(store: &MemoryStore, name: &RecordName, slot: &Slot, value: &[u8]) {
    let put = store.put(name, slot, value, Expiry::Keep).await;
    put.expect("the store takes it");
}

/// Plain string records.
pub(super) async fn plain_store(count: u64) -> Arc<MemoryStore> {
    let store = MemoryStore::default();
    for i in 0..count {
        put(&store, &record(i), &Slot::Whole, &plain(i)).await;
    }
    Arc::new(store)
}

/// Ten kinds of records, a tenth each: plain, classic, sealed, sealed under the older key, empty,
/// damaged, sealed under an unknown key, hashes of a plain, a sealed and an empty field, lists of
/// two plain elements, a sealed and a damaged one, and plain ones that expire.
pub(super) async fn mixed_store(count: u64) -> Arc<MemoryStore> {
    let store = MemoryStore::default();
    for i in 0..count {
        let (name, value) = (record(i), plain(i));
        let here = Binding::record(name.as_bytes());
        let sealed = |key| envelope(key, Format::Sealed, &value, here);
        let stored = match i % 10 {
            0 | 9 => value.clone(),
            1 => envelope(A, Format::Classic, &value, here),
            2 => sealed(A),
            3 => sealed(B),
            4 => Vec::new(),
            5 => damaged(sealed(A)),
            6 => sealed(C),
            7 => {
                let place = Binding::field(name.as_bytes(), b"sealed");
                let in_field = envelope(A, Format::Sealed, &value, place);
                for (field, value) in [
                    (&b"plain"[..], &value),
                    (b"sealed", &in_field),
                    (b"empty", &Vec::new()),
                ] {
                    put(&store, &name, &Slot::Field(field.to_vec()), value).await;
                }
                continue;
            }
            _ => {
                let elements = [value.clone(), value.clone(), sealed(A), damaged(sealed(B))];
                store.append(&name, &elements).expect("a list");
                continue;
            }
        };
        let expiry = match i % 10 {
            9 => Expiry::At(FAR + i),
            _ => Expiry::Persistent,
        };
        let written = store.put(&name, &Slot::Whole, &stored, expiry).await;
        written.expect("the store takes it");
    }
    Arc::new(store)
}

/// The contents of a store.
pub(super) async fn contents(store: &MemoryStore) -> Contents {
    let all = RecordPattern::parse("*").expect("a pattern");
    let page = store
        .scan(&all, &Cursor::start(), usize::MAX)
        .await
        .unwrap();
    let held = store.read(&page.names).await.unwrap();
    let lifetimes = store.lifetimes(&page.names).await.unwrap();
    let mut found = BTreeMap::new();
    for ((name, held), lifetime) in page.names.iter().zip(held).zip(lifetimes) {
        let slots = match held.expect("nothing expires meanwhile") {
            Record::String(value) => vec![(Slot::Whole, value)],
            _ => {
                let page = store.read_slots(name, &Cursor::start(), usize::MAX).await;
                page.unwrap().slots
            }
        };
        for (slot, value) in slots {
            let slot = match slot {
                Slot::Whole => "whole".to_owned(),
                Slot::Field(field) => format!("field {}", field.escape_ascii()),
                Slot::Element(index) => format!("element {index}"),
                Slot::Member(_) | Slot::StreamField(_) => panic!("the store holds none"),
            };
            found.insert((name.as_bytes().to_vec(), slot), (value, lifetime));
        }
    }
    found
}

/// Asserts that each of these plain string records is sealed now, and opens to what it held.
pub(super) async fn assert_sealed(store: &MemoryStore, count: u64) {
    let sealer = sealer(Format::Sealed);
    for i in 0..count {
        let name = record(i);
        let stored = store
            .get(&name, &Slot::Whole)
            .await
            .unwrap()
            .expect("it is there");
        assert!(
            stored.starts_with(&[0xF5, 0x57]),
            "record {i} is not sealed"
        );
        let opened = sealer.open(&stored, Binding::record(name.as_bytes()));
        assert!(*opened.unwrap().expect("not empty").value == *plain(i));
    }
}
