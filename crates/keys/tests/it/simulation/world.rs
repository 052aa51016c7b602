//! The simulated world: virtual time, the document, the records, the processes, and the invariants.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;

use futures_util::FutureExt;
use waxseal_core::KeyId;
use waxseal_keys::{Custodian, Custodians, DocumentError, Reports, Ring, RingError};

use super::opened::{Bytes, OpenedRing, Value, scope};
use super::operator::{Goal, Order};
use super::orders;
use super::process::{Build, Process, Sweep};
use super::promises::Promise;
use super::random::Random;
use super::rules::{DAY, HOUR, MINUTE, Rules};

pub(crate) const BEGIN: u64 = 1_800_000_000_000;
pub(crate) const SLOTS: usize = 8;
pub(crate) const ENVIRONMENT: &str = "simulation";

/// A description of the violated invariant.
pub(crate) type Violation = String;

pub(crate) enum Event {
    /// An action of a process, in this one of its lives.
    Process(usize, u64, Act),
    Fault,
    /// The operator checks what to do next.
    Operator,
}

pub(crate) enum Act {
    Boot,
    Refresh,
    /// The answer to a read of the document at the time `asked`.
    Answer {
        poll: u64,
        asked: u64,
        found: Option<Bytes>,
        /// True if it was the newest document.
        intact: bool,
    },
    Write,
    Read,
    Report,
    Lead,
    Commit {
        expected: Bytes,
        next: Bytes,
        before: u64,
    },
    /// A change by the operator, decided at the time `asked`.
    Order {
        order: Order,
        expected: Bytes,
        next: Bytes,
        asked: u64,
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
    opened: HashMap<Bytes, Rc<OpenedRing>>,
    pub(crate) document: Option<Bytes>,
    pub(crate) lease: Option<Vec<u8>>,
    /// All previous documents of the store, with the time of their replacement.
    pub(crate) history: Vec<(u64, Bytes)>,
    /// The content of the document store, with the time from which it was there.
    pub(super) timeline: Vec<(u64, Option<Rc<OpenedRing>>)>,
    /// The newest document that was ever written.
    pub(crate) newest: Rc<OpenedRing>,
    /// The sealing key of each version.
    pub(super) sealing: HashMap<u64, KeyId>,
    /// All keys that ever sealed.
    pub(super) promoted: HashSet<KeyId>,
    /// The time at which each archived key was archived.
    pub(super) archived: HashMap<KeyId, u64>,
    pub(crate) records: [Option<Value>; SLOTS],
    pub(crate) processes: Vec<Process>,
    pub(crate) reports: Reports,
    pub(crate) goal: Goal,
    /// The last order of version 3 that was carried out, and whether it was forced.
    pub(crate) promise: Option<Promise>,
    /// The last document of format 1 that was converted.
    pub(super) unconverted: Option<Rc<OpenedRing>>,
    /// All index keys of all documents.
    pub(super) index_keys: HashSet<KeyId>,
    /// `accept` was raised by force: until then, values of older versions may be refused.
    pub(crate) accept_forced_until: u64,
    pub(crate) faults_until: u64,
    pub(crate) seals: u64,
}

impl World {
    pub(crate) fn new(
        seed: u64,
        rules: Rules,
        custodian: &Arc<dyn Custodian>,
    ) -> Result<Self, Violation> {
        let mut random = Random::from_seed(seed);
        let settings = rules.settings(&mut random);
        let custodian = [custodian.clone()];
        let ring = Ring::create(ENVIRONMENT, settings.clone(), &custodian, &[], BEGIN);
        let ring = ring.now_or_never().expect("does not wait").unwrap();
        let ring = ring.with_protected_scopes(&[scope()]).unwrap().unwrap();
        let newest = orders::prepared(ring, &custodian, rules, &mut random);
        let newest = Rc::new(newest.map_err(|error| error.to_string())?);
        let is_mixed = rules.operator && newest.format == 1 && random.percent(70);
        let custodians = Custodians::default().with(custodian[0].clone());
        let cycle = settings.every_ms.unwrap() + settings.settling_ms() + settings.retention_ms;
        let goal = match !rules.operator || random.percent(75) {
            true => Goal::Version3,
            false => Goal::FormerBuilds,
        };
        let mut this = Self {
            rules,
            random,
            now: BEGIN,
            queue: BTreeMap::new(),
            queued: 0,
            custodians,
            custodian,
            opened: HashMap::new(),
            document: Some(newest.bytes.clone()),
            lease: None,
            history: Vec::new(),
            timeline: Vec::new(),
            sealing: HashMap::new(),
            promoted: HashSet::from([newest.ring.sealing().id]),
            archived: HashMap::new(),
            records: [None; SLOTS],
            processes: Vec::new(),
            reports: Reports::default(),
            newest,
            goal,
            promise: None,
            unconverted: None,
            index_keys: HashSet::new(),
            accept_forced_until: 0,
            faults_until: BEGIN + cycle,
            seals: 0,
        };
        for name in 0..this.random.between(3, 8) as usize {
            let skew = this.skew(name);
            let build = match is_mixed && this.random.percent(60) {
                true => Build::Former,
                false => Build::Current,
            };
            this.processes
                .push(Process::new(name, build, skew, this.takeover_timeout()));
            let soon = this.random.between(0, 5 * MINUTE);
            this.after(soon, name, Act::Boot);
        }
        this.record_document();
        let first = this.random.between(0, HOUR / 2);
        this.later(first, Event::Fault);
        if rules.operator {
            let first = this.random.between(0, HOUR);
            this.later(first, Event::Operator);
        }
        Ok(this)
    }

    /// The error of the clock of a process. Only that of the first process may be large.
    pub(crate) fn skew(&mut self, process: usize) -> i64 {
        let is_far = self.rules.far_clock && process == 0 && self.random.percent(80);
        let max = if is_far { 400 * DAY } else { self.rules.skew };
        self.random.between(0, 2 * max) as i64 - max as i64
    }

    /// The time for which a lease must stay unchanged to be taken over.
    pub(crate) fn takeover_timeout(&self) -> u64 {
        6 * self.newest.ring.settings().refresh_ms
    }

    pub(crate) fn later(&mut self, wait: u64, event: Event) {
        self.queued += 1;
        self.queue.insert((self.now + wait, self.queued), event);
    }

    pub(crate) fn after(&mut self, wait: u64, process: usize, act: Act) {
        let life = self.processes[process].life;
        self.later(wait, Event::Process(process, life, act));
    }

    /// A network delay: usually short, now and then long.
    pub(crate) fn delay(&mut self) -> u64 {
        match self.random.percent(3) {
            true => self.random.between(0, 5 * MINUTE),
            false => self.random.between(1, 500),
        }
    }

    /// Runs until this time, or until `done` returns true.
    pub(crate) fn run(
        &mut self,
        until: u64,
        done: &dyn Fn(&Self) -> bool,
    ) -> Result<bool, Violation> {
        while let Some(entry) = self.queue.first_entry() {
            if entry.key().0 > until {
                break;
            }
            let ((at, _), event) = entry.remove_entry();
            self.now = at;
            match event {
                Event::Fault => self.fault(),
                Event::Operator => self.operate()?,
                Event::Process(process, life, act) => self.act(process, life, act)?,
            }
            if done(self) {
                return Ok(true);
            }
        }
        self.now = until;
        Ok(false)
    }

    fn act(&mut self, process: usize, life: u64, act: Act) -> Result<(), Violation> {
        let it = &self.processes[process];
        if it.life != life || !it.alive {
            return Ok(());
        }
        if it.suspended_until > self.now {
            let wait = it.suspended_until - self.now;
            self.later(wait, Event::Process(process, life, act));
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
            Act::Report => {
                self.report(process);
                Ok(())
            }
            Act::Lead => self.lead(process),
            Act::Commit {
                expected,
                next,
                before,
            } => self.commit(process, &expected, &next, before),
            Act::Order {
                order,
                expected,
                next,
                asked,
            } => self.carry_out(process, order, (&expected, &next), asked),
            Act::Sweep => self.sweep(process),
            Act::Replace { slot, seen, new } => self.replace(process, slot, seen, new),
        }
    }

    pub(crate) fn is_cut_off(&self, process: usize) -> bool {
        self.processes[process].partitioned_until > self.now
    }

    /// Opens a document: each one once, as the result is the same for all processes.
    pub(crate) fn open(&mut self, bytes: &Bytes) -> Result<Rc<OpenedRing>, RingError> {
        // Looked at first: to find any other one takes the hash of all its bytes.
        if Rc::ptr_eq(bytes, &self.newest.bytes) {
            return Ok(self.newest.clone());
        }
        if let Some(opened) = self.opened.get(bytes) {
            return Ok(opened.clone());
        }
        let opened = Rc::new(open(bytes, &self.custodians, &self.newest.ring)?);
        self.opened.insert(bytes.clone(), opened.clone());
        Ok(opened)
    }

    /// Opens a document as a process does: a former build refuses formats that it does not know.
    pub(crate) fn open_by(
        &mut self,
        process: usize,
        bytes: &Bytes,
    ) -> Result<Rc<OpenedRing>, RingError> {
        let opened = self.open(bytes)?;
        if self.processes[process].build == Build::Former && opened.format != 1 {
            return Err(RingError::Document {
                location: ENVIRONMENT.to_owned(),
                error: DocumentError::Format(u32::from(opened.format)),
            });
        }
        Ok(opened)
    }

    /// Writes the document if it is still as expected. Returns true if it was. `order`: what an operator wants, and
    /// when the operator decided it.
    pub(crate) fn write_document(
        &mut self,
        process: usize,
        order: Option<(Order, u64)>,
        expected: Option<&Bytes>,
        new: &Bytes,
    ) -> Result<bool, Violation> {
        if self.document.as_ref() != expected {
            return Ok(false);
        }
        let opened = self.open(new).map_err(|error| error.to_string())?;
        if let Some(old) = self.document.replace(new.clone()) {
            self.check_replacement(process, order.is_some(), &old, &opened)?;
            self.history.push((self.now, old));
        }
        self.index_keys.extend(&opened.index_keys);
        let sealing = opened.keyring.sealing_id();
        // An older document that is restored promotes nothing.
        let is_promoted = self.promoted.insert(sealing);
        // Of two documents with one version, the one in the store counts.
        if opened.ring.version() >= self.newest.ring.version() {
            self.newest = opened.clone();
        }
        if let Some((order, asked)) = order {
            self.note_order(order, asked)?;
        }
        self.record_document();
        if is_promoted {
            self.check_promotion(sealing)?;
        }
        self.check_document(&opened)?;
        self.check_destruction(&opened)?;
        Ok(true)
    }

    /// Adds the present document to the timeline.
    pub(crate) fn record_document(&mut self) {
        let document = self.document.clone();
        let opened = document.and_then(|bytes| self.open(&bytes).ok());
        self.timeline.push((self.now, opened));
    }

    pub(crate) fn is_intact(&self) -> bool {
        self.document.as_ref() == Some(&self.newest.bytes)
    }

    /// Begins a sweep. `order`: the change that an operator makes afterwards.
    pub(crate) fn begin_sweep(&mut self, process: usize, order: Option<Order>) {
        self.processes[process].busy = true;
        self.processes[process].sweep = Some(Sweep {
            counts: false,
            slot: 0,
            audit: waxseal_keys::rotation::Audit::default(),
            members: None,
            order,
        });
        self.after(1, process, Act::Sweep);
    }
}

/// Opens a document. The keys of a known ring are not unwrapped again: that takes most of the time.
fn open(bytes: &Bytes, custodians: &Custodians, known: &Ring) -> Result<OpenedRing, RingError> {
    let ring = Ring::open(bytes, ENVIRONMENT, ENVIRONMENT, custodians, Some(known));
    let ring = ring.now_or_never().expect("does not wait")?;
    OpenedRing::new(ring, bytes.clone())
}
