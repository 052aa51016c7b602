//! A process that dies with the value that owns it, and what Linux tells about it under `/proc`: the
//! processor time and the memory that it used. Does not know what it runs.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

/// Linux counts processor time for `/proc` in hundredths of a second.
const TICKS_A_SECOND: f64 = 100.0;

/// Lines of a log that are shown when a process does not come up.
const SHOWN_OF_LOG: usize = 6;

/// A running process with a directory of its own, which holds its settings and its log.
pub(crate) struct Process {
    child: Child,
    directory: TempDir,
}

impl Process {
    pub(crate) fn start(mut command: Command, directory: TempDir) -> Result<Self, String> {
        let failed = |error| format!("{}: {error}", command.get_program().display());
        let log = File::create(log_path(directory.path())).map_err(failed)?;
        let errors = log.try_clone().map_err(failed)?;
        let program = command.get_program().to_os_string();
        let child = command
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .spawn()
            .map_err(|error| format!("{}: {error}", program.display()))?;
        Ok(Self { child, directory })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(log_path(self.directory.path())).unwrap_or_default()
    }

    pub(crate) fn end_of_log(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(SHOWN_OF_LOG)..].join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only when the process is gone already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn log_path(directory: &Path) -> std::path::PathBuf {
    directory.join("output.log")
}

/// Processor time of all threads of a process since it started, in seconds.
pub(crate) fn cpu_seconds(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process runs, on Linux");
    // The program's name is in brackets and may hold anything.
    let (_, fields) = stat.rsplit_once(") ").expect("a name in brackets");
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let ticks = |field: usize| fields[field].parse::<f64>().expect("a number of ticks");
    let (user, system) = (ticks(11), ticks(12));
    (user + system) / TICKS_A_SECOND
}

/// Memory of a process that is resident now, in KiB.
pub(crate) fn resident(pid: u32) -> f64 {
    status(pid, "VmRSS:")
}

/// The most memory of a process that was ever resident, in KiB.
pub(crate) fn most_resident(pid: u32) -> f64 {
    status(pid, "VmHWM:")
}

fn status(pid: u32, field: &str) -> f64 {
    let status =
        fs::read_to_string(format!("/proc/{pid}/status")).expect("the process runs, on Linux");
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let figure = line.expect("Linux tells it").trim();
    let figure = figure.strip_suffix(" kB").expect("a figure in KiB");
    figure.trim().parse().expect("a number")
}

/// The limit of open files of this process and of those that it starts, raised as far as it
/// goes without more rights.
pub(crate) fn raise_file_limit() -> usize {
    let (soft, hard) = file_limits();
    if soft < hard {
        let raised = Command::new("prlimit")
            .args(["--pid", &std::process::id().to_string()])
            .arg(format!("--nofile={hard}:{hard}"))
            .status();
        if !raised.is_ok_and(|status| status.success()) {
            println!("the limit of open files could not be raised from {soft} to {hard}");
        }
    }
    file_limits().0
}

fn file_limits() -> (usize, usize) {
    let limits = fs::read_to_string("/proc/self/limits").expect("Linux tells it");
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"));
    let mut words = line.expect("a line for open files").split_whitespace();
    let mut limit = || {
        let word = words.next().expect("two limits");
        word.parse().unwrap_or(usize::MAX)
    };
    (limit(), limit())
}

/// A port that no one listens on right now.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    listener.local_addr().expect("an address").port()
}
