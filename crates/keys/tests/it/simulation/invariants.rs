//! The invariants of the simulated world: checked after each event that could violate them.

use waxseal_core::KeyId;
use waxseal_keys::KeyState;

use super::opened::{OpenedRing, Value};
use super::process::Build;
use super::rules::MINUTE;
use super::world::{Violation, World};

impl World {
    /// A key seals for the first time only after it was visible in the store for the whole propagation
    /// delay, except for short outages.
    pub(super) fn check_promotion(&self, id: KeyId) -> Result<(), Violation> {
        let settings = self.newest.ring.settings();
        let from = self.now - settings.propagation_ms;
        let mut until = self.now;
        let (mut longest, mut outage) = (0, 0);
        for (since, opened) in self.timeline.iter().rev() {
            if opened.as_ref().is_some_and(|opened| opened.holds(id)) {
                outage = 0;
            } else {
                outage += until - (*since).max(from);
            }
            longest = longest.max(outage);
            until = *since;
            if until <= from {
                break;
            }
        }
        // A process that polls in the meantime restores it; one that does not starts its watch over.
        if longest <= 2 * settings.refresh_ms {
            return Ok(());
        }
        let minutes = longest / MINUTE;
        Err(format!(
            "key {id} seals, and was not to be seen for {minutes} min of the time before"
        ))
    }

    /// No key is destroyed before it was archived for the retention time, by the time of the world, except for
    /// the difference of two leaders' clocks.
    pub(super) fn check_destruction(&mut self, opened: &OpenedRing) -> Result<(), Violation> {
        let retention_ms = opened
            .ring
            .settings()
            .retention_ms
            .saturating_sub(2 * self.rules.skew);
        for entry in opened.ring.keys() {
            let archived = match entry.state {
                KeyState::Archived => {
                    self.archived.entry(entry.id).or_insert(self.now);
                    None
                }
                KeyState::Destroyed => self.archived.remove(&entry.id),
                // An older document that is put back for a moment ends no wait.
                _ if opened.ring.version() < self.newest.ring.version() => None,
                _ => {
                    self.archived.remove(&entry.id);
                    None
                }
            };
            if let Some(kept) = archived
                .map(|at| self.now - at)
                .filter(|kept| *kept < retention_ms)
            {
                let (id, minutes) = (entry.id, kept / MINUTE);
                return Err(format!(
                    "key {id} is destroyed {minutes} min after it was archived"
                ));
            }
        }
        Ok(())
    }

    /// Exactly one key seals, the same for all processes with this version, and no value lost its key.
    pub(super) fn check_document(&mut self, opened: &OpenedRing) -> Result<(), Violation> {
        let (version, sealing) = (opened.ring.version(), opened.keyring.sealing_id());
        if opened.ring.in_state(KeyState::Sealing).count() != 1 {
            return Err(format!("version {version} has not exactly one sealing key"));
        }
        let known = *self.sealing.entry(version).or_insert(sealing);
        if known != sealing && !self.rules.store_fails {
            return Err(format!("two keys seal in version {version}"));
        }
        self.check_index_keys(opened)?;
        self.check_values("after a change of the ring")
    }

    fn check_values(&self, when: &str) -> Result<(), Violation> {
        for value in self.values() {
            if self.newest.opens(Build::Current, value)
                || !self.is_due_to(Build::Current, &self.newest, value)
            {
                continue;
            }
            let ring = &self.newest.ring;
            let state = ring.entry(value.key).map(|entry| entry.state.to_string());
            let index_entry = ring.index_entry(value.key);
            let index_state = index_entry.map(|entry| entry.state.to_string());
            return Err(format!(
                "{when}: a value of {} min ago in version {} needs key {}, which version {} does not hold or \
                 accept ({}; from version {} on)",
                (self.now - value.written) / MINUTE,
                value.version,
                value.key,
                ring.version(),
                state.or(index_state).unwrap_or_else(|| "absent".to_owned()),
                self.newest.accept,
            ));
        }
        Ok(())
    }

    /// Values that have not expired.
    fn values(&self) -> impl Iterator<Item = &Value> {
        let values = self.records.iter().flatten();
        values.filter(|value| value.expires > self.now)
    }

    /// After a poll a process can open everything, and its version never decreases.
    pub(crate) fn check_process(&mut self, process: usize) -> Result<(), Violation> {
        let it = &self.processes[process];
        let Some(known) = it.ring().cloned() else {
            return Ok(());
        };
        let version = known.ring.version();
        if version < it.newest {
            return Err(format!("process {process} went back to version {version}"));
        }
        self.processes[process].newest = version;
        if !self.is_fresh(process) {
            return Ok(());
        }
        self.check_forms("after a poll")?;
        let build = self.processes[process].build;
        let is_refused =
            |value: &&Value| !known.opens(build, value) && self.is_due_to(build, &known, value);
        match self.values().find(is_refused) {
            None => Ok(()),
            Some(value) => Err(format!(
                "process {process} with version {version} does not open a value of version {} under {}",
                value.version, value.key
            )),
        }
    }

    /// True if a process has read the newest document within the refresh bound. A read while the store has
    /// lost that document does not count.
    fn is_fresh(&self, process: usize) -> bool {
        let bound = 2 * self.newest.ring.settings().refresh_ms;
        let refreshed = self.processes[process].refreshed;
        refreshed.is_some_and(|at| self.now - at <= bound)
    }

    /// A process that polled recently and looks members up in one form finds all of them in it.
    fn check_forms(&self, when: &str) -> Result<(), Violation> {
        for (name, it) in self.processes.iter().enumerate() {
            let Some(known) = it.ring().filter(|it| it.in_one_form && self.is_fresh(name)) else {
                continue;
            };
            let is_missed = |value: &&Value| {
                value.deterministic && Some(value.key) != known.writing && !value.is_stray
            };
            if let Some(value) = self.values().find(is_missed) {
                return Err(format!(
                    "{when}: process {name} (version {}) looks members up in one form, and one of {} min ago is in \
                     another, under {}",
                    known.ring.version(),
                    (self.now - value.written) / MINUTE,
                    value.key
                ));
            }
        }
        Ok(())
    }

    /// Writes a value: all processes that polled recently must be able to open it at once.
    pub(crate) fn put(&mut self, slot: usize, value: Value) -> Result<(), Violation> {
        self.records[slot] = Some(value);
        self.check_values("after a write")?;
        self.check_promises(&value)?;
        self.check_forms("after a write")?;
        for (name, it) in self.processes.iter().enumerate() {
            if let Some(known) = it.ring().filter(|_| self.is_fresh(name))
                && !known.opens(it.build, &value)
                && self.is_due_to(it.build, known, &value)
            {
                return Err(format!(
                    "process {name} (version {}) cannot open at once what is written in version {} under {} \
                     (newest version {})",
                    known.ring.version(),
                    value.version,
                    value.key,
                    self.newest.ring.version()
                ));
            }
        }
        Ok(())
    }
}
