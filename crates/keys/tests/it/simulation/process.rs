//! A simulated process: the ring as it knows it, its clock, and whether it runs.

use std::rc::Rc;
use std::time::Duration;

use waxseal_core::{KeyId, Keyring};
use waxseal_keys::rotation::Audit;
use waxseal_keys::{Candidate, Ring, Settings};

/// The bytes of a document.
pub(crate) type Bytes = Rc<Vec<u8>>;

/// A document that was opened.
pub(crate) struct Opened {
    pub(crate) ring: Ring,
    pub(crate) keyring: Keyring,
    pub(crate) bytes: Bytes,
}

impl Opened {
    pub(crate) fn holds(&self, id: KeyId) -> bool {
        self.keyring.role(id).is_some()
    }
}

/// A sweep that is under way.
#[derive(Clone)]
pub(crate) struct Sweep {
    /// Values are brought under the sealing key first, and then counted.
    pub(crate) counts: bool,
    pub(crate) slot: usize,
    pub(crate) audit: Audit,
}

pub(crate) struct Process {
    /// How far its clock is off, in milliseconds.
    pub(crate) skew: i64,
    /// Grows with each start: what was under way before is void.
    pub(crate) life: u64,
    pub(crate) alive: bool,
    pub(crate) suspended_until: u64,
    pub(crate) partitioned_until: u64,
    pub(crate) known: Option<Rc<Opened>>,
    pub(crate) copy: Option<Bytes>,
    /// When the ring was confirmed last.
    pub(crate) confirmed: Option<u64>,
    /// When the document was last read with success.
    pub(crate) refreshed: Option<u64>,
    /// Grows with each poll: a poll that a later one overtook is void.
    pub(crate) poll: u64,
    /// The newest version that it ever had; forgotten with its copy.
    pub(crate) newest: u64,
    pub(crate) candidate: Candidate,
    /// The pending key, and since when it was seen.
    pub(crate) pending: Option<(KeyId, u64)>,
    pub(crate) audit: Option<Audit>,
    pub(crate) leads: bool,
    pub(crate) busy: bool,
    pub(crate) sweep: Option<Sweep>,
}

impl Process {
    pub(crate) fn new(name: usize, skew: i64, reconnect_timeout: u64) -> Self {
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
            candidate: candidate(name, 0, reconnect_timeout),
            pending: None,
            audit: None,
            leads: false,
            busy: false,
            sweep: None,
        }
    }

    /// What a start leaves of it: its clock, and its copy.
    pub(crate) fn restart(&mut self, name: usize, reconnect_timeout: u64) {
        let mut new = Self::new(name, self.skew, reconnect_timeout);
        new.life = self.life + 1;
        new.candidate = candidate(name, new.life, reconnect_timeout);
        new.partitioned_until = self.partitioned_until;
        new.copy = self.copy.take();
        new.newest = if new.copy.is_some() { self.newest } else { 0 };
        *self = new;
    }

    pub(crate) fn clock(&self, now: u64) -> u64 {
        now.strict_add_signed(self.skew)
    }

    /// What it knows, while it runs.
    pub(crate) fn ring(&self) -> Option<&Rc<Opened>> {
        self.known.as_ref().filter(|_| self.alive)
    }

    pub(crate) fn settings(&self) -> Option<&Settings> {
        self.known.as_ref().map(|known| known.ring.settings())
    }

    pub(crate) fn silent(&self, now: u64) -> Option<u64> {
        self.confirmed.map(|at| now.saturating_sub(at))
    }
}

fn candidate(name: usize, life: u64, reconnect_timeout: u64) -> Candidate {
    Candidate::new(
        format!("{name}.{life}"),
        Duration::from_millis(reconnect_timeout),
    )
}
