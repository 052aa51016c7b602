//! A secret in a file of its own: read whole, and only if nobody can read it whom it is not meant
//! for. Knows nothing of variables and custodians, and never tells what is in the file.

use std::fmt;
use std::fs::{File, Metadata};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use zeroize::Zeroizing;

/// No path is longer.
const LONGEST: usize = 4096;
/// Secrets are short; whoever names another file by mistake shall not have it read whole.
const MOST: u64 = 64 * 1024;

/// Why a file was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// The system does not let it be read.
    Unreadable(ErrorKind),
    /// It is a directory.
    Directory,
    /// Others can get at it.
    Exposed {
        /// Who can.
        to: Exposed,
        /// The file's mode.
        mode: u32,
        /// Whether it belongs to the user of this process.
        own: bool,
    },
    /// There is nothing in it.
    Empty,
    /// It is larger than a secret is.
    TooLarge,
    /// It is not text.
    NotText,
}

/// Whom a file is open to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exposed {
    /// To every user of the machine.
    Everybody,
    /// To a group, beside its owner.
    Group,
    /// To a group that may even write it.
    WritingGroup,
}

/// The text of a file, without one line end behind it.
pub fn read(path: &Path) -> Result<Zeroizing<String>, SecretFileError> {
    let unreadable = |error: io::Error| SecretFileError::Unreadable(error.kind());
    let file = File::open(path).map_err(unreadable)?;
    // Of the file that was opened, not of whatever has the name a moment later.
    check(&file.metadata().map_err(unreadable)?)?;
    // Never grown: that would leave a copy where it was.
    let mut bytes = Zeroizing::new(Vec::with_capacity(MOST as usize + 1));
    file.take(MOST + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if bytes.len() as u64 > MOST {
        return Err(SecretFileError::TooLarge);
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| SecretFileError::NotText)?;
    let text = match text.strip_suffix('\n') {
        Some(line) => line.strip_suffix('\r').unwrap_or(line),
        None => text,
    };
    if text.trim().is_empty() {
        return Err(SecretFileError::Empty);
    }
    Ok(Zeroizing::new(text.to_owned()))
}

/// The path as it may be told. Whoever puts the secret itself where its file should be named shall not
/// read it in a log.
pub(crate) fn shown(path: &str) -> String {
    let is_path = (path.starts_with('/') || Path::new(path).exists())
        && path.len() <= LONGEST
        && !path.chars().any(char::is_control);
    let hidden = "(not shown: it is no path)";
    if is_path { path } else { hidden }.to_owned()
}

fn check(metadata: &Metadata) -> Result<(), SecretFileError> {
    if metadata.is_dir() {
        return Err(SecretFileError::Directory);
    }
    check_exposure(metadata)
}

/// Refuses a file that others than those it is meant for can read or write.
pub fn check_exposure(metadata: &Metadata) -> Result<(), SecretFileError> {
    let mode = metadata.mode() & 0o777;
    let own = metadata.uid() == rustix::process::geteuid().as_raw();
    match exposed(mode, own) {
        Some(to) => Err(SecretFileError::Exposed { to, mode, own }),
        None => Ok(()),
    }
}

/// Whom a file of this mode is open to without need. A group may read what belongs to somebody
/// else: so Kubernetes (`fsGroup`) and systemd hand secrets to a process. What is a process's own,
/// it can read without its group.
fn exposed(mode: u32, own: bool) -> Option<Exposed> {
    let (group, others) = (mode >> 3 & 0o7, mode & 0o7);
    match (group, others) {
        (_, 1..) => Some(Exposure::Everyone),
        (group, _) if group & 0o2 != 0 => Some(Exposure::WritingGroup),
        (group, _) if group & 0o4 != 0 && own => Some(Exposure::Group),
        _ => None,
    }
}

impl fmt::Display for Unusable {
    /// What is the matter with the file, behind its name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(kind) => write!(f, "cannot be read: {kind}"),
            Self::Directory => f.write_str("is a directory"),
            Self::Exposed { to, mode, .. } => {
                let by = match to {
                    Exposure::Everyone => "is open to every user",
                    Exposure::Group => "can be read by others than its owner",
                    Exposure::WritingGroup => "can be changed by others than its owner",
                };
                write!(f, "{by} (mode {mode:03o})")
            }
            Self::Empty => f.write_str("is empty"),
            Self::TooLarge => write!(f, "has more than {} KiB", MOST / 1024),
            Self::NotText => f.write_str("is not valid UTF-8"),
        }
    }
}

impl std::error::Error for Unusable {}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;

    use super::*;

    #[test]
    fn a_file_is_taken_where_only_those_can_read_it_who_must() {
        for (mode, own, expected) in [
            (0o600, true, None),
            (0o400, true, None),
            (0o400, false, None),
            (0o440, false, None),
            (0o640, false, None),
            (0o440, true, Some(Exposure::Group)),
            (0o640, true, Some(Exposure::Group)),
            (0o620, true, Some(Exposure::WritingGroup)),
            (0o660, true, Some(Exposure::WritingGroup)),
            (0o460, false, Some(Exposure::WritingGroup)),
            (0o420, false, Some(Exposure::WritingGroup)),
            (0o604, true, Some(Exposure::Everyone)),
            (0o602, false, Some(Exposure::Everyone)),
            (0o601, false, Some(Exposure::Everyone)),
            (0o444, false, Some(Exposure::Everyone)),
            (0o644, true, Some(Exposure::Everyone)),
            (0o666, false, Some(Exposure::Everyone)),
        ] {
            assert_eq!(exposed(mode, own), expected, "{mode:03o}, own: {own}");
        }
    }

    #[test]
    fn one_line_end_is_no_part_of_the_secret() {
        let directory = tempfile::TempDir::new().unwrap();
        for (content, secret) in [
            ("pin", "pin"),
            ("pin\n", "pin"),
            ("pin\r\n", "pin"),
            ("pin\n\n", "pin\n"),
            (" p in \n", " p in "),
            ("pin\r", "pin\r"),
        ] {
            let path = directory.path().join("pin");
            let _ = std::fs::remove_file(&path);
            let mut options = std::fs::OpenOptions::new();
            options.write(true).create_new(true).mode(0o600);
            let mut file = options.open(&path).unwrap();
            file.write_all(content.as_bytes()).unwrap();
            assert_eq!(*read(&path).unwrap(), secret, "{content:?}");
        }
    }
}
