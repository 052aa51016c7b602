//! A server from a newer release of the operating system than this machine runs: its packages are
//! unpacked beside their own C library, below the directory of tools, and run with that library's
//! loader. Nothing is installed in the system. The package manager fetches them from where it fetches
//! its own, and checks their signatures.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::wheels::{check_platform, make_executable, starts_as};
use crate::run::{command, output, run, tools_directory};

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
/// The keys that releases are signed with.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

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
        let apt = Apt::prepare(&directory.join("apt"), &mirror, self.release).map_err(failed)?;
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

/// Where this machine's package manager has Debian's packages from.
fn mirror() -> Option<String> {
    let targets = output(command(
        "apt-get",
        &[
            "indextargets",
            "--format",
            "$(REPO_URI) $(LABEL)",
            "Created-By: Packages",
        ],
    ))?;
    targets.lines().find_map(debian_mirror)
}

/// The address in a line of the package manager, unless it is that of security updates or of others.
fn debian_mirror(line: &str) -> Option<String> {
    let (address, label) = line.split_once(' ')?;
    (label == "Debian").then(|| address.trim_end_matches('/').to_owned())
}

/// The package manager with lists and packages of its own.
struct Apt {
    directory: PathBuf,
}

impl Apt {
    fn prepare(directory: &Path, mirror: &str, release: &str) -> std::io::Result<Self> {
        for below in ["lists/partial", "cache/archives/partial", "packages"] {
            fs::create_dir_all(directory.join(below))?;
        }
        let sources = format!(
            "Types: deb\nURIs: {mirror}\nSuites: {release}\nComponents: main\nSigned-By: {KEYRING}\n"
        );
        fs::write(directory.join("newer.sources"), sources)?;
        Ok(Self {
            directory: directory.to_owned(),
        })
    }

    fn get(&self, verb: &[&str]) -> Command {
        let path = |name: &str| self.directory.join(name).display().to_string();
        let settings = [
            format!("Dir::Etc::sourcelist={}", path("newer.sources")),
            "Dir::Etc::sourceparts=/dev/null".to_owned(),
            format!("Dir::State::lists={}", path("lists")),
            format!("Dir::Cache={}", path("cache")),
            // Nothing is installed: the directory need not be open to another user.
            "APT::Sandbox::User=root".to_owned(),
        ];
        let mut apt = command("apt-get", verb);
        for setting in settings {
            apt.arg("-o").arg(setting);
        }
        apt.current_dir(self.directory.join("packages"));
        apt
    }

    fn packages(&self) -> std::io::Result<Vec<PathBuf>> {
        let entries = fs::read_dir(self.directory.join("packages"))?;
        entries.map(|entry| Ok(entry?.path())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_come_from_where_the_system_has_its_own() {
        let main = "scheme:mirror/debian/ Debian";
        assert_eq!(debian_mirror(main).as_deref(), Some("scheme:mirror/debian"));
        assert_eq!(
            debian_mirror("scheme:mirror/security/ Debian-Security"),
            None
        );
        assert_eq!(debian_mirror("scheme:others/ Others"), None);
    }

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
