//! Deterministic envelopes: equal where everything is equal, under index keys, derived keys and keys of users.

use std::borrow::Cow;
use std::sync::Arc;

use proptest::prelude::*;
use waxseal_core::{
    Binding, DataKey, Defect, EnvelopeRules, EnvelopeVersion, Form, Format, Group, IndexKey,
    IndexKeyRole, KeyId, KeyRole, Keyring, Kind, Mode, NameMask, OpenError, ResealOutcome,
    SealError, Sealer, SecretKey, Shape, UserKey,
};

use crate::{KEY, OLD_KEY, OTHER_KEY};
use EnvelopeVersion::{V2, V3};
use IndexKeyRole::{Pending, Reading, Writing};

const NAME: &[u8] = b"wa:waiting";
const MEMBER: &[u8] = b"5215512345678";

fn member() -> Binding<'static> {
    Binding::member(NAME)
}

fn secret(hex: &str) -> SecretKey {
    SecretKey::from_hex(hex).ok().unwrap()
}

fn index_key(id: u32) -> Arc<IndexKey> {
    let bytes: [u8; 32] = std::array::from_fn(|at| at as u8 ^ id as u8);
    let key = SecretKey::from_bytes(&bytes).ok().unwrap();
    Arc::new(IndexKey::with_id(KeyId::from_u32(id), &key))
}

fn rules(write: EnvelopeVersion) -> EnvelopeRules {
    EnvelopeRules { write, accept: V2 }
}

fn environment(key: &str, previous: &str) -> Keyring {
    let ring = Keyring::from_hex(key, previous).unwrap();
    ring.with_rules(rules(V3)).with_domain(*b"production")
}

fn with_index_keys(keys: &[(&Arc<IndexKey>, IndexKeyRole)]) -> Keyring {
    let keys = keys.iter().map(|(key, role)| (Arc::clone(key), *role));
    environment(KEY, OLD_KEY).with_index_keys(keys.collect())
}

fn sealer(ring: Keyring) -> Sealer {
    Sealer::new(Arc::new(ring), Mode::On, Format::Sealed)
}

fn opened(sealer: &Sealer, stored: &[u8], binding: Binding<'_>) -> Result<Vec<u8>, OpenError> {
    let opened = sealer.open(stored, binding)?;
    Ok(opened.unwrap().value.into_owned())
}

/// One binding of each kind.
fn bindings() -> [Binding<'static>; 7] {
    [
        Binding::record(NAME),
        Binding::element(NAME),
        Binding::field(NAME, b"f"),
        Binding::member(NAME),
        Binding::stream_field(NAME, b"f"),
        Binding::message(b"g"),
        Binding::record_name(NAME),
    ]
}

#[test]
fn equal_values_are_equal_where_everything_is_equal() {
    let sealer = sealer(with_index_keys(&[(&index_key(1), Writing)]));
    let staging =
        self::sealer(with_index_keys(&[(&index_key(1), Writing)]).with_domain(*b"staging"));
    let sealed = sealer.seal_deterministic(MEMBER, member()).unwrap();
    assert_eq!(sealed.len(), MEMBER.len() + 24);
    assert_eq!(sealed[..4], [0xF5, 0x57, 3, 0x11]);
    assert_eq!(sealed[4..8], [0, 0, 0, 1]);
    assert_eq!(
        sealer.seal_deterministic(MEMBER, member()),
        Ok(sealed.clone())
    );
    let in_group = member().in_group(b"bot-states", true);
    let others = [
        sealer.seal_deterministic(b"5215512345679", member()),
        sealer.seal_deterministic(MEMBER, Binding::member(b"wa:done")),
        sealer.seal_deterministic(MEMBER, Binding::element(NAME)),
        sealer.seal_deterministic(MEMBER, Binding::record_name(NAME)),
        sealer.seal_deterministic(MEMBER, in_group),
        staging.seal_deterministic(MEMBER, member()),
    ];
    for other in others {
        // Not only the header: neither the synthetic IV nor the ciphertext.
        let other = other.unwrap();
        assert_ne!(other[8..24], sealed[8..24]);
        assert_ne!(other[24..], sealed[24..]);
        let here = opened(&sealer, &other, member());
        assert!(here != Ok(MEMBER.to_vec()));
    }
    // In a group equal members of different records are equal.
    let elsewhere = Binding::member(b"wa:done").in_group(b"bot-states", true);
    assert_eq!(
        sealer.seal_deterministic(MEMBER, in_group),
        sealer.seal_deterministic(MEMBER, elsewhere)
    );
}

#[test]
fn only_kinds_that_are_looked_up_are_sealed_deterministically_under_a_ring() {
    for ring in [
        environment(KEY, ""),
        with_index_keys(&[(&index_key(1), Writing)]),
    ] {
        let sealer = sealer(ring);
        for binding in bindings() {
            let kind = binding.kind();
            let sealed = sealer.seal_deterministic(MEMBER, binding);
            if matches!(kind, Kind::Member | Kind::ListElement | Kind::RecordName) {
                let opened = opened(&sealer, &sealed.unwrap(), binding);
                assert_eq!(opened, Ok(MEMBER.to_vec()), "{kind}");
            } else {
                let refused = SealError::NotDeterministic { kind };
                assert_eq!(sealed, Err(refused), "{kind}");
                let forms = sealer.deterministic_forms(MEMBER, binding);
                assert_eq!(forms, Err(refused), "{kind}");
                assert!(refused.to_string().contains(kind.as_str()));
            }
        }
    }
}

#[test]
fn the_writing_key_seals_and_all_open() {
    let (old, now, next) = (index_key(1), index_key(2), index_key(3));
    let before = sealer(with_index_keys(&[(&old, Writing)]));
    let sealer = sealer(with_index_keys(&[
        (&old, Reading),
        (&next, Pending),
        (&now, Writing),
    ]));
    let of_old = before.seal_deterministic(MEMBER, member()).unwrap();
    let of_now = sealer.seal_deterministic(MEMBER, member()).unwrap();
    assert_eq!(Shape::of_header(&of_now).unwrap().key, now.id());
    assert_eq!(opened(&sealer, &of_old, member()), Ok(MEMBER.to_vec()));
    assert_eq!(opened(&sealer, &of_now, member()), Ok(MEMBER.to_vec()));
    let unknown = OpenError::UnknownKey { id: now.id() };
    assert_eq!(opened(&before, &of_now, member()), Err(unknown));
    // The count of a key stays with it in a newer ring.
    let usage: Vec<_> = sealer.keyring().unwrap().index_key_usage().collect();
    let usage: Vec<_> = usage.iter().map(|it| (it.id, it.role, it.seals)).collect();
    assert_eq!(
        usage,
        [
            (now.id(), Writing, 1),
            (next.id(), Pending, 0),
            (old.id(), Reading, 1)
        ]
    );
    let ring = sealer.keyring().unwrap();
    assert!(Arc::ptr_eq(&ring.index_key(old.id()).unwrap(), &old));
    assert!(ring.index_key(KeyId::from_u32(9)).is_none());
    // Data keys count what is derived from them, which is nothing here.
    assert!(ring.usage().all(|usage| usage.deterministic_seals == 0));
}

#[test]
fn a_ring_whose_index_keys_only_read_seals_nothing() {
    let sealer = sealer(with_index_keys(&[(&index_key(1), Reading)]));
    let refused = Err(SealError::NoIndexKey);
    assert_eq!(sealer.seal_deterministic(MEMBER, member()), refused);
    assert!(sealer.deterministic_forms(MEMBER, member()).is_err());
}

#[test]
fn the_forms_of_a_value_are_those_under_every_key_that_opens() {
    let (old, now) = (index_key(1), index_key(2));
    let keys = [(&old, Reading), (&now, Writing)];
    let ring = sealer(with_index_keys(&keys));
    let forms = ring.deterministic_forms(MEMBER, member()).unwrap();
    assert_eq!(forms[0], ring.seal_deterministic(MEMBER, member()).unwrap());
    let ids: Vec<KeyId> = forms
        .iter()
        .map(|form| Shape::of_header(form).unwrap().key)
        .collect();
    // Index keys, then the data keys, from which a ring of the environment derived them.
    let expected = [now.id(), old.id(), secret(KEY).id(), secret(OLD_KEY).id()];
    assert_eq!(ids, expected);
    for form in &forms {
        assert_eq!(opened(&ring, form, member()), Ok(MEMBER.to_vec()));
    }
    // One without index keys looks under its sealing key first.
    let before = sealer(environment(OLD_KEY, KEY));
    let forms_before = before.deterministic_forms(MEMBER, member()).unwrap();
    assert_eq!(forms_before, [forms[3].clone(), forms[2].clone()]);
    // With the user's key: that one, then the others.
    let user = UserKey::live(KeyId::from_u32(7), &secret(OTHER_KEY)).unwrap();
    let of_user = ring.clone().for_user(Arc::new(user));
    let with_user = of_user.deterministic_forms(MEMBER, member()).unwrap();
    assert_eq!(with_user[0][4..8], [0, 0, 0, 7]);
    assert_eq!(with_user[1..], forms);
    let armored = ring.armored(true);
    let armored = armored.deterministic_forms(MEMBER, member()).unwrap();
    assert_eq!(armored.len(), forms.len());
    assert!(armored.iter().all(|form| form.starts_with(b"ws2:9VcDE")));
}

#[test]
fn without_index_keys_they_are_derived_from_the_data_key_that_the_header_names() {
    let old = sealer(environment(OLD_KEY, ""));
    let stored = old.seal_deterministic(MEMBER, member()).unwrap();
    let header = Shape::of_header(&stored).unwrap();
    assert_eq!(header.key, secret(OLD_KEY).id());
    assert!(header.flags.deterministic());
    // After a rotation, and after the keys were adopted by a ring with index keys.
    for ring in [
        environment(KEY, OLD_KEY),
        with_index_keys(&[(&index_key(1), Writing)]),
    ] {
        let now = sealer(ring);
        assert_eq!(opened(&now, &stored, member()), Ok(MEMBER.to_vec()));
        let ResealOutcome::Replaced(new) = now.reseal(&stored, member()).unwrap() else {
            panic!("it is under an old key");
        };
        assert_eq!(new, now.seal_deterministic(MEMBER, member()).unwrap());
        assert!(now.reseal(&new, member()) == Ok(ResealOutcome::Current));
    }
    let usage: Vec<u64> = old
        .keyring()
        .unwrap()
        .usage()
        .map(|usage| usage.deterministic_seals)
        .collect();
    assert_eq!(usage, [1]);
    let id = secret(OLD_KEY).id();
    let other = sealer(environment(OTHER_KEY, ""));
    assert_eq!(
        opened(&other, &stored, member()),
        Err(OpenError::UnknownKey { id })
    );
}

#[test]
fn a_deterministic_value_under_a_compromised_data_key_opens_only_on_request() {
    let stored = sealer(environment(OLD_KEY, ""))
        .seal_deterministic(MEMBER, member())
        .unwrap();
    let key = |hex| Arc::new(DataKey::with_id(secret(hex).id(), &secret(hex)).unwrap());
    let ring = || {
        let others = vec![(key(OLD_KEY), KeyRole::Compromised)];
        let ring = Keyring::assemble(key(KEY), others, NameMask::random()).unwrap();
        ring.with_rules(rules(V3)).with_domain(*b"production")
    };
    let compromised = OpenError::Compromised {
        id: secret(OLD_KEY).id(),
    };
    let refusing = sealer(ring());
    assert_eq!(opened(&refusing, &stored, member()), Err(compromised));
    let forms = refusing.deterministic_forms(MEMBER, member()).unwrap();
    assert_eq!(forms.len(), 1);
    let opening = sealer(ring().opening_compromised());
    assert_eq!(opened(&opening, &stored, member()), Ok(MEMBER.to_vec()));
}

#[test]
fn a_users_key_seals_every_kind_and_no_other_user_has_the_same_bytes() {
    let user = |id| {
        let bytes: [u8; 32] = std::array::from_fn(|at| (at + id as usize) as u8);
        let key = SecretKey::from_bytes(&bytes).ok().unwrap();
        Arc::new(UserKey::live(KeyId::from_u32(id), &key).unwrap())
    };
    let ring = sealer(with_index_keys(&[(&index_key(1), Writing)]));
    let (one, other) = (
        ring.clone().for_user(user(1)),
        ring.clone().for_user(user(2)),
    );
    for binding in bindings() {
        let stored = one.seal_deterministic(MEMBER, binding).unwrap();
        let header = Shape::of_header(&stored).unwrap();
        assert!(header.flags.per_user_key() && header.flags.deterministic());
        assert_eq!(header.key, KeyId::from_u32(1));
        assert_eq!(opened(&one, &stored, binding), Ok(MEMBER.to_vec()));
        let unknown = Err(OpenError::UnknownKey { id: header.key });
        assert_eq!(opened(&other, &stored, binding), unknown);
        assert_eq!(opened(&ring, &stored, binding), unknown);
        let of_other = other.seal_deterministic(MEMBER, binding).unwrap();
        assert_ne!(of_other[8..], stored[8..]);
        let erased = ring.clone().for_user(Arc::new(UserKey::erased(17)));
        let gone = Err(OpenError::Erased { at: 17 });
        assert_eq!(opened(&erased, &stored, binding), gone);
        let refused = Err(SealError::Erased);
        assert_eq!(erased.seal_deterministic(MEMBER, binding), refused);
    }
    // A member under the ring is resealed under the user's key, and stays deterministic.
    let stored = ring.seal_deterministic(MEMBER, member()).unwrap();
    let ResealOutcome::Replaced(new) = one.reseal(&stored, member()).unwrap() else {
        panic!("left under the ring");
    };
    assert_eq!(new, one.seal_deterministic(MEMBER, member()).unwrap());
}

#[test]
fn resealing_keeps_a_value_deterministic_and_follows_key_group_and_armor() {
    let (old, now) = (index_key(1), index_key(2));
    let before = sealer(with_index_keys(&[(&old, Writing)]));
    let after = sealer(with_index_keys(&[(&old, Reading), (&now, Writing)]));
    let to_record = member().in_group(b"bot-states", false);
    let to_group = member().in_group(b"bot-states", true);
    let stored = before.seal_deterministic(MEMBER, to_record).unwrap();
    for (sealer, binding, is_current) in [
        (&before, to_record, true),
        (&before, to_group, false),
        (&after, to_record, false),
        (&after, to_group, false),
        (&before.clone().armored(true), to_record, false),
    ] {
        let outcome = sealer.reseal(&stored, binding).unwrap();
        let expected = sealer.seal_deterministic(MEMBER, binding).unwrap();
        match outcome {
            ResealOutcome::Current => assert!(is_current && stored == expected),
            ResealOutcome::Replaced(new) => assert!(!is_current && new == expected),
        }
    }
    // Version 2 has no such envelopes: they stay as they are, under the writing key.
    let back = after.clone().rules(rules(V2));
    let ResealOutcome::Replaced(new) = back.reseal(&stored, to_record).unwrap() else {
        panic!("left under the old key");
    };
    assert_eq!(new, after.seal_deterministic(MEMBER, to_record).unwrap());
    assert!(back.reseal(&new, to_record) == Ok(ResealOutcome::Current));
    // A random envelope of the same kind stays random.
    let random = after.seal(MEMBER, to_record).unwrap();
    assert!(after.reseal(&random, to_record) == Ok(ResealOutcome::Current));
}

#[test]
fn a_sealer_without_keys_seals_nothing_deterministically() {
    let keyless = Sealer::without_keys().rules(rules(V3));
    assert_eq!(
        keyless.seal_deterministic(MEMBER, member()),
        Err(SealError::NoKey)
    );
    let stored = sealer(environment(KEY, ""))
        .seal_deterministic(MEMBER, member())
        .unwrap();
    let id = secret(KEY).id();
    let unknown = Err(OpenError::UnknownKey { id });
    assert_eq!(opened(&keyless, &stored, member()), unknown);
}

#[test]
fn the_id_of_an_index_key_marks_a_damaged_envelope() {
    let sealer = sealer(with_index_keys(&[(&index_key(0x1234_5678), Writing)]));
    let mut stored = sealer.seal_deterministic(&[b'm'; 40], member()).unwrap();
    stored[..4].copy_from_slice(b"xxxx");
    let damaged = Err(OpenError::Malformed(Defect::Header));
    assert_eq!(opened(&sealer, &stored, member()), damaged);
}

proptest! {
    #[test]
    fn what_is_sealed_opens_to_the_same_value_and_is_always_the_same(
        value in proptest::collection::vec(any::<u8>(), 0..300),
        name in proptest::collection::vec(any::<u8>(), 0..600),
        domain in proptest::collection::vec(any::<u8>(), 0..20),
        deterministic in any::<bool>(),
        to_group in any::<bool>(),
        armored in any::<bool>(),
    ) {
        let ring = environment(KEY, "").with_domain(domain);
        let sealer = sealer(ring).armored(armored);
        let binding = match deterministic {
            true => Binding::member(&name),
            false => Binding::stream_field(&name, b"f"),
        };
        let binding = binding.in_group(b"g", to_group);
        let seal = || sealer.seal(&value, binding).unwrap();
        let stored = seal();
        prop_assert_eq!(opened(&sealer, &stored, binding), Ok(value.clone()));
        prop_assert_eq!(seal() == stored, deterministic);
        let form = sealer.open(&stored, binding).unwrap().unwrap().form;
        let key = sealer.sealing_id().unwrap();
        prop_assert_eq!(form, Form::Sealed { key, armored });
    }

    #[test]
    fn opening_any_bytes_never_panics(
        flags in any::<u8>(),
        stored in proptest::collection::vec(any::<u8>(), 0..100),
    ) {
        let sealer = sealer(with_index_keys(&[(&index_key(1), Writing)]));
        let mut headed = vec![0xF5, 0x57, 3, flags];
        headed.extend(&stored);
        prop_assert!(sealer.open(&headed, member()).is_err());
        headed.truncate(4);
        headed.extend([0, 0, 0, 1]);
        headed.extend(&stored);
        prop_assert!(sealer.open(&headed, member()).is_err());
    }
}

#[test]
fn the_other_forms_are_all_in_which_a_member_may_be_stored_but_the_written_one() {
    let of = |mode, previous: &str| {
        Sealer::new(Arc::new(environment(KEY, previous)), mode, Format::Sealed)
    };
    let forms = |sealer: &Sealer| -> Vec<Vec<u8>> {
        let forms = sealer.other_forms(MEMBER, member()).unwrap();
        forms.into_iter().map(Cow::into_owned).collect()
    };
    let under = |key: &str| {
        let sealer = sealer(environment(key, ""));
        sealer.seal(MEMBER, member()).unwrap()
    };
    for (mode, previous, expected) in [
        (Mode::Required, "", vec![]),
        (Mode::Required, OLD_KEY, vec![under(OLD_KEY)]),
        (Mode::On, "", vec![MEMBER.to_vec()]),
        (Mode::On, OLD_KEY, vec![under(OLD_KEY), MEMBER.to_vec()]),
        (Mode::Off, OLD_KEY, vec![under(KEY), under(OLD_KEY)]),
    ] {
        let sealer = of(mode, previous);
        assert_eq!(
            sealer.has_other_forms(Kind::Member),
            !expected.is_empty(),
            "{mode:?}"
        );
        assert_eq!(forms(&sealer), expected, "{mode:?} {previous}");
    }
    // Bytes of an envelope are a sealed member, and never a plain one.
    for (mode, previous) in [
        (Mode::On, ""),
        (Mode::On, OLD_KEY),
        (Mode::Required, OLD_KEY),
    ] {
        let sealer = of(mode, previous);
        for stored in [under(KEY), under(OLD_KEY)] {
            let others = sealer.other_forms(&stored, member()).unwrap();
            assert!(!others.iter().any(|form| **form == stored), "{mode:?}");
            let sealed = forms(&sealer).len() - usize::from(mode == Mode::On);
            assert_eq!(others.len(), sealed, "{mode:?} {previous}");
        }
    }
    // Bound to the record, before values were bound to the group.
    let grouped = of(Mode::Required, "").in_group(Some(Group::new(b"tags", true)));
    assert!(grouped.has_other_forms(Kind::Member));
    assert_eq!(forms(&grouped), [under(KEY)]);
    // And the other way round.
    let bound = grouped.to_store(MEMBER, member()).unwrap().into_owned();
    let back = grouped.in_group(Some(Group::new(b"tags", false)));
    assert!(back.has_other_forms(Kind::Member));
    assert_eq!(forms(&back), [bound]);
    let without = Sealer::without_keys();
    assert!(!without.has_other_forms(Kind::Member) && forms(&without).is_empty());
}
