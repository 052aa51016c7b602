//! What the whole process knows of the way to the server: how many shared connections are suspect, what the last
//! probe over a new connection came to, and which connections were opened before the server was found to have
//! changed its role. Knows neither lanes nor clients: the owner of a connection asks.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, timeout};

pub(crate) use self::probe::Verdict;
use super::upstream::Upstream;

mod probe;

/// Between the beginnings of two probes.
const PROBE_INTERVAL: Duration = Duration::from_secs(1);
/// How long a probe may take.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);
/// Between the first switch of connections and the second, and between later ones at most.
const MIN_SWITCH_DELAY: Duration = Duration::from_secs(1);
const MAX_SWITCH_DELAY: Duration = Duration::from_secs(30);
/// Without such a reply for so long, the next one switches connections at once.
const QUIET_TIMEOUT: Duration = Duration::from_secs(60);

/// The state of the way to the server.
#[derive(Default)]
pub(crate) struct Health {
    suspects: AtomicUsize,
    /// How often connections were switched.
    epoch: AtomicU64,
    switches: Mutex<Switches>,
    probes: Mutex<Probes>,
}

#[derive(Default)]
struct Switches {
    last: Option<Instant>,
    last_reply: Option<Instant>,
    delay: Duration,
    /// When it was last asked where the address leads.
    last_check: Option<Instant>,
}

#[derive(Default)]
struct Probes {
    under_way: bool,
    last_begin: Option<Instant>,
    last: Option<Outcome>,
    /// Since when the server has answered nobody, if that was logged.
    stalled_since: Option<Instant>,
}

/// What a probe came to.
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

    /// Whether a connection of this epoch was opened before the last switch.
    pub(crate) fn is_outdated(&self, epoch: u64) -> bool {
        epoch != self.epoch()
    }

    /// The server answered on a connection of this epoch that it is not one to write to, or not yet to read from: its
    /// address may lead to another one by now. New connections are opened from here on, unless that was done
    /// a moment ago: a replica on purpose answers so every time. Then it is asked over a new connection first whether
    /// the address leads to a primary. Returns whether connections are switched now; `count` is called when they are.
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
        if switches.is_due(now) {
            let switched = health.begin_epoch(epoch, word, switches.delay < MAX_SWITCH_DELAY);
            if switched {
                count();
            }
            return switched;
        }
        if switches.is_check_due(now) {
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
                "the store answers {word}: its connections are opened again, in case its address leads to another \
                 server now"
            );
        }
        exchanged
    }

    /// Shared connections that are suspect.
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

    /// What a probe that began after `since` came to; begins one where that is due. A process has one at a time.
    pub(crate) fn probe(upstream: &Arc<Upstream>, since: Instant) -> Option<Outcome> {
        let probes = &mut *locked(&upstream.health.probes);
        let known = probes.last.filter(|outcome| outcome.begin >= since);
        if known.is_some_and(|outcome| outcome.verdict == Verdict::Answers) {
            return known;
        }
        let now = Instant::now();
        let is_due = |begin: Instant| now.duration_since(begin) >= PROBE_INTERVAL;
        if !probes.under_way && probes.last_begin.is_none_or(is_due) {
            probes.under_way = true;
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
        if let Verdict::Stalls(why) = verdict
            && probes.stalled_since.is_none()
            && self.suspects() > 0
        {
            probes.stalled_since = Some(begin);
            tracing::warn!(
                "replies of the store are late, and a new connection to it gets none either ({why}): clients wait for \
                 it, as they would without the proxy"
            );
        }
    }

    fn log_recovery(&self) {
        if let Some(since) = locked(&self.probes).stalled_since.take() {
            let seconds = since.elapsed().as_secs_f64();
            tracing::warn!("no reply of the store is late any more: some were for {seconds:.1} s");
        }
    }
}

impl Switches {
    /// Whether connections are switched because of a reply that came now.
    fn is_due(&mut self, now: Instant) -> bool {
        let is_quiet = |at: Instant| now.duration_since(at) > QUIET_TIMEOUT;
        if self.last_reply.is_none_or(is_quiet) {
            self.delay = Duration::ZERO;
        }
        self.last_reply = Some(now);
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

    /// Whether it is asked now where the address leads.
    fn is_check_due(&mut self, now: Instant) -> bool {
        let is_past = |at: Instant| now.duration_since(at) >= PROBE_INTERVAL;
        let is_due = self.last_check.is_none_or(is_past);
        if is_due {
            self.last_check = Some(now);
        }
        is_due
    }
}

/// A probe that is under way until this is dropped, with its task or without.
struct UnderWay(Arc<Upstream>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        locked(&self.0.health.probes).under_way = false;
    }
}

/// Nothing is left half done under these locks, so a panic elsewhere spoils nothing.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replica_is_connected_to_again_ever_less_often() {
        let begin = Instant::now();
        let mut switches = Switches::default();
        let at = |tenths: u64| begin + Duration::from_millis(tenths * 100);
        let due: Vec<u64> = (0..1500)
            .filter(|tenths| switches.is_due(at(*tenths)))
            .collect();
        assert_eq!(due, [0, 10, 30, 70, 150, 310, 610, 910, 1210]);
        // A change of the server's role much later is followed at once.
        assert!(!switches.is_due(at(1500)));
        assert!(switches.is_due(at(1500 + 601)));
        assert!(!switches.is_due(at(1500 + 602)));
        assert!(switches.is_due(at(1500 + 612)));
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
    fn the_address_is_asked_for_at_most_once_a_second() {
        let begin = Instant::now();
        let mut switches = Switches::default();
        let at = |tenths: u64| begin + Duration::from_millis(tenths * 100);
        let due: Vec<u64> = (0..25)
            .filter(|tenths| switches.is_check_due(at(*tenths)))
            .collect();
        assert_eq!(due, [0, 10, 20]);
    }
}
