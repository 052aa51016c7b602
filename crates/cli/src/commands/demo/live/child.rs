//! This binary as the proxy of the demo, with its own directory and environment.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{self, Command};
use tokio::time::{sleep, timeout};
use waxseal_core::SecretKey;
use waxseal_service::Failure;

/// The longest time for the proxy to start, and to end.
const TIMEOUT: Duration = Duration::from_secs(30);
const SECRET: &str = "custodian-secret";
const LOG: &str = "proxy.log";

/// The proxy. Killed when dropped.
pub(super) struct Child {
    process: process::Child,
    log: std::path::PathBuf,
    admin: String,
    address: String,
}

/// Writes the configuration, and creates a keyring whose times let a rotation end within the demo.
pub(super) async fn make_keyring(url: &str, directory: &Path, prefix: &str) -> Result<(), Failure> {
    let secret = SecretKey::generate()?.expose_hex();
    fs::write(directory.join(SECRET), secret.as_bytes())?;
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    fs::set_permissions(directory.join(SECRET), private)?;
    let config = format!(
        "keyring = \"file:keyring.json\"\nuser_keys = \"file:users.waxseal\"\n\n\
         [[protect]]\nname = \"States\"\nrecords = \"{prefix}s:*\"\nformat = \"sealed\"\n\
         plain_values = \"json\"\n\n\
         [[protect]]\nname = \"Users\"\nrecords = \"{prefix}u:{{user}}\"\nformat = \"sealed\"\n\
         per_user_keys = true\nplain_values = \"json\"\n"
    );
    fs::write(directory.join("waxseal.toml"), config)?;
    let times = [
        "--propagation",
        "1s",
        "--refresh",
        "200ms",
        "--retain",
        "1s",
    ];
    let init = [&["keyring", "init"], &times[..]].concat();
    run(url, directory, &init).await.map(drop)
}

/// Runs a command in the directory, and returns what it printed.
pub(super) async fn run(url: &str, directory: &Path, words: &[&str]) -> Result<Vec<u8>, Failure> {
    let mut command = command(url, directory)?;
    let output = command.args(words).stdout(Stdio::piped()).output().await?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let errors = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(Failure::failed(format!(
        "waxseal {}: {errors}",
        words.join(" ")
    )))
}

/// Returns true if a key of the keyring is archived or destroyed.
pub(super) async fn has_retired_key(url: &str, directory: &Path) -> Result<bool, Failure> {
    let status = run(url, directory, &["keyring", "status", "--json"]).await?;
    let status: serde_json::Value = serde_json::from_slice(&status).map_err(Failure::failed)?;
    let is_retired =
        |key: &serde_json::Value| key["state"] == "archived" || key["state"] == "destroyed";
    let keys = status["keys"].as_array();
    Ok(keys.is_some_and(|keys| keys.iter().any(is_retired)))
}

fn command(url: &str, directory: &Path) -> Result<Command, Failure> {
    let mut command = Command::new(std::env::current_exe()?);
    command
        .env_clear()
        .env("REDIS_URL", url)
        .env("REDIS_ENCRYPTION_KEY_FILE", directory.join(SECRET))
        .current_dir(directory)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        // A signal from the terminal is for the demo, which ends the proxy.
        .process_group(0)
        .kill_on_drop(true);
    Ok(command)
}

/// Returns true if the canary of the store opens under the keyring of the demo.
pub(super) async fn is_own_canary(url: &str, directory: &Path) -> Result<bool, Failure> {
    let mut doctor = command(url, directory)?;
    let output = doctor
        .args(["doctor", "--json"])
        .stdout(Stdio::piped())
        .output()
        .await?;
    let findings: Vec<serde_json::Value> =
        serde_json::from_slice(&output.stdout).map_err(Failure::failed)?;
    let opens = |it: &serde_json::Value| {
        let found = it["found"].as_str().unwrap_or_default();
        it["check"] == "canary" && it["grade"] == "ok" && found.starts_with("opens under")
    };
    Ok(findings.iter().any(opens))
}

impl Child {
    pub(super) fn start(url: &str, directory: &Path) -> Result<Self, Failure> {
        let log = directory.join(LOG);
        let process = command(url, directory)?
            .args(["proxy", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"])
            .stderr(fs::File::create(&log)?)
            .spawn()?;
        Ok(Self {
            process,
            log,
            admin: String::new(),
            address: String::new(),
        })
    }

    /// Waits until it accepts clients.
    pub(super) async fn wait(&mut self) -> Result<(), Failure> {
        let began = Instant::now();
        loop {
            let log = fs::read_to_string(&self.log)?;
            let address = |what: &str| {
                let mut lines = log.split_inclusive('\n').filter(|it| it.ends_with('\n'));
                lines.find_map(|line| Some(line.trim_end().strip_prefix(what)?.to_owned()))
            };
            let addresses = (
                address("waxseal: admin on "),
                address("waxseal: listening on "),
            );
            if let (Some(admin), Some(address)) = addresses {
                (self.admin, self.address) = (admin, address);
                return Ok(());
            }
            if self.process.try_wait()?.is_some() || began.elapsed() > TIMEOUT {
                return Err(Failure::failed(format!(
                    "the proxy did not start: {}",
                    log.trim()
                )));
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    pub(super) fn admin(&self) -> &str {
        &self.admin
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// Ends it.
    pub(super) async fn end(mut self) {
        let pid = self.process.id().and_then(|id| Pid::from_raw(id as i32));
        if let Some(pid) = pid {
            // It may have ended already.
            let _ = kill_process(pid, Signal::TERM);
        }
        if timeout(TIMEOUT, self.process.wait()).await.is_err() {
            let _ = self.process.kill().await;
        }
    }
}
