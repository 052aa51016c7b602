//! What a process does to follow the document, as a live ring does it.

use std::rc::Rc;

use waxseal_keys::RingError;

use super::process::{Bytes, Opened};
use super::rules::MINUTE;
use super::world::{Act, Broken, World};

const PLACE: &str = "place";

impl World {
    /// A start: from the place, or from the last good copy where there is one.
    pub(crate) fn boot(&mut self, process: usize) -> Result<(), Broken> {
        if let Some(copy) = self.processes[process].copy.clone() {
            let opened = self.open(&copy).map_err(|error| error.to_string())?;
            self.processes[process].known = Some(opened);
        }
        let polled = self.look_now(process)?;
        if self.processes[process].known.is_none() || matches!(polled, Err(false)) {
            self.processes[process].known = None;
            self.after(MINUTE, process, Act::Boot);
            return Ok(());
        }
        self.schedule_refresh(process);
        for act in [Act::Write, Act::Read, Act::Lead] {
            let soon = self.random.between(1, 10 * MINUTE);
            self.after(soon, process, act);
        }
        Ok(())
    }

    pub(crate) fn schedule_refresh(&mut self, process: usize) {
        let interval = self.newest.ring.settings().refresh_ms;
        let wait = self.random.between(interval - interval / 10, interval);
        self.after(wait, process, Act::Refresh);
    }

    /// The poll at intervals: asked, and answered a while later.
    pub(crate) fn refresh(&mut self, process: usize) -> Result<(), Broken> {
        self.schedule_refresh(process);
        if !self.is_cut_off(process) {
            self.processes[process].poll += 1;
            let (poll, asked) = (self.processes[process].poll, self.now);
            let act = Act::Answer {
                poll,
                asked,
                found: self.place.clone(),
                intact: self.is_intact(),
            };
            let wait = self.delay();
            self.after(wait, process, act);
            // Suspended between the question and the answer.
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
    ) -> Result<(), Broken> {
        if self.processes[process].poll == poll {
            let _refused = self.poll(process, asked, found)?;
        }
        Ok(())
    }

    /// A poll that is answered at once. `Err`: there was none, or what was found was refused.
    pub(crate) fn look_now(&mut self, process: usize) -> Result<Result<(), bool>, Broken> {
        if self.is_cut_off(process) {
            return Ok(Err(true));
        }
        self.processes[process].poll += 1;
        let found = self.place.clone();
        let polled = self.poll(process, (self.now, self.is_intact()), found)?;
        Ok(polled.map_err(|_| false))
    }

    fn poll(
        &mut self,
        process: usize,
        asked: (u64, bool),
        found: Option<Bytes>,
    ) -> Result<Result<(), RingError>, Broken> {
        let known = self.processes[process].known.clone();
        if found.is_some() && found.as_ref() == known.as_ref().map(|known| &known.bytes) {
            self.confirm(process, asked);
            return self.check_process(process).map(Ok);
        }
        let Some(known) = known else {
            let opened = match found.map(|bytes| self.open(&bytes)) {
                None => return Ok(Err(missing())),
                Some(Err(error)) => return Ok(Err(error)),
                Some(Ok(opened)) => opened,
            };
            return self.take_over(process, opened, asked).map(Ok);
        };
        let clock = self.document_clock(process);
        let opened = match &found {
            None => Err(missing()),
            Some(bytes) => self.open(bytes),
        };
        let (refused, whole) = match opened {
            Err(error) => (error, None),
            Ok(opened) => match opened.ring.may_follow(&known.ring, PLACE) {
                Ok(()) => match opened.ring.with_what_it_lacks(&known.ring, clock) {
                    None => return self.take_over(process, opened, asked).map(Ok),
                    Some(whole) => (missing(), Some(whole)),
                },
                Err(error) => (error, known.ring.with_what_it_lacks(&opened.ring, clock)),
            },
        };
        if !refused.is_loss() {
            return Ok(Err(refused));
        }
        let bytes = match whole {
            Some(whole) => Rc::new(whole.to_bytes()),
            None => known.bytes.clone(),
        };
        if self.is_cut_off(process) || !self.write_document(found.as_ref(), &bytes)? {
            return Ok(Err(refused));
        }
        if self.rules.watch_anew {
            self.processes[process].pending = None;
        }
        let opened = self.open(&bytes).map_err(|error| error.to_string())?;
        let asked = (asked.0, self.is_intact());
        self.take_over(process, opened, asked).map(Ok)
    }

    pub(crate) fn take_over(
        &mut self,
        process: usize,
        opened: Rc<Opened>,
        asked: (u64, bool),
    ) -> Result<(), Broken> {
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
        if self.rules.watch_anew && gap {
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
        location: PLACE.to_owned(),
    }
}
