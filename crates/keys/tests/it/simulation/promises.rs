//! The invariants of versions and formats: what is promised to processes of former builds, and to those that
//! accept only version 3.

use waxseal_core::KeyId;
use waxseal_keys::IndexKeyState;

use super::opened::{Bytes, OpenedRing, Value};
use super::operator::Order;
use super::orders::Change;
use super::process::{Build, Process};
use super::world::{Violation, World};

/// The last order after which former builds are left behind.
#[derive(Clone, Copy)]
pub(crate) struct Promise {
    /// The time at which the reports were read for it.
    pub(crate) asked: u64,
    pub(crate) forced: bool,
}

impl World {
    /// Former builds replace no document of a format that they do not know, and no process changes the format on
    /// its own.
    pub(super) fn check_replacement(
        &mut self,
        process: usize,
        is_ordered: bool,
        old: &Bytes,
        new: &OpenedRing,
    ) -> Result<(), Violation> {
        let Ok(old) = self.open(old) else {
            return Ok(());
        };
        let (from, to) = (old.format, new.format);
        if self.processes[process].build == Build::Former && from != 1 {
            return Err(format!(
                "process {process} of a former build replaces a document of format {from}"
            ));
        }
        if (from, to) == (1, 2) {
            self.unconverted = Some(old);
        }
        if !is_ordered && from != to && !self.rules.store_fails {
            return Err(format!(
                "process {process} changes the format from {from} to {to}, and nobody ordered it"
            ));
        }
        Ok(())
    }

    /// In format 2 exactly one index key writes.
    pub(super) fn check_index_keys(&self, opened: &OpenedRing) -> Result<(), Violation> {
        let (version, format) = (opened.ring.version(), opened.format);
        let writing = opened.ring.index_keys_in(IndexKeyState::Writing);
        let (count, expected) = (writing.count(), usize::from(format == 2));
        if count != expected {
            return Err(format!(
                "version {version} of format {format} has {count} index keys that write"
            ));
        }
        if opened.accept > opened.write {
            return Err(format!("version {version} does not accept what it writes"));
        }
        Ok(())
    }

    /// At the end, with all processes back: no index key has left the ring without a trace.
    pub(crate) fn check_all_index_keys(&self) -> Result<(), Violation> {
        let ring = &self.newest.ring;
        let is_lost = |id: &&KeyId| ring.index_entry(**id).is_none() && ring.entry(**id).is_none();
        match self.index_keys.iter().find(is_lost) {
            None => Ok(()),
            Some(id) => Err(format!(
                "index key {id} is lost: version {} does not know it",
                ring.version()
            )),
        }
    }

    /// Notes what an order that was carried out promises, and breaks.
    pub(super) fn note_order(&mut self, order: Order, asked: u64) -> Result<(), Violation> {
        match order.change {
            Change::Format(1) => self.promise = None,
            Change::Format(_) | Change::Write(3) => {
                let forced = order.forced || self.promise.is_some_and(|it| it.forced);
                self.promise = Some(Promise { asked, forced });
                let mut processes = self.processes.iter();
                if let Some(process) = processes.position(|it| self.is_promised(it)) {
                    return Err(format!(
                        "{:?} is carried out while process {process} of a former build is reported",
                        order.change
                    ));
                }
            }
            Change::Accept(3) if order.forced => self.accept_forced_until = u64::MAX,
            // Until every process accepts all again.
            Change::Accept(2) if self.is_accept_forced() => {
                self.accept_forced_until = self.now + 2 * self.newest.ring.settings().refresh_ms;
            }
            _ => {}
        }
        Ok(())
    }

    /// True if a process of a former build serves, and was reported since before the last order that would leave it
    /// behind.
    fn is_promised(&self, it: &Process) -> bool {
        let max_gap = self.silent_ms() - 2 * self.rules.skew;
        let Some(promise) = self.promise.filter(|promise| !promise.forced) else {
            return false;
        };
        // A process whose clock is far off may drop the reports of all others.
        it.build == Build::Former
            && it.ring().is_some()
            && !self.rules.far_clock
            && it.reported.is_some_and(|reported| {
                reported.first <= promise.asked && self.now - reported.last <= max_gap
            })
    }

    /// Values of version 3 are not written while a process that was promised to read everything cannot.
    pub(super) fn check_promises(&self, value: &Value) -> Result<(), Violation> {
        if value.version < 3 {
            return Ok(());
        }
        let mut processes = self.processes.iter();
        match processes.position(|it| self.is_promised(it)) {
            None => Ok(()),
            Some(process) => Err(format!(
                "a value of version 3 is written while process {process} of a former build is reported"
            )),
        }
    }

    /// True if values are refused because an operator wanted it without an audit.
    fn is_accept_forced(&self) -> bool {
        self.now < self.accept_forced_until
    }

    /// True if the last document that a process has confirmed to be the newest is too old to seal by: what it seals
    /// now rests on a document that the store has lost changes from.
    pub(super) fn is_astray(&self, process: usize) -> bool {
        let it = &self.processes[process];
        let lapse = self.newest.ring.settings().retention_ms;
        it.refreshed.is_none_or(|at| self.now - at >= lapse)
    }

    /// True if a process with this ring should open a value, as far as its version decides.
    pub(super) fn is_due_to(&self, build: Build, known: &OpenedRing, value: &Value) -> bool {
        let is_too_old = value.version < known.accept;
        let is_too_new = value.version > 2 && build == Build::Former;
        let is_broken = is_too_old && self.is_accept_forced()
            || is_too_new && self.promise.is_none_or(|promise| promise.forced);
        !is_broken && !(value.is_stray && (is_too_old || is_too_new))
    }
}
