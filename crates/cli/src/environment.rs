//! The environment variables that Waxseal reads, from the process and from `.env` in the working
//! directory (which never overrides the process).

use std::collections::HashMap;
use std::env;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use waxseal_core::Mode;

use crate::error::Failure;

/// The sealing key: 64 hexadecimal characters.
const KEY: &str = "REDIS_ENCRYPTION_KEY";
/// Keys that only open: a comma-separated list.
const PREVIOUS_KEYS: &str = "REDIS_ENCRYPTION_PREVIOUS_KEYS";
/// The mode: `true` or `on`, `false` or `off`, `required`.
const ENABLE: &str = "ENABLE_REDIS_ENCRYPTION";
/// The store.
const URL: &str = "REDIS_URL";
/// Where this machine keeps the last good copy of a keyring: the first that is set.
const STATE_DIRECTORY: &str = "STATE_DIRECTORY";
const XDG_STATE_HOME: &str = "XDG_STATE_HOME";
const HOME: &str = "HOME";
/// Every variable that the file may set, for looking them up.
const ALL: [&str; 4] = [KEY, PREVIOUS_KEYS, ENABLE, URL];

/// The file that is read beside the process's environment.
pub(crate) const FILE: &str = ".env";

/// What the environment says. Holds keys: it has no `Debug`.
#[derive(Default)]
pub(crate) struct Environment {
    values: HashMap<&'static str, String>,
    /// Which of them came from the file.
    pub(crate) from_file: Vec<&'static str>,
}

impl Environment {
    pub(crate) fn read() -> Result<Self, Failure> {
        let mut this = Self::default();
        this.read_file(Path::new(FILE))?;
        for name in ALL {
            match env::var(name) {
                Ok(value) => {
                    this.values.insert(name, value);
                    this.from_file.retain(|read| *read != name);
                }
                Err(env::VarError::NotPresent) => {}
                Err(env::VarError::NotUnicode(_)) => {
                    return Err(Failure::usage(format!("{name} is not valid UTF-8")));
                }
            }
        }
        Ok(this)
    }

    fn read_file(&mut self, path: &Path) -> Result<(), Failure> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(_) => return Err(Failure::usage(format!("{FILE} cannot be read"))),
        };
        for (line, number) in text.trim_start_matches('\u{feff}').lines().zip(1..) {
            let Some(name) = ALL.into_iter().find(|name| is_about(line, name)) else {
                continue;
            };
            // The error would quote the line, which may hold a key.
            let value = value(line).ok_or_else(|| {
                Failure::usage(format!("{FILE} cannot be read: line {number} is malformed"))
                    .hint(format!("it reads {name}=value"))
            })?;
            self.values.insert(name, value);
            self.from_file.push(name);
        }
        Ok(())
    }

    pub(crate) fn key(&self) -> Option<&str> {
        self.get(KEY)
    }

    pub(crate) fn previous_keys(&self) -> &str {
        self.get(PREVIOUS_KEYS).unwrap_or_default()
    }

    pub(crate) fn mode(&self) -> Result<Option<Mode>, Failure> {
        match self.get(ENABLE).map(str::parse) {
            None => Ok(None),
            Some(Ok(mode)) => Ok(Some(mode)),
            Some(Err(error)) => Err(Failure::usage(format!("{ENABLE}: {error}"))),
        }
    }

    /// Any other variable, for a custodian that names it.
    pub(crate) fn variable(&self, name: &str) -> Option<String> {
        if ALL.contains(&name) {
            return self.get(name).map(str::to_owned);
        }
        env::var(name).ok().or_else(|| {
            let text = std::fs::read_to_string(FILE).ok()?;
            let mut lines = text.lines().filter(|line| is_about(line, name));
            value(lines.next_back()?)
        })
    }

    /// The folder for what this machine keeps for itself: the service manager's, else the user's.
    pub(crate) fn state_folder() -> Option<PathBuf> {
        let folder = |name: &str| {
            let value = env::var_os(name).filter(|value| !value.is_empty())?;
            // The service manager gives several, separated by colons.
            let first = env::split_paths(&value).next()?;
            Some(first).filter(|folder| folder.is_absolute())
        };
        folder(STATE_DIRECTORY)
            .or_else(|| Some(folder(XDG_STATE_HOME)?.join("waxseal")))
            .or_else(|| Some(folder(HOME)?.join(".local/state/waxseal")))
    }

    pub(crate) fn url(&self) -> Option<&str> {
        self.get(URL)
    }

    /// A variable that is set to nothing is not set.
    fn get(&self, name: &str) -> Option<&str> {
        self.values
            .get(name)
            .map(|value| value.trim())
            .filter(|value| !value.is_empty())
    }
}

/// Whether a line is meant to set this variable. Other lines are the application's own, in whatever
/// dialect its reader of such files accepts.
fn is_about(line: &str, name: &str) -> bool {
    let line = line.trim_start();
    let line = line.strip_prefix("export ").unwrap_or(line).trim_start();
    line.strip_prefix(name)
        .is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_'))
}

/// The value that a line sets. Quotes and comments have their meaning; a dollar sign stands for
/// itself, as it does for Node: passwords hold it.
fn value(line: &str) -> Option<String> {
    let literal = if line.contains('\'') {
        line.to_owned()
    } else {
        line.replace('$', "\\$")
    };
    let (_, value) = dotenvy::from_read_iter(literal.as_bytes()).next()?.ok()?;
    Some(value)
}
