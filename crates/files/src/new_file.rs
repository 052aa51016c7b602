//! A file that is complete before it has its name, and goes where its directory was when it was checked.

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

    /// Gives the file its name: only where nothing has it, or in the place of a regular file.
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
            // Nobody looks for it under this name.
            let _ = fs::unlinkat(self.location.directory(), temporary, AtFlags::empty());
        }
    }
}

/// Moves a file to a name that nothing has, at once or not at all.
pub(crate) fn rename_new(
    from: impl AsFd,
    old: &OsStr,
    to: impl AsFd,
    new: &OsStr,
) -> rustix::io::Result<()> {
    #[cfg(target_os = "linux")]
    match fs::renameat_with(&from, old, &to, new, fs::RenameFlags::NOREPLACE) {
        // Not on this file system.
        Err(Errno::INVAL | Errno::NOSYS) => {}
        renamed => return renamed,
    }
    fs::linkat(&from, old, &to, new, AtFlags::empty())?;
    fs::unlinkat(&from, old, AtFlags::empty())
}
