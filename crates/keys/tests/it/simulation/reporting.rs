//! Reports, by which an operator knows the builds of all processes.

use waxseal_keys::Report;

use super::process::{Build, Reported};
use super::world::{Act, World};

/// A process that has not reported for so many refresh intervals counts as ended.
const GONE_INTERVALS: u64 = 10;

impl World {
    /// The time after which the report of a silent process is dropped.
    pub(crate) fn silent_ms(&self) -> u64 {
        self.newest.ring.settings().refresh_ms * GONE_INTERVALS
    }

    /// Reports once in each refresh interval, also while the document is refused.
    pub(crate) fn report(&mut self, process: usize) {
        let interval = self.newest.ring.settings().refresh_ms;
        self.after(interval, process, Act::Report);
        if self.is_cut_off(process) {
            return;
        }
        let silent = self.silent_ms();
        let max_gap = silent - 2 * self.rules.skew;
        let it = &mut self.processes[process];
        let Some(version) = it.ring().map(|known| known.ring.version()) else {
            return;
        };
        let report = Report {
            at: it.clock(self.now),
            version,
            reads: match it.build {
                Build::Former => 1,
                Build::Current => 2,
            },
            ..Report::default()
        };
        let continues = it.reported.filter(|it| self.now - it.last <= max_gap);
        it.reported = Some(Reported {
            first: continues.map_or(self.now, |it| it.first),
            last: self.now,
        });
        let id = format!("{process}.{}", it.life);
        let drops_unknown = it.build == Build::Former;
        self.reports.add(&id, report, silent, &[]);
        if drops_unknown {
            for report in self.reports.processes.values_mut() {
                report.reads = 1;
            }
        }
    }

    /// The document of the reports is lost.
    pub(crate) fn lose_reports(&mut self) {
        self.reports = waxseal_keys::Reports::default();
        for it in &mut self.processes {
            it.reported = None;
        }
    }
}
