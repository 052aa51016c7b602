//! The names of the configured records as they are stored: the table of the patterns whose names are sealed, and the store under
//! logical names.

use std::sync::Arc;

use waxseal_core::{KeyId, Keyring, PadNames, SharedKeyring};
use waxseal_named::{NameTable, NamedPattern, Opened};
use waxseal_policy::ProtectedNames;
use waxseal_stores::{NamedStore, RecordStore};

use super::{Resources, keys};
use crate::Failure;
use crate::configuration::names::needs_keys;
use crate::configuration::protected::Protected;

/// Returns the table of all configured records, with the keys that are open; `None` if all names are in clear, and in a trial,
/// which is of no records with sealed names.
pub fn table(resources: &Resources) -> Result<Option<NameTable>, Failure> {
    if resources.configuration.is_trial() {
        return Ok(None);
    }
    table_of(resources, &resources.configuration.all_protected())
}

/// Returns the table of these records, in their order.
pub fn table_of(
    resources: &Resources,
    protected: &[Protected],
) -> Result<Option<NameTable>, Failure> {
    let mut sealed = protected.iter().filter(|it| it.names.is_some());
    let Some(first) = sealed.next() else {
        return Ok(None);
    };
    match keys::shared(resources) {
        Some(keyring) => with_keys(protected, keyring),
        None if resources.configuration.has_keyring() => {
            Err(Failure::failed("the keyring was not opened"))
        }
        None => Err(needs_keys(first)),
    }
}

/// Returns a table by which sealed names of records whose names are in clear would be opened; `None` without keys, or if no
/// record has such names.
pub fn as_if_sealed(resources: &Resources) -> Result<Option<NameTable>, Failure> {
    let Some(keyring) = keys::shared(resources) else {
        return Ok(None);
    };
    let protected = resources.configuration.all_protected();
    let patterns = protected.iter().map(|it| it.pattern.clone()).collect();
    let in_clear = |index: usize| {
        let of = protected.get(index)?;
        let has_part_to_seal = of.names.is_none() && of.pattern.has_wildcard();
        has_part_to_seal.then(|| NamedPattern {
            pad: PadNames::default(),
        })
    };
    let names = Arc::new(ProtectedNames::new(patterns));
    NameTable::new(names, keyring, in_clear).map_err(Failure::usage)
}

/// Returns the store with the names that applications know, over this one: itself if all names are in clear.
pub fn open(
    resources: &Resources,
    stored: Arc<dyn RecordStore>,
) -> Result<Arc<dyn RecordStore>, Failure> {
    Ok(over(stored, table(resources)?))
}

/// The same with these keys in place of those that are open.
pub fn open_with(
    resources: &Resources,
    stored: Arc<dyn RecordStore>,
    keyring: Arc<Keyring>,
) -> Result<Arc<dyn RecordStore>, Failure> {
    let protected = resources.configuration.all_protected();
    Ok(over(stored, with_keys(&protected, keyring.into())?))
}

/// Returns the key that the name of this record is sealed under; `None` if it is in clear.
pub fn key_of(resources: &Resources, name: &[u8]) -> Result<Option<KeyId>, Failure> {
    let Some(table) = table(resources)? else {
        return Ok(None);
    };
    let view = table.view();
    let Some(stored) = view.stored(name)? else {
        return Ok(None);
    };
    Ok(match view.open(&stored, &mut Vec::new()) {
        Opened::Name { key, .. } => Some(key),
        Opened::Same | Opened::LeftOut { .. } => None,
    })
}

fn over(stored: Arc<dyn RecordStore>, table: Option<NameTable>) -> Arc<dyn RecordStore> {
    match table {
        Some(table) => Arc::new(NamedStore::new(stored, Arc::new(table))),
        None => stored,
    }
}

fn with_keys(
    protected: &[Protected],
    keyring: SharedKeyring,
) -> Result<Option<NameTable>, Failure> {
    let patterns = protected.iter().map(|it| it.pattern.clone()).collect();
    let pattern = |index: usize| {
        let names = protected.get(index)?.names?;
        Some(NamedPattern { pad: names.pad })
    };
    let names = Arc::new(ProtectedNames::new(patterns));
    let table = NameTable::new(names, keyring, pattern).map_err(Failure::usage)?;
    if let Some(table) = &table {
        check(table)?;
    }
    Ok(table)
}

/// Checks that names can be sealed: that the settings of the keyring allow it.
fn check(table: &NameTable) -> Result<(), Failure> {
    let (view, protected) = (table.view(), table.protected());
    for (id, pattern) in protected.iter().filter(|(id, _)| protected.is_managed(*id)) {
        let shortest = pattern.name_prefix().as_bytes();
        if let Err(error) = view.seal(id, shortest, &mut Vec::new()) {
            let shown = pattern.shown();
            return Err(Failure::from(error).named(&format!("names of \"{shown}\"")));
        }
    }
    Ok(())
}
