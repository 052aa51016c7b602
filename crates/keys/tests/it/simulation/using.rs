//! Values: writing, reading, and resealing them under the sealing key.

use waxseal_keys::rotation::Audit;

use super::opened::Value;
use super::operator::Order;
use super::orders::Change;
use super::process::Build;
use super::rules::{HOUR, MINUTE};
use super::world::{Act, SLOTS, Violation, World};

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
        let key = known.keyring.sealing_id();
        let deterministic = self.rules.operator && self.random.percent(30);
        let value = Value {
            key,
            deterministic,
            version: 2,
            written: self.now,
            expires: self.now + life,
            is_stray: false,
        };
        let Some(value) = self.sealed(process, value) else {
            return Ok(());
        };
        self.seals += 1;
        self.put(slot, value)
    }

    /// A value as this process seals it now.
    fn sealed(&self, process: usize, value: Value) -> Option<Value> {
        Some(Value {
            is_stray: self.is_astray(process),
            ..self.processes[process].ring()?.sealed(value)
        })
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
        // A former build takes a value of version 3 for a damaged one.
        let build = self.processes[process].build;
        let is_unknown = build == Build::Former && value.version == 3;
        if is_unknown || holds(self) || !self.poll_now(process)?.is_up_to_date() {
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
                let members = sweep.members.filter(|(_, own, others)| own + others > 0);
                let members = members.map(|(key, _, others)| Change::Members {
                    key,
                    began_ms: sweep.audit.began_ms,
                    in_one_form: others == 0,
                });
                let it = &mut self.processes[process];
                it.busy = false;
                match sweep.order {
                    Some(order) => self.order(process, order, Some(&sweep.audit))?,
                    None => it.audit = Some(sweep.audit),
                }
                if let Some(change) = members {
                    let forced = false;
                    self.order(process, Order { change, forced }, None)?;
                }
                return Ok(());
            }
            sweep.counts = true;
            sweep.slot = 0;
            let known = self.processes[process].ring();
            sweep.members = known.and_then(|it| Some((it.writing?, 0, 0)));
            sweep.audit.began_ms = self.processes[process].clock(self.now);
        }
        let slot = sweep.slot;
        sweep.slot += 1;
        if let Some(seen) = self.records[slot].filter(|value| value.expires > self.now) {
            if sweep.counts {
                self.count(process, &seen, &mut sweep.audit);
                if let Some((key, own, others)) = &mut sweep.members
                    && seen.deterministic
                {
                    match seen.key == *key {
                        true => *own += 1,
                        false => *others += 1,
                    }
                }
            } else if self.may_seal(process)?
                && let Some(known) = self.processes[process].ring()
                && known.opens(self.processes[process].build, &seen)
                && let Some(new) = self.sealed(process, seen)
                && !new.is_sealed_as(&seen)
            {
                self.after(1, process, Act::Replace { slot, seen, new });
            }
        }
        self.processes[process].sweep = Some(sweep);
        let wait = self.random.between(10, 2 * MINUTE);
        self.after(wait, process, Act::Sweep);
        Ok(())
    }

    /// Counts a value. A former build takes one of version 3 for a damaged one, which names no key.
    fn count(&self, process: usize, seen: &Value, audit: &mut Audit) {
        if self.processes[process].build == Build::Former && seen.version == 3 {
            audit.unreadable += 1;
            return;
        }
        *audit.values.entry(seen.key.to_string()).or_default() += 1;
        *audit.versions.entry(seen.version.to_string()).or_default() += 1;
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
        match self.sealed(process, seen) {
            Some(now) if now.is_sealed_as(&new) => self.put(slot, now),
            _ => Ok(()),
        }
    }
}
