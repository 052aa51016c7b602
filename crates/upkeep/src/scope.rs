//! The records of one pattern in one store, with their sealer.

use std::sync::Arc;

use waxseal_core::{Group, Sealer};
use waxseal_keys::{ProtectedScope, ScopeBinding, ScopeSettings, UserKeys};
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
        match group.is_none() && !self.pattern.has_excepts() {
            true => ProtectedScope::new(store, self.pattern.as_str()),
            false => protected_scope(&store, &self.pattern, group),
        }
    }
}

/// The entry in the ring for the records of a pattern at this location, with the settings that all processes which
/// protect them must have in common.
#[must_use]
pub fn protected_scope(
    store: &str,
    pattern: &RecordPattern,
    group: Option<&Group>,
) -> ProtectedScope {
    let settings = ScopeSettings {
        except: pattern.excepts().map(str::to_owned).collect(),
        group: group.map(|group| String::from_utf8_lossy(group.id()).into_owned()),
        bind: match group {
            Some(group) if group.seals() => ScopeBinding::Group,
            _ => ScopeBinding::Record,
        },
        ..ScopeSettings::default()
    };
    ProtectedScope::new(store, pattern.as_str()).with_settings(settings)
}
