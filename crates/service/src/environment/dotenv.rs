//! `.env`: the lines that set variables of ours, as an application in Node.js reads them. Other lines are
//! the application's own and are never judged. A line that seems to set a variable of ours, and that such an
//! application would skip or read otherwise, is refused: one of two readers of a file would continue without
//! the key.

mod grammar;

use std::fs::{File, Metadata};
use std::io::{ErrorKind, Read as _};
use std::ops::Range;
use std::path::{Path, PathBuf};

use waxseal_files::{Untrusted, read_implicit, read_untrusted};
use zeroize::Zeroizing;

use super::secret_file::{self, check_exposure};
use crate::failure::{Failure, untrusted};

/// The file that is read where none is named.
pub const FILE: &str = ".env";
/// The first bytes of text in UTF-16, and what it is called.
const UTF_16: [(&[u8], &str); 2] = [(b"\xff\xfe", "UTF-16LE"), (b"\xfe\xff", "UTF-16BE")];
/// The replacement of a byte that is not UTF-8.
const REPLACED: char = '\u{fffd}';
/// The maximum size of such a file.
const MAX_BYTES: u64 = 1024 * 1024;

/// The file that is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) path: PathBuf,
    /// True if the operator named it.
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
        waxseal_core::sanitize_for_terminal(&self.path.display().to_string())
    }
}

/// The file's text. Holds keys, so it has no `Debug`.
pub(super) struct DotEnv {
    text: Zeroizing<String>,
    source: Source,
    metadata: Option<Metadata>,
    /// The reason why no line of it counts.
    untrusted: Option<Untrusted>,
}

impl DotEnv {
    /// Reads the file. A missing file that was not named sets nothing. A file that was not named counts
    /// only if no one but this user and root can have written it; if no line of it is about a variable
    /// that is asked for, its owner does not matter.
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
        if let Some(encoding) = other_encoding(&bytes) {
            return Err(
                Failure::usage(format!("{shown} cannot be read: it is {encoding}"))
                    .hint("save it as UTF-8"),
            );
        }
        // A comment in another encoding does no harm.
        let text = Zeroizing::new(String::from_utf8_lossy(&bytes).into_owned());
        Ok(Self {
            text: grammar::normalize(&text),
            source: source.clone(),
            metadata: Some(metadata),
            untrusted,
        })
    }

    /// True if it cannot be read again.
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

    /// Returns the value of the last line about this variable. Every line about it must be one that sets it.
    pub(super) fn get(&self, name: &str) -> Result<Option<Zeroizing<String>>, Failure> {
        let mut last = None;
        let mut spans = Vec::new();
        let mut own = Vec::new();
        for found in grammar::assignments(&self.text) {
            spans.push(found.span.clone());
            if found.name != name {
                continue;
            }
            self.check_trusted()?;
            if found.is_unclosed() {
                let what = "has a quote that is not closed";
                return Err(self.refuse_line(found.at, what, &format!("it reads {name}=value")));
            }
            let value = found.value();
            if value.contains(REPLACED) {
                let what = "is not valid UTF-8";
                return Err(self.refuse_line(found.at, what, "save the file as UTF-8"));
            }
            own.push(found.at);
            last = Some(value);
        }
        self.check_others(name, &own, &spans)?;
        Ok(last)
    }

    /// Refuses a line that is about this variable and does not set it. `own` are the places where it is set,
    /// `spans` those of all assignments, in order.
    fn check_others(
        &self,
        name: &str,
        own: &[usize],
        spans: &[Range<usize>],
    ) -> Result<(), Failure> {
        let mut line_start = 0;
        for line in self.text.split_inclusive('\n') {
            let start = line_start;
            line_start += line.len();
            let Some((offset, begins)) = mention(line, name) else {
                continue;
            };
            let at = start + offset;
            let next = spans.partition_point(|span| span.end <= at);
            let within = spans.get(next).filter(|span| span.start <= at);
            match within {
                _ if own.contains(&at) => {}
                // A part of the value of another variable, or of a comment.
                Some(span) if !begins || span.start >= start => {}
                Some(span) => {
                    self.check_trusted()?;
                    let what = format!(
                        "is in a value that begins on line {}",
                        self.line_number(span.start)
                    );
                    return Err(self.refuse_line(at, &what, "close the quotes of that value"));
                }
                // The error would quote the line, which may hold a key.
                None => {
                    self.check_trusted()?;
                    return Err(self.refuse_line(
                        at,
                        "is malformed",
                        &format!("it reads {name}=value"),
                    ));
                }
            }
        }
        Ok(())
    }

    fn check_trusted(&self) -> Result<(), Failure> {
        match &self.untrusted {
            Some(refusal) => Err(refused(&self.source.shown(), refusal)),
            None => Ok(()),
        }
    }

    fn refuse_line(&self, at: usize, what: &str, hint: &str) -> Failure {
        let (shown, number) = (self.source.shown(), self.line_number(at));
        Failure::usage(format!("{shown} cannot be read: line {number} {what}")).hint(hint)
    }

    fn line_number(&self, at: usize) -> usize {
        let before = self.text.get(..at).unwrap_or_default();
        before.matches('\n').count() + 1
    }
}

/// A file that does not count, because others can have written it.
fn refused(shown: &str, refusal: &Untrusted) -> Failure {
    let remedy = untrusted::hint(refusal, "--env-file", shown);
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

/// The name of the encoding of a text that is not UTF-8.
fn other_encoding(bytes: &[u8]) -> Option<&'static str> {
    let marked = UTF_16.into_iter().find(|(mark, _)| bytes.starts_with(mark));
    if let Some((_, name)) = marked {
        return Some(name);
    }
    // Without a byte order mark: every other byte of plain English is zero.
    let is_zero = |at: usize| bytes.get(at) == Some(&0);
    match (is_zero(0), is_zero(1)) {
        (true, false) => Some("UTF-16BE"),
        (false, true) => Some("UTF-16LE"),
        _ => bytes
            .contains(&0)
            .then_some("not text: it holds zero bytes"),
    }
}

/// Returns the position at which a line that is not a comment seems to set this variable, and whether it begins so.
fn mention(line: &str, name: &str) -> Option<(usize, bool)> {
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let trimmed = line.trim_start_matches(grammar::is_space);
    // People use the last two for comments; an application skips such lines.
    if trimmed.starts_with(['#', ';']) || trimmed.starts_with("//") {
        return None;
    }
    let bare = match trimmed.strip_prefix("export") {
        Some(rest) if rest.starts_with(grammar::is_space) => {
            rest.trim_start_matches(grammar::is_space)
        }
        _ => trimmed,
    };
    let start = line.len() - bare.len();
    if let Some(rest) = bare.strip_prefix(name)
        && !rest.starts_with(is_of_name)
    {
        return Some((start, true));
    }
    // "set NAME=", "$env:NAME = ", "\"NAME\": ": for other readers than that of an application.
    line.match_indices(name).find_map(|(at, _)| {
        let before = line.get(..at)?.chars().next_back();
        let behind = line.get(at + name.len()..)?;
        let sign = behind.trim_start_matches(|c| grammar::is_space(c) || matches!(c, '\'' | '"'));
        let is_whole = !before.is_some_and(is_of_name) && !behind.starts_with(is_of_name);
        (is_whole && sign.starts_with(['=', ':'])).then_some((at, false))
    })
}

#[cfg(test)]
mod tests;
