//! The records of one pattern in one store, with their sealer.

use std::sync::Arc;

use waxseal_core::{Group, PadNames, Sealer};
use waxseal_keys::{ProtectedScope, RecordNames, ScopeBinding, ScopeSettings, UserKeys};
use waxseal_named::NameTable;
use waxseal_stores::{RecordPattern, RecordStore};

/// Protected records that upkeep reseals and counts.
#[derive(Clone)]
pub struct ScopeHandle {
    /// Their store.
    pub store: Arc<dyn RecordStore>,
    /// The pattern of their names.
    pub pattern: RecordPattern,
    /// Their sealer, which follows the ring.
    pub sealer: Sealer,
    /// The keys of users, if each user's records are under a key of their own.
    pub users: Option<UserKeys>,
    /// How their names are sealed, if they are; the store then has logical names.
    pub names: Option<SealedNames>,
}

/// How the names of records are sealed.
#[derive(Clone)]
pub struct SealedNames {
    /// The patterns with sealed names, and the keys.
    pub table: NameTable,
    /// The store of the records, with names as they are stored.
    pub stored: Arc<dyn RecordStore>,
    /// The multiple to which the names are padded.
    pub pad: PadNames,
}

impl ScopeHandle {
    /// Resolves overlapping patterns in each store, so that each record belongs to one scope
    /// ([`RecordPattern::resolve`]).
    #[must_use]
    pub fn resolve(scopes: Vec<Self>) -> Vec<Self> {
        let mut resolved = scopes.clone();
        for scope in &scopes {
            let location = scope.store.location();
            let mut here: Vec<_> = resolved
                .iter_mut()
                .filter(|it| it.store.location() == location)
                .collect();
            let patterns = here.iter().map(|it| it.pattern.clone()).collect();
            for (scope, pattern) in here.iter_mut().zip(RecordPattern::resolve(patterns)) {
                scope.pattern = pattern;
            }
        }
        resolved
    }

    /// The entry in the ring for these records: without settings if they have none, as a library does not know those of
    /// other processes.
    #[must_use]
    pub fn protected_scope(&self) -> ProtectedScope {
        let (store, group) = (self.store.location(), self.sealer.group());
        let pad = self.names.as_ref().map(|names| names.pad);
        match group.is_none() && pad.is_none() && !self.pattern.has_excepts() {
            true => ProtectedScope::new(store, self.pattern.as_str()),
            false => protected_scope(&store, &self.pattern, group, pad),
        }
    }
}

/// The entry in the ring for the records of a pattern at this location, with the settings that all processes which
/// protect them must have in common. Their names are sealed if these are padded to some multiple.
#[must_use]
pub fn protected_scope(
    store: &str,
    pattern: &RecordPattern,
    group: Option<&Group>,
    sealed_names: Option<PadNames>,
) -> ProtectedScope {
    let settings = ScopeSettings {
        except: pattern.excepts().map(str::to_owned).collect(),
        group: group.map(|group| String::from_utf8_lossy(group.id()).into_owned()),
        bind: match group {
            Some(group) if group.seals() => ScopeBinding::Group,
            _ => ScopeBinding::Record,
        },
        names: match sealed_names {
            Some(_) => RecordNames::Sealed,
            None => RecordNames::Plain,
        },
        pad_names: sealed_names.map(PadNames::get),
    };
    let settings = settings.normalized();
    ProtectedScope::new(store, pattern.as_str()).with_settings(settings)
}
