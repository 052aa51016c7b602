//! The leader's work: decide which step of the rotation is due, carry it out, and tell those who watch. The order of
//! the steps and their conditions are decided in `waxseal_keys::rotation`.

use tokio::time::Instant;
use tracing::info;
use waxseal_keys::rotation::{self, Audit, Facts, RotationPlan, Step};
use waxseal_keys::{Change, ChangeError, Ring, RingError};
use waxseal_sweep::{Stop, Tally};

use super::{LastError, Upkeep, wait};
use crate::error::UpkeepError;
use crate::leader::{Leader, Leadership};

/// The largest number of steps of one call: enough for a ring with a thousand old keys, and a bound if the decision
/// is wrong.
const MAX_STEPS: usize = 10_000;
/// After a failure a leader leaves the lease to others for this many intervals.
const BACKOFF_INTERVALS: u32 = 3;
/// The number of intervals that `once` waits for the lease while another process holds it.
const LEASE_INTERVALS: u32 = 8;
/// The beginning of the log line about a step that failed.
const HELD_UP: &str = "the rotation of the keyring is held up";

/// Progress of a rotation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RotationEvent {
    /// A step begins.
    StepStarted(Step),
    /// A step is done.
    StepDone(Step),
    /// A sweep and the audit after it are done.
    Swept {
        /// The counts of the pass that resealed.
        resealed: Box<Tally>,
        /// The values under each key.
        audit: Box<Audit>,
    },
}

/// The evidence of a leader about the records.
#[derive(Default)]
struct Evidence {
    /// The last audit of this process. Audits in reports are not evidence: other processes can write those.
    audit: Option<Audit>,
}

/// The result of one check for a due step.
enum Checked {
    StepDone,
    NothingDue,
}

impl Upkeep {
    /// Carries out all steps that are due, as the leader, once. With `begin` a new key is published even if none is
    /// due. Returns [`UpkeepError::Led`] if another process leads and keeps the lease.
    pub async fn once(
        &self,
        begin: bool,
        stop: &Stop,
        watch: &mut (dyn FnMut(&RotationEvent) + Send),
    ) -> Result<RotationPlan, UpkeepError> {
        self.ring.refresh().await?;
        self.ring.check_clock().await?;
        let mut leader = Leader::new(self.ring.clone(), &self.process);
        let deadline = Instant::now() + leader.interval() * LEASE_INTERVALS;
        loop {
            match leader.poll().await? {
                Leadership::Leader { token } => {
                    let work = self.all_steps(token, begin, stop, watch);
                    let done = tokio::select! {
                        done = work => done,
                        other = leader.hold() => Err(UpkeepError::Led(other)),
                    };
                    leader.release().await;
                    return done;
                }
                Leadership::Follower { leader: other } if Instant::now() >= deadline => {
                    return Err(UpkeepError::Led(other));
                }
                Leadership::Follower { .. } => wait(leader.interval(), stop).await?,
            }
        }
    }

    async fn all_steps(
        &self,
        token: u64,
        begin: bool,
        stop: &Stop,
        watch: &mut (dyn FnMut(&RotationEvent) + Send),
    ) -> Result<RotationPlan, UpkeepError> {
        let mut evidence = Evidence::default();
        if begin {
            let step = Step::Add(self.ring.ring().sealing().id);
            self.step(step, token, &mut evidence, stop, watch).await?;
        }
        for _ in 0..MAX_STEPS {
            let plan = self.plan(&evidence, false).await?;
            let Some(step) = plan.due else {
                return Ok(plan);
            };
            self.step(step, token, &mut evidence, stop, watch).await?;
        }
        self.plan(&evidence, false).await
    }

    /// Leads whenever no other process does, until told to stop.
    ///
    /// In each round: check the clock, poll the lease, and as the leader carry out one step while the lease is
    /// renewed beside it. A leader that fails releases the lease and stands back for a few intervals, since another
    /// process may have what this one lacks: a reachable custodian, or a newer version.
    pub(super) async fn lead(&self, stop: &Stop) {
        let mut leader = Leader::new(self.ring.clone(), &self.process);
        let mut last_error = LastError::default();
        let mut evidence = Evidence::default();
        let mut leads = false;
        while !stop.is_stopped() {
            // A process with a wrong clock decides nothing, and must not keep others from leading.
            let clock = self.ring.check_clock().await;
            if let Err(error @ RingError::Change(ChangeError::Clock { .. })) = clock {
                last_error.log(HELD_UP, &error.into());
                leads = false;
                if self.stand_back(&mut leader, stop).await.is_err() {
                    break;
                }
                continue;
            }
            match leader.poll().await {
                Ok(Leadership::Leader { token }) => {
                    if !leads {
                        info!("leading the rotation of the keyring");
                        leads = true;
                        // Records may have changed while another process led.
                        evidence.audit = None;
                    }
                    let checked = tokio::select! {
                        checked = self.one_step(token, &mut evidence, stop) => checked,
                        other = leader.hold() => Err(UpkeepError::Led(other)),
                    };
                    match checked {
                        Ok(Checked::StepDone) => continue,
                        Ok(Checked::NothingDue) | Err(UpkeepError::Stopped) => {}
                        Err(error) => {
                            last_error.log(HELD_UP, &error);
                            leads = false;
                            if self.stand_back(&mut leader, stop).await.is_err() {
                                break;
                            }
                        }
                    }
                }
                Ok(Leadership::Follower { .. }) => leads = false,
                Err(error) => last_error.log(HELD_UP, &error.into()),
            }
            if wait(leader.interval(), stop).await.is_err() {
                break;
            }
        }
        leader.release().await;
    }

    /// Releases the lease, and waits so that another process can take it.
    async fn stand_back(&self, leader: &mut Leader, stop: &Stop) -> Result<(), UpkeepError> {
        leader.release().await;
        wait(leader.interval() * BACKOFF_INTERVALS, stop).await
    }

    /// Carries out the step that is due, if there is one.
    async fn one_step(
        &self,
        token: u64,
        evidence: &mut Evidence,
        stop: &Stop,
    ) -> Result<Checked, UpkeepError> {
        let Some(step) = self.plan(evidence, true).await?.due else {
            return Ok(Checked::NothingDue);
        };
        self.step(step, token, evidence, stop, &mut |_| {}).await?;
        Ok(Checked::StepDone)
    }

    /// The next step for the ring as it is now. `watched`: this process has followed the ring for some time, and
    /// knows by its own clock how long a pending key has been published.
    async fn plan(&self, evidence: &Evidence, watched: bool) -> Result<RotationPlan, UpkeepError> {
        let ring = self.ring.refresh().await?;
        let reports = self.ring.reports().await?;
        let pending_watched = self.ring.pending_watched().unwrap_or_default();
        Ok(rotation::plan(
            &ring,
            &Facts {
                now_ms: self.ring.now_ms(),
                seals: reports.seals(ring.sealing().id),
                pending_watched: watched.then_some(pending_watched),
                audit: evidence.audit.as_ref(),
            },
        ))
    }

    async fn step(
        &self,
        step: Step,
        token: u64,
        evidence: &mut Evidence,
        stop: &Stop,
        watch: &mut (dyn FnMut(&RotationEvent) + Send),
    ) -> Result<(), UpkeepError> {
        watch(&RotationEvent::StepStarted(step));
        let change = match step {
            Step::Add(instead_of) => Change::Add { instead_of },
            Step::Promote(id) => Change::Promote { id, at_once: false },
            Step::Archive(id) => Change::Archive(id),
            Step::Destroy(id) => Change::Destroy(id),
            Step::Sweep => {
                watch(&self.sweep_step(evidence, stop).await?);
                watch(&RotationEvent::StepDone(step));
                return Ok(());
            }
        };
        let ring = self.ring.change_as_leader(&change, token).await?;
        log_step(step, &ring);
        watch(&RotationEvent::StepDone(step));
        Ok(())
    }

    /// Reseals and audits all records, and reports the audit.
    async fn sweep_step(
        &self,
        evidence: &mut Evidence,
        stop: &Stop,
    ) -> Result<RotationEvent, UpkeepError> {
        let (resealed, audit) = self.sweep(stop).await?;
        let sealing = self.ring.ring().sealing().id;
        match resealed.done {
            1 => info!("1 value was resealed under key {sealing}"),
            values => info!("{values} values were resealed under key {sealing}"),
        }
        self.ring.report_audit(&audit).await?;
        self.record_members(&audit).await?;
        evidence.audit = Some(audit.clone());
        Ok(RotationEvent::Swept {
            resealed: Box::new(resealed),
            audit: Box::new(audit),
        })
    }
}

fn log_step(step: Step, ring: &Ring) {
    let version = ring.version();
    match step {
        Step::Add(_) => {
            if let Some(pending) = rotation::next_to_seal(ring) {
                info!("keyring version {version}: key {} is pending", pending.id);
            }
        }
        Step::Promote(id) => info!("keyring version {version}: key {id} seals"),
        Step::Archive(id) => info!("keyring version {version}: key {id} is archived"),
        Step::Destroy(id) => info!("keyring version {version}: key {id} is destroyed"),
        Step::Sweep => {}
    }
}
