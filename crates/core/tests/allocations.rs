//! The allocations of sealing and opening: one, for the result. A binary of its own, since counting replaces the
//! allocator of the whole program.
//!
//! Only allocations in Rust are counted, not those of the C library of the sealed format for the key of a message.

use std::sync::Arc;

use allocation_counter::measure;
use waxseal_core::{
    Binding, EnvelopeRules, EnvelopeVersion, Format, IndexKey, IndexKeyRole, Keyring, Mode,
    NamePrefix, NameSealer, PadNames, Sealer, SecretKey, UserKey,
};

const LENGTHS: [usize; 7] = [0, 64, 256, 1_000, 1_024, 4_096, 65_536];

fn assert_one_allocation_each(sealer: &Sealer, binding: Binding<'_>, what: &str) {
    assert_one_allocation(sealer, binding, what, |value| {
        sealer.seal(value, binding).unwrap()
    });
}

fn assert_one_allocation(
    sealer: &Sealer,
    binding: Binding<'_>,
    what: &str,
    seal: impl Fn(&[u8]) -> Vec<u8>,
) {
    for len in LENGTHS {
        let value = vec![b'v'; len];
        let mut stored = Vec::new();
        let sealing = measure(|| stored = seal(&value));
        assert_eq!(sealing.count_total, 1, "sealing {len} bytes, {what}");
        assert_eq!(
            sealing.bytes_total,
            stored.len() as u64,
            "sealing {len} bytes, {what}"
        );

        let mut opened = None;
        let opening = measure(|| opened = sealer.open(&stored, binding).unwrap());
        assert_eq!(&*opened.unwrap().value, value);
        // An empty value needs no memory at all.
        let expected = u64::from(len > 0);
        assert_eq!(opening.count_total, expected, "opening {len} bytes, {what}");
    }
}

#[test]
fn sealing_and_opening_allocate_only_what_they_return() {
    let keyring = Keyring::new(SecretKey::generate().ok().unwrap()).unwrap();
    let sealer = Sealer::new(Arc::new(keyring), Mode::Required, Format::Sealed);
    let user_key = SecretKey::generate().ok().unwrap();
    let user_key = UserKey::live(user_key.id(), &user_key).unwrap();
    let (name, field) = ([b'n'; 200], [b'f'; 200]);
    // The thread's generator of nonces allocates once, when it is first used.
    sealer.seal(b"first", Binding::unbound()).unwrap();

    for (sealer, format) in [
        (sealer.clone().format(Format::Classic), "classic format"),
        (sealer.clone(), "sealed format"),
        (sealer.for_user(Arc::new(user_key)), "a user's key"),
    ] {
        for (binding, place) in [
            (Binding::unbound(), "unbound"),
            (Binding::record(&name[..16]), "a short name"),
            (Binding::record(&name), "a long name"),
            (Binding::field(&name, &field), "a long name and field"),
        ] {
            assert_one_allocation_each(&sealer, binding, &format!("{format}, {place}"));
        }
    }
}

#[test]
fn version_3_and_deterministic_envelopes_allocate_only_what_they_return() {
    let ring = Keyring::new(SecretKey::generate().ok().unwrap()).unwrap();
    let ring = ring.with_domain(*b"production").with_rules(EnvelopeRules {
        write: EnvelopeVersion::V3,
        accept: EnvelopeVersion::V3,
    });
    let key = SecretKey::generate().ok().unwrap();
    let index_key = Arc::new(IndexKey::with_id(key.id(), &key));
    let ring = ring.with_index_keys(vec![(index_key, IndexKeyRole::Writing)]);
    let sealer = Sealer::new(Arc::new(ring), Mode::Required, Format::Sealed);
    let user_key = SecretKey::generate().ok().unwrap();
    let user_key = UserKey::live(user_key.id(), &user_key).unwrap();
    let of_user = sealer.clone().for_user(Arc::new(user_key));
    let name = [b'n'; 200];
    for (sealer, owner) in [(sealer, "the ring's key"), (of_user, "a user's key")] {
        for name in [&name[..16], &name] {
            for binding in [
                Binding::member(name),
                Binding::member(name).in_group(b"bot-states", true),
            ] {
                // The generator of nonces and the derived key are prepared at their first use.
                sealer.seal(b"first", binding).unwrap();
                sealer.seal_deterministic(b"first", binding).unwrap();
                let what = format!("{owner}, {} bytes of name", name.len());
                assert_one_allocation_each(&sealer, binding, &what);
                assert_one_allocation(&sealer, binding, &what, |value| {
                    sealer.seal_deterministic(value, binding).unwrap()
                });
            }
        }
    }
}

#[test]
fn a_plain_value_is_opened_without_any_allocation() {
    let keyring = Keyring::new(SecretKey::generate().ok().unwrap()).unwrap();
    let sealer = Sealer::new(Arc::new(keyring), Mode::On, Format::Sealed);
    // The first access to a keyring prepares the thread for all further ones.
    assert!(sealer.open(b"word", Binding::unbound()).is_ok());
    for plain in [&br#"{"status":"confirming"}"#[..], br#"["a","b"]"#, b"word"] {
        let opening = measure(|| {
            assert!(sealer.open(plain, Binding::unbound()).is_ok());
        });
        assert_eq!(opening.count_total, 0);
    }
}

#[test]
fn short_names_are_sealed_and_opened_without_any_allocation() {
    let keyring = Keyring::new(SecretKey::generate().ok().unwrap()).unwrap();
    let padded = NamePrefix::new(*b"wa:", PadNames::new(16).unwrap());
    let plain = NamePrefix::new(*b"wa:", PadNames::default());
    let prefixes = vec![plain, padded.clone(), padded.on_cluster().unwrap()];
    let sealer = NameSealer::new(Arc::new(keyring), prefixes);
    let (mut stored, mut opened) = (Vec::with_capacity(512), Vec::with_capacity(512));
    for prefix in 0..3 {
        for len in 0..=128 {
            let name = [b"wa:", &vec![b'n'; len][..]].concat();
            // The first access to a keyring prepares the thread for all further ones.
            let mut work = || {
                stored.clear();
                opened.clear();
                let names = sealer.load();
                names.seal(prefix, 0, &name, &mut stored).unwrap();
                names.open(prefix, &stored, &mut opened).unwrap();
                assert_eq!(opened, name);
            };
            work();
            assert_eq!(measure(work).count_total, 0, "{len} bytes");
        }
    }
}
