//! Mutual exclusion of published locks on protected names: processes take one lock through the proxy over and
//! over, extend it, hold it for too long, and are killed while they hold it. Each process that gets the lock says so
//! at the server itself, in a record that lasts as long as the lock must (`applications/locks/enter.lua`).
//! Never may another have it by then.
//!
//! A lock that is released by deleting it shows that the record reports two holders.

use std::fs::File;
use std::process::Child;
use std::thread::sleep;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use waxseal_testing::{Application, ApplicationProgram, Client, RedisServer};

use super::monitor::MAGIC;
use super::{from_environment, leave, server};
use crate::program::wait_until;
use crate::proxy::Proxy;

/// No run takes so long, on however busy a machine.
const LIMIT: Duration = Duration::from_secs(240);
/// Between two checks of the holders.
const PAUSE: Duration = Duration::from_millis(10);
/// Attempts to find a holder before any process is killed.
const MAX_LOOKS: usize = 50;
/// The duration of the short form, and its number of processes.
const SHORT_SECONDS: u64 = 4;
const PROCESSES: usize = 6;

/// A library's lock.
struct Lock {
    name: &'static str,
    program: ApplicationProgram,
    /// The library's names of the lock and of its record.
    id: &'static str,
    record: &'static str,
    lifetime: Duration,
    flags: &'static [&'static str],
}

/// Processes that want one lock.
struct Contest {
    lock: Lock,
    redis: RedisServer,
    proxy: Proxy,
    direct: Client,
    holders: Vec<Child>,
    output: TempDir,
    started: usize,
    killed: usize,
    killed_holding: usize,
    /// Number of times that the lock's record was seen, sealed.
    sealed: usize,
}

impl Contest {
    #[track_caller]
    fn start(lock: Lock, processes: usize) -> Self {
        let redis = server();
        let records = ["--protect", "app:*", "--protect", "PHPREDIS_SESSION:*"];
        let flags = [&records[..], &["--format", "sealed"]].concat();
        let proxy = Proxy::start(&redis, &flags);
        let mut contest = Self {
            direct: redis.client(),
            lock,
            redis,
            proxy,
            holders: Vec::new(),
            output: TempDir::new().unwrap(),
            started: 0,
            killed: 0,
            killed_holding: 0,
            sealed: 0,
        };
        for _ in 0..processes {
            contest.add();
        }
        let begun = u64::try_from(processes).unwrap();
        wait_until(|| {
            contest.check();
            contest.count("entered") >= begun
        });
        contest
    }

    /// One more process.
    fn add(&mut self) {
        let stderr = File::create(self.output.path().join(self.started.to_string())).unwrap();
        self.started += 1;
        let proxy = self.proxy.port().to_string();
        let server = self.redis.port().to_string();
        let lifetime = self.lock.lifetime.as_millis().to_string();
        let mut arguments = vec!["127.0.0.1", &proxy, &server, self.lock.id, &lifetime];
        arguments.extend(self.lock.flags);
        self.holders
            .push(self.lock.program.start(&arguments, stderr));
    }

    /// Kills the holder, or every third time any process, and puts another in its place.
    fn kill(&mut self, turn: usize) {
        let witness = self.lasting_witness();
        let holder: Option<u32> = witness.split(':').next().and_then(|pid| pid.parse().ok());
        let is_holder = |child: &Child| Some(child.id()) == holder;
        let held = self.holders.iter().position(is_holder);
        let index = held.filter(|_| turn % 3 != 2);
        let index = index.unwrap_or(turn % self.holders.len());
        let mut victim = self.holders.swap_remove(index);
        victim.kill().unwrap();
        victim.wait().unwrap();
        self.killed += 1;
        // It may just have released the lock.
        let was_holding = Some(victim.id()) == holder && self.witness() == witness;
        self.killed_holding += usize::from(was_holding);
        self.add();
    }

    /// One that holds the lock for longer than between two looks, if there is any before long.
    fn lasting_witness(&mut self) -> String {
        let mut witness = self.witness();
        for _ in 0..MAX_LOOKS {
            sleep(PAUSE);
            let before = std::mem::replace(&mut witness, self.witness());
            if witness == before && !witness.is_empty() {
                break;
            }
        }
        witness
    }

    /// The process that holds the lock and the number of its turn, or nothing.
    fn witness(&mut self) -> String {
        let witness = self.direct.cmd(&["GET", "witness"]).bytes();
        String::from_utf8(witness.unwrap_or_default()).unwrap()
    }

    fn count(&mut self, what: &str) -> u64 {
        let count = self.direct.cmd(&["HGET", "counts", what]).bytes();
        let count = count.map(|count| String::from_utf8(count).unwrap());
        count.map_or(0, |count| count.parse().unwrap())
    }

    fn overlaps(&mut self) -> Vec<String> {
        let lines = self.direct.cmd(&["LRANGE", "overlaps", "0", "9"]).array();
        lines.iter().map(waxseal_testing::Reply::to_text).collect()
    }

    /// Fails if a process has ended without being killed; checks how the lock is stored.
    #[track_caller]
    fn check(&mut self) {
        for child in &mut self.holders {
            let ended = child.try_wait().unwrap();
            assert!(ended.is_none(), "a holder ended: {}", said(&self.output));
        }
        if let Some(value) = self.direct.cmd(&["GET", self.lock.record]).bytes() {
            assert!(value.starts_with(MAGIC), "the lock is stored in clear");
            self.sealed += 1;
        }
    }

    /// Lets them contend for so long, and until each kind of misfortune has happened.
    #[track_caller]
    fn run(&mut self, time: Duration) {
        let began = Instant::now();
        let mut next = began;
        let mut turn = 0;
        let wanted = usize::try_from(time.as_secs() / 2).unwrap();
        let mut outlived = 0;
        while began.elapsed() < time || self.killed_holding < wanted || outlived == 0 {
            assert!(began.elapsed() < LIMIT, "{}", self.summary(time));
            self.check();
            let overlaps = self.overlaps();
            assert!(overlaps.is_empty(), "two holders: {overlaps:?}");
            if Instant::now() > next {
                self.kill(turn);
                // Most locks of a holder that is too slow, and is not killed, last so long.
                next = Instant::now() + self.lock.lifetime * [5, 11, 8, 14][turn % 4] / 8;
                turn += 1;
            }
            outlived = self.count("outlived");
            sleep(PAUSE);
        }
    }

    /// Ends all of them well.
    #[track_caller]
    fn stop(mut self, time: Duration) {
        self.direct.cmd(&["SET", "stop", "1"]);
        for child in &mut self.holders {
            wait_until(|| child.try_wait().unwrap().is_some());
            let status = child.wait().unwrap();
            assert!(status.success(), "a holder failed: {}", said(&self.output));
        }
        let overlaps = self.overlaps();
        assert!(overlaps.is_empty(), "two holders: {overlaps:?}");
        assert!(self.sealed > 0, "the lock was never seen at the server");
        let summary = self.summary(time);
        leave(self.lock.name, &summary);
    }

    fn summary(&mut self, time: Duration) -> String {
        let [entered, extended, outlived] =
            ["entered", "extended", "outlived"].map(|what| self.count(what));
        format!(
            "{} processes, {} s: held {entered} times, extended {extended} times, outlived {outlived} times; \
             {} killed, {} of them holding it; never two holders",
            self.holders.len(),
            time.as_secs(),
            self.killed,
            self.killed_holding,
        )
    }
}

impl Drop for Contest {
    fn drop(&mut self) {
        for child in &mut self.holders {
            // They may have ended long ago.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The processes' stderr.
fn said(output: &TempDir) -> String {
    let entries = std::fs::read_dir(output.path()).unwrap();
    let texts = entries.map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap());
    texts.filter(|text| !text.is_empty()).collect()
}

fn redis_py(flags: &'static [&'static str]) -> Lock {
    Lock {
        name: "lock of redis-py",
        program: Application::named("locks").python("holder.py"),
        id: "app:lock:order",
        record: "app:lock:order",
        lifetime: Duration::from_millis(300),
        flags,
    }
}

#[track_caller]
fn excludes(lock: Lock) {
    let seconds = from_environment(super::SECONDS).unwrap_or(SHORT_SECONDS);
    let processes = from_environment("WAXSEAL_APPLICATIONS_PROCESSES");
    let processes = processes.map_or(PROCESSES, |count| usize::try_from(count).unwrap());
    let time = Duration::from_secs(seconds);
    let mut contest = Contest::start(lock, processes);
    contest.run(time);
    contest.stop(time);
}

#[test]
fn the_lock_of_redis_py_never_has_two_holders() {
    excludes(redis_py(&[]));
}

#[test]
fn the_session_lock_of_phpredis_never_has_two_holders() {
    excludes(Lock {
        name: "lock of phpredis sessions",
        program: Application::named("locks").system("php", "holder.php"),
        id: "cesta",
        record: "PHPREDIS_SESSION:cesta_LOCK",
        // It knows whole seconds only.
        lifetime: Duration::from_secs(1),
        flags: &[],
    });
}

#[test]
fn redlock_never_has_two_holders() {
    excludes(Lock {
        name: "lock of redlock",
        program: Application::named("locks").node("holder.mjs"),
        id: "app:lock:order",
        record: "app:lock:order",
        lifetime: Duration::from_millis(300),
        flags: &[],
    });
}

#[test]
fn a_lock_that_is_released_though_another_holds_it_is_noticed() {
    let mut contest = Contest::start(redis_py(&["broken"]), PROCESSES);
    wait_until(|| {
        contest.check();
        !contest.overlaps().is_empty()
    });
}
