//! Serialises logins: of the processes on one machine, one at a time initialises a module, reads the
//! token's flags and logs in. Processes that start together would otherwise all read the flags before
//! the first login was refused, and each would send a wrong PIN. Some modules also fail when logins
//! overlap.
//!
//! The lock is `flock` on the module's own file. That file exists, everyone who loads the module can
//! read it, and no directory needs to be writable. The system releases it when a process dies.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// The attempts to take the lock: for 5 s, half of what a caller waits for an answer.
const MAX_ATTEMPTS: u32 = 500;
const RETRY_DELAY: Duration = Duration::from_millis(10);

/// The lock, released when dropped.
#[derive(Debug)]
pub(super) struct LoginLock {
    _file: File,
}

/// Why a login proceeds without the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unlocked {
    /// The path is a bare file name, which the loader looks up in its own directories.
    BareName,
    /// The module's file cannot be opened. Loading the module will fail as well, and says so.
    NoFile,
    /// The file system does not support locks, or not on files opened for reading.
    Unsupported,
    /// Another process has held the lock for too long.
    Timeout,
    /// No caller waits for the login any more.
    Cancelled,
}

impl LoginLock {
    /// Waits for the lock of the module at a path, until `cancelled` is set.
    ///
    /// The wait is bounded, and callers log in without the lock after it: any user who can read the
    /// module could hold it, and must not be able to stop others from starting.
    pub(super) fn acquire(module: &Path, cancelled: &AtomicBool) -> Result<Self, Unlocked> {
        if module.parent().is_none_or(|it| it.as_os_str().is_empty()) {
            return Err(Unlocked::BareName);
        }
        let file = File::open(module).map_err(|_| Unlocked::NoFile)?;
        for _ in 0..MAX_ATTEMPTS {
            match file.try_lock() {
                Ok(()) => return Ok(Self { _file: file }),
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(TryLockError::Error(_)) => return Err(Unlocked::Unsupported),
            }
            if cancelled.load(Ordering::Relaxed) {
                return Err(Unlocked::Cancelled);
            }
            thread::sleep(RETRY_DELAY);
        }
        Err(Unlocked::Timeout)
    }
}

impl Unlocked {
    /// The reason in an operator's words, where it deserves a warning.
    pub(super) fn description(self) -> Option<&'static str> {
        match self {
            Self::BareName => Some("the module's path has no directory"),
            Self::Unsupported => Some("the module's file system does not support locks"),
            Self::Timeout => Some("another process has held the module's lock for 5 s"),
            Self::NoFile | Self::Cancelled => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_holder_at_a_time_and_a_dropped_lock_is_free() {
        let module = tempfile::NamedTempFile::new().unwrap();
        let [going_on, cancelled] = [false, true].map(AtomicBool::new);
        let first = LoginLock::acquire(module.path(), &going_on).unwrap();
        let second = LoginLock::acquire(module.path(), &cancelled).unwrap_err();
        assert_eq!(second, Unlocked::Cancelled);
        drop(first);
        LoginLock::acquire(module.path(), &cancelled).unwrap();
    }

    #[test]
    fn needs_no_write_permission() {
        let module = tempfile::NamedTempFile::new().unwrap();
        let mut permissions = module.as_file().metadata().unwrap().permissions();
        permissions.set_readonly(true);
        module.as_file().set_permissions(permissions).unwrap();
        LoginLock::acquire(module.path(), &AtomicBool::new(false)).unwrap();
    }

    #[test]
    fn only_the_whole_path_of_a_file_can_be_locked() {
        let going_on = AtomicBool::new(false);
        for (path, expected) in [
            ("module.so", Unlocked::BareName),
            ("/nowhere/module.so", Unlocked::NoFile),
        ] {
            let unlocked = LoginLock::acquire(Path::new(path), &going_on).unwrap_err();
            assert_eq!(unlocked, expected, "{path}");
        }
        // A module that cannot be loaded is reported once, by its own error.
        assert_eq!(Unlocked::NoFile.description(), None);
    }
}
