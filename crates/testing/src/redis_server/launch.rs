//! Starts a server process and waits until it answers. Knows one port and one directory, not the
//! owner of the process or its settings.

use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::net::TcpListener;
use std::ops::Range;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread::sleep;
use std::time::Instant;

use super::{CHECK_INTERVAL, START_TIMEOUT, info_field};
use crate::client::{Client, Reply};
use crate::tools::Flavor;

/// Below the ports that Linux hands out to outgoing connections (32768 and up): otherwise another
/// test's connection could sit on a server's port while the server restarts.
const PORTS: Range<u16> = 20_000..32_000;
const NODE_PORTS: Range<u16> = 20_000..22_000;

/// A free port. Another process may still take it before the server does, hence the attempts in
/// [`Builder::start`].
///
/// # Panics
///
/// If there is none.
#[must_use]
pub fn free_port() -> u16 {
    free_port_in(PORTS, is_free)
}

/// A port for a node of a cluster, with the one 10,000 above it free as well, where other nodes
/// expect the bus. That one, too, is below the range of outgoing connections.
pub(crate) fn free_node_port() -> u16 {
    free_port_in(NODE_PORTS, |port| is_free(port) && is_free(port + 10_000))
}

fn free_port_in(ports: Range<u16>, is_free: impl Fn(u16) -> bool) -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // One after another, so that the port of a server that is down for a while is given to no other server. The standard
    // library seeds its hasher randomly: two test processes begin at different ports.
    static START: OnceLock<u64> = OnceLock::new();
    let start = *START.get_or_init(|| RandomState::new().hash_one(std::process::id()));
    for _ in 0..ports.len() {
        let step = u64::from(NEXT.fetch_add(1, Ordering::Relaxed));
        let offset = start.wrapping_add(step) % ports.len() as u64;
        let port = ports.start + u16::try_from(offset).expect("less than the range is long");
        if is_free(port) {
            return port;
        }
    }
    panic!("no free port between {} and {}", ports.start, ports.end);
}

fn is_free(port: u16) -> bool {
    TcpListener::bind(("127.0.0.1", port)).is_ok()
}

/// Starts the server whose settings are in `directory` and waits until it answers on `port`.
pub(super) fn launch(
    flavor: Flavor,
    directory: &Path,
    port: u16,
    password: Option<&str>,
) -> Result<Child, String> {
    let log = fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(directory.join("server.log"))
        .expect("open the server's log");
    let mut process = Command::new(flavor.program())
        .arg(directory.join("server.conf"))
        .current_dir(directory)
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("share the log"))
        .stderr(log)
        .spawn()
        .map_err(|error| format!("{}: {error}", flavor.program().display()))?;

    let give_up = Instant::now() + START_TIMEOUT;
    let failure = loop {
        if answers(&mut process, port, password) {
            return Ok(process);
        }
        if let Ok(Some(status)) = process.try_wait() {
            break format!("it ended with {status}");
        }
        if Instant::now() > give_up {
            break format!("it did not answer within {} s", START_TIMEOUT.as_secs());
        }
        sleep(CHECK_INTERVAL);
    };
    let _ = process.kill();
    let _ = process.wait();
    let log = fs::read_to_string(directory.join("server.log")).unwrap_or_default();
    let tail: Vec<&str> = log.lines().rev().take(12).collect();
    Err(format!(
        "{failure}; its log, newest first:\n{}",
        tail.join("\n")
    ))
}

/// True if the server on this port is up and is the one that was started: another server that took
/// the port a moment earlier would answer just as well.
fn answers(process: &mut Child, port: u16, password: Option<&str>) -> bool {
    let Ok(mut client) = Client::connect(port) else {
        return false;
    };
    if let Some(password) = password
        && !matches!(client.try_cmd(&["AUTH", password]), Ok(Reply::Simple(_)))
    {
        return false;
    }
    if !matches!(client.try_cmd(&["PING"]), Ok(Reply::Simple(pong)) if pong == "PONG") {
        return false;
    }
    let Ok(info) = client.try_cmd(&["INFO", "server"]) else {
        return false;
    };
    match info {
        // A server without INFO: it would have ended without its port.
        Reply::Error(text) if text.contains("unknown command") => {
            matches!(process.try_wait(), Ok(None))
        }
        info => info_field(&info.to_text(), "process_id") == process.id().to_string(),
    }
}
