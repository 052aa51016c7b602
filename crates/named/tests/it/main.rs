//! What stored names mean, and what logical names are stored as.

use std::sync::Arc;

use waxseal_core::{Keyring, PadNames};
use waxseal_kinds::{LeftOut, LogicalName, NameForms};
use waxseal_named::{NameTable, NamedPattern, Opened, TableError};
use waxseal_policy::{ProtectedNames, RecordPattern};

const KEY: &str = "8f1d6a2c4b7e9035d1c6f8a20e5b3974a6c2e8f01b4d7953c0a1e6f28d5b3947";
const OTHER_KEY: &str = "3c0a1e6f28d5b39478f1d6a2c4b7e9035d1c6f8a20e5b3974a6c2e8f01b4d795";

fn ring(key: &str) -> Arc<Keyring> {
    let ring = Keyring::from_hex(key, "").unwrap();
    Arc::new(ring)
}

fn pattern(text: &str) -> RecordPattern {
    RecordPattern::parse(text).unwrap()
}

/// The table of these patterns: those that begin with `!` have plain names.
fn table(patterns: &[&str]) -> NameTable {
    table_under(KEY, patterns)
}

fn table_under(key: &str, patterns: &[&str]) -> NameTable {
    try_table(key, patterns, &[]).unwrap().unwrap()
}

fn try_table(
    key: &str,
    patterns: &[&str],
    excepts: &[String],
) -> Result<Option<NameTable>, TableError> {
    let parsed = patterns
        .iter()
        .map(|text| pattern(text.trim_start_matches('!')));
    let parsed = parsed
        .map(|it| it.clone().except(excepts).unwrap_or(it))
        .collect();
    NameTable::new(Arc::new(ProtectedNames::new(parsed)), ring(key), |index| {
        let is_plain = patterns[index].starts_with('!');
        (!is_plain).then(|| NamedPattern {
            pad: PadNames::default(),
        })
    })
}

fn stored(table: &NameTable, logical: &str) -> Vec<u8> {
    let stored = table.stored(logical.as_bytes()).unwrap();
    stored.unwrap_or_else(|| logical.into())
}

fn left_out(reason: LeftOut) -> LogicalName {
    LogicalName::LeftOut(reason)
}

#[test]
fn a_name_is_found_under_its_stored_form_and_back() {
    let table = table(&["wa:{user}", "!cart:*"]);
    let name = stored(&table, "wa:5215512345678");
    assert!(name.starts_with(b"wa:~"), "{}", name.escape_ascii());
    assert!(
        !String::from_utf8(name.clone())
            .unwrap()
            .contains("5215512345678")
    );
    assert_eq!(
        table.logical(&name),
        LogicalName::Opened(b"wa:5215512345678".to_vec())
    );
    for plain in ["cart:1", "unknown", "waxseal:canary", ""] {
        assert_eq!(table.stored(plain.as_bytes()), Ok(None), "{plain}");
        assert_eq!(
            table.logical(plain.as_bytes()),
            LogicalName::Same,
            "{plain}"
        );
    }
    assert_eq!(table.prefixes(), [b"wa:"]);
}

#[test]
fn a_logical_name_that_looks_sealed_is_sealed_like_any_other() {
    let table = table(&["wa:*"]);
    let once = stored(&table, "wa:1");
    let twice = stored(&table, std::str::from_utf8(&once).unwrap());
    assert_ne!(once, twice);
    assert_eq!(table.logical(&twice), LogicalName::Opened(once));
}

#[test]
fn what_applications_cannot_use_is_left_out_with_the_reason() {
    let of_more = table(&["wa:*"]);
    let of_fewer = table(&["wa:*:state"]);
    let stray = b"wa:1:state";
    assert_eq!(of_fewer.logical(stray), left_out(LeftOut::Stray));
    // The name belongs to no pattern here.
    let foreign = stored(&of_more, "wa:1");
    assert_eq!(of_fewer.logical(&foreign), left_out(LeftOut::Foreign));
    let mut junk = stored(&of_fewer, "wa:1:state");
    *junk.last_mut().unwrap() = b'!';
    assert_eq!(of_fewer.logical(&junk), left_out(LeftOut::Junk));
    let other = table_under(OTHER_KEY, &["wa:*:state"]);
    let unknown = stored(&other, "wa:1:state");
    assert_eq!(of_fewer.logical(&unknown), left_out(LeftOut::UnknownKey));
    let mut out = b"before".to_vec();
    assert!(matches!(
        of_fewer.view().open(&unknown, &mut out),
        Opened::LeftOut { key: Some(_), .. }
    ));
    assert_eq!(out, b"before");
}

#[test]
fn excepted_names_and_those_of_a_plain_pattern_are_stored_as_they_are_whatever_they_look_like() {
    let excepts = ["wa:lock:*".to_owned()];
    let with_excepts = try_table(KEY, &["wa:*"], &excepts).unwrap().unwrap();
    let sealed = stored(&with_excepts, "wa:1");
    let behind = String::from_utf8(sealed[3..].to_vec()).unwrap();
    for name in ["wa:lock:1".to_owned(), format!("wa:lock:{behind}")] {
        assert_eq!(with_excepts.stored(name.as_bytes()), Ok(None));
        assert_eq!(with_excepts.logical(name.as_bytes()), LogicalName::Same);
    }
    let nested = table(&["wa:*", "!wa:~*"]);
    assert_eq!(nested.logical(b"wa:~9VcDE-no-name"), LogicalName::Same);
}

#[test]
fn of_nested_prefixes_each_name_has_the_one_of_its_pattern() {
    let table = table(&["wa:*", "wa:cart:*", "!wa:open:*"]);
    let cart = stored(&table, "wa:cart:7");
    assert!(cart.starts_with(b"wa:cart:~"));
    assert_eq!(
        table.logical(&cart),
        LogicalName::Opened(b"wa:cart:7".to_vec())
    );
    assert_eq!(table.stored(b"wa:open:1"), Ok(None));
    assert_eq!(table.logical(b"wa:open:1"), LogicalName::Same);
}

#[test]
fn patterns_that_cannot_have_sealed_names_are_refused() {
    let refused = |patterns: &[&str]| try_table(KEY, patterns, &[]).err();
    assert_eq!(
        refused(&["wa:one"]),
        Some(TableError::OneName(pattern("wa:one").shown().to_owned()))
    );
    assert!(try_table(KEY, &["!wa:*"], &[]).unwrap().is_none());
    let protected = ProtectedNames::new(vec![pattern("wa:*:a"), pattern("wa:*:b")]);
    let pads = NameTable::new(Arc::new(protected), ring(KEY), |index| {
        Some(NamedPattern {
            pad: PadNames::new(if index == 0 { 1 } else { 16 }).unwrap(),
        })
    });
    assert_eq!(pads.err(), Some(TableError::Pads("wa:".to_owned())));
}
