//! Following the document, as a live ring does it.

use std::rc::Rc;

use waxseal_keys::{Ring, RingError};

use super::opened::{Bytes, OpenedRing};
use super::rules::MINUTE;
use super::world::{Act, Violation, World};

const LOCATION: &str = "simulation";

/// The outcome of a poll.
pub(crate) enum PollOutcome {
    UpToDate,
    Unreachable,
    Refused,
}

impl PollOutcome {
    pub(crate) fn is_up_to_date(&self) -> bool {
        matches!(self, Self::UpToDate)
    }
}

impl World {
    /// Starts from the document store, or from the last good copy if there is one.
    pub(crate) fn boot(&mut self, process: usize) -> Result<(), Violation> {
        if let Some(copy) = self.processes[process].copy.clone() {
            let opened = self
                .open_by(process, &copy)
                .map_err(|error| error.to_string())?;
            self.processes[process].known = Some(opened);
        }
        let polled = self.poll_now(process)?;
        if self.processes[process].known.is_none() || matches!(polled, PollOutcome::Refused) {
            self.processes[process].known = None;
            self.after(MINUTE, process, Act::Boot);
            return Ok(());
        }
        self.schedule_refresh(process);
        for act in [Act::Write, Act::Read, Act::Lead] {
            let soon = self.random.between(1, 10 * MINUTE);
            self.after(soon, process, act);
        }
        if self.rules.operator {
            let soon = self.random.between(1, 10 * MINUTE);
            self.after(soon, process, Act::Report);
        }
        Ok(())
    }

    pub(crate) fn schedule_refresh(&mut self, process: usize) {
        let interval = self.newest.ring.settings().refresh_ms;
        let wait = self.random.between(interval - interval / 10, interval);
        self.after(wait, process, Act::Refresh);
    }

    /// The regular poll, whose answer arrives later.
    pub(crate) fn refresh(&mut self, process: usize) -> Result<(), Violation> {
        self.schedule_refresh(process);
        if !self.is_cut_off(process) {
            self.processes[process].poll += 1;
            let (poll, asked) = (self.processes[process].poll, self.now);
            let act = Act::Answer {
                poll,
                asked,
                found: self.document.clone(),
                intact: self.is_intact(),
            };
            let wait = self.delay();
            self.after(wait, process, act);
            // The process is suspended between the request and the answer.
            if self.now < self.faults_until && self.random.between(0, 199) == 0 {
                let long = self.long();
                self.processes[process].suspended_until = self.now + long;
            }
        }
        Ok(())
    }

    pub(crate) fn answer(
        &mut self,
        process: usize,
        poll: u64,
        asked: (u64, bool),
        found: Option<Bytes>,
    ) -> Result<(), Violation> {
        if self.processes[process].poll == poll {
            self.poll(process, asked, found)?;
        }
        Ok(())
    }

    /// Polls with an immediate answer.
    pub(crate) fn poll_now(&mut self, process: usize) -> Result<PollOutcome, Violation> {
        if self.is_cut_off(process) {
            return Ok(PollOutcome::Unreachable);
        }
        self.processes[process].poll += 1;
        let found = self.document.clone();
        self.poll(process, (self.now, self.is_intact()), found)
    }

    fn poll(
        &mut self,
        process: usize,
        asked: (u64, bool),
        found: Option<Bytes>,
    ) -> Result<PollOutcome, Violation> {
        let known = self.processes[process].known.clone();
        if found.is_some() && found.as_ref() == known.as_ref().map(|known| &known.bytes) {
            self.confirm(process, asked);
            self.check_process(process)?;
            return Ok(PollOutcome::UpToDate);
        }
        let Some(known) = known else {
            let opened = match found.map(|bytes| self.open_by(process, &bytes)) {
                None | Some(Err(_)) => return Ok(PollOutcome::Refused),
                Some(Ok(opened)) => opened,
            };
            self.take_over(process, opened, asked)?;
            return Ok(PollOutcome::UpToDate);
        };
        let clock = self.document_clock(process);
        let opened = match &found {
            None => Err(missing()),
            Some(bytes) => self.open_by(process, bytes),
        };
        let (refused, merged) = match opened {
            Err(error) => (error, None),
            Ok(opened) => match opened.ring.may_follow(&known.ring, LOCATION) {
                Ok(()) => match self.merged(&opened.ring, &known.ring, clock) {
                    None => {
                        self.take_over(process, opened, asked)?;
                        return Ok(PollOutcome::UpToDate);
                    }
                    Some(merged) => (missing(), Some(merged)),
                },
                Err(error) => (error, self.merged(&known.ring, &opened.ring, clock)),
            },
        };
        if !refused.is_loss() {
            return Ok(PollOutcome::Refused);
        }
        let bytes = match merged {
            Some(merged) => Rc::new(merged.to_bytes()),
            None => known.bytes.clone(),
        };
        if self.is_cut_off(process)
            || !self.write_document(process, None, found.as_ref(), &bytes)?
        {
            return Ok(PollOutcome::Refused);
        }
        if self.rules.restart_watch {
            self.processes[process].pending = None;
        }
        let opened = self.open(&bytes).map_err(|error| error.to_string())?;
        let asked = (asked.0, self.is_intact());
        self.take_over(process, opened, asked)?;
        Ok(PollOutcome::UpToDate)
    }

    /// The ring with what it lacks of another document of it.
    fn merged(&self, ring: &Ring, other: &Ring, clock: u64) -> Option<Ring> {
        let holds = |id| ring.entry(id).is_some();
        let lacks_only_index_keys = other.keys().iter().all(|key| holds(key.id));
        if !self.rules.restores_index_keys && lacks_only_index_keys {
            return None;
        }
        ring.merged_with(other, clock)
    }

    pub(crate) fn take_over(
        &mut self,
        process: usize,
        opened: Rc<OpenedRing>,
        asked: (u64, bool),
    ) -> Result<(), Violation> {
        self.processes[process].copy = Some(opened.bytes.clone());
        self.processes[process].known = Some(opened);
        self.confirm(process, asked);
        self.check_process(process)
    }

    fn confirm(&mut self, process: usize, (asked, intact): (u64, bool)) {
        let now = self.now;
        let bound = 2 * self.newest.ring.settings().refresh_ms;
        let it = &mut self.processes[process];
        let gap = it.confirmed.is_none_or(|at| now - at > bound);
        if self.rules.restart_watch && gap {
            it.pending = None;
        }
        if intact {
            it.refreshed = it.refreshed.max(Some(asked));
        }
        let when = if self.rules.confirmed_when_asked {
            asked
        } else {
            now
        };
        it.confirmed = it.confirmed.max(Some(when));
    }
}

fn missing() -> RingError {
    RingError::Missing {
        location: LOCATION.to_owned(),
    }
}
