//! The files of a report: complete before they have their names, for their owner alone, and over another
//! file only where that is asked for.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use waxseal_files::Location;

use waxseal_service::Failure;

/// A file that is complete, and has no name yet. Gone if it is dropped.
pub(crate) struct NewFile {
    path: PathBuf,
    file: waxseal_files::NewFile,
    may_replace: bool,
}

/// Whether two paths mean one file, however they are written.
pub(crate) fn is_same(one: &Path, other: &Path) -> bool {
    let place = |path: &Path| {
        Some((
            directory(path).canonicalize().ok()?,
            path.file_name()?.to_owned(),
        ))
    };
    one == other || place(one).is_some_and(|it| Some(it) == place(other))
}

/// Finds out before the work whether a file can be written there.
pub(crate) fn check(path: &Path, may_replace: bool) -> Result<(), Failure> {
    // Not into a directory that another user's link leads to.
    let location = Location::of(path).map_err(|error| unwritten(path, &error))?;
    match fs::symlink_metadata(path) {
        // Not even on purpose: a name that is given anew would take a device's or a link's place.
        Ok(found) if !found.is_file() => {
            let text = format!("{} is no regular file", path.display());
            return Err(Failure::usage(text).hint("name another one"));
        }
        Ok(_) if !may_replace => return Err(exists(path)),
        _ => {}
    }
    match waxseal_files::NewFile::write(location, b"") {
        Ok(_) => Ok(()),
        Err(error) => Err(unwritten(path, &error)),
    }
}

impl NewFile {
    /// Writes it under a name that nobody looks for.
    pub(crate) fn write(path: &Path, content: &str, may_replace: bool) -> Result<Self, Failure> {
        let file = Location::of(path)
            .and_then(|location| waxseal_files::NewFile::write(location, content.as_bytes()));
        Ok(Self {
            path: path.to_owned(),
            file: file.map_err(|error| unwritten(path, &error))?,
            may_replace,
        })
    }

    /// Gives it its name, and tells that.
    pub(crate) fn keep(self) -> Result<String, Failure> {
        let Self { path, file, .. } = self;
        match file.keep(self.may_replace) {
            Ok(()) => Ok(path.display().to_string()),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(exists(&path)),
            Err(error) => Err(unwritten(&path, &error)),
        }
    }
}

fn directory(path: &Path) -> &Path {
    match path.parent() {
        Some(directory) if directory != Path::new("") => directory,
        _ => Path::new("."),
    }
}

fn exists(path: &Path) -> Failure {
    let text = format!("{} exists: a report overwrites nothing", path.display());
    Failure::failed(text).hint("nothing was written; give another path, or --force to replace it")
}

fn unwritten(path: &Path, error: &std::io::Error) -> Failure {
    Failure::failed(format!("{} cannot be written: {error}", path.display()))
        .hint("name a place where this user may write")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use tempfile::TempDir;

    use super::*;

    #[test]
    fn a_file_has_its_name_once_it_is_complete_and_is_its_owners_alone() {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("report.json");
        drop(NewFile::write(&path, "half", false).unwrap());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
        let file = NewFile::write(&path, "whole", false).unwrap();
        assert!(!path.exists());
        file.keep().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "whole");
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_file_that_came_meanwhile_is_not_replaced() {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("report.json");
        check(&path, false).unwrap();
        let file = NewFile::write(&path, "ours", false).unwrap();
        fs::write(&path, "theirs").unwrap();
        assert!(file.keep().unwrap_err().text().contains("exists"));
        assert_eq!(fs::read_to_string(&path).unwrap(), "theirs");
        assert!(check(&path, false).is_err());
        check(&path, true).unwrap();
        NewFile::write(&path, "ours", true).unwrap().keep().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "ours");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }
}
