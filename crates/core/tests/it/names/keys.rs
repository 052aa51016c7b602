//! The keys that names are under: which ones, in which order, and what follows when they are replaced.

use std::sync::Arc;

use waxseal_core::{
    DataKey, IndexKey, IndexKeyRole, KeyId, KeyRole, Keyring, Kind, NameError, NameMask,
    NamePrefix, NameSealer, PreparedNames, SealError, SecretKey, SharedKeyring,
};

use super::{NAME, names, opened, pad, plain_prefix, ring, sealed};
use crate::{KEY, OLD_KEY, OTHER_KEY};
use IndexKeyRole::{Pending, Reading, Writing};

fn secret(hex: &str) -> SecretKey {
    SecretKey::from_hex(hex).ok().unwrap()
}

fn id(hex: &str) -> KeyId {
    secret(hex).id()
}

fn index_key(id: u32) -> Arc<IndexKey> {
    let bytes: [u8; 32] = std::array::from_fn(|at| at as u8 ^ id as u8);
    let key = SecretKey::from_bytes(&bytes).ok().unwrap();
    Arc::new(IndexKey::with_id(KeyId::from_u32(id), &key))
}

fn with_index_keys(keys: &[(&Arc<IndexKey>, IndexKeyRole)]) -> Keyring {
    let keys = keys.iter().map(|(key, role)| (Arc::clone(key), *role));
    let ring = Keyring::from_hex(KEY, OLD_KEY).unwrap();
    ring.with_domain(*b"production")
        .with_index_keys(keys.collect())
}

fn of_wa(ring: Keyring) -> PreparedNames {
    names(ring, plain_prefix(b"wa:"))
}

/// The keys of the forms of a name, in their order, each of which opens.
fn keys_of_forms(names: &PreparedNames) -> Vec<KeyId> {
    let forms = (0..names.forms(0)).map(|form| {
        let stored = sealed(names, form, NAME);
        let mut out = Vec::new();
        let id = names.open(0, &stored, &mut out).unwrap();
        assert_eq!(out, NAME);
        assert_eq!(PreparedNames::key_of(&stored[3..]), Some(id));
        id
    });
    forms.collect()
}

#[test]
fn the_writing_index_key_is_first_and_data_keys_are_none() {
    let (old, now, next) = (index_key(1), index_key(2), index_key(3));
    let names = of_wa(with_index_keys(&[
        (&old, Reading),
        (&next, Pending),
        (&now, Writing),
    ]));
    assert_eq!(keys_of_forms(&names), [now.id(), next.id(), old.id()]);
    let of_data_key = sealed(&of_wa(ring()), 0, NAME);
    let unknown = NameError::UnknownKey { id: id(KEY) };
    assert_eq!(opened(&names, &of_data_key), Err(unknown));
}

#[test]
fn without_index_keys_names_are_under_all_data_keys() {
    let ring = Keyring::from_hex(KEY, &format!("{OLD_KEY},{OTHER_KEY}")).unwrap();
    let names = of_wa(ring);
    assert_eq!(keys_of_forms(&names), [id(KEY), id(OLD_KEY), id(OTHER_KEY)]);
}

#[test]
fn names_that_were_sealed_before_there_were_index_keys_are_found() {
    let now = index_key(2);
    let keys = [(&now, Writing)];
    let before = sealed(&of_wa(ring()), 0, NAME);
    let ring = with_index_keys(&keys).with_data_keys_of_names(vec![id(KEY), now.id()]);
    let names = of_wa(ring);
    assert_eq!(keys_of_forms(&names), [now.id(), id(KEY)]);
    assert_eq!(opened(&names, &before).unwrap(), NAME);
    // A key that is added to the ring changes nothing.
    let ring = with_index_keys(&keys).with_data_keys_of_names(vec![id(KEY)]);
    let ring = ring.with_previous(&secret(OTHER_KEY)).unwrap();
    assert_eq!(keys_of_forms(&of_wa(ring)), [now.id(), id(KEY)]);
}

#[test]
fn forms_are_those_of_each_key_and_each_padding() {
    let (old, now) = (index_key(1), index_key(2));
    let prefix = NamePrefix::new(*b"wa:", pad(16)).with_former_pad(pad(1));
    let names = names(with_index_keys(&[(&old, Reading), (&now, Writing)]), prefix);
    assert_eq!(
        keys_of_forms(&names),
        [now.id(), now.id(), old.id(), old.id()]
    );
    let all: Vec<_> = (0..4).map(|form| sealed(&names, form, NAME)).collect();
    assert!((0..4).all(|form| !all[form + 1..].contains(&all[form])));
    assert!(all[0].len() > all[1].len() && all[2].len() > all[3].len());
}

#[test]
fn a_compromised_key_opens_only_on_request() {
    let stored = sealed(&of_wa(ring()), 0, NAME);
    let compromised = || {
        let key = |hex| Arc::new(DataKey::with_id(id(hex), &secret(hex)).unwrap());
        let others = vec![(key(KEY), KeyRole::Compromised)];
        let ring = Keyring::assemble(key(OTHER_KEY), others, NameMask::random()).unwrap();
        ring.with_domain(*b"production")
    };
    let names = of_wa(compromised());
    assert_eq!(names.forms(0), 1);
    let refused = NameError::Compromised { id: id(KEY) };
    assert_eq!(opened(&names, &stored), Err(refused));
    let names = of_wa(compromised().opening_compromised());
    assert_eq!(names.forms(0), 2);
    assert_eq!(opened(&names, &stored).unwrap(), NAME);
}

#[test]
fn nothing_is_sealed_that_would_not_be_counted_or_has_no_key() {
    let now = index_key(2);
    let stored = sealed(&of_wa(with_index_keys(&[(&now, Writing)])), 0, NAME);
    let reading = of_wa(with_index_keys(&[(&now, Reading)]));
    let old = of_wa(with_index_keys(&[(&now, Writing)]).with_old_readers(true));
    for (names, error) in [
        (reading, SealError::NoIndexKey),
        (
            old,
            SealError::NeedsFormat2 {
                kind: Kind::RecordName,
            },
        ),
    ] {
        assert_eq!(names.seal(0, 0, NAME, &mut Vec::new()), Err(error));
        assert_eq!(opened(&names, &stored).unwrap(), NAME);
    }
}

#[test]
fn a_keyring_that_is_replaced_is_followed() {
    let (old, now) = (index_key(1), index_key(2));
    let shared = SharedKeyring::from(Arc::new(with_index_keys(&[(&old, Writing)])));
    let sealer = NameSealer::new(shared.clone(), vec![plain_prefix(b"wa:")]);
    let before = sealer.load();
    let stored = sealed(&before, 0, NAME);
    let ring = with_index_keys(&[(&old, Reading), (&now, Writing)]);
    shared.publish(Arc::new(ring));
    // What was loaded stays as it was, for the rest of a request.
    assert_eq!(sealed(&before, 0, NAME), stored);
    let after = sealer.clone().load();
    assert_eq!(keys_of_forms(&after), [now.id(), old.id()]);
    assert_eq!(opened(&after, &stored).unwrap(), NAME);
    let written = sealed(&after, 0, NAME);
    let unknown = NameError::UnknownKey { id: now.id() };
    assert_eq!(opened(&before, &written), Err(unknown));
    shared.publish(Arc::new(with_index_keys(&[(&now, Writing)])));
    let unknown = NameError::UnknownKey { id: old.id() };
    assert_eq!(opened(&sealer.load(), &stored), Err(unknown));
}

#[test]
fn all_names_under_a_key_count_as_one_value() {
    let (old, now) = (index_key(1), index_key(2));
    let ring = || with_index_keys(&[(&old, Reading), (&now, Writing)]);
    let shared = SharedKeyring::from(Arc::new(ring()));
    let sealer = NameSealer::new(shared.clone(), vec![plain_prefix(b"wa:")]);
    assert_eq!((now.seals(), old.seals()), (0, 0));
    let stored = sealed(&sealer.load(), 0, NAME);
    opened(&sealer.load(), &stored).unwrap();
    shared.publish(Arc::new(ring()));
    sealed(&sealer.load(), 0, NAME);
    sealed(&sealer.load(), 0, b"wa:another");
    assert_eq!((now.seals(), old.seals()), (1, 0));
    let usage = shared.current().index_key_usage().next().unwrap();
    assert_eq!((usage.id, usage.seals), (now.id(), 1));
    // Without index keys the data key counts it.
    let ring = Arc::new(Keyring::from_hex(KEY, "").unwrap());
    let sealer = NameSealer::new(Arc::clone(&ring), vec![plain_prefix(b"wa:")]);
    sealed(&sealer.load(), 0, NAME);
    assert_eq!(ring.usage().next().unwrap().deterministic_seals, 1);
}

#[test]
fn threads_that_use_one_sealer_at_once_agree() {
    let (old, now) = (index_key(1), index_key(2));
    let shared = SharedKeyring::from(Arc::new(with_index_keys(&[(&now, Writing)])));
    let sealer = NameSealer::new(shared.clone(), vec![plain_prefix(b"wa:")]);
    let expected = sealed(&sealer.load(), 0, NAME);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..500 {
                    let names = sealer.load();
                    assert_eq!(sealed(&names, 0, NAME), expected);
                    assert_eq!(opened(&names, &expected).unwrap(), NAME);
                }
            });
        }
        for _ in 0..50 {
            let keys = [(&old, Reading), (&now, Writing)];
            shared.publish(Arc::new(with_index_keys(&keys)));
        }
    });
    assert_eq!(sealer.load().forms(0), 2);
}
