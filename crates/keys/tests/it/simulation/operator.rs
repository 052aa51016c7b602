//! The operator: at random times upgrades processes and goes back, moves the keyring to version 3 and back,
//! and rotates index keys, step by step. What is refused is tried again later.

use std::rc::Rc;

use waxseal_keys::IndexKeyState;
use waxseal_keys::rotation::Audit;

use super::opened::{Bytes, OpenedRing};
use super::orders::Change;
use super::process::Build;
use super::rules::HOUR;
use super::world::{Act, Event, Violation, World};

/// The operator's aim.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Goal {
    /// Only version 3 is accepted.
    Version3,
    /// Former builds can be used again.
    FormerBuilds,
}

/// A change that the operator wants, as `waxseal keyring` makes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Order {
    pub(crate) change: Change,
    pub(crate) forced: bool,
}

impl World {
    /// Takes the next step.
    pub(crate) fn operate(&mut self) -> Result<(), Violation> {
        // What a wait is missing for shows if the next step follows soon.
        let max = match self.rules.write_waits && self.rules.return_waits {
            true => 2 * HOUR,
            false => HOUR / 4,
        };
        let wait = self.random.between(max / 8, max);
        self.later(wait, Event::Operator);
        if self.random.percent(5) {
            self.goal = match self.goal {
                Goal::Version3 => Goal::FormerBuilds,
                Goal::FormerBuilds => Goal::Version3,
            };
        }
        if self.install() {
            return Ok(());
        }
        let Some(process) = self.machine() else {
            return Ok(());
        };
        // An operator who finds less than was ordered restores it first.
        if !self.poll_now(process)?.is_up_to_date() || !self.is_intact() {
            return Ok(());
        }
        let Some(known) = self.processes[process].ring().cloned() else {
            return Ok(());
        };
        let Some(change) = self.next_change(&known) else {
            return Ok(());
        };
        let forced = self.now < self.faults_until
            && self.may_force(process, &known, change)
            && self.random.percent(3);
        let order = Order { change, forced };
        match change.needs_audit() && !forced {
            true if self.is_due(process, order) => self.begin_sweep(process, Some(order)),
            true => {}
            false => self.order(process, order, None)?,
        }
        Ok(())
    }

    /// True if a change by force breaks promises and loses nothing.
    fn may_force(&self, process: usize, known: &OpenedRing, change: Change) -> bool {
        let clock = self.processes[process].clock(self.now);
        match change {
            Change::Format(2) | Change::Accept(3) => true,
            Change::Write(3) => known
                .ring
                .writing()
                .is_some_and(|key| key.activates <= clock),
            _ => false,
        }
    }

    /// Restarts a process with another build, now and then. Returns true if it did.
    fn install(&mut self) -> bool {
        let (from, to) = match self.goal {
            Goal::Version3 => (Build::Former, Build::Current),
            Goal::FormerBuilds => (Build::Current, Build::Former),
        };
        // A former build is installed where it can start, and one process can always undo it.
        let is_possible = to == Build::Current || self.newest.format == 1 && self.is_intact();
        let processes = 0..self.processes.len();
        let others: Vec<_> = processes
            .filter(|it| self.processes[*it].build == from)
            .collect();
        let keeps = if to == Build::Former { 1 } else { 0 };
        if !is_possible || others.len() <= keeps || self.random.percent(40) {
            return false;
        }
        let process = others[self.random.index(others.len())];
        self.restart_as(process, to);
        true
    }

    /// A process on whose machine the operator works.
    fn machine(&mut self) -> Option<usize> {
        let is_usable = |process: &usize| {
            let it = &self.processes[*process];
            it.build == Build::Current
                && it.ring().is_some()
                && it.suspended_until <= self.now
                && !it.busy
                && !self.is_cut_off(*process)
                && (!self.rules.compare_clocks || self.offset(*process).is_usable())
        };
        let usable: Vec<_> = (0..self.processes.len()).filter(is_usable).collect();
        if usable.is_empty() {
            return None;
        }
        Some(usable[self.random.index(usable.len())])
    }

    /// Mostly the next change towards the goal, and now and then any other.
    fn next_change(&mut self, known: &OpenedRing) -> Option<Change> {
        if self.random.percent(25) {
            return self.any_change(known);
        }
        let state = (known.format, known.write, known.accept);
        match (self.goal, state) {
            (Goal::Version3, (1, ..)) => Some(Change::Format(2)),
            (Goal::Version3, (_, 2, _)) => Some(Change::Write(3)),
            (Goal::Version3, (_, _, 2)) => Some(Change::Accept(3)),
            (Goal::Version3, _) => self.any_change(known),
            (Goal::FormerBuilds, (1, ..)) => None,
            (Goal::FormerBuilds, (_, _, 3)) => Some(Change::Accept(2)),
            (Goal::FormerBuilds, (_, 3, _)) => Some(Change::Write(2)),
            (Goal::FormerBuilds, _) => Some(Change::Format(1)),
        }
    }

    fn any_change(&mut self, known: &OpenedRing) -> Option<Change> {
        let first = |state| known.ring.index_keys_in(state).next().map(|key| key.id);
        let pending = first(IndexKeyState::Pending);
        let reading = first(IndexKeyState::Reading);
        match self.random.index(6) {
            0 => Some(Change::Format(3 - known.format)),
            1 => Some(Change::Write(5 - known.write)),
            2 => Some(Change::Accept(5 - known.accept)),
            3 => reading.map(Change::DestroyIndexKey),
            _ if known.format == 1 => None,
            _ => Some(pending.map_or(Change::AddIndexKey, Change::PromoteIndexKey)),
        }
    }

    /// Decides about an order, and sends the change if nothing refuses it.
    pub(crate) fn order(
        &mut self,
        process: usize,
        order: Order,
        audit: Option<&Audit>,
    ) -> Result<(), Violation> {
        if self.is_cut_off(process) || !self.is_intact() || !self.is_due(process, order) {
            return Ok(());
        }
        let Some(known) = self.processes[process].ring().cloned() else {
            return Ok(());
        };
        if let Some(next) = self.ordered(process, &known, order, audit) {
            let act = Act::Order {
                order,
                expected: known.bytes.clone(),
                next: Rc::new(next.to_bytes()),
                asked: self.now,
            };
            let wait = self.delay();
            self.after(wait, process, act);
        }
        Ok(())
    }

    /// Writes the document as ordered, if it is still as it was.
    pub(crate) fn carry_out(
        &mut self,
        process: usize,
        order: Order,
        (expected, next): (&Bytes, &Bytes),
        asked: u64,
    ) -> Result<(), Violation> {
        if self.is_cut_off(process)
            || !self.write_document(process, Some((order, asked)), Some(expected), next)?
        {
            return Ok(());
        }
        let opened = self.open(next).map_err(|error| error.to_string())?;
        let known = self.processes[process].ring();
        if known.is_some_and(|known| known.ring.version() < opened.ring.version()) {
            let intact = self.is_intact();
            self.take_over(process, opened, (asked, intact))?;
        }
        Ok(())
    }
}
