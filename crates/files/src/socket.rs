//! Unix sockets that have their mode before a client can connect: a socket is bound in a directory that only this user
//! can enter, and moved from there.
//!
//! ```text
//! mkdir .path.<random> (0700) ─► bind s ─► chmod s ─► move a stale socket in ─► rename s to path ─► remove the directory
//! ```

use std::ffi::{OsStr, OsString};
use std::io::{self, ErrorKind};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use rustix::fs::{self, AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;
use socket2::{Domain, SockAddr, Socket, Type};

use crate::location::Location;
use crate::new_file::rename_new;
use crate::refusal::{Refusal, link};

/// The name of the socket in the private directory.
const NAME: &str = "s";
/// The name there of the stale socket that it replaces.
const STALE: &str = "stale";
const PRIVATE: u32 = 0o700;

/// A unix socket that this process created. Removed when it is dropped, unless its name belongs to another file by
/// then.
#[derive(Debug)]
pub struct UnixSocket {
    location: Location,
    device: u64,
    inode: u64,
}

/// Listens on a unix socket with a mode, or with the one of the umask. A stale socket of this user, on which no process
/// listens, is replaced; nothing else is.
pub fn bind(path: &Path, mode: Option<u32>) -> io::Result<(UnixListener, UnixSocket)> {
    let location = Location::of(path)?;
    let stale = check_free(&location)?;
    let private = Private::create(&location)?;
    let listener = UnixListener::bind(private.address()?)?;
    if let Some(mode) = mode {
        let mode = Mode::from_raw_mode(mode);
        fs::chmodat(&private.directory, NAME, mode, AtFlags::empty())?;
    }
    let created = fs::statat(&private.directory, NAME, AtFlags::SYMLINK_NOFOLLOW)?;
    if let Some(stale) = &stale {
        private.take_stale(stale)?;
    }
    let (to, name) = (location.directory(), location.name());
    rename_new(&private.directory, OsStr::new(NAME), to, name).map_err(|error| match error {
        // Another process was faster.
        Errno::EXIST => ErrorKind::AddrInUse.into(),
        error => io::Error::from(error),
    })?;
    drop(private);
    let socket = UnixSocket {
        location,
        device: device(&created),
        inode: inode(&created),
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

/// Fails unless the name is free or belongs to a stale socket of this user, which is returned.
fn check_free(location: &Location) -> io::Result<Option<Stat>> {
    let Some(found) = location.stat()? else {
        return Ok(None);
    };
    let path = location.path();
    match FileType::from_raw_mode(found.st_mode) {
        FileType::Symlink => return Err(link(path)),
        FileType::Socket if found.st_uid == rustix::process::geteuid().as_raw() => {}
        _ => return Err(Refusal::Occupied(path.to_owned()).into()),
    }
    match connect(location) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => Ok(Some(found)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        _ => Err(ErrorKind::AddrInUse.into()),
    }
}

/// Connects without waiting: a process that is stopped accepts nothing, but its socket is in use.
fn connect(location: &Location) -> io::Result<()> {
    let address = address(location.directory(), location.name(), || {
        std::path::absolute(location.path())
    })?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.connect(&SockAddr::unix(address)?)
}

/// The address of a socket in an open directory. Addresses of unix sockets are short, and the path may be as long as
/// they may be: through `/proc` if the system has it, else by the path.
fn address(
    directory: &OwnedFd,
    name: &OsStr,
    path: impl FnOnce() -> io::Result<PathBuf>,
) -> io::Result<PathBuf> {
    let open = PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd()));
    match cfg!(target_os = "linux") && open.is_dir() {
        true => Ok(open.join(name)),
        false => path(),
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
        let created = fs::fstat(&directory)?;
        // The owner of the parent directory could have replaced it.
        let is_ours = created.st_uid == rustix::process::geteuid().as_raw();
        if !is_ours || created.st_mode & 0o077 != 0 {
            return Err(Refusal::Occupied(location.path().to_owned()).into());
        }
        // The umask may have removed the permission to enter it.
        fs::fchmod(&directory, Mode::from_raw_mode(PRIVATE))?;
        Ok(Self {
            location,
            directory,
            name,
        })
    }

    fn address(&self) -> io::Result<PathBuf> {
        address(&self.directory, OsStr::new(NAME), || {
            let parent = self.location.path().parent().unwrap_or(Path::new(""));
            std::path::absolute(parent.join(&self.name).join(NAME))
        })
    }

    /// Moves a stale socket away from its name. Another process that starts at the same time may have done so already,
    /// and given the name to a socket of its own.
    fn take_stale(&self, stale: &Stat) -> io::Result<()> {
        let is_stale =
            |found: &Stat| (device(found), inode(found)) == (device(stale), inode(stale));
        match self.location.stat()? {
            Some(found) if is_stale(&found) => {}
            Some(_) => return Err(ErrorKind::AddrInUse.into()),
            None => return Ok(()),
        }
        let (above, name) = (self.location.directory(), self.location.name());
        match fs::renameat(above, name, &self.directory, STALE) {
            Err(Errno::NOENT) => return Ok(()),
            moved => moved?,
        }
        if is_stale(&fs::statat(
            &self.directory,
            STALE,
            AtFlags::SYMLINK_NOFOLLOW,
        )?) {
            return Ok(());
        }
        rename_new(&self.directory, OsStr::new(STALE), above, name)?;
        Err(ErrorKind::AddrInUse.into())
    }
}

impl Drop for Private<'_> {
    fn drop(&mut self) {
        // It is not empty if the socket could not be moved, or has replaced another one.
        let _ = fs::unlinkat(&self.directory, NAME, AtFlags::empty());
        let _ = fs::unlinkat(&self.directory, STALE, AtFlags::empty());
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

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;
    use std::sync::Barrier;
    use std::thread;

    use tempfile::TempDir;

    use super::*;

    #[test]
    fn of_two_that_start_together_one_listens_and_the_other_fails() {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("redis.sock");
        for round in 0..500 {
            if round % 2 == 0 {
                // No process listens on it any more.
                drop(UnixListener::bind(&path).unwrap());
            }
            let together = Barrier::new(2);
            let start = || {
                together.wait();
                bind(&path, None)
            };
            let both = thread::scope(|scope| {
                let threads = [scope.spawn(start), scope.spawn(start)];
                threads.map(|thread| thread.join().unwrap())
            });
            let (bound, refused): (Vec<_>, Vec<_>) = both.into_iter().partition(Result::is_ok);
            assert_eq!(bound.len(), 1, "round {round}: {refused:?}");
            for error in refused.into_iter().filter_map(Result::err) {
                assert_eq!(error.kind(), ErrorKind::AddrInUse, "round {round}");
            }
            UnixStream::connect(&path).unwrap();
            drop(bound);
            assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 0);
        }
    }

    #[test]
    fn a_socket_whose_process_accepts_nothing_is_in_use() {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("redis.sock");
        let stopped = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        let address = SockAddr::unix(&path).unwrap();
        stopped.bind(&address).unwrap();
        stopped.listen(0).unwrap();
        // No other connection has room.
        let waiting: Vec<_> = (0..64)
            .map(|_| {
                let socket = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
                socket.set_nonblocking(true).unwrap();
                let connected = socket.connect(&address);
                (socket, connected.is_ok())
            })
            .collect();
        assert!(waiting.iter().any(|(_, is_connected)| !is_connected));
        let error = bind(&path, None).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
    }
}
