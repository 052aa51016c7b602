//! The files of a backup: read up to a limit, written for their owner alone, and never overwritten.

use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::path::Path;

use waxseal_files::{Location, NewFile};
use waxseal_keys::MAX_BACKUP_BYTES;

use waxseal_service::Failure;

/// Reads a backup.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let read = || {
        let mut bytes = Vec::new();
        // A larger one is refused where it is parsed.
        let most = MAX_BACKUP_BYTES as u64 * 2 + 1;
        File::open(path)?.take(most).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    read().map_err(|error: std::io::Error| {
        let shown = path.display();
        Failure::failed(format!("the backup {shown} cannot be read: {error}"))
            .hint("name a file that waxseal keyring export wrote")
    })
}

/// Files that are written together: all of them, or none.
#[derive(Default)]
pub(super) struct NewFiles {
    written: Vec<Location>,
    directory: Option<Location>,
    is_kept: bool,
}

impl NewFiles {
    /// Creates a directory for its owner alone, if it is missing.
    pub(super) fn directory(&mut self, path: &Path) -> Result<(), Failure> {
        let create = || -> std::io::Result<Location> {
            let location = Location::of(path)?;
            location.create_directory()?;
            Ok(location)
        };
        match create() {
            Ok(location) => self.directory = Some(location),
            Err(_) if path.is_dir() => {}
            Err(error) => {
                let text = format!(
                    "the directory {} cannot be created: {error}",
                    path.display()
                );
                return Err(Failure::failed(text).hint("name another one with --out"));
            }
        }
        Ok(())
    }

    /// Writes one file.
    pub(super) fn write(&mut self, path: &Path, content: &str) -> Result<(), Failure> {
        let write = || -> std::io::Result<Location> {
            // Never into a directory that another user's link leads to.
            let location = Location::of(path)?;
            // For its owner alone, and complete before it gets its name.
            NewFile::write(location.clone(), content.as_bytes())?.keep(false)?;
            Ok(location)
        };
        match write() {
            Ok(location) => {
                self.written.push(location);
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(exists(path)),
            Err(error) => {
                let text = format!("{} cannot be written: {error}", path.display());
                Err(Failure::failed(text).hint("name a place where this user may write"))
            }
        }
    }

    /// All files are written, and stay.
    pub(super) fn keep(mut self) -> Vec<String> {
        self.is_kept = true;
        let shown = self.written.iter();
        let shown = shown.map(|it| it.path().display().to_string());
        shown.collect()
    }
}

impl Drop for NewFiles {
    fn drop(&mut self) {
        if self.is_kept {
            return;
        }
        // A file that cannot be removed is not reported; it is useless without the others.
        for file in &self.written {
            let _ = file.remove();
        }
        if let Some(directory) = &self.directory {
            let _ = directory.remove_directory();
        }
    }
}

/// Refuses before any key is exported.
pub(super) fn check_free(path: &Path) -> Result<(), Failure> {
    match fs::symlink_metadata(path) {
        Ok(_) => Err(exists(path)),
        Err(_) => Ok(()),
    }
}

fn exists(path: &Path) -> Failure {
    let text = format!("{} exists: a backup overwrites nothing", path.display());
    Failure::failed(text).hint("nothing was written; give another path")
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn files_are_written_all_or_none() {
        let directory = TempDir::new().unwrap();
        let (created, there) = (
            directory.path().join("made"),
            directory.path().join("there"),
        );
        fs::write(&there, "mine").unwrap();
        let mut files = NewFiles::default();
        files.directory(&created).unwrap();
        files.write(&created.join("a"), "a").unwrap();
        assert!(files.write(&there, "b").is_err());
        drop(files);
        assert!(!created.exists());
        assert_eq!(fs::read_to_string(&there).unwrap(), "mine");
        // An existing directory stays, with its content.
        let mut files = NewFiles::default();
        files.directory(directory.path()).unwrap();
        files.write(&directory.path().join("a"), "a").unwrap();
        drop(files);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        let mut files = NewFiles::default();
        files.write(&directory.path().join("a"), "a").unwrap();
        assert_eq!(files.keep().len(), 1);
        assert_eq!(fs::read_to_string(directory.path().join("a")).unwrap(), "a");
    }
}
