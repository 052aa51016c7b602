//! The forms of members: when a pass may show that there is one form, and what takes that back.
//!
//! ```text
//!             clean pass, begun after the lapse
//!   several ────────────────────────────────────► one
//!           ◄────────────────────────────────────
//!             another form found, or possible again: a new index key, other settings,
//!             a process that writes plain members, changes that the store had lost
//! ```
//!
//! Processes look members up in one form only while the document they know says so. What is taken back is known to all
//! of them before another form is written: a new index key waits for that, as does a process that writes plain members.

use std::sync::Arc;

use waxseal_core::{KeyId, RecordsInOneForm};

use super::Ring;
use crate::document_format::DocumentFormat;
use crate::index_state::IndexKeyState;
use crate::member_forms::{MemberFinding, MemberForms};
use crate::protected_scope::{ProtectedScope, ScopeSettings};

impl Ring {
    /// The records whose members are in one form, for sealers.
    pub(super) fn records_in_one_form(&self) -> Vec<RecordsInOneForm> {
        let scopes = self.protected_scopes().iter();
        let in_one = scopes.filter(|scope| self.has_one_form(scope));
        let in_one = in_one.map(|scope| RecordsInOneForm {
            records: Arc::from(scope.sealer_name()),
            elements: matches!(scope.members, Some(MemberForms::One { elements: true, .. })),
        });
        in_one.collect()
    }

    /// True if the members of these records are in one form.
    #[must_use]
    pub fn has_one_form(&self, scope: &ProtectedScope) -> bool {
        let recorded = self.protected_scope(scope).and_then(|it| it.members);
        match recorded {
            Some(MemberForms::One { key, .. }) => self.is_only_written(key),
            _ => false,
        }
    }

    /// True if this index key writes, and no other one is about to.
    fn is_only_written(&self, key: KeyId) -> bool {
        self.writing().is_some_and(|writing| writing.id == key)
            && self.index_keys_in(IndexKeyState::Pending).next().is_none()
    }

    /// Returns the ring with what passes found of members; `None` if that changes nothing. That no process writes other
    /// forms is for the caller to check ([`Reports`](crate::Reports)).
    #[must_use]
    pub fn with_member_findings(&self, findings: &[MemberFinding], now_ms: u64) -> Option<Self> {
        let mut next = self.next();
        let mut is_changed = false;
        for finding in findings {
            let Some(forms) = self.forms_after(finding, now_ms) else {
                continue;
            };
            let mut scopes = next.document.protects.iter_mut();
            if let Some(scope) = scopes.find(|it| it.is_same_as(&finding.scope)) {
                scope.members = Some(forms);
                is_changed = true;
            }
        }
        if !is_changed {
            return None;
        }
        next.document.protects.sort();
        next.authenticate();
        Some(next)
    }

    /// What is to be recorded after a finding; `None` if nothing changes.
    fn forms_after(&self, finding: &MemberFinding, now_ms: u64) -> Option<MemberForms> {
        if self.format() == DocumentFormat::V1 {
            return None;
        }
        let scope = self.protected_scope(&finding.scope)?;
        if !finding.in_one_form {
            // Not with each pass: the document would change for all processes.
            let settling_ms = self.effective_settings(now_ms).settling_ms();
            return match scope.members {
                Some(MemberForms::Several { since })
                    if now_ms.saturating_sub(since) < settling_ms =>
                {
                    None
                }
                _ => Some(MemberForms::Several { since: now_ms }),
            };
        }
        let is_as_recorded = is_configured_as(scope, &finding.scope);
        if !is_as_recorded || !self.is_only_written(finding.key) {
            return None;
        }
        let elements = match scope.members {
            Some(MemberForms::One { key, elements, .. }) if key == finding.key => {
                if elements || !finding.elements {
                    return None;
                }
                true
            }
            _ => finding.elements,
        };
        (finding.began_ms >= self.one_form_possible_from(scope, now_ms)).then_some(
            MemberForms::One {
                key: finding.key,
                since: finding.began_ms,
                elements,
            },
        )
    }

    /// The time at which a pass must begin that shows one form: when no process writes another one any more, not even one
    /// that did not see the last change.
    fn one_form_possible_from(&self, scope: &ProtectedScope, now_ms: u64) -> u64 {
        let reading = self.index_keys_in(IndexKeyState::Reading);
        let replaced = reading.map(|key| key.changed);
        let several = match scope.members {
            Some(MemberForms::Several { since }) => Some(since),
            _ => None,
        };
        let last = replaced.chain(several).max();
        last.map_or(0, |at| at.saturating_add(self.lapse_ms(now_ms)))
    }

    /// Other forms may be written, or were: nothing is known to be in one form any more. The caller computes the
    /// authentication code.
    pub(super) fn allow_several_forms(&mut self, now_ms: u64) {
        for scope in &mut self.document.protects {
            if let Some(forms @ MemberForms::One { .. }) = &mut scope.members {
                *forms = MemberForms::Several { since: now_ms };
            }
        }
        self.document.protects.sort();
    }

    /// The same ring, which knows nothing of the forms of members. Not authenticated.
    #[cfg(feature = "backup")]
    pub(super) fn without_member_forms(&self) -> Self {
        let mut ring = self.clone();
        for scope in &mut ring.document.protects {
            scope.members = None;
        }
        ring
    }

    /// True if another document of the ring knows of other forms that were found or possible later than this one knows
    /// of one form.
    pub(super) fn lacks_several_forms(&self, other: &Self) -> bool {
        let scopes = self.protected_scopes().iter();
        let mut in_one =
            scopes.filter(|scope| matches!(scope.members, Some(MemberForms::One { .. })));
        in_one.any(
            |scope| match other.protected_scope(scope).map(|it| it.members) {
                Some(Some(MemberForms::Several { since })) => {
                    scope.members.is_some_and(|one| one.since() <= since)
                }
                _ => false,
            },
        )
    }
}

/// True if a process is configured as these records are recorded. Absent settings are those of records without any.
fn is_configured_as(recorded: &ProtectedScope, configured: &ProtectedScope) -> bool {
    let settings = |scope: &ProtectedScope| scope.settings.clone().unwrap_or_default();
    ScopeSettings::difference(&settings(recorded), &settings(configured)).is_none()
}
