//! The files of a backup: read in bounds, written for their owner alone and never over another.

use std::fs::{self, DirBuilder, File};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;
use waxseal_files::Location;
use waxseal_keys::MOST_BYTES;

use crate::error::Failure;

/// A backup as it lies there.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let read = || {
        let mut bytes = Vec::new();
        // One that is larger is refused by who knows what a backup is.
        let most = MOST_BYTES as u64 * 2 + 1;
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
    written: Vec<PathBuf>,
    folder: Option<PathBuf>,
    is_kept: bool,
}

impl NewFiles {
    /// Makes a folder for its owner alone, where there is none.
    pub(super) fn folder(&mut self, path: &Path) -> Result<(), Failure> {
        match DirBuilder::new().mode(0o700).create(path) {
            Ok(()) => self.folder = Some(path.to_owned()),
            Err(_) if path.is_dir() => {}
            Err(error) => {
                let text = format!("the folder {} cannot be made: {error}", path.display());
                return Err(Failure::failed(text).hint("name another one with --out"));
            }
        }
        Ok(())
    }

    /// Writes one.
    pub(super) fn write(&mut self, path: &Path, content: &str) -> Result<(), Failure> {
        let folder = match path.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        };
        let write = || {
            // Not into a directory that another user's link leads to.
            Location::of(path)?;
            // Made for its owner alone, and complete before it has its name.
            let mut file = NamedTempFile::with_prefix_in(".waxseal-", folder)?;
            file.write_all(content.as_bytes())?;
            file.as_file().sync_all()?;
            file.persist_noclobber(path)
                .map_err(|failed| failed.error)?;
            File::open(folder)?.sync_all()
        };
        match write() {
            Ok(()) => {
                self.written.push(path.to_owned());
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(exists(path)),
            Err(error) => {
                let text = format!("{} cannot be written: {error}", path.display());
                Err(Failure::failed(text).hint("name a place where this user may write"))
            }
        }
    }

    /// All are there: they stay.
    pub(super) fn keep(mut self) -> Vec<String> {
        self.is_kept = true;
        let shown = self.written.iter().map(|it| it.display().to_string());
        shown.collect()
    }
}

impl Drop for NewFiles {
    fn drop(&mut self) {
        if self.is_kept {
            return;
        }
        // What cannot be removed is told by nobody, and of no use without the rest.
        for path in &self.written {
            let _ = fs::remove_file(path);
        }
        if let Some(folder) = &self.folder {
            let _ = fs::remove_dir(folder);
        }
    }
}

/// Refuses before any key is taken out.
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
        let folder = TempDir::new().unwrap();
        let (made, there) = (folder.path().join("made"), folder.path().join("there"));
        fs::write(&there, "mine").unwrap();
        let mut files = NewFiles::default();
        files.folder(&made).unwrap();
        files.write(&made.join("a"), "a").unwrap();
        assert!(files.write(&there, "b").is_err());
        drop(files);
        assert!(!made.exists());
        assert_eq!(fs::read_to_string(&there).unwrap(), "mine");
        // A folder that was there stays, with what is in it.
        let mut files = NewFiles::default();
        files.folder(folder.path()).unwrap();
        files.write(&folder.path().join("a"), "a").unwrap();
        drop(files);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        let mut files = NewFiles::default();
        files.write(&folder.path().join("a"), "a").unwrap();
        assert_eq!(files.keep().len(), 1);
        assert_eq!(fs::read_to_string(folder.path().join("a")).unwrap(), "a");
    }
}
