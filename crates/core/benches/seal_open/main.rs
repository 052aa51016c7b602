//! The cost of sealing and opening relative to the primitive: `Sealer` against the same cipher called by hand, the key
//! of a user against the ring, plain AES-256-GCM as the limit, and the `crypto` module of Node with the classic format.
//! All sides take turns in one run, so that a busy machine slows them alike; only ratios count. The figures are
//! discussed in `docs/reference/benchmarks.md`.
#![expect(clippy::print_stdout, reason = "a benchmark prints what it measured")]

mod by_hand;
mod node;
mod report;
mod rounds;

use std::hint::black_box;
use std::rc::Rc;
use std::sync::Arc;

use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Prk};
use waxseal_core::{
    Binding, EnvelopeRules, EnvelopeVersion, Form, Format, Keyring, Mode, NamePrefix, NameSealer,
    PadNames, Sealer, SecretKey, UserKey,
};

use by_hand::{ClassicByHand, DeterministicByHand, Limit, SealedByHand};
use node::Node;
use rounds::{Case, Envelope, Operation, Side, SideName};

/// Lengths of the values.
const SIZES: [usize; 5] = [64, 256, 1024, 4 * 1024, 64 * 1024];
/// Lengths of members and names.
const SHORT_SIZES: [usize; 3] = [16, 64, 256];
/// Lengths of the sealed parts of names: a telephone number, a UUID, and a long one.
const NAME_SIZES: [usize; 3] = [13, 36, 128];
const NAME: &[u8] = b"wa:5215512345678";
const DOMAIN: &[u8] = b"production";
const PREFIX: &[u8] = b"wa:";

fn main() {
    let bench = Bench::new();
    let mut cases = Vec::new();
    for size in SIZES {
        for operation in [Operation::Seal, Operation::Open] {
            cases.push(bench.classic(operation, size));
            cases.push(bench.sealed(operation, size));
            cases.push(bench.version_3(operation, size));
        }
    }
    for size in SHORT_SIZES {
        for operation in [Operation::Seal, Operation::Open] {
            cases.push(bench.deterministic(operation, size));
        }
    }
    for size in NAME_SIZES {
        for operation in [Operation::Seal, Operation::Open] {
            cases.push(bench.name(operation, size));
        }
    }
    println!(
        "{} rounds, every side in {} turns of about {} ms in each; µs per value, medians; ratios are \
         medians of the rounds' ratios (smallest to largest)",
        rounds::ROUNDS,
        rounds::TURNS,
        rounds::TURN.as_millis(),
    );
    rounds::run(&mut cases);
    report::print(&cases);
}

/// The keys of all sides.
struct Bench {
    key: [u8; 32],
    ring: Sealer,
    user: Sealer,
    node: Option<Node>,
}

impl Bench {
    fn new() -> Self {
        let key = rand::random();
        let secret = SecretKey::from_bytes(&key).expect("random bytes are a key");
        let ring = Keyring::new(secret).expect("one key is a ring");
        let ring = Arc::new(ring.with_domain(DOMAIN));
        let ring = Sealer::new(ring, Mode::Required, Format::Sealed);
        let of_user = SecretKey::generate().expect("randomness");
        let of_user = UserKey::live(of_user.id(), &of_user).expect("a key");
        Self {
            key,
            user: ring.clone().for_user(Arc::new(of_user)),
            ring,
            node: Node::start(&key),
        }
    }

    fn classic(&self, operation: Operation, size: usize) -> Case {
        let value = state(size);
        let sealer = self.ring.clone().format(Format::Classic);
        let mut hand = ClassicByHand::new(&self.key);
        let stored = hand.seal(&value);
        assert_opens(&sealer, &stored, &value);
        let by_sealer = seal(&sealer, &value);
        assert!(hand.open(&by_sealer).ends_with(&value));

        let mut sides = match operation {
            Operation::Seal => {
                let by_hand = value.clone();
                vec![
                    Side::new(SideName::ByHand, move || hand.seal(black_box(&by_hand))),
                    Side::new(SideName::Sealer, move || seal(&sealer, black_box(&value))),
                ]
            }
            Operation::Open => {
                let by_hand = stored.clone();
                vec![
                    Side::new(SideName::ByHand, move || hand.open(black_box(&by_hand))),
                    Side::new(SideName::Sealer, move || open(&sealer, black_box(&stored))),
                ]
            }
        };
        if let Some(node) = &self.node {
            node.agree(size, |sealed| {
                assert_opens(
                    &self.ring.clone().format(Format::Classic),
                    sealed,
                    &state(size),
                );
            });
            for (name, text) in [(SideName::NodeText, true), (SideName::NodeBytes, false)] {
                let node = Rc::clone(&node.0);
                sides.push(Side::timed_elsewhere(name, move |count| {
                    node.borrow_mut().measure(operation, text, size, count)
                }));
            }
        }
        Case {
            envelope: Envelope::Classic,
            operation,
            size,
            sides,
        }
    }

    fn sealed(&self, operation: Operation, size: usize) -> Case {
        let value = state(size);
        let (ring, user) = (self.ring.clone(), self.user.clone());
        let stored = seal(&ring, &value);
        let hand = SealedByHand::new(&self.key, [&stored[..8], &part(NAME)].concat());
        assert_opens(&ring, &hand.seal(&value), &value);
        assert_eq!(hand.open(&stored), value);
        let limit = Limit::new(&self.key);
        let of_limit = limit.seal(&value);
        let of_user = seal(&user, &value);
        assert_opens(&user, &of_user, &value);

        let sides = match operation {
            Operation::Seal => {
                let (v1, v2, v3) = (value.clone(), value.clone(), value.clone());
                vec![
                    Side::new(SideName::ByHand, move || hand.seal(black_box(&value))),
                    Side::new(SideName::Sealer, move || seal(&ring, black_box(&v1))),
                    Side::new(SideName::UserKey, move || seal(&user, black_box(&v2))),
                    Side::new(SideName::Limit, move || limit.seal(black_box(&v3))),
                ]
            }
            Operation::Open => {
                let by_hand = stored.clone();
                vec![
                    Side::new(SideName::ByHand, move || hand.open(black_box(&by_hand))),
                    Side::new(SideName::Sealer, move || open(&ring, black_box(&stored))),
                    Side::new(SideName::UserKey, move || open(&user, black_box(&of_user))),
                    Side::new(SideName::Limit, move || limit.open(black_box(&of_limit))),
                ]
            }
        };
        Case {
            envelope: Envelope::Version2,
            operation,
            size,
            sides,
        }
    }

    fn version_3(&self, operation: Operation, size: usize) -> Case {
        let value = state(size);
        let version_2 = self.ring.clone();
        let (ring, user) = (with_version_3(&self.ring), with_version_3(&self.user));
        let stored = seal(&ring, &value);
        let hand = SealedByHand::new(&self.key, associated_data(&stored, 1, NAME));
        assert_opens(&ring, &hand.seal(&value), &value);
        assert_eq!(hand.open(&stored), value);
        let of_version_2 = seal(&version_2, &value);
        let of_user = seal(&user, &value);

        let sides = match operation {
            Operation::Seal => {
                let (v1, v2, v3) = (value.clone(), value.clone(), value.clone());
                vec![
                    Side::new(SideName::ByHand, move || hand.seal(black_box(&value))),
                    Side::new(SideName::Sealer, move || seal(&ring, black_box(&v1))),
                    Side::new(SideName::Version2, move || seal(&version_2, black_box(&v2))),
                    Side::new(SideName::UserKey, move || seal(&user, black_box(&v3))),
                ]
            }
            Operation::Open => {
                let by_hand = stored.clone();
                vec![
                    Side::new(SideName::ByHand, move || hand.open(black_box(&by_hand))),
                    Side::new(SideName::Sealer, move || open(&ring, black_box(&stored))),
                    Side::new(SideName::Version2, move || {
                        open(&version_2, black_box(&of_version_2))
                    }),
                    Side::new(SideName::UserKey, move || open(&user, black_box(&of_user))),
                ]
            }
        };
        Case {
            envelope: Envelope::Version3,
            operation,
            size,
            sides,
        }
    }

    fn deterministic(&self, operation: Operation, size: usize) -> Case {
        let value = state(256)[..size].to_vec();
        let ring = with_version_3(&self.ring);
        let seal = |value: &[u8]| {
            let sealed = ring.seal_deterministic(value, Binding::member(NAME));
            sealed.expect("the key seals")
        };
        let stored = seal(&value);
        let key = derived_key(&self.key, b"member");
        let by_hand = || DeterministicByHand::new(key, associated_data(&stored, 4, NAME));
        let (mut kept, mut prepared) = (by_hand(), by_hand());
        assert_eq!(kept.seal(&value), stored);
        assert_eq!(kept.open(&stored), value);

        let ring = ring.clone();
        let sides = match operation {
            Operation::Seal => {
                let (v1, v2) = (value.clone(), value.clone());
                vec![
                    Side::new(SideName::ByHand, move || kept.seal(black_box(&value))),
                    Side::new(SideName::Sealer, move || {
                        let sealed = ring.seal_deterministic(black_box(&v1), Binding::member(NAME));
                        sealed.expect("the key seals")
                    }),
                    Side::new(SideName::PreparedEachTime, move || {
                        prepared.prepare();
                        prepared.seal(black_box(&v2))
                    }),
                ]
            }
            Operation::Open => {
                let (s1, s2) = (stored.clone(), stored.clone());
                vec![
                    Side::new(SideName::ByHand, move || kept.open(black_box(&s1))),
                    Side::new(SideName::Sealer, move || {
                        let opened = ring.open(black_box(&stored), Binding::member(NAME));
                        let opened = opened.expect("it opens").expect("it is not empty");
                        opened.value.into_owned()
                    }),
                    Side::new(SideName::PreparedEachTime, move || {
                        prepared.prepare();
                        prepared.open(black_box(&s2))
                    }),
                ]
            }
        };
        Case {
            envelope: Envelope::Deterministic,
            operation,
            size,
            sides,
        }
    }
}

/// Names of records: the library's AES-SIV alone, with the key prepared once, against the whole stored name.
impl Bench {
    fn name(&self, operation: Operation, size: usize) -> Case {
        let name = [PREFIX, &state(256)[..size]].concat();
        let text = [&name[PREFIX.len()..], &[0x80]].concat();
        let ring = self.ring.keyring().expect("it has keys");
        let prefix = NamePrefix::new(PREFIX, PadNames::default());
        let names = NameSealer::new(ring, vec![prefix]);
        let mut stored = Vec::new();
        let sealed = names.load().seal(0, 0, &name, &mut stored);
        sealed.expect("the key seals");
        let encoded = &stored[PREFIX.len() + 1..];
        let envelope = base64_simd::URL_SAFE_NO_PAD.decode_to_vec(encoded);
        let envelope = envelope.expect("it is Base64");
        let key = derived_key(&self.key, b"name");
        let mut hand = DeterministicByHand::new(key, associated_data(&envelope, 7, PREFIX));
        assert_eq!(hand.seal(&text), envelope);
        assert_eq!(hand.open(&envelope), text);

        // As in a proxy: the keys of one look are used for all names of a request, and the buffer is there.
        let names = names.load();
        let mut out = Vec::with_capacity(1024);
        let sides = match operation {
            Operation::Seal => vec![
                Side::new(SideName::ByHand, move || hand.seal(black_box(&text))),
                Side::new(SideName::Sealer, move || {
                    out.clear();
                    names.seal(0, 0, black_box(&name), &mut out)
                }),
            ],
            Operation::Open => vec![
                Side::new(SideName::ByHand, move || hand.open(black_box(&envelope))),
                Side::new(SideName::Sealer, move || {
                    out.clear();
                    names.open(0, black_box(&stored), &mut out)
                }),
            ],
        };
        Case {
            envelope: Envelope::Name,
            operation,
            size,
            sides,
        }
    }
}

fn with_version_3(sealer: &Sealer) -> Sealer {
    sealer.clone().rules(EnvelopeRules {
        write: EnvelopeVersion::V3,
        accept: EnvelopeVersion::V3,
    })
}

/// The associated data of an envelope of version 3 of this kind, bound to this record.
fn associated_data(envelope: &[u8], kind: u8, record: &[u8]) -> Vec<u8> {
    [&envelope[..8], &[kind], &part(DOMAIN), &part(record)].concat()
}

/// Length and bytes of a part of associated data.
fn part(bytes: &[u8]) -> Vec<u8> {
    let len = u32::try_from(bytes.len()).expect("a short name");
    [&len.to_be_bytes(), bytes].concat()
}

/// The key of AES-SIV for this use that is derived from a data key.
fn derived_key(key: &[u8; 32], of_use: &[u8]) -> [u8; 64] {
    struct Length;
    impl KeyType for Length {
        fn len(&self) -> usize {
            64
        }
    }
    let mut derived = [0; 64];
    Prk::new_less_safe(HKDF_SHA256, key)
        .expand(&[b"waxseal index key v1 ", of_use], Length)
        .and_then(|output| output.fill(&mut derived))
        .expect("a short output");
    derived
}

fn seal(sealer: &Sealer, value: &[u8]) -> Vec<u8> {
    sealer
        .seal(value, Binding::record(NAME))
        .expect("the key seals")
}

fn open(sealer: &Sealer, stored: &[u8]) -> Vec<u8> {
    sealer
        .open(stored, Binding::record(NAME))
        .expect("the envelope opens")
        .expect("it is not empty")
        .value
        .into_owned()
}

fn assert_opens(sealer: &Sealer, stored: &[u8], value: &[u8]) {
    let opened = sealer.open(stored, Binding::record(NAME));
    let opened = opened.expect("it opens").expect("it is not empty");
    assert_eq!(&*opened.value, value);
    assert_ne!(opened.form, Form::Plain);
}

/// A conversation state of exactly this many bytes, with a few accents.
fn state(len: usize) -> Vec<u8> {
    let mut state = r#"{"status":"collecting_data","data":{"domicilio":""#.to_owned();
    let end = r#""}}"#;
    let text = "Av. Universidad 1200, Col. Xoco, Benito Juárez, Ciudad de México, 03330. ";
    let mut letters = text.chars().cycle();
    while let Some(letter) = letters.next()
        && state.len() + letter.len_utf8() + end.len() <= len
    {
        state.push(letter);
    }
    state.push_str(end);
    // If an accented letter no longer fits.
    state.extend(std::iter::repeat_n(' ', len - state.len()));
    state.into_bytes()
}
