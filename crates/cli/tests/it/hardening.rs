//! Tests of what keeps secrets in the memory of a process: it leaves no core file, and what runs for long
//! locks its memory where it may and works where it may not. Linux tells about both under `/proc`.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use tempfile::TempDir;
use waxseal_testing::{Client, RedisServer};

use crate::program::{KEY, Program, Running, wait_until};

const NOT_LOCKED: &str = "memory is not locked";
/// A proxy that says more than it must.
const PROXY: [&str; 7] = [
    "proxy",
    "--listen",
    "127.0.0.1:0",
    "--protect",
    "wa:*",
    "--log",
    "debug",
];

/// Starts a proxy by a shell that sets its limits before, and waits until it listens.
#[track_caller]
fn start_proxy(server: &RedisServer, limits: &str) -> (Running, u16, String) {
    let mut running = Program::at(server).start_after(limits, &PROXY);
    let (mut port, mut said) = (None, String::new());
    running.wait_until_stderr(|text| {
        said = text.to_owned();
        let line = text
            .split_inclusive('\n')
            .find(|line| line.starts_with("waxseal: listening on ") && line.ends_with('\n'));
        port = line.and_then(|line| line.trim_end().rsplit_once(':')?.1.parse().ok());
        port.is_some()
    });
    (running, port.unwrap(), said)
}

/// Writes and reads through a proxy, much more than fits in a small limit of locked memory.
#[track_caller]
fn assert_works(port: u16) {
    let mut client = Client::connect(port).unwrap();
    let value = "v".repeat(1 << 20);
    for name in ["wa:1", "wa:2", "wa:3"] {
        assert_eq!(client.cmd(&["SET", name, &value]).to_text(), "OK");
        assert_eq!(client.cmd(&["GET", name]).to_text(), value);
    }
}

/// One limit in `/proc/PID/limits`: the current one, and the maximum.
#[track_caller]
fn limit(pid: u32, name: &str) -> (String, String) {
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let line = limits.lines().find_map(|line| line.strip_prefix(name));
    let mut words = line.unwrap().split_whitespace().map(str::to_owned);
    (words.next().unwrap(), words.next().unwrap())
}

/// The memory that a process has locked, in KiB.
#[track_caller]
fn locked(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmLck:"));
    let number = line.unwrap().trim().trim_end_matches(" kB").parse();
    number.unwrap()
}

/// Starts a program in a directory, in which it may leave a core file of any size. It waits for its
/// stdin.
fn start_dumpable(directory: &Path, program: &str, arguments: &[&str]) -> Child {
    Command::new("sh")
        .args(["-c", "ulimit -c unlimited && exec \"$0\" \"$@\"", program])
        .args(arguments)
        .current_dir(directory)
        .env("REDIS_ENCRYPTION_KEY", KEY)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

/// Ends a program as a crash would, once it runs.
#[track_caller]
fn crash(mut child: Child, program: &str) -> ExitStatus {
    let name = Path::new(program).file_name().unwrap().to_str().unwrap();
    let comm = format!("/proc/{}/comm", child.id());
    wait_until(|| fs::read_to_string(&comm).unwrap().trim() == name);
    if name == "waxseal" {
        wait_until(|| limit(child.id(), "Max core file size").1 == "0");
    }
    let pid = child.id().to_string();
    let sent = Command::new("kill").args(["-s", "ABRT", &pid]).status();
    assert!(sent.unwrap().success());
    child.wait().unwrap()
}

#[test]
fn a_crash_leaves_no_core_file() {
    const ABORTED: Option<i32> = Some(6);
    let directory = TempDir::new().unwrap();
    let waxseal = env!("CARGO_BIN_EXE_waxseal");
    let ended = crash(
        start_dumpable(directory.path(), waxseal, &["seal"]),
        waxseal,
    );
    assert_eq!((ended.signal(), ended.core_dumped()), (ABORTED, false));
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    // A program that does nothing about it leaves one, or this would show nothing.
    let ended = crash(start_dumpable(directory.path(), "cat", &[]), "cat");
    assert_eq!((ended.signal(), ended.core_dumped()), (ABORTED, true));
}

#[test]
fn a_proxy_leaves_no_core_file_whatever_the_limit_was() {
    let server = RedisServer::start();
    let (running, port, said) = start_proxy(&server, "ulimit -c unlimited");
    let nothing = ("0".to_owned(), "0".to_owned());
    assert_eq!(limit(running.pid(), "Max core file size"), nothing);
    assert!(said.contains("core dumps are off\n"), "{said}");
    assert_works(port);
    running.signal("TERM");
    running.end().done();
}

/// Tests both cases: where the limit cannot be raised, that is reported instead.
#[test]
fn memory_is_locked_where_there_is_no_limit() {
    let server = RedisServer::start();
    let raise = "ulimit -l unlimited 2>/dev/null || true";
    let (running, port, said) = start_proxy(&server, raise);
    assert_works(port);
    if limit(running.pid(), "Max locked memory").0 == "unlimited" {
        assert!(locked(running.pid()) > 0);
        assert!(said.contains("memory is locked"), "{said}");
        assert!(!said.contains(NOT_LOCKED), "{said}");
    } else {
        assert_eq!(locked(running.pid()), 0);
        assert!(said.contains(NOT_LOCKED), "{said}");
    }
    running.signal("TERM");
    running.end().done();
}

#[test]
fn a_proxy_works_where_memory_must_not_be_locked_and_says_so() {
    let server = RedisServer::start();
    let (running, port, said) = start_proxy(&server, "ulimit -l 64");
    assert_eq!(locked(running.pid()), 0);
    assert_eq!(said.matches(NOT_LOCKED).count(), 1, "{said}");
    assert!(said.contains("INFO memory is not locked"), "{said}");
    assert!(said.contains("the limit is 64 KiB"), "{said}");
    assert!(said.contains("LimitMEMLOCK=infinity"), "{said}");
    assert_works(port);
    running.signal("TERM");
    running.end().done();
}

#[test]
fn commands_that_end_soon_lock_nothing_and_say_nothing() {
    let program = Program::new().env("REDIS_ENCRYPTION_KEY", KEY);
    let run = program.start_after("ulimit -l 64", &["seal"]);
    let output = run.end().done();
    assert_eq!(output.stderr, "");
}

#[test]
fn doctor_tells_about_core_dumps_and_memory() {
    let program = Program::with_file();
    let run = program.start_after("ulimit -l 64", &["doctor", "--json"]);
    let report = run.end().done().json();
    let found = |check: &str| {
        let mut findings = report.as_array().unwrap().iter();
        let finding = findings.find(|it| it["check"] == check).unwrap();
        finding["found"].as_str().unwrap().to_owned()
    };
    assert_eq!(found("core dumps"), "off");
    let memory = found("memory");
    assert!(memory.contains("the limit here is 64 KiB"), "{memory}");
}
