//! The protected records of a ring: registered by the processes that protect them, with the settings that all
//! of these must have in common.

use super::Ring;
use crate::document_format::DocumentFormat;
use crate::error::ChangeError;
use crate::protected_scope::{ProtectedScope, ScopeSettings};

impl Ring {
    /// The entry for these records.
    #[must_use]
    pub fn protected_scope(&self, scope: &ProtectedScope) -> Option<&ProtectedScope> {
        let mut scopes = self.document.protects.iter();
        scopes.find(|it| it.is_same_as(scope))
    }

    /// Refuses another index key to write while names of records are sealed: a name has one form, and the records would not
    /// be found under that of the new key.
    pub(super) fn check_no_sealed_names(&self) -> Result<(), ChangeError> {
        let mut scopes = self.protected_scopes().iter();
        match scopes.find(|it| it.has_sealed_names()) {
            None => Ok(()),
            Some(scope) => Err(ChangeError::SealedNames {
                records: scope.shown_records(),
                store: scope.store.clone(),
            }),
        }
    }

    /// Returns the ring with these protected records registered; `None` if they all are. Settings are recorded
    /// once, in format 2 only; a process with other ones is refused.
    pub fn with_protected_scopes(
        &self,
        scopes: &[ProtectedScope],
    ) -> Result<Option<Self>, ChangeError> {
        let mut next = self.next();
        let mut is_changed = false;
        for scope in scopes {
            is_changed |= next.register(scope)?;
        }
        if !is_changed {
            return Ok(None);
        }
        next.document.protects.sort();
        next.authenticate();
        Ok(Some(next))
    }

    /// Registers one scope. Returns true if that changed the document.
    fn register(&mut self, scope: &ProtectedScope) -> Result<bool, ChangeError> {
        let settings = self.settings_to_record(scope)?;
        let mut entries = self.document.protects.iter_mut();
        let Some(entry) = entries.find(|it| it.is_same_as(scope)) else {
            let bare = scope.bare();
            self.document
                .protects
                .push(ProtectedScope { settings, ..bare });
            return Ok(true);
        };
        let Some(configured) = settings else {
            return Ok(false);
        };
        let Some(recorded) = &entry.settings else {
            if configured != ScopeSettings::default() {
                entry.members = None;
            }
            entry.settings = Some(configured);
            return Ok(true);
        };
        match ScopeSettings::difference(recorded, &configured) {
            Some(difference) => Err(ChangeError::Protected {
                records: scope.shown_records(),
                store: scope.store.clone(),
                difference: Box::new(difference),
            }),
            None => Ok(false),
        }
    }

    /// Returns the ring in which the settings of these records are replaced; `None` if they are recorded
    /// already. All processes that protect them must be configured so.
    pub fn with_protected_scope(
        &self,
        scope: &ProtectedScope,
    ) -> Result<Option<Self>, ChangeError> {
        if self.format() == DocumentFormat::V1 {
            let what = "settings of protected records";
            return Err(ChangeError::NeedsFormat2 { what });
        }
        let settings = self.settings_to_record(scope)?;
        let recorded = self.protected_scope(scope);
        if recorded.is_some_and(|recorded| recorded.settings == settings) {
            return Ok(None);
        }
        let mut next = self.next();
        let protects = &mut next.document.protects;
        protects.retain(|it| !it.is_same_as(scope));
        protects.push(ProtectedScope {
            settings,
            ..scope.bare()
        });
        protects.sort();
        next.authenticate();
        Ok(Some(next))
    }

    /// The settings as this document records them: nothing in format 1.
    fn settings_to_record(
        &self,
        scope: &ProtectedScope,
    ) -> Result<Option<ScopeSettings>, ChangeError> {
        let settings = scope.settings.clone().map(ScopeSettings::normalized);
        let needs_version_3 = settings
            .as_ref()
            .is_some_and(ScopeSettings::needs_version_3);
        if needs_version_3 && !self.writes_version_3() {
            return Err(ChangeError::ScopeSettings {
                records: scope.shown_records(),
                store: scope.store.clone(),
                what: "version 2 of the sealed format, which is written,",
            });
        }
        Ok(settings.filter(|_| self.format() == DocumentFormat::V2))
    }

    /// Returns the ring without these protected records: nothing of them needs its keys any more.
    #[must_use]
    pub fn without_protected_scope(&self, scope: &ProtectedScope) -> Option<Self> {
        self.protected_scope(scope)?;
        let mut next = self.next();
        next.document.protects.retain(|it| !it.is_same_as(scope));
        next.authenticate();
        Some(next)
    }
}
