//! A simulated process: its build, the ring as it knows it, its clock, and its state.

use std::rc::Rc;
use std::time::Duration;

use waxseal_core::KeyId;
use waxseal_keys::rotation::Audit;
use waxseal_keys::{Candidate, Settings};

use super::opened::{Bytes, OpenedRing};
use super::operator::Order;

/// A version of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Build {
    /// Knows format 1 of the document and version 2 of the envelope, and no other.
    Former,
    Current,
}

/// A sweep in progress.
#[derive(Clone)]
pub(crate) struct Sweep {
    /// True during the second pass: values are resealed first, and then counted.
    pub(crate) counts: bool,
    pub(crate) slot: usize,
    pub(crate) audit: Audit,
    /// The index key that wrote when counting began, and the members that were counted: those under it, and others.
    pub(crate) members: Option<(KeyId, u64, u64)>,
    /// The change that an operator makes on the strength of the audit.
    pub(crate) order: Option<Order>,
}

/// The time of a process's first and last report, without a gap in which its report was dropped.
#[derive(Clone, Copy)]
pub(crate) struct Reported {
    pub(crate) first: u64,
    pub(crate) last: u64,
}

pub(crate) struct Process {
    pub(crate) build: Build,
    /// The error of its clock, in milliseconds.
    pub(crate) skew: i64,
    /// Grows with each start: earlier actions are void.
    pub(crate) life: u64,
    pub(crate) alive: bool,
    pub(crate) suspended_until: u64,
    pub(crate) partitioned_until: u64,
    pub(crate) known: Option<Rc<OpenedRing>>,
    pub(crate) copy: Option<Bytes>,
    /// The time of the last confirmation of the ring.
    pub(crate) confirmed: Option<u64>,
    /// The time of the last successful read of the document.
    pub(crate) refreshed: Option<u64>,
    /// Grows with each poll: an answer to an earlier poll is void.
    pub(crate) poll: u64,
    /// The newest version that it ever had; reset with its copy.
    pub(crate) newest: u64,
    pub(crate) candidate: Candidate,
    /// The pending key, and the time at which it was first seen.
    pub(crate) pending: Option<(KeyId, u64)>,
    pub(crate) audit: Option<Audit>,
    pub(crate) leads: bool,
    pub(crate) busy: bool,
    pub(crate) stands_back_until: u64,
    pub(crate) sweep: Option<Sweep>,
    pub(crate) reported: Option<Reported>,
}

impl Process {
    pub(crate) fn new(name: usize, build: Build, skew: i64, takeover_timeout: u64) -> Self {
        Self {
            build,
            skew,
            life: 0,
            alive: true,
            suspended_until: 0,
            partitioned_until: 0,
            known: None,
            copy: None,
            confirmed: None,
            refreshed: None,
            poll: 0,
            newest: 0,
            candidate: candidate(name, 0, takeover_timeout),
            pending: None,
            audit: None,
            leads: false,
            busy: false,
            stands_back_until: 0,
            sweep: None,
            reported: None,
        }
    }

    /// Restarts it, keeping only its build, its clock and its copy.
    pub(crate) fn restart(&mut self, name: usize, takeover_timeout: u64) {
        let mut new = Self::new(name, self.build, self.skew, takeover_timeout);
        new.life = self.life + 1;
        new.candidate = candidate(name, new.life, takeover_timeout);
        new.partitioned_until = self.partitioned_until;
        new.copy = self.copy.take();
        new.newest = if new.copy.is_some() { self.newest } else { 0 };
        *self = new;
    }

    pub(crate) fn clock(&self, now: u64) -> u64 {
        now.strict_add_signed(self.skew)
    }

    /// The known ring, if the process runs.
    pub(crate) fn ring(&self) -> Option<&Rc<OpenedRing>> {
        self.known.as_ref().filter(|_| self.alive)
    }

    pub(crate) fn settings(&self) -> Option<&Settings> {
        self.known.as_ref().map(|known| known.ring.settings())
    }

    pub(crate) fn silent(&self, now: u64) -> Option<u64> {
        self.confirmed.map(|at| now.saturating_sub(at))
    }
}

fn candidate(name: usize, life: u64, takeover_timeout: u64) -> Candidate {
    Candidate::new(
        format!("{name}.{life}"),
        Duration::from_millis(takeover_timeout),
    )
}
