//! Values: writing, reading, and resealing them under the sealing key.

use super::rules::{HOUR, MINUTE};
use super::world::{Act, SLOTS, Value, Violation, World};

impl World {
    /// True if something may be sealed now: the rule of `LiveRing::confirm`.
    fn may_seal(&mut self, process: usize) -> Result<bool, Violation> {
        if !self.rules.confirm {
            return Ok(true);
        }
        let is_confirmed = |this: &Self| {
            let it = &this.processes[process];
            let silent = it.silent(this.now);
            it.settings()
                .map(|it| (it.is_confirmed(silent), it.is_lapsed(silent)))
        };
        if is_confirmed(self).is_some_and(|(confirmed, _)| confirmed) {
            return Ok(true);
        }
        if self.poll_now(process)?.is_up_to_date() {
            return Ok(true);
        }
        Ok(is_confirmed(self).is_some_and(|(_, lapsed)| !lapsed))
    }

    pub(crate) fn write(&mut self, process: usize) -> Result<(), Violation> {
        let wait = self.random.between(MINUTE, HOUR);
        self.after(wait, process, Act::Write);
        if !self.may_seal(process)? {
            return Ok(());
        }
        let slot = self.random.index(SLOTS);
        let life = match self.random.percent(50) {
            true => self.random.between(MINUTE, 4 * HOUR),
            false => 1000 * HOUR,
        };
        let Some(known) = self.processes[process].ring() else {
            return Ok(());
        };
        let value = Value {
            key: known.keyring.sealing_id(),
            written: self.now,
            expires: self.now + life,
        };
        self.seals += 1;
        self.put(slot, value)
    }

    /// A value that names an unknown key forces one poll; then it opens.
    pub(crate) fn read(&mut self, process: usize) -> Result<(), Violation> {
        let wait = self.random.between(MINUTE, 2 * HOUR);
        self.after(wait, process, Act::Read);
        let slot = self.random.index(SLOTS);
        let Some(value) = self.records[slot].filter(|value| value.expires > self.now) else {
            return Ok(());
        };
        let holds = |this: &Self| {
            let known = this.processes[process].ring();
            known.is_some_and(|known| known.holds(value.key))
        };
        if holds(self) || !self.poll_now(process)?.is_up_to_date() {
            return Ok(());
        }
        if self.is_intact() && !holds(self) {
            return Err(format!(
                "process {process} does not learn key {}",
                value.key
            ));
        }
        Ok(())
    }

    /// One record of a sweep.
    pub(crate) fn sweep(&mut self, process: usize) -> Result<(), Violation> {
        let Some(mut sweep) = self.processes[process].sweep.take() else {
            return Ok(());
        };
        if sweep.slot == SLOTS {
            if sweep.counts {
                let it = &mut self.processes[process];
                it.audit = Some(sweep.audit);
                it.busy = false;
                return Ok(());
            }
            sweep.counts = true;
            sweep.slot = 0;
            sweep.audit.began_ms = self.processes[process].clock(self.now);
        }
        let slot = sweep.slot;
        sweep.slot += 1;
        if let Some(seen) = self.records[slot].filter(|value| value.expires > self.now) {
            if sweep.counts {
                *sweep.audit.values.entry(seen.key.to_string()).or_default() += 1;
            } else if self.may_seal(process)?
                && let Some(known) = self.processes[process].ring()
                && known.holds(seen.key)
                && known.keyring.sealing_id() != seen.key
            {
                let new = Value {
                    key: known.keyring.sealing_id(),
                    ..seen
                };
                self.after(1, process, Act::Replace { slot, seen, new });
            }
        }
        self.processes[process].sweep = Some(sweep);
        let wait = self.random.between(10, 2 * MINUTE);
        self.after(wait, process, Act::Sweep);
        Ok(())
    }

    /// Compare-and-set: a write in the meantime wins. A sweep that was delayed checks again that it may seal.
    pub(crate) fn replace(
        &mut self,
        process: usize,
        slot: usize,
        seen: Value,
        new: Value,
    ) -> Result<(), Violation> {
        if self.records[slot] != Some(seen)
            || seen.expires <= self.now
            || !self.may_seal(process)?
        {
            return Ok(());
        }
        let sealing = self.processes[process]
            .ring()
            .map(|it| it.keyring.sealing_id());
        match sealing == Some(new.key) {
            true => self.put(slot, new),
            false => Ok(()),
        }
    }
}
