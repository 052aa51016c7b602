//! A server from a newer release of the operating system than this machine runs: its packages are
//! unpacked beside their own C library, below the directory of tools, and run with that library's
//! loader. Nothing is installed in the system. The package manager fetches them from where it fetches
//! its own, and checks their signatures.

use std::fs;
use std::path::{Path, PathBuf};

use super::apt::{Apt, mirror};
use super::wheels::{check_platform, make_executable, starts_as};
use crate::run::{command, run, tools_directory};

/// Packages of a release that hold one server.
pub(super) struct NewerServer {
    /// Its name, for messages.
    server: &'static str,
    /// The release of Debian.
    release: &'static str,
    /// The package of the program, and of every library that it loads.
    packages: &'static [&'static str],
    /// The program within the packages. It acts by the name that it is called by.
    inside: &'static str,
    /// The directory below the directory of tools.
    directory: &'static str,
    /// The name that the program is called by.
    program: &'static str,
    /// The version that `--version` must print.
    version: &'static str,
}

pub(super) const REDIS_80: NewerServer = NewerServer {
    server: "Redis 8.0",
    release: "trixie",
    packages: &[
        "redis-tools",
        "libatomic1",
        "libc6",
        "libcap2",
        "libgcc-s1",
        "libjemalloc2",
        "liblzf1",
        "libssl3t64",
        "libstdc++6",
        "libsystemd0",
    ],
    inside: "usr/bin/redis-check-rdb",
    directory: "redis-8.0",
    program: "redis-server",
    version: " v=8.0.",
};

/// Libraries within the packages.
const LIBRARIES: &str = "usr/lib/x86_64-linux-gnu";

impl NewerServer {
    fn program(&self) -> PathBuf {
        tools_directory().join(self.directory).join(self.program)
    }

    fn is_installed(&self) -> bool {
        starts_as(&self.program(), self.version)
    }

    /// Installs it, unless it is installed.
    pub(super) fn provide(&self) -> Result<(), String> {
        if self.is_installed() {
            return Ok(());
        }
        let program = self.program();
        check_platform(
            self.server,
            &program,
            std::env::consts::OS,
            std::env::consts::ARCH,
        )?;
        let mirror = mirror().ok_or_else(|| {
            format!(
                "{} is missing, and this is not a Debian with the packages of {}: build it and put it at {}",
                self.server,
                self.release,
                program.display()
            )
        })?;
        let directory = tools_directory().join(self.directory);
        // Left over from an interrupted attempt, or an earlier version.
        let _ = fs::remove_dir_all(&directory);
        let failed = |error| format!("could not write below {}: {error}", directory.display());
        let apt =
            Apt::prepare(&directory.join("apt"), "deb", &mirror, self.release).map_err(failed)?;
        run(apt.get(&["-q", "update"]))?;
        let mut download = apt.get(&["-q", "download"]);
        download.args(self.packages);
        run(download)?;
        self.unpack(&directory, &apt.packages().map_err(failed)?)?;
        fs::remove_dir_all(directory.join("apt")).map_err(failed)?;
        if self.is_installed() {
            return Ok(());
        }
        Err(format!(
            "{} is at {} and does not start, or is not the version that the tests need",
            self.server,
            program.display()
        ))
    }

    fn unpack(&self, directory: &Path, packages: &[PathBuf]) -> Result<(), String> {
        let failed = |error| format!("could not write below {}: {error}", directory.display());
        let root = directory.join("root");
        for package in packages {
            run(command(
                "dpkg-deb",
                &["-x".as_ref(), package.as_path(), &root],
            ))?;
        }
        let named = Path::new(self.inside).with_file_name(self.program);
        fs::rename(root.join(self.inside), root.join(&named)).map_err(failed)?;
        let program = self.program();
        fs::write(&program, launcher(&named)).map_err(failed)?;
        make_executable(&program).map_err(failed)
    }
}

/// A script that becomes the program, with the libraries beside it.
fn launcher(program: &Path) -> String {
    format!(
        "#!/bin/sh\nroot=${{0%/*}}/root\n\
         exec \"$root/{LIBRARIES}/ld-linux-x86-64.so.2\" --library-path \"$root/{LIBRARIES}\" \
         \"$root/{}\" \"$@\"\n",
        program.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_launcher_becomes_the_program_with_its_own_libraries() {
        let script = launcher(Path::new("usr/bin/redis-server"));
        assert!(script.starts_with("#!/bin/sh\n"), "{script}");
        assert!(script.contains("exec \"$root/usr/lib/"), "{script}");
        assert!(
            script.contains("\"$root/usr/bin/redis-server\" \"$@\""),
            "{script}"
        );
    }
}
