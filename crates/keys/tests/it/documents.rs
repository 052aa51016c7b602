//! Documents: a valid one, one file for each defect, and the handling of damaged ones.

use std::path::PathBuf;

use waxseal_keys::{DocumentError, KeyState, Ring, RingError, Settings};

use crate::rings::{NOW, SECRET, fixed_custodian, with};

fn vector(name: &str) -> Vec<u8> {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors");
    std::fs::read(directory.join(format!("{name}.json"))).unwrap()
}

async fn open(bytes: &[u8]) -> Result<Ring, RingError> {
    let custodians = with(&fixed_custodian());
    Ring::open(bytes, "here", "test", &custodians, None).await
}

async fn refusal(name: &str) -> RingError {
    match open(&vector(name)).await {
        Ok(_) => panic!("{name} opens"),
        Err(error) => error,
    }
}

#[tokio::test]
async fn a_document_of_this_format_always_opens_and_round_trips() {
    let bytes = vector("good");
    let ring = open(&bytes).await.unwrap();
    assert_eq!(
        (ring.version(), ring.fence(), ring.environment()),
        (8, 3, "test")
    );
    let states: Vec<_> = ring.keys().iter().map(|key| key.state).collect();
    let expected = [
        KeyState::DecryptOnly,
        KeyState::Destroyed,
        KeyState::Sealing,
        KeyState::Pending,
    ];
    assert_eq!(states, expected);
    let keyring = ring.keyring().unwrap();
    assert_eq!(keyring.sealing_id(), ring.sealing().id);
    assert_eq!(keyring.usage().count(), 3);
    assert_eq!(ring.erasures().len(), 1);
    assert_eq!(ring.erasures()[0].user, ring.user(b"4915112345678"));
    assert_eq!(ring.protected_scopes().len(), 1);
    assert_eq!(ring.to_bytes(), bytes);
}

#[tokio::test]
async fn a_document_without_white_space_is_the_same_ring() {
    let document: serde_json::Value = serde_json::from_slice(&vector("good")).unwrap();
    let compact = serde_json::to_vec(&document).unwrap();
    assert!(compact.len() < vector("good").len());
    assert_eq!(open(&compact).await.unwrap().to_bytes(), vector("good"));
}

/// `lowered-times` is `good` after its times were lowered: `before` holds the longer ones while they still apply.
#[tokio::test]
async fn a_document_with_times_from_before_they_were_lowered_opens_and_round_trips() {
    let bytes = vector("lowered-times");
    let document: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    let expected = serde_json::json!({
        "propagation_ms": 7_200_000,
        "refresh_ms": 60_000,
        "rest_ms": 604_800_000,
        "until": NOW + 7 + 604_800_000,
    });
    assert_eq!(document["before"], expected);
    let ring = open(&bytes).await.unwrap();
    assert_eq!(ring.to_bytes(), bytes);
    let until = ring.longer_times_until().unwrap();
    let times = |settings: Settings| {
        (
            settings.propagation_ms,
            settings.refresh_ms,
            settings.retention_ms,
        )
    };
    let longer = times(ring.effective_settings(until - 1));
    assert_eq!(longer, (7_200_000, 60_000, 604_800_000));
    let lowered = times(ring.effective_settings(until));
    assert_eq!(lowered, (3_600_000, 30_000, 259_200_000));

    // It is what the change writes, and the times are authenticated.
    let good = open(&vector("good")).await.unwrap();
    let mut settings = good.settings().clone();
    (settings.propagation_ms, settings.refresh_ms) = (3_600_000, 30_000);
    settings.retention_ms = 259_200_000;
    let changed = good.with_settings(settings, NOW + 7, false).unwrap();
    assert_eq!(changed.to_bytes(), bytes);
    let mut shortened = document;
    shortened["before"]["until"] = NOW.into();
    let error = open(&serde_json::to_vec(&shortened).unwrap()).await.err();
    let expected = RingError::Document {
        location: "here".to_owned(),
        error: DocumentError::Mac,
    };
    assert_eq!(error, Some(expected));
}

#[tokio::test]
async fn each_defect_is_refused_and_named() {
    let document = |error| RingError::Document {
        location: "here".to_owned(),
        error,
    };
    assert_eq!(refusal("empty").await, document(DocumentError::Empty));
    let newer = document(DocumentError::Format(3));
    assert_eq!(refusal("newer-format").await, newer);
    for name in [
        "mac-wrong",
        "entry-removed",
        "ledger-entry-removed",
        "version-raised",
    ] {
        assert_eq!(refusal(name).await, document(DocumentError::Mac), "{name}");
    }
    for (name, what) in [
        ("two-sealing", "not exactly one key seals"),
        ("no-sealing", "not exactly one key seals"),
        ("twice-one-id", "two keys have one id"),
        (
            "destroyed-with-wrap",
            "a destroyed key is there, or another one is not",
        ),
    ] {
        let expected = document(DocumentError::Inconsistent(what));
        assert_eq!(refusal(name).await, expected, "{name}");
    }
    for name in ["truncated", "unknown-field"] {
        let error = refusal(name).await;
        let is_form = matches!(
            error,
            RingError::Document {
                error: DocumentError::Form { .. },
                ..
            }
        );
        assert!(is_form, "{name}: {error}");
    }
    for name in ["key-swapped", "wrap-of-other-ring"] {
        let error = refusal(name).await;
        assert!(matches!(error, RingError::Custodian(_)), "{name}: {error}");
    }
    let error = refusal("other-environment").await;
    assert!(matches!(error, RingError::Environment { .. }), "{error}");
}

#[tokio::test]
async fn a_document_relabelled_for_another_environment_does_not_open_there() {
    let bytes = vector("other-environment");
    let custodians = with(&fixed_custodian());
    let error = Ring::open(&bytes, "here", "production", &custodians, None).await;
    assert!(matches!(error.err(), Some(RingError::Custodian(_))));
}

#[tokio::test]
async fn no_truncated_document_opens() {
    let bytes = vector("good");
    let whole = bytes.trim_ascii_end().len();
    for len in 0..whole {
        assert!(open(&bytes[..len]).await.is_err(), "{len}");
    }
    assert!(open(&bytes[..whole]).await.is_ok());
}

#[tokio::test]
async fn a_document_with_one_flipped_bit_never_opens_as_another_ring() {
    let bytes = vector("good");
    let mut refused = 0;
    for index in 0..bytes.len() {
        for bit in [0x01, 0x20] {
            let mut flipped = bytes.clone();
            flipped[index] ^= bit;
            match open(&flipped).await {
                // White space became other white space.
                Ok(ring) => assert_eq!(ring.to_bytes(), bytes, "{index}"),
                Err(_) => refused += 1,
            }
        }
    }
    assert!(refused > bytes.len());
}

#[tokio::test]
async fn a_document_of_one_version_cannot_be_put_together_from_two() {
    // Everything of the valid document, except for one entry of an older version.
    let mut document: serde_json::Value = serde_json::from_slice(&vector("good")).unwrap();
    document["keys"][3]["activates"] = 0.into();
    let error = open(&serde_json::to_vec(&document).unwrap()).await.err();
    let expected = RingError::Document {
        location: "here".to_owned(),
        error: DocumentError::Mac,
    };
    assert_eq!(error, Some(expected));
}

#[tokio::test]
async fn no_error_shows_a_part_of_a_wrapped_key_or_of_the_secret() {
    let good: serde_json::Value = serde_json::from_slice(&vector("good")).unwrap();
    let mut secrets = vec![SECRET.to_owned()];
    let entries = good["keys"].as_array().unwrap().iter();
    let wraps = entries.filter_map(|key| key["wraps"][0]["wrapped"].as_str());
    secrets.extend(wraps.map(str::to_owned));
    secrets.extend(good["names"][0]["wrapped"].as_str().map(str::to_owned));
    assert_eq!(secrets.len(), 5);
    let names = [
        "empty",
        "truncated",
        "mac-wrong",
        "key-swapped",
        "entry-removed",
        "two-sealing",
        "unknown-field",
        "wrap-of-other-ring",
        "twice-one-id",
        "other-environment",
    ];
    for name in names {
        let error = refusal(name).await;
        let shown = format!("{error} {error:?}");
        for secret in &secrets {
            assert!(!shown.contains(&secret[..8]), "{name}");
        }
    }
}

#[tokio::test]
async fn a_key_has_a_bounded_number_of_distinct_custodians() {
    let mut document: serde_json::Value = serde_json::from_slice(&vector("good")).unwrap();
    for pointer in ["/names", "/keys/0/wraps"] {
        let good = document.pointer(pointer).unwrap().clone();
        let one = good[0].clone();
        let many = (0..17).map(|index| {
            let mut wrap = one.clone();
            wrap["custodian"] = format!("env:{index}").into();
            wrap
        });
        for wraps in [vec![one.clone(), one.clone()], many.collect()] {
            *document.pointer_mut(pointer).unwrap() = wraps.into();
            let error = open(&serde_json::to_vec(&document).unwrap())
                .await
                .err()
                .unwrap();
            let inconsistent = matches!(
                error,
                RingError::Document {
                    error: DocumentError::Inconsistent(_),
                    ..
                }
            );
            assert!(inconsistent, "{error}");
        }
        *document.pointer_mut(pointer).unwrap() = good;
    }
    open(&serde_json::to_vec(&document).unwrap()).await.unwrap();
}
