//! Stored bytes before a ring of several keys: hostile ones, and envelopes with a few bytes changed. Every defect is an
//! error; what opens is what was sealed, and seals again to something that opens to the same; what is sealed opens with
//! its binding alone, and not at all once it is damaged.
#![no_main]

use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use waxseal_core::{
    Binding, DataKey, EnvelopeRules, EnvelopeVersion, Form, Format, IndexKey, IndexKeyRole,
    KeyRole, Keyring, Mode, NameMask, OpenError, OpenedValue, PlainValues, ResealError,
    ResealOutcome, Sealer, SecretKey, Shape, UserKey,
};

/// The key of the vectors: it seals, as it does where they were made.
const KEY: &str = "6c1f0a5be2d94738a1c05f3e7b9d2846f0e1d2c3b4a5968778695a4b3c2d1e0f";
const ROLES: [KeyRole; 4] = [
    KeyRole::DecryptOnly,
    KeyRole::Pending,
    KeyRole::Archived,
    KeyRole::Compromised,
];
const INDEX_ROLES: [IndexKeyRole; 3] = [
    IndexKeyRole::Writing,
    IndexKeyRole::Pending,
    IndexKeyRole::Reading,
];
/// The numbers of keys that are no data keys of the ring.
const UNKNOWN: u8 = 10;
const FIRST_INDEX_KEY: u8 = 20;
const FIRST_USER: u8 = 30;
const DOMAIN: &[u8] = b"prod";
const VALUE: &[u8] = br#"{"status":"confirming"}"#;
const RECORD: &[u8] = b"wa:1";
const FIELD: &[u8] = b"email";
const GROUP: &[u8] = b"states";
/// The number of kinds of bindings, the one to nothing included.
const KINDS: u8 = 8;

/// The ring with index keys, and without: then deterministic values are under its data keys.
static RINGS: LazyLock<[Arc<Keyring>; 2]> = LazyLock::new(|| {
    let indexes = INDEX_ROLES.iter().zip(FIRST_INDEX_KEY..);
    let indexes = indexes.map(|(role, number)| {
        let key = secret(number);
        (Arc::new(IndexKey::with_id(key.id(), &key)), *role)
    });
    let with_index_keys = ring(0).with_index_keys(indexes.collect());
    [with_index_keys, ring(0)].map(Arc::new)
});

/// The keys of users: one, one of a user who was erased and returned, and a destroyed one.
static USERS: LazyLock<[Arc<UserKey>; 3]> = LazyLock::new(|| {
    let live = |number| {
        let key = secret(number);
        UserKey::live(key.id(), &key).unwrap()
    };
    [
        live(FIRST_USER),
        live(FIRST_USER + 1).after_erasure(1_800_000_000_000),
        UserKey::erased(1_800_000_000_000),
    ]
    .map(Arc::new)
});

/// One envelope in each form: under each key of the ring, one that is not in it and one of a user.
static ENVELOPES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let mut envelopes = Vec::new();
    let numbers = (0..).take(ROLES.len() + 1).chain([UNKNOWN]);
    for number in numbers {
        let key = Keyring::new(secret(number)).unwrap().with_domain(DOMAIN);
        let sealer = Sealer::new(Arc::new(key), Mode::On, Format::Sealed);
        envelopes.extend(in_each_form(&sealer));
        let classic = sealer.format(Format::Classic);
        envelopes.push(classic.seal(VALUE, Binding::unbound()).unwrap());
    }
    let sealer = Sealer::new(RINGS[0].clone(), Mode::On, Format::Sealed);
    envelopes.extend(in_each_form(&sealer));
    envelopes.extend(in_each_form(&sealer.for_user(USERS[0].clone())));
    envelopes
});

/// A value sealed with each binding that a version knows, with a nonce and without.
fn in_each_form(sealer: &Sealer) -> Vec<Vec<u8>> {
    let mut envelopes = Vec::new();
    for write in [EnvelopeVersion::V2, EnvelopeVersion::V3] {
        let sealer = sealer.clone().rules(EnvelopeRules {
            write,
            ..EnvelopeRules::default()
        });
        for kind in 0..KINDS {
            for binding in groups(bound(kind, RECORD, FIELD)) {
                envelopes.extend(sealer.seal(VALUE, binding));
                envelopes.extend(sealer.seal_deterministic(VALUE, binding));
            }
            let armored = sealer.clone().armored(true);
            envelopes.extend(armored.seal(VALUE, bound(kind, RECORD, FIELD)));
        }
    }
    envelopes
}

fn ring(sealing: u8) -> Keyring {
    let others = ROLES.iter().zip(sealing + 1..).map(|(role, number)| {
        let key = secret(number);
        let key = DataKey::with_id(key.id(), &key).unwrap();
        (Arc::new(key), *role)
    });
    let sealing = secret(sealing);
    let mask = NameMask::derived_from(&sealing);
    let sealing = DataKey::with_id(sealing.id(), &sealing).unwrap();
    let ring = Keyring::assemble(Arc::new(sealing), others.collect(), mask);
    ring.unwrap().with_domain(DOMAIN)
}

fn secret(number: u8) -> SecretKey {
    let key = SecretKey::from_hex(KEY).unwrap();
    match number {
        0 => key,
        _ => key.derive(&format!("key {number}")),
    }
}

fn bound<'a>(kind: u8, record: &'a [u8], field: &'a [u8]) -> Binding<'a> {
    match kind % KINDS {
        0 => Binding::unbound(),
        1 => Binding::record(record),
        2 => Binding::field(record, field),
        3 => Binding::element(record),
        4 => Binding::member(record),
        5 => Binding::stream_field(record, field),
        6 => Binding::record_name(record),
        _ => Binding::message(record),
    }
}

/// The binding of a record without a group, of a group that binds nothing, and of one that does.
fn groups(binding: Binding<'_>) -> [Binding<'_>; 3] {
    let of_group = [false, true].map(|seals| binding.in_group(GROUP, seals));
    [binding, of_group[0], of_group[1]]
}

// The settings of the sealer, its rules and its user, the binding, what is stored, the position of a damage, and bytes.
fuzz_target!(|input: &[u8]| {
    let [settings, rules, binding, source, number, at, rest @ ..] = input else {
        return;
    };
    let case = Case::new(Bits(*settings), *rules);
    let (binding, rest) = take_binding(*binding, rest);
    let stored = match source % 2 {
        0 => rest.to_vec(),
        _ => edited(&ENVELOPES[usize::from(*number) % ENVELOPES.len()], rest),
    };
    case.check_opening(&stored, binding);
    case.check_resealing(&stored, binding);
    let at = usize::from(*at);
    if let Ok(sealed) = case.sealer.seal(&stored, binding) {
        case.check_sealed(&sealed, (&stored, binding), at);
    }
    if let Ok(sealed) = case.sealer.seal_deterministic(&stored, binding) {
        case.check_sealed(&sealed, (&stored, binding), at);
        let forms = case.sealer.deterministic_forms(&stored, binding).unwrap();
        assert!(forms.first() == Some(&sealed));
        for form in &forms {
            let opened = case.sealer.open(form, binding).expect("each form opens");
            assert!(value(&opened) == Some(&stored));
        }
    }
});

/// One bit each.
struct Bits(u8);

impl Bits {
    fn has(&self, bit: u8) -> bool {
        self.0 & (1 << bit) != 0
    }
}

fn take_binding(selection: u8, rest: &[u8]) -> (Binding<'_>, &[u8]) {
    let (kind, selection) = (selection % KINDS, selection / KINDS);
    let (group, len) = (usize::from(selection % 3), usize::from(selection / 3));
    if len == 0 {
        return (groups(bound(kind, RECORD, FIELD))[group], rest);
    }
    let (record, rest) = rest.split_at(len.min(rest.len()));
    let (field, rest) = rest.split_at(len.min(rest.len()));
    (groups(bound(kind, record, field))[group], rest)
}

/// Edits: a position, how many bytes are cut there, how many come in their place, and these.
fn edited(envelope: &[u8], mut edits: &[u8]) -> Vec<u8> {
    let mut bytes = envelope.to_vec();
    while let [at, cut, len, rest @ ..] = edits {
        let (new, rest) = rest.split_at(usize::from(*len).min(rest.len()));
        edits = rest;
        let start = usize::from(*at).min(bytes.len());
        let end = bytes.len().min(start + usize::from(*cut));
        bytes.splice(start..end, new.iter().copied());
    }
    bytes
}

fn value<'a>(opened: &'a Option<OpenedValue<'_>>) -> Option<&'a [u8]> {
    opened.as_ref().map(|opened| &*opened.value)
}

/// A sealer, and what is known of it.
struct Case {
    sealer: Sealer,
    /// Version 3 alone is accepted.
    accepts_only_3: bool,
}

impl Case {
    fn new(settings: Bits, rules: u8) -> Self {
        let mode = match (settings.has(0), settings.has(1)) {
            (false, false) => Mode::Off,
            (true, false) => Mode::On,
            (_, true) => Mode::Required,
        };
        let format = match settings.has(2) {
            true => Format::Sealed,
            false => Format::Classic,
        };
        let bits = Bits(rules);
        let mut sealer = match settings.has(3) && settings.has(4) && settings.has(5) {
            true => Sealer::without_keys(),
            false => Sealer::new(RINGS[usize::from(bits.has(0))].clone(), mode, format),
        };
        let version = |is_3| match is_3 {
            true => EnvelopeVersion::V3,
            false => EnvelopeVersion::V2,
        };
        sealer = sealer.rules(EnvelopeRules {
            write: version(bits.has(1)),
            accept: version(bits.has(2)),
        });
        if bits.has(3) {
            sealer = sealer.accepting_all();
        }
        if settings.has(5) {
            sealer = sealer.plain_values(PlainValues::Any);
        }
        if settings.has(6) {
            sealer = sealer.only_json();
        }
        if settings.has(7) {
            sealer = sealer.for_user(USERS[usize::from(rules >> 4) % USERS.len()].clone());
        }
        Self {
            sealer: sealer.armored(settings.has(4)),
            accepts_only_3: bits.has(2) && !bits.has(3),
        }
    }

    /// The result of opening agrees with the form of the bytes.
    fn check_opening(&self, stored: &[u8], binding: Binding<'_>) {
        let shape = Shape::of(stored);
        let header = match shape {
            Shape::Sealed { header, .. } => Some(header),
            _ => None,
        };
        assert!(Shape::of_header(stored) == header);
        let opened = self.sealer.open(stored, binding);
        match (shape, &opened) {
            (Shape::Empty, opened) => assert!(matches!(opened, Ok(None))),
            (_, Ok(None)) => panic!("only no bytes are no value"),
            (Shape::Malformed(defect), opened) => {
                let Err(error) = opened else {
                    panic!("a malformed envelope opens");
                };
                if stored.starts_with(&[0xF5, 0x57]) || stored.starts_with(b"ws2:") {
                    assert_eq!(*error, OpenError::Malformed(defect));
                }
            }
            (Shape::Sealed { header, armored }, Ok(Some(opened))) => {
                let key = header.key;
                assert_eq!(opened.form, Form::Sealed { key, armored });
                assert!(!self.accepts_only_3 || header.version == EnvelopeVersion::V3);
            }
            (Shape::Sealed { .. }, Err(error)) => {
                assert!(!matches!(
                    error,
                    OpenError::Malformed(_) | OpenError::Plaintext
                ));
            }
            (Shape::Plain, Ok(Some(opened))) => assert_eq!(opened.form, Form::Plain),
            (Shape::MaybeClassic, Ok(Some(opened))) => {
                let is_classic = matches!(opened.form, Form::Classic { .. });
                assert!(opened.form == Form::Plain || is_classic && !self.accepts_only_3);
            }
            (Shape::Plain | Shape::MaybeClassic, Err(error)) => {
                assert!(!error.to_string().is_empty());
            }
        }
        if let Ok(Some(opened)) = opened
            && opened.form == Form::Plain
        {
            assert!(*opened.value == *stored && self.sealer.mode() != Mode::Required);
        }
    }

    /// What opens seals again to something that opens to the same, and is then as the sealer writes it.
    fn check_resealing(&self, stored: &[u8], binding: Binding<'_>) {
        let sealer = &self.sealer;
        let before = sealer.open(stored, binding);
        match (before, sealer.reseal(stored, binding)) {
            (Ok(_), Ok(ResealOutcome::Current)) => {}
            (Ok(before), Ok(ResealOutcome::Replaced(new))) => {
                let after = sealer.open(&new, binding).expect("what was sealed opens");
                assert!(value(&before) == value(&after) && before.is_some());
                let again = sealer.reseal(&new, binding);
                assert!(matches!(again, Ok(ResealOutcome::Current)));
            }
            (Ok(_), Err(error)) => assert!(matches!(error, ResealError::Seal(_))),
            (Err(before), Err(error)) => assert_eq!(error, ResealError::Open(before)),
            (Err(_), Ok(_)) => panic!("what does not open seals again"),
        }
    }

    /// A sealed value opens where it was sealed, nowhere else, and not once it is damaged or cut.
    fn check_sealed(&self, sealed: &[u8], (plain, binding): (&[u8], Binding<'_>), at: usize) {
        let opened = self.sealer.open(sealed, binding);
        let opened = opened.expect("what was sealed opens").expect("a value");
        assert!(*opened.value == *plain && opened.form != Form::Plain);
        let mut flipped = sealed.to_vec();
        let at = at % sealed.len();
        flipped[at] ^= 1 << (at % 8);
        let damaged = [&flipped[..], &sealed[..at]];
        let Shape::Sealed { header, armored } = Shape::of(sealed) else {
            assert_eq!(Shape::of(sealed), Shape::MaybeClassic);
            for bytes in damaged {
                // Nothing tells damaged Base64 from a plain value where other plain values are expected.
                if let Ok(Some(opened)) = self.sealer.open(bytes, binding) {
                    assert!(opened.form == Form::Plain && *opened.value == *bytes);
                }
            }
            return;
        };
        for kind in 0..KINDS {
            let other = bound(kind, b"another record", FIELD);
            assert!(self.sealer.open(sealed, other).is_err() || other == binding || kind == 0);
            let planted = bound(kind, RECORD, FIELD);
            if header.version == EnvelopeVersion::V3 && planted.kind() != binding.kind() {
                assert!(self.sealer.open(sealed, planted).is_err(), "another kind");
            }
        }
        // A short envelope without its magic may be anybody's bytes, and so may one byte of it, or three of the armored
        // form.
        let prefix = if armored { 4 } else { 2 };
        let is_short = header.flags.deterministic();
        let damaged = damaged.iter().filter(|bytes| bytes.len() >= prefix);
        for bytes in damaged {
            match self.sealer.open(bytes, binding) {
                Err(_) => {}
                Ok(opened) => assert!(is_short && at < prefix && value(&opened) == Some(*bytes)),
            }
        }
    }
}
