//! The records of one pattern in one store, with their sealer.

use std::sync::Arc;

use waxseal_core::Sealer;
use waxseal_keys::{ProtectedScope, UserKeys};
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

    /// The entry in the ring for these records.
    #[must_use]
    pub fn protected_scope(&self) -> ProtectedScope {
        ProtectedScope::new(self.store.location(), self.pattern.as_str())
    }
}
