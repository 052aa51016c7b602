//! A simulated process: the ring as it knows it, its clock, and its state.

use std::rc::Rc;
use std::time::Duration;

use waxseal_core::{KeyId, Keyring};
use waxseal_keys::rotation::Audit;
use waxseal_keys::{Candidate, Ring, Settings};

/// The bytes of a document.
pub(crate) type Bytes = Rc<Vec<u8>>;

/// A document with its keys.
pub(crate) struct OpenedRing {
    pub(crate) ring: Ring,
    pub(crate) keyring: Keyring,
    pub(crate) bytes: Bytes,
}

impl OpenedRing {
    pub(crate) fn holds(&self, id: KeyId) -> bool {
        self.keyring.role(id).is_some()
    }
}

/// A sweep in progress.
#[derive(Clone)]
pub(crate) struct Sweep {
    /// True during the second pass: values are resealed first, and then counted.
    pub(crate) counts: bool,
    pub(crate) slot: usize,
    pub(crate) audit: Audit,
}

pub(crate) struct Process {
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
    pub(crate) sweep: Option<Sweep>,
}

impl Process {
    pub(crate) fn new(name: usize, skew: i64, takeover_timeout: u64) -> Self {
        Self {
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
            sweep: None,
        }
    }

    /// Restarts it, keeping only its clock and its copy.
    pub(crate) fn restart(&mut self, name: usize, takeover_timeout: u64) {
        let mut new = Self::new(name, self.skew, takeover_timeout);
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
