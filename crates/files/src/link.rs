//! Symbolic links, read so that owner and target belong to the same link, although another user may replace it at any
//! time.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use rustix::fs::{self, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use crate::directory::is_trusted;
use crate::refusal::Refusal;

/// The entry of a name in a directory.
pub(crate) enum Entry {
    Absent,
    Link(Link),
    Other { owner: u32 },
}

/// A symbolic link at one point in time.
pub(crate) struct Link {
    pub(crate) owner: u32,
    pub(crate) target: PathBuf,
}

impl Entry {
    /// Reads the entry of a name in a directory. `path` is for messages.
    pub(crate) fn read(directory: &OwnedFd, name: &OsStr, path: &Path) -> io::Result<Self> {
        let Some((found, target)) = read(directory, name)? else {
            return Ok(Self::Absent);
        };
        let owner = found.st_uid;
        let Some(target) = target else {
            return Ok(Self::Other { owner });
        };
        // Another user than its owner may have created a second name for it.
        if found.st_nlink > 1 && !is_exclusive(&fs::fstat(directory)?) {
            return Err(Refusal::HardLink(path.to_owned()).into());
        }
        Ok(Self::Link(Link { owner, target }))
    }
}

/// True if only trusted users can create names in this directory.
fn is_exclusive(directory: &Stat) -> bool {
    is_trusted(directory.st_uid) && directory.st_mode & 0o022 == 0
}

/// The entry and the target of a link, read from one open file.
#[cfg(target_os = "linux")]
fn read(directory: &OwnedFd, name: &OsStr) -> io::Result<Option<(Stat, Option<PathBuf>)>> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = match fs::openat(directory, name, flags, Mode::empty()) {
        Ok(file) => file,
        Err(Errno::NOENT) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let found = fs::fstat(&file)?;
    let target = match is_link(&found) {
        true => Some(target(&file, OsStr::new(""))?),
        false => None,
    };
    Ok(Some((found, target)))
}

/// The same on systems where a link cannot be opened: it must be the same before and after it is read.
#[cfg(not(target_os = "linux"))]
fn read(directory: &OwnedFd, name: &OsStr) -> io::Result<Option<(Stat, Option<PathBuf>)>> {
    let stat = || fs::statat(directory, name, fs::AtFlags::SYMLINK_NOFOLLOW);
    let found = match stat() {
        Ok(found) => found,
        Err(Errno::NOENT) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    if !is_link(&found) {
        return Ok(Some((found, None)));
    }
    let target = target(directory, name)?;
    let after = stat()?;
    match (found.st_dev, found.st_ino, found.st_uid) == (after.st_dev, after.st_ino, after.st_uid) {
        true => Ok(Some((found, Some(target)))),
        false => Err(Errno::AGAIN.into()),
    }
}

fn is_link(found: &Stat) -> bool {
    FileType::from_raw_mode(found.st_mode) == FileType::Symlink
}

fn target(directory: impl AsFd, name: &OsStr) -> io::Result<PathBuf> {
    let target = fs::readlinkat(directory, name, Vec::new())?;
    Ok(PathBuf::from(OsString::from_vec(target.into_bytes())))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{chown, lchown, symlink};
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;

    use tempfile::TempDir;

    use crate::Location;

    /// Another user.
    const OTHER: u32 = 47_111;

    #[cfg(target_os = "linux")]
    #[test]
    fn a_link_that_is_replaced_while_it_is_read_is_not_followed_elsewhere() {
        use rustix::fs::{CWD, RenameFlags, renameat_with};

        let directory = TempDir::new().unwrap();
        let path = |name: &str| directory.path().join(name);
        std::fs::write(path("treasure"), "root's own").unwrap();
        std::fs::write(path("harmless"), "").unwrap();
        symlink(path("treasure"), path("of-other")).unwrap();
        lchown(path("of-other"), Some(OTHER), Some(OTHER)).expect(
            "this test plays two users: run it as root, for example \
             sudo -E env \"PATH=$PATH\" cargo test -p waxseal-files",
        );
        symlink(path("harmless"), path("link")).unwrap();
        let is_over = AtomicBool::new(false);
        let (mut followed, mut refused) = (0, 0);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    let (one, other) = (path("link"), path("of-other"));
                    renameat_with(CWD, &one, CWD, &other, RenameFlags::EXCHANGE).unwrap();
                }
            });
            for _ in 0..20_000 {
                match Location::resolve(&path("link")) {
                    Ok(location) if location.path() == path("harmless") => followed += 1,
                    Ok(location) => {
                        is_over.store(true, Ordering::Relaxed);
                        panic!("followed to {}", location.path().display());
                    }
                    Err(_) => refused += 1,
                }
            }
            is_over.store(true, Ordering::Relaxed);
        });
        assert!(followed > 0 && refused > 0, "{followed} {refused}");
    }

    #[test]
    fn a_second_name_of_a_link_is_accepted_only_if_others_cannot_create_one() {
        let directory = TempDir::new().unwrap();
        let path = |name: &str| directory.path().join(name);
        std::fs::write(path("treasure"), "this user's own").unwrap();
        symlink(path("treasure"), path("link")).unwrap();
        std::fs::create_dir(path("service")).unwrap();
        let second = path("service").join("link");
        std::fs::hard_link(path("link"), &second).unwrap();
        Location::resolve(&path("link")).unwrap();
        Location::resolve(&second).unwrap();
        chown(path("service"), Some(OTHER), Some(OTHER)).expect("run this test as root");
        let error = Location::resolve(&second).unwrap_err();
        assert!(
            error.to_string().contains("has more than one name"),
            "{error}"
        );
        Location::resolve(&path("link")).unwrap();
    }
}
