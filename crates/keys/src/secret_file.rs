//! A secret in a separate file: read whole, and only if no unauthorised user can read it. Knows
//! nothing of variables and custodians, and never reveals the content.

use std::fmt;
use std::fs::{File, Metadata};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use zeroize::Zeroizing;

/// The longest path.
const MAX_PATH_LEN: usize = 4096;
/// Secrets are short; a wrong file that was named by mistake must not be read whole.
const MAX_SECRET_LEN: u64 = 64 * 1024;

/// Why a file cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretFileError {
    /// The system denies reading it.
    Unreadable(ErrorKind),
    /// It is a directory.
    Directory,
    /// Other users have access to it.
    Exposed {
        /// Which users.
        to: Exposure,
        /// The file's mode.
        mode: u32,
        /// True if it belongs to the user of this process.
        own: bool,
    },
    /// It is empty.
    Empty,
    /// It is larger than a secret.
    TooLarge,
    /// It is not text.
    NotText,
}

/// The users that have access to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exposure {
    /// Every user of the machine.
    Everyone,
    /// A group, besides its owner.
    Group,
    /// A group that can even write it.
    WritingGroup,
}

/// The text of a file, without one trailing line end.
pub fn read(path: &Path) -> Result<Zeroizing<String>, SecretFileError> {
    let unreadable = |error: io::Error| SecretFileError::Unreadable(error.kind());
    let file = File::open(path).map_err(unreadable)?;
    // Of the file that was opened, not of whatever has the name a moment later.
    check(&file.metadata().map_err(unreadable)?)?;
    // Never grown: that would leave an unwiped copy behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_SECRET_LEN as usize + 1));
    file.take(MAX_SECRET_LEN + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if bytes.len() as u64 > MAX_SECRET_LEN {
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

/// The path as it may be shown. A secret that was given instead of its file's path must not appear
/// in a log.
pub(crate) fn shown(path: &str) -> String {
    let is_path = (path.starts_with('/') || Path::new(path).exists())
        && path.len() <= MAX_PATH_LEN
        && !path.chars().any(char::is_control);
    let hidden = "(not shown: it is not a path)";
    if is_path { path } else { hidden }.to_owned()
}

fn check(metadata: &Metadata) -> Result<(), SecretFileError> {
    if metadata.is_dir() {
        return Err(SecretFileError::Directory);
    }
    check_exposure(metadata)
}

/// Refuses a file that users other than the intended ones can read or write.
pub fn check_exposure(metadata: &Metadata) -> Result<(), SecretFileError> {
    let mode = metadata.mode() & 0o777;
    let own = metadata.uid() == rustix::process::geteuid().as_raw();
    match exposed(mode, own) {
        Some(to) => Err(SecretFileError::Exposed { to, mode, own }),
        None => Ok(()),
    }
}

/// The users that a file of this mode is needlessly open to. A group may read another user's file:
/// that is how Kubernetes (`fsGroup`) and systemd pass secrets to a process. A process can read its
/// own file without its group.
fn exposed(mode: u32, own: bool) -> Option<Exposure> {
    let (group, others) = (mode >> 3 & 0o7, mode & 0o7);
    match (group, others) {
        (_, 1..) => Some(Exposure::Everyone),
        (group, _) if group & 0o2 != 0 => Some(Exposure::WritingGroup),
        (group, _) if group & 0o4 != 0 && own => Some(Exposure::Group),
        _ => None,
    }
}

impl fmt::Display for SecretFileError {
    /// The defect of the file, to follow its name.
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
            Self::TooLarge => write!(f, "has more than {} KiB", MAX_SECRET_LEN / 1024),
            Self::NotText => f.write_str("is not valid UTF-8"),
        }
    }
}

impl std::error::Error for SecretFileError {}

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
