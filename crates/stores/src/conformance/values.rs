//! Putting, getting and deleting.

use super::Bench;
use crate::error::StoreError;
use crate::record::{Expiry, Lifetime, Record, Slot};

fn every_byte() -> Vec<u8> {
    (0..=u8::MAX).collect()
}

pub(super) async fn any_bytes_are_returned_unchanged(bench: &Bench<'_>) {
    for suffix in [
        &b""[..],
        b"\x00",
        b"\xff\xfe",
        b"two\r\nlines",
        b"{tag} and \"quotes\"",
        &every_byte(),
    ] {
        let name = bench.name([suffix, b" string"].concat());
        bench.put(&name, &every_byte(), Expiry::Persistent).await;
        assert_eq!(
            bench.get(&name).await,
            Some(every_byte()),
            "names and values are any bytes"
        );

        let hash = bench.name([suffix, b" hash"].concat());
        bench.put_field(&hash, suffix, &every_byte()).await;
        bench.put_field(&hash, b"another", suffix).await;
        let field = Slot::Field(suffix.to_vec());
        assert_eq!(
            bench.slot(&hash, &field).await,
            Some(every_byte()),
            "fields are any bytes"
        );
        let other = Slot::Field(b"another".to_vec());
        assert_eq!(
            bench.slot(&hash, &other).await.as_deref(),
            Some(suffix),
            "fields are apart"
        );
    }
    let list = bench.name("list");
    bench
        .subject
        .make_list(&list, vec![every_byte(), b"\xff".to_vec()])
        .await;
    assert_eq!(
        bench.slot(&list, &Slot::Element(0)).await,
        Some(every_byte()),
        "elements too"
    );
    assert_eq!(
        bench.slot(&list, &Slot::Element(1)).await,
        Some(b"\xff".to_vec()),
        "elements too"
    );
}

pub(super) async fn an_empty_value_is_a_value(bench: &Bench<'_>) {
    let (name, hash) = (bench.name("string"), bench.name("hash"));
    bench.put(&name, b"", Expiry::Persistent).await;
    assert_eq!(
        bench.get(&name).await,
        Some(Vec::new()),
        "an empty value is not an absent one"
    );
    assert!(
        bench.record(&name).await == Some(Record::String(Vec::new())),
        "a record with an empty value is read as a string"
    );
    bench.put_field(&hash, b"field", b"").await;
    let field = Slot::Field(b"field".to_vec());
    assert_eq!(
        bench.slot(&hash, &field).await,
        Some(Vec::new()),
        "a field may be empty"
    );
}

pub(super) async fn a_value_of_one_mebibyte_is_stored(bench: &Bench<'_>) {
    let value: Vec<u8> = every_byte().repeat(4096);
    let (name, hash) = (bench.name("string"), bench.name("hash"));
    bench.put(&name, &value, Expiry::Persistent).await;
    assert!(
        bench.get(&name).await.as_ref() == Some(&value),
        "a value of 1 MiB is stored"
    );
    bench.put_field(&hash, b"field", &value).await;
    let field = Slot::Field(b"field".to_vec());
    assert!(
        bench.slot(&hash, &field).await == Some(value),
        "a field of 1 MiB is stored"
    );
}

pub(super) async fn an_absent_slot_has_no_value(bench: &Bench<'_>) {
    let name = bench.name("absent");
    for slot in [
        Slot::Whole,
        Slot::Field(b"field".to_vec()),
        Slot::Element(0),
    ] {
        assert_eq!(
            bench.slot(&name, &slot).await,
            None,
            "an absent record holds nothing"
        );
    }
    assert!(
        bench.record(&name).await.is_none(),
        "an absent record is read as none"
    );
    assert_eq!(
        bench.lifetime(&name).await,
        Lifetime::Absent,
        "and has no lifetime"
    );

    let (hash, list) = (bench.name("hash"), bench.name("list"));
    bench.put_field(&hash, b"field", b"value").await;
    bench
        .subject
        .make_list(&list, vec![b"value".to_vec()])
        .await;
    let other = Slot::Field(b"other".to_vec());
    assert_eq!(
        bench.slot(&hash, &other).await,
        None,
        "a field that is not there holds nothing"
    );
    assert_eq!(
        bench.slot(&list, &Slot::Element(1)).await,
        None,
        "behind the end there is nothing"
    );
}

pub(super) async fn a_put_replaces_what_the_slot_held(bench: &Bench<'_>) {
    let (name, hash, list) = (bench.name("string"), bench.name("hash"), bench.name("list"));
    for value in [&b"a first, long value"[..], b"second"] {
        bench.put(&name, value, Expiry::Persistent).await;
        assert_eq!(
            bench.get(&name).await.as_deref(),
            Some(value),
            "a put replaces the value"
        );
        bench.put_field(&hash, b"field", value).await;
        let field = Slot::Field(b"field".to_vec());
        assert_eq!(
            bench.slot(&hash, &field).await.as_deref(),
            Some(value),
            "and the field"
        );
    }
    let elements = [b"0", b"1", b"2"].map(|element| element.to_vec());
    bench.subject.make_list(&list, elements.to_vec()).await;
    let put = bench
        .store
        .put(&list, &Slot::Element(1), b"new", Expiry::Keep)
        .await;
    assert_eq!(put, Ok(()), "an element that is there can be written");
    for (index, expected) in [&b"0"[..], b"new", b"2"].into_iter().enumerate() {
        let got = bench.slot(&list, &Slot::Element(index as u64)).await;
        assert_eq!(
            got.as_deref(),
            Some(expected),
            "a put replaces one element and no other"
        );
    }
}

pub(super) async fn a_whole_value_replaces_a_record_of_any_type(bench: &Bench<'_>) {
    let names = [bench.name("hash"), bench.name("list"), bench.name("set")];
    bench.put_field(&names[0], b"field", b"value").await;
    bench
        .subject
        .make_list(&names[1], vec![b"value".to_vec()])
        .await;
    bench.make_set(&names[2]).await;
    for name in &names {
        bench.put(name, b"a string now", Expiry::Keep).await;
        let now = bench.get(name).await;
        assert_eq!(
            now.as_deref(),
            Some(&b"a string now"[..]),
            "a record of any type is replaced"
        );
        assert_eq!(
            bench.kind(name).await.as_deref(),
            Some("string"),
            "and its type with it"
        );
    }
}

pub(super) async fn slots_of_another_type_are_refused(bench: &Bench<'_>) {
    let (string, hash, list) = (bench.name("string"), bench.name("hash"), bench.name("list"));
    bench.put(&string, b"value", Expiry::Persistent).await;
    bench.put_field(&hash, b"field", b"value").await;
    bench
        .subject
        .make_list(&list, vec![b"value".to_vec()])
        .await;
    let (field, element) = (Slot::Field(b"field".to_vec()), Slot::Element(0));
    let mut wrong = vec![
        (&string, &field),
        (&string, &element),
        (&hash, &Slot::Whole),
        (&hash, &element),
        (&list, &Slot::Whole),
        (&list, &field),
    ];
    let set = bench.name("set");
    if bench.make_set(&set).await {
        wrong.extend([(&set, &Slot::Whole), (&set, &field), (&set, &element)]);
    }
    for (name, slot) in wrong {
        let got = bench.store.get(name, slot).await;
        assert!(
            got == Err(StoreError::WrongType),
            "a slot of another type cannot be read"
        );
        if *slot != Slot::Whole {
            let put = bench.store.put(name, slot, b"new", Expiry::Keep).await;
            assert_eq!(
                put,
                Err(StoreError::WrongType),
                "a slot of another type cannot be written"
            );
        }
    }
    assert_eq!(
        bench.get(&string).await.as_deref(),
        Some(&b"value"[..]),
        "nothing was changed"
    );
    assert_eq!(
        bench.slot(&hash, &field).await.as_deref(),
        Some(&b"value"[..]),
        "nothing at all"
    );
    assert_eq!(
        bench.slot(&list, &element).await.as_deref(),
        Some(&b"value"[..]),
        "nothing at all"
    );
}

pub(super) async fn a_missing_element_cannot_be_written(bench: &Bench<'_>) {
    let (list, absent) = (bench.name("list"), bench.name("absent"));
    bench
        .subject
        .make_list(&list, vec![b"value".to_vec()])
        .await;
    for (name, index) in [(&list, 1), (&list, 1_000_000), (&absent, 0)] {
        let put = bench
            .store
            .put(name, &Slot::Element(index), b"new", Expiry::Keep)
            .await;
        assert!(put.is_err(), "an element must be there to be written");
    }
    assert_eq!(
        bench.slot(&list, &Slot::Element(1)).await,
        None,
        "the list did not grow"
    );
    assert!(bench.record(&absent).await.is_none(), "no list was created");
}

pub(super) async fn deleting_removes_a_record_of_any_type_and_returns_whether_it_existed(
    bench: &Bench<'_>,
) {
    let names = [
        bench.name("string"),
        bench.name("hash"),
        bench.name("list"),
        bench.name("set"),
    ];
    bench.put(&names[0], b"value", Expiry::Persistent).await;
    bench.put_field(&names[1], b"field", b"value").await;
    bench
        .subject
        .make_list(&names[2], vec![b"value".to_vec()])
        .await;
    let count = if bench.make_set(&names[3]).await {
        4
    } else {
        3
    };
    for name in &names[..count] {
        let deleted = bench.store.delete(name).await;
        assert_eq!(deleted, Ok(true), "a record of any type can be deleted");
        assert!(
            bench.record(name).await.is_none(),
            "a deleted record is absent"
        );
        assert_eq!(
            bench.store.delete(name).await,
            Ok(false),
            "there was none any more"
        );
    }
}
