//! Running the binary: in a directory of its own, with no environment but what a test gives it, and
//! never without a limit. Everything that it writes is searched for what it must never show.

use std::collections::BTreeMap;
use std::fs;
use std::io::{PipeReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle, sleep};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;
use waxseal_testing::RedisServer;

/// The key that most tests configure.
pub(crate) const KEY: &str = "6c1f0a5be2d94738a1c05f3e7b9d2846f0e1d2c3b4a5968778695a4b3c2d1e0f";
/// One that was used before.
pub(crate) const OLD_KEY: &str = "91d2c3b4a5968778695a4b3c2d1e0f6c1f0a5be2d94738a1c05f3e7b9d2846f0";
/// One that has nothing to do with the store.
pub(crate) const OTHER_KEY: &str =
    "0a5be2d94738a1c05f3e7b9d2846f0e1d2c3b4a5968778695a4b3c2d1e0f6c1f";

/// Text in every state of the tests that nothing shown may hold.
const CONTENTS: [&str; 4] = ["domicilio", "@example.com", "XEXX0101", "showing_menu"];
/// Words of the commands that print values or names when they succeed, in results or examples.
const SHOWS: [&str; 7] = [
    "get",
    "open",
    "demo",
    "completions",
    "man",
    "--help",
    "find",
];
/// The prefix of users' phone numbers.
const PHONE: &str = "52155";

/// No command of a test takes this long: one that does hangs.
const LIMIT: Duration = Duration::from_secs(300);
/// Between two checks of what is waited for: the longer it takes, the longer, so that what takes a minute is not
/// checked ten thousand times. A look may cost a page of metrics or a process.
const PAUSES: [Duration; 2] = [Duration::from_millis(5), Duration::from_millis(100)];
/// This part of the time that something took is spent on the last pause at most.
const PART: u32 = 16;

/// The binary, with the directory and the environment that it runs in.
#[derive(Clone)]
pub(crate) struct Program {
    binary: PathBuf,
    directory: Arc<TempDir>,
    /// The working directory, if not its own.
    runs_in: Option<PathBuf>,
    /// The user that it runs as, with a group of the same number, if not that of the tests.
    user: Option<u32>,
    variables: BTreeMap<String, String>,
}

impl Program {
    /// In an empty directory, with nothing configured.
    pub(crate) fn new() -> Self {
        let directory = Arc::new(TempDir::new().unwrap());
        let path = std::env::var("PATH").unwrap();
        let variables = BTreeMap::from([("PATH".to_owned(), path)]);
        Self {
            binary: PathBuf::from(env!("CARGO_BIN_EXE_waxseal")),
            directory,
            runs_in: None,
            user: None,
            variables,
        }
    }

    /// The usual key and this server.
    pub(crate) fn at(server: &RedisServer) -> Self {
        Self::new()
            .env("REDIS_URL", &server.url())
            .env("REDIS_ENCRYPTION_KEY", KEY)
    }

    /// The usual key and an embedded store in the directory.
    pub(crate) fn with_file() -> Self {
        Self::new()
            .env("REDIS_URL", "file:states.waxseal")
            .env("REDIS_ENCRYPTION_KEY", KEY)
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }

    /// The same with another binary, which may be of a former version.
    pub(crate) fn with_binary(mut self, binary: &Path) -> Self {
        self.binary = binary.to_owned();
        self
    }

    /// The same as another user. The tests must be run as root.
    pub(crate) fn run_by(mut self, user: u32) -> Self {
        self.user = Some(user);
        self
    }

    /// The same in another directory.
    pub(crate) fn in_directory(mut self, directory: &Path) -> Self {
        self.runs_in = Some(directory.to_owned());
        self
    }

    /// The variables of its environment.
    pub(crate) fn variables(&self) -> &BTreeMap<String, String> {
        &self.variables
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.variables.remove(name);
        self
    }

    /// The same with another key, and these previous ones.
    pub(crate) fn keys(self, key: &str, previous: &str) -> Self {
        self.env("REDIS_ENCRYPTION_KEY", key)
            .env("REDIS_ENCRYPTION_PREVIOUS_KEYS", previous)
    }

    /// Writes a file into the directory; one of secrets as its readers want it.
    pub(crate) fn file(self, name: &str, content: &str) -> Self {
        let path = self.path(name);
        fs::write(&path, content).unwrap();
        if name == ".env" {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        }
        self
    }

    /// The configuration in the directory, where it must be named because of what it says: that is not a test's
    /// subject but of those that name it themselves.
    fn named_configuration(&self, arguments: &[&str]) -> Option<[&'static str; 2]> {
        const NAMED_ONLY: [&str; 2] = ["audit_log", "module-path="];
        let text = fs::read_to_string(self.path("waxseal.toml")).ok()?;
        let must = NAMED_ONLY.iter().any(|word| text.contains(word));
        let is_named = arguments.contains(&"--config");
        (must && !is_named && !arguments.is_empty()).then_some(["--config", "waxseal.toml"])
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.start(arguments).end()
    }

    /// The same, with this on stdin.
    pub(crate) fn run_with(&self, arguments: &[&str], input: &[u8]) -> Output {
        let command = self.command(arguments);
        self.spawn(command, arguments, Some(input)).end()
    }

    /// Starts a command, and lets the test continue.
    pub(crate) fn start(&self, arguments: &[&str]) -> Running {
        let command = self.command(arguments);
        self.spawn(command, arguments, None)
    }

    /// The same, with a stdout that is not read: its pipe is closed at once.
    pub(crate) fn start_unread(&self, arguments: &[&str]) -> Running {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = self.command(arguments);
        command.stdout(writer);
        self.start_as_it_is(command, arguments)
    }

    /// The same, with a stderr that only the test reads, from what this gives.
    pub(crate) fn start_with_own_stderr(&self, arguments: &[&str]) -> (Running, PipeReader) {
        let (reader, writer) = std::io::pipe().unwrap();
        let mut command = self.command(arguments);
        command.stdout(Stdio::piped()).stderr(writer);
        (self.start_with_its_streams(command, arguments), reader)
    }

    /// The same, with a stderr of the test's choice.
    pub(crate) fn start_with_stderr(&self, stderr: Stdio, arguments: &[&str]) -> Running {
        let mut command = self.command(arguments);
        command.stdout(Stdio::piped()).stderr(stderr);
        self.start_with_its_streams(command, arguments)
    }

    /// The same, by a shell that does something to itself before.
    pub(crate) fn start_after(&self, before: &str, arguments: &[&str]) -> Running {
        let mut command = Command::new("sh");
        command
            .arg("-c")
            .arg(format!("{before}; exec \"$0\" \"$@\""))
            .arg(&self.binary)
            .args(self.named_configuration(arguments).into_iter().flatten())
            .args(arguments);
        self.settle(&mut command);
        self.spawn(command, arguments, None)
    }

    /// The same, by a program with arguments that end where a command begins.
    pub(crate) fn start_within(&self, outer: &[String], arguments: &[&str]) -> Running {
        let (program, words) = outer.split_first().unwrap();
        let mut command = Command::new(program);
        command.args(words).arg(&self.binary).args(arguments);
        self.settle(&mut command);
        self.spawn(command, arguments, None)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        // Before the command: behind it, some take all words for others.
        command
            .args(self.named_configuration(arguments).into_iter().flatten())
            .args(arguments);
        self.settle(&mut command);
        command
    }

    fn settle(&self, command: &mut Command) {
        let directory = self.runs_in.as_deref().unwrap_or(self.directory.path());
        command
            .env_clear()
            .envs(&self.variables)
            .current_dir(directory)
            .stdin(Stdio::null());
        if let Some(user) = self.user {
            command.uid(user).gid(user);
        }
    }

    fn spawn(&self, mut command: Command, arguments: &[&str], input: Option<&[u8]>) -> Running {
        command.stdout(Stdio::piped());
        if input.is_some() {
            command.stdin(Stdio::piped());
        }
        let mut run = self.start_as_it_is(command, arguments);
        if let (Some(mut stdin), Some(input)) = (run.child.stdin.take(), input) {
            let input = input.to_vec();
            // It may end before it has read everything.
            thread::spawn(move || drop(stdin.write_all(&input)));
        }
        run
    }

    fn start_as_it_is(&self, mut command: Command, arguments: &[&str]) -> Running {
        command.stderr(Stdio::piped());
        self.start_with_its_streams(command, arguments)
    }

    fn start_with_its_streams(&self, mut command: Command, arguments: &[&str]) -> Running {
        let mut child = command.spawn().unwrap();
        Running {
            stdout: child.stdout.take().map(Captured::of).unwrap_or_default(),
            stderr: child.stderr.take().map(Captured::of).unwrap_or_default(),
            child,
            may_show: arguments.iter().any(|word| SHOWS.contains(word)),
            _directory: self.directory.clone(),
        }
    }
}

/// A command at work. Killed when dropped.
pub(crate) struct Running {
    child: Child,
    stdout: Captured,
    stderr: Captured,
    /// True if values and names are what was asked for.
    may_show: bool,
    /// Lives as long as the command does.
    _directory: Arc<TempDir>,
}

impl Running {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal, for example `INT`.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.pid().to_string();
        let sent = Command::new("kill")
            .args(["-s", name, &pid])
            .status()
            .unwrap();
        assert!(sent.success());
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Its output on stderr so far.
    pub(crate) fn said(&self) -> String {
        self.stderr.so_far()
    }

    /// Waits until it has said something on stderr.
    pub(crate) fn wait_until_it_says(&mut self, text: &str) {
        self.wait_until_stderr(|said| said.contains(text));
    }

    /// Waits until what it has said on stderr is as wanted.
    pub(crate) fn wait_until_stderr(&mut self, mut is_as_wanted: impl FnMut(&str) -> bool) {
        wait_until(|| {
            // Asked before: of a command that has ended, everything it wrote is read first.
            let has_ended = self.has_ended();
            if has_ended {
                self.stderr.read_to_end();
            }
            let said = self.stderr.so_far();
            let is_done = is_as_wanted(&said);
            assert!(is_done || !has_ended, "it ended: {said}");
            is_done
        });
    }

    /// The result of the process.
    pub(crate) fn end(mut self) -> Output {
        wait_until(|| self.has_ended());
        let status = self.child.wait().unwrap();
        let output = Output {
            status: status.code().expect("no signal ended it"),
            stdout: self.stdout.complete(),
            stderr: String::from_utf8(self.stderr.complete()).unwrap(),
        };
        output.assert_leaks_nothing(self.may_show && output.status == 0);
        output
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended long ago.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The output of a pipe, read by a thread.
#[derive(Default)]
struct Captured {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

impl Captured {
    fn of(mut pipe: impl Read + Send + 'static) -> Self {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let sink = bytes.clone();
        let reader = thread::spawn(move || {
            let mut chunk = [0; 8192];
            while let Ok(length @ 1..) = pipe.read(&mut chunk) {
                sink.lock().unwrap().extend_from_slice(&chunk[..length]);
            }
        });
        Self {
            bytes,
            reader: Some(reader),
        }
    }

    fn so_far(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock().unwrap()).into_owned()
    }

    /// Waits until the pipe is closed on the other side.
    fn read_to_end(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
    }

    fn complete(&mut self) -> Vec<u8> {
        self.read_to_end();
        std::mem::take(&mut self.bytes.lock().unwrap())
    }
}

/// The exit status and the output of a command.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) status: i32,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Output {
    /// Fails unless it ended with this status.
    #[track_caller]
    pub(crate) fn with_status(self, status: i32) -> Self {
        assert_eq!(self.status, status, "{}\n{}", self.text(), self.stderr);
        self
    }

    /// Fails unless it ended with one of these.
    #[track_caller]
    pub(crate) fn with_status_of(self, allowed: &[i32]) -> Self {
        assert!(
            allowed.contains(&self.status),
            "{}\n{}",
            self.text(),
            self.stderr
        );
        self
    }

    /// Fails unless it ended with this status and said this on stderr.
    #[track_caller]
    pub(crate) fn failed(self, status: i32, text: &str) -> Self {
        let this = self.with_status(status);
        assert!(
            this.stderr.contains(text),
            "no «{text}» in: {}",
            this.stderr
        );
        this
    }

    #[track_caller]
    pub(crate) fn done(self) -> Self {
        self.with_status(0)
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.stdout).expect("it printed JSON")
    }

    /// Keys never show; names and contents only on stdout, and only where they were asked for.
    #[track_caller]
    fn assert_leaks_nothing(&self, may_show: bool) {
        let (stdout, stderr) = (self.text(), &self.stderr);
        for key in [KEY, OLD_KEY, OTHER_KEY] {
            assert!(!format!("{stdout}{stderr}").contains(key), "a key shows");
        }
        let mut private = vec![stderr.as_str()];
        if !may_show {
            private.push(&stdout);
        }
        for text in private {
            for content in CONTENTS {
                assert!(!text.contains(content), "a value shows: {text}");
            }
            assert!(!shows_phone(text), "a record name shows: {text}");
        }
    }
}

/// True if a user's phone number is in a text: a port or a part of a longer number may start with the
/// same digits.
pub(crate) fn shows_phone(text: &str) -> bool {
    text.match_indices(PHONE).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let remaining = &text[at + PHONE.len()..];
        before.is_none_or(|it| !it.is_ascii_alphanumeric() && it != '.')
            && remaining.chars().take_while(char::is_ascii_digit).count() >= 4
    })
}

/// Waits for something that is sure to happen.
#[track_caller]
pub(crate) fn wait_until(mut happened: impl FnMut() -> bool) {
    assert!(happens_within(LIMIT, &mut happened), "it hangs");
}

/// Waits for something that may not happen; whether it did.
pub(crate) fn happens_within(limit: Duration, mut happened: impl FnMut() -> bool) -> bool {
    let started = Instant::now();
    while !happened() {
        let waited = started.elapsed();
        if waited >= limit {
            return false;
        }
        sleep((waited / PART).clamp(PAUSES[0], PAUSES[1]));
    }
    true
}
