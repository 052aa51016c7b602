//! The parameters of a schedule: the settings, and which of the protocol's rules apply. A test that switches
//! a rule off shows that the invariants notice it.

use waxseal_keys::Settings;

use super::random::Random;

pub(crate) const MINUTE: u64 = 60_000;
pub(crate) const HOUR: u64 = 60 * MINUTE;
pub(crate) const DAY: u64 = 24 * HOUR;

/// The rules under which schedules run.
#[derive(Clone, Copy)]
pub(crate) struct Rules {
    /// A new key is published for a while before it seals.
    pub(crate) propagation: bool,
    /// Nothing is sealed under a ring that was not confirmed for too long.
    pub(crate) confirm: bool,
    /// A ring counts as confirmed from the moment of the request, not of the answer.
    pub(crate) confirmed_when_asked: bool,
    /// The watch of a pending key starts over if the store lost it or was out of reach.
    pub(crate) restart_watch: bool,
    /// A leader takes a token above the ring's fence.
    pub(crate) observes_fence: bool,
    /// An operator upgrades processes and changes formats, versions and index keys.
    pub(crate) operator: bool,
    /// A merge restores index keys.
    pub(crate) restores_index_keys: bool,
    /// Format 2 and version 3 are refused while a process is reported that does not read them.
    pub(crate) asks_reports: bool,
    /// Version 3 is written once every process has the index key.
    pub(crate) write_waits: bool,
    /// Only version 3 is accepted once no process can still write version 2.
    pub(crate) accept_waits: bool,
    /// Version 2 is written again once every process accepts it.
    pub(crate) return_waits: bool,
    /// Members count as stored in one form once no process can still write another one.
    pub(crate) one_form_waits: bool,
    /// Format 1 keeps the ids of index keys.
    pub(crate) tombstones: bool,
    /// The document store sometimes loses documents.
    pub(crate) store_fails: bool,
    /// It does so even while no running process knows the newest document.
    pub(crate) forks: bool,
    /// A process whose clock is far from the server's does not lead.
    pub(crate) compare_clocks: bool,
    /// The clock of one process may be hundreds of days off.
    pub(crate) far_clock: bool,
    /// The largest error of a clock, in milliseconds.
    pub(crate) skew: u64,
}

impl Rules {
    /// The protocol as it is.
    pub(crate) const ALL: Self = Self {
        propagation: true,
        confirm: true,
        confirmed_when_asked: true,
        restart_watch: true,
        observes_fence: true,
        operator: true,
        restores_index_keys: true,
        asks_reports: true,
        write_waits: true,
        accept_waits: true,
        return_waits: true,
        one_form_waits: true,
        tombstones: true,
        store_fails: true,
        forks: false,
        compare_clocks: true,
        far_clock: false,
        skew: 10 * MINUTE,
    };

    /// Without an operator: what data keys are protected by shows sooner.
    pub(crate) const DATA_KEYS: Self = Self {
        operator: false,
        ..Self::ALL
    };

    /// The settings of one schedule.
    pub(crate) fn settings(self, random: &mut Random) -> Settings {
        let refresh_ms = random.between(10, 20) * MINUTE;
        let propagation_ms = random.between(90, 150) * MINUTE;
        let settings = Settings {
            every_ms: Some(2 * propagation_ms),
            seals: 1 << 32,
            propagation_ms,
            refresh_ms,
            retention_ms: propagation_ms + random.between(0, 90) * MINUTE,
        };
        if self.propagation {
            return settings.checked().unwrap();
        }
        Settings {
            propagation_ms: 0,
            ..settings
        }
    }
}
