//! Taking the lease, and the steps of the leader.

use std::rc::Rc;
use std::time::Duration;

use futures_util::FutureExt;
use waxseal_keys::rotation::{self, Facts, Step};
use waxseal_keys::{ClockOffset, KeyState, LeaseAction, Ring, RingError};

use super::opened::Bytes;
use super::world::{Act, BEGIN, Violation, World};

/// After a failure a leader leaves the lease to others for so many intervals.
const BACKOFF_INTERVALS: u64 = 3;

impl World {
    /// Polls the lease and, as the leader, carries out one step.
    pub(crate) fn lead(&mut self, process: usize) -> Result<(), Violation> {
        let wait = self.newest.ring.settings().refresh_ms;
        self.after(wait, process, Act::Lead);
        if self.is_cut_off(process) || self.processes[process].stands_back_until > self.now {
            return Ok(());
        }
        if self.rules.compare_clocks && !self.offset(process).is_usable() {
            self.release_lease(process);
            return Ok(());
        }
        self.watch(process);
        if !self.take_lease(process) {
            self.processes[process].leads = false;
            return Ok(());
        }
        let it = &mut self.processes[process];
        if !it.leads {
            it.leads = true;
            it.audit = None;
        }
        if it.busy {
            return Ok(());
        }
        if !self.poll_now(process)?.is_up_to_date() {
            // Another process may read what this one does not.
            self.release_lease(process);
            self.processes[process].stands_back_until = self.now + BACKOFF_INTERVALS * wait;
            return Ok(());
        }
        self.watch(process);
        self.step(process);
        Ok(())
    }

    fn take_lease(&mut self, process: usize) -> bool {
        let now = Duration::from_millis(self.now - BEGIN);
        let observes = self.rules.observes_fence;
        let it = &mut self.processes[process];
        let Some(known) = it.known.clone() else {
            return false;
        };
        if observes {
            it.candidate.observe_fence(known.ring.fence());
        }
        let LeaseAction::Write(lease) = it.candidate.poll(self.lease.as_deref(), now) else {
            return false;
        };
        it.candidate.confirm_written(&lease);
        self.lease = Some(lease);
        true
    }

    pub(crate) fn offset(&self, process: usize) -> ClockOffset {
        let own = self.processes[process].clock(self.now);
        ClockOffset::from_round_trip(own, self.now, own)
    }

    /// The time that a process writes into a document that it restores.
    pub(crate) fn document_clock(&self, process: usize) -> u64 {
        match self.rules.compare_clocks && !self.offset(process).is_usable() {
            true => self.now,
            false => self.processes[process].clock(self.now),
        }
    }

    fn release_lease(&mut self, process: usize) {
        let it = &mut self.processes[process];
        it.leads = false;
        if let Some((held, released)) = it.candidate.release()
            && self.lease.as_ref() == Some(&held)
        {
            self.lease = Some(released);
        }
    }

    fn watch(&mut self, process: usize) {
        let now = self.now;
        let it = &mut self.processes[process];
        let pending = it
            .known
            .as_ref()
            .and_then(|known| rotation::next_to_seal(&known.ring));
        let pending = pending.map(|entry| entry.id);
        if it.pending.map(|(id, _)| id) != pending {
            it.pending = pending.map(|id| (id, now));
        }
    }

    /// Carries out the step that is due.
    fn step(&mut self, process: usize) {
        let it = &self.processes[process];
        let (Some(known), Some(token)) = (it.known.clone(), it.candidate.token()) else {
            return;
        };
        let clock = it.clock(self.now);
        let watched = it.pending.map(|(_, since)| self.now - since);
        let facts = Facts {
            now_ms: clock,
            seals: 0,
            pending_watched: watched.map(Duration::from_millis),
            audit: it.audit.as_ref(),
        };
        let Some(step) = rotation::plan(&known.ring, &facts).due else {
            return;
        };
        if step == Step::Sweep {
            self.begin_sweep(process, None);
            return;
        }
        if let Ok(Some(next)) = self.changed(&known.ring, step, clock)
            && let Ok(next) = next.by_leader(token)
        {
            let act = Act::Commit {
                expected: known.bytes.clone(),
                next: Rc::new(next.to_bytes()),
                before: self.now,
            };
            self.processes[process].busy = true;
            let wait = self.delay();
            self.after(wait, process, act);
        }
    }

    fn changed(&self, ring: &Ring, step: Step, clock: u64) -> Result<Option<Ring>, RingError> {
        Ok(match step {
            Step::Add(after) => {
                let waits = ring.in_state(KeyState::Pending).next().is_some();
                if waits || ring.sealing().id != after {
                    return Ok(None);
                }
                let next = ring.with_new_key(&self.custodian, clock);
                Some(next.now_or_never().expect("does not wait")?)
            }
            Step::Promote(id) => Some(ring.with_sealing(id, clock, false)?),
            Step::Archive(id) => Some(ring.with_archived(id, clock)?),
            Step::Destroy(id) => Some(ring.with_destroyed(id, clock)?),
            Step::Sweep => None,
        })
    }

    pub(crate) fn commit(
        &mut self,
        process: usize,
        expected: &Bytes,
        next: &Bytes,
        before: u64,
    ) -> Result<(), Violation> {
        self.processes[process].busy = false;
        if self.is_cut_off(process) || !self.write_document(process, None, Some(expected), next)? {
            return Ok(());
        }
        let opened = self.open(next).map_err(|error| error.to_string())?;
        let known = self.processes[process].known.as_ref();
        if known.is_none_or(|known| known.ring.version() < opened.ring.version()) {
            let intact = self.is_intact();
            self.take_over(process, opened, (before, intact))?;
        }
        Ok(())
    }
}
