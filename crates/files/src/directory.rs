//! The directory of a path, opened component by component. A symbolic link on the way is followed if it belongs to this
//! user, to root, or to the owner of the directory that it leads to: a link of another user could lead anywhere.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{self, Mode, OFlags};
use rustix::io::Errno;

use crate::link::{Entry, Link};
use crate::refusal::Refusal;

/// The maximum number of symbolic links on one path, as on Linux.
const MAX_LINKS: usize = 40;
pub(crate) const DIRECTORY_MODE: u32 = 0o700;

/// The access for finding files in a directory, without the permission to list it.
#[cfg(target_os = "linux")]
const DIRECTORY: OFlags = OFlags::PATH.union(OFlags::DIRECTORY);
#[cfg(not(target_os = "linux"))]
const DIRECTORY: OFlags = OFlags::DIRECTORY;

/// The action for a directory that is missing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    Fail,
    /// It is created, for this user alone.
    Create,
}

/// Creates a directory for this user alone, and its parents, where they are missing.
pub fn create_directory(path: &Path) -> io::Result<()> {
    open(path, Missing::Create).map(drop)
}

/// Opens a directory.
pub(crate) fn open(path: &Path, missing: Missing) -> io::Result<OwnedFd> {
    // This user may lack the permission to enter the working directory.
    let start = if path.is_absolute() { "/" } else { "." };
    let mut walk = Walk {
        directory: at(fs::CWD, OsStr::new(start))?,
        passed: PathBuf::new(),
        left: VecDeque::new(),
        foreign: Vec::new(),
        links: 0,
        missing,
    };
    walk.prepend(path);
    while let Some(name) = walk.left.pop_front() {
        walk.enter(&name)?;
    }
    let owner = fs::fstat(&walk.directory)?.st_uid;
    match walk.foreign.into_iter().find(|(_, uid)| *uid != owner) {
        Some((path, uid)) => Err(Refusal::ForeignLink { path, uid }.into()),
        None => Ok(walk.directory),
    }
}

/// True if this user trusts another one anyway.
pub(crate) fn is_trusted(uid: u32) -> bool {
    uid == 0 || uid == rustix::process::geteuid().as_raw()
}

struct Walk {
    directory: OwnedFd,
    /// For messages.
    passed: PathBuf,
    left: VecDeque<OsString>,
    /// The links of users that are not trusted, with these users.
    foreign: Vec<(PathBuf, u32)>,
    links: usize,
    missing: Missing,
}

impl Walk {
    fn prepend(&mut self, path: &Path) {
        for component in path.components().rev() {
            match component {
                Component::CurDir | Component::Prefix(_) => {}
                Component::RootDir => self.left.push_front("/".into()),
                Component::ParentDir => self.left.push_front("..".into()),
                Component::Normal(name) => self.left.push_front(name.to_owned()),
            }
        }
    }

    fn enter(&mut self, name: &OsStr) -> io::Result<()> {
        if name == "/" || name == ".." {
            self.directory = at(&self.directory, name)?;
            self.passed.push(name);
            return Ok(());
        }
        let opened = match at(&self.directory, name) {
            // Nothing is created through a link of another user.
            Err(Errno::NOENT) if self.missing == Missing::Create && self.foreign.is_empty() => {
                match fs::mkdirat(&self.directory, name, Mode::from_raw_mode(DIRECTORY_MODE)) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(error) => return Err(error.into()),
                }
                at(&self.directory, name)
            }
            opened => opened,
        };
        match opened {
            Ok(directory) => {
                self.directory = directory;
                self.passed.push(name);
                Ok(())
            }
            Err(error @ (Errno::NOTDIR | Errno::LOOP | Errno::MLINK)) => {
                let path = self.passed.join(name);
                match Entry::read(&self.directory, name, &path)? {
                    Entry::Link(link) => self.follow(link, path),
                    Entry::Absent | Entry::Other { .. } => Err(error.into()),
                }
            }
            Err(error) => Err(error.into()),
        }
    }

    fn follow(&mut self, link: Link, path: PathBuf) -> io::Result<()> {
        self.links += 1;
        if self.links > MAX_LINKS {
            return Err(Errno::LOOP.into());
        }
        if !is_trusted(link.owner) {
            self.foreign.push((path, link.owner));
        }
        self.prepend(&link.target);
        Ok(())
    }
}

/// Opens one component, which is not followed if it is a link.
fn at(directory: impl std::os::fd::AsFd, name: &OsStr) -> rustix::io::Result<OwnedFd> {
    let flags = DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    fs::openat(directory, name, flags, Mode::empty())
}
