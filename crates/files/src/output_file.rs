//! A file that a command writes for an operator: complete before it has its name, readable by its owner alone, and
//! replacing another file only on request.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use crate::location::Location;
use crate::new_file::NewFile;

/// A complete file that does not have its name yet. Removed if it is dropped.
#[derive(Debug)]
pub struct OutputFile {
    path: PathBuf,
    file: NewFile,
    may_replace: bool,
}

/// An output file cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum OutputFileError {
    /// The name belongs to a directory, a link or a device. These are never replaced.
    #[error("{} is not a regular file", .0.display())]
    NotRegular(PathBuf),
    /// The file exists, and replacing it was not requested.
    #[error("{} exists: a report overwrites nothing", .0.display())]
    Exists(PathBuf),
    /// The file cannot be written.
    #[error("{} cannot be written: {error}", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// The cause.
        error: io::Error,
    },
}

impl OutputFile {
    /// Checks that a file can be written at a path, before the work whose result it will hold.
    pub fn check(path: &Path, may_replace: bool) -> Result<(), OutputFileError> {
        // Not into a directory behind a link of another user.
        let location = Location::of(path).map_err(|error| unwritable(path, error))?;
        match fs::symlink_metadata(path) {
            // Even if replacing was requested: the new file would replace a device or a link.
            Ok(found) if !found.is_file() => {
                return Err(OutputFileError::NotRegular(path.to_owned()));
            }
            Ok(_) if !may_replace => return Err(OutputFileError::Exists(path.to_owned())),
            _ => {}
        }
        let probe = NewFile::write(location, b"");
        probe.map(drop).map_err(|error| unwritable(path, error))
    }

    /// Writes the content to a temporary file beside the path.
    pub fn write(path: &Path, content: &str, may_replace: bool) -> Result<Self, OutputFileError> {
        let location = Location::of(path);
        let file = location.and_then(|it| NewFile::write(it, content.as_bytes()));
        Ok(Self {
            path: path.to_owned(),
            file: file.map_err(|error| unwritable(path, error))?,
            may_replace,
        })
    }

    /// Gives the file its name, and returns its path.
    pub fn keep(self) -> Result<PathBuf, OutputFileError> {
        let Self { path, file, .. } = self;
        match file.keep(self.may_replace) {
            Ok(()) => Ok(path),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                Err(OutputFileError::Exists(path))
            }
            Err(error) => Err(OutputFileError::Unwritable { path, error }),
        }
    }
}

/// True if two paths name the same file, however they are written. Neither needs to exist.
#[must_use]
pub fn is_same_path(one: &Path, other: &Path) -> bool {
    let resolve = |path: &Path| {
        let directory = directory(path).canonicalize().ok()?;
        Some((directory, path.file_name()?.to_owned()))
    };
    one == other || resolve(one).is_some_and(|it| Some(it) == resolve(other))
}

fn directory(path: &Path) -> &Path {
    match path.parent() {
        Some(directory) if directory != Path::new("") => directory,
        _ => Path::new("."),
    }
}

fn unwritable(path: &Path, error: io::Error) -> OutputFileError {
    OutputFileError::Unwritable {
        path: path.to_owned(),
        error,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use tempfile::TempDir;

    use super::*;

    #[test]
    fn a_file_gets_its_name_when_it_is_complete_and_is_readable_by_its_owner_alone() {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("report.json");
        drop(OutputFile::write(&path, "half", false).unwrap());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
        let file = OutputFile::write(&path, "whole", false).unwrap();
        assert!(!path.exists());
        file.keep().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "whole");
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_file_that_was_created_meanwhile_is_not_replaced() {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("report.json");
        OutputFile::check(&path, false).unwrap();
        let file = OutputFile::write(&path, "ours", false).unwrap();
        fs::write(&path, "theirs").unwrap();
        assert!(file.keep().unwrap_err().to_string().contains("exists"));
        assert_eq!(fs::read_to_string(&path).unwrap(), "theirs");
        assert!(OutputFile::check(&path, false).is_err());
        OutputFile::check(&path, true).unwrap();
        let file = OutputFile::write(&path, "ours", true).unwrap();
        assert_eq!(file.keep().unwrap(), path);
        assert_eq!(fs::read_to_string(&path).unwrap(), "ours");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_directory_is_not_replaced_even_if_that_is_asked_for() {
        let directory = TempDir::new().unwrap();
        let error = OutputFile::check(directory.path(), true).unwrap_err();
        assert!(matches!(error, OutputFileError::NotRegular(_)), "{error}");
    }

    #[test]
    fn paths_are_the_same_however_they_are_written() {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("report.json");
        let other = directory.path().join(".").join("report.json");
        assert!(is_same_path(&path, &other));
        assert!(!is_same_path(&path, &directory.path().join("page.html")));
    }
}
