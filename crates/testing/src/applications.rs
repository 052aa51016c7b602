//! Programs that use a framework as applications do, each in its own directory below
//! `applications/`: the configuration of a proxy for it (`waxseal.toml`), the program, and the page
//! about it (`page.md`). They get the server's address as arguments and print their observations as
//! lines of JSON. This module builds their commands, with the packages that `cargo xtask tools` has
//! installed, and runs them within a time limit. It does not know what they do.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::tools::{on_path, packages, workspace_root};

const RECIPE: &str = "waxseal.toml";
const PAGE: &str = "page.md";
/// The line of a page that names the versions it was tested with.
const VERSIONS: &str = "versions:";
/// The packages' path below the directory of tools.
const INSTALLED: &str = "applications";
const CHECK_INTERVAL: Duration = Duration::from_millis(5);

/// One framework.
#[derive(Debug, Clone, Copy)]
pub struct Application {
    name: &'static str,
}

/// A program of a framework that can be started more than once.
#[derive(Debug)]
pub struct ApplicationProgram {
    program: PathBuf,
    arguments: Vec<PathBuf>,
    variables: Vec<(&'static str, String)>,
    /// True if a manifest of ours says which versions of packages it runs with.
    is_pinned: bool,
    /// A copy of its sources, where they must be beside their packages.
    _sources: Option<TempDir>,
}

/// The end of a program.
#[derive(Debug)]
pub struct Outcome {
    /// `None` if it was killed: by the time limit, or because `enough` was satisfied.
    pub status: Option<ExitStatus>,
    /// Its stdout.
    pub stdout: String,
    /// Its stderr.
    pub stderr: String,
}

impl Application {
    /// The framework of this directory below `crates/testing/applications`.
    #[must_use]
    pub const fn named(name: &'static str) -> Self {
        Self { name }
    }

    /// The name of its directory.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.name
    }

    /// The configuration of the proxy for it.
    ///
    /// # Panics
    ///
    /// If it has none.
    #[must_use]
    pub fn recipe(self) -> String {
        self.read(RECIPE)
    }

    /// The versions that its page names.
    ///
    /// # Panics
    ///
    /// If it has no page, or the page no such line.
    #[must_use]
    pub fn versions(self) -> String {
        let page = self.read(PAGE);
        let line = page.lines().find_map(|line| line.strip_prefix(VERSIONS));
        line.expect("the page names versions").trim().to_owned()
    }

    /// A program in Python, for example `program.py`.
    ///
    /// # Panics
    ///
    /// If the packages are not installed.
    #[must_use]
    pub fn python(self, program: &str) -> ApplicationProgram {
        let runtime = runtime("python");
        let packages = packages(
            &format!("{INSTALLED}/python"),
            &runtime.join("requirements.txt"),
        );
        let path = [packages, runtime, self.directory()].map(|it| it.display().to_string());
        ApplicationProgram {
            program: on_path("python3"),
            arguments: vec![self.directory().join(program)],
            variables: vec![
                ("PYTHONPATH", path.join(":")),
                ("PYTHONDONTWRITEBYTECODE", "1".to_owned()),
                ("PYTHONUTF8", "1".to_owned()),
                // The output before it is killed must not be lost in a buffer.
                ("PYTHONUNBUFFERED", "1".to_owned()),
            ],
            is_pinned: true,
            _sources: None,
        }
    }

    /// A program for Node, for example `program.mjs`.
    ///
    /// # Panics
    ///
    /// If the packages are not installed.
    #[must_use]
    pub fn node(self, program: &str) -> ApplicationProgram {
        let runtime = runtime("node");
        let packages = packages(
            &format!("{INSTALLED}/node"),
            &runtime.join("package-lock.json"),
        );
        // Modules are resolved in the parent directories.
        let sources = tempfile::tempdir_in(&packages).expect("make a directory for the program");
        for directory in [&runtime, &self.directory()] {
            for source in files(directory) {
                let name = source.file_name().expect("a file");
                fs::copy(&source, sources.path().join(name)).expect("copy the program");
            }
        }
        ApplicationProgram {
            program: on_path("node"),
            arguments: vec![sources.path().join(program)],
            variables: Vec::new(),
            is_pinned: true,
            _sources: Some(sources),
        }
    }

    /// A program for an interpreter of the operating system, for example `php` and `program.php`.
    ///
    /// # Panics
    ///
    /// If there is no such interpreter.
    #[must_use]
    pub fn system(self, interpreter: &str, program: &str) -> ApplicationProgram {
        ApplicationProgram {
            program: on_path(interpreter),
            arguments: vec![self.directory().join(program)],
            variables: Vec::new(),
            is_pinned: false,
            _sources: None,
        }
    }

    fn directory(self) -> PathBuf {
        directory().join(self.name)
    }

    fn read(self, file: &str) -> String {
        let path = self.directory().join(file);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }
}

impl ApplicationProgram {
    /// True if one of our manifests pins the versions of its packages, rather than the operating
    /// system.
    #[must_use]
    pub fn is_pinned(&self) -> bool {
        self.is_pinned
    }

    /// Adds a variable to its environment.
    #[must_use]
    pub fn env(mut self, name: &'static str, value: &str) -> Self {
        self.variables.push((name, value.to_owned()));
        self
    }

    /// Starts it with these arguments in the background, with its stderr in this file.
    ///
    /// # Panics
    ///
    /// If it cannot be started.
    #[must_use]
    pub fn start(&self, arguments: &[&str], stderr: File) -> Child {
        let mut command = Command::new(&self.program);
        command
            .args(&self.arguments)
            .args(arguments)
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr);
        command.spawn().expect("start the program")
    }

    /// Runs it against a server at this port of 127.0.0.1, for at most `limit`; its steps give up
    /// after `step_timeout`. Its children end with it.
    ///
    /// # Panics
    ///
    /// If it cannot be started.
    #[must_use]
    pub fn run(&self, port: u16, step_timeout: Duration, limit: Duration) -> Outcome {
        self.run_until(port, step_timeout, limit, || false)
    }

    /// Like [`run`](Self::run), but kills it as soon as `enough` returns true.
    ///
    /// # Panics
    ///
    /// If it cannot be started.
    #[must_use]
    pub fn run_until(
        &self,
        port: u16,
        step_timeout: Duration,
        limit: Duration,
        enough: impl FnMut() -> bool,
    ) -> Outcome {
        let scratch = TempDir::new().expect("make a directory for the output");
        let path = |name: &str| scratch.path().join(name);
        let create = |name: &str| File::create(path(name)).expect("make a file for the output");
        let mut command = Command::new(&self.program);
        command
            .args(&self.arguments)
            .arg("127.0.0.1")
            .arg(port.to_string())
            .env("STEP_TIMEOUT", step_timeout.as_secs().to_string())
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .current_dir(scratch.path())
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(create("stdout"))
            .stderr(create("stderr"));
        let mut child = command.spawn().expect("start the program");
        let status = wait(&mut child, limit, enough);
        // Its children may still run, however it ended.
        kill_group(child.id());
        // Fails if the status was already reaped.
        let _ = child.wait();
        let read = |name: &str| {
            let bytes = fs::read(path(name)).expect("read the output");
            String::from_utf8_lossy(&bytes).into_owned()
        };
        Outcome {
            status,
            stdout: read("stdout"),
            stderr: read("stderr"),
        }
    }
}

impl Outcome {
    /// True if it exited with status 0.
    #[must_use]
    pub fn succeeded(&self) -> bool {
        self.status.is_some_and(|status| status.success())
    }
}

/// The names of all frameworks that have a recipe.
///
/// # Panics
///
/// If the directory cannot be read.
#[must_use]
pub fn all() -> Vec<String> {
    let entries = fs::read_dir(directory()).expect("read the directory of applications");
    let paths = entries.map(|entry| entry.expect("read the directory").path());
    let mut names: Vec<String> = paths
        .filter(|path| path.join(RECIPE).is_file())
        .filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned()))
        .collect();
    names.sort();
    names
}

fn directory() -> PathBuf {
    workspace_root().join("crates/testing/applications")
}

/// The files shared by all programs in one language, with the manifest of their packages.
fn runtime(language: &str) -> PathBuf {
    directory().join(language)
}

fn files(directory: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(directory).expect("read the directory of a program");
    let paths = entries.map(|entry| entry.expect("read the directory of a program").path());
    paths.filter(|path| path.is_file())
}

/// Waits for the exit status of a program; `None` if it did not end in time, or before `enough`
/// returned true.
pub(crate) fn wait(
    child: &mut Child,
    limit: Duration,
    mut enough: impl FnMut() -> bool,
) -> Option<ExitStatus> {
    let give_up = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait().expect("the program is ours") {
            return Some(status);
        }
        if Instant::now() > give_up || enough() {
            return None;
        }
        sleep(CHECK_INTERVAL);
    }
}

/// Kills the remaining processes of a program: itself, or its children.
fn kill_group(leader: u32) {
    let group = format!("-{leader}");
    let mut kill = Command::new("kill");
    kill.args(["-KILL", "--", &group]).stderr(Stdio::null());
    // Fails if none remain.
    let _ = kill.status();
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_millis(200);

    fn shell(script: &str) -> (TempDir, ApplicationProgram) {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("program.sh");
        fs::write(&path, script).unwrap();
        let program = ApplicationProgram {
            program: on_path("sh"),
            arguments: vec![path],
            variables: Vec::new(),
            is_pinned: false,
            _sources: None,
        };
        (directory, program)
    }

    #[test]
    fn a_program_gets_address_timeout_and_variables() {
        let (_directory, program) = shell("echo $1 $2 $STEP_TIMEOUT $WORD; echo no >&2; exit 3");
        let program = program.env("WORD", "añil");
        let outcome = program.run(7001, Duration::from_secs(9), Duration::from_secs(60));
        assert_eq!(outcome.stdout, "127.0.0.1 7001 9 añil\n");
        assert_eq!(outcome.stderr, "no\n");
        assert!(!outcome.succeeded());
        assert_eq!(outcome.status.and_then(|it| it.code()), Some(3));
    }

    #[test]
    fn a_program_that_hangs_is_killed_with_its_children() {
        let (directory, program) = shell("echo begun; sleep 1000 & echo $! > \"$0.child\"; wait");
        let outcome = program.run(7001, SHORT, SHORT);
        assert!(outcome.status.is_none());
        assert_eq!(outcome.stdout, "begun\n");
        let child = fs::read_to_string(directory.path().join("program.sh.child")).unwrap();
        let path = format!("/proc/{}/stat", child.trim());
        // A killed process can stay in the table until its parent has reaped it.
        let is_dead = || fs::read_to_string(&path).map_or(true, |stat| stat.contains(") Z "));
        let give_up = Instant::now() + Duration::from_secs(60);
        while !is_dead() {
            assert!(Instant::now() < give_up, "the child lives");
            sleep(CHECK_INTERVAL);
        }
    }
}
