//! A service as a child process: started with a log, awaited, frozen, killed, and killed with the
//! value that owns it. Callers know what the service is and when it is ready.

use std::fs::{self, OpenOptions};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::redis_server::free_port;

/// The time a service may take to become ready, generous enough for an interpreter on a busy
/// machine.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// The interval between two readiness checks.
const CHECK_INTERVAL: Duration = Duration::from_millis(10);
/// Attempts to start a service.
const MAX_START_ATTEMPTS: usize = 5;
/// Lines of its log that a failure message shows.
const MAX_LOG_LINES: usize = 12;

/// A running process with all of its children. Dropping it kills them.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    log: PathBuf,
    /// True once its status was reaped: the process id may belong to another process from then on.
    ended: bool,
}

impl Process {
    /// Starts a program that logs to `log`, and waits until `is_ready`, which is passed the log so
    /// far.
    pub(crate) fn start(
        command: &mut Command,
        log: &Path,
        mut is_ready: impl FnMut(&str) -> bool,
    ) -> Result<Self, String> {
        let file = OpenOptions::new().create(true).append(true).open(log);
        let file = file.expect("open the service's log");
        let child = command
            // Its children are in the same group, and signalled together with it.
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(file.try_clone().expect("share the log"))
            .stderr(file)
            .spawn()
            .map_err(|error| format!("{}: {error}", command.get_program().display()))?;
        let mut process = Self {
            child,
            log: log.to_owned(),
            ended: false,
        };
        let give_up = Instant::now() + START_TIMEOUT;
        while !is_ready(&process.read_log()) {
            if let Ok(Some(status)) = process.child.try_wait() {
                process.ended = true;
                return Err(process.failure(&format!("ended with {status}")));
            }
            if Instant::now() > give_up {
                return Err(process.failure("did not get ready"));
            }
            sleep(CHECK_INTERVAL);
        }
        Ok(process)
    }

    /// SIGSTOP: its sockets stay open and are not answered.
    pub(crate) fn freeze(&self) {
        self.signal("STOP");
    }

    /// SIGCONT: resumes after [`Process::freeze`].
    pub(crate) fn thaw(&self) {
        self.signal("CONT");
    }

    /// SIGKILL, as when the machine loses power.
    pub(crate) fn kill(&mut self) {
        if !self.ended {
            // Fails only if all of them have ended already, which is the goal.
            let _ = self.send("KILL");
            let _ = self.child.kill();
            let _ = self.child.wait();
            self.ended = true;
        }
    }

    fn signal(&self, signal: &str) {
        assert!(
            !self.ended && self.send(signal),
            "could not signal a service that should run"
        );
    }

    fn send(&self, signal: &str) -> bool {
        let group = format!("-{}", self.child.id());
        let sent = Command::new("kill")
            .args(["-s", signal, "--", &group])
            .stderr(Stdio::null())
            .status();
        sent.is_ok_and(|status| status.success())
    }

    fn read_log(&self) -> String {
        let bytes = fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn failure(&self, what: &str) -> String {
        let log = self.read_log();
        let newest: Vec<&str> = log.lines().rev().take(MAX_LOG_LINES).collect();
        format!("it {what}; its log, newest first:\n{}", newest.join("\n"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Starts a service on a free port. Another process may take the port first, hence the attempts.
///
/// # Panics
///
/// If it does not start.
pub(crate) fn on_a_free_port<T>(
    service: &str,
    mut start: impl FnMut(u16) -> Result<T, String>,
) -> T {
    let mut last = String::new();
    for _ in 0..MAX_START_ATTEMPTS {
        match start(free_port()) {
            Ok(started) => return started,
            Err(reason) => last = reason,
        }
    }
    panic!("{service} did not start after {MAX_START_ATTEMPTS} attempts; the last one: {last}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_are_killed_with_the_process() {
        let directory = tempfile::tempdir().unwrap();
        let mut shell = Command::new("sh");
        shell.args(["-c", "sleep 600 & echo child $!; wait"]);
        let mut number = String::new();
        let process = Process::start(&mut shell, &directory.path().join("log"), |log| {
            number = log.trim().replace("child ", "");
            !number.is_empty() && log.ends_with('\n')
        });
        let child = PathBuf::from(format!("/proc/{number}/exe"));
        assert!(child.exists());
        drop(process.unwrap());
        let give_up = Instant::now() + START_TIMEOUT;
        while child.exists() {
            assert!(Instant::now() < give_up, "the child lives on");
            sleep(CHECK_INTERVAL);
        }
    }

    #[test]
    fn a_program_that_ends_at_once_is_shown_with_its_log() {
        let directory = tempfile::tempdir().unwrap();
        let mut shell = Command::new("sh");
        shell.args(["-c", "echo bad luck; exit 3"]);
        let failure = Process::start(&mut shell, &directory.path().join("log"), |_| false);
        let failure = failure.unwrap_err();
        assert!(failure.contains("exit status: 3"), "{failure}");
        assert!(failure.contains("bad luck"), "{failure}");
    }
}
