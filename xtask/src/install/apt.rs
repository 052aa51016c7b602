//! Packages of any release of Debian, fetched into a directory by the package manager of this machine,
//! from where it fetches its own, with their signatures checked. Installs nothing.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::run::{command, output};

/// The keys that releases are signed with.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Where this machine's package manager has Debian's packages from.
pub(crate) fn mirror() -> Option<String> {
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
pub(crate) struct Apt {
    directory: PathBuf,
}

impl Apt {
    /// In a directory of its own, for this release's packages of one kind: `deb`, or `deb-src` for sources.
    pub(crate) fn prepare(
        directory: &Path,
        kind: &str,
        mirror: &str,
        release: &str,
    ) -> std::io::Result<Self> {
        for below in ["lists/partial", "cache/archives/partial", "packages"] {
            fs::create_dir_all(directory.join(below))?;
        }
        let sources = format!(
            "Types: {kind}\nURIs: {mirror}\nSuites: {release}\nComponents: main\nSigned-By: {KEYRING}\n"
        );
        fs::write(directory.join("of.sources"), sources)?;
        Ok(Self {
            directory: directory.to_owned(),
        })
    }

    /// A command of the package manager, run where it puts packages.
    pub(crate) fn get(&self, verb: &[&str]) -> Command {
        let path = |name: &str| self.directory.join(name).display().to_string();
        let settings = [
            format!("Dir::Etc::sourcelist={}", path("of.sources")),
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

    /// What was downloaded.
    pub(crate) fn packages(&self) -> std::io::Result<Vec<PathBuf>> {
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
}
