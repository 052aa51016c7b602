//! A name in an open directory: files are opened, created and replaced in that directory, whatever happens to the path
//! meanwhile.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, ErrorKind, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{self, AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use crate::directory::{self, Missing, is_trusted};
use crate::link::Entry;
use crate::owner::{give_to, succeed, this_user};
use crate::refusal::{Refusal, link};

/// The mode of files that only this user can read and write.
const PRIVATE: u32 = 0o600;
/// The maximum number of links from one file to another.
const MAX_LINKS: usize = 8;
/// The maximum number of attempts for a file that others create and remove at the same time.
const MAX_ATTEMPTS: usize = 16;

/// The access to an open file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Reading.
    Read,
    /// Reading and writing.
    Write,
    /// Reading, and writing at the end.
    Append,
}

/// A name in an open directory.
#[derive(Clone, Debug)]
pub struct Location {
    directory: Arc<OwnedFd>,
    name: OsString,
    path: PathBuf,
}

impl Location {
    /// The name at the end of a path. It is never followed if it is a symbolic link.
    pub fn of(path: &Path) -> io::Result<Self> {
        Self::in_directory(path, Missing::Fail)
    }

    /// The same; the directory is created, for this user alone, where it is missing.
    pub fn creating_directory(path: &Path) -> io::Result<Self> {
        Self::in_directory(path, Missing::Create)
    }

    /// The file that a path of the operator leads to. Links of this user and of root are followed, and those of another
    /// user to a file of the same user.
    pub fn resolve(path: &Path) -> io::Result<Self> {
        Self::of(path)?.followed()
    }

    /// The same as [`resolve`](Self::resolve); the directory is created where it is missing.
    pub fn resolve_creating_directory(path: &Path) -> io::Result<Self> {
        Self::creating_directory(path)?.followed()
    }

    fn in_directory(path: &Path, missing: Missing) -> io::Result<Self> {
        let name = path.file_name().ok_or(ErrorKind::InvalidInput)?.to_owned();
        let parent = path.parent().unwrap_or(Path::new(""));
        Ok(Self {
            directory: Arc::new(directory::open(parent, missing)?),
            name,
            path: path.to_owned(),
        })
    }

    fn followed(self) -> io::Result<Self> {
        let mut this = self;
        let mut foreign = Vec::new();
        for _ in 0..MAX_LINKS {
            match Entry::read(&this.directory, &this.name, &this.path)? {
                Entry::Absent => {
                    return match foreign.pop() {
                        // The target of a link of another user is not created.
                        Some((path, uid)) => Err(Refusal::ForeignLink { path, uid }.into()),
                        None => Ok(this),
                    };
                }
                Entry::Other { owner } => {
                    return match foreign.into_iter().find(|(_, uid)| *uid != owner) {
                        Some((path, uid)) => Err(Refusal::ForeignLink { path, uid }.into()),
                        None => Ok(this),
                    };
                }
                Entry::Link(link) => {
                    if !is_trusted(link.owner) {
                        foreign.push((this.path.clone(), link.owner));
                    }
                    let parent = this.path.parent().unwrap_or(Path::new(""));
                    this = Self::of(&parent.join(link.target))?;
                }
            }
        }
        Err(Errno::LOOP.into())
    }

    /// The path, for messages.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the file if it is there.
    pub fn open(&self, access: Access) -> io::Result<Option<File>> {
        match self.open_raw(flags(access), Mode::empty()) {
            Ok(file) => {
                self.check(&file, access)?;
                Ok(Some(file))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Creates a file for this user alone. Fails if the name exists.
    pub fn create_new(&self) -> io::Result<File> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
        self.open_raw(flags, Mode::from_raw_mode(PRIVATE))
    }

    /// Opens the file, or creates it for this user alone. Also returns true if it was created.
    pub fn open_or_create(&self, access: Access) -> io::Result<(File, bool)> {
        for _ in 0..MAX_ATTEMPTS {
            if let Some(file) = self.open(access)? {
                return Ok((file, false));
            }
            let created = flags(access) | OFlags::CREATE | OFlags::EXCL;
            match self.open_raw(created, Mode::from_raw_mode(PRIVATE)) {
                Ok(file) => return Ok((file, true)),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(ErrorKind::WouldBlock.into())
    }

    /// Replaces the file atomically by one that is written beside it, with the same owner and mode. If `durable`, it is
    /// on the disk before this returns.
    pub fn replace(&self, bytes: &[u8], durable: bool) -> io::Result<()> {
        let before = self.stat()?;
        if let Some(before) = &before {
            self.check_found(before, Access::Write)?;
        }
        let (temporary, mut file) = self.create_beside()?;
        let written = (|| {
            file.write_all(bytes)?;
            if let Some(before) = &before {
                succeed(&file, before)?;
            }
            if durable {
                file.sync_all()?;
            }
            fs::renameat(&self.directory, &temporary, &self.directory, &self.name)?;
            if durable {
                self.sync_directory()
            } else {
                Ok(())
            }
        })();
        if written.is_err() {
            let _ = fs::unlinkat(&self.directory, &temporary, AtFlags::empty());
        }
        written
    }

    /// Gives a file that was just created here to the owner of another one, if that exists. The file is removed if this
    /// fails, since it would block the owner. In a directory of this user it keeps its owner: the owner of the other
    /// file trusts this user anyway.
    pub fn share_owner_of(&self, other: &Path, created: &File) -> io::Result<()> {
        let shared = Self::resolve(other).and_then(|other| match other.stat()? {
            Some(found) => give_to(created, found.st_uid, found.st_gid),
            None => Ok(()),
        });
        let Err(error) = shared else {
            return Ok(());
        };
        let is_forbidden = error.raw_os_error() == Some(Errno::PERM.raw_os_error());
        if is_forbidden && fs::fstat(&self.directory)?.st_uid == this_user() {
            return Ok(());
        }
        // It may have been removed already.
        let _ = self.remove();
        Err(error)
    }

    /// Creates a directory of this name, for this user alone.
    pub fn create_directory(&self) -> io::Result<()> {
        let mode = Mode::from_raw_mode(directory::DIRECTORY_MODE);
        Ok(fs::mkdirat(&self.directory, &self.name, mode)?)
    }

    /// Removes the directory, if it is empty.
    pub fn remove_directory(&self) -> io::Result<()> {
        Ok(fs::unlinkat(
            &self.directory,
            &self.name,
            AtFlags::REMOVEDIR,
        )?)
    }

    /// Removes the file.
    pub fn remove(&self) -> io::Result<()> {
        Ok(fs::unlinkat(&self.directory, &self.name, AtFlags::empty())?)
    }

    /// Makes the names in the directory as durable as the contents of the files.
    pub fn sync_directory(&self) -> io::Result<()> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let synced = fs::openat(&self.directory, ".", flags, Mode::empty()).and_then(fs::fsync);
        match synced {
            // Not supported by this file system, or this user must not list the directory. The contents are durable.
            Err(Errno::INVAL | Errno::ACCESS) => Ok(()),
            synced => Ok(synced?),
        }
    }

    pub(crate) fn directory(&self) -> &OwnedFd {
        &self.directory
    }

    pub(crate) fn name(&self) -> &OsStr {
        &self.name
    }

    /// The current entry of the name, without following a link.
    pub(crate) fn stat(&self) -> io::Result<Option<Stat>> {
        match fs::statat(&self.directory, &self.name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(found) => Ok(Some(found)),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// A name beside this one that is not in use.
    pub(crate) fn unused_name(&self) -> OsString {
        let mut name = OsString::from(".");
        name.push(&self.name);
        let random = RandomState::new().build_hasher().finish();
        name.push(format!(".{random:016x}"));
        name
    }

    pub(crate) fn create_beside(&self) -> io::Result<(OsString, File)> {
        for _ in 0..MAX_ATTEMPTS {
            let name = self.unused_name();
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | guards();
            match fs::openat(&self.directory, &name, flags, Mode::from_raw_mode(PRIVATE)) {
                Ok(file) => return Ok((name, file.into())),
                Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(ErrorKind::AlreadyExists.into())
    }

    fn open_raw(&self, flags: OFlags, mode: Mode) -> io::Result<File> {
        match fs::openat(&self.directory, &self.name, flags | guards(), mode) {
            Ok(file) => Ok(file.into()),
            Err(Errno::LOOP | Errno::MLINK) => Err(link(&self.path)),
            // A pipe without a reader, or a socket.
            Err(Errno::NXIO) => Err(Refusal::NotRegular(self.path.clone()).into()),
            Err(error) => Err(error.into()),
        }
    }

    fn check(&self, file: &File, access: Access) -> io::Result<()> {
        self.check_found(&fs::fstat(file)?, access)
    }

    /// Fails unless the entry of the name may be replaced.
    pub(crate) fn check_replaceable(&self) -> io::Result<()> {
        match self.stat()? {
            Some(found) => self.check_type(&found),
            None => Ok(()),
        }
    }

    fn check_found(&self, found: &Stat, access: Access) -> io::Result<()> {
        self.check_type(found)?;
        if access == Access::Read {
            return Ok(());
        }
        if found.st_nlink > 1 {
            return Err(Refusal::HardLink(self.path.clone()).into());
        }
        let uid = found.st_uid;
        if is_trusted(uid) || uid == fs::fstat(&self.directory)?.st_uid {
            return Ok(());
        }
        let path = self.path.clone();
        Err(Refusal::Foreign { path, uid }.into())
    }

    fn check_type(&self, found: &Stat) -> io::Result<()> {
        match FileType::from_raw_mode(found.st_mode) {
            FileType::RegularFile => Ok(()),
            FileType::Symlink => Err(link(&self.path)),
            FileType::Directory => Err(ErrorKind::IsADirectory.into()),
            _ => Err(Refusal::NotRegular(self.path.clone()).into()),
        }
    }
}

fn flags(access: Access) -> OFlags {
    match access {
        Access::Read => OFlags::RDONLY,
        Access::Write => OFlags::RDWR,
        Access::Append => OFlags::RDWR | OFlags::APPEND,
    }
}

/// The flags by which no link is followed, and a pipe does not block.
fn guards() -> OFlags {
    OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, chown};

    use tempfile::TempDir;

    use super::*;

    /// Another user.
    const OTHER: u32 = 47_111;

    #[test]
    fn a_file_that_must_not_be_written_to_is_not_replaced() {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("file");
        std::fs::write(&path, "theirs").unwrap();
        let replace = || Location::of(&path).unwrap().replace(b"ours", true);
        let is_as_before = || std::fs::read(&path).unwrap() == b"theirs";
        std::fs::hard_link(&path, directory.path().join("second")).unwrap();
        let error = replace().unwrap_err().to_string();
        assert!(error.contains("has more than one name"), "{error}");
        std::fs::remove_file(directory.path().join("second")).unwrap();
        chown(&path, Some(OTHER), None).expect("run this test as root");
        let error = replace().unwrap_err().to_string();
        assert!(error.contains("belongs to another user"), "{error}");
        assert!(is_as_before());
        // A file of the owner of the directory, who remains the owner.
        chown(directory.path(), Some(OTHER), None).unwrap();
        replace().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"ours");
        assert_eq!(std::fs::metadata(&path).unwrap().uid(), OTHER);
        assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 1);
    }

    #[test]
    fn a_lock_that_cannot_be_given_to_the_owner_of_its_ring_is_removed() {
        let directory = TempDir::new().unwrap();
        let lock = Location::of(&directory.path().join("ring.json.lock")).unwrap();
        let (file, is_created) = lock.open_or_create(Access::Write).unwrap();
        assert!(is_created);
        // A ring behind a link of another user.
        let ring = directory.path().join("ring.json");
        std::fs::write(directory.path().join("elsewhere"), "").unwrap();
        std::os::unix::fs::symlink("elsewhere", &ring).unwrap();
        std::os::unix::fs::lchown(&ring, Some(OTHER), None).expect("run this test as root");
        lock.share_owner_of(&ring, &file).unwrap_err();
        assert!(!lock.path().exists());
    }
}
