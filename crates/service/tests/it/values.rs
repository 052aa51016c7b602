//! Single values for an operator: of records, and of envelopes.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};
use waxseal_core::{EnvelopeVersion, Format, Kind, Shape};
use waxseal_service::Failure;
use waxseal_service::failure::Kind as FailureKind;
use waxseal_service::resources::Resources;
use waxseal_service::values::envelope::{self, EnvelopeForm, EnvelopeLocation};
use waxseal_service::values::stored::{self, Destination};
use waxseal_stores::{Expiry, Lifetime, Record, RecordName, Slot};

use super::{KEY, World};

const STATES: &str =
    "[[protect]]\nrecords = \"wa:*\"\nformat = \"sealed\"\nexcept = [\"*:lock\"]\n";
const NAME: &str = "wa:5215512345678";

/// A new envelope of version 2, or of what the keyring says.
fn form(format: Format, is_armored: bool) -> EnvelopeForm {
    EnvelopeForm {
        format,
        is_armored,
        is_deterministic: false,
        version: None,
    }
}

/// A new envelope of version 3.
fn version_3() -> EnvelopeForm {
    EnvelopeForm {
        version: Some(EnvelopeVersion::V3),
        ..form(Format::Sealed, false)
    }
}

fn destination(name: &str) -> Destination {
    Destination {
        name: RecordName::from(name),
        field: None,
        replaces: false,
        ttl: None,
    }
}

fn field(name: &str, field: &str) -> Destination {
    Destination {
        field: Some(field.into()),
        ..destination(name)
    }
}

async fn put(resources: &Resources, to: &Destination, value: &str) -> Result<(), Failure> {
    let value = value.as_bytes().to_vec();
    stored::put(resources, to, || Ok(value)).await.map(drop)
}

async fn get(resources: &Resources, name: &str, slot: &Slot) -> Result<String, Failure> {
    let place = slot.clone().into();
    let value = stored::get(resources, &RecordName::from(name), &place).await?;
    Ok(String::from_utf8(value).unwrap())
}

async fn record(resources: &Resources, name: &str) -> Option<Record> {
    let store = resources.open_store().await.unwrap();
    let mut read = store.read(&[RecordName::from(name)]).await.unwrap();
    read.pop().flatten()
}

/// The actions, outcomes and details in the audit log, without the targets.
fn recorded(world: &World) -> Vec<Value> {
    let entries = world.entries().into_iter();
    entries.map(|it| json!([it[0], it[2], it[3]])).collect()
}

#[tokio::test]
async fn a_value_is_sealed_for_its_place_and_opened_there() {
    let world = World::with_key(STATES);
    let resources = world.open().await;
    put(&resources, &destination(NAME), "a state")
        .await
        .unwrap();
    put(&resources, &field("wa:h", "email"), "an address")
        .await
        .unwrap();
    assert_eq!(
        get(&resources, NAME, &Slot::Whole).await.unwrap(),
        "a state"
    );
    let slot = Slot::Field(b"email".to_vec());
    assert_eq!(get(&resources, "wa:h", &slot).await.unwrap(), "an address");
    let Some(Record::String(bytes)) = record(&resources, NAME).await else {
        panic!("it is a string");
    };
    assert!(matches!(Shape::of(&bytes), Shape::Sealed { .. }));

    // Copied to another record it does not open.
    {
        let store = resources.open_store().await.unwrap();
        let copy = RecordName::from("wa:copy");
        let copied = store.put(&copy, &Slot::Whole, &bytes, Expiry::Keep).await;
        copied.unwrap();
    }
    assert!(get(&resources, "wa:copy", &Slot::Whole).await.is_err());
    // Under an excepted name it is plain.
    put(&resources, &destination("wa:1:lock"), "held")
        .await
        .unwrap();
    let plain = record(&resources, "wa:1:lock").await;
    assert!(plain == Some(Record::String(b"held".to_vec())));
}

#[tokio::test]
async fn a_record_of_another_type_is_replaced_only_on_request() {
    let world = World::with_key(STATES);
    let resources = world.open().await;
    for name in ["email", "phone"] {
        put(&resources, &field("wa:h", name), "a value")
            .await
            .unwrap();
    }
    let refused = put(&resources, &destination("wa:h"), "a state").await;
    assert_eq!(
        refused.unwrap_err().text(),
        "the record is a hash: the value would replace it, with all that it holds"
    );
    assert!(record(&resources, "wa:h").await == Some(Record::Hash));

    let replacing = Destination {
        replaces: true,
        ..destination("wa:h")
    };
    put(&resources, &replacing, "a state").await.unwrap();
    assert_eq!(
        get(&resources, "wa:h", &Slot::Whole).await.unwrap(),
        "a state"
    );
    // A field is not written into a string, and not read from one.
    let wrong = [
        put(&resources, &field("wa:h", "email"), "a value").await,
        get(&resources, "wa:h", &Slot::Field(b"email".to_vec()))
            .await
            .map(drop),
    ];
    for wrong in wrong {
        let failure = wrong.unwrap_err();
        assert_eq!(failure.text(), "the record is of another type");
    }
    let puts: Vec<_> = recorded(&world)
        .into_iter()
        .filter(|it| it[0] == "put" && it[1] != "begun")
        .collect();
    let done = |details| json!(["put", "done", details]);
    let failed = json!(["put", "failed", {"error": "failed"}]);
    assert_eq!(
        puts,
        [
            done(json!({})),
            done(json!({})),
            failed.clone(),
            done(json!({"replaced": "hash"})),
            failed
        ]
    );
}

#[tokio::test]
async fn an_expiry_is_set_and_kept() {
    let world = World::with_key(STATES);
    let resources = world.open().await;
    let expiring = Destination {
        ttl: Some(Duration::from_secs(3600)),
        ..destination(NAME)
    };
    put(&resources, &expiring, "first").await.unwrap();
    let lifetime = || async {
        let store = resources.open_store().await.unwrap();
        let lifetimes = store.lifetimes(&[RecordName::from(NAME)]).await.unwrap();
        lifetimes[0]
    };
    let first = lifetime().await;
    assert!(matches!(first, Lifetime::Until(_)), "{first:?}");
    put(&resources, &destination(NAME), "second").await.unwrap();
    assert_eq!(lifetime().await, first);
}

#[tokio::test]
async fn a_value_is_not_asked_for_where_it_cannot_be_written() {
    let world = World::with_key(STATES);
    let resources = world.open().await;
    let never = || -> Result<Vec<u8>, Failure> { panic!("it is read") };
    let unprotected = stored::put(&resources, &destination("other:1"), never).await;
    assert_eq!(
        unprotected.unwrap_err().text(),
        "this record matches no protected pattern"
    );
    let world = World::new(STATES, "");
    let resources = Resources::open(&world.flags_with_store()).await.unwrap();
    let without_key = stored::put(&resources, &destination(NAME), never).await;
    assert!(without_key.is_err());
    let unbound = EnvelopeLocation::default();
    let sealed = envelope::seal(&resources, &unbound, form(Format::Sealed, false), never);
    assert!(sealed.await.is_err());
}

#[tokio::test]
async fn what_is_opened_is_recorded_before_it_is_returned() {
    let world = World::with_key(&format!("decoys = [\"wa:decoy\"]\n{STATES}"));
    let resources = world.open().await;
    for name in [NAME, "wa:decoy"] {
        put(&resources, &destination(name), "a state")
            .await
            .unwrap();
        get(&resources, name, &Slot::Whole).await.unwrap();
    }
    let absent = get(&resources, "wa:absent", &Slot::Whole).await;
    assert_eq!(absent.unwrap_err().kind(), FailureKind::Absent);
    let gets: Vec<_> = recorded(&world)
        .into_iter()
        .filter(|it| it[0] == "get")
        .collect();
    assert_eq!(
        gets,
        [
            json!(["get", "done", {}]),
            json!(["get", "done", {"decoy": true}])
        ]
    );
    let log = fs::read_to_string(world.path("audit.jsonl")).unwrap();
    assert!(log.contains("\"wa:#") && !log.contains("5215512345678") && !log.contains("a state"));

    // A log that cannot be written: the value is not returned.
    fs::remove_file(world.path("audit.jsonl")).unwrap();
    fs::create_dir(world.path("audit.jsonl")).unwrap();
    let resources = world.open().await;
    let refused = get(&resources, NAME, &Slot::Whole).await.unwrap_err();
    let hint = refused.advice().unwrap_or_default();
    assert!(hint.contains("make the audit log writable"), "{refused:?}");
}

#[tokio::test]
async fn the_failure_of_a_value_under_another_key_names_the_key() {
    let world = World::with_key(STATES);
    let other = World::with_key(STATES);
    other.write(
        "variables",
        &format!("REDIS_ENCRYPTION_KEY={}\n", KEY.replace('6', "7")),
    );
    let resources = other.open().await;
    put(&resources, &destination(NAME), "a state")
        .await
        .unwrap();
    let Some(Record::String(foreign)) = record(&resources, NAME).await else {
        panic!("it is a string");
    };
    let Shape::Sealed { header, .. } = Shape::of(&foreign) else {
        panic!("it is sealed");
    };
    let resources = world.open().await;
    // One value under its own key, so that the guard does not take the store for that of another key.
    put(&resources, &destination("wa:1"), "a state")
        .await
        .unwrap();
    {
        let store = resources.open_store().await.unwrap();
        let name = RecordName::from(NAME);
        let put = store.put(&name, &Slot::Whole, &foreign, Expiry::Keep).await;
        put.unwrap();
    }
    let failure = get(&resources, NAME, &Slot::Whole).await.unwrap_err();
    assert!(
        failure.text().contains(&header.key.to_string()),
        "{failure:?}"
    );
}

#[tokio::test]
async fn an_envelope_opens_only_for_the_place_that_it_was_sealed_for() {
    let world = World::with_key(STATES);
    let resources = world.open().await;
    let location = |record: &str, field: Option<&str>| EnvelopeLocation {
        record: Some(record.into()),
        field: field.map(Into::into),
        ..EnvelopeLocation::default()
    };
    let here = location(NAME, Some("email"));
    let seal = |form| envelope::seal(&resources, &here, form, || Ok(b"a value".to_vec()));
    let sealed = seal(form(Format::Sealed, false)).await.unwrap();
    let armored = seal(form(Format::Sealed, true)).await.unwrap();
    assert!(armored.starts_with(b"ws2:"));
    let with_line_feed = [&armored[..], b"\n"].concat();
    for envelope in [&sealed, &armored, &with_line_feed] {
        let open = |at| {
            let envelope = envelope.clone();
            let resources = &resources;
            async move { envelope::open(resources, &at, || Ok(envelope)).await }
        };
        assert_eq!(
            open(location(NAME, Some("email"))).await.unwrap(),
            b"a value"
        );
        for elsewhere in [
            location(NAME, None),
            location(NAME, Some("phone")),
            location("wa:other", Some("email")),
            EnvelopeLocation::default(),
        ] {
            assert!(open(elsewhere).await.is_err());
        }
    }
    // The classic format is bound to nothing, and an empty value stays empty.
    let classic = seal(form(Format::Classic, false)).await.unwrap();
    let anywhere = EnvelopeLocation::default();
    let opened = envelope::open(&resources, &anywhere, || Ok(classic)).await;
    assert_eq!(opened.unwrap(), b"a value");
    let empty = envelope::open(&resources, &anywhere, || Ok(Vec::new())).await;
    assert_eq!(empty.unwrap(), b"");
    let opens = world.entries().into_iter().filter(|it| it[0] == "open");
    let targets: Vec<_> = opens.map(|it| it[1].clone()).collect();
    assert_eq!(targets.len(), 5);
    assert!(targets[0].as_str().unwrap().starts_with("wa:#"));
    assert_eq!(targets[3], "a value of no named record");
}

#[tokio::test]
async fn the_envelope_of_a_decoy_raises_an_alarm() {
    let world = World::with_key(&format!("decoys = [\"wa:decoy\"]\n{STATES}"));
    let resources = world.open().await;
    let at = EnvelopeLocation {
        record: Some(b"wa:decoy".to_vec()),
        ..EnvelopeLocation::default()
    };
    let form = form(Format::Sealed, false);
    let sealed = envelope::seal(&resources, &at, form, || Ok(b"bait".to_vec())).await;
    let opened = envelope::open(&resources, &at, || sealed).await.unwrap();
    assert_eq!(opened, b"bait");
    assert_eq!(recorded(&world), [json!(["open", "done", {"decoy": true}])]);
}

#[tokio::test]
async fn an_envelope_of_version_3_opens_only_as_its_kind_and_in_its_group() {
    let world = World::with_key(STATES);
    let resources = world.open().await;
    let at = |kind: Option<Kind>, group: Option<&str>| EnvelopeLocation {
        record: Some(NAME.into()),
        kind,
        group: group.map(Into::into),
        ..EnvelopeLocation::default()
    };
    let open = |envelope: &[u8], at: EnvelopeLocation| {
        let (envelope, resources) = (envelope.to_vec(), &resources);
        async move { envelope::open(resources, &at, || Ok(envelope)).await }
    };
    let element = Some(Kind::ListElement);
    for (place, others) in [
        (
            at(None, None),
            [at(element, None), at(Some(Kind::Member), None)],
        ),
        (
            at(element, None),
            [at(None, None), at(Some(Kind::Member), None)],
        ),
        (
            at(None, Some("bots")),
            [at(None, None), at(None, Some("other"))],
        ),
    ] {
        let value = || Ok(b"a value".to_vec());
        let sealed = envelope::seal(&resources, &place, version_3(), value).await;
        let sealed = sealed.unwrap();
        assert_eq!(open(&sealed, place).await.unwrap(), b"a value");
        for other in others {
            assert!(open(&sealed, other).await.is_err());
        }
    }
    // Bound to a group, it opens in each of its records, and without one.
    let value = || Ok(b"a value".to_vec());
    let sealed = envelope::seal(&resources, &at(None, Some("bots")), version_3(), value).await;
    let elsewhere = EnvelopeLocation {
        record: Some(b"wa:another".to_vec()),
        ..at(None, Some("bots"))
    };
    assert_eq!(open(&sealed.unwrap(), elsewhere).await.unwrap(), b"a value");
}

#[tokio::test]
async fn deterministic_envelopes_of_equal_values_are_equal() {
    let world = World::with_key(STATES);
    let resources = world.open().await;
    let at = |kind| EnvelopeLocation {
        record: Some(NAME.into()),
        kind: Some(kind),
        ..EnvelopeLocation::default()
    };
    let form = EnvelopeForm {
        is_deterministic: true,
        ..version_3()
    };
    let seal = |kind, value: &'static [u8]| {
        let (resources, at) = (&resources, at(kind));
        async move { envelope::seal(resources, &at, form, || Ok(value.to_vec())).await }
    };
    let sealed = seal(Kind::Member, b"5215512345678").await.unwrap();
    assert_eq!(seal(Kind::Member, b"5215512345678").await.unwrap(), sealed);
    assert_ne!(seal(Kind::Member, b"5215512345679").await.unwrap(), sealed);
    assert_ne!(
        seal(Kind::ListElement, b"5215512345678").await.unwrap(),
        sealed
    );
    let opened = envelope::open(&resources, &at(Kind::Member), || Ok(sealed)).await;
    assert_eq!(opened.unwrap(), b"5215512345678");
    let string = seal(Kind::String, b"x").await.unwrap_err();
    assert!(
        string.text().contains("is not sealed deterministically"),
        "{string:?}"
    );
}

fn record_location() -> EnvelopeLocation {
    EnvelopeLocation {
        record: Some(NAME.into()),
        ..EnvelopeLocation::default()
    }
}

#[tokio::test]
async fn what_an_envelope_cannot_express_is_refused_with_the_reason() {
    let world = World::with_key(STATES);
    let resources = world.open().await;
    let record = record_location;
    let of_kind = |kind| EnvelopeLocation {
        kind: Some(kind),
        ..record()
    };
    let in_group = || EnvelopeLocation {
        group: Some(b"bots".to_vec()),
        ..record()
    };
    let classic = EnvelopeForm {
        format: Format::Classic,
        ..version_3()
    };
    let deterministic = EnvelopeForm {
        is_deterministic: true,
        ..form(Format::Sealed, false)
    };
    for (at, form, text) in [
        (
            of_kind(Kind::HashField),
            version_3(),
            "a hash field has a field, and none is named",
        ),
        (
            of_kind(Kind::Message),
            version_3(),
            "a message belongs to a group, and none is named",
        ),
        (
            EnvelopeLocation {
                kind: Some(Kind::Member),
                ..EnvelopeLocation::default()
            },
            version_3(),
            "a member belongs to a record or a group, and neither is named",
        ),
        (
            EnvelopeLocation {
                field: Some(b"f".to_vec()),
                ..of_kind(Kind::Member)
            },
            version_3(),
            "a member has no field",
        ),
        (record(), classic, "the classic format has no versions"),
        (
            in_group(),
            form(Format::Sealed, false),
            "needs version 3: binding a value to a group",
        ),
        (
            of_kind(Kind::ListElement),
            deterministic,
            "needs version 3: deterministic sealing",
        ),
        (
            EnvelopeLocation::default(),
            version_3(),
            "binds every value: name its record",
        ),
    ] {
        let sealed = envelope::seal(&resources, &at, form, || Ok(b"x".to_vec())).await;
        let failure = sealed.unwrap_err();
        assert!(failure.text().contains(text), "{}", failure.text());
    }
}
