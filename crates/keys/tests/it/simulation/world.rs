//! The simulated world: virtual time, the place, the store, the processes, and what must hold of them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;

use futures_util::FutureExt;
use waxseal_core::KeyId;
use waxseal_keys::{Custodian, Custodians, KeyState, Ring, RingError};

use super::process::{Bytes, Opened, Process, Sweep};
use super::random::Random;
use super::rules::{DAY, HOUR, MINUTE, Rules};

pub(crate) const BEGIN: u64 = 1_800_000_000_000;
pub(crate) const SLOTS: usize = 8;
pub(crate) const ENVIRONMENT: &str = "simulation";

/// The sentence that does not hold.
pub(crate) type Broken = String;

/// A value in the store: nothing but the key that it is under.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Value {
    pub(crate) key: KeyId,
    pub(crate) written: u64,
    pub(crate) expires: u64,
}

pub(crate) enum Event {
    /// Something that a process does, in this one of its lives.
    Of(usize, u64, Act),
    Fault,
}

pub(crate) enum Act {
    Boot,
    Refresh,
    /// The document as it was read, when it was asked for.
    Answer {
        poll: u64,
        asked: u64,
        found: Option<Bytes>,
        /// Whether it was the newest there was.
        intact: bool,
    },
    Write,
    Read,
    Lead,
    Commit {
        expected: Bytes,
        next: Bytes,
        before: u64,
    },
    Sweep,
    Replace {
        slot: usize,
        seen: Value,
        new: Value,
    },
}

pub(crate) struct World {
    pub(crate) rules: Rules,
    pub(crate) random: Random,
    pub(crate) now: u64,
    queue: BTreeMap<(u64, u64), Event>,
    queued: u64,
    custodians: Custodians,
    pub(crate) custodian: [Arc<dyn Custodian>; 1],
    opened: HashMap<Bytes, Rc<Opened>>,
    pub(crate) place: Option<Bytes>,
    pub(crate) lease: Option<Vec<u8>>,
    /// All documents that lay in the place, and until when.
    pub(crate) history: Vec<(u64, Bytes)>,
    /// What lay in the place, and from when on.
    lay: Vec<(u64, Option<Rc<Opened>>)>,
    /// The newest document that was ever written.
    pub(crate) newest: Rc<Opened>,
    /// The sealing key of each version.
    sealing: HashMap<u64, KeyId>,
    /// All keys that ever sealed.
    promoted: HashSet<KeyId>,
    /// When each archived key was archived.
    archived: HashMap<KeyId, u64>,
    pub(crate) store: [Option<Value>; SLOTS],
    pub(crate) processes: Vec<Process>,
    pub(crate) faults_until: u64,
    pub(crate) seals: u64,
}

impl World {
    pub(crate) fn new(
        seed: u64,
        rules: Rules,
        custodian: &Arc<dyn Custodian>,
    ) -> Result<Self, Broken> {
        let mut random = Random::of(seed);
        let settings = rules.settings(&mut random);
        let custodian = [custodian.clone()];
        let made = Ring::create(ENVIRONMENT, settings.clone(), &custodian, &[], BEGIN);
        let made = made.now_or_never().expect("waits for nothing").unwrap();
        let custodians = Custodians::default().with(custodian[0].clone());
        let bytes = Rc::new(made.to_bytes());
        let newest = Rc::new(open(&bytes, &custodians).map_err(|error| error.to_string())?);
        let cycle = settings.every_ms.unwrap() + settings.settling_ms() + settings.retention_ms;
        let mut this = Self {
            rules,
            random,
            now: BEGIN,
            queue: BTreeMap::new(),
            queued: 0,
            custodians,
            custodian,
            opened: HashMap::new(),
            place: Some(bytes.clone()),
            lease: None,
            history: Vec::new(),
            lay: Vec::new(),
            newest,
            sealing: HashMap::new(),
            promoted: HashSet::from([made.sealing().id]),
            archived: HashMap::new(),
            store: [None; SLOTS],
            processes: Vec::new(),
            faults_until: BEGIN + cycle,
            seals: 0,
        };
        for name in 0..this.random.between(3, 8) as usize {
            let skew = this.skew(name);
            this.processes
                .push(Process::new(name, skew, this.reconnect_timeout()));
            let soon = this.random.between(0, 5 * MINUTE);
            this.after(soon, name, Act::Boot);
        }
        this.note_place();
        let first = this.random.between(0, HOUR / 2);
        this.later(first, Event::Fault);
        Ok(this)
    }

    /// How far the clock of a process is off. Of all processes the first may be far off.
    pub(crate) fn skew(&mut self, process: usize) -> i64 {
        let is_far = self.rules.far_clock && process == 0 && self.random.percent(80);
        let most = if is_far { 400 * DAY } else { self.rules.skew };
        self.random.between(0, 2 * most) as i64 - most as i64
    }

    /// How long a lease must stay unchanged to be taken over.
    pub(crate) fn reconnect_timeout(&self) -> u64 {
        6 * self.newest.ring.settings().refresh_ms
    }

    pub(crate) fn later(&mut self, wait: u64, event: Event) {
        self.queued += 1;
        self.queue.insert((self.now + wait, self.queued), event);
    }

    pub(crate) fn after(&mut self, wait: u64, process: usize, act: Act) {
        let life = self.processes[process].life;
        self.later(wait, Event::Of(process, life, act));
    }

    /// A short while, as a network takes it; now and then a long one.
    pub(crate) fn delay(&mut self) -> u64 {
        match self.random.percent(3) {
            true => self.random.between(0, 5 * MINUTE),
            false => self.random.between(1, 500),
        }
    }

    /// Runs until this time, or until the store and the ring are as asked for.
    pub(crate) fn run(&mut self, until: u64, done: &dyn Fn(&Self) -> bool) -> Result<bool, Broken> {
        while let Some(entry) = self.queue.first_entry() {
            if entry.key().0 > until {
                break;
            }
            let ((at, _), event) = entry.remove_entry();
            self.now = at;
            match event {
                Event::Fault => self.fault(),
                Event::Of(process, life, act) => self.act(process, life, act)?,
            }
            if done(self) {
                return Ok(true);
            }
        }
        self.now = until;
        Ok(false)
    }

    fn act(&mut self, process: usize, life: u64, act: Act) -> Result<(), Broken> {
        let it = &self.processes[process];
        if it.life != life || !it.alive {
            return Ok(());
        }
        if it.suspended_until > self.now {
            let wait = it.suspended_until - self.now;
            self.later(wait, Event::Of(process, life, act));
            return Ok(());
        }
        match act {
            Act::Boot => self.boot(process),
            Act::Refresh => self.refresh(process),
            Act::Answer {
                poll,
                asked,
                found,
                intact,
            } => self.answer(process, poll, (asked, intact), found),
            Act::Write => self.write(process),
            Act::Read => self.read(process),
            Act::Lead => self.lead(process),
            Act::Commit {
                expected,
                next,
                before,
            } => self.commit(process, &expected, &next, before),
            Act::Sweep => self.sweep(process),
            Act::Replace { slot, seen, new } => self.replace(process, slot, seen, new),
        }
    }

    pub(crate) fn is_cut_off(&self, process: usize) -> bool {
        self.processes[process].partitioned_until > self.now
    }

    /// Opens a document: each one once, since all open it alike.
    pub(crate) fn open(&mut self, bytes: &Bytes) -> Result<Rc<Opened>, RingError> {
        if let Some(opened) = self.opened.get(bytes) {
            return Ok(opened.clone());
        }
        let opened = Rc::new(open(bytes, &self.custodians)?);
        self.opened.insert(bytes.clone(), opened.clone());
        Ok(opened)
    }

    /// Puts a document into the place if what lies there is as expected; whether it was.
    pub(crate) fn write_document(
        &mut self,
        expected: Option<&Bytes>,
        new: &Bytes,
    ) -> Result<bool, Broken> {
        if self.place.as_ref() != expected {
            return Ok(false);
        }
        if let Some(old) = self.place.replace(new.clone()) {
            self.history.push((self.now, old));
        }
        let opened = self.open(new).map_err(|error| error.to_string())?;
        let sealing = opened.keyring.sealing_id();
        // An older document that is put back promotes nothing.
        let is_promoted = self.promoted.insert(sealing);
        if opened.ring.version() > self.newest.ring.version() {
            self.newest = opened.clone();
        }
        self.note_place();
        if is_promoted {
            self.check_promotion(sealing)?;
        }
        self.check_document(&opened)?;
        self.check_ends(&opened)?;
        Ok(true)
    }

    /// Notes what lies in the place from now on.
    pub(crate) fn note_place(&mut self) {
        let place = self.place.clone();
        let opened = place.and_then(|bytes| self.open(&bytes).ok());
        self.lay.push((self.now, opened));
    }

    /// A key seals for the first time only after it lay there for everybody to see for the whole
    /// propagation delay, but for short outages.
    fn check_promotion(&self, id: KeyId) -> Result<(), Broken> {
        let settings = self.newest.ring.settings();
        let from = self.now - settings.propagation_ms;
        let mut until = self.now;
        let (mut lost, mut outage) = (0, 0);
        for (since, opened) in self.lay.iter().rev() {
            if opened.as_ref().is_some_and(|opened| opened.holds(id)) {
                outage = 0;
            } else {
                outage += until - (*since).max(from);
            }
            lost = lost.max(outage);
            until = *since;
            if until <= from {
                break;
            }
        }
        // Who polls meanwhile puts it back, and who does not poll begins to watch anew.
        if lost <= 2 * settings.refresh_ms {
            return Ok(());
        }
        let minutes = lost / MINUTE;
        Err(format!(
            "key {id} seals, and was not to be seen for {minutes} min of the time before"
        ))
    }

    /// No key is destroyed before it was archived for as long as the settings say, by the time of the world; but
    /// for what the clocks of two leaders may differ.
    fn check_ends(&mut self, opened: &Opened) -> Result<(), Broken> {
        let rest = opened
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
                _ => {
                    self.archived.remove(&entry.id);
                    None
                }
            };
            if let Some(kept) = archived.map(|at| self.now - at).filter(|kept| *kept < rest) {
                let (id, minutes) = (entry.id, kept / MINUTE);
                return Err(format!(
                    "key {id} is destroyed {minutes} min after it was archived"
                ));
            }
        }
        Ok(())
    }

    /// Exactly one key seals, the same for all who have this version, and no value lost its key.
    fn check_document(&mut self, opened: &Opened) -> Result<(), Broken> {
        let (version, sealing) = (opened.ring.version(), opened.keyring.sealing_id());
        if opened.ring.in_state(KeyState::Sealing).count() != 1 {
            return Err(format!("version {version} has not exactly one sealing key"));
        }
        let known = *self.sealing.entry(version).or_insert(sealing);
        if known != sealing && !self.rules.place_fails {
            return Err(format!("two keys seal in version {version}"));
        }
        self.check_values("after a change of the ring")
    }

    fn check_values(&self, when: &str) -> Result<(), Broken> {
        for value in self.values() {
            if !self.newest.holds(value.key) {
                return Err(format!(
                    "{when}: a value of {} min ago needs key {}, which version {} does not hold ({})",
                    (self.now - value.written) / MINUTE,
                    value.key,
                    self.newest.ring.version(),
                    self.newest
                        .ring
                        .entry(value.key)
                        .map_or("absent".to_owned(), |entry| entry.state.to_string()),
                ));
            }
        }
        Ok(())
    }

    /// Values that have not expired.
    fn values(&self) -> impl Iterator<Item = &Value> {
        let values = self.store.iter().flatten();
        values.filter(|value| value.expires > self.now)
    }

    /// What a process knows after it has polled opens everything, and is never older than before.
    pub(crate) fn check_process(&mut self, process: usize) -> Result<(), Broken> {
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
        match self.values().find(|value| !known.holds(value.key)) {
            None => Ok(()),
            Some(value) => Err(format!(
                "process {process} with version {version} does not open a value under {}",
                value.key
            )),
        }
    }

    pub(crate) fn is_intact(&self) -> bool {
        self.place.as_ref() == Some(&self.newest.bytes)
    }

    /// Whether a process has read the newest document within the refresh bound. What it reads while the
    /// place has lost that one does not count: nobody can learn from it.
    fn is_fresh(&self, process: usize) -> bool {
        let bound = 2 * self.newest.ring.settings().refresh_ms;
        let refreshed = self.processes[process].refreshed;
        refreshed.is_some_and(|at| self.now - at <= bound)
    }

    /// Puts a value into the store: all who polled at the document lately open it at once.
    pub(crate) fn put(&mut self, slot: usize, value: Value) -> Result<(), Broken> {
        self.store[slot] = Some(value);
        self.check_values("after a write")?;
        for (name, it) in self.processes.iter().enumerate() {
            if let Some(known) = it.ring().filter(|_| self.is_fresh(name))
                && !known.holds(value.key)
            {
                return Err(format!(
                    "process {name} (version {}) cannot open at once what is written under {} \
                     (newest version {})",
                    known.ring.version(),
                    value.key,
                    self.newest.ring.version()
                ));
            }
        }
        Ok(())
    }

    pub(crate) fn begin_sweep(&mut self, process: usize) {
        self.processes[process].sweep = Some(Sweep {
            counts: false,
            slot: 0,
            audit: waxseal_keys::rotation::Audit::default(),
        });
        self.after(1, process, Act::Sweep);
    }
}

fn open(bytes: &Bytes, custodians: &Custodians) -> Result<Opened, RingError> {
    let ring = Ring::open(bytes, "place", ENVIRONMENT, custodians, None);
    let ring = ring.now_or_never().expect("waits for nothing")?;
    Ok(Opened {
        keyring: ring.keyring()?,
        ring,
        bytes: bytes.clone(),
    })
}
