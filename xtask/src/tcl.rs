//! `cargo xtask tcl`: the tests that Redis' authors wrote for it, run against the system's server and
//! against one behind a proxy that protects every record. What passes without a proxy must pass with
//! one, apart from what docs/proxy/redis-tests.md lists with a reason.
//!
//! The tests are those of the source package of the system's server, unpacked below the directory of
//! tools. A unit is run as the authors run it against a server that they did not start.

mod comparison;

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::Failure;
use crate::install;
use crate::install::apt::{Apt, mirror};
use crate::run::{cargo, command, run, tools_directory, workspace_root};

use comparison::{Comparison, Results, listed};

/// The units that are run.
const UNITS: [&str; 12] = [
    "unit/type/string",
    "unit/type/hash",
    "unit/type/list",
    "unit/type/set",
    "unit/type/zset",
    "unit/type/stream",
    "unit/type/incr",
    "unit/expire",
    "unit/multi",
    "unit/scan",
    "unit/keyspace",
    "unit/sort",
];
/// The list of tests that differ.
const LIST: &str = "docs/proxy/redis-tests.md";
/// The directory of the tests below the directory of tools.
const DIRECTORY: &str = "redis-tests";
/// Tests with these tags need a replica, commands that show how a record is stored, or a configuration.
const TAGS: &str = "-needs:repl -needs:debug";
/// The time in which a server or the proxy accepts connections.
const START_TIMEOUT: Duration = Duration::from_secs(30);
/// The time that one unit may take; what was not reached then has not passed.
const UNIT_SECONDS: &str = "240";

/// The proxy's configuration: everything is sealed, and bound to one group, since tests move values.
const CONFIGURATION: &str = r#"
[[protect]]
records = "*"
format = "sealed"
write_version = 3
group = "all"
bind = "group"
members = "deterministic"
plain_values = "any"
scripts = "forward"
"#;
/// What is added where names are sealed too.
const NAMES: &str = "names = \"sealed\"\n";
/// The heading in the list under which stands what differs only there.
const NAMES_HEADING: &str = "## With sealed names";
const KEY: &str = "6c1f0a5be2d94738a1c05f3e7b9d2846f0e1d2c3b4a5968778695a4b3c2d1e0f";

pub(crate) fn tcl(arguments: &[String]) -> Result<(), Failure> {
    let (flags, units): (Vec<_>, Vec<_>) = arguments.iter().partition(|it| it.starts_with("--"));
    let names = match flags[..] {
        [] => false,
        [flag] if flag == "--names" => true,
        _ => return Err(Failure::Usage("`tcl` knows one flag: --names".to_owned())),
    };
    let units = match units[..] {
        [] => UNITS.to_vec(),
        _ => chosen(&units)?,
    };
    install::for_tcl()?;
    let tests = provide_tests()?;
    run(cargo(&["build", "-p", "waxseal-cli", "--all-features"]))?;
    let directory = tools_directory().join("redis-tests-run");
    fs::create_dir_all(&directory).map_err(|error| error.to_string())?;
    let list = fs::read_to_string(workspace_root().join(LIST)).unwrap_or_default();
    let (list, configuration) = match names {
        true => (&list[..], [CONFIGURATION, NAMES].concat()),
        false => {
            let end = list.find(NAMES_HEADING).unwrap_or(list.len());
            (&list[..end], CONFIGURATION.to_owned())
        }
    };
    let mut all = Comparison::default();
    for unit in &units {
        let direct = Servers::start(&directory, None)?.run(&tests, unit)?;
        let through = Servers::start(&directory, Some(&configuration))?.run(&tests, unit)?;
        let comparison = Comparison::of(unit, &direct, &through);
        println!("{}", comparison.summary(unit));
        all.add(comparison);
    }
    println!("{}", all.summary("all"));
    let problems = all.problems(&listed(list), units.len() == UNITS.len());
    if problems.is_empty() {
        return Ok(());
    }
    Err(Failure::Chore(format!(
        "compare with {LIST}:\n{}",
        problems.join("\n")
    )))
}

/// The units with these names, or parts of them.
fn chosen(names: &[&String]) -> Result<Vec<&'static str>, Failure> {
    let mut units = Vec::new();
    for name in names {
        let unit = UNITS
            .into_iter()
            .find(|unit| unit.ends_with(&format!("/{name}")));
        let unknown = || Failure::Usage(format!("`tcl` does not know the unit `{name}`"));
        units.push(unit.ok_or_else(unknown)?);
    }
    Ok(units)
}

/// The directory with the tests, which are unpacked if it is missing.
fn provide_tests() -> Result<PathBuf, String> {
    let directory = tools_directory().join(DIRECTORY);
    let tests = directory.join("source");
    if tests.join("tests/test_helper.tcl").is_file() {
        return Ok(tests);
    }
    let failed = |error| format!("could not write below {}: {error}", directory.display());
    let missing = "the tests of Redis are missing, and this is not a Debian with its source package: \
                   unpack the source of the system's server at";
    let release = release().zip(mirror());
    let (release, mirror) = release.ok_or_else(|| format!("{missing} {}", tests.display()))?;
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&tests).map_err(failed)?;
    let apt = Apt::prepare(&directory.join("apt"), "deb-src", &mirror, &release).map_err(failed)?;
    run(apt.get(&["-q", "update"]))?;
    run(apt.get(&["-q", "--download-only", "source", "redis"]))?;
    let packages = apt.packages().map_err(failed)?;
    let source = packages
        .iter()
        .find(|path| path.to_string_lossy().ends_with(".orig.tar.gz"))
        .ok_or_else(|| format!("{missing} {}", tests.display()))?;
    let mut tar = command("tar", &["-xz", "--strip-components=1"]);
    run({
        tar.arg("-C").arg(&tests).arg("-f").arg(source);
        tar
    })?;
    fs::remove_dir_all(directory.join("apt")).map_err(failed)?;
    Ok(tests)
}

/// The name of this machine's release.
fn release() -> Option<String> {
    let text = fs::read_to_string("/etc/os-release").ok()?;
    let name = |line: &str| {
        line.strip_prefix("VERSION_CODENAME=")
            .map(ToOwned::to_owned)
    };
    text.lines().find_map(name)
}

/// A server, and a proxy before it if one is wanted.
struct Servers {
    processes: Vec<Child>,
    port: u16,
}

impl Servers {
    /// The proxy, if there is one, has this configuration.
    fn start(directory: &Path, proxied: Option<&str>) -> Result<Self, String> {
        let (server, proxy) = (free_port()?, free_port()?);
        let mut servers = Self {
            processes: Vec::new(),
            port: server,
        };
        let port = server.to_string();
        let mut redis = Command::new("redis-server");
        redis.args(["--port", &port, "--bind", "127.0.0.1", "--save", ""]);
        redis.args(["--enable-debug-command", "yes"]);
        servers.add(
            redis.arg("--dir").arg(directory),
            directory,
            "server.log",
            server,
        )?;
        if let Some(text) = proxied {
            let configuration = directory.join("waxseal.toml");
            fs::write(&configuration, text).map_err(|error| error.to_string())?;
            let mut waxseal = Command::new(tools_directory().join("../debug/waxseal"));
            waxseal.env("REDIS_ENCRYPTION_KEY", KEY);
            waxseal.args(["--store", &format!("redis://127.0.0.1:{server}/"), "proxy"]);
            waxseal.args(["--listen", &format!("127.0.0.1:{proxy}")]);
            waxseal.arg("--config").arg(&configuration);
            servers.add(&mut waxseal, directory, "proxy.log", proxy)?;
            servers.port = proxy;
        }
        Ok(servers)
    }

    fn add(
        &mut self,
        command: &mut Command,
        directory: &Path,
        log: &str,
        port: u16,
    ) -> Result<(), String> {
        let log = fs::File::create(directory.join(log)).map_err(|error| error.to_string())?;
        let errors = log.try_clone().map_err(|error| error.to_string())?;
        let child = command
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .spawn();
        self.processes
            .push(child.map_err(|error| error.to_string())?);
        let deadline = Instant::now() + START_TIMEOUT;
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            if Instant::now() > deadline {
                return Err(format!("nothing answers; see {}", directory.display()));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    fn run(&self, tests: &Path, unit: &str) -> Result<Results, String> {
        let port = self.port.to_string();
        let mut tclsh = command("timeout", &[UNIT_SECONDS, "tclsh", "tests/test_helper.tcl"]);
        tclsh.args(["--host", "127.0.0.1", "--port", &port, "--single", unit]);
        tclsh.args([
            "--durable",
            "--ignore-encoding",
            "--ignore-digest",
            "--clients",
            "1",
        ]);
        tclsh.args(["--tags", TAGS]).current_dir(tests);
        let printed = tclsh.stdin(Stdio::null()).output();
        let printed = printed.map_err(|error| format!("`tclsh` cannot be run: {error}"))?;
        Ok(Results::parse(&String::from_utf8_lossy(&printed.stdout)))
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        for process in self.processes.iter_mut().rev() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

fn free_port() -> Result<u16, String> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    Ok(address.port())
}
