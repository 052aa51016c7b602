//! The reasons why a file or a socket is not used although the system would allow it.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// The reason why a path was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// Files are not opened through links that another user may have put there.
    #[error("{} is a symbolic link and is not followed: remove it if another user put it there", .0.display())]
    Link(PathBuf),
    /// A directory of the path is a link of a user who does not own its target.
    #[error(
        "{} is a symbolic link of another user (uid {uid}) and is not followed: name the path without it",
        path.display()
    )]
    ForeignLink {
        /// The link.
        path: PathBuf,
        /// Its owner.
        uid: u32,
    },
    /// A device, a pipe, a socket or a directory.
    #[error("{} is not a regular file", .0.display())]
    NotRegular(PathBuf),
    /// Writing to the file would change another one.
    #[error("{} has more than one name (hard links): copy it, and remove the other names", .0.display())]
    HardLink(PathBuf),
    /// The file belongs to a user who is neither this one, nor root, nor the owner of its directory.
    #[error("{} belongs to another user (uid {uid}): remove it, or give it to the user of this process", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// Its owner.
        uid: u32,
    },
    /// The path of a new socket exists, and is not a socket of this user.
    #[error("{} exists and is not a socket of this user: remove it, or choose another path", .0.display())]
    Occupied(PathBuf),
}

impl From<Refusal> for io::Error {
    fn from(refusal: Refusal) -> Self {
        Self::new(ErrorKind::PermissionDenied, refusal)
    }
}

impl Refusal {
    /// The refusal behind an error, if it is one.
    #[must_use]
    pub fn of(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }
}

/// A short description of an error: the refusal, or the kind of error that the system reported.
#[must_use]
pub fn description(error: &io::Error) -> String {
    match Refusal::of(error) {
        Some(refusal) => refusal.to_string(),
        None => error.kind().to_string(),
    }
}

pub(crate) fn link(path: &Path) -> io::Error {
    Refusal::Link(path.to_owned()).into()
}
