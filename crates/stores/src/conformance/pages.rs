//! Reading many records at once, and large ones in pages.

use std::collections::BTreeMap;

use futures_util::{StreamExt, stream};

use super::Bench;
use crate::error::StoreError;
use crate::record::{Cursor, Expiry, Record, RecordName, Slot};

pub(super) async fn records_of_all_types_are_read_in_one_call(bench: &Bench<'_>) {
    let name = |suffix: &str| bench.name(suffix);
    bench
        .put(&name("string"), b"value\x00\xff", Expiry::Persistent)
        .await;
    bench.put_field(&name("hash"), b"field", b"value").await;
    bench
        .subject
        .make_list(&name("list"), vec![b"value".to_vec()])
        .await;
    let has_set = bench.make_set(&name("set")).await;
    let suffixes = [
        "list",
        "absent",
        "string",
        "set",
        "hash",
        "absent too",
        "string",
    ];
    let names: Vec<RecordName> = suffixes.iter().map(|suffix| name(suffix)).collect();
    let records = bench
        .store
        .read(&names)
        .await
        .expect("any records can be read in one call");
    assert_eq!(
        records.len(),
        names.len(),
        "there is one answer for each name"
    );
    for (suffix, record) in suffixes.into_iter().zip(records) {
        let kind = record.as_ref().map(Record::kind);
        match suffix {
            "absent" | "absent too" => assert_eq!(kind, None, "an absent record is read as none"),
            "string" => assert!(
                record == Some(Record::String(b"value\x00\xff".to_vec())),
                "a string record is read with its bytes"
            ),
            "set" => {
                let expected = has_set.then_some("set");
                assert_eq!(kind, expected, "a record is named by its type");
                let is_set = record.is_none_or(|record| record == Record::Set);
                assert!(is_set, "a set is neither string nor hash nor list");
            }
            other => assert_eq!(kind, Some(other), "answers come in the order of the names"),
        }
    }
    let none = bench.store.read(&[]).await.expect("no names can be read");
    assert!(none.is_empty(), "no names have no answers");
}

pub(super) async fn a_repeated_name_is_read_twice(bench: &Bench<'_>) {
    let names: Vec<RecordName> = (0..1500)
        .map(|n| bench.name(format!("{}", n % 500)))
        .collect();
    for (n, name) in names.iter().take(500).enumerate() {
        bench
            .put(name, n.to_string().as_bytes(), Expiry::Persistent)
            .await;
    }
    let records = bench
        .store
        .read(&names)
        .await
        .expect("any records can be read in one call");
    assert_eq!(
        records.len(),
        names.len(),
        "there is one answer for each name"
    );
    for (n, record) in records.into_iter().enumerate() {
        let expected = Record::String((n % 500).to_string().into_bytes());
        assert!(
            record == Some(expected),
            "a repeated name is answered twice"
        );
    }
}

pub(super) async fn three_thousand_fields_come_in_pages(bench: &Bench<'_>) {
    let hash = bench.name("hash");
    let mut expected = BTreeMap::from([(Vec::new(), b"of the empty field".to_vec())]);
    for n in 0..3000_u32 {
        let field = [&n.to_be_bytes()[..], b"\xff\r\n"].concat();
        expected.insert(field, format!("value {n}").into_bytes());
    }
    let mut writes = Vec::with_capacity(expected.len());
    for (field, value) in &expected {
        writes.push(bench.put_field(&hash, field, value));
    }
    stream::iter(writes)
        .buffer_unordered(256)
        .collect::<Vec<()>>()
        .await;
    for count in [100, 10_000] {
        let read = bench.slots(&hash, count).await;
        assert!(read.len() >= expected.len(), "no field is missing");
        let read = read.into_iter().map(|(slot, value)| match slot {
            Slot::Field(field) => (field, value),
            other => panic!("a hash record has fields, not {other:?}"),
        });
        let read: BTreeMap<Vec<u8>, Vec<u8>> = read.collect();
        assert!(read == expected, "every field is returned with its value");
    }
    let page = bench
        .store
        .read_slots(&hash, &Cursor::start(), 100)
        .await
        .expect("a page");
    assert!(
        page.slots.len() < 1000,
        "a page of 100 slots holds about as many"
    );
    assert!(page.next.is_some(), "a page of 100 is not the end of 3,000");
}

pub(super) async fn three_thousand_elements_come_in_pages(bench: &Bench<'_>) {
    let list = bench.name("list");
    let expected: Vec<Vec<u8>> = (0..3000_u32)
        .map(|n| [&n.to_be_bytes()[..], b"\xff\r\n"].concat())
        .collect();
    bench.subject.make_list(&list, expected.clone()).await;
    for count in [1, 100, 1000, 10_000] {
        let read = bench.slots(&list, count).await;
        assert_eq!(read.len(), expected.len(), "every element is returned once");
        for ((n, expected), (slot, value)) in (0..).zip(&expected).zip(read) {
            assert!(
                slot == Slot::Element(n),
                "elements are in order, counted from the head"
            );
            assert!(
                value == *expected,
                "every element is returned with its value"
            );
        }
    }
    let page = bench
        .store
        .read_slots(&list, &Cursor::start(), 100)
        .await
        .expect("a page");
    assert!(
        page.slots.len() < 1000,
        "a page of 100 slots holds about as many"
    );
}

pub(super) async fn pages_of_other_records(bench: &Bench<'_>) {
    let absent = bench.slots(&bench.name("absent"), 10).await;
    assert!(absent.is_empty(), "an absent record has no slots");
    let string = bench.name("string");
    bench.put(&string, b"value", Expiry::Persistent).await;
    let page = bench.store.read_slots(&string, &Cursor::start(), 10).await;
    let refused = matches!(page, Err(StoreError::WrongType));
    assert!(refused, "a string record is not read in pages");
}
