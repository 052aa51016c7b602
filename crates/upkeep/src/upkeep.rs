//! The upkeep of a ring: every process reports what it has sealed, one of them leads, and the leader
//! carries out the steps that are due. Any of them may die at any point; another goes on.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tracing::{error, info, warn};
use waxseal_core::{Format, KeyId, Mode, Sealer};
use waxseal_keys::rotation::{self, Audit, Facts, RotationPlan, Step};
use waxseal_keys::{Change, ChangeError, LiveRing, ProtectedScope, RingError, UserKeys};
use waxseal_stores::{RecordPattern, RecordStore};
use waxseal_sweep::{Class, Event, Keys, Position, Rotate, Stop, Sweep, SweepOptions, Tally, Task};

use crate::error::UpkeepError;
use crate::leader::Leader;
use crate::scope::ScopeHandle;

/// The records that hold the keys of users.
const USER_KEYS: &str = "waxseal:user:*";
/// The records that hold values in quarantine.
const QUARANTINE: &str = "waxseal:quarantine:*";
/// Steps that one call carries out at most: a ring of a thousand old keys is put in order in one go,
/// and an error in the decision does not run for ever.
const MAX_STEPS: usize = 10_000;
/// For so many looks a leader that failed stands aside for others.
const BACKOFF_INTERVALS: u32 = 3;
/// Findings of one pass that are told one by one: a pass is taken again and again.
const MAX_LOGGED_FINDINGS: u64 = 20;
/// Between two times that trouble which lasts is told.
const LOG_INTERVAL: Duration = Duration::from_secs(300);

/// The id that a process gives itself: random.
#[must_use]
pub fn process_id() -> String {
    format!("{}{}", KeyId::random(), KeyId::random())
}

/// The upkeep of a ring and of all records that are sealed under it.
#[derive(Clone)]
pub struct Upkeep {
    ring: LiveRing,
    /// The id that this process gives itself.
    process: String,
    /// What it is: `proxy`, `keeper`, `library`.
    what: &'static str,
    scopes: Vec<ScopeHandle>,
    /// Waxseal's own records that are sealed under the ring.
    own: Vec<(Arc<dyn RecordStore>, RecordPattern)>,
    /// Where the keys of users are.
    user_keys: Option<Arc<dyn RecordStore>>,
    options: SweepOptions,
}

/// What upkeep tells while it works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RotationEvent {
    /// A step begins.
    StepStarted(Step),
    /// It is done.
    StepDone(Step),
    /// Records were gone through: what was brought under the sealing key, and what an audit found then.
    Swept {
        /// The counts of the pass that resealed.
        resealed: Box<Tally>,
        /// What is under which key.
        audit: Audit,
    },
}

/// What the leader has seen so far.
#[derive(Default)]
struct Seen {
    /// Only an audit of one's own is believed: reports can be written by others.
    audit: Option<Audit>,
}

impl Upkeep {
    /// The upkeep by this process. All records that are sealed under the ring should be among the
    /// scopes: keys are not retired before all of them were looked at.
    pub fn new(
        ring: LiveRing,
        what: &'static str,
        scopes: Vec<ScopeHandle>,
        user_keys: Option<(UserKeys, Arc<dyn RecordStore>)>,
    ) -> Result<Self, UpkeepError> {
        let scopes = ScopeHandle::resolve(scopes);
        let mut own = Vec::new();
        for scope in &scopes {
            let location = scope.store.location();
            let is_new = |(store, _): &(Arc<dyn RecordStore>, _)| store.location() != location;
            if own.iter().all(is_new) {
                own.push((
                    scope.store.clone(),
                    RecordPattern::of_own("waxseal:canary")?,
                ));
            }
        }
        let user_keys = user_keys.map(|(_, store)| store);
        if let Some(store) = &user_keys {
            own.push((store.clone(), RecordPattern::of_own(USER_KEYS)?));
        }
        Ok(Self {
            ring,
            process: process_id(),
            what,
            scopes,
            own,
            user_keys,
            options: SweepOptions::default(),
        })
    }

    /// How its sweeps go about their work.
    #[must_use]
    pub fn options(mut self, options: SweepOptions) -> Self {
        self.options = options;
        self
    }

    /// The ring.
    #[must_use]
    pub fn ring(&self) -> &LiveRing {
        &self.ring
    }

    /// The id that this process gave itself.
    #[must_use]
    pub fn process(&self) -> &str {
        &self.process
    }

    /// Makes known which records this process protects, so that no leader retires a key without
    /// having looked at them.
    pub async fn register(&self) -> Result<(), UpkeepError> {
        let mut protected_scopes: Vec<_> = self
            .scopes
            .iter()
            .map(ScopeHandle::protected_scope)
            .collect();
        if self.scopes.iter().any(|scope| scope.users.is_some()) {
            protected_scopes.extend(self.user_keys.as_ref().map(user_key_scope));
        }
        let ring = self.ring.ring();
        if protected_scopes
            .iter()
            .all(|it| ring.protected_scopes().contains(it))
        {
            return Ok(());
        }
        self.ring
            .change(&Change::Register(protected_scopes))
            .await?;
        Ok(())
    }

    /// Reports, and leads whenever nobody else does, until told to stop.
    pub async fn run(&self, stop: &Stop) {
        tokio::join!(self.keep_reporting(stop), self.keep_leading(stop));
    }

    /// Reports only, until told to stop: for a process beside others that lead.
    pub async fn follow(&self, stop: &Stop) {
        self.keep_reporting(stop).await;
    }

    /// Carries out all that is due, as the leader, once. With `begin` a new key is published even if
    /// none is due. [`UpkeepError::Led`] where another process leads and keeps leading.
    pub async fn once(
        &self,
        begin: bool,
        stop: &Stop,
        told: &mut (dyn FnMut(&RotationEvent) + Send),
    ) -> Result<RotationPlan, UpkeepError> {
        self.ring.refresh().await?;
        self.ring.check_clock().await?;
        let mut leader = Leader::new(self.ring.clone(), &self.process);
        let deadline = Instant::now() + leader.interval() * 8;
        loop {
            match leader.poll().await? {
                Ok(token) => {
                    let working = self.once_as_leader(token, begin, stop, told);
                    let done = tokio::select! {
                        done = working => done,
                        other = leader.keep() => Err(UpkeepError::Led(other)),
                    };
                    leader.release().await;
                    return done;
                }
                Err(other) if Instant::now() >= deadline => return Err(UpkeepError::Led(other)),
                Err(_) => wait(leader.interval(), stop).await?,
            }
        }
    }

    async fn once_as_leader(
        &self,
        token: u64,
        begin: bool,
        stop: &Stop,
        told: &mut (dyn FnMut(&RotationEvent) + Send),
    ) -> Result<RotationPlan, UpkeepError> {
        let mut seen = Seen::default();
        if begin {
            let step = Step::Add(self.ring.ring().sealing().id);
            self.step(step, token, &mut seen, stop, told).await?;
        }
        for _ in 0..MAX_STEPS {
            let plan = self.plan(&mut seen, false).await?;
            let Some(step) = plan.due else {
                return Ok(plan);
            };
            self.step(step, token, &mut seen, stop, told).await?;
        }
        self.plan(&mut seen, false).await
    }

    async fn keep_reporting(&self, stop: &Stop) {
        let mut trouble = Trouble::default();
        while !stop.is_stopped() {
            let reported = self.ring.report(&self.process, self.what).await;
            let mut outcome = reported.map_err(UpkeepError::from);
            if outcome.is_ok() {
                // Each time: a place that loses a write may lose this one.
                outcome = self.register().await;
            }
            if let Err(error) = outcome {
                trouble.tell("the keyring cannot be reported to", &error);
            }
            let pause = self.ring.ring().settings().refresh();
            if wait(pause, stop).await.is_err() {
                return;
            }
        }
    }

    async fn keep_leading(&self, stop: &Stop) {
        let mut leader = Leader::new(self.ring.clone(), &self.process);
        let mut trouble = Trouble::default();
        let mut seen = Seen::default();
        let mut leads = false;
        while !stop.is_stopped() {
            // A wrong clock decides nothing, and must not keep others from leading.
            if let Err(error @ RingError::Change(ChangeError::Clock { .. })) =
                self.ring.check_clock().await
            {
                trouble.tell("the rotation of the keyring is held up", &error.into());
                leader.release().await;
                leads = false;
                if wait(leader.interval() * BACKOFF_INTERVALS, stop)
                    .await
                    .is_err()
                {
                    break;
                }
                continue;
            }
            match leader.poll().await {
                Ok(Ok(token)) => {
                    if !leads {
                        info!("leading the rotation of the keyring");
                        leads = true;
                        // What was found in an earlier time at the head says nothing any more.
                        seen.audit = None;
                    }
                    let outcome = tokio::select! {
                        outcome = self.one_step(token, &mut seen, stop) => outcome,
                        other = leader.keep() => Err(UpkeepError::Led(other)),
                    };
                    match outcome {
                        Ok(true) => continue,
                        Ok(false) | Err(UpkeepError::Stopped) => {}
                        Err(error) => {
                            trouble.tell("the rotation of the keyring is held up", &error);
                            // Another one may have what this one lacks: a custodian, a newer version.
                            leader.release().await;
                            leads = false;
                            if wait(leader.interval() * BACKOFF_INTERVALS, stop)
                                .await
                                .is_err()
                            {
                                break;
                            }
                        }
                    }
                }
                Ok(Err(_)) => leads = false,
                Err(error) => trouble.tell("the rotation of the keyring is held up", &error.into()),
            }
            if wait(leader.interval(), stop).await.is_err() {
                break;
            }
        }
        leader.release().await;
    }

    /// Carries out the step that is due; whether there was one.
    async fn one_step(
        &self,
        token: u64,
        seen: &mut Seen,
        stop: &Stop,
    ) -> Result<bool, UpkeepError> {
        let plan = self.plan(seen, true).await?;
        let Some(step) = plan.due else {
            return Ok(false);
        };
        self.step(step, token, seen, stop, &mut |_| {}).await?;
        Ok(true)
    }

    /// What is to be done about the ring as it is now.
    async fn plan(&self, seen: &mut Seen, watched: bool) -> Result<RotationPlan, UpkeepError> {
        let ring = self.ring.refresh().await?;
        let reports = self.ring.reports().await?;
        let pending_watched = self.ring.pending_watched().unwrap_or_default();
        Ok(rotation::plan(
            &ring,
            &Facts {
                now_ms: self.ring.now_ms(),
                seals: reports.seals(ring.sealing().id),
                pending_watched: watched.then_some(pending_watched),
                audit: seen.audit.as_ref(),
            },
        ))
    }

    async fn step(
        &self,
        step: Step,
        token: u64,
        seen: &mut Seen,
        stop: &Stop,
        told: &mut (dyn FnMut(&RotationEvent) + Send),
    ) -> Result<(), UpkeepError> {
        told(&RotationEvent::StepStarted(step));
        let change = match step {
            Step::Add(instead_of) => Change::Add { instead_of },
            Step::Promote(id) => Change::Promote { id, at_once: false },
            Step::Archive(id) => Change::Archive(id),
            Step::Destroy(id) => Change::Destroy(id),
            Step::Sweep => {
                let (resealed, audit) = self.sweep(stop).await?;
                info!(
                    "{} values were brought under key {}",
                    resealed.done,
                    self.ring.ring().sealing().id
                );
                self.ring.report_audit(&audit).await?;
                seen.audit = Some(audit.clone());
                told(&RotationEvent::Swept {
                    resealed: Box::new(resealed),
                    audit,
                });
                told(&RotationEvent::StepDone(step));
                return Ok(());
            }
        };
        let ring = self.ring.change_as_leader(&change, token).await?;
        let version = ring.version();
        match step {
            Step::Add(_) => {
                if let Some(pending) = rotation::next_to_seal(&ring) {
                    info!("keyring version {version}: key {} is pending", pending.id);
                }
            }
            Step::Promote(id) => info!("keyring version {version}: key {id} seals"),
            Step::Archive(id) => info!("keyring version {version}: key {id} is archived"),
            Step::Destroy(id) => info!("keyring version {version}: key {id} is destroyed"),
            Step::Sweep => {}
        }
        told(&RotationEvent::StepDone(step));
        Ok(())
    }

    /// Brings everything under the sealing key, then counts what is under which.
    pub async fn sweep(&self, stop: &Stop) -> Result<(Tally, Audit), UpkeepError> {
        let mut resealed = Tally::default();
        for pass in self.passes() {
            let rotate = Arc::new(Rotate::new(pass.sealer.clone()));
            resealed.add(self.pass(&pass, rotate, false, stop).await?);
        }
        let mut audit = self.audit(stop).await?;
        for (&(class, _), group) in &resealed.groups {
            if let Class::Classic(id) | Class::Sealed(id) = class
                && id != self.ring.ring().sealing().id
            {
                *audit.resealed.entry(id.to_string()).or_default() += group.values;
            }
        }
        Ok((resealed, audit))
    }

    /// Counts what is under which key, and writes nothing to the records.
    pub async fn audit(&self, stop: &Stop) -> Result<Audit, UpkeepError> {
        let mut audit = Audit {
            began_ms: self.ring.now_ms(),
            ..Audit::default()
        };
        for pass in self.passes() {
            let counting = Arc::new(waxseal_sweep::Audit::new(pass.sealer.clone(), false));
            let tally = self.pass(&pass, counting, true, stop).await?;
            audit.unseen += tally.unseen;
            audit.classic |= pass.sealer.written_format() == Format::Classic;
            for (&(class, _), group) in &tally.groups {
                match class {
                    Class::Classic(id) | Class::Sealed(id) | Class::UnknownKey(id) => {
                        audit.classic |= matches!(class, Class::Classic(_));
                        *audit.values.entry(id.to_string()).or_default() += group.values;
                    }
                    Class::Unopenable => audit.unreadable += group.values,
                    Class::Empty | Class::Plain | Class::OfUser | Class::Erased => {}
                }
            }
        }
        // Last: what was moved there meanwhile is counted twice rather than not at all.
        self.count_quarantined(&mut audit, stop).await?;
        let mut ours: Vec<_> = self
            .scopes
            .iter()
            .map(ScopeHandle::protected_scope)
            .collect();
        ours.extend(self.user_keys.as_ref().map(user_key_scope));
        let ring = self.ring.ring();
        let others = ring
            .protected_scopes()
            .iter()
            .filter(|it| !ours.contains(it));
        audit.uncovered = others.cloned().collect();
        Ok(audit)
    }

    /// Counts what is in quarantine, in each store of protected records.
    async fn count_quarantined(&self, audit: &mut Audit, stop: &Stop) -> Result<(), UpkeepError> {
        let mut counted = Vec::new();
        for scope in &self.scopes {
            let location = scope.store.location();
            if counted.contains(&location) {
                continue;
            }
            counted.push(location);
            let sealer = Sealer::new(self.ring.keyring(), Mode::On, Format::Sealed);
            let quarantine = ScopeHandle {
                store: scope.store.clone(),
                pattern: RecordPattern::of_own(QUARANTINE)?,
                sealer: sealer.clone(),
                users: None,
            };
            let counting = Arc::new(waxseal_sweep::AuditQuarantine::new(sealer));
            let tally = self.pass(&quarantine, counting, true, stop).await?;
            // What could not be read may be under any key.
            audit.unseen += tally.unseen;
            for (&(class, _), group) in &tally.groups {
                match class {
                    Class::Classic(id) | Class::Sealed(id) | Class::UnknownKey(id) => {
                        *audit.quarantined.entry(id.to_string()).or_default() += group.values;
                    }
                    Class::Unopenable => audit.unreadable += group.values,
                    Class::Empty | Class::Plain | Class::OfUser | Class::Erased => {}
                }
            }
        }
        Ok(())
    }

    /// The protected records, then Waxseal's own: the canary follows the last of them.
    fn passes(&self) -> Vec<ScopeHandle> {
        let own = self.own.iter().map(|(store, pattern)| ScopeHandle {
            store: store.clone(),
            pattern: pattern.clone(),
            sealer: Sealer::new(self.ring.keyring(), Mode::On, Format::Sealed),
            users: None,
        });
        self.scopes.iter().cloned().chain(own).collect()
    }

    async fn pass(
        &self,
        scope: &ScopeHandle,
        task: Arc<dyn Task>,
        dry_run: bool,
        stop: &Stop,
    ) -> Result<Tally, UpkeepError> {
        let sweep = Sweep {
            store: scope.store.clone(),
            pattern: scope.pattern.clone(),
            task,
            mask: self.ring.ring().mask().clone(),
            keys: Keys {
                ring: Some(self.ring.clone()),
                users: scope.users.clone(),
            },
            options: SweepOptions {
                dry_run,
                ..self.options.clone()
            },
        };
        let mut found = 0u64;
        let mut watch = |event: Event<'_>| {
            if let Event::Finding(finding) = event {
                found += 1;
                if found <= MAX_LOGGED_FINDINGS {
                    warn!(record = %finding.record, cause = %finding.cause, "left as it is");
                }
            }
        };
        let report = sweep.run(Position::default(), stop, &mut watch).await;
        if found > MAX_LOGGED_FINDINGS {
            let more = found - MAX_LOGGED_FINDINGS;
            warn!("{more} more records were left as they are: waxseal audit counts them");
        }
        let report = report.map_err(|interrupted| interrupted.error)?;
        if !report.complete {
            return Err(UpkeepError::Stopped);
        }
        Ok(report.position.counts())
    }
}

/// How the ring remembers a store of users' keys: they are under it, wherever the records are.
#[must_use]
pub fn user_key_scope(store: &Arc<dyn RecordStore>) -> ProtectedScope {
    ProtectedScope {
        store: store.location(),
        records: USER_KEYS.to_owned(),
    }
}

/// Trouble that is told when it begins, and now and then while it lasts.
#[derive(Default)]
struct Trouble(Option<(String, Instant)>);

impl Trouble {
    fn tell(&mut self, what: &str, error: &UpkeepError) {
        // Another one leads now: nothing is wrong with that.
        let led = matches!(
            error,
            UpkeepError::Led(_) | UpkeepError::Ring(RingError::Change(ChangeError::Fenced))
        );
        if led {
            info!("another process leads the rotation of the keyring");
            return;
        }
        let text = error.to_string();
        let told = self.0.as_ref();
        if told.is_none_or(|(last, at)| *last != text || at.elapsed() >= LOG_INTERVAL) {
            error!("{what}: {text}");
            self.0 = Some((text, Instant::now()));
        }
    }
}

/// Waits for so long, or until told to stop: then the error.
async fn wait(span: Duration, stop: &Stop) -> Result<(), UpkeepError> {
    const LOOK_EVERY: Duration = Duration::from_millis(50);
    let until = Instant::now() + span;
    while !stop.is_stopped() {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        sleep(left.min(LOOK_EVERY)).await;
    }
    Err(UpkeepError::Stopped)
}
