//! `.env`: the lines that set variables of ours. Other lines are the application's own, in whatever
//! dialect its reader of such files accepts, and are never judged.

use std::fs::{File, Metadata};
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use waxseal_files::read_implicit;
use zeroize::Zeroizing;

use super::secret_file::{self, check_exposure};
use crate::error::Failure;

/// The file that is read where none is named.
pub(crate) const FILE: &str = ".env";
/// No such file is longer.
const MAX_BYTES: u64 = 1024 * 1024;

/// Which file is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) path: PathBuf,
    /// Whether the operator named it.
    pub(super) is_named: bool,
}

impl Source {
    pub(super) fn of(named: Option<&Path>) -> Self {
        Self {
            path: named.unwrap_or(Path::new(FILE)).to_owned(),
            is_named: named.is_some(),
        }
    }

    pub(super) fn shown(&self) -> String {
        crate::output::harmless(&self.path.display().to_string())
    }
}

/// The file's text. Holds keys: it has no `Debug`.
pub(super) struct DotEnv {
    text: Zeroizing<String>,
    source: Source,
    metadata: Option<Metadata>,
}

impl DotEnv {
    /// Reads the file. Where there is none and none was named, it sets nothing. One that was not named is
    /// read only if nobody but this user and root can have written it.
    pub(super) fn read(source: &Source) -> Result<Self, Failure> {
        let shown = source.shown();
        let found = match source.is_named {
            true => Some(read_named(&source.path).map_err(|kind| {
                Failure::usage(format!("{shown} cannot be read: {kind}"))
                    .hint("--env-file takes the path of a file with lines NAME=value")
            })?),
            false => read_implicit(&source.path).map_err(|untrusted| {
                let remedy = crate::config::remedy(&untrusted, "--env-file", &shown);
                Failure::usage(format!("{shown} {untrusted}")).hint(remedy)
            })?,
        };
        let Some((bytes, metadata)) = found else {
            return Ok(Self {
                text: Zeroizing::default(),
                source: source.clone(),
                metadata: None,
            });
        };
        let bytes = Zeroizing::new(bytes);
        let text = std::str::from_utf8(&bytes).map_err(|_| {
            Failure::usage(format!("{shown} cannot be read: it is not valid UTF-8"))
        })?;
        Ok(Self {
            text: Zeroizing::new(text.to_owned()),
            source: source.clone(),
            metadata: Some(metadata),
        })
    }

    pub(super) fn source(&self) -> &Source {
        &self.source
    }

    /// Refuses a secret that others can read here, as a file that holds nothing else is refused.
    pub(super) fn check_secret(&self, name: &str) -> Result<(), Failure> {
        let Some(metadata) = &self.metadata else {
            return Ok(());
        };
        check_exposure(metadata)
            .map_err(|unusable| secret_file::failure(unusable, name, &self.source.path))
    }

    /// What the last line about this variable sets it to. Every line about it must be well formed.
    pub(super) fn get(&self, name: &str) -> Result<Option<Zeroizing<String>>, Failure> {
        let mut last = None;
        for (line, number) in self.text.trim_start_matches('\u{feff}').lines().zip(1..) {
            if !is_about(line, name) {
                continue;
            }
            // The error would quote the line, which may hold a key.
            let value = value(line).ok_or_else(|| {
                let shown = self.source.shown();
                Failure::usage(format!(
                    "{shown} cannot be read: line {number} is malformed"
                ))
                .hint(format!("it reads {name}=value"))
            })?;
            last = Some(value);
        }
        Ok(last)
    }
}

fn read_named(path: &Path) -> Result<(Vec<u8>, Metadata), ErrorKind> {
    let read = || {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        let mut bytes = Vec::new();
        match file.take(MAX_BYTES + 1).read_to_end(&mut bytes)? as u64 > MAX_BYTES {
            true => Err(ErrorKind::FileTooLarge.into()),
            false => Ok((bytes, metadata)),
        }
    };
    read().map_err(|error: std::io::Error| error.kind())
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
