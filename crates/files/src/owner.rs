//! The owner, group and mode of files that were just created. Those of other files are never changed.

use std::fs::File;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};

use rustix::fs::Stat;

/// The bits of the mode that a file inherits from the one that it replaces.
const KEPT_MODE: u32 = 0o666;
const GROUP_MODE: u32 = 0o070;

/// Gives a new file the owner, group and mode of the one that it replaces: a change by an operator must not take the
/// file away from the service that owns it. Only root can change owners: the file of another user becomes one of this
/// user, open to the group only if the group is the same.
pub(crate) fn succeed(file: &File, before: &Stat) -> io::Result<()> {
    let set_mode =
        |mode| file.set_permissions(std::fs::Permissions::from_mode(before.st_mode & mode));
    let own = this_user();
    if own == 0 || own == before.st_uid {
        set_mode(KEPT_MODE)?;
        return give_to(file, before.st_uid, before.st_gid);
    }
    match give_to(file, own, before.st_gid) {
        Ok(()) => set_mode(KEPT_MODE),
        Err(_) => set_mode(KEPT_MODE & !GROUP_MODE),
    }
}

pub(crate) fn this_user() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Changes the owner and group of a file that was just created.
pub(crate) fn give_to(file: &File, uid: u32, gid: u32) -> io::Result<()> {
    let own = file.metadata()?;
    if (own.uid(), own.gid()) == (uid, gid) {
        return Ok(());
    }
    fchown(file, Some(uid), Some(gid))
}
