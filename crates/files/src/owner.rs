//! Owner, group and mode of files that were just created. Those of other files are never changed.

use std::fs::File;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};

use rustix::fs::Stat;

/// Of the mode of a file that is replaced, what its successor gets.
const KEPT_MODE: u32 = 0o666;
const GROUP_MODE: u32 = 0o070;

/// Gives a new file the owner, the group and the mode of the one that it replaces: an operator's change must
/// not take the file away from the service that owns it. Only root can give files away: another user's
/// file becomes one of this user, open to the group only if that is the same one.
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

/// Gives a file that was just created to a user and a group.
pub(crate) fn give_to(file: &File, uid: u32, gid: u32) -> io::Result<()> {
    let own = file.metadata()?;
    if (own.uid(), own.gid()) == (uid, gid) {
        return Ok(());
    }
    fchown(file, Some(uid), Some(gid))
}
