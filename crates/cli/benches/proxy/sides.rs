//! The sides of the comparison, each up and answering: who they are, how each is started in front of
//! one Redis, and what it used of the processor. What the peers' settings say is in `peers`.

use std::fmt;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use waxseal_testing::{Client, Reply};

use crate::cells::{PATTERN, record_name};
use crate::load;
use crate::peers;
use crate::process::{Process, cpu_seconds, free_port};

const KEY: &str = "6c1f0a5be2d94738a1c05f3e7b9d2846f0e1d2c3b4a5968778695a4b3c2d1e0f";

/// The time that a side has until it must answer.
const START_LIMIT: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(20);
/// Another program may take a free port before the side does.
const START_ATTEMPTS: usize = 3;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    NoProxy,
    HaProxy,
    Twemproxy,
    EnvoyTcp,
    EnvoyRedis,
    /// `waxseal proxy --upstream auto`.
    Waxseal,
    /// `waxseal proxy --upstream own`.
    WaxsealOwn,
    /// The first again, counting: with `--admin`.
    WaxsealMetrics,
    /// The first again, with twenty patterns of several wildcards, each with exceptions.
    WaxsealPatterns,
    /// The first again, with sealed names.
    WaxsealNames,
    /// The first again, of another commit: the binary that [`BEFORE`] names.
    WaxsealBefore,
}

/// The variable that names a binary of another commit.
const BEFORE: &str = "WAXSEAL_BENCH_BEFORE";

impl Side {
    pub(crate) const ALL: [Self; 11] = [
        Self::NoProxy,
        Self::HaProxy,
        Self::Twemproxy,
        Self::EnvoyTcp,
        Self::EnvoyRedis,
        Self::Waxseal,
        Self::WaxsealOwn,
        Self::WaxsealMetrics,
        Self::WaxsealPatterns,
        Self::WaxsealNames,
        Self::WaxsealBefore,
    ];

    /// The side on the command line.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::NoProxy => "none",
            Self::HaProxy => "haproxy",
            Self::Twemproxy => "twemproxy",
            Self::EnvoyTcp => "envoy-tcp",
            Self::EnvoyRedis => "envoy-redis",
            Self::Waxseal => "waxseal",
            Self::WaxsealOwn => "waxseal-own",
            Self::WaxsealMetrics => "waxseal-metrics",
            Self::WaxsealPatterns => "waxseal-patterns",
            Self::WaxsealNames => "waxseal-names",
            Self::WaxsealBefore => "waxseal-before",
        }
    }

    /// True if Redis must hold something else than the client sent.
    fn seals(self) -> bool {
        matches!(
            self,
            Self::Waxseal
                | Self::WaxsealOwn
                | Self::WaxsealMetrics
                | Self::WaxsealPatterns
                | Self::WaxsealNames
                | Self::WaxsealBefore
        )
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::NoProxy => "no proxy",
            Self::HaProxy => "HAProxy, TCP",
            Self::Twemproxy => "twemproxy",
            Self::EnvoyTcp => "Envoy, TCP",
            Self::EnvoyRedis => "Envoy, Redis",
            Self::Waxseal => "Waxseal, auto",
            Self::WaxsealOwn => "Waxseal, own",
            Self::WaxsealMetrics => "Waxseal, metrics",
            Self::WaxsealPatterns => "Waxseal, patterns",
            Self::WaxsealNames => "Waxseal, names",
            Self::WaxsealBefore => "Waxseal, before",
        })
    }
}

/// A side that answers.
pub(crate) struct Running {
    pub(crate) side: Side,
    pub(crate) port: u16,
    /// Nothing where there is no proxy.
    process: Option<Process>,
}

impl Running {
    /// Starts one side in front of the Redis on `redis_port`. A peer that cannot be installed or does
    /// not come up is an error to report.
    ///
    /// # Panics
    ///
    /// When Waxseal itself does not come up: without it there is nothing to measure.
    pub(crate) fn start(side: Side, redis_port: u16, more: &[&str]) -> Result<Self, String> {
        let program = match side {
            Side::NoProxy => {
                return Ok(Self {
                    side,
                    port: redis_port,
                    process: None,
                });
            }
            Side::Waxseal
            | Side::WaxsealOwn
            | Side::WaxsealMetrics
            | Side::WaxsealPatterns
            | Side::WaxsealNames => env!("CARGO_BIN_EXE_waxseal").into(),
            Side::WaxsealBefore => std::env::var_os(BEFORE)
                .ok_or_else(|| format!("{BEFORE} does not name a binary of another commit"))?
                .into(),
            _ => peers::program(side)?,
        };
        let mut last = String::new();
        for _ in 0..START_ATTEMPTS {
            let directory = tempfile::Builder::new()
                .prefix("waxseal-bench-")
                .tempdir()
                .map_err(|error| format!("no directory for its settings: {error}"))?;
            let command = Command::new(&program);
            let started = if side.seals() {
                start_waxseal(command, side, redis_port, more, directory)
            } else {
                start_peer(command, side, redis_port, directory)
            };
            match started {
                Ok(running) => return Ok(running),
                Err(problem) => last = problem,
            }
        }
        assert!(!side.seals(), "{side} did not come up: {last}");
        Err(format!("it did not come up: {last}"))
    }

    pub(crate) fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Process::pid)
    }

    /// Processor time of the proxy since it started, in seconds.
    pub(crate) fn cpu(&self) -> f64 {
        self.pid().map_or(0.0, cpu_seconds)
    }

    /// Makes sure that this side does what it is measured for: values come back as they were sent,
    /// and are in Redis sealed or as they were sent, as it befits the side.
    pub(crate) fn prove(&self, redis: &mut Client, size: usize) {
        let side = self.side;
        let (name, value) = (record_name(0), load::value(size));
        let mut client = Client::connect(self.port).expect("the side accepts connections");
        redis.cmd(&["DEL", &name]);
        let set = client.cmd(&[b"SET", name.as_bytes(), &value]);
        assert!(set == load::ok(), "{side} answers SET with something else");
        let got = client.cmd(&["GET", &name]);
        assert!(
            got == Reply::Bulk(value.clone()),
            "{side} answers GET with something else"
        );
        if side == Side::WaxsealNames {
            let renamed = redis.cmd(&["EXISTS", &name]);
            assert!(renamed == Reply::Int(0), "{side} does not seal names");
            return;
        }
        let stored = redis.cmd(&["GET", &name]).bytes().expect("a record");
        if side.seals() {
            let clear = stored.windows(value.len()).any(|part| part == value);
            assert!(stored.len() > size && !clear, "{side} does not seal");
        } else {
            assert!(stored == value, "{side} changes what it forwards");
        }
    }
}

fn start_peer(
    mut command: Command,
    side: Side,
    redis_port: u16,
    directory: TempDir,
) -> Result<Running, String> {
    let port = free_port();
    peers::configure(&mut command, side, port, redis_port, directory.path())
        .map_err(|error| format!("its settings cannot be written: {error}"))?;
    let mut process = Process::start(command, directory)?;
    wait_for(&mut process, |_| answers(port).then_some(()))?;
    Ok(Running {
        side,
        port,
        process: Some(process),
    })
}

fn start_waxseal(
    mut command: Command,
    side: Side,
    redis_port: u16,
    more: &[&str],
    directory: TempDir,
) -> Result<Running, String> {
    let upstream = match side {
        Side::WaxsealOwn => "own",
        _ => "auto",
    };
    command.arg("proxy");
    if side == Side::WaxsealMetrics {
        command.args(["--admin", "127.0.0.1:0"]);
    }
    let blocks = match side {
        Side::WaxsealPatterns => Some(many_patterns()),
        Side::WaxsealNames => Some(sealed_names()),
        _ => None,
    };
    if let Some(blocks) = blocks {
        let file = directory.path().join("patterns.toml");
        std::fs::write(&file, blocks)
            .map_err(|error| format!("its settings cannot be written: {error}"))?;
        command.arg("--config").arg(file);
    } else {
        command.args(["--protect", PATTERN, "--format", "sealed"]);
    }
    command
        .args(["--listen", "127.0.0.1:0"])
        .args(["--store", &format!("redis://127.0.0.1:{redis_port}")])
        .args(["--upstream", upstream])
        .args(more)
        .env("REDIS_ENCRYPTION_KEY", KEY)
        .env("ENABLE_REDIS_ENCRYPTION", "required");
    let mut process = Process::start(command, directory)?;
    let port = wait_for(&mut process, |process| listening_port(&process.log()))?;
    wait_for(&mut process, |_| answers(port).then_some(()))?;
    Ok(Running {
        side,
        port,
        process: Some(process),
    })
}

/// [`PATTERN`] and 19 others that begin as it does and are tried before it, each with two exceptions.
fn many_patterns() -> String {
    let others = (1..20).map(|number| format!("{PATTERN}:part{number}:*"));
    let patterns = others.chain([PATTERN.to_owned()]);
    let blocks = patterns.map(|records| {
        format!(
            "[[protect]]\nrecords = \"{records}\"\nformat = \"sealed\"\n\
             except = [\"{records}_LOCK\", \"{records}:count:*\"]\n"
        )
    });
    blocks.collect()
}

/// [`PATTERN`] with sealed names.
fn sealed_names() -> String {
    format!(
        "[[protect]]\nrecords = \"{PATTERN}\"\nformat = \"sealed\"\nnames = \"sealed\"\nwrite_version = 3\n"
    )
}

/// The port in `waxseal: listening on 127.0.0.1:41234`, once the line is complete.
fn listening_port(log: &str) -> Option<u16> {
    let (_, remaining) = log.split_once("waxseal: listening on 127.0.0.1:")?;
    let (port, _) = remaining.split_once('\n')?;
    port.trim().parse().ok()
}

fn wait_for<T>(
    process: &mut Process,
    mut probe: impl FnMut(&Process) -> Option<T>,
) -> Result<T, String> {
    let give_up = Instant::now() + START_LIMIT;
    loop {
        if let Some(seen) = probe(process) {
            return Ok(seen);
        }
        if process.has_ended() {
            return Err(format!("it ended; its log:\n{}", process.end_of_log()));
        }
        if Instant::now() > give_up {
            let log = process.end_of_log();
            return Err(format!("it did not answer; its log:\n{log}"));
        }
        sleep(PAUSE);
    }
}

/// True if a command gets through to Redis and back.
fn answers(port: u16) -> bool {
    let Ok(mut client) = Client::connect(port) else {
        return false;
    };
    let reply = client.try_cmd(&["EXISTS", &record_name(0)]);
    matches!(reply, Ok(Reply::Int(_)))
}
