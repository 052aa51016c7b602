//! The environment variables that Waxseal reads, from the process and from `.env` in the working
//! directory (which never overrides the process).

use std::collections::HashMap;
use std::env;
use std::path::Path;

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
/// Every variable, for looking them up.
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
        let lines = match dotenvy::from_path_iter(path) {
            Ok(lines) => lines,
            Err(error) if error.not_found() => return Ok(()),
            Err(_) => return Err(Failure::usage(format!("{FILE} cannot be read"))),
        };
        for (line, number) in lines.zip(1..) {
            // The error would quote the line, which may hold a key.
            let (name, value) = line.map_err(|_| {
                Failure::usage(format!(
                    "{FILE} cannot be read: assignment {number} is malformed"
                ))
                .hint("each line reads NAME=value")
            })?;
            if let Some(name) = ALL.into_iter().find(|known| *known == name) {
                self.values.insert(name, value);
                self.from_file.push(name);
            }
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
