//! Documents of format 2: valid ones, and the handling of each defect.

use std::path::PathBuf;

use serde_json::{Value, json};
use waxseal_core::{Binding, Format, Mode, Sealer, hex};
use waxseal_keys::{
    DocumentError, DocumentFormat, IndexKeyState, KeyState, RecordNames, Ring, RingError,
    ScopeBinding,
};

use super::{V2, V3};
use crate::rings::{fixed_custodian, with};

/// The member `5215512345678` of `wa:index` under the index key that reads, and under the one that writes.
const MEMBERS: [&str; 2] = [
    "f55703118db9d82688e4db3b3d187a7726e06699eea752f0f4a6c7a6b6e6c5d805d6510806",
    "f5570311f42158161ba64845f114b10cdad2307adf93e505825a530a4a56e6008a651c7e83",
];
/// Every member, and every state.
const GOOD: &str = "good";
/// As a ring is created.
const CREATED: &str = "created";
/// Format 1 again, with destroyed entries for the index keys.
const RETURNED: &str = "returned";

type Edit = fn(&mut Value);

fn vector(name: &str) -> Vec<u8> {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/format-2");
    std::fs::read(directory.join(format!("{name}.json"))).unwrap()
}

fn good() -> Value {
    serde_json::from_slice(&vector(GOOD)).unwrap()
}

async fn open(bytes: &[u8]) -> Result<Ring, RingError> {
    let custodians = with(&fixed_custodian());
    Ring::open(bytes, "here", "test", &custodians, None).await
}

/// The refusal of a document that was changed.
async fn refusal(change: impl FnOnce(&mut Value)) -> RingError {
    let mut document = good();
    change(&mut document);
    match open(&serde_json::to_vec(&document).unwrap()).await {
        Ok(_) => panic!("it opens"),
        Err(error) => error,
    }
}

fn refused(error: DocumentError) -> RingError {
    RingError::Document {
        location: "here".to_owned(),
        error,
    }
}

#[tokio::test]
async fn a_document_of_this_format_always_opens_and_round_trips() {
    let bytes = vector(GOOD);
    let ring = open(&bytes).await.unwrap();
    assert_eq!(ring.format(), DocumentFormat::V2);
    let states: Vec<_> = ring.index_keys().iter().map(|key| key.state).collect();
    let expected = [
        IndexKeyState::Destroyed,
        IndexKeyState::Reading,
        IndexKeyState::Writing,
        IndexKeyState::Pending,
    ];
    assert_eq!(states, expected);
    let envelopes = ring.envelopes();
    assert_eq!((envelopes.write, envelopes.accept), (V3, V3));
    assert_eq!(envelopes.since, 1_800_000_000_020);
    assert!(ring.longer_times_until().is_some());
    let settings: Vec<_> = ring
        .protected_scopes()
        .iter()
        .map(|it| &it.settings)
        .collect();
    let [grouped, named, bare] = settings[..] else {
        panic!("{settings:?}");
    };
    let grouped = grouped.as_ref().unwrap();
    assert_eq!(grouped.except, ["*_LOCK", "rq:job:*"]);
    assert_eq!(grouped.group.as_deref(), Some("bot-states"));
    assert_eq!(grouped.bind, ScopeBinding::Group);
    let named = named.as_ref().unwrap();
    assert_eq!((named.except.len(), named.names), (0, RecordNames::Accept));
    assert!(bare.is_none());
    assert_eq!(ring.erasures().len(), 1);
    assert_eq!(ring.to_bytes(), bytes);
    let usage: Vec<_> = ring
        .keyring()
        .unwrap()
        .index_key_usage()
        .map(|it| it.id)
        .collect();
    assert_eq!(usage.len(), 3);
    assert_eq!(usage[0], ring.writing().unwrap().id);
}

#[tokio::test]
async fn what_was_sealed_under_its_index_keys_always_opens() {
    let ring = open(&vector(GOOD)).await.unwrap();
    let keyring = std::sync::Arc::new(ring.keyring().unwrap());
    let sealer = Sealer::new(keyring, Mode::Required, Format::Sealed);
    let binding = Binding::member(b"wa:index");
    for member in MEMBERS {
        let bytes: [u8; 37] = hex::decode(member).unwrap();
        let opened = sealer.open(&bytes, binding).unwrap().unwrap();
        assert_eq!(&*opened.value, b"5215512345678");
    }
    let sealed = sealer
        .seal_deterministic(b"5215512345678", binding)
        .unwrap();
    assert_eq!(hex::encode(&sealed), MEMBERS[1]);
}

#[tokio::test]
async fn a_new_ring_and_one_that_was_returned_to_format_1_open() {
    let bytes = vector(CREATED);
    let ring = open(&bytes).await.unwrap();
    assert_eq!((ring.envelopes().write, ring.envelopes().accept), (V3, V2));
    assert_eq!(ring.index_keys().len(), 1);
    assert_eq!(ring.to_bytes(), bytes);
    let bytes = vector(RETURNED);
    let ring = open(&bytes).await.unwrap();
    assert_eq!(ring.format(), DocumentFormat::V1);
    assert_eq!(ring.in_state(KeyState::Destroyed).count(), 1);
    assert_eq!(ring.to_bytes(), bytes);
}

#[tokio::test]
async fn each_contradiction_is_named() {
    let two_ids = "two keys have one id";
    let destroyed = "a destroyed key is there, or another one is not";
    let writing = "not exactly one index key writes";
    let cases: [(Edit, &'static str); 12] = [
        (
            |it| it["index_keys"][1]["id"] = it["index_keys"][2]["id"].clone(),
            two_ids,
        ),
        (
            |it| it["index_keys"][1]["id"] = it["keys"][0]["id"].clone(),
            two_ids,
        ),
        (
            |it| it["index_keys"][0]["wraps"] = it["index_keys"][1]["wraps"].clone(),
            destroyed,
        ),
        (|it| it["index_keys"][1]["wraps"] = json!([]), destroyed),
        (
            |it| it["index_keys"][1]["state"] = json!("destroyed"),
            destroyed,
        ),
        (
            |it| it["index_keys"][1]["state"] = json!("writing"),
            writing,
        ),
        (
            |it| it["index_keys"][2]["state"] = json!("reading"),
            writing,
        ),
        (|it| it["index_keys"] = json!([]), writing),
        (|it| remove(it, "index_keys"), writing),
        (
            |it| remove(it, "envelopes"),
            "it is of format 2 and names no versions of the sealed format",
        ),
        (
            |it| it["envelopes"]["write"] = json!(2),
            "it does not accept the version that it writes",
        ),
        (
            |it| it["protects"][1] = it["protects"][0].clone(),
            "it has two entries for the same protected records",
        ),
    ];
    for (number, (change, what)) in cases.into_iter().enumerate() {
        let expected = refused(DocumentError::Inconsistent(what));
        assert_eq!(refusal(change).await, expected, "{number}");
    }
}

#[tokio::test]
async fn format_1_has_nothing_of_format_2() {
    let cases: [Edit; 3] = [
        |it| {
            remove(it, "index_keys");
            it["protects"] = json!([]);
        },
        |it| {
            remove(it, "envelopes");
            it["protects"] = json!([]);
        },
        |it| {
            remove(it, "envelopes");
            remove(it, "index_keys");
        },
    ];
    for (number, change) in cases.into_iter().enumerate() {
        let error = refusal(|it| {
            it["format"] = json!(1);
            change(it);
        });
        let what = "it is of format 1 and has parts of format 2";
        let expected = refused(DocumentError::Inconsistent(what));
        assert_eq!(error.await, expected, "{number}");
    }
}

#[tokio::test]
async fn format_1_has_no_empty_members_of_format_2_either() {
    let returned = async |change: fn(&mut Value)| {
        let mut document: Value = serde_json::from_slice(&vector(RETURNED)).unwrap();
        document["protects"] = json!([{"store": "redis://a", "records": "wa:*"}]);
        change(&mut document);
        open(&serde_json::to_vec(&document).unwrap()).await.err()
    };
    let inconsistent = refused(DocumentError::Inconsistent(
        "it is of format 1 and has parts of format 2",
    ));
    let cases: [Edit; 3] = [
        |it| it["envelopes"] = json!(null),
        |it| it["index_keys"] = json!([]),
        |it| it["protects"][0]["except"] = json!([]),
    ];
    for change in cases {
        assert_eq!(returned(change).await.as_ref(), Some(&inconsistent));
    }
    let cases: [Edit; 4] = [
        |it| it["protects"][0]["except"] = json!(null),
        |it| it["protects"][0]["group"] = json!(null),
        |it| it["protects"][0]["bind"] = json!("record"),
        |it| it["protects"][0]["names"] = json!("plain"),
    ];
    for change in cases {
        let error = returned(change).await;
        let is_form = matches!(
            &error,
            Some(RingError::Document {
                error: DocumentError::Form { .. },
                ..
            })
        );
        assert!(is_form, "{error:?}");
    }
}

fn remove_index_key(document: &mut Value, index: usize) {
    document["index_keys"].as_array_mut().unwrap().remove(index);
}

fn remove(document: &mut Value, member: &str) {
    document.as_object_mut().unwrap().remove(member);
}

#[tokio::test]
async fn what_is_unknown_or_incomplete_is_refused() {
    let cases: [Edit; 11] = [
        |it| it["more"] = json!(1),
        |it| it["envelopes"]["more"] = json!(1),
        |it| it["envelopes"]["write"] = json!(4),
        |it| it["envelopes"]["accept"] = json!(1),
        |it| it["envelopes"]["write"] = json!("3"),
        |it| remove(&mut it["envelopes"], "since"),
        |it| it["index_keys"][1]["adopted"] = json!(true),
        |it| it["index_keys"][1]["state"] = json!("opening"),
        |it| it["protects"][0]["bind"] = json!("field"),
        |it| it["protects"][1]["names"] = json!("hashed"),
        // Settings are recorded exactly if excepts are.
        |it| remove(&mut it["protects"][0], "except"),
    ];
    for (number, change) in cases.into_iter().enumerate() {
        let error = refusal(change).await;
        let is_form = matches!(
            error,
            RingError::Document {
                error: DocumentError::Form { .. },
                ..
            }
        );
        assert!(is_form, "{number}: {error}");
    }
    for format in [0, 3, 4_000_000_000_u32] {
        let error = refusal(|it| it["format"] = json!(format)).await;
        assert_eq!(error, refused(DocumentError::Format(format)));
        assert!(!error.is_loss());
    }
}

#[tokio::test]
async fn nothing_of_format_2_is_changed_without_the_keys() {
    let cases: [Edit; 10] = [
        |it| it["envelopes"]["accept"] = json!(2),
        |it| it["envelopes"]["since"] = json!(1),
        |it| remove(it, "before"),
        |it| remove_index_key(it, 1),
        |it| remove_index_key(it, 0),
        |it| it["index_keys"].as_array_mut().unwrap().swap(1, 3),
        |it| it["index_keys"][3]["activates"] = json!(0),
        |it| {
            it["index_keys"][1]["state"] = json!("writing");
            it["index_keys"][2]["state"] = json!("reading");
        },
        |it| remove(&mut it["protects"][1], "names"),
        |it| it["protects"][0]["group"] = json!("other"),
    ];
    for (number, change) in cases.into_iter().enumerate() {
        let error = refusal(change).await;
        assert_eq!(error, refused(DocumentError::Mac), "{number}");
    }
    // A key in the place of another one.
    let swapped = refusal(|it| {
        let wraps = it["index_keys"][1]["wraps"].clone();
        it["index_keys"][2]["wraps"] = wraps;
    });
    assert!(matches!(swapped.await, RingError::Custodian(_)));
    // An index key among the data keys: its wraps open, and the code is wrong.
    let moved = refusal(|it| {
        let key = it["index_keys"].as_array_mut().unwrap().remove(1);
        let mut key = key;
        key["state"] = json!("opening");
        it["keys"].as_array_mut().unwrap().push(key);
    });
    assert_eq!(moved.await, refused(DocumentError::Mac));
}

#[tokio::test]
async fn an_index_key_has_a_bounded_number_of_distinct_custodians() {
    let one = good()["index_keys"][1]["wraps"][0].clone();
    let many = (0..17).map(|index| {
        let mut wrap = one.clone();
        wrap["custodian"] = format!("env:{index}").into();
        wrap
    });
    for wraps in [vec![one.clone(), one.clone()], many.collect()] {
        let error = refusal(|it| it["index_keys"][1]["wraps"] = wraps.into()).await;
        let what = "a key is wrapped twice by one custodian, or by too many";
        assert_eq!(error, refused(DocumentError::Inconsistent(what)));
    }
}

#[tokio::test]
async fn no_truncated_document_opens() {
    let bytes = vector(GOOD);
    let whole = bytes.trim_ascii_end().len();
    for len in 0..whole {
        assert!(open(&bytes[..len]).await.is_err(), "{len}");
    }
    assert!(open(&bytes[..whole]).await.is_ok());
}

#[tokio::test]
async fn times_that_no_correct_clock_can_have_written_are_corrected() {
    let ring = open(&vector(GOOD)).await.unwrap();
    let now = 1_800_000_000_030;
    assert_eq!(ring.wrong_times(now), []);
    // Seen from long before, all of them are wrong.
    let now = 1_000_000;
    let wrong = ring.wrong_times(now);
    let of = |id| wrong.iter().filter(|it| it.key == Some(id)).count();
    for key in ring.index_keys() {
        assert_eq!(of(key.id), 3, "{}", key.state);
    }
    let what = "the versions of the sealed format changed";
    assert!(wrong.iter().any(|it| it.what == what && it.key.is_none()));
    let repaired = ring.with_repaired_times(now).unwrap();
    assert_eq!(repaired.wrong_times(now), []);
    assert_eq!(repaired.envelopes().since, now);
    let pending = repaired
        .index_keys_in(IndexKeyState::Pending)
        .next()
        .unwrap();
    assert_eq!((pending.created, pending.changed), (now, now));
    assert_eq!(
        pending.activates,
        now + repaired.settings().propagation_ms.max(7_200_000)
    );
    super::assert_opens(&repaired, &fixed_custodian()).await;
}
