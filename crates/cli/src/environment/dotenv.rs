//! `.env`: the lines that set variables of ours. Other lines are the application's own, in whatever
//! dialect its reader of such files accepts, and are never judged.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use zeroize::Zeroizing;

use super::FILE;
use crate::error::Failure;

/// The file's text. Holds keys: it has no `Debug`.
pub(super) struct DotEnv(Zeroizing<String>);

impl DotEnv {
    /// Reads the file; where there is none, it sets nothing.
    pub(super) fn read(path: &Path) -> Result<Self, Failure> {
        match fs::read_to_string(path) {
            Ok(text) => Ok(Self(Zeroizing::new(text))),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Self(Zeroizing::default())),
            Err(_) => Err(Failure::usage(format!("{FILE} cannot be read"))),
        }
    }

    /// What the last line about this variable sets it to. Every line about it must be well formed.
    pub(super) fn get(&self, name: &str) -> Result<Option<Zeroizing<String>>, Failure> {
        let mut last = None;
        for (line, number) in self.0.trim_start_matches('\u{feff}').lines().zip(1..) {
            if !is_about(line, name) {
                continue;
            }
            // The error would quote the line, which may hold a key.
            let value = value(line).ok_or_else(|| {
                Failure::usage(format!("{FILE} cannot be read: line {number} is malformed"))
                    .hint(format!("it reads {name}=value"))
            })?;
            last = Some(value);
        }
        Ok(last)
    }
}

/// Whether a line is meant to set this variable.
fn is_about(line: &str, name: &str) -> bool {
    let line = line.trim_start();
    let line = line.strip_prefix("export ").unwrap_or(line).trim_start();
    line.strip_prefix(name)
        .is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_'))
}

/// The value that a line sets. Quotes and comments have their meaning; a dollar sign stands for
/// itself, as it does for Node: passwords hold it.
fn value(line: &str) -> Option<Zeroizing<String>> {
    let literal = Zeroizing::new(if line.contains('\'') {
        line.to_owned()
    } else {
        line.replace('$', "\\$")
    });
    let (_, value) = dotenvy::from_read_iter(literal.as_bytes()).next()?.ok()?;
    Some(Zeroizing::new(value))
}
