//! Keyring documents from hostile bytes: what parses is written as something that parses to the same; an authentic
//! document is one that was written with the ring's keys, and no other opens, however it was put together and
//! whichever ring is known.
#![no_main]

use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};
use waxseal_core::{EnvelopeVersion, SecretKey};
use waxseal_keys::fuzzing::ParsedDocument;
use waxseal_keys::rotation::Evidence;
use waxseal_keys::{
    Custodian, Custodians, DocumentFormat, LocalCustodian, ProtectedScope, Ring, ScopeBinding,
    ScopeSettings,
};

/// The secret of the vectors.
const SECRET: &str = "6c1f0a5be2d94738a1c05f3e7b9d2846f0e1d2c3b4a5968778695a4b3c2d1e0f";
/// The largest number of changes to members of one document.
const MAX_EDITS: usize = 8;
/// After everything in the vectors.
const NOW: u64 = 1_900_000_000_000;
/// Documents of this ring that its own keys wrote.
const WRITTEN: [&[u8]; 1] = [include_bytes!("../../crates/keys/tests/vectors/good.json")];

static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_current_thread().enable_time().build().unwrap());

static CUSTODIAN: LazyLock<Arc<dyn Custodian>> = LazyLock::new(|| {
    let secret = SecretKey::from_hex(SECRET).unwrap();
    Arc::new(LocalCustodian::new("env:TEST", &secret).unwrap())
});

static CUSTODIANS: LazyLock<Custodians> =
    LazyLock::new(|| Custodians::default().with(CUSTODIAN.clone()));

/// Rings with authentic documents: those of the vectors, and versions that follow each, in both formats.
static RINGS: LazyLock<Vec<Ring>> = LazyLock::new(|| {
    let mut rings = Vec::new();
    for document in WRITTEN {
        let ring = open(document, None).expect("the vector opens");
        let erased = ring.with_erasure(&ring.user(b"another"), NOW);
        let converted = RUNTIME.block_on(in_format_2(&erased));
        rings.extend([ring, erased]);
        rings.extend(converted);
    }
    rings
});

/// The ring in format 2, then with everything that this format can hold.
async fn in_format_2(ring: &Ring) -> [Ring; 2] {
    let custodians = [CUSTODIAN.clone()];
    let (to, evidence) = (DocumentFormat::V2, Evidence::default());
    let converted = ring.with_format(to, &custodians, NOW, evidence).await;
    let converted = converted.expect("format 2");
    let full = converted.with_new_index_key(&custodians, NOW).await;
    let scope = ProtectedScope {
        store: "redis://other:6379".to_owned(),
        records: "session:*".to_owned(),
        settings: Some(ScopeSettings {
            except: vec!["session:*:lock".to_owned()],
            group: Some("states".to_owned()),
            bind: ScopeBinding::Group,
            ..ScopeSettings::default()
        }),
        members: None,
    };
    let evidence = Evidence {
        force: true,
        ..Evidence::default()
    };
    let version = EnvelopeVersion::V3;
    let full = full
        .expect("an index key")
        .with_envelopes(version, version, NOW, evidence)
        .expect("version 3");
    let full = full.with_protected_scopes(&[scope]).expect("a scope");
    [converted, full.expect("a new scope")]
}

static AUTHENTIC: LazyLock<Vec<Vec<u8>>> =
    LazyLock::new(|| RINGS.iter().map(Ring::to_bytes).collect());

/// All members of each authentic document, with the pointers to them.
static MEMBERS: LazyLock<Vec<Vec<(String, Value)>>> = LazyLock::new(|| {
    let members = AUTHENTIC.iter().map(|document| {
        let document: Value = serde_json::from_slice(document).unwrap();
        let member = |pointer: String| {
            let member = document.pointer(&pointer).unwrap().clone();
            (pointer, member)
        };
        pointers(&document).into_iter().map(member).collect()
    });
    members.collect()
});

// The kind of the input, the document that it changes, and the changes.
fuzz_target!(|input: &[u8]| {
    match input {
        [kind @ (0 | 1), number, edits @ ..] => {
            let document = &AUTHENTIC[usize::from(*number) % AUTHENTIC.len()];
            let changed = match kind {
                0 => with_bytes_changed(document, edits),
                _ => with_members_changed(document, edits),
            };
            check(&changed);
        }
        bytes => check(bytes),
    }
});

/// Edits: a position in two bytes, how many bytes are cut there, how many come in their place, and these.
fn with_bytes_changed(document: &[u8], mut edits: &[u8]) -> Vec<u8> {
    let mut bytes = document.to_vec();
    while let [high, low, cut, len, rest @ ..] = edits {
        let (new, rest) = rest.split_at(usize::from(*len).min(rest.len()));
        edits = rest;
        let start = usize::from(u16::from_be_bytes([*high, *low])) % (bytes.len() + 1);
        let end = bytes.len().min(start + usize::from(*cut));
        bytes.splice(start..end, new.iter().copied());
    }
    bytes
}

/// Edits: what is done, to which member, and with which member of which document.
fn with_members_changed(document: &[u8], mut edits: &[u8]) -> Vec<u8> {
    let mut document: Value = serde_json::from_slice(document).unwrap();
    let mut left = MAX_EDITS;
    while let [kind, target, source, rest @ ..] = edits
        && left > 0
    {
        edits = rest;
        left -= 1;
        let pointers = pointers(&document);
        let target = &pointers[usize::from(*target) % pointers.len()];
        let other = || {
            let members = &MEMBERS[usize::from(kind / 8) % MEMBERS.len()];
            members[usize::from(*source) % members.len()].clone()
        };
        match kind % 8 {
            // A member of a document in the place of another one, or of the same.
            0 | 1 => *document.pointer_mut(target).unwrap() = other().1,
            2 => {
                let (source, value) = other();
                if let Some(place) = document.pointer_mut(&source) {
                    *place = value;
                }
            }
            3 => remove(&mut document, target),
            4 => match document.pointer_mut(target) {
                Some(Value::Array(elements)) => elements.push(other().1),
                Some(Value::Object(members)) => {
                    let (source, value) = other();
                    let name = source.rsplit('/').next().unwrap_or_default();
                    members.insert(name.to_owned(), value);
                }
                _ => {}
            },
            5 => {
                if let Some(Value::Array(elements)) = document.pointer_mut(target) {
                    elements.reverse();
                }
            }
            _ => *document.pointer_mut(target).unwrap() = simple(*source),
        }
    }
    serde_json::to_vec(&document).unwrap()
}

fn remove(document: &mut Value, pointer: &str) {
    let Some((parent, name)) = pointer.rsplit_once('/') else {
        return;
    };
    match document.pointer_mut(parent).unwrap() {
        Value::Object(members) => drop(members.remove(name)),
        Value::Array(elements) => drop(elements.remove(name.parse().unwrap())),
        _ => unreachable!("only these have members"),
    }
}

/// The pointers to all members, the document itself first.
fn pointers(document: &Value) -> Vec<String> {
    let mut pointers = Vec::new();
    add_pointers(document, String::new(), &mut pointers);
    pointers
}

fn add_pointers(value: &Value, pointer: String, pointers: &mut Vec<String>) {
    let at = pointers.len();
    pointers.push(pointer);
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                add_pointers(member, format!("{}/{name}", pointers[at]), pointers);
            }
        }
        Value::Array(elements) => {
            for (index, element) in elements.iter().enumerate() {
                add_pointers(element, format!("{}/{index}", pointers[at]), pointers);
            }
        }
        _ => {}
    }
}

const STATES: [&str; 8] = [
    "pending",
    "sealing",
    "opening",
    "archived",
    "destroyed",
    "compromised",
    "writing",
    "reading",
];

fn simple(number: u8) -> Value {
    match number {
        0 => Value::Null,
        1 => true.into(),
        2 => "".into(),
        3 => u64::MAX.into(),
        4 => i64::MIN.into(),
        5 => 1.5.into(),
        6 => Value::Array(Vec::new()),
        7 => Value::Object(serde_json::Map::new()),
        8..=15 => STATES[usize::from(number - 8)].into(),
        number => u64::from(number - 16).into(),
    }
}

fn check(bytes: &[u8]) {
    let parsed = ParsedDocument::parse(bytes);
    if let Some(document) = &parsed {
        let written = document.to_bytes();
        let again = ParsedDocument::parse(&written).expect("what is written parses");
        assert!(again == *document, "it parses to another document");
        assert_eq!(again.to_bytes(), written);
    }
    // What does not parse is refused before a known ring is looked at.
    let known = RINGS
        .iter()
        .take(if parsed.is_some() { usize::MAX } else { 1 });
    for known in std::iter::once(None).chain(known.map(Some)) {
        let Some(ring) = open(bytes, known) else {
            continue;
        };
        let written = ring.to_bytes();
        assert!(
            AUTHENTIC.contains(&written),
            "an unauthentic document opens"
        );
        let parsed = parsed.as_ref().expect("what opens parses");
        // Damaged wraps may be replaced by those of the known ring.
        assert!(known.is_some() || parsed.to_bytes() == written);
        assert!(
            ring.keyring().is_ok() && ring.sealing().id == ring.keyring().unwrap().sealing_id()
        );
    }
}

fn open(bytes: &[u8], known: Option<&Ring>) -> Option<Ring> {
    let opening = Ring::open(bytes, "here", "test", &CUSTODIANS, known);
    RUNTIME.block_on(opening).ok()
}
