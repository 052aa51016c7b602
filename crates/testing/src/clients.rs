//! Programs in Node and Python that use published Redis clients as applications do. They are in
//! `clients/` beside this crate's sources and get the server's address as arguments; each checks
//! what it reads and prints it as lines of JSON. This module starts them, with the packages that
//! `cargo xtask tools` has installed from the manifests there, and never waits without a limit. It
//! does not know what they do.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::tools::{on_path, packages, workspace_root};

/// Longer than any program of a test takes: one that does hangs.
const PROGRAM_TIMEOUT: Duration = Duration::from_secs(120);

/// Runs one of the programs in `clients/node`, for example `ioredis.mjs`, against a server at this
/// port of 127.0.0.1. Returns its output.
///
/// # Panics
///
/// If the packages are not installed, and if the program fails or hangs: then with its output.
#[must_use]
pub fn node(program: &str, port: u16, arguments: &[&str]) -> String {
    let (command, _directory) = node_command(program);
    run(command, program, port, arguments)
}

/// Runs one of the programs in `clients/python`, in the same way.
///
/// # Panics
///
/// If the packages are not installed, and if the program fails or hangs: then with its output.
#[must_use]
pub fn python(program: &str, port: u16, arguments: &[&str]) -> String {
    run(python_command(program), program, port, arguments)
}

/// Starts a program in `clients/node` that runs until its input ends.
///
/// # Panics
///
/// If the packages are not installed.
#[must_use]
pub fn start_node(program: &str, port: u16, arguments: &[&str]) -> RunningProgram {
    let (command, directory) = node_command(program);
    RunningProgram::new(command, port, arguments, Some(directory))
}

/// Starts a program in `clients/python` that runs until its input ends.
///
/// # Panics
///
/// If the packages are not installed.
#[must_use]
pub fn start_python(program: &str, port: u16, arguments: &[&str]) -> RunningProgram {
    RunningProgram::new(python_command(program), port, arguments, None)
}

/// A program that runs until its input ends. Killed when dropped.
#[derive(Debug)]
pub struct RunningProgram {
    child: Child,
    output: TempDir,
    /// The directory it was started from, kept while it runs.
    _sources: Option<TempDir>,
}

impl RunningProgram {
    fn new(mut command: Command, port: u16, arguments: &[&str], sources: Option<TempDir>) -> Self {
        let output = TempDir::new().expect("make a directory for the output");
        let create = |name: &str| {
            File::create(output.path().join(name)).expect("make a file for the output")
        };
        let child = at(&mut command, port, arguments)
            .stdin(Stdio::piped())
            .stdout(create("out"))
            .stderr(create("err"))
            .spawn()
            .expect("start the program");
        Self {
            child,
            output,
            _sources: sources,
        }
    }

    /// Closes its input. Returns its output.
    ///
    /// # Panics
    ///
    /// If it fails or hangs: then with its output.
    #[must_use]
    pub fn finish(mut self) -> String {
        drop(self.child.stdin.take());
        let read = |name: &str| {
            fs::read_to_string(self.output.path().join(name)).expect("read the output")
        };
        match wait(&mut self.child) {
            Some(status) if status.success() => read("out"),
            status => panic!("a program ended with {status:?}:\n{}", read("err")),
        }
    }
}

impl Drop for RunningProgram {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs any other program to its end, with this input. Returns its output.
///
/// # Panics
///
/// If it fails or hangs: then with its output.
#[must_use]
pub fn finish(mut command: Command, input: &[u8]) -> String {
    let directory = TempDir::new().expect("make a directory for the output");
    let path = |name: &str| directory.path().join(name);
    fs::write(path("in"), input).expect("write the input");
    let create = |name: &str| File::create(path(name)).expect("make a file for the output");
    let mut child = command
        .stdin(File::open(path("in")).expect("open the input"))
        .stdout(Stdio::from(create("out")))
        .stderr(Stdio::from(create("err")))
        .spawn()
        .expect("start the program");
    let status = wait(&mut child);
    let read = |name: &str| {
        let bytes = fs::read(path(name)).expect("read the output");
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let ended = match status {
        Some(status) if status.success() => return read("out"),
        Some(status) => format!("ended with {status}"),
        None => "hangs".to_owned(),
    };
    let program = Path::new(command.get_program()).display();
    let arguments: Vec<_> = command.get_args().map(OsStr::to_string_lossy).collect();
    let arguments = arguments.join(" ");
    panic!(
        "{program} {arguments} {ended}:\n{}\n{}",
        read("out"),
        read("err")
    );
}

/// The exit status of a program; `None` if it had to be killed.
fn wait(child: &mut Child) -> Option<ExitStatus> {
    let status = crate::applications::wait(child, PROGRAM_TIMEOUT, || false);
    if status.is_none() {
        // It may end at this very moment.
        let _ = child.kill();
        let _ = child.wait();
    }
    status
}

/// The program, and the directory it was copied to.
fn node_command(program: &str) -> (Command, TempDir) {
    let packages = packages("node", &clients_directory("node").join("package-lock.json"));
    // Modules are resolved in the parent directories.
    let directory = tempfile::tempdir_in(&packages).expect("make a directory for the program");
    for source in sources("node") {
        let name = source.file_name().expect("a file");
        fs::copy(&source, directory.path().join(name)).expect("copy the program");
    }
    let mut command = Command::new(on_path("node"));
    command.arg(directory.path().join(program));
    (command, directory)
}

fn python_command(program: &str) -> Command {
    let packages = packages(
        "python",
        &clients_directory("python").join("requirements.txt"),
    );
    let mut command = Command::new(on_path("python3"));
    command
        .env("PYTHONPATH", packages)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("PYTHONUTF8", "1")
        .arg(clients_directory("python").join(program));
    command
}

fn at<'a>(command: &'a mut Command, port: u16, arguments: &[&str]) -> &'a mut Command {
    command
        .arg("127.0.0.1")
        .arg(port.to_string())
        .args(arguments)
}

fn run(mut command: Command, program: &str, port: u16, arguments: &[&str]) -> String {
    at(&mut command, port, arguments);
    let output = finish(command, b"");
    assert!(!output.is_empty(), "{program} checked nothing");
    output
}

fn sources(language: &str) -> impl Iterator<Item = PathBuf> {
    let entries =
        fs::read_dir(clients_directory(language)).expect("read the directory of programs");
    let is_module = |path: &PathBuf| path.extension().is_some_and(|it| it == "mjs");
    entries
        .map(|entry| entry.expect("read the directory of programs").path())
        .filter(is_module)
}

fn clients_directory(language: &str) -> PathBuf {
    let directory = workspace_root().join("crates").join("testing");
    directory.join("clients").join(language)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_gets_its_input_and_its_output_is_returned() {
        assert_eq!(finish(Command::new("cat"), "añil".as_bytes()), "añil");
    }

    #[test]
    #[should_panic(expected = "ended with")]
    fn a_program_that_fails_fails_the_test() {
        let _ = finish(Command::new("false"), b"");
    }
}
