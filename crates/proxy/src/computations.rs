//! Commands that compute on one record at the same time, over all clients of a process. They queue on the record: the
//! first one leads, and computes for all that have queued when it has read the value, so that the record is read once
//! and written once for all of them.
//!
//! ```text
//! A: join ─▶ leads ─▶ reads ─▶ admits B, C ─▶ writes ─▶ answers B, C ─▶ D leads, and knows what is stored
//! B: join ─▶ waits ─────────────────────────────────▶ answered
//! C: join ──────▶ waits ────────────────────────────▶ answered
//! D: join ───────────────────────────▶ waits ───────────────────────────▶ leads
//! ```
//!
//! Only clients queue together for which the server would do the same: those that are the proxy's user in its database. A
//! leader that goes away hands over; what it wrote without an answer is unknown to those it computed for.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use waxseal_compute::{Operation, Reply};

use crate::clients::Client;

/// Commands that one leader computes for at once.
const MAX_BATCH: usize = 1024;
/// Records whose stored bytes are remembered after the last command on them, in each of two generations.
const MAX_RECENT: usize = 2048;
/// Maximum length of stored bytes that are remembered, and of what they are remembered under, together.
const MAX_RECENT_LEN: usize = 1024;

/// A record and perhaps a field of it.
pub(crate) type Target = (Box<[u8]>, Option<Box<[u8]>>);

/// The answer to a command that was computed.
#[derive(Clone)]
pub(crate) enum ComputedAnswer {
    /// The reply of the computation, to be written in the protocol of its client.
    Reply(Reply),
    /// An error, as it is sent.
    Error(Vec<u8>),
}

/// A command that computes.
pub(crate) struct Job {
    pub(crate) command: &'static str,
    pub(crate) operation: Operation,
    /// Where there is no value it changes nothing, and the answer is null.
    pub(crate) needs_value: bool,
    /// The client that is woken when the state changes.
    client: Option<Arc<Client>>,
    state: Mutex<JobState>,
    /// It is computed with no other, because the server refused what it was computed in.
    is_alone: AtomicBool,
}

/// The state of a job.
enum JobState {
    /// Another one leads.
    Waiting,
    /// It leads, and these bytes were stored when it began to.
    Leading(Option<Vec<u8>>),
    Answered(ComputedAnswer),
    /// Its client has gone. It is in no queue, and never queues again; only a batch may still have it.
    Gone,
}

/// What a turn is ready for.
pub(crate) enum Readiness {
    Waiting,
    /// It leads. The bytes were stored not long ago, if they are known.
    Leading(Option<Vec<u8>>),
    Answered(ComputedAnswer),
}

/// The records on which commands compute.
#[derive(Default)]
pub(crate) struct Computations {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The jobs that wait for a record that another one computes on.
    queues: HashMap<Target, VecDeque<Arc<Job>>>,
    recent: Recent,
}

/// The bytes that were stored under names not long ago. Only ever a guess: nothing is written unless they are still there.
#[derive(Default)]
struct Recent {
    young: HashMap<Target, Vec<u8>>,
    old: HashMap<Target, Vec<u8>>,
}

/// The place of a command among those that compute on the same record, until it is dropped.
pub(crate) struct Turn {
    /// `None`: it queues with no other.
    shared: Option<(Arc<Computations>, Target)>,
    job: Arc<Job>,
    /// The jobs that it computes for besides its own, while it leads.
    batch: Vec<Arc<Job>>,
    leads: bool,
}

impl Job {
    pub(crate) fn new(
        command: &'static str,
        (operation, needs_value): (Operation, bool),
        client: Option<Arc<Client>>,
    ) -> Arc<Self> {
        Arc::new(Self {
            command,
            operation,
            needs_value,
            client,
            state: Mutex::new(JobState::Waiting),
            is_alone: AtomicBool::new(false),
        })
    }

    fn is_alone(&self) -> bool {
        self.is_alone.load(Ordering::Relaxed)
    }

    fn is_gone(&self) -> bool {
        matches!(*locked(&self.state), JobState::Gone)
    }

    fn set(&self, state: JobState) {
        *locked(&self.state) = state;
        if let Some(client) = &self.client {
            client.wake();
        }
    }
}

impl Computations {
    /// Queues a job on a record. It leads if no other one does.
    pub(crate) fn join(self: &Arc<Self>, target: Target, job: Arc<Job>) -> Turn {
        let mut state = locked(&self.state);
        let leads = match state.queues.get_mut(&target) {
            Some(queue) => {
                queue.push_back(job.clone());
                false
            }
            None => {
                state.queues.insert(target.clone(), VecDeque::new());
                let known = state.recent.take(&target);
                *locked(&job.state) = JobState::Leading(known);
                true
            }
        };
        drop(state);
        Turn {
            shared: Some((self.clone(), target)),
            job,
            batch: Vec::new(),
            leads,
        }
    }

    /// The next job on the record leads, if there is one. `stored` is what is stored there, if that is known.
    fn hand_over(&self, target: &Target, stored: Option<Vec<u8>>) {
        let mut state = locked(&self.state);
        let next = state.queues.get_mut(target).and_then(VecDeque::pop_front);
        match next {
            Some(job) => job.set(JobState::Leading(stored)),
            None => {
                state.queues.remove(target);
                if let Some(stored) = stored {
                    state.recent.insert(target, stored);
                }
            }
        }
    }
}

impl Turn {
    /// The turn of a job that queues with no other.
    pub(crate) fn alone(job: Arc<Job>) -> Self {
        *locked(&job.state) = JobState::Leading(None);
        Self {
            shared: None,
            job,
            batch: Vec::new(),
            leads: true,
        }
    }

    /// What it is ready for.
    pub(crate) fn poll(&mut self) -> Readiness {
        match &mut *locked(&self.job.state) {
            JobState::Waiting | JobState::Gone => Readiness::Waiting,
            JobState::Leading(stored) => {
                self.leads = true;
                Readiness::Leading(stored.take())
            }
            JobState::Answered(answer) => Readiness::Answered(answer.clone()),
        }
    }

    /// Takes over the jobs that have queued, up to one that is computed alone.
    pub(crate) fn admit(&mut self) {
        if self.job.is_alone() {
            return;
        }
        let Some((computations, target)) = &self.shared else {
            return;
        };
        let mut state = locked(&computations.state);
        if let Some(queue) = state.queues.get_mut(target) {
            let room = MAX_BATCH.saturating_sub(self.batch.len());
            let together = queue.iter().position(|job| job.is_alone());
            let count = together.unwrap_or(queue.len()).min(room);
            self.batch.extend(queue.drain(..count));
        }
    }

    /// Keeps the first `count` of its jobs. The others queue again, before those that came later.
    pub(crate) fn keep(&mut self, count: usize) {
        let kept = count.saturating_sub(1).min(self.batch.len());
        let others = self.batch.split_off(kept);
        self.queue_again(others);
    }

    /// The server refused what was computed for all: each job is computed alone, its own now. Returns false if it was
    /// computed for its own alone.
    pub(crate) fn separate(&mut self) -> bool {
        if self.batch.is_empty() {
            return false;
        }
        for job in self.jobs() {
            job.is_alone.store(true, Ordering::Relaxed);
        }
        self.keep(1);
        true
    }

    /// The jobs that it computes, its own first.
    pub(crate) fn jobs(&self) -> impl Iterator<Item = &Arc<Job>> {
        std::iter::once(&self.job).chain(&self.batch)
    }

    /// Answers the jobs that it computed for, and hands over. `stored` is what is stored now, if that is known.
    pub(crate) fn finish(
        mut self,
        answers: impl IntoIterator<Item = ComputedAnswer>,
        stored: Option<Vec<u8>>,
    ) {
        for (job, answer) in self.batch.drain(..).zip(answers) {
            job.set(JobState::Answered(answer));
        }
        self.hand_over(stored);
    }

    /// Gives up: the jobs that it computed for queue again, and one of them leads.
    pub(crate) fn give_up(mut self) {
        self.requeue();
    }

    fn requeue(&mut self) {
        let batch = std::mem::take(&mut self.batch);
        self.queue_again(batch);
        self.hand_over(None);
    }

    /// Puts jobs back in front of those that wait. Those whose clients have gone are left out: nobody would lead.
    fn queue_again(&self, jobs: Vec<Arc<Job>>) {
        let Some((computations, target)) = &self.shared else {
            return;
        };
        let mut state = locked(&computations.state);
        if let Some(queue) = state.queues.get_mut(target) {
            for job in jobs.into_iter().rev().filter(|job| !job.is_gone()) {
                queue.push_front(job);
            }
        }
    }

    fn hand_over(&mut self, stored: Option<Vec<u8>>) {
        if std::mem::take(&mut self.leads)
            && let Some((computations, target)) = self.shared.take()
        {
            computations.hand_over(&target, stored);
        }
    }

    /// A write was sent and its answer will not come: the jobs that it computed for cannot know whether it was done.
    pub(crate) fn abandon(mut self, answer: impl Fn(&'static str) -> Vec<u8>) {
        for job in self.batch.drain(..) {
            job.set(JobState::Answered(ComputedAnswer::Error(answer(
                job.command,
            ))));
        }
        self.hand_over(None);
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let (false, Some((computations, target))) = (self.leads, &self.shared) {
            let mut state = locked(&computations.state);
            if let Some(queue) = state.queues.get_mut(target) {
                queue.retain(|job| !Arc::ptr_eq(job, &self.job));
            }
            let mut own = locked(&self.job.state);
            // It was made to lead, and has not noticed.
            self.leads = matches!(*own, JobState::Leading(_));
            if !self.leads {
                // Another one may compute it, and give up: it must not queue again.
                *own = JobState::Gone;
            }
        }
        self.requeue();
    }
}

impl Recent {
    fn take(&mut self, target: &Target) -> Option<Vec<u8>> {
        self.young
            .remove(target)
            .or_else(|| self.old.remove(target))
    }

    fn insert(&mut self, target: &Target, stored: Vec<u8>) {
        let (name, field) = target;
        let field_len = field.as_ref().map_or(0, |field| field.len());
        let len = name
            .len()
            .saturating_add(field_len)
            .saturating_add(stored.len());
        if len > MAX_RECENT_LEN {
            return;
        }
        if self.young.len() >= MAX_RECENT {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(target.clone(), stored);
    }
}

/// Locks a mutex. What these protect is consistent at every moment, so a panic of another thread does no harm.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use waxseal_compute::Dialect;

    use super::*;

    fn job() -> Arc<Job> {
        let operation = Operation::parse(&[b"INCR", b"n"], Dialect::redis(7, 0)).unwrap();
        Job::new("incr", (operation, false), None)
    }

    fn target() -> Target {
        (b"n"[..].into(), None)
    }

    fn one() -> ComputedAnswer {
        ComputedAnswer::Reply(Reply::Integer(1))
    }

    fn leads(turn: &mut Turn) -> Option<Option<Vec<u8>>> {
        match turn.poll() {
            Readiness::Leading(stored) => Some(stored),
            Readiness::Waiting | Readiness::Answered(_) => None,
        }
    }

    #[test]
    fn the_first_leads_and_answers_those_that_queued() {
        let all = Arc::new(Computations::default());
        let mut turns: Vec<Turn> = (0..4).map(|_| all.join(target(), job())).collect();
        let mut first = turns.remove(0);
        assert_eq!(leads(&mut first), Some(None));
        assert!(turns.iter_mut().all(|turn| leads(turn).is_none()));
        first.admit();
        assert_eq!(first.jobs().count(), 4);
        let mut late = all.join(target(), job());
        first.finish([one(), one(), one()], Some(b"stored".to_vec()));
        for turn in &mut turns {
            assert!(matches!(turn.poll(), Readiness::Answered(_)));
        }
        // The next one knows what is stored, and the first one after a while as well.
        assert_eq!(leads(&mut late), Some(Some(b"stored".to_vec())));
        late.finish([], Some(b"again".to_vec()));
        drop(turns);
        let mut later = all.join(target(), job());
        assert_eq!(leads(&mut later), Some(Some(b"again".to_vec())));
        assert_eq!(leads(&mut later), Some(None), "only once");
    }

    #[test]
    fn a_leader_that_goes_away_hands_over() {
        let all = Arc::new(Computations::default());
        let mut first = all.join(target(), job());
        let (second, mut third) = (all.join(target(), job()), all.join(target(), job()));
        assert!(leads(&mut first).is_some());
        first.admit();
        // Its jobs queue again, in their order; the next leader goes away before it has noticed.
        drop(first);
        assert!(leads(&mut third).is_none());
        drop(second);
        assert_eq!(leads(&mut third), Some(None));
        third.admit();
        assert_eq!(third.jobs().count(), 1);
        drop(third);
        assert!(locked(&all.state).queues.is_empty());
    }

    #[test]
    fn a_job_that_goes_away_while_another_computes_it_never_leads() {
        let all = Arc::new(Computations::default());
        let mut first = all.join(target(), job());
        let second = all.join(target(), job());
        let mut third = all.join(target(), job());
        first.admit();
        drop(second);
        drop(first);
        assert_eq!(leads(&mut third), Some(None));
        third.give_up();
        assert!(locked(&all.state).queues.is_empty());
    }

    #[test]
    fn jobs_that_are_too_many_for_a_batch_queue_again_in_their_order() {
        let all = Arc::new(Computations::default());
        let mut turns: Vec<Turn> = (0..4).map(|_| all.join(target(), job())).collect();
        let mut first = turns.remove(0);
        first.admit();
        let mut late = all.join(target(), job());
        first.keep(2);
        assert_eq!(first.jobs().count(), 2);
        first.finish([one()], None);
        assert!(matches!(turns[0].poll(), Readiness::Answered(_)));
        assert!(leads(&mut turns[2]).is_none() && leads(&mut late).is_none());
        assert!(leads(&mut turns[1]).is_some());
        turns[1].admit();
        assert_eq!(turns[1].jobs().count(), 3);
    }

    #[test]
    fn after_an_error_each_job_is_computed_alone() {
        let all = Arc::new(Computations::default());
        let mut first = all.join(target(), job());
        let mut second = all.join(target(), job());
        let mut third = all.join(target(), job());
        assert!(!first.separate(), "it is alone already");
        first.admit();
        let mut late = [all.join(target(), job()), all.join(target(), job())];
        assert!(first.separate());
        first.admit();
        assert_eq!(first.jobs().count(), 1);
        first.finish([], None);
        for turn in [&mut second, &mut third] {
            assert!(leads(turn).is_some());
            turn.admit();
            assert_eq!(turn.jobs().count(), 1);
            assert!(leads(&mut late[0]).is_none());
            turn.requeue();
        }
        assert!(leads(&mut late[0]).is_some());
        late[0].admit();
        assert_eq!(late[0].jobs().count(), 2);
    }

    #[test]
    fn those_that_a_lost_write_was_for_are_told() {
        let all = Arc::new(Computations::default());
        let mut first = all.join(target(), job());
        let mut second = all.join(target(), job());
        first.admit();
        let third = all.join(target(), job());
        // A job that waits and goes away is not computed.
        drop(third);
        let mut fourth = all.join(target(), job());
        first.abandon(|command| command.as_bytes().to_vec());
        let Readiness::Answered(ComputedAnswer::Error(error)) = second.poll() else {
            panic!("it was not answered");
        };
        assert_eq!(error, b"incr");
        assert_eq!(leads(&mut fourth), Some(None));
    }

    #[test]
    fn remembered_bytes_are_bounded() {
        let mut recent = Recent::default();
        let name = |number: usize| -> Target { (number.to_be_bytes().into(), None) };
        for number in 0..MAX_RECENT * 3 {
            recent.insert(&name(number), vec![1]);
            assert!(recent.young.len() <= MAX_RECENT && recent.old.len() <= MAX_RECENT);
        }
        assert_eq!(recent.take(&name(MAX_RECENT * 3 - 1)), Some(vec![1]));
        assert_eq!(recent.take(&name(0)), None);
        recent.insert(&name(0), vec![0; MAX_RECENT_LEN + 1]);
        assert_eq!(recent.take(&name(0)), None);
        let long: Box<[u8]> = vec![0; MAX_RECENT_LEN].into();
        for target in [(long.clone(), None), (b"n"[..].into(), Some(long))] {
            recent.insert(&target, vec![1]);
            assert_eq!(recent.take(&target), None);
        }
    }
}
