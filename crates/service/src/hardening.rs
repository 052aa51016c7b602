//! Protection of secrets in the memory of this process from reaching a disk: no core dumps, and for
//! processes that run for long, memory that is not swapped out. Nothing here stops a command: what
//! the system does not grant is logged, and the command continues without it.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The result of switching core dumps off.
pub struct CoreDumps(io::Result<()>);

/// The memory that this process may lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lockable {
    /// All of it.
    All,
    /// This many bytes. The process will need more sooner or later, and an allocation beyond would fail.
    Bytes(u64),
}

/// Switches core dumps off. Comes before anything secret is read, and so before there is a log:
/// [`begin`] logs the result.
pub fn forbid_core_dumps() -> CoreDumps {
    let nothing = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    // The limit does not apply where dumps are piped to a program. A process that is not dumpable is safe
    // there too, and from debuggers of the same user.
    let limited = setrlimit(Resource::Core, nothing).map_err(io::Error::from);
    CoreDumps(limited.and(system::forbid_dumps()))
}

/// Logs the result, and locks the memory of a process that runs for long.
pub fn begin(core_dumps: &CoreDumps, runs_for_long: bool) {
    match &core_dumps.0 {
        Ok(()) => tracing::debug!("core dumps are off"),
        Err(error) => tracing::warn!("core dumps cannot be switched off: {error}"),
    }
    if runs_for_long {
        lock_memory();
    }
}

/// True if this process cannot be dumped.
pub fn is_without_core_dumps() -> bool {
    getrlimit(Resource::Core).maximum == Some(0) && system::forbids_dumps()
}

/// Returns the memory that this process, or one that is started like it, may lock.
pub fn lockable() -> Lockable {
    match getrlimit(Resource::Memlock).current {
        None => Lockable::All,
        Some(limit) => Lockable::Bytes(limit),
    }
}

fn lock_memory() {
    match lockable() {
        Lockable::All => match system::lock_all() {
            Ok(()) => tracing::debug!("memory is locked: it is not swapped out"),
            Err(error) => tracing::warn!("memory cannot be locked: {error}"),
        },
        Lockable::Bytes(limit) => tracing::info!(
            "memory is not locked and may be swapped out: the limit is {} KiB (systemd: \
             LimitMEMLOCK=infinity, docker: --ulimit memlock=-1)",
            limit / 1024
        ),
    }
}

#[cfg(target_os = "linux")]
mod system {
    //! The system calls of Linux.

    use std::io;

    use rustix::mm::{MlockAllFlags, mlockall};
    use rustix::process::{DumpableBehavior, dumpable_behavior, set_dumpable_behavior};

    pub(super) fn forbid_dumps() -> io::Result<()> {
        Ok(set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
    }

    pub(super) fn forbids_dumps() -> bool {
        dumpable_behavior() == Ok(DumpableBehavior::NotDumpable)
    }

    /// Locks present and future memory, each page when it is first used: memory that is only
    /// reserved, such as the stacks of threads, is not allocated.
    pub(super) fn lock_all() -> io::Result<()> {
        let flags = MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT;
        Ok(mlockall(flags)?)
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    //! Elsewhere the limit of core dumps is all there is.

    use std::io;

    pub(super) fn forbid_dumps() -> io::Result<()> {
        Ok(())
    }

    pub(super) fn forbids_dumps() -> bool {
        true
    }

    pub(super) fn lock_all() -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
