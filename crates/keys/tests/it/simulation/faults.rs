//! The faults of the simulated world.

use std::rc::Rc;

use super::process::Build;
use super::rules::{DAY, HOUR, MINUTE};
use super::world::{Act, Event, World};

impl World {
    /// Causes one fault, and schedules the next one.
    pub(crate) fn fault(&mut self) {
        if self.now >= self.faults_until {
            return;
        }
        let wait = self.random.between(MINUTE, HOUR);
        self.later(wait, Event::Fault);
        if self.rules.far_clock && self.random.percent(10) {
            // The clock is set wrong while the process runs.
            self.processes[0].skew = (self.random.between(1, 400) * DAY) as i64;
        }
        let process = self.random.index(self.processes.len());
        match self
            .random
            .index(if self.rules.store_fails { 5 } else { 4 })
        {
            0 => {
                let is_upgraded = self.rules.operator && self.random.percent(20);
                if is_upgraded {
                    self.processes[process].build = Build::Current;
                }
                self.crash(process);
            }
            1 => {
                let long = self.long();
                self.processes[process].suspended_until = self.now + long;
            }
            2 => {
                let long = self.long();
                self.processes[process].partitioned_until = self.now + long;
            }
            3 => {
                let skew = self.skew(process);
                // The clock is corrected while the process does not run.
                self.crash(process);
                self.processes[process].skew = skew;
            }
            _ => self.lose(),
        }
    }

    /// Ends all faults: everything runs and can be reached again.
    pub(crate) fn heal(&mut self) {
        self.faults_until = self.now;
        for it in &mut self.processes {
            it.suspended_until = it.suspended_until.min(self.now);
            it.partitioned_until = it.partitioned_until.min(self.now);
        }
        // Former builds cannot start any more: the operator replaces them.
        for process in 0..self.processes.len() {
            if self.processes[process].build == Build::Former && self.newest.format != 1 {
                self.restart_as(process, Build::Current);
            }
        }
    }

    /// A duration: mostly short, sometimes longer than the propagation delay, now and then longer than
    /// unused keys are retained.
    pub(crate) fn long(&mut self) -> u64 {
        let settings = self.newest.ring.settings();
        let (propagation, all) = (
            settings.propagation_ms.max(HOUR),
            settings.settling_ms() + settings.retention_ms,
        );
        match self.random.index(4) {
            0 | 1 => self.random.between(1000, 30 * MINUTE),
            2 => self.random.between(MINUTE, 2 * propagation),
            _ => self.random.between(MINUTE, 2 * all),
        }
    }

    /// Installs another build of a process, and restarts it.
    pub(crate) fn restart_as(&mut self, process: usize, build: Build) {
        let is_former = build == Build::Former && self.is_copy_spare(process);
        let build = if is_former { build } else { Build::Current };
        let it = &mut self.processes[process];
        it.build = build;
        if build == Build::Former {
            // The copy may be of a format that it does not know.
            it.copy = None;
        }
        self.crash(process);
    }

    fn crash(&mut self, process: usize) {
        let (takeover_timeout, keeps) = (self.takeover_timeout(), self.random.percent(60));
        let is_intact = self.document.as_ref() == Some(&self.newest.bytes);
        let loses_copy = !keeps && is_intact && self.is_copy_spare(process);
        let it = &mut self.processes[process];
        if loses_copy {
            it.copy = None;
        }
        let released = it.candidate.release();
        it.restart(process, takeover_timeout);
        if let Some((held, released)) = released
            && self.random.percent(30)
            && self.lease.as_ref() == Some(&held)
        {
            self.lease = Some(released);
        }
        let wait = match self.random.percent(70) {
            true => self.random.between(1000, 5 * MINUTE),
            false => self.long(),
        };
        self.after(wait, process, Act::Boot);
    }

    /// True if the copy of a process holds nothing that the newest document lacks: what only one machine knows, of a fork
    /// that was not merged yet, is lost with that machine.
    fn is_copy_spare(&mut self, process: usize) -> bool {
        let Some(copy) = self.processes[process].copy.clone() else {
            return true;
        };
        let copy = self.open(&copy);
        copy.is_ok_and(|copy| self.newest.ring.merged_with(&copy.ring, self.now).is_none())
    }

    /// Makes the store lose a document, or return an older one, while some process knows the newest.
    fn lose(&mut self) {
        if self.random.percent(30) {
            self.lease = None;
        }
        if self.rules.operator && self.random.percent(20) {
            self.lose_reports();
        }
        let knows = |it: &super::process::Process| {
            let is_reachable = it.suspended_until <= self.now && it.partitioned_until <= self.now;
            let known = it.ring().filter(|_| is_reachable);
            known.is_some_and(|known| known.bytes == self.newest.bytes)
        };
        let has = |it: &super::process::Process| {
            let known = it.ring().map(|known| &known.bytes);
            [known, it.copy.as_ref()].contains(&Some(&self.newest.bytes))
        };
        let is_safe = match self.rules.forks {
            true => self.processes.iter().any(has),
            false => self.processes.iter().any(knows),
        };
        if !is_safe {
            return;
        }
        let Some(newest) = self.document.clone() else {
            return;
        };
        self.document = match self.random.index(4) {
            0 => None,
            1 => Some(Rc::new(Vec::new())),
            2 => {
                let len = self.random.index(newest.len().max(1));
                Some(Rc::new(newest[..len].to_vec()))
            }
            _ => self.older(),
        };
        self.record_document();
    }

    /// A document that the store had a while ago.
    fn older(&mut self) -> Option<Rc<Vec<u8>>> {
        let oldest = self.now - self.newest.ring.settings().retention_ms / 2;
        let recent: Vec<_> = self
            .history
            .iter()
            .filter(|(until, _)| *until > oldest)
            .collect();
        if recent.is_empty() {
            return None;
        }
        Some(recent[self.random.index(recent.len())].1.clone())
    }
}
