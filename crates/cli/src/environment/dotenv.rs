//! `.env`: the lines that set variables of ours. Other lines are the application's own, in whatever
//! dialect its reader of such files accepts, and are never judged.

use std::fs::{File, Metadata};
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use waxseal_files::{Untrusted, read_implicit, read_untrusted};
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
    /// Why no line of it counts.
    untrusted: Option<Untrusted>,
}

impl DotEnv {
    /// Reads the file. Where there is none and none was named, it sets nothing. One that was not named counts
    /// only if nobody but this user and root can have written it; where none of its lines is about a variable
    /// that is asked for, that is all the same.
    pub(super) fn read(source: &Source) -> Result<Self, Failure> {
        let shown = source.shown();
        let mut untrusted = None;
        let found = match source.is_named {
            true => Some(read_named(&source.path).map_err(|kind| {
                Failure::usage(format!("{shown} cannot be read: {kind}"))
                    .hint("--env-file takes the path of a file with lines NAME=value")
            })?),
            false => match read_implicit(&source.path) {
                Ok(found) => found,
                Err(refusal) => {
                    let found = read_untrusted(&source.path);
                    let found = found.map_err(|_| refused(&shown, &refusal))?;
                    untrusted = Some(refusal);
                    Some(found)
                }
            },
        };
        let Some((bytes, metadata)) = found else {
            return Ok(Self {
                text: Zeroizing::default(),
                source: source.clone(),
                metadata: None,
                untrusted,
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
            untrusted,
        })
    }

    /// Whether it cannot be read again.
    pub(super) fn is_piped(&self) -> bool {
        self.metadata.as_ref().is_some_and(|it| !it.is_file())
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
            if let Some(refusal) = &self.untrusted {
                return Err(refused(&self.source.shown(), refusal));
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

/// A file that does not count, because others can have written it.
fn refused(shown: &str, refusal: &Untrusted) -> Failure {
    let remedy = crate::config::remedy(refusal, "--env-file", shown);
    Failure::usage(format!("{shown} {refusal}")).hint(remedy)
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
