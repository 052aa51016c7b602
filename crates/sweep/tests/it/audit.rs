//! Audit as a task: verdicts by the header, verdicts of a deep audit only, and the values whose
//! expiries it needs.

use waxseal_core::{Defect, Format, OpenError, Sealer};
use waxseal_stores::Slot;
use waxseal_sweep::{Audit, Class, Task, Verdict};

use super::tasks::{PLAIN, armored, judge, slots, under};
use super::{A, B, C, damaged, id, sealer};

fn audits() -> [Audit; 2] {
    [false, true].map(|deep| Audit::new(sealer(Format::Sealed), deep))
}

#[test]
fn counts_every_class_and_replaces_nothing() {
    for (audit, slot) in audits()
        .iter()
        .flat_map(|audit| slots().map(|s| (audit, s)))
    {
        let keep = |stored: &[u8], class| {
            assert_eq!(judge(audit, &slot, stored), Verdict::Keep(class));
        };
        keep(b"", Class::Empty);
        keep(PLAIN, Class::Plain);
        for key in [A, B] {
            keep(&under(key, Format::Classic, &slot), Class::Classic(id(key)));
            keep(&under(key, Format::Sealed, &slot), Class::Sealed(id(key)));
            keep(&armored(key, &slot), Class::Sealed(id(key)));
        }
        for unknown in [under(C, Format::Sealed, &slot), armored(C, &slot)] {
            let error = OpenError::UnknownKey { id: id(C) };
            let verdict = Verdict::Fault(Class::UnknownKey(id(C)), error);
            assert_eq!(judge(audit, &slot, &unknown), verdict);
        }
        let fault = |stored: &[u8], error| {
            let verdict = Verdict::Fault(Class::Unopenable, error);
            assert_eq!(judge(audit, &slot, stored), verdict);
        };
        fault(&under(C, Format::Classic, &slot), OpenError::Refused);
        let cut = &under(A, Format::Sealed, &slot)[..30];
        fault(cut, OpenError::Malformed(Defect::Truncated));
        fault(b"ws2:****", OpenError::Malformed(Defect::Armor));
    }
}

#[test]
fn only_a_deep_audit_finds_that_a_sealed_value_does_not_open() {
    let slot = Slot::Whole;
    let [shallow, deep] = audits();
    let elsewhere = under(A, Format::Sealed, &Slot::Field(b"estado".to_vec()));
    for bad in [damaged(under(B, Format::Sealed, &slot)), elsewhere] {
        assert!(matches!(
            judge(&shallow, &slot, &bad),
            Verdict::Keep(Class::Sealed(_))
        ));
        let refused = Verdict::Fault(Class::Unopenable, OpenError::Refused);
        assert_eq!(judge(&deep, &slot, &bad), refused);
    }
}

#[test]
fn needs_expiries_of_values_under_an_older_key_only() {
    for audit in audits() {
        for (class, wanted) in [
            (Class::Classic(id(B)), true),
            (Class::Sealed(id(B)), true),
            (Class::Classic(id(A)), false),
            (Class::Sealed(id(A)), false),
            (Class::Sealed(id(C)), false),
            (Class::UnknownKey(id(C)), false),
            (Class::Unopenable, false),
            (Class::Plain, false),
            (Class::Empty, false),
        ] {
            assert_eq!(audit.needs_expiry(class), wanted, "{class:?}");
        }
    }
}

#[test]
fn without_a_keyring_an_audit_knows_no_key() {
    let audit = Audit::new(Sealer::without_keys(), false);
    let sealed = under(A, Format::Sealed, &Slot::Whole);
    let verdict = judge(&audit, &Slot::Whole, &sealed);
    assert!(matches!(verdict, Verdict::Fault(Class::UnknownKey(key), _) if key == id(A)));
    assert!(!audit.needs_expiry(Class::Sealed(id(A))));
    assert_eq!(
        judge(&audit, &Slot::Whole, PLAIN),
        Verdict::Keep(Class::Plain)
    );
}
