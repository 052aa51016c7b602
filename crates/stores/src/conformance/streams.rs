//! Values of streams: reading them. They cannot be replaced.

use super::{Bench, Collection};
use crate::error::StoreError;
use crate::record::{Expiry, Record, Slot, StreamEntry, StreamField};
use crate::store::Change;

fn slot(entry: u32, index: usize, field: &[u8]) -> Slot {
    Slot::StreamField(StreamField {
        entry: format!("{entry}-1"),
        index,
        field: field.to_vec(),
    })
}

/// An entry with two fields of one name, and an empty one.
fn entry(n: u32) -> StreamEntry {
    let value = |index: u32| [&(n * 10 + index).to_be_bytes()[..], b"\xff\r\n"].concat();
    let fields = [(0, &b"field"[..]), (1, b"field"), (2, b"")];
    let fields = fields.map(|(index, field)| (field.to_vec(), value(index)));
    StreamEntry {
        id: format!("{n}-1"),
        fields: fields.to_vec(),
    }
}

pub(super) async fn values_of_a_stream_come_in_pages_and_one_by_one(bench: &Bench<'_>) {
    let name = bench.name("stream");
    let entries: Vec<_> = (1..=1000).map(entry).collect();
    let stream = Collection::Stream(entries.clone());
    if !bench.subject.make(&name, stream).await {
        return;
    }
    assert!(
        bench.record(&name).await == Some(Record::Stream),
        "a stream is read with its type"
    );
    let all = (1..).zip(&entries).flat_map(|(n, entry)| {
        let values = entry.fields.iter().enumerate();
        values.map(move |(index, (field, value))| (slot(n, index, field), value.clone()))
    });
    let all: Vec<(Slot, Vec<u8>)> = all.collect();
    for count in [1, 100, 10_000] {
        let read = bench.slots(&name, count).await;
        assert!(read == all, "every value is returned once, in order");
    }
    for at in [0, 1, 2, 2999] {
        let (slot, value) = &all[at];
        let got = bench.slot(&name, slot).await;
        assert!(got.as_ref() == Some(value), "a value is read one by one");
    }
    for (slot, sentence) in [
        (slot(2000, 0, b"field"), "an entry that is not there"),
        (slot(1, 3, b"field"), "a field that is not there"),
        (slot(1, 2, b"field"), "a field of another name"),
    ] {
        let got = bench.slot(&name, &slot).await;
        assert_eq!(got, None, "{sentence} has no value");
    }
    let count = bench.store.slot_count(&name).await;
    assert!(
        matches!(count, Ok(None | Some(1000))),
        "entries are counted, or not reported"
    );
}

pub(super) async fn values_of_a_stream_are_not_written(bench: &Bench<'_>) {
    let name = bench.name("stream");
    let fields = entry(1).fields;
    let stream = Collection::Stream(vec![entry(1)]);
    if !bench.subject.make(&name, stream).await {
        return;
    }
    let slot = slot(1, 0, b"field");
    let old = &fields[0].1;
    let change = Change {
        name: &name,
        slot: &slot,
        expected: Some(old),
        value: b"new",
        expiry: Expiry::Keep,
    };
    let replaced = bench.store.replace_if_unchanged(&[change]).await;
    let put = bench.store.put(&name, &slot, b"new", Expiry::Keep).await;
    for refused in [replaced.map(drop), put] {
        assert!(
            matches!(refused, Err(StoreError::Unsupported { .. })),
            "a value of a stream cannot be replaced"
        );
    }
    let got = bench.slot(&name, &slot).await;
    assert!(got.as_ref() == Some(old), "nothing was changed");
}
