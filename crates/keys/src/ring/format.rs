//! The format of a ring's document: converted to format 2, and back.

use std::sync::Arc;

use waxseal_core::EnvelopeVersion;

use super::Ring;
use crate::audit::Evidence;
use crate::custodian::Custodian;
use crate::document_format::DocumentFormat;
use crate::envelope_settings::EnvelopeSettings;
use crate::error::{ChangeError, GuardedChange, RingError};
use crate::index_state::IndexKeyState;
use crate::keyring_document::{Entry, IndexEntry};
use crate::protected_scope::ScopeSettings;
use crate::state::KeyState;

impl Ring {
    /// Returns the ring with a document of another format. That all processes read format 2 is for the caller to
    /// check ([`Reports::not_reading`](crate::Reports::not_reading)).
    ///
    /// To format 2: an index key is created, and writes. Version 2 of the sealed format stays in use.
    ///
    /// To format 1: the index keys are destroyed, so an audit must show that nothing is under them, and no process may
    /// seal under them any more ([`Reports`](crate::Reports)), which is for the caller to check as well. Their ids stay
    /// in the document, as those of destroyed keys: a process that knows the ring in format 2 would take them for
    /// lost otherwise, and put them back.
    pub async fn with_format(
        &self,
        to: DocumentFormat,
        custodians: &[Arc<dyn Custodian>],
        now_ms: u64,
        evidence: Evidence<'_>,
    ) -> Result<Self, RingError> {
        match to {
            _ if to == self.format() => Err(ChangeError::Format(to).into()),
            DocumentFormat::V1 => Ok(self.in_format_1(now_ms, evidence)?),
            DocumentFormat::V2 => self.in_format_2(custodians, now_ms).await,
        }
    }

    async fn in_format_2(
        &self,
        custodians: &[Arc<dyn Custodian>],
        now_ms: u64,
    ) -> Result<Self, RingError> {
        let mut next = self.next();
        next.document.format = DocumentFormat::V2;
        next.document.envelopes = Some(EnvelopeSettings {
            since: now_ms,
            ..EnvelopeSettings::FORMAT_1
        });
        next.document.protects.dedup();
        // Members may be sealed under it at once: a process opens them once it has read this document. Version 3 of
        // other values is written after `activates`, when every process has.
        let activates = now_ms.saturating_add(self.effective_settings(now_ms).propagation_ms);
        let times = (now_ms, activates);
        next.insert_index_key(IndexKeyState::Writing, custodians, times)
            .await?;
        next.authenticate();
        Ok(next)
    }

    fn in_format_1(&self, now_ms: u64, evidence: Evidence<'_>) -> Result<Self, ChangeError> {
        let envelopes = self.envelopes();
        let oldest = EnvelopeVersion::V2;
        if envelopes.write != oldest || envelopes.accept != oldest {
            return Err(ChangeError::WritesVersion3);
        }
        for scope in self.protected_scopes() {
            let settings = scope.settings.as_ref();
            if settings.is_some_and(ScopeSettings::needs_format_2) {
                return Err(ChangeError::ScopeSettings {
                    records: scope.shown_records(),
                    store: scope.store.clone(),
                    what: "document format 1",
                });
            }
        }
        let from_ms = envelopes.since.saturating_add(self.lapse_ms(now_ms));
        let change = GuardedChange::Format1;
        self.check_proven(change, from_ms, now_ms, evidence, |audit, scopes| {
            let mut keys = self.index_keys().iter();
            let gap = audit.gap_for_version_2(scopes);
            gap.or_else(|| keys.find_map(|key| audit.gap_for_key(key.id, scopes)))
        })?;
        let mut next = self.next();
        let document = &mut next.document;
        document.format = DocumentFormat::V1;
        document.envelopes = None;
        let index_keys = std::mem::take(&mut document.index_keys);
        let tombstones = index_keys.iter().map(|key| tombstone(key, now_ms));
        document.keys.extend(tombstones);
        document.keys.sort_by_key(|entry| entry.created);
        for scope in &mut document.protects {
            *scope = scope.bare();
        }
        next.index_keys.clear();
        next.authenticate();
        Ok(next)
    }
}

/// The entry of format 1 for an index key that is destroyed with format 2.
pub(super) fn tombstone(key: &IndexEntry, now_ms: u64) -> Entry {
    Entry {
        id: key.id,
        state: KeyState::Destroyed,
        created: key.created,
        activates: key.activates,
        changed: match key.state {
            IndexKeyState::Destroyed => key.changed,
            _ => now_ms,
        },
        adopted: false,
        wraps: Vec::new(),
    }
}
