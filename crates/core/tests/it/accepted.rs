//! The versions that are written and accepted, by keyrings and by single sealers, and resealing from one to the other.

use std::sync::Arc;

use waxseal_core::{
    Binding, EnvelopeRules, EnvelopeVersion, Form, Format, Group, Keyring, Mode, OldFormat,
    OpenError, ResealError, ResealOutcome, SealError, Sealer, SecretKey, Shape, SharedKeyring,
    UserKey,
};

use crate::{KEY, OLD_KEY, OTHER_KEY, STATE};
use EnvelopeVersion::{V2, V3};

fn rules(write: EnvelopeVersion, accept: EnvelopeVersion) -> EnvelopeRules {
    EnvelopeRules { write, accept }
}

fn ring(key: &str, previous: &str, rules: EnvelopeRules) -> Arc<Keyring> {
    Arc::new(Keyring::from_hex(key, previous).unwrap().with_rules(rules))
}

fn sealer(mode: Mode, format: Format, write: EnvelopeVersion, accept: EnvelopeVersion) -> Sealer {
    Sealer::new(ring(KEY, OLD_KEY, rules(write, accept)), mode, format)
}

fn place() -> Binding<'static> {
    Binding::field(b"sess:1", b"email")
}

fn version_of(stored: &[u8]) -> EnvelopeVersion {
    Shape::of_header(stored).unwrap().version
}

fn error(sealer: &Sealer, stored: &[u8]) -> Option<OpenError> {
    sealer.open(stored, place()).err()
}

#[test]
fn version_2_is_written_and_accepted_unless_configured() {
    let sealer = crate::sealer(KEY, "", Mode::On, Format::Sealed);
    assert_eq!(sealer.written_version(), V2);
    assert_eq!(Sealer::without_keys().written_version(), V2);
    let rules = sealer.keyring().unwrap().rules();
    assert_eq!(rules, EnvelopeRules::default());
    assert_eq!((rules.write, rules.accept), (V2, V2));
    let stored = sealer.seal(STATE, place()).unwrap();
    assert_eq!(version_of(&stored), V2);
}

#[test]
fn both_versions_open_until_only_version_3_is_accepted() {
    let id = SecretKey::from_hex(KEY).ok().unwrap().id();
    let old = sealer(Mode::On, Format::Sealed, V2, V2);
    let stored = [
        old.clone().format(Format::Classic).seal(STATE, place()),
        old.seal(STATE, place()),
        old.clone().armored(true).seal(STATE, place()),
    ];
    let stored = stored.map(Result::unwrap);
    let found = [OldFormat::Classic, OldFormat::V2, OldFormat::V2];
    for mode in [Mode::Off, Mode::On, Mode::Required] {
        for format in [Format::Classic, Format::Sealed] {
            let both = sealer(mode, format, V3, V2);
            let only_3 = sealer(mode, format, V3, V3);
            for (stored, found) in stored.iter().zip(found) {
                assert_eq!(error(&both, stored), None);
                let refused = OpenError::Version { found, key: id };
                assert_eq!(error(&only_3, stored), Some(refused));
                assert_eq!(error(&only_3.clone().accepting_all(), stored), None);
                assert!(only_3.reseal(stored, place()).is_err());
            }
            let new = both
                .clone()
                .format(Format::Sealed)
                .seal(STATE, place())
                .unwrap();
            assert_eq!(version_of(&new), V3);
            for sealer in [&both, &only_3, &old] {
                assert_eq!(error(sealer, &new), None);
            }
        }
    }
}

#[test]
fn an_old_version_under_a_known_key_is_refused_whatever_else_is_wrong_with_it() {
    let only_3 = sealer(Mode::On, Format::Sealed, V3, V3);
    let old = sealer(Mode::On, Format::Sealed, V2, V2);
    let mut stored = old.seal(STATE, Binding::unbound()).unwrap();
    let last = stored.len() - 1;
    stored[last] ^= 1;
    let key = SecretKey::from_hex(KEY).ok().unwrap().id();
    let found = OldFormat::V2;
    assert_eq!(
        error(&only_3, &stored),
        Some(OpenError::Version { found, key })
    );
    // Of a user as well.
    let secret = SecretKey::generate().ok().unwrap();
    let user = Arc::new(UserKey::live(secret.id(), &secret).unwrap());
    let stored = old.for_user(user.clone()).seal(STATE, place()).unwrap();
    let key = secret.id();
    let only_3 = only_3.for_user(user);
    assert_eq!(
        error(&only_3, &stored),
        Some(OpenError::Version { found, key })
    );
    assert_eq!(error(&only_3.accepting_all(), &stored), None);
}

#[test]
fn plain_values_follow_the_mode_as_before() {
    for (mode, expected) in [
        (Mode::Off, None),
        (Mode::On, None),
        (Mode::Required, Some(OpenError::Plaintext)),
    ] {
        let only_3 = sealer(mode, Format::Sealed, V3, V3);
        assert_eq!(error(&only_3, STATE), expected);
        assert_eq!(error(&only_3, b""), None);
    }
    // Base64 that no key opens is no classic value.
    let other = crate::sealer(OTHER_KEY, "", Mode::On, Format::Classic);
    let base64 = other.seal(STATE, place()).unwrap();
    let only_3 = sealer(Mode::On, Format::Sealed, V3, V3);
    assert_eq!(error(&only_3, &base64), None);
}

#[test]
fn the_error_of_an_old_version_says_what_to_do() {
    let key = SecretKey::from_hex(KEY).ok().unwrap().id();
    for (found, what) in [
        (OldFormat::Classic, "in the classic format"),
        (OldFormat::V2, "in version 2 of the sealed format"),
    ] {
        let text = OpenError::Version { found, key }.to_string();
        assert!(text.contains(what), "{text}");
        assert!(text.contains("accept version 2 for the time of a waxseal rotate"));
    }
    assert_eq!(OldFormat::Classic.as_str(), "classic");
    assert_eq!(OldFormat::V2.as_str(), "2");
}

#[test]
fn nothing_is_written_that_would_not_be_accepted() {
    for (format, write, written) in [
        (Format::Classic, V3, Some(OldFormat::Classic)),
        (Format::Sealed, V2, Some(OldFormat::V2)),
        (Format::Sealed, V3, None),
    ] {
        let only_3 = sealer(Mode::Required, format, write, V3);
        let refused = written.map(|written| SealError::NotAccepted { written });
        assert_eq!(only_3.seal(STATE, place()).err(), refused);
        assert_eq!(only_3.to_store(STATE, place()).err(), refused);
        // Plain values as well as those that would go back to an older form.
        let new = sealer(Mode::On, Format::Sealed, V3, V2).seal(STATE, place());
        let lenient = sealer(Mode::On, format, write, V3);
        let errors = [STATE, &new.unwrap()].map(|stored| lenient.reseal(stored, place()).err());
        let refused_reseal = refused.map(ResealError::Seal);
        let of_sealed = refused_reseal.filter(|_| format == Format::Sealed);
        assert_eq!(errors, [refused_reseal, of_sealed]);
        assert!(only_3.accepting_all().seal(STATE, place()).is_ok());
    }
}

#[test]
fn a_sealer_follows_the_rules_of_a_keyring_that_changes() {
    let shared = SharedKeyring::from(ring(KEY, "", rules(V2, V2)));
    let sealer = Sealer::new(shared.clone(), Mode::On, Format::Sealed);
    let old = sealer.seal(STATE, place()).unwrap();
    assert_eq!(version_of(&old), V2);
    shared.publish(ring(KEY, "", rules(V3, V2)));
    assert_eq!(sealer.written_version(), V3);
    let new = sealer.seal(STATE, place()).unwrap();
    assert_eq!(version_of(&new), V3);
    assert_eq!(error(&sealer, &old), None);
    shared.publish(ring(KEY, "", rules(V3, V3)));
    assert!(matches!(
        error(&sealer, &old),
        Some(OpenError::Version { .. })
    ));
    assert_eq!(error(&sealer, &new), None);
    shared.publish(ring(KEY, "", rules(V2, V2)));
    assert_eq!(error(&sealer, &old), None);
    assert_eq!(error(&sealer, &new), None);
    assert_eq!(sealer.written_version(), V2);
}

#[test]
fn what_is_said_of_a_key_holds_in_versions_that_are_not_accepted() {
    let only_3 = sealer(Mode::On, Format::Sealed, V3, V3);
    let stranger = crate::sealer(OTHER_KEY, "", Mode::On, Format::Sealed);
    let id = SecretKey::from_hex(OTHER_KEY).ok().unwrap().id();
    let planted = stranger.seal(STATE, place()).unwrap();
    assert_eq!(error(&only_3, &planted), Some(OpenError::UnknownKey { id }));
    let user = SecretKey::generate().ok().unwrap();
    let live = Arc::new(UserKey::live(user.id(), &user).unwrap());
    let old = sealer(Mode::On, Format::Sealed, V2, V2).for_user(live.clone());
    let old = old.seal(STATE, place()).unwrap();
    let erased = Arc::new(UserKey::erased(17));
    let of = |key: &Arc<UserKey>| error(&only_3.clone().for_user(key.clone()), &old);
    assert_eq!(of(&erased), Some(OpenError::Erased { at: 17 }));
    let (found, key) = (OldFormat::V2, user.id());
    assert_eq!(of(&live), Some(OpenError::Version { found, key }));
}

#[test]
fn a_sealer_can_have_rules_of_its_own() {
    let ring = ring(KEY, "", rules(V2, V2));
    let shared = Sealer::new(ring, Mode::On, Format::Sealed);
    let own = shared.clone().rules(rules(V3, V3));
    assert_eq!(own.written_version(), V3);
    let old = shared.seal(STATE, place()).unwrap();
    assert_eq!(version_of(&own.seal(STATE, place()).unwrap()), V3);
    assert!(matches!(error(&own, &old), Some(OpenError::Version { .. })));
    assert_eq!(error(&own.accepting_all(), &old), None);
}

#[test]
fn one_more_key_leaves_rules_and_domain_unchanged() {
    let ring = Keyring::from_hex(KEY, "").unwrap();
    let ring = ring.with_rules(rules(V3, V2)).with_domain(*b"production");
    let previous = SecretKey::from_hex(OLD_KEY).ok().unwrap();
    let ring = ring.with_previous(&previous).unwrap();
    assert_eq!(ring.rules(), rules(V3, V2));
    assert_eq!(ring.domain(), b"production");
}

/// The new bytes, or `None` if these are current.
fn resealed(sealer: &Sealer, stored: &[u8], binding: Binding<'_>) -> Option<Vec<u8>> {
    match sealer.reseal(stored, binding).unwrap() {
        ResealOutcome::Current => None,
        ResealOutcome::Replaced(new) => {
            // Once is enough.
            assert!(sealer.reseal(&new, binding) == Ok(ResealOutcome::Current));
            let opened = sealer.open(&new, binding).unwrap().unwrap();
            assert_eq!(&*opened.value, STATE);
            Some(new)
        }
    }
}

#[test]
fn resealing_writes_the_version_of_the_rules_in_both_directions() {
    let secret = SecretKey::generate().ok().unwrap();
    let user = Arc::new(UserKey::live(secret.id(), &secret).unwrap());
    for of_user in [false, true] {
        let sealer = |write| {
            let sealer = sealer(Mode::On, Format::Sealed, write, V2);
            match of_user {
                true => sealer.for_user(user.clone()),
                false => sealer,
            }
        };
        for armored in [false, true] {
            for (from, to) in [(V2, V3), (V3, V2), (V2, V2), (V3, V3)] {
                let before = sealer(from).armored(armored);
                let stored = before.seal(STATE, place()).unwrap();
                let new = resealed(&sealer(to), &stored, place());
                assert_eq!(new.is_some(), from != to, "{from} to {to}");
                let Some(new) = new else { continue };
                let header = Shape::of_header(&new).unwrap();
                assert_eq!(header.version, to);
                assert_eq!(header.flags.per_user_key(), of_user);
                assert_eq!(new.starts_with(b"ws2:"), armored);
            }
        }
    }
}

#[test]
fn resealing_seals_classic_and_plain_values_in_the_written_version() {
    let old = sealer(Mode::On, Format::Classic, V2, V2);
    let classic = old.seal(STATE, place()).unwrap();
    for (write, stored) in [(V2, STATE), (V3, STATE), (V2, &classic), (V3, &classic)] {
        let now = sealer(Mode::On, Format::Sealed, write, V2);
        let new = resealed(&now, stored, place()).unwrap();
        assert_eq!(version_of(&new), write);
    }
    // Where classic is written, it is current.
    assert_eq!(resealed(&old, &classic, place()), None);
    let now = sealer(Mode::On, Format::Classic, V3, V2);
    assert_eq!(resealed(&now, &classic, place()), None);
}

#[test]
fn resealing_binds_to_what_the_binding_seals_to() {
    let sealer = |write| sealer(Mode::On, Format::Sealed, write, V2);
    let to_record = place().in_group(b"bot-states", false);
    let to_group = place().in_group(b"bot-states", true);
    let of_record = sealer(V3).seal(STATE, to_record).unwrap();
    let of_group = sealer(V3).seal(STATE, to_group).unwrap();
    let old = sealer(V2).seal(STATE, to_record).unwrap();
    let is_of_group = |stored: &[u8]| Shape::of_header(stored).unwrap().flags.bound_to_group();

    assert_eq!(resealed(&sealer(V3), &of_group, to_group), None);
    assert_eq!(resealed(&sealer(V3), &of_record, to_record), None);
    for stored in [&of_record, &old] {
        let new = resealed(&sealer(V3), stored, to_group).unwrap();
        assert!(is_of_group(&new));
    }
    let new = resealed(&sealer(V3), &of_group, to_record).unwrap();
    assert!(!is_of_group(&new));
    // Back in version 2: what is bound to a group only if it need not be.
    let new = resealed(&sealer(V2), &of_group, to_record).unwrap();
    assert_eq!(version_of(&new), V2);
    assert_eq!(resealed(&sealer(V2), &of_group, to_group), None);
    // An old value is not moved to the group by a sealer that cannot express it.
    assert_eq!(resealed(&sealer(V2), &old, to_group), None);
    let under_old_key = crate::sealer(OLD_KEY, "", Mode::On, Format::Sealed);
    let stored = under_old_key.seal(STATE, place()).unwrap();
    let new = resealed(&sealer(V2), &stored, to_group).unwrap();
    assert_eq!(version_of(&new), V2);
}

#[test]
fn what_version_2_does_not_have_stays_in_version_3_under_the_sealing_key() {
    let previous = Sealer::new(ring(OLD_KEY, "", rules(V3, V2)), Mode::On, Format::Sealed);
    let now = sealer(Mode::On, Format::Sealed, V2, V2);
    for binding in [
        Binding::member(b"wa:1"),
        Binding::stream_field(b"wa:1", b"f"),
        Binding::message(b"bot-states"),
        Binding::record(b"wa:1").in_group(b"bot-states", true),
    ] {
        let stored = previous.seal(STATE, binding).unwrap();
        let new = resealed(&now, &stored, binding).unwrap();
        assert_eq!(version_of(&new), V3);
        let opened = now.open(&new, binding).unwrap().unwrap();
        let key = now.sealing_id().unwrap();
        let armored = false;
        assert_eq!(opened.form, Form::Sealed { key, armored });
    }
}

#[test]
fn an_unbound_value_of_version_2_stays_one() {
    let old = crate::sealer(OLD_KEY, "", Mode::On, Format::Sealed);
    let stored = old.seal(STATE, Binding::unbound()).unwrap();
    let now = sealer(Mode::On, Format::Sealed, V3, V2);
    let new = resealed(&now, &stored, Binding::unbound()).unwrap();
    assert_eq!(version_of(&new), V2);
}

#[test]
fn a_sealer_in_a_group_binds_to_it_unless_a_binding_names_another() {
    let sealer = sealer(Mode::On, Format::Sealed, V3, V3);
    for seals in [false, true] {
        let grouped = sealer
            .clone()
            .in_group(Some(Group::new(b"bot-states", seals)));
        let stored = grouped.seal(STATE, place()).unwrap();
        let flags = Shape::of_header(&stored).unwrap().flags;
        assert_eq!(flags.bound_to_group(), seals);
        assert_eq!(error(&grouped, &stored), None);
        // Without the group only what is bound to the record opens.
        assert_eq!(error(&sealer, &stored).is_some(), seals);
        let named = place().in_group(b"bot-states", false);
        assert!(sealer.open(&stored, named).is_ok());
        let other = place().in_group(b"other", true);
        assert_eq!(grouped.open(&stored, other).is_err(), seals);
        assert!(grouped.reseal(&stored, place()) == Ok(ResealOutcome::Current));
        let member = Binding::member(b"wa:1");
        let forms = grouped.deterministic_forms(STATE, member).unwrap();
        assert_eq!(forms[0], grouped.seal_deterministic(STATE, member).unwrap());
        let flags = Shape::of_header(&forms[0]).unwrap().flags;
        assert_eq!(flags.bound_to_group(), seals);
    }
    // What is bound to the record is resealed to a group that seals, and the reverse.
    let in_group = |seals| {
        sealer
            .clone()
            .in_group(Some(Group::new(b"bot-states", seals)))
    };
    for seals in [false, true] {
        let stored = in_group(!seals).seal(STATE, place()).unwrap();
        let new = resealed(&in_group(seals), &stored, place()).unwrap();
        let flags = Shape::of_header(&new).unwrap().flags;
        assert_eq!(flags.bound_to_group(), seals);
    }
}
