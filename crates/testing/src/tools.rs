//! Locates the programs that the tests start. Installs nothing: that is done by `cargo xtask test`,
//! and every message about a missing program says so.

use std::fs;
use std::path::{Path, PathBuf};

/// Directories below which distributions install libraries; the same as in `xtask`.
const LIBRARIES: [&str; 6] = [
    "/usr/lib",
    "/usr/lib64",
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/opt/homebrew/lib",
    "/usr/local/lib",
];

/// The server that a test runs against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Flavor {
    /// The `redis-server` of the operating system.
    System,
    /// Redis 6.2, the oldest server that Waxseal supports.
    Redis62,
    /// Redis 8.0, whose fields of hashes have lifetimes of their own.
    Redis80,
    /// Valkey 9.1.
    Valkey,
}

impl Flavor {
    /// All flavors, for tests that must hold on every server.
    pub const ALL: [Self; 4] = [Self::System, Self::Redis62, Self::Redis80, Self::Valkey];

    /// The server program of this flavor.
    ///
    /// # Panics
    ///
    /// If it is not installed.
    #[must_use]
    pub fn program(self) -> PathBuf {
        let installed = match self {
            Self::System => return on_path("redis-server"),
            Self::Redis62 => tools_directory().join("redis-6.2").join("redis-server"),
            Self::Redis80 => tools_directory().join("redis-8.0").join("redis-server"),
            Self::Valkey => tools_directory().join("valkey").join("valkey-server"),
        };
        assert!(
            installed.is_file(),
            "{}",
            missing(&installed.display().to_string())
        );
        installed
    }
}

/// The root of the workspace.
#[must_use]
pub fn workspace_root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("this crate lies two directories below the root of the workspace")
}

/// The directory for servers that no system package provides: `target/tools`.
#[must_use]
pub fn tools_directory() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    workspace_root().join(target).join("tools")
}

/// A program found through `PATH`.
///
/// # Panics
///
/// If no directory of `PATH` has it.
#[must_use]
pub fn on_path(program: &str) -> PathBuf {
    std::env::var_os("PATH")
        .iter()
        .flat_map(std::env::split_paths)
        .map(|directory| directory.join(program))
        .find(|candidate| candidate.is_file())
        .unwrap_or_else(|| panic!("{}", missing(program)))
}

/// A library that is loaded as a PKCS#11 module.
pub(crate) fn library(name: &str) -> PathBuf {
    LIBRARIES
        .iter()
        .flat_map(|directory| {
            ["pkcs11", "softhsm", "."].map(|below| Path::new(directory).join(below))
        })
        .map(|directory| directory.join(name))
        .find(|candidate| candidate.is_file())
        .unwrap_or_else(|| panic!("{}", missing(name)))
}

/// The directory with packages that are installed together, if it matches their manifest.
pub(crate) fn packages(name: &str, manifest: &Path) -> PathBuf {
    let directory = tools_directory().join(name);
    let manifest_bytes = fs::read(manifest).expect("read the manifest");
    let installed = fs::read(directory.join("installed")).unwrap_or_default();
    let what = format!("the packages for {name}");
    assert!(installed == manifest_bytes, "{}", missing(&what));
    directory
}

/// The directory with the services that hold keys.
pub(crate) fn services() -> PathBuf {
    let manifests = workspace_root().join("crates/testing/services");
    packages("services", &manifests.join("requirements.txt"))
}

pub(crate) fn missing(program: &str) -> String {
    format!("`{program}` is missing: run `cargo xtask test` once, it installs what the tests need")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_root_of_the_workspace() {
        let manifest = fs::read_to_string(workspace_root().join("Cargo.toml")).unwrap();
        assert!(manifest.contains("[workspace]"));
    }

    #[test]
    #[should_panic(expected = "run `cargo xtask test` once")]
    fn says_how_to_get_a_missing_program() {
        let _ = on_path("no-such-program-anywhere");
    }

    #[test]
    #[should_panic(expected = "run `cargo xtask test` once")]
    fn says_how_to_get_a_missing_library() {
        let _ = library("no-such-library.so");
    }

    #[test]
    #[should_panic(expected = "run `cargo xtask test` once")]
    fn says_how_to_get_packages_that_are_not_those_of_the_manifest() {
        let _ = packages("python", &workspace_root().join("Cargo.toml"));
    }
}
