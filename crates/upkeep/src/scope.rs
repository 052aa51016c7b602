//! A scope: the records of one pattern in one store, and what seals them.

use std::sync::Arc;

use waxseal_core::Sealer;
use waxseal_keys::{ProtectedScope, UserKeys};
use waxseal_stores::{RecordPattern, RecordStore};

/// Protected records that upkeep goes through.
#[derive(Clone)]
pub struct ScopeHandle {
    /// Where they are.
    pub store: Arc<dyn RecordStore>,
    /// Which records.
    pub pattern: RecordPattern,
    /// What seals them: a sealer that follows the ring.
    pub sealer: Sealer,
    /// The keys of users, where each user's records are under a key of their own.
    pub users: Option<UserKeys>,
}

impl ScopeHandle {
    /// Decides which of these scopes each record belongs to that the patterns of several match, in each
    /// store ([`RecordPattern::resolve`]).
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

    /// How the ring remembers it.
    #[must_use]
    pub fn protected_scope(&self) -> ProtectedScope {
        ProtectedScope {
            store: self.store.location(),
            records: self.pattern.as_str().to_owned(),
        }
    }
}
