//! Changes of formats, versions and index keys, decided by the real rules of the ring, except for those that a test
//! switches off.

use std::rc::Rc;
use std::sync::Arc;

use futures_util::FutureExt;
use waxseal_core::{EnvelopeVersion, KeyId};
use waxseal_keys::rotation::{Audit, Evidence};
use waxseal_keys::{ChangeError, Custodian, DocumentFormat, MemberFinding, Ring, RingError};

use super::opened::{OpenedRing, scope};
use super::operator::Order;
use super::random::Random;
use super::rules::Rules;
use super::world::{BEGIN, World};

/// A change that only an operator makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// Converts the document to this format.
    Format(u8),
    /// Writes values in this version.
    Write(u8),
    /// Accepts no older version than this one.
    Accept(u8),
    AddIndexKey,
    PromoteIndexKey(KeyId),
    DestroyIndexKey(KeyId),
    /// What a pass that began at this time, under this index key, found of members.
    Members {
        key: KeyId,
        began_ms: u64,
        in_one_form: bool,
    },
}

impl Change {
    /// True if all values must be counted first.
    pub(crate) fn needs_audit(self) -> bool {
        matches!(
            self,
            Self::Format(1) | Self::Accept(3) | Self::DestroyIndexKey(_)
        )
    }

    /// True if processes of former builds are left behind.
    fn needs_reports(self) -> bool {
        matches!(self, Self::Format(2) | Self::Write(3))
    }
}

impl World {
    /// The ring after an order; `None` if it is refused.
    pub(super) fn ordered(
        &self,
        process: usize,
        known: &OpenedRing,
        order: Order,
        audit: Option<&Audit>,
    ) -> Option<Ring> {
        let clock = self.processes[process].clock(self.now);
        let settings = known.ring.effective_settings(clock);
        if order.change.needs_reports()
            && self.rules.asks_reports
            && !order.forced
            && !self
                .reports
                .not_reading(DocumentFormat::V2, clock, &settings)
                .is_empty()
        {
            return None;
        }
        if order.change == Change::Format(1) && !self.rules.tombstones {
            return self.without_tombstones(known, clock);
        }
        let change = match order.change {
            Change::Members {
                key, in_one_form, ..
            } if !self.rules.one_form_waits => Change::Members {
                key,
                began_ms: u64::MAX,
                in_one_form,
            },
            change => change,
        };
        let ignores_times = match order.change {
            Change::Write(3) => !self.rules.write_waits,
            Change::Write(_) => !self.rules.return_waits && known.accept == 2,
            Change::Accept(3) => !self.rules.accept_waits && audit.is_some_and(counts_no_version_2),
            _ => false,
        };
        let evidence = Evidence {
            audit,
            force: order.forced || ignores_times,
        };
        let changed = changed(known, change, &self.custodian, clock, evidence);
        changed.ok()
    }

    /// True if the ring will not refuse an order because of its time, so that an audit for it is of use.
    pub(super) fn is_due(&self, process: usize, order: Order) -> bool {
        let Some(known) = self.processes[process].ring() else {
            return false;
        };
        let settings = self.newest.ring.settings();
        let lapse = settings.settling_ms() + settings.retention_ms;
        let since = match order.change {
            Change::Accept(3) if !self.rules.accept_waits => return true,
            Change::Format(1) if !self.rules.tombstones => return true,
            Change::Accept(3) | Change::Format(1) => known.since,
            _ => return true,
        };
        order.forced || self.processes[process].clock(self.now) >= since + lapse
    }
}

impl World {
    /// The ring in format 1 as if its index keys had left no trace: the one before its conversion, if no data key has
    /// changed since.
    fn without_tombstones(&self, known: &OpenedRing, clock: u64) -> Option<Ring> {
        let mut ring = self.unconverted.as_ref()?.ring.clone();
        if known.write == 3 || ring.keys() != known.ring.keys() {
            return None;
        }
        while ring.version() <= known.ring.version() {
            let settings = ring.settings().clone();
            ring = ring.with_settings(settings, clock, true).ok()?;
        }
        Some(ring)
    }
}

fn counts_no_version_2(audit: &Audit) -> bool {
    !audit.versions.contains_key("2")
}

/// A ring as a schedule finds it: of format 1 or 2, the latter in any of its states.
pub(super) fn prepared(
    ring: Ring,
    custodian: &[Arc<dyn Custodian>],
    rules: Rules,
    random: &mut Random,
) -> Result<OpenedRing, RingError> {
    let changes = [Change::Format(2), Change::Write(3), Change::Accept(3)];
    let steps = match !rules.operator || random.percent(50) {
        true => 0,
        false => random.index(changes.len()) + 1,
    };
    let forced = Evidence {
        force: true,
        ..Evidence::default()
    };
    let opened = |ring: Ring| {
        let bytes = Rc::new(ring.to_bytes());
        OpenedRing::new(ring, bytes)
    };
    let mut prepared = opened(ring)?;
    for change in &changes[..steps] {
        prepared = opened(changed(&prepared, *change, custodian, BEGIN, forced)?)?;
    }
    Ok(prepared)
}

/// The ring after a change.
fn changed(
    known: &OpenedRing,
    change: Change,
    custodian: &[Arc<dyn Custodian>],
    now_ms: u64,
    evidence: Evidence<'_>,
) -> Result<Ring, RingError> {
    let ring = &known.ring;
    match change {
        Change::Format(format) => {
            let to = match format {
                1 => DocumentFormat::V1,
                _ => DocumentFormat::V2,
            };
            let next = ring.with_format(to, custodian, now_ms, evidence);
            next.now_or_never().expect("does not wait")
        }
        Change::Write(write) => {
            let (write, accept) = (version(write), version(known.accept));
            Ok(ring.with_envelopes(write, accept, now_ms, evidence)?)
        }
        Change::Accept(accept) => {
            let (write, accept) = (version(known.write), version(accept));
            Ok(ring.with_envelopes(write, accept, now_ms, evidence)?)
        }
        Change::AddIndexKey => {
            let next = ring.with_new_index_key(custodian, now_ms);
            next.now_or_never().expect("does not wait")
        }
        Change::PromoteIndexKey(id) => Ok(ring.with_writing(id, now_ms, false)?),
        Change::DestroyIndexKey(id) => Ok(ring.with_destroyed_index_key(id, now_ms, evidence)?),
        Change::Members {
            key,
            began_ms,
            in_one_form,
        } => {
            let finding = MemberFinding {
                scope: scope(),
                key,
                began_ms,
                elements: false,
                in_one_form,
            };
            let next = ring.with_member_findings(&[finding], now_ms);
            // Any error: there is nothing to change.
            next.ok_or_else(|| ChangeError::NotWritten.into())
        }
    }
}

fn version(version: u8) -> EnvelopeVersion {
    match version {
        2 => EnvelopeVersion::V2,
        _ => EnvelopeVersion::V3,
    }
}
