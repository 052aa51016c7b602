//! `cargo xtask upgrade`: moves a keyring from a former version of the program to the present one and back, under
//! load, with processes of both. Builds the former binary from a commit, or takes one. The steps and the checks are
//! those of the command line's tests.

use std::fs;
use std::path::{Path, PathBuf};

use crate::Failure;
use crate::install;
use crate::run::{cargo, command, command_line_tests, output, run, workspace_root};

/// The last commit before the formats that an upgrade leads to: built where no release has a tag.
const BEFORE: &str = "d856aecf859314cd8509fa37c040d1c5aff024df";
/// The directory of the former source and its build.
const DIRECTORY: &str = "target/upgrade";

pub(crate) fn upgrade(arguments: &[String]) -> Result<(), Failure> {
    let options = Options::parse(arguments)?;
    install::everything()?;
    let before = match &options.binary {
        Some(binary) => PathBuf::from(binary),
        None => build(&options.before.unwrap_or_else(last_release))?,
    };
    let before = fs::canonicalize(&before)
        .map_err(|error| format!("{} cannot be run: {error}", before.display()))?;
    // A program of the tests, which `cargo test` builds only with all of the package.
    run(cargo(&[
        "build",
        "-p",
        "waxseal-cli",
        "--all-features",
        "--example",
        "library_under_load",
    ]))?;
    let mut tests = command_line_tests("upgrade::");
    tests.arg("--nocapture");
    tests.env("WAXSEAL_UPGRADE_BEFORE", before);
    run(tests)?;
    Ok(())
}

/// The commit of the last release, or one that is known to be before the present formats.
fn last_release() -> String {
    let tag = output(command(
        "git",
        &["describe", "--tags", "--abbrev=0", "--match", "v*"],
    ));
    let tag = tag.map(|tag| tag.trim().to_owned());
    tag.filter(|tag| !tag.is_empty())
        .unwrap_or_else(|| BEFORE.to_owned())
}

/// Builds the binary of a commit in a worktree, which is removed afterwards. Returns its path.
fn build(commit: &str) -> Result<PathBuf, Failure> {
    let directory = workspace_root().join(DIRECTORY);
    let (source, target) = (directory.join("source"), directory.join("build"));
    fs::create_dir_all(&directory)
        .map_err(|error| format!("{} cannot be made: {error}", directory.display()))?;
    // Left there by one that was interrupted.
    remove_worktree(&source);
    let path = source.display().to_string();
    run(command(
        "git",
        &["worktree", "add", "--detach", &path, commit],
    ))?;
    let manifest = source.join("Cargo.toml").display().to_string();
    let mut compiler = cargo(&["build", "-p", "waxseal-cli", "--manifest-path", &manifest]);
    compiler.env("CARGO_TARGET_DIR", &target);
    let built = run(compiler);
    remove_worktree(&source);
    built?;
    Ok(target.join("debug").join("waxseal"))
}

fn remove_worktree(source: &Path) {
    if source.exists() {
        let path = source.display().to_string();
        // It may be no worktree any more.
        let _ = run(command("git", &["worktree", "remove", "--force", &path]));
    }
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Options {
    /// The commit to build, if not that of the last release.
    before: Option<String>,
    /// A binary that is built already.
    binary: Option<String>,
}

impl Options {
    fn parse(arguments: &[String]) -> Result<Self, Failure> {
        let mut options = Self::default();
        let mut remaining = arguments.iter();
        while let Some(flag) = remaining.next() {
            let target = match flag.as_str() {
                "--before" => &mut options.before,
                "--binary" => &mut options.binary,
                unknown => {
                    return Err(Failure::Usage(format!(
                        "`upgrade` does not know `{unknown}`"
                    )));
                }
            };
            let value = remaining.next();
            let value = value.ok_or_else(|| Failure::Usage(format!("`{flag}` needs a value")))?;
            *target = Some(value.clone());
        }
        if options.before.is_some() && options.binary.is_some() {
            return Err(Failure::Usage(
                "`--before` and `--binary` exclude each other".to_owned(),
            ));
        }
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Options, Failure> {
        let words: Vec<String> = line.split_whitespace().map(ToOwned::to_owned).collect();
        Options::parse(&words)
    }

    #[test]
    fn parses_a_commit_or_a_binary() {
        assert_eq!(parsed("").unwrap(), Options::default());
        let options = parsed("--before v1.2.0").unwrap();
        assert_eq!(options.before.as_deref(), Some("v1.2.0"));
        let options = parsed("--binary old/waxseal").unwrap();
        assert_eq!(options.binary.as_deref(), Some("old/waxseal"));
    }

    #[test]
    fn refuses_unknown_and_contradicting_arguments() {
        for line in ["--fast", "--before", "--binary", "--before a --binary b"] {
            assert!(matches!(parsed(line), Err(Failure::Usage(_))), "{line}");
        }
    }

    #[test]
    fn the_default_commit_is_written_in_full() {
        assert_eq!(BEFORE.len(), 40);
        assert!(BEFORE.chars().all(|digit| digit.is_ascii_hexdigit()));
    }
}
