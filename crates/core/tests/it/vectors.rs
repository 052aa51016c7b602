//! The vectors of the sealed format: `Sealer` and the second implementation agree on each of them, in every place, and
//! on everything that is nearly one of them.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Deserialize;
use waxseal_core::{
    Binding, DataKey, EnvelopeRules, EnvelopeVersion, Format, IndexKey, IndexKeyRole, KeyId,
    Keyring, Kind, Mode, NameMask, OpenError, PlainValues, Sealer, SecretKey, Shape, UserKey,
};

use crate::oracle::{Keys, Place, unhex};

const VECTORS: &str = include_str!("../vectors/envelopes.json");

#[derive(Deserialize)]
pub(crate) struct Vectors {
    domain: String,
    data_key: Key,
    index_key: Key,
    user_key: Key,
    envelopes: Vec<Envelope>,
}

#[derive(Deserialize)]
struct Key {
    id: String,
    key_hex: String,
}

#[derive(Deserialize)]
struct Envelope {
    name: String,
    version: u8,
    kind: String,
    scope: String,
    under: String,
    deterministic: bool,
    record: Option<String>,
    group: Option<String>,
    field: Option<String>,
    value_hex: String,
    nonce_hex: Option<String>,
    associated_data_hex: String,
    stored_hex: String,
}

/// All versions are written and accepted.
const RULES: EnvelopeRules = EnvelopeRules {
    write: EnvelopeVersion::V3,
    accept: EnvelopeVersion::V2,
};

impl Key {
    fn id(&self) -> KeyId {
        self.id.parse().unwrap()
    }

    fn secret(&self) -> SecretKey {
        SecretKey::from_hex(&self.key_hex).ok().unwrap()
    }

    fn for_oracle(&self) -> ([u8; 4], [u8; 32]) {
        let bytes = unhex(&self.key_hex).try_into().unwrap();
        (unhex(&self.id).try_into().unwrap(), bytes)
    }
}

impl Vectors {
    fn read() -> Self {
        serde_json::from_str(VECTORS).unwrap()
    }

    fn ring(&self, has_index_key: bool, domain: &str) -> Keyring {
        let data = DataKey::with_id(self.data_key.id(), &self.data_key.secret()).unwrap();
        let ring = Keyring::assemble(Arc::new(data), Vec::new(), NameMask::random()).unwrap();
        let ring = ring.with_rules(RULES).with_domain(domain.as_bytes());
        if !has_index_key {
            return ring;
        }
        let key = IndexKey::with_id(self.index_key.id(), &self.index_key.secret());
        ring.with_index_keys(vec![(Arc::new(key), IndexKeyRole::Writing)])
    }

    /// A sealer under all keys, in this domain.
    fn sealer(&self, domain: &str) -> Sealer {
        let ring = Arc::new(self.ring(true, domain));
        let user = UserKey::live(self.user_key.id(), &self.user_key.secret()).unwrap();
        Sealer::new(ring, Mode::On, Format::Sealed).for_user(Arc::new(user))
    }

    /// The sealer that wrote this envelope.
    fn sealer_of(&self, envelope: &Envelope) -> Sealer {
        match &*envelope.under {
            "user key" => self.sealer(&self.domain),
            under => {
                let ring = self.ring(under == "index key", &self.domain);
                Sealer::new(Arc::new(ring), Mode::On, Format::Sealed)
            }
        }
    }

    fn oracle(&self, domain: &str) -> Keys {
        Keys {
            data: vec![self.data_key.for_oracle()],
            index: vec![self.index_key.for_oracle()],
            user: Some(self.user_key.for_oracle()),
            domain: domain.as_bytes().to_vec(),
        }
    }
}

impl Envelope {
    fn place(&self) -> Place<'_> {
        let kind = Kind::ALL.iter().position(|kind| kind.as_str() == self.kind);
        Place {
            kind: u8::try_from(kind.unwrap() + 1).unwrap(),
            record: self.record.as_deref(),
            group: self.group.as_deref(),
            field: self.field.as_deref(),
        }
    }

    fn stored(&self) -> Vec<u8> {
        unhex(&self.stored_hex)
    }

    fn value(&self) -> Vec<u8> {
        unhex(&self.value_hex)
    }
}

/// The binding of a place, under which new envelopes are bound to the group if it has one.
fn binding(place: Place<'_>) -> Binding<'_> {
    let record = place.record.map(str::as_bytes);
    let field = place.field.unwrap_or_default().as_bytes();
    let binding = match (place.kind, record) {
        (1, None) => Binding::unbound(),
        (6, _) => return Binding::message(place.group.unwrap().as_bytes()),
        (1, Some(record)) => Binding::record(record),
        (2, Some(record)) => Binding::element(record),
        (3, Some(record)) => Binding::field(record, field),
        (4, Some(record)) => Binding::member(record),
        (5, Some(record)) => Binding::stream_field(record, field),
        (7, Some(record)) => Binding::record_name(record),
        _ => panic!("{place:?} is no place"),
    };
    match place.group {
        Some(group) => binding.in_group(group.as_bytes(), true),
        None => binding,
    }
}

/// The places of all vectors, and all others that are made of the same parts and of near ones.
fn places(vectors: &Vectors) -> BTreeSet<Place<'_>> {
    let own = vectors.envelopes.iter().map(Envelope::place);
    let own: BTreeSet<Place<'_>> = own.collect();
    let mut places = own.clone();
    let records = own.iter().map(|it| it.record);
    let records: BTreeSet<_> = records
        .chain([Some("wa:5215500000000"), Some("")])
        .collect();
    let groups = own.iter().map(|it| it.group);
    let groups: BTreeSet<_> = groups.chain([Some("other-states"), Some("")]).collect();
    let fields = own.iter().map(|it| it.field);
    let fields: BTreeSet<_> = fields.chain([Some("color"), Some("")]).collect();
    for kind in 1..=7 {
        for record in records.iter().copied() {
            for group in groups.iter().copied() {
                let of_field = |field| Place {
                    kind,
                    record,
                    group,
                    field,
                };
                let all = fields.iter().copied().map(of_field);
                places.extend(all.filter(is_place));
            }
        }
    }
    places
}

fn is_place(place: &Place<'_>) -> bool {
    match place.kind {
        1 => place.field.is_none(),
        3 | 5 => place.record.is_some() && place.field.is_some(),
        6 => place.record.is_none() && place.group.is_some() && place.field.is_none(),
        _ => place.record.is_some() && place.field.is_none(),
    }
}

#[test]
fn there_is_a_vector_for_every_kind_scope_key_and_version() {
    let vectors = Vectors::read();
    let mut cases = BTreeSet::new();
    for it in &vectors.envelopes {
        let case = (
            it.version,
            &*it.kind,
            &*it.scope,
            &*it.under,
            it.deterministic,
        );
        assert!(cases.insert(case), "{} is there twice", it.name);
    }
    for kind in Kind::ALL.map(Kind::as_str) {
        for scope in ["record", "group"] {
            let is_expected = kind != "message" || scope == "group";
            for (under, deterministic) in
                [("data key", false), ("user key", false), ("user key", true)]
            {
                let case = (3, kind, scope, under, deterministic);
                assert_eq!(cases.contains(&case), is_expected, "{case:?}");
            }
            let is_index = matches!(kind, "member" | "list element" | "record name");
            for under in ["index key", "data key"] {
                let case = (3, kind, scope, under, true);
                assert_eq!(cases.contains(&case), is_index, "{case:?}");
            }
        }
        for under in ["data key", "user key"] {
            let is_old = matches!(kind, "string" | "list element" | "hash field");
            let case = (2, kind, "record", under, false);
            assert_eq!(cases.contains(&case), is_old, "{case:?}");
        }
    }
}

#[test]
fn the_second_implementation_makes_every_vector() {
    let vectors = Vectors::read();
    let oracle = vectors.oracle(&vectors.domain);
    for it in &vectors.envelopes {
        let stored = it.stored();
        let nonce = it.nonce_hex.as_deref().map(unhex);
        let nonce = nonce.map(|nonce| nonce.try_into().unwrap());
        let header = *stored.first_chunk().unwrap();
        let (made, data) = oracle.seal(header, nonce.as_ref(), it.place(), &it.value());
        assert_eq!(data, unhex(&it.associated_data_hex), "{}", it.name);
        assert_eq!(made, stored, "{}", it.name);
    }
}

#[test]
fn a_sealer_makes_every_deterministic_vector_and_headers_of_all() {
    let vectors = Vectors::read();
    for it in &vectors.envelopes {
        let sealer = vectors.sealer_of(it);
        let (value, binding) = (it.value(), binding(it.place()));
        if it.deterministic {
            let made = sealer.seal_deterministic(&value, binding).unwrap();
            assert_eq!(made, it.stored(), "{}", it.name);
            let forms = sealer.deterministic_forms(&value, binding).unwrap();
            assert_eq!(forms[0], it.stored(), "{}", it.name);
            continue;
        }
        if binding.kind().is_deterministic() {
            // Opened, but not made: values of these kinds are looked up.
            continue;
        }
        let version = EnvelopeVersion::try_from(it.version).unwrap();
        let sealer = sealer.rules(EnvelopeRules {
            write: version,
            ..RULES
        });
        assert_eq!(sealer.written_version(), version);
        let made = sealer.seal(&value, binding).unwrap();
        assert_eq!(Shape::of(&made), Shape::of(&it.stored()), "{}", it.name);
        assert_eq!(made.len(), it.stored().len(), "{}", it.name);
        // The other implementation opens what this one seals.
        let opened = vectors.oracle(&vectors.domain).open(&made, it.place());
        assert_eq!(opened, Some(value), "{}", it.name);
    }
}

#[test]
fn every_vector_opens_in_its_place_and_nowhere_else() {
    let vectors = Vectors::read();
    let places = places(&vectors);
    assert!(places.len() > 150, "{}", places.len());
    for domain in [&*vectors.domain, "", "productio"] {
        let (sealer, oracle) = (vectors.sealer(domain), vectors.oracle(domain));
        for it in &vectors.envelopes {
            let stored = it.stored();
            let mut seen = 0;
            for place in &places {
                let opened = sealer.open(&stored, binding(*place));
                let expected = oracle.open(&stored, *place).ok_or(OpenError::Refused);
                let value = opened.map(|opened| opened.unwrap().value.into_owned());
                assert_eq!(value, expected, "{} in {place:?}, {domain}", it.name);
                let own = it.place();
                let is_same = match (it.version, &*it.scope) {
                    // Neither kind, domain nor group.
                    (2, _) => {
                        matches!(place.kind, 1..=3)
                            && (place.record, place.field) == (own.record, own.field)
                    }
                    (_, "group") => {
                        domain == vectors.domain
                            && (place.kind, place.group, place.field)
                                == (own.kind, own.group, own.field)
                    }
                    _ => {
                        domain == vectors.domain
                            && (place.kind, place.record, place.field)
                                == (own.kind, own.record, own.field)
                    }
                };
                assert_eq!(value.is_ok(), is_same, "{} in {place:?}", it.name);
                if is_same {
                    assert_eq!(value, Ok(it.value()), "{}", it.name);
                    seen += 1;
                }
            }
            let opens = it.version == 2 || domain == vectors.domain;
            assert_eq!(seen > 0, opens, "{}", it.name);
        }
    }
}

/// Sealers of modes and kinds of plain values that accept plain values.
fn lenient_sealers(vectors: &Vectors) -> Vec<Sealer> {
    let ring = vectors.sealer(&vectors.domain);
    let mut all = vec![ring.clone().plain_values(PlainValues::Any)];
    for mode in [Mode::Off, Mode::On] {
        all.push(ring.clone().classifying_as(mode, Format::Classic));
    }
    all
}

#[test]
fn every_flipped_bit_and_every_truncation_of_every_vector_is_refused() {
    let vectors = Vectors::read();
    let sealers = lenient_sealers(&vectors);
    let oracle = vectors.oracle(&vectors.domain);
    for it in &vectors.envelopes {
        let stored = it.stored();
        let place = it.place();
        let armored = sealers[0].clone().armored(true);
        let is_refused = |damaged: &[u8]| {
            sealers
                .iter()
                .all(|sealer| sealer.open(damaged, binding(place)).is_err())
        };
        for bit in 0..stored.len() * 8 {
            let mut damaged = stored.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(is_refused(&damaged), "{}, bit {bit}", it.name);
            assert_eq!(oracle.open(&damaged, place), None, "{}", it.name);
        }
        for len in 2..stored.len() {
            assert!(is_refused(&stored[..len]), "{}, cut to {len}", it.name);
        }
        let longer = [&stored[..], b"\0"].concat();
        assert!(is_refused(&longer), "{}", it.name);
        // The same in the armored form.
        let armored = match it.deterministic {
            true => armored.seal_deterministic(&it.value(), binding(place)),
            false => armored.seal(&it.value(), binding(place)),
        };
        let Ok(armored) = armored else {
            assert_eq!(it.scope, "none", "{}", it.name);
            continue;
        };
        assert!(armored.starts_with(b"ws2:9VcD"), "{}", it.name);
        for bit in 0..armored.len() * 8 {
            let mut damaged = armored.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(is_refused(&damaged), "{}, armored, bit {bit}", it.name);
        }
        for len in 4..armored.len() {
            assert!(is_refused(&armored[..len]), "{}, armored, {len}", it.name);
        }
    }
}
