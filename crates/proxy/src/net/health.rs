//! The state of the server as the whole process sees it: the number of suspect lanes, the outcome of the last probe over
//! a new connection, and the epoch of connections, which changes when the server has changed its role. Knows neither
//! lanes nor clients: the owner of a connection asks.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, timeout};

pub(crate) use self::probe::Verdict;
use super::upstream::Upstream;

mod probe;

/// Minimum time between the beginnings of two probes.
const PROBE_INTERVAL: Duration = Duration::from_secs(1);
/// Time limit of a probe.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);
/// Delay between the first switch of connections and the second; doubled for each further one, up to the maximum.
const MIN_SWITCH_DELAY: Duration = Duration::from_secs(1);
const MAX_SWITCH_DELAY: Duration = Duration::from_secs(30);
/// Time without an error of role after which the next one switches connections at once.
const QUIET_TIMEOUT: Duration = Duration::from_secs(60);

/// The state of the server as the whole process sees it.
#[derive(Default)]
pub(crate) struct Health {
    suspects: AtomicUsize,
    /// The number of switches of connections.
    epoch: AtomicU64,
    switches: Mutex<Switches>,
    probes: Mutex<Probes>,
}

#[derive(Default)]
struct Switches {
    last: Option<Instant>,
    last_error: Option<Instant>,
    delay: Duration,
    /// The last check of the server that the address leads to.
    last_check: Option<Instant>,
}

#[derive(Default)]
struct Probes {
    is_under_way: bool,
    last_begin: Option<Instant>,
    last: Option<Outcome>,
    /// The time since which the server has answered on no connection, if that was logged.
    stalled_since: Option<Instant>,
}

/// The outcome of a probe.
#[derive(Clone, Copy)]
pub(crate) struct Outcome {
    begin: Instant,
    pub(crate) end: Instant,
    pub(crate) verdict: Verdict,
}

impl Health {
    /// The switch of connections that the current ones were opened after.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Relaxed)
    }

    /// True if a connection of this epoch was opened before the last switch.
    pub(crate) fn is_outdated(&self, epoch: u64) -> bool {
        epoch != self.epoch()
    }

    /// Handles an error of role on a connection of this epoch: the server cannot be written to, or not be read from yet,
    /// and its address may lead to another server by now. Begins a new epoch of connections, unless one has just begun:
    /// a server that is a replica on purpose answers like this every time. Then a check over a new connection finds out
    /// first whether the address leads to a primary. Returns true if connections are switched now; `count` is called
    /// when they are.
    pub(crate) fn switch(
        upstream: &Arc<Upstream>,
        epoch: u64,
        word: &'static str,
        count: impl FnOnce() + Send + 'static,
    ) -> bool {
        let health = &upstream.health;
        if health.is_outdated(epoch) {
            return false;
        }
        let now = Instant::now();
        let mut switches = locked(&health.switches);
        if switches.record_error(now) {
            let has_switched = health.begin_epoch(epoch, word, switches.delay < MAX_SWITCH_DELAY);
            if has_switched {
                count();
            }
            return has_switched;
        }
        if switches.begin_check(now) {
            drop(switches);
            let upstream = upstream.clone();
            tokio::spawn(async move {
                let leads = timeout(PROBE_TIMEOUT, probe::leads_to_primary(&upstream)).await;
                let health = &upstream.health;
                if leads.unwrap_or(false) && health.begin_epoch(epoch, word, true) {
                    locked(&health.switches).delay = MIN_SWITCH_DELAY;
                    count();
                }
            });
        }
        false
    }

    /// Outdates the connections of this epoch, if it is the current one.
    fn begin_epoch(&self, epoch: u64, word: &str, log: bool) -> bool {
        let next = epoch.wrapping_add(1);
        let ordering = Ordering::Relaxed;
        let exchanged = self
            .epoch
            .compare_exchange(epoch, next, ordering, ordering)
            .is_ok();
        if exchanged && log {
            tracing::warn!(
                "the store answers {word}: its connections are reopened, in case its address leads to another server \
                 now"
            );
        }
        exchanged
    }

    /// The number of suspect lanes.
    pub(crate) fn suspects(&self) -> usize {
        self.suspects.load(Ordering::Relaxed)
    }

    pub(crate) fn add_suspect(&self) {
        self.suspects.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn remove_suspect(&self) {
        if self.suspects.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.log_recovery();
        }
    }

    /// Returns the outcome of a probe that began after `since`. Begins a probe if one is due; there is one at a time.
    pub(crate) fn probe(upstream: &Arc<Upstream>, since: Instant) -> Option<Outcome> {
        let probes = &mut *locked(&upstream.health.probes);
        let known = probes.last.filter(|outcome| outcome.begin >= since);
        if known.is_some_and(|outcome| outcome.verdict == Verdict::Answers) {
            return known;
        }
        let now = Instant::now();
        let is_due = |begin: Instant| now.duration_since(begin) >= PROBE_INTERVAL;
        if !probes.is_under_way && probes.last_begin.is_none_or(is_due) {
            probes.is_under_way = true;
            probes.last_begin = Some(now);
            tokio::spawn(probe::run(UnderWay(upstream.clone()), now, PROBE_TIMEOUT));
        }
        known
    }

    fn end_probe(&self, begin: Instant, verdict: Verdict) {
        let now = Instant::now();
        let probes = &mut *locked(&self.probes);
        probes.last = Some(Outcome {
            begin,
            end: now,
            verdict,
        });
        if let Verdict::Stalls(reason) = verdict
            && probes.stalled_since.is_none()
            && self.suspects() > 0
        {
            probes.stalled_since = Some(begin);
            tracing::warn!(
                "replies of the store are late, and a new connection to it gets none either ({}): clients wait for \
                 it, as they would without the proxy",
                reason.description()
            );
        }
    }

    fn log_recovery(&self) {
        if let Some(since) = locked(&self.probes).stalled_since.take() {
            let seconds = since.elapsed().as_secs_f64();
            tracing::warn!("replies of the store are no longer late: some were for {seconds:.1} s");
        }
    }
}

impl Switches {
    /// Records an error of role. Returns true if connections are switched because of it.
    fn record_error(&mut self, now: Instant) -> bool {
        let is_quiet = |at: Instant| now.duration_since(at) > QUIET_TIMEOUT;
        if self.last_error.is_none_or(is_quiet) {
            self.delay = Duration::ZERO;
        }
        self.last_error = Some(now);
        if self
            .last
            .is_some_and(|at| now.duration_since(at) < self.delay)
        {
            return false;
        }
        self.last = Some(now);
        self.delay = self
            .delay
            .saturating_mul(2)
            .clamp(MIN_SWITCH_DELAY, MAX_SWITCH_DELAY);
        true
    }

    /// Begins a check of the server that the address leads to. Returns false if the last one is too recent.
    fn begin_check(&mut self, now: Instant) -> bool {
        let is_past = |at: Instant| now.duration_since(at) >= PROBE_INTERVAL;
        let is_due = self.last_check.is_none_or(is_past);
        if is_due {
            self.last_check = Some(now);
        }
        is_due
    }
}

/// Marks a probe as under way until this is dropped, also with its task.
struct UnderWay(Arc<Upstream>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        locked(&self.0.health.probes).is_under_way = false;
    }
}

/// Locks a mutex, poisoned or not: nothing under these locks is left half done by a panic.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_to_a_replica_are_reopened_less_and_less_often() {
        let begin = Instant::now();
        let mut switches = Switches::default();
        let at = |tenths: u64| begin + Duration::from_millis(tenths * 100);
        let due: Vec<u64> = (0..1500)
            .filter(|tenths| switches.record_error(at(*tenths)))
            .collect();
        assert_eq!(due, [0, 10, 30, 70, 150, 310, 610, 910, 1210]);
        // A change of role much later is followed at once.
        assert!(!switches.record_error(at(1500)));
        assert!(switches.record_error(at(1500 + 601)));
        assert!(!switches.record_error(at(1500 + 602)));
        assert!(switches.record_error(at(1500 + 612)));
    }

    #[test]
    fn only_the_newest_connections_are_outdated() {
        let health = Health::default();
        assert!(health.begin_epoch(0, "READONLY", false));
        assert!(health.is_outdated(0));
        assert!(!health.is_outdated(1));
        assert!(!health.begin_epoch(0, "READONLY", false));
        assert_eq!(health.epoch(), 1);
    }

    #[test]
    fn the_address_is_checked_at_most_once_a_second() {
        let begin = Instant::now();
        let mut switches = Switches::default();
        let at = |tenths: u64| begin + Duration::from_millis(tenths * 100);
        let due: Vec<u64> = (0..25)
            .filter(|tenths| switches.begin_check(at(*tenths)))
            .collect();
        assert_eq!(due, [0, 10, 20]);
    }
}
