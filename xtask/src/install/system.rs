//! Programs from the operating system's own package manager, installed without prompts and as root.
//! Does not know what they are for.

use crate::run::{command, on_path, output, run};

/// A program of the operating system and the package that holds it, for each package manager; [`UNPACKAGED`] where
/// it has none.
pub(super) struct SystemTool {
    program: &'static str,
    packages: [&'static str; MANAGERS.len()],
}

/// No package of this manager is known to hold the program.
const UNPACKAGED: &str = "";

/// A package manager: its program, and its commands to refresh its lists and to install.
struct Manager {
    program: &'static str,
    refresh: &'static [&'static str],
    install: &'static [&'static str],
    needs_root: bool,
}

const MANAGERS: [Manager; 5] = [
    Manager {
        program: "apt-get",
        refresh: &["update", "-q"],
        install: &["install", "-q", "-y", "--no-install-recommends"],
        needs_root: true,
    },
    Manager {
        program: "dnf",
        refresh: &[],
        install: &["install", "-y"],
        needs_root: true,
    },
    Manager {
        program: "apk",
        refresh: &["update"],
        install: &["add"],
        needs_root: true,
    },
    Manager {
        program: "pacman",
        refresh: &[],
        install: &["-Sy", "--noconfirm", "--needed"],
        needs_root: true,
    },
    Manager {
        program: "brew",
        refresh: &[],
        install: &["install"],
        needs_root: false,
    },
];

pub(super) const REDIS: SystemTool = SystemTool {
    program: "redis-server",
    packages: ["redis-server", "redis", "redis", "redis", "redis"],
};
pub(super) const NODE: SystemTool = SystemTool {
    program: "node",
    packages: ["nodejs", "nodejs", "nodejs", "nodejs", "node"],
};
pub(super) const NPM: SystemTool = SystemTool {
    program: "npm",
    packages: ["npm", "npm", "npm", "npm", "node"],
};
pub(super) const REDIS_CLI: SystemTool = SystemTool {
    program: "redis-cli",
    packages: ["redis-tools", "redis", "redis", "redis", "redis"],
};
pub(super) const REDIS_BENCHMARK: SystemTool = SystemTool {
    program: "redis-benchmark",
    packages: ["redis-tools", "redis", "redis", "redis", "redis"],
};
pub(super) const PYTHON: SystemTool = SystemTool {
    program: "python3",
    packages: ["python3", "python3", "python3", "python", "python"],
};
pub(super) const PIP: SystemTool = SystemTool {
    program: "python3 -m pip",
    packages: [
        "python3-pip",
        "python3-pip",
        "py3-pip",
        "python-pip",
        "python",
    ],
};
/// A PKCS#11 token in software. Its library comes with its program.
pub(super) const SOFTHSM: SystemTool = SystemTool {
    program: "softhsm2-util",
    packages: ["softhsm2", "softhsm", "softhsm", "softhsm", "softhsm"],
};
/// Inspects tokens. The library that logs the calls to a token comes with it.
pub(super) const PKCS11_TOOL: SystemTool = SystemTool {
    program: "pkcs11-tool",
    packages: ["opensc", "opensc", "opensc", "opensc", "opensc"],
};
/// Checks alert rules. It comes with the server of its name, which is not run.
pub(super) const PROMTOOL: SystemTool = SystemTool {
    program: "promtool",
    packages: [
        "prometheus",
        "golang-github-prometheus",
        "prometheus",
        "prometheus",
        "prometheus",
    ],
};

/// Creates networks in which packets can be dropped.
pub(super) const IP: SystemTool = SystemTool {
    program: "ip",
    packages: ["iproute2", "iproute", "iproute2", "iproute2", "iproute2mac"],
};

/// Runs the tests of Redis' authors.
pub(super) const TCLSH: SystemTool = SystemTool {
    program: "tclsh",
    packages: ["tcl", "tcl", "tcl", "tcl", "tcl-tk"],
};

/// Renders the status page as people see it.
pub(super) const CHROMIUM: SystemTool = SystemTool {
    program: "chromium",
    packages: ["chromium", "chromium", "chromium", "chromium", "chromium"],
};

/// The interpreters of frameworks in PHP and Ruby, and the frameworks: checked by running them.
pub(super) const FRAMEWORKS: [&SystemTool; 4] = [
    // The program and the extension are two packages, of which the second needs the first.
    &SystemTool {
        program: "php -r exit(extension_loaded('redis')?0:1);",
        packages: [
            "php-redis",
            "php-pecl-redis6",
            UNPACKAGED,
            "php-redis",
            UNPACKAGED,
        ],
    },
    &SystemTool {
        program: "php",
        packages: ["php-cli", "php-cli", "php", "php", "php"],
    },
    &SystemTool {
        program: "sidekiq",
        packages: [
            "ruby-sidekiq",
            UNPACKAGED,
            UNPACKAGED,
            UNPACKAGED,
            UNPACKAGED,
        ],
    },
    &SystemTool {
        program: "ruby -rredis-rack -e 0",
        packages: [
            "ruby-redis-rack",
            UNPACKAGED,
            UNPACKAGED,
            UNPACKAGED,
            UNPACKAGED,
        ],
    },
];

/// Installs those of these programs that are missing, in one command.
pub(super) fn provide(tools: &[&SystemTool]) -> Result<(), String> {
    let missing: Vec<&SystemTool> = tools
        .iter()
        .copied()
        .filter(|tool| !tool.is_installed())
        .collect();
    install(&missing)
}

fn install(missing: &[&SystemTool]) -> Result<(), String> {
    if missing.is_empty() {
        return Ok(());
    }
    let programs: Vec<&str> = missing.iter().map(|tool| tool.program).collect();
    let programs = programs.join(", ");
    let Some(index) = MANAGERS.iter().position(|manager| on_path(manager.program)) else {
        return Err(format!(
            "missing: {programs}; no package manager is known here to get them"
        ));
    };
    let manager = &MANAGERS[index];
    let sudo = manager.needs_root && !is_root();
    if sudo && !on_path("sudo") {
        return Err(format!(
            "missing: {programs}; installing them needs root, and there is no sudo"
        ));
    }
    let mut packages: Vec<&str> = missing.iter().map(|tool| tool.packages[index]).collect();
    if let Some(position) = packages.iter().position(|it| *it == UNPACKAGED) {
        return Err(format!(
            "`{}` does not work here, and no package of `{}` is known that helps: install what it needs by hand \
             (the extension phpredis of PHP; `gem install sidekiq redis-rack`)",
            missing[position].program, manager.program
        ));
    }
    if !manager.refresh.is_empty() {
        run(manager.command(sudo, manager.refresh, &[]))?;
    }
    // One package may contain several of the programs.
    packages.sort_unstable();
    packages.dedup();
    run(manager.command(sudo, manager.install, &packages))?;
    match missing.iter().find(|tool| !tool.is_installed()) {
        Some(tool) => Err(format!(
            "`{}` is still missing after the installation",
            tool.program
        )),
        None => Ok(()),
    }
}

fn is_root() -> bool {
    output(command("id", &["-u"])).is_some_and(|id| id.trim() == "0")
}

impl SystemTool {
    fn is_installed(&self) -> bool {
        match self.program {
            // A module, not a program: `PATH` does not list it.
            "python3 -m pip" => output(command("python3", &["-m", "pip", "--version"])).is_some(),
            program => match program.split_once(' ') {
                Some((program, words)) => {
                    let words: Vec<&str> = words.split(' ').collect();
                    on_path(program) && output(command(program, &words)).is_some()
                }
                None => on_path(program),
            },
        }
    }
}

impl Manager {
    fn command(&self, sudo: bool, verb: &[&str], packages: &[&str]) -> std::process::Command {
        let mut words = Vec::new();
        if sudo {
            words.push("sudo");
        }
        // Through `env`, because `sudo` does not pass the environment on.
        words.extend(["env", "DEBIAN_FRONTEND=noninteractive", self.program]);
        words.extend(verb);
        words.extend(packages);
        command(words[0], &words[1..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_installed_without_prompts_and_as_root() {
        let apt = &MANAGERS[0];
        let line = apt.command(true, apt.install, &["nodejs"]);
        let words: Vec<_> = line.get_args().map(|word| word.to_string_lossy()).collect();
        assert_eq!(line.get_program(), "sudo");
        assert_eq!(
            words[..3],
            ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]
        );
        assert!(words.contains(&"-y".into()));
        assert_eq!(words.last().unwrap(), "nodejs");
    }
}
