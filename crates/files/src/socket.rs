//! A unix socket with the mode that was asked for before anyone can connect: it is bound in a directory
//! that only this user can enter, and moved to its place from there.

use std::ffi::OsString;
use std::io::{self, ErrorKind};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use rustix::fs::{self, AtFlags, FileType, Mode, OFlags, Stat};

use crate::location::Location;
use crate::refusal::{Refusal, link};

/// The name in the private directory.
const NAME: &str = "s";
const PRIVATE: u32 = 0o700;

/// A unix socket that this process made. Removed when it is dropped, unless something else has its name.
#[derive(Debug)]
pub struct UnixSocket {
    location: Location,
    device: u64,
    inode: u64,
}

/// Listens on a unix socket with a mode, or with what the process's umask leaves. A socket of this user
/// that nobody listens on any more is replaced; nothing else is.
pub fn bind(path: &Path, mode: Option<u32>) -> io::Result<(UnixListener, UnixSocket)> {
    let location = Location::of(path)?;
    check_free(&location)?;
    let private = Private::create(&location)?;
    let listener = UnixListener::bind(private.address(path)?)?;
    if let Some(mode) = mode {
        let mode = Mode::from_raw_mode(mode);
        fs::chmodat(&private.directory, NAME, mode, AtFlags::empty())?;
    }
    let made = fs::statat(&private.directory, NAME, AtFlags::SYMLINK_NOFOLLOW)?;
    fs::renameat(
        &private.directory,
        NAME,
        location.directory(),
        location.name(),
    )?;
    drop(private);
    let socket = UnixSocket {
        location,
        device: device(&made),
        inode: inode(&made),
    };
    Ok((listener, socket))
}

impl Drop for UnixSocket {
    fn drop(&mut self) {
        let found = self.location.stat().ok().flatten();
        if found.is_some_and(|it| (device(&it), inode(&it)) == (self.device, self.inode)) {
            // Another process may have removed it.
            let _ = self.location.remove();
        }
    }
}

fn check_free(location: &Location) -> io::Result<()> {
    let Some(found) = location.stat()? else {
        return Ok(());
    };
    let path = location.path();
    match FileType::from_raw_mode(found.st_mode) {
        FileType::Symlink => return Err(link(path)),
        FileType::Socket if found.st_uid == rustix::process::geteuid().as_raw() => {}
        _ => return Err(Refusal::Occupied(path.to_owned()).into()),
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        _ => Err(ErrorKind::AddrInUse.into()),
    }
}

/// A directory beside the socket that only this user can enter, for as long as the socket is in it.
struct Private<'a> {
    location: &'a Location,
    directory: OwnedFd,
    name: OsString,
}

impl<'a> Private<'a> {
    fn create(location: &'a Location) -> io::Result<Self> {
        let name = location.unused_name();
        fs::mkdirat(location.directory(), &name, Mode::from_raw_mode(PRIVATE))?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let directory = fs::openat(location.directory(), &name, flags, Mode::empty())?;
        let made = fs::fstat(&directory)?;
        // The owner of the directory above could have put another one in its place.
        let is_ours = made.st_uid == rustix::process::geteuid().as_raw();
        if !is_ours || made.st_mode & 0o077 != 0 {
            return Err(Refusal::Occupied(location.path().to_owned()).into());
        }
        Ok(Self {
            location,
            directory,
            name,
        })
    }

    /// Addresses of unix sockets are short, and the path may be as long as they may be.
    fn address(&self, path: &Path) -> io::Result<PathBuf> {
        if cfg!(target_os = "linux") {
            let open = self.directory.as_raw_fd();
            return Ok(PathBuf::from(format!("/proc/self/fd/{open}/{NAME}")));
        }
        let parent = path.parent().unwrap_or(Path::new(""));
        std::path::absolute(parent.join(&self.name).join(NAME))
    }
}

impl Drop for Private<'_> {
    fn drop(&mut self) {
        // There is something in it only where the socket could not be moved.
        let _ = fs::unlinkat(&self.directory, NAME, AtFlags::empty());
        let above = self.location.directory();
        let _ = fs::unlinkat(above, &self.name, AtFlags::REMOVEDIR);
    }
}

#[allow(clippy::unnecessary_cast, clippy::cast_lossless)]
fn device(stat: &Stat) -> u64 {
    stat.st_dev as u64
}

#[allow(clippy::unnecessary_cast, clippy::cast_lossless)]
fn inode(stat: &Stat) -> u64 {
    stat.st_ino as u64
}
