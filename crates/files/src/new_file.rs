//! A file that is complete before it gets its name, in the directory that was checked.

use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::os::fd::AsFd;

use rustix::fs::{self, AtFlags};
use rustix::io::Errno;

use crate::location::Location;

/// A complete file for this user alone, under a random name. Removed if it is dropped.
#[derive(Debug)]
pub struct NewFile {
    location: Location,
    temporary: Option<OsString>,
}

impl NewFile {
    /// Writes a file beside a name, to the disk.
    pub fn write(location: Location, bytes: &[u8]) -> io::Result<Self> {
        let (temporary, mut file) = location.create_beside()?;
        let this = Self {
            location,
            temporary: Some(temporary),
        };
        file.write_all(bytes)?;
        file.sync_all()?;
        Ok(this)
    }

    /// Gives the file its name: one that does not exist, or that of a regular file, which is replaced.
    pub fn keep(mut self, may_replace: bool) -> io::Result<()> {
        let Some(temporary) = &self.temporary else {
            return Ok(());
        };
        let (directory, name) = (self.location.directory(), self.location.name());
        if may_replace {
            self.location.check_replaceable()?;
            fs::renameat(directory, temporary, directory, name)?;
        } else {
            rename_new(directory, temporary, directory, name)?;
        }
        self.temporary = None;
        self.location.sync_directory()
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if let Some(temporary) = &self.temporary {
            // The temporary name is not used by others.
            let _ = fs::unlinkat(self.location.directory(), temporary, AtFlags::empty());
        }
    }
}

/// Moves a file atomically to a name that does not exist.
pub(crate) fn rename_new(
    from: impl AsFd,
    old: &OsStr,
    to: impl AsFd,
    new: &OsStr,
) -> rustix::io::Result<()> {
    #[cfg(target_os = "linux")]
    match fs::renameat_with(&from, old, &to, new, fs::RenameFlags::NOREPLACE) {
        // Not supported by this file system.
        Err(Errno::INVAL | Errno::NOSYS) => {}
        renamed => return renamed,
    }
    fs::linkat(&from, old, &to, new, AtFlags::empty())?;
    fs::unlinkat(&from, old, AtFlags::empty())
}
