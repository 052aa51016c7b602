//! Files that are read because they are in the working directory, although the operator did not name them. They are
//! used only if no user but this one and root can have written them: a command that is run in the directory of another
//! user must not use the settings of that user.

use std::io::{self, ErrorKind, Read};
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{self, FileType, Mode, OFlags, Stat, StatVfsMountFlags};

use crate::directory::is_trusted;

/// The write permissions of other users than the owner.
const OTHERS_WRITE: u32 = 0o022;
const STICKY: u32 = 0o1000;
/// The maximum size of a configuration.
const MAX_BYTES: u64 = 1024 * 1024;

/// The reason why a file of the working directory is not used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Untrusted {
    /// It cannot be read.
    #[error("cannot be read: {}", .0.kind())]
    Unreadable(#[from] io::Error),
    /// The file belongs to another user.
    #[error("was not named and belongs to another user (uid {0})")]
    Foreign(u32),
    /// Others can change the file.
    #[error("was not named and others than its owner can write it (mode {0:03o})")]
    Writable(u32),
    /// The directory belongs to another user, who can replace the file.
    #[error("was not named and its directory belongs to another user (uid {0})")]
    ForeignDirectory(u32),
    /// Others can replace the file.
    #[error("was not named and others can write its directory (mode {0:04o})")]
    WritableDirectory(u32),
    /// It is a link in a directory that other users can write: it may lead anywhere.
    #[error("was not named and is a link in a directory that others can write")]
    Link,
    /// A device, a pipe or a socket.
    #[error("is not a regular file")]
    NotRegular,
    /// It is larger than any configuration.
    #[error("is larger than {} KiB", MAX_BYTES / 1024)]
    TooLarge,
}

/// The bytes of a file of the working directory, and its mode; `None` if there is no such file.
pub fn read_implicit(name: &Path) -> Result<Option<(Vec<u8>, std::fs::Metadata)>, Untrusted> {
    match std::fs::symlink_metadata(name) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
        Ok(found) if found.is_symlink() => {
            // Any user who can write the directory may have created the link.
            let (_, stat) = open_directory(name)?;
            check_directory(&stat)?;
            if stat.st_mode & OTHERS_WRITE != 0 {
                return Err(Untrusted::Link);
            }
            return read(&std::fs::canonicalize(name)?).map(Some);
        }
        Ok(_) => {}
    }
    read(name).map(Some)
}

/// The bytes of a file that is not used, so that a caller can check whether that matters. Pipes, devices and files
/// larger than a configuration are refused.
pub fn read_untrusted(name: &Path) -> Result<(Vec<u8>, std::fs::Metadata), Untrusted> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = fs::open(name, flags, Mode::empty()).map_err(io::Error::from)?;
    let file = std::fs::File::from(file);
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(Untrusted::NotRegular);
    }
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > MAX_BYTES {
        true => Err(Untrusted::TooLarge),
        false => Ok((bytes, metadata)),
    }
}

fn read(path: &Path) -> Result<(Vec<u8>, std::fs::Metadata), Untrusted> {
    let (directory, of_directory) = open_directory(path)?;
    check_directory(&of_directory)?;
    let name = path.file_name().unwrap_or_default();
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = match fs::openat(&directory, name, flags, Mode::empty()) {
        Ok(file) => std::fs::File::from(file),
        Err(rustix::io::Errno::LOOP) => return Err(Untrusted::Link),
        Err(error) => return Err(io::Error::from(error).into()),
    };
    check_file(&fs::fstat(&file).map_err(io::Error::from)?, &of_directory)?;
    let metadata = file.metadata()?;
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > MAX_BYTES {
        true => Err(Untrusted::TooLarge),
        false => Ok((bytes, metadata)),
    }
}

fn open_directory(path: &Path) -> io::Result<(OwnedFd, Stat)> {
    let parent = path.parent().filter(|it| *it != Path::new(""));
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    #[cfg(target_os = "linux")]
    let flags = flags | OFlags::PATH;
    let directory = fs::open(parent.unwrap_or(Path::new(".")), flags, Mode::empty())?;
    let mut stat = fs::fstat(&directory)?;
    // A read-only mount cannot be written, whatever the mode says: volumes of Kubernetes have 0777.
    if fs::fstatvfs(&directory).is_ok_and(|it| it.f_flag.contains(StatVfsMountFlags::RDONLY)) {
        stat.st_mode &= !OTHERS_WRITE;
    }
    Ok((directory, stat))
}

/// In a directory that all users can write and that is sticky, such as `/tmp`, only the owner of a
/// file removes or renames it.
fn check_directory(stat: &Stat) -> Result<(), Untrusted> {
    if !is_trusted(stat.st_uid) {
        return Err(Untrusted::ForeignDirectory(stat.st_uid));
    }
    match stat.st_mode & OTHERS_WRITE != 0 && stat.st_mode & STICKY == 0 {
        true => Err(Untrusted::WritableDirectory(stat.st_mode & 0o7777)),
        false => Ok(()),
    }
}

fn check_file(stat: &Stat, of_directory: &Stat) -> Result<(), Untrusted> {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => {}
        FileType::Directory => return Err(io::Error::from(ErrorKind::IsADirectory).into()),
        _ => return Err(Untrusted::NotRegular),
    }
    if !is_trusted(stat.st_uid) {
        return Err(Untrusted::Foreign(stat.st_uid));
    }
    if stat.st_mode & OTHERS_WRITE != 0 {
        return Err(Untrusted::Writable(stat.st_mode & 0o777));
    }
    // A second name of a file of this user, created by another user.
    match of_directory.st_mode & OTHERS_WRITE != 0 && stat.st_nlink > 1 {
        true => Err(Untrusted::Link),
        false => Ok(()),
    }
}
