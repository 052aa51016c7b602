//! The versions of the sealed format that processes with a ring write and accept, and what must be shown
//! before they change.
//!
//! ```text
//!             index key known to all               lapse, clean audit
//! write 2, accept 2 ──────────────► write 3, accept 2 ──────────────► write 3, accept 3
//!                   ◄──────────────                   ◄──────────────
//!                       settling                          at once
//! ```
//!
//! The lapse is the time after which the last process that has not seen a change has stopped sealing.

use waxseal_core::EnvelopeVersion;

use super::Ring;
use crate::audit::{Audit, AuditGap, Evidence};
use crate::envelope_settings::EnvelopeSettings;
use crate::error::{ChangeError, GuardedChange};
use crate::protected_scope::{ProtectedScope, ScopeSettings};

impl Ring {
    /// Returns the ring in which processes write and accept these versions. With `evidence.force` nothing is
    /// waited for and no audit needed.
    pub fn with_envelopes(
        &self,
        write: EnvelopeVersion,
        accept: EnvelopeVersion,
        now_ms: u64,
        evidence: Evidence<'_>,
    ) -> Result<Self, ChangeError> {
        let Some(before) = self.document.envelopes else {
            let what = "versions of the sealed format";
            return Err(ChangeError::NeedsFormat2 { what });
        };
        if accept > write {
            return Err(ChangeError::NotWritten);
        }
        if write < before.write {
            self.check_lower_write(before, now_ms, evidence.force)?;
        }
        if write > before.write && !evidence.force {
            let from_ms = self.writing().map_or(0, |key| key.activates);
            check_settled(GuardedChange::WriteVersion3, from_ms, now_ms)?;
        }
        if accept > before.accept && !evidence.force {
            if before.write < accept {
                return Err(ChangeError::NotWritten);
            }
            let change = GuardedChange::AcceptVersion3;
            let from_ms = before.since.saturating_add(self.lapse_ms(now_ms));
            self.check_proven(change, from_ms, now_ms, evidence, Audit::gap_for_version_3)?;
        }
        let mut next = self.next();
        next.document.envelopes = Some(EnvelopeSettings {
            write,
            accept,
            since: before.next_since(now_ms),
        });
        next.authenticate();
        Ok(next)
    }

    /// Checks that every process opens what is written in version 2.
    fn check_lower_write(
        &self,
        before: EnvelopeSettings,
        now_ms: u64,
        force: bool,
    ) -> Result<(), ChangeError> {
        let needs = |scope: &&ProtectedScope| {
            let settings = scope.settings.as_ref();
            settings.is_some_and(ScopeSettings::needs_version_3)
        };
        if let Some(scope) = self.protected_scopes().iter().find(needs) {
            return Err(ChangeError::ScopeSettings {
                records: scope.shown_records(),
                store: scope.store.clone(),
                what: "version 2 of the sealed format",
            });
        }
        if force {
            return Ok(());
        }
        if before.accept > EnvelopeVersion::V2 {
            return Err(ChangeError::NotAccepted);
        }
        let settling_ms = self.effective_settings(now_ms).settling_ms();
        let from_ms = before.since.saturating_add(settling_ms);
        check_settled(GuardedChange::WriteVersion2, from_ms, now_ms)
    }

    /// True if new values are in version 3.
    pub(super) fn writes_version_3(&self) -> bool {
        self.envelopes().write == EnvelopeVersion::V3
    }

    /// The time after a change until no process acts as before it: one that cannot reach the document goes on
    /// sealing until its ring has lapsed.
    pub(super) fn lapse_ms(&self, now_ms: u64) -> u64 {
        let settings = self.effective_settings(now_ms);
        settings.settling_ms().saturating_add(settings.retention_ms)
    }

    /// Checks that an audit which began at this time or later has no gap.
    pub(super) fn check_proven(
        &self,
        change: GuardedChange,
        from_ms: u64,
        now_ms: u64,
        evidence: Evidence<'_>,
        gap: impl FnOnce(&Audit, &[ProtectedScope]) -> Option<AuditGap>,
    ) -> Result<(), ChangeError> {
        if evidence.force {
            return Ok(());
        }
        check_settled(change, from_ms, now_ms)?;
        let audit = evidence.audit.filter(|audit| audit.began_ms >= from_ms);
        let gap = match audit {
            Some(audit) => gap(audit, self.protected_scopes()),
            None => Some(AuditGap::Missing),
        };
        match gap {
            Some(gap) => Err(ChangeError::Unproven { change, gap }),
            None => Ok(()),
        }
    }
}

impl EnvelopeSettings {
    /// The time to record for a change: later than that of the change before it, whatever clocks say.
    pub(super) fn next_since(&self, now_ms: u64) -> u64 {
        now_ms.max(self.since.saturating_add(1))
    }
}

fn check_settled(change: GuardedChange, from_ms: u64, now_ms: u64) -> Result<(), ChangeError> {
    match from_ms.saturating_sub(now_ms).div_ceil(1000) {
        0 => Ok(()),
        left_s => Err(ChangeError::Unsettled { change, left_s }),
    }
}
