//! The faults, one at a time: injected, held for a while, and healed where it does not heal alone.

use std::thread::sleep;
use std::time::{Duration, Instant};

use super::stage::Stage;
use waxseal_testing::Chance;

/// `--max-stall` as it is by default.
const MAX_STALL: Duration = Duration::from_secs(5);
/// New clients are served this long after it is possible again.
const MAX_OUTAGE: Duration = Duration::from_secs(5);

/// A fault of a real system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The server's process stands still, and continues.
    Paused,
    /// The server is killed and started again.
    Killed,
    /// The server hands over to its replica, and the address leads there, for new connections.
    Demoted,
    /// Data of existing connections is lost; new ones work.
    PathLost,
    /// All connections to the server are cut.
    PathCut,
    /// The server closes the connections of all clients.
    ClientsKilled,
    /// The server takes no more connections.
    ConnectionLimit,
    /// The server's memory is full.
    MemoryFull,
    /// The server refuses writes for lack of replicas.
    NoReplicas,
    /// One request keeps the server busy.
    Busy,
    /// One proxy's log is not read, then its reader exits; the other's is on a full disk.
    LogsLost,
    /// The clock of one proxy is far ahead, then far behind.
    ClockSkewed,
}

impl Fault {
    pub(super) const ALL: [Self; 12] = [
        Self::Paused,
        Self::Killed,
        Self::Demoted,
        Self::PathLost,
        Self::PathCut,
        Self::ClientsKilled,
        Self::ConnectionLimit,
        Self::MemoryFull,
        Self::NoReplicas,
        Self::Busy,
        Self::LogsLost,
        Self::ClockSkewed,
    ];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Paused => "server paused",
            Self::Killed => "server killed",
            Self::Demoted => "primary demoted",
            Self::PathLost => "path lost",
            Self::PathCut => "path cut",
            Self::ClientsKilled => "clients killed",
            Self::ConnectionLimit => "connection limit",
            Self::MemoryFull => "memory full",
            Self::NoReplicas => "no replicas",
            Self::Busy => "server busy",
            Self::LogsLost => "logs lost",
            Self::ClockSkewed => "clock skewed",
        }
    }

    /// The longest time until new clients are served, from the moment that [`Fault::inject`] returns.
    pub(super) fn max_outage(self) -> Duration {
        match self {
            // It is noticed by the replies that do not come.
            Self::PathLost => MAX_STALL + MAX_OUTAGE,
            _ => MAX_OUTAGE,
        }
    }

    /// Lets it happen. Returns the moment from which a client that connected to the server itself would
    /// be served.
    pub(super) fn inject(self, stage: &mut Stage, chance: &mut Chance) -> Instant {
        let mut hold = |longest: usize| {
            let milliseconds = 500 + chance.below(longest * 1000 - 500);
            sleep(Duration::from_millis(milliseconds.try_into().unwrap()));
        };
        match self {
            Self::Paused => {
                stage.primary().stop_process();
                hold(8);
                stage.primary().continue_process();
            }
            Self::Killed => {
                stage.primary_mut().kill();
                hold(2);
                stage.primary_mut().restart();
            }
            Self::Demoted => {
                stage.fail_over();
                hold(2);
                stage.move_address();
            }
            Self::PathLost => stage.address.silence(),
            Self::PathCut => stage.address.cut(),
            Self::ClientsKilled => {
                stage.cli(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
            }
            Self::ConnectionLimit => {
                stage.at_connection_limit(|| hold(3));
            }
            Self::MemoryFull => {
                stage.cli(&["CONFIG", "SET", "maxmemory", "1"]);
                hold(3);
                stage.cli(&["CONFIG", "SET", "maxmemory", "0"]);
            }
            Self::NoReplicas => {
                stage.cli(&["CONFIG", "SET", "min-replicas-to-write", "9"]);
                hold(3);
                stage.cli(&["CONFIG", "SET", "min-replicas-to-write", "0"]);
            }
            Self::Busy => {
                stage.cli(&["DEBUG", "SLEEP", "2"]);
            }
            Self::LogsLost => stage.lose_logs(),
            Self::ClockSkewed => {
                for days in [400, -400, 0] {
                    stage.skew_clock(days);
                    hold(3);
                }
            }
        }
        Instant::now()
    }
}
