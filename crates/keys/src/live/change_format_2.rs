//! The changes of a document that format 2 brought: the format itself, versions of the sealed format, index
//! keys. What the ring shows is checked there; here, what processes report.

use super::{Change, LiveRing};
use crate::audit::{Audit, Evidence};
use crate::document_format::DocumentFormat;
use crate::error::RingError;
use crate::index_state::IndexKeyState;
use crate::ring::Ring;

impl LiveRing {
    /// The ring after a change that format 2 brought; `None` if there is nothing left to change.
    pub(super) async fn next_of_format_2(
        &self,
        change: &Change,
        ring: &Ring,
        audit: Option<&Audit>,
        now: u64,
    ) -> Result<Option<Ring>, RingError> {
        Ok(Some(match change {
            Change::Format { to, .. } if ring.format() == *to => return Ok(None),
            Change::Format { to, force } => {
                self.check_reading(*to, ring, now, *force).await?;
                let custodians = match to {
                    DocumentFormat::V1 => Vec::new(),
                    DocumentFormat::V2 => self.wrapping(ring)?,
                };
                let evidence = evidence(audit, *force);
                let next = ring.with_format(*to, &custodians, now, evidence).await?;
                if *to == DocumentFormat::V1 && !force {
                    let index_keys = ring.index_keys().iter().map(|key| &key.id);
                    let reports = self.reports().await?;
                    reports.check_no_index_seals(index_keys, now, ring.settings())?;
                }
                next
            }
            Change::Envelopes {
                write,
                accept,
                force,
            } => {
                let before = ring.envelopes();
                if (before.write, before.accept) == (*write, *accept) {
                    return Ok(None);
                }
                if *write > before.write {
                    let format = DocumentFormat::V2;
                    self.check_reading(format, ring, now, *force).await?;
                }
                ring.with_envelopes(*write, *accept, now, evidence(audit, *force))?
            }
            Change::Members(findings) => {
                let reports = self.reports().await?;
                let mut findings = findings.clone();
                if reports.may_write_other_forms(now, ring.settings()) {
                    findings.retain(|finding| !finding.in_one_form);
                }
                return Ok(ring.with_member_findings(&findings, now));
            }
            Change::AddIndexKey => ring.with_new_index_key(&self.wrapping(ring)?, now).await?,
            Change::PromoteIndexKey { id, at_once } => {
                if ring.writing().is_some_and(|writing| writing.id == *id) {
                    return Ok(None);
                }
                ring.with_writing(*id, now, *at_once)?
            }
            Change::DestroyIndexKey { id, force } => {
                if ring.index_key(*id)?.state == IndexKeyState::Destroyed {
                    return Ok(None);
                }
                ring.with_destroyed_index_key(*id, now, evidence(audit, *force))?
            }
            _ => return Ok(None),
        }))
    }

    /// Refuses a change while a process reports that does not read this format.
    async fn check_reading(
        &self,
        format: DocumentFormat,
        ring: &Ring,
        now: u64,
        force: bool,
    ) -> Result<(), RingError> {
        if force {
            return Ok(());
        }
        let reports = self.reports().await?;
        Ok(reports.check_reading(format, now, ring.settings())?)
    }
}

fn evidence(audit: Option<&Audit>, force: bool) -> Evidence<'_> {
    Evidence { audit, force }
}
