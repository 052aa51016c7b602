//! Runs other programs visibly: each command line is printed before it runs, and its output goes
//! straight through. Also locates the workspace and its target directory.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The root of the workspace.
pub(crate) fn workspace_root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("xtask lies in the workspace")
}

/// The directory in which the tests look for servers; the same rule as in `waxseal-testing`.
pub(crate) fn tools_directory() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    workspace_root().join(target).join("tools")
}

/// A program with its arguments, to be run in the workspace's root.
pub(crate) fn command<S: AsRef<std::ffi::OsStr>>(program: &str, arguments: &[S]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(workspace_root());
    command
}

/// The Cargo that runs this chore.
pub(crate) fn cargo<S: AsRef<std::ffi::OsStr>>(arguments: &[S]) -> Command {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    command(&cargo, arguments)
}

/// The tests of the command line that match this filter, one after the other.
pub(crate) fn command_line_tests(filter: &str) -> Command {
    cargo(&[
        "test",
        "-p",
        "waxseal-cli",
        "--all-features",
        "--test",
        "it",
        "--",
        filter,
        "--test-threads=1",
    ])
}

/// Runs a command whose output goes straight through.
pub(crate) fn run(mut command: Command) -> Result<(), String> {
    let shown = shown(&command);
    eprintln!("$ {shown}");
    match command.stdin(Stdio::null()).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("`{shown}` ended with {status}")),
        Err(error) => Err(format!("`{shown}` could not be started: {error}")),
    }
}

/// The standard output of a command; `None` if it cannot be run or fails.
pub(crate) fn output(mut command: Command) -> Option<String> {
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// True if a directory of `PATH` has this program.
pub(crate) fn on_path(program: &str) -> bool {
    std::env::var_os("PATH")
        .iter()
        .flat_map(std::env::split_paths)
        .any(|directory| directory.join(program).is_file())
}

fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program())
        .file_name()
        .unwrap_or_default();
    let words = std::iter::once(program).chain(command.get_args());
    words
        .map(std::ffi::OsStr::to_string_lossy)
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_fails_is_named_with_its_arguments() {
        let problem = run(command("false", &["--really"])).unwrap_err();
        assert!(
            problem.starts_with("`false --really` ended with"),
            "{problem}"
        );
        assert!(run(command("true", &[""; 0])).is_ok());
    }

    #[test]
    fn a_command_that_is_missing_has_no_output() {
        assert_eq!(output(command("no-such-program-anywhere", &[""; 0])), None);
        assert_eq!(
            output(command("echo", &["hola"])).as_deref(),
            Some("hola\n")
        );
    }
}
