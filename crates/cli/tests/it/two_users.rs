//! Another user of the same machine, who plants links, sockets and settings where this one will look. The
//! tests run as root and play both users, each process under a number of its own.

mod configuration;
mod links;
mod secrets;
mod sockets;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use tempfile::TempDir;

use crate::program::Program;

/// The user who is attacked, where it is not root.
const USER: u32 = 47_110;
/// Another user. Owns the state directory of a service in which root works.
const OTHER: u32 = 47_111;

/// A directory that everybody can enter.
struct Location(TempDir);

impl Location {
    #[track_caller]
    fn new() -> Self {
        let directory = TempDir::new().unwrap();
        chown(directory.path(), Some(0), Some(0)).expect(
            "these tests play two users: run them as root, for example \
             sudo -E env \"PATH=$PATH\" cargo test -p waxseal-cli --test it two_users",
        );
        set_mode(directory.path(), 0o755);
        Self(directory)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A directory in it, of this user and mode.
    #[track_caller]
    fn directory(&self, name: &str, owner: u32, mode: u32) -> PathBuf {
        let path = self.path(name);
        fs::create_dir(&path).unwrap();
        give(&path, owner);
        set_mode(&path, mode);
        path
    }

    /// A file in it that only root may touch.
    #[track_caller]
    fn treasure(&self, content: &str) -> Treasure {
        let path = self.path("treasure");
        write(&path, content, 0, 0o600);
        Treasure {
            path,
            content: content.to_owned(),
        }
    }
}

/// Root's own file.
struct Treasure {
    path: PathBuf,
    content: String,
}

impl Treasure {
    #[track_caller]
    fn assert_untouched(&self) {
        let metadata = fs::symlink_metadata(&self.path).unwrap();
        assert!(metadata.is_file());
        assert_eq!(
            (metadata.uid(), metadata.gid()),
            (0, 0),
            "it was given away"
        );
        assert_eq!(metadata.mode() & 0o7777, 0o600);
        let content = fs::read_to_string(&self.path).unwrap_or_default();
        assert_eq!(content, self.content, "it was written to");
    }
}

#[track_caller]
fn write(path: &Path, content: &str, owner: u32, mode: u32) {
    fs::write(path, content).unwrap();
    give(path, owner);
    set_mode(path, mode);
}

/// A link that a user makes.
#[track_caller]
fn link(target: &Path, path: &Path, owner: u32) {
    let _ = fs::remove_file(path);
    std::os::unix::fs::symlink(target, path).unwrap();
    std::os::unix::fs::lchown(path, Some(owner), Some(owner)).unwrap();
}

#[track_caller]
fn give(path: &Path, owner: u32) {
    chown(path, Some(owner), Some(owner)).unwrap();
}

#[track_caller]
fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// A program of a user, in a directory.
fn program(user: u32, directory: &Path) -> Program {
    static BINARY: OnceLock<()> = OnceLock::new();
    BINARY.get_or_init(|| {
        let binary = env!("CARGO_BIN_EXE_waxseal");
        let user = USER.to_string();
        let ran = Command::new("setpriv")
            .args(["--reuid", &user, "--regid", &user, "--clear-groups"])
            .args([binary, "--version"])
            .output()
            .expect("run setpriv (package util-linux)");
        assert!(
            ran.status.success(),
            "another user cannot run {binary}: let others enter its directories (chmod o+x), or build \
             elsewhere with CARGO_TARGET_DIR"
        );
    });
    Program::new().run_by(user).in_directory(directory)
}
